//! A sample company to look around in: made by one operation, taken away by another.
//!
//! What was made is written down in a record of its own, in the same commit, so that removal takes exactly that.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use steward_base::{Ctx, Error, ErrorKind, RecordId, Result};
use steward_store::{Expect, ListQuery, Model, Record, UnitOfWork};

use crate::Fleet;
use crate::models::{Device, DeviceStatus, Hardware, Organization, Os, Project, Service, ServiceHealth, ServiceStatus};

/// What the sample company consists of.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Sample {
    /// Its records, in the order in which they can be deleted.
    #[schemars(length(max = 500))]
    pub(crate) records: Vec<SampleRecord>,
}

/// One record of the sample company.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct SampleRecord {
    /// Its kind.
    pub(crate) kind: String,
    /// Its id, with the kind's prefix.
    pub(crate) id: String,
}

impl Model for Sample {
    const KIND: &'static str = "sample";
    const PREFIX: &'static str = "smp";
}

const ORGANIZATIONS: [(&str, &str); 3] = [("Northwind Retail", "northwind"), ("Aurora Bank", "aurora"), ("Meridian Health", "meridian")];

/// A service: name, port, state and health.
type SampleService = (&'static str, u16, ServiceStatus, ServiceHealth);

/// Project, its organization's place above, and its services.
const PROJECTS: [(&str, usize, &[SampleService]); 4] = [
    (
        "Web shop",
        0,
        &[
            ("user", 3001, ServiceStatus::Running, ServiceHealth::Healthy),
            ("payment", 3002, ServiceStatus::Running, ServiceHealth::Warning),
            ("inventory", 3003, ServiceStatus::Stopped, ServiceHealth::Critical),
        ],
    ),
    (
        "Core banking",
        1,
        &[
            ("loan", 3004, ServiceStatus::Running, ServiceHealth::Healthy),
            ("authentication", 3005, ServiceStatus::Running, ServiceHealth::Healthy),
        ],
    ),
    (
        "Patient portal",
        2,
        &[
            ("appointments", 3006, ServiceStatus::Running, ServiceHealth::Healthy),
            ("records", 3007, ServiceStatus::Running, ServiceHealth::Warning),
        ],
    ),
    (
        "Learning platform",
        0,
        &[
            ("courses", 3008, ServiceStatus::Running, ServiceHealth::Healthy),
            ("notification", 3009, ServiceStatus::Stopped, ServiceHealth::Unknown),
        ],
    ),
];

/// Host name, its organization's place above, and its tags.
const DEVICES: [(&str, usize, &[&str]); 6] = [
    ("nw-web-01", 0, &["prod", "web"]),
    ("nw-db-01", 0, &["prod", "database"]),
    ("aurora-core-01", 1, &["prod"]),
    ("aurora-lab-01", 1, &["test"]),
    ("meridian-app-01", 2, &["prod", "web"]),
    ("meridian-backup-01", 2, &["backup"]),
];

/// A unit of work that remembers what it makes.
struct Making<'a> {
    fleet: &'a Fleet,
    unit: UnitOfWork,
    made: Vec<SampleRecord>,
}

impl Making<'_> {
    fn create<M: Model>(&mut self, model: &M) -> RecordId {
        let id = self.fleet.0.store.mint_id();
        self.unit = std::mem::take(&mut self.unit).create(id, model);
        self.made.push(SampleRecord { kind: M::KIND.to_owned(), id: id.wire(M::PREFIX) });
        id
    }
}

