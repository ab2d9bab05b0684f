//! A served Steward in this process, so that the coverage of what it runs is seen.

use std::sync::OnceLock;

use steward_base::{Clock, Random};
use steward_observe::Observe;
use steward_telemetry::{Options, Telemetry};
use steward_testkit::{Setup, TestApp, TestTenant};
use tokio::runtime::Runtime;

/// The installation and a tenant in it.
pub struct Served {
    runtime: Runtime,
    app: TestApp,
    tenant: TestTenant,
    client: reqwest::Client,
}

/// The one installation of this process.
pub fn served() -> &'static Served {
    static SERVED: OnceLock<Served> = OnceLock::new();
    SERVED.get_or_init(Served::start)
}

impl Served {
    fn start() -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let (app, tenant) = runtime.block_on(async {
            let folder = tempfile::tempdir().expect("a folder").keep();
            let telemetry = Telemetry::open(Options::new(folder), Clock::system(), Random::system()).await.expect("opens");
            let app = TestApp::start(Setup::default(), move |parts| Observe::new(parts.store.clone(), telemetry).operations()).await;
            let tenant = app.tenant("acme").await;
            (app, tenant)
        });
        Self { runtime, app, tenant, client: reqwest::Client::new() }
    }

    /// Sends a body. Whatever it is, the server answers, and not with a fault of its own.
    pub fn post(&self, path: &str, headers: &[(&str, &str)], body: &[u8]) {
        let mut request = self.client.post(self.app.url(path)).bearer_auth(&self.tenant.key).body(body.to_vec());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let status = self.runtime.block_on(async { request.send().await.expect("answers").status() });
        assert!(status != 500, "{path}: {status}");
    }
}
