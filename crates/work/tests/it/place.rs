//! An installation as backups see it: records, objects and telemetry in a folder; and what tests of backups begin with.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::json;
use steward_auth::system;
use steward_base::{Clock, Ctx, Error, Random, TenantId};
use steward_fabric::Class;
use steward_fabric::blob::{Blob, Expect, Key, whole};
use steward_store::{Store, UnitOfWork};
use steward_telemetry::{LogQuery, Telemetry};
use steward_work::backup::{self, Installation, Manifest, Subject};
use tempfile::TempDir;

use crate::support::{Trace, open};

/// Where tests put objects.
pub(crate) const UPLOADS: Class = Class::new("uploads");

pub(crate) struct Place {
    pub(crate) store: Store,
    pub(crate) objects: Blob,
    pub(crate) telemetry: Telemetry,
    /// Its own, where it has one.
    pub(crate) _folder: Option<TempDir>,
    pub(crate) path: PathBuf,
}

impl Place {
    /// One that has nothing.
    pub(crate) async fn new() -> Self {
        Self::at(Clock::system()).await
    }

    /// With a clock of the test's own.
    pub(crate) async fn at(clock: Clock) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let place = Self::open(folder.path(), clock).await;
        Self { _folder: Some(folder), ..place }
    }

    /// The one in a folder.
    pub(crate) async fn open(path: &Path, clock: Clock) -> Self {
        let store = open(&path.join("records"), clock).await;
        let objects = Blob::directory(&path.join("blobs")).await.expect("opens");
        let options = steward_telemetry::Options::new(path.join("telemetry"));
        let telemetry = Telemetry::open(options, Clock::system(), Random::system()).await.expect("opens");
        Self { store, objects, telemetry, _folder: None, path: path.to_owned() }
    }

    /// The same folder after the store let go of it.
    pub(crate) async fn reopened(self) -> Self {
        self.store.close().await;
        let store = open(&self.path.join("records"), self.store.clock().clone()).await;
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

    /// The platform in the operator's tenant, which has to be there where jobs of it run.
    pub(crate) async fn operator(&self) -> Ctx {
        self.store.provision(TenantId::OPERATOR).await.expect("provisions");
        system(TenantId::OPERATOR, "test")
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

/// An installation of one tenant, and a folder for backups of it.
pub(crate) struct Backed {
    pub(crate) place: Place,
    pub(crate) folder: TempDir,
    pub(crate) backups: Blob,
    pub(crate) ctx: Ctx,
}

impl Backed {
    pub(crate) async fn new() -> Self {
        let (place, folder) = (Place::new().await, tempfile::tempdir().expect("a folder"));
        let (backups, ctx) = (blob(&folder).await, place.tenant().await);
        Self { place, folder, backups, ctx }
    }
}

/// A backup of control and one tenant.
pub(crate) async fn create(place: &Place, backups: &Blob, tenant: &Ctx) -> Manifest {
    backup::create(place.all(), backups, subjects(std::slice::from_ref(tenant))).await.expect("is made")
}

/// The copies of a class that a folder of backups has.
pub(crate) fn copies(backups: &TempDir, class: &str) -> BTreeSet<PathBuf> {
    let folder = std::fs::read_dir(backups.path().join("platform").join(class));
    folder.into_iter().flatten().map(|entry| entry.expect("an entry").path()).collect()
}

/// What reading a backup again and reading it back elsewhere fail with; there is nothing of the tenant there then.
pub(crate) async fn refused(backups: &Blob, made: &Manifest, tenant: TenantId) -> [Error; 2] {
    let other = Place::new().await;
    let verified = backup::verify(backups, made).await.map(drop).expect_err("is found");
    let restored = backup::restore_tenant(other.all(), backups, made, tenant).await.map(drop).expect_err("is found");
    assert_eq!(other.store.head(&system(tenant, "test")).await.expect_err("is not there").code(), "not_found");
    assert!(other.objects(tenant).await.is_empty(), "what came before it is taken away again");
    let rows = other.telemetry.logs(tenant, LogQuery { limit: 1, ..LogQuery::default() }).await.expect("answers").rows;
    assert!(rows.is_empty(), "what came before it is taken away again");
    other.store.close().await;
    [verified, restored]
}

pub(crate) async fn blob(folder: &TempDir) -> Blob {
    Blob::directory(folder.path()).await.expect("opens")
}

pub(crate) fn subjects(tenants: &[Ctx]) -> Vec<Subject> {
    let ids = tenants.iter().map(Ctx::tenant);
    std::iter::once(TenantId::OPERATOR).chain(ids).map(|tenant| Subject { tenant, about: json!({ "slug": tenant.to_string() }) }).collect()
}

pub(crate) async fn write(store: &Store, ctx: &Ctx, number: i64) {
    store.commit(ctx, UnitOfWork::new().create(store.mint_id(), &Trace { number })).await.expect("commits");
}

/// What happened in a tenant up to a position.
pub(crate) async fn events(store: &Store, ctx: &Ctx, last: i64) -> BTreeSet<(i64, String, String)> {
    let mut found = BTreeSet::new();
    let mut after = 0;
    loop {
        let events = store.events(ctx, after, 1_000).await.expect("events");
        let Some(end) = events.last() else { return found };
        after = end.position;
        let kept = events.into_iter().filter(|event| event.position <= last);
        found.extend(kept.map(|event| (event.position, event.id.clone(), event.hash.clone())));
    }
}