impl Fleet {
    /// Makes the sample company in one commit. Fails with `sample_exists`.
    pub async fn load_sample(&self, ctx: &Ctx) -> Result<Record> {
        if self.sample(ctx).await?.is_some() {
            let detail = "The sample company is there already. Remove it first to get a fresh one.";
            return Err(Error::new(ErrorKind::Conflict, "sample_exists", detail));
        }
        let mut making = Making { fleet: self, unit: UnitOfWork::new(), made: Vec::new() };
        let organizations = ORGANIZATIONS.map(|(name, slug)| making.create(&organization(name, slug)));
        for (name, owner, services) in PROJECTS {
            let project = making.create(&project(name, organizations[owner]));
            for (name, port, status, health) in services {
                making.create(&service(project, name, *port, *status, *health));
            }
        }
        for (hostname, owner, tags) in DEVICES {
            let device = self.sample_device(hostname, organizations[owner], tags);
            making.create(&device);
        }
        // Whatever refers to another goes first.
        making.made.reverse();
        let sample = Sample { records: making.made };
        let unit = making.unit.create(self.0.store.mint_id(), &sample);
        let committed = self.0.store.commit(ctx, unit).await?;
        committed.records.into_iter().next_back().ok_or_else(|| Error::internal("a commit answers with its records"))
    }

    /// Takes the sample company away in one commit; what was deleted of it by hand is skipped. Fails with `not_found` when there is none.
    pub async fn remove_sample(&self, ctx: &Ctx) -> Result<()> {
        let record = self.sample(ctx).await?.ok_or_else(|| Error::not_found("sample company"))?;
        let sample: Sample = record.decode()?;
        let mut unit = UnitOfWork::new().delete(Sample::KIND, record.id, Expect::Version(record.version));
        for made in &sample.records {
            let kind = self.kind(&made.kind);
            if let Some(id) = RecordId::parse(kind.prefix(), &made.id) {
                unit = unit.delete(made.kind.clone(), id, Expect::Any);
            }
        }
        self.0.store.commit(ctx, unit).await?;
        Ok(())
    }

    async fn sample(&self, ctx: &Ctx) -> Result<Option<Record>> {
        let query = ListQuery { kind: Sample::KIND.to_owned(), limit: 1, ..ListQuery::default() };
        Ok(self.0.store.list(ctx, query).await?.records.into_iter().next())
    }

    fn sample_device(&self, hostname: &str, organization: RecordId, tags: &[&str]) -> Device {
        Device {
            name: hostname.to_owned(),
            organization_id: Some(organization.into()),
            tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
            hostname: hostname.to_owned(),
            os: Os {
                family: "linux".to_owned(),
                name: "Debian GNU/Linux".to_owned(),
                version: "12".to_owned(),
                kernel: "6.1".to_owned(),
                arch: "x86_64".to_owned(),
            },
            hardware: Hardware { cpu_model: None, cpu_count: 4, memory_bytes: 8 << 30, machine_id: format!("sample-{hostname}") },
            agent_version: "sample".to_owned(),
            status: DeviceStatus::Offline,
            status_reason: "A sample device: no agent runs on it.".to_owned(),
            last_seen: None,
            // Nobody has the private half of these bytes.
            public_key: URL_SAFE_NO_PAD.encode(self.0.random.bytes::<32>()),
        }
    }
}

fn organization(name: &str, slug: &str) -> Organization {
    Organization {
        name: name.to_owned(),
        slug: Some(format!("sample-{slug}")),
        website: None,
        contact_name: None,
        contact_email: None,
        notes: Some("Part of the sample company.".to_owned()),
    }
}

fn project(name: &str, organization: RecordId) -> Project {
    Project {
        name: name.to_owned(),
        path: None,
        tests_dir_path: "tests".to_owned(),
        description: Some("Part of the sample company.".to_owned()),
        organization_id: Some(organization.into()),
    }
}

fn service(project: RecordId, name: &str, port: u16, status: ServiceStatus, health: ServiceHealth) -> Service {
    Service {
        project_id: project.into(),
        name: name.to_owned(),
        port: Some(port),
        url: None,
        status,
        health,
        uptime_seconds: None,
        version: Some("1.0.0".to_owned()),
        last_deployment_at: None,
        container_name: Some(format!("sample-{name}")),
        description: None,
        device_id: None,
    }
}
