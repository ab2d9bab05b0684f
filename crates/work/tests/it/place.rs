//! An installation as backups see it: records, objects and telemetry in a folder.

use steward_auth::system;
use steward_base::{Clock, Ctx, Random, TenantId};
use steward_fabric::Class;
use steward_fabric::blob::{Blob, Expect, Key, whole};
use steward_store::Store;
use steward_telemetry::Telemetry;
use steward_work::backup::Installation;
use tempfile::TempDir;

use crate::support::open;

/// Where tests put objects.
pub(crate) const UPLOADS: Class = Class::new("uploads");

pub(crate) struct Place {
    pub(crate) store: Store,
    pub(crate) objects: Blob,
    pub(crate) telemetry: Telemetry,
    pub(crate) folder: TempDir,
}

impl Place {
    /// One that has nothing.
    pub(crate) async fn new() -> Self {
        Self::at(Clock::system()).await
    }

    /// With a clock of the test's own.
    pub(crate) async fn at(clock: Clock) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let store = open(&folder.path().join("records"), clock).await;
        let objects = Blob::directory(&folder.path().join("blobs")).await.expect("opens");
        let options = steward_telemetry::Options::new(folder.path().join("telemetry"));
        let telemetry = Telemetry::open(options, Clock::system(), Random::system()).await.expect("opens");
        Self { store, objects, telemetry, folder }
    }

    /// The same folder after the store let go of it.
    pub(crate) async fn reopened(self) -> Self {
        self.store.close().await;
        let store = open(&self.folder.path().join("records"), self.store.clock().clone()).await;
        Self { store, ..self }
    }

    pub(crate) fn all(&self) -> Installation<'_> {
        Installation { store: &self.store, objects: &self.objects, telemetry: &self.telemetry }
    }

    pub(crate) async fn tenant(&self) -> Ctx {
        let tenant = TenantId::new(&Clock::system(), &Random::system());
        self.store.provision(tenant).await.expect("provisions");
        system(tenant, "test")
    }

    pub(crate) async fn put(&self, tenant: TenantId, name: &str, text: &str) {
        let key = Key::new(tenant, UPLOADS, name).expect("a key");
        self.objects.put(&key, whole(text.to_owned()), Expect::default()).await.expect("is put");
    }

    pub(crate) async fn delete(&self, tenant: TenantId, name: &str) {
        self.objects.delete(&Key::new(tenant, UPLOADS, name).expect("a key")).await.expect("is gone");
    }

    /// Name and text of every object of a tenant.
    pub(crate) async fn objects(&self, tenant: TenantId) -> Vec<(String, String)> {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = self.objects.list(tenant.into(), UPLOADS, after.as_deref(), 1_000).await.expect("lists");
            for meta in page.objects {
                let object = self.objects.get(&meta.key, None).await.expect("reads").expect("is there");
                let bytes = object.bytes(1 << 20).await.expect("reads");
                found.push((meta.key.name().to_owned(), String::from_utf8(bytes.to_vec()).expect("is text")));
            }
            match page.next {
                Some(next) => after = Some(next),
                None => return found,
            }
        }
    }
}
