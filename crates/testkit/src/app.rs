//! The server under test.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use steward_auth::{Authority, system};
use steward_base::{Clock, Ctx, Random, Secret, TenantId};
use steward_fabric::blob::Blob;
use steward_fabric::cache::{Cache, Freshness};
use steward_identity::{Identity, Member, NewApiKey, Owner, PersonId};
use steward_store::{Backend, Kind, Kinds, ListQuery, MasterKey, Model as _, Options, Store, UnitOfWork};
use steward_web::{Limits, Operation, Operations, Rates, Serving, Settings, Site, Version, events, health, openapi, search, serve, undo};
use steward_work::{Work, Worker};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use url::Url;

use crate::client::Ask;

/// How long jobs get to end with the server.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a server under test is made of; operations are built from it.
#[derive(Clone)]
pub struct Parts {
    /// The store.
    pub store: Store,
    /// Verifies credentials.
    pub authority: Authority,
    /// Tenants, persons, keys.
    pub identity: Identity,
    /// The cache of this process.
    pub cache: Cache,
    /// The machine's clock.
    pub clock: Clock,
    /// The system's randomness.
    pub random: Random,
}

/// How a server under test is to be.
#[derive(Default)]
pub struct Setup {
    /// Kinds besides those of auth and identity.
    pub kinds: Vec<Kind>,
    /// Bounds on requests.
    pub limits: Limits,
    /// How many requests anybody gets.
    pub rates: Rates,
    /// How sockets are served.
    pub serving: Serving,
    /// Networks of proxies to trust.
    pub trusted_proxies: Vec<String>,
    /// What clients are told the address is; the real one unless said.
    pub public_url: Option<String>,
    /// The time; the machine's unless said.
    pub clock: Option<Clock>,
    /// Where objects are; a folder of its own unless said.
    pub blob: Option<Blob>,
    /// Background work is left to the test, tenants being made and deleted too.
    pub resting: bool,
}

/// A tenant with a key that may do everything in it.
#[derive(Clone, Debug)]
pub struct TestTenant {
    /// Its id.
    pub id: TenantId,
    /// Its short name.
    pub slug: String,
    /// The platform acting in it.
    pub ctx: Ctx,
    /// A key with `admin:*`; in the operator tenant also `tenants:*` and `platform:*`.
    pub key: String,
}

/// A served Steward. It stops when it is dropped; [`TestApp::stop`] waits for the end.
pub struct TestApp {
    /// What it is made of.
    pub parts: Parts,
    /// What its operations share.
    pub site: Site,
    /// Its table.
    pub operations: Operations,
    /// Where it listens.
    pub address: SocketAddr,
    client: reqwest::Client,
    stop: Option<oneshot::Sender<()>>,
    served: JoinHandle<()>,
    worker: Option<Worker>,
    folder: Arc<TempDir>,
}

