//! A served installation with a tenant and a device.

use std::time::Duration;

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use steward_base::RecordId;
use steward_observe::Observe;
use steward_store::{Expect, Kind, Model, UnitOfWork};
use steward_telemetry::{Options, Telemetry};
use steward_testkit::{Ask, Setup, TestApp, TestTenant};
use steward_web::Operation;
use tempfile::TempDir;

/// As much of a device as telemetry looks at.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Device {
    /// Whose it is.
    pub(crate) organization_id: Option<String>,
    /// Free labels.
    #[serde(default)]
    pub(crate) tags: Vec<String>,
}

impl Model for Device {
    const KIND: &'static str = "device";
    const PREFIX: &'static str = "dev";
}

pub(crate) struct World {
    pub(crate) app: TestApp,
    pub(crate) telemetry: Telemetry,
    pub(crate) tenant: TestTenant,
    _folder: TempDir,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(|_| true).await
    }

    /// Serves the operations that `keep` wants.
    pub(crate) async fn with(keep: impl Fn(&Operation) -> bool) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (clock, random) = (steward_base::Clock::system(), steward_base::Random::system());
        let telemetry = Telemetry::open(Options::new(folder.path()), clock, random).await.expect("a fresh engine opens");
        let engine = telemetry.clone();
        let setup = Setup { kinds: vec![Kind::of::<Device>()], ..Setup::default() };
        let app = TestApp::start(setup, move |parts| {
            Observe::new(parts.store.clone(), engine).operations().into_iter().filter(|operation| keep(operation)).collect()
        })
        .await;
        let tenant = app.tenant("acme").await;
        Self { app, telemetry, tenant, _folder: folder }
    }

    /// A device and its token.
    pub(crate) async fn device(&self, organization: Option<&str>) -> (RecordId, String) {
        let id = self.app.parts.store.mint_id();
        let body = serde_json::to_value(Device { organization_id: organization.map(str::to_owned), tags: Vec::new() }).expect("an object");
        let unit = UnitOfWork::new().put(Device::KIND, id, body.as_object().expect("an object").clone(), Expect::Absent);
        self.app.parts.store.commit(&self.tenant.ctx, unit).await.expect("stored");
        let token = self.app.parts.authority.device_token(self.tenant.id, id).await.expect("a token");
        (id, token.token.expose().clone())
    }

    pub(crate) fn post(&self, path: &str) -> Ask {
        self.app.post(path).key(&self.tenant.key)
    }

    /// The rows that a query returns.
    pub(crate) async fn logs(&self, query: &str) -> Vec<serde_json::Value> {
        let answer = self.app.get(&format!("/api/v1/logs{query}")).key(&self.tenant.key).send().await.expect(200).json();
        answer["data"].as_array().expect("rows").clone()
    }

    /// Sends as it is: the answer may be no problem but a protocol's own form.
    pub(crate) async fn raw(&self, path: &str, key: &str, headers: &[(&str, &str)], body: Vec<u8>) -> (u16, String, Vec<u8>) {
        let mut request = http_client().post(self.app.url(path)).bearer_auth(key).body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await.expect("the server answers");
        let media_type = response.headers().get("content-type").map(|value| value.to_str().expect("text").to_owned()).unwrap_or_default();
        (response.status().as_u16(), media_type, response.bytes().await.expect("complete").to_vec())
    }
}

#[expect(clippy::disallowed_methods, reason = "this client sends what the test kit's would refuse to read")]
fn http_client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30)).build().expect("valid settings")
}

pub(crate) fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

pub(crate) fn text(value: &str) -> Value {
    Value::StringValue(value.to_owned())
}
