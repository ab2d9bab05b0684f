//! What the machine is: said once at enrolment, and the resource of everything it sends.

use std::sync::Arc;

use opentelemetry_proto::tonic::resource::v1::Resource;
use serde::Serialize;
use steward_base::{Random, Result, base32};
use sysinfo::{CpuRefreshKind, MemoryRefreshKind, RefreshKind, System};

use crate::otlp::attribute;
use crate::platform;
use crate::state::State;

const ID_FILE: &str = "machine-id";

/// The machine.
#[derive(Clone, Debug)]
pub(crate) struct Machine(Arc<Facts>);

/// As the enrolment request says it.
#[derive(Debug, Serialize)]
pub(crate) struct Facts {
    pub(crate) hostname: String,
    pub(crate) os: Os,
    pub(crate) hardware: Hardware,
}

#[derive(Debug, Serialize)]
pub(crate) struct Os {
    family: &'static str,
    name: String,
    version: String,
    kernel: String,
    arch: String,
}

#[derive(Debug, Serialize)]
pub(crate) struct Hardware {
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu_model: Option<String>,
    cpu_count: usize,
    memory_bytes: u64,
    pub(crate) machine_id: String,
}

impl Machine {
    /// Looks at the machine. One without an id of its own gets one that is kept in the state folder.
    pub(crate) fn inspect(state: &State, random: &Random) -> Result<Self> {
        let machine_id = match (platform::machine_id(), state.read(ID_FILE)?) {
            (Some(id), _) => id,
            (None, Some(kept)) => String::from_utf8_lossy(&kept).into_owned(),
            (None, None) => {
                let id = base32::encode(&random.bytes::<16>());
                state.write(ID_FILE, id.as_bytes())?;
                id
            }
        };
        let kinds = RefreshKind::nothing()
            .with_cpu(CpuRefreshKind::nothing().with_frequency())
            .with_memory(MemoryRefreshKind::nothing().with_ram());
        let system = System::new_with_specifics(kinds).ok();
        let cpus = system.as_ref().map_or(&[][..], System::cpus);
        Ok(Self(Arc::new(Facts {
            hostname: System::host_name().unwrap_or_else(|_| "localhost".to_owned()),
            os: Os {
                family: std::env::consts::OS,
                name: System::name().unwrap_or_default(),
                version: System::os_version().unwrap_or_default(),
                kernel: System::kernel_version().unwrap_or_default(),
                arch: System::cpu_arch(),
            },
            hardware: Hardware {
                cpu_model: cpus.first().map(|cpu| cpu.brand().trim().to_owned()).filter(|brand| !brand.is_empty()),
                cpu_count: cpus.len().max(1),
                memory_bytes: system.as_ref().map_or(0, System::total_memory),
                machine_id,
            },
        })))
    }

    pub(crate) fn facts(&self) -> &Facts {
        &self.0
    }

    /// The OTLP resource; `service` names who wrote a log line.
    pub(crate) fn resource(&self, service: Option<&str>) -> Resource {
        let mut attributes = vec![
            attribute("host.name", self.0.hostname.as_str()),
            attribute("host.id", self.0.hardware.machine_id.as_str()),
            attribute("os.type", self.0.os.family),
        ];
        attributes.extend(service.map(|name| attribute("service.name", name)));
        Resource { attributes, ..Resource::default() }
    }
}