impl TestApp {
    /// Serves the given operations with those of health, events, identity and the document.
    pub async fn start(setup: Setup, operations: impl FnOnce(&Parts) -> Vec<Operation>) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let blob = match setup.blob.clone() {
            Some(blob) => blob,
            None => Blob::directory(&folder.path().join("objects")).await.expect("a fresh folder opens"),
        };
        Self::start_in((Arc::new(folder), blob), setup, operations).await
    }

    /// Ends the server and starts another one over the same data, at another address.
    pub async fn restart(self, setup: Setup, operations: impl FnOnce(&Parts) -> Vec<Operation>) -> Self {
        // What still runs of the old server may hold the folder of objects a moment longer.
        let kept = (Arc::clone(&self.folder), self.site.blob().clone());
        self.stop().await;
        Self::start_in(kept, setup, operations).await
    }

    async fn start_in((folder, blob): (Arc<TempDir>, Blob), setup: Setup, operations: impl FnOnce(&Parts) -> Vec<Operation>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let public_url = setup.public_url.unwrap_or_else(|| format!("http://{address}"));
        let (clock, random) = (setup.clock.unwrap_or_else(Clock::system), Random::system());
        let own = [setup.kinds, steward_auth::kinds(), steward_identity::kinds(), steward_work::kinds()];
        let kinds = own.into_iter().flatten().fold(Kinds::new(), Kinds::with);
        let backend = Backend::Sqlite { dir: folder.path().join("records") };
        let master = MasterKey::new([7; 32]);
        let store = Store::open(Options { backend, master: master.clone() }, kinds, clock.clone(), random.clone())
            .await
            .expect("a fresh store opens");
        let options = steward_fabric::cache::Options { bytes: 16 << 20, freshness: Freshness::only_process(), second: None };
        let cache = Cache::new(options, clock.clone(), random.clone());
        let authority = Authority::new(steward_auth::Options {
            store: store.clone(),
            master,
            cache: cache.clone(),
            clock: clock.clone(),
            random: random.clone(),
            public_url: public_url.clone(),
        });
        let options = steward_identity::Options {
            store: store.clone(),
            authority: authority.clone(),
            clock: clock.clone(),
            random: random.clone(),
            cores: 2,
        };
        let identity = Identity::new(options);
        identity.prepare().await.expect("a fresh installation can be prepared");

        let parts = Parts { store, authority, identity, cache, clock, random };
        let settings = Settings {
            public_url: public_url.parse::<Url>().expect("the public address is a URL"),
            origins: Vec::new(),
            trusted_proxies: setup.trusted_proxies.iter().map(|net| net.parse().expect("a network")).collect(),
            cursor_key: Secret::new([9; 32]),
            version: Version { version: "0.0.0-test".to_owned(), commit: None },
            limits: setup.limits,
            rates: setup.rates,
            blob,
            cache: parts.cache.clone(),
        };
        let site = Site::new(settings, parts.authority.clone(), parts.clock.clone(), parts.random.clone());
        let checked = parts.store.clone();
        site.health().add("store", health::Need::Always, move || {
            let store = checked.clone();
            async move { store.health().await }
        });
        let operations = Operations::new()
            .with(health::operations())
            .with([openapi::operation_for_document()])
            .with(events::operations(&parts.store))
            .with(search::operations(&parts.store))
            .with(undo::operations(&parts.store))
            .with(steward_identity::operations(&parts.identity))
            .with(operations(&parts));
        let router = operations.router(&site);
        let (stop, stopped) = oneshot::channel::<()>();
        let (serving, own) = (setup.serving, site.clone());
        let served = tokio::spawn(async move {
            let shutdown = async move { drop(stopped.await) };
            serve(listener, router, &own, serving, shutdown).await;
        });
        let work =
            parts.identity.sagas(Vec::new()).into_iter().fold(Work::new(parts.store.clone(), steward_work::Options::default()), Work::saga);
        let worker =
            if setup.resting { None } else { Some(work.start().await.expect("a fresh installation has nothing that cannot be worked on")) };
        Self { parts, site, operations, address, client: client(), stop: Some(stop), served, worker, folder }
    }

    /// Its address with `path`.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Starts a request.
    pub fn ask(&self, method: &str, path: &str) -> Ask {
        Ask::new(self.client.request(method.parse().expect("a method"), self.url(path)))
    }

    /// `GET`.
    pub fn get(&self, path: &str) -> Ask {
        self.ask("GET", path)
    }

    /// `POST`.
    pub fn post(&self, path: &str) -> Ask {
        self.ask("POST", path)
    }

    /// `PATCH`.
    pub fn patch(&self, path: &str) -> Ask {
        self.ask("PATCH", path)
    }

    /// `DELETE`.
    pub fn delete(&self, path: &str) -> Ask {
        self.ask("DELETE", path)
    }

    /// Makes an active tenant and a key for all of it.
    pub async fn tenant(&self, slug: &str) -> TestTenant {
        let cause = system(TenantId::OPERATOR, "test");
        let id = self.parts.identity.create_tenant(&cause, slug, slug).await.expect("a tenant can be made");
        self.parts.identity.activate(&cause, id).await.expect("a tenant can be opened");
        let key = self.key(id, &["admin:*"]).await;
        TestTenant { id, slug: slug.to_owned(), ctx: system(id, "test"), key }
    }

    /// The tenant that operates the installation.
    pub async fn operator(&self) -> TestTenant {
        let id = TenantId::OPERATOR;
        let key = self.key(id, &["admin:*", "tenants:*", "platform:*"]).await;
        TestTenant { id, slug: "operator".to_owned(), ctx: system(id, "test"), key }
    }

    /// Makes a tenant with an owner who signs in with this address and pass phrase.
    pub async fn owner(&self, slug: &str, email: &str, password: &str) {
        let owner = Owner {
            email: email.to_owned(),
            name: "Owner".to_owned(),
            password: Secret::new(password.to_owned()),
            tenant_slug: slug.to_owned(),
            tenant_name: slug.to_owned(),
        };
        self.parts.identity.make_owner(&system(TenantId::OPERATOR, "test"), owner).await.expect("an owner can be made");
    }

    /// Makes somebody a member of a tenant; its id.
    pub async fn member(&self, tenant: TenantId) -> String {
        let store = &self.parts.store;
        let member = Member { person_id: PersonId::new(store.clock(), store.random()), roles: vec!["read-only".to_owned()] };
        let id = store.mint_id();
        store.commit(&system(tenant, "test"), UnitOfWork::new().create(id, &member)).await.expect("a member can be made");
        id.wire(Member::PREFIX)
    }

    /// Gives every member of a tenant these roles and no others.
    pub async fn set_roles(&self, tenant: TenantId, roles: &[&str]) {
        let (ctx, store) = (system(tenant, "test"), &self.parts.store);
        let query = ListQuery { kind: Member::KIND.to_owned(), limit: 500, ..ListQuery::default() };
        for member in store.list(&ctx, query).await.expect("members are listed").records {
            let change = |member: &mut Member| {
                member.roles = roles.iter().map(|&role| role.to_owned()).collect();
                Ok(())
            };
            store.update::<Member>(&ctx, member.id, change).await.expect("a member can be changed");
        }
    }

    /// Makes an API key with these permissions.
    pub async fn key(&self, tenant: TenantId, permissions: &[&str]) -> String {
        self.mint(tenant, permissions, None).await
    }

    /// Makes an API key with these permissions where the filter `scope` passes.
    pub async fn scoped_key(&self, tenant: TenantId, permissions: &[&str], scope: &str) -> String {
        self.mint(tenant, permissions, Some(scope.to_owned())).await
    }

    async fn mint(&self, tenant: TenantId, permissions: &[&str], scope: Option<String>) -> String {
        let permissions = permissions.iter().map(|&text| text.to_owned()).collect();
        let new = NewApiKey { name: "test".to_owned(), permissions, scope, expires_at: None };
        let (_, secret) = self.parts.identity.create_api_key(&system(tenant, "test"), new).await.expect("a key can be made");
        secret.expose().clone()
    }

    /// Drains and waits for the end.
    pub async fn stop(mut self) {
        if let Some(stop) = self.stop.take() {
            // The receiver is gone only when the server has ended already.
            let _ = stop.send(());
        }
        (&mut self.served).await.expect("the server ends without a panic");
        if let Some(worker) = &self.worker {
            worker.stop(PATIENCE).await;
        }
        self.parts.store.close().await;
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the one client of the tests")]
fn client() -> reqwest::Client {
    let patience = Duration::from_secs(60);
    reqwest::Client::builder().no_proxy().timeout(patience).build().expect("the client's settings are valid")
}
