//! A served fleet, and machines that want to be part of it.

use std::time::Duration;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use steward_base::{Clock, TenantId};
use steward_fleet::Fleet;
use steward_store::ListQuery;
use steward_testkit::{Answer, Parts, Setup, TestApp, TestTenant};

/// A server with one tenant; the fleet's clock stands still until it is moved.
pub(crate) struct World {
    pub(crate) app: TestApp,
    pub(crate) fleet: Fleet,
    pub(crate) clock: Clock,
    pub(crate) tenant: TestTenant,
}

impl World {
    pub(crate) async fn new() -> Self {
        let clock = Clock::manual(Clock::system().now());
        let (mut fleet, of_fleet) = (None, clock.clone());
        let setup = Setup { kinds: steward_fleet::kinds(), ..Setup::default() };
        let app = TestApp::start(setup, |parts| fleet.insert(made(parts, of_fleet)).operations()).await;
        let tenant = app.tenant("acme").await;
        // In its first seconds a server takes no assertions.
        clock.advance(Duration::from_secs(10));
        Self { fleet: fleet.expect("the table was made"), app, clock, tenant }
    }

    /// The same data served by another process, under the same public address.
    pub(crate) async fn restart(self) -> Self {
        let (mut fleet, clock) = (None, self.clock.clone());
        let setup = Setup { kinds: steward_fleet::kinds(), public_url: Some(self.app.url("")), ..Setup::default() };
        let app = self.app.restart(setup, |parts| fleet.insert(made(parts, clock)).operations()).await;
        Self { fleet: fleet.expect("the table was made"), app, clock: self.clock, tenant: self.tenant }
    }

    /// The tenants that the next start will look into.
    pub(crate) async fn watched(&self) -> Vec<TenantId> {
        let control = steward_auth::system(TenantId::OPERATOR, "test");
        let query = ListQuery { kind: "watched_tenant".to_owned(), limit: 500, ..ListQuery::default() };
        let page = self.app.parts.store.list(&control, query).await.expect("is listed");
        page.records.iter().map(|record| record.id.into()).collect()
    }

    pub(crate) async fn create(&self, plural: &str, body: &Value) -> Value {
        self.app.post(&format!("/api/v1/{plural}")).key(&self.tenant.key).json(body).send().await.expect(201).json()
    }

    pub(crate) async fn read(&self, path: &str) -> Value {
        self.app.get(path).key(&self.tenant.key).send().await.expect(200).json()
    }

    /// An enrolment token's secret.
    pub(crate) async fn token(&self, body: &Value) -> String {
        self.create("enrollment-tokens", body).await["secret"].as_str().expect("shown once").to_owned()
    }

    pub(crate) async fn enroll(&self, machine: &Machine, token: &str) -> Answer {
        self.app.post("/agent/v1/enroll").json(&machine.request(token)).send().await
    }

    /// Enrols a machine with a token of its own.
    pub(crate) async fn enrolled(&self, machine_id: &str) -> Device {
        let machine = Machine::new(machine_id);
        let token = self.token(&json!({ "name": "any" })).await;
        let answer = self.enroll(&machine, &token).await.expect(201).json();
        Device {
            id: answer["device_id"].as_str().expect("an id").to_owned(),
            token_url: answer["token_url"].as_str().expect("a URL").to_owned(),
            machine,
        }
    }

    /// What the token endpoint says to an assertion: status and body.
    pub(crate) async fn grant(&self, slug: &str, assertion: &str) -> (u16, Value) {
        let form = [("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"), ("assertion", assertion)];
        let request = client().post(self.app.url(&format!("/t/{slug}/oauth/token")));
        let body = serde_urlencoded::to_string(form).expect("a form");
        let answer = request.header("content-type", "application/x-www-form-urlencoded").body(body).send().await.expect("answers");
        assert_eq!(answer.headers()["cache-control"], "no-store");
        (answer.status().as_u16(), answer.json().await.expect("JSON, refusals too"))
    }

    /// An access token for the device.
    pub(crate) async fn access(&self, device: &Device) -> String {
        let (status, answer) = self.grant("acme", &device.assertion(&device.claims(&self.clock))).await;
        assert_eq!(status, 200, "{answer}");
        answer["access_token"].as_str().expect("a token").to_owned()
    }

    pub(crate) async fn beat(&self, access: &str) -> Answer {
        let body = json!({ "agent_version": "0.1.0", "uptime_seconds": 77, "spool_bytes": 5, "dropped_total": 1 });
        self.app.post("/agent/v1/heartbeat").key(access).json(&body).send().await
    }

    /// Types of the tenant's events so far.
    pub(crate) async fn event_types(&self) -> Vec<String> {
        let events = self.app.parts.store.events(&self.tenant.ctx, 0, 1000).await.expect("reads");
        events.into_iter().map(|event| event.event_type).collect()
    }
}

fn made(parts: &Parts, clock: Clock) -> Fleet {
    Fleet::new(parts.store.clone(), parts.authority.clone(), clock, parts.random.clone())
}

/// A machine with a key.
pub(crate) struct Machine {
    id: String,
    key: Ed25519KeyPair,
}

impl Machine {
    pub(crate) fn new(id: &str) -> Self {
        Self { id: id.to_owned(), key: Ed25519KeyPair::generate().expect("a key") }
    }

    pub(crate) fn request(&self, token: &str) -> Value {
        json!({
            "token": token,
            "public_key": URL_SAFE_NO_PAD.encode(self.key.public_key().as_ref()),
            "hostname": format!("host-{}", self.id),
            "os": { "family": "linux", "name": "Debian GNU/Linux", "version": "12", "kernel": "6.1", "arch": "x86_64" },
            "hardware": { "cpu_model": "test", "cpu_count": 4, "memory_bytes": 8_000_000_000u64, "machine_id": self.id },
            "agent_version": "0.1.0",
        })
    }
}

/// A machine that became a device.
pub(crate) struct Device {
    pub(crate) id: String,
    pub(crate) token_url: String,
    pub(crate) machine: Machine,
}

impl Device {
    pub(crate) fn path(&self) -> String {
        format!("/api/v1/devices/{}", self.id)
    }

    /// The claims of a good assertion, never the same twice.
    pub(crate) fn claims(&self, clock: &Clock) -> Value {
        let now = clock.now().micros() / 1_000_000;
        let jti = format!("{:x}", u64::from_le_bytes(steward_base::Random::system().bytes()));
        json!({ "iss": self.id, "sub": self.id, "aud": self.token_url, "iat": now, "exp": now + 120, "jti": jti })
    }

    pub(crate) fn assertion(&self, claims: &Value) -> String {
        let key = EncodingKey::from_ed_der(self.machine.key.to_pkcs8().expect("encodes").as_ref());
        jsonwebtoken::encode(&Header::new(Algorithm::EdDSA), claims, &key).expect("signs")
    }
}

#[expect(clippy::disallowed_methods, reason = "refusals in OAuth's own form, which the common client does not take")]
fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().expect("valid settings")
}
