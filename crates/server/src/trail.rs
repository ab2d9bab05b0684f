//! The audit trail outside the database: heads of event chains are signed from time to time and written to `DATA/audit` and maybe to a second
//! folder, so that whoever changes the database later is found out.

pub(crate) mod verify;

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use steward_auth::system;
use steward_base::{Error, Result, TenantId};
use steward_store::{HeadLog, HeadSigner, Heads, Position, SignedHead};
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::config::Config;

/// Where heads are kept.
pub(crate) fn folder(data_dir: &Path) -> PathBuf {
    data_dir.join("audit")
}

/// Signs what moved. Clones are one.
#[derive(Clone)]
pub(crate) struct Trail(Arc<Inner>);

struct Inner {
    app: App,
    folder: PathBuf,
    signer: HeadSigner,
    own: HeadLog,
    copy: Option<HeadLog>,
    /// The last head that was signed of each tenant.
    signed: Mutex<HashMap<TenantId, Position>>,
    /// Tenants that may have moved before this start.
    earlier: Mutex<BTreeSet<TenantId>>,
}

impl Trail {
    /// Opens the folders and the key. What moved before the last stop or crash and was not signed then is signed first.
    pub(crate) async fn open(config: &Config, app: &App) -> Result<Self> {
        let folder = folder(&config.data_dir);
        let signer = HeadSigner::load_or_create(&folder, app.master(), app.random())?;
        let copy = if config.audit_copy_dir.is_empty() { None } else { Some(HeadLog::open(&config.audit_copy_dir, &signer)?) };
        let own = HeadLog::open(&folder, &signer)?;
        let marked = app.store().marked().await?.into_iter().map(|(tenant, _)| tenant);
        let earlier = Mutex::new(marked.chain([TenantId::OPERATOR]).collect());
        Ok(Self(Arc::new(Inner { app: app.clone(), folder, signer, own, copy, signed: Mutex::default(), earlier })))
    }

    /// Signs now and every so often, until `stop`.
    pub(crate) async fn run(self, every: Duration, stop: CancellationToken) {
        // Years of heads take a while to read, which delays no start.
        if let Err(error) = self.recall().await {
            tracing::warn!(error.code = error.code(), error.message = %error, "signed chain heads could not be read: all are signed again");
        }
        loop {
            self.sign().await;
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(every) => {}
            }
        }
    }

    /// Learns what is signed already.
    async fn recall(&self) -> Result<()> {
        let folder = self.0.folder.clone();
        let known = tokio::task::spawn_blocking(move || Heads::read(&folder)).await.map_err(Error::internal)??;
        let last = |tenant| known.of(tenant).last().map(|head| (tenant, head.head.clone()));
        self.0.signed.lock().extend(known.tenants().filter_map(last));
        Ok(())
    }

    /// Signs the heads that moved since the last time. What fails is logged and tried again the next time.
    pub(crate) async fn sign(&self) {
        if let Err(error) = self.sign_moved().await {
            tracing::error!(error.code = error.code(), error.message = %error, error.causes = error.causes(), "chain heads could not be signed");
        }
    }

    async fn sign_moved(&self) -> Result<()> {
        let (inner, store) = (&self.0, self.0.app.store());
        let earlier = inner.earlier.lock().clone();
        let tenants: BTreeSet<TenantId> = earlier.into_iter().chain(store.moved()).collect();
        let mut heads: Vec<SignedHead> = Vec::new();
        let mut failed = None;
        for tenant in tenants {
            match store.chain_head(&system(tenant, "audit")).await {
                Ok(head) if head.position == 0 || inner.signed.lock().get(&tenant) == Some(&head) => {
                    self.done(tenant, Some(head.position));
                }
                Ok(head) => heads.push(inner.signer.sign(tenant, head, inner.app.clock().now())),
                // Erased meanwhile.
                Err(error) if error.code() == "not_found" => self.done(tenant, None),
                // One whose database is away keeps nobody else's head from being signed.
                Err(error) => failed = Some(error),
            }
        }
        if !heads.is_empty() {
            let (trail, written) = (self.clone(), heads.clone());
            let append = move || -> Result<()> {
                trail.0.own.append(&written)?;
                trail.0.copy.as_ref().map_or(Ok(()), |copy| copy.append(&written))
            };
            tokio::task::spawn_blocking(append).await.map_err(Error::internal)??;
        }
        for SignedHead { tenant, head, .. } in heads {
            self.done(tenant, Some(head.position));
            inner.signed.lock().insert(tenant, head);
        }
        failed.map_or(Ok(()), Err)
    }

    /// Nothing of this tenant waits to be signed up to a position; without one, it is gone.
    fn done(&self, tenant: TenantId, position: Option<i64>) {
        self.0.earlier.lock().remove(&tenant);
        self.0.app.store().signed(tenant, position);
    }
}
