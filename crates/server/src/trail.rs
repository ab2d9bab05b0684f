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
    signer: HeadSigner,
    own: HeadLog,
    copy: Option<HeadLog>,
    /// The last head that was signed of each tenant.
    signed: Mutex<HashMap<TenantId, Position>>,
    /// Tenants that moved and are not signed yet.
    pending: Mutex<BTreeSet<TenantId>>,
}

impl Trail {
    /// Opens the folders and the key. What moved before the last stop and was not signed then is signed first.
    pub(crate) async fn open(config: &Config, app: &App) -> Result<Self> {
        let own = folder(&config.data_dir);
        let signer = HeadSigner::load_or_create(&own, app.master(), app.random())?;
        let copy = if config.audit_copy_dir.is_empty() { None } else { Some(HeadLog::open(&config.audit_copy_dir, &signer)?) };
        let known = Heads::read(&own)?;
        let last = |tenant| known.of(tenant).last().map(|head| (tenant, head.head.clone()));
        let signed = known.tenants().filter_map(last).collect();
        let marked = app.store().marked().await?.into_iter().map(|(tenant, _)| tenant);
        let pending = marked.chain([TenantId::OPERATOR]).collect();
        let own = HeadLog::open(own, &signer)?;
        Ok(Self(Arc::new(Inner { app: app.clone(), signer, own, copy, signed: Mutex::new(signed), pending: Mutex::new(pending) })))
    }

    /// Signs now and every so often, until `stop`.
    pub(crate) async fn run(self, every: Duration, stop: CancellationToken) {
        loop {
            self.sign().await;
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(every) => {}
            }
        }
    }

    /// Signs the heads that moved since the last time. What fails is logged and tried again the next time.
    pub(crate) async fn sign(&self) {
        if let Err(error) = self.sign_moved().await {
            tracing::error!(error.code = error.code(), error.message = %error, error.causes = error.causes(), "chain heads could not be signed");
        }
    }

    async fn sign_moved(&self) -> Result<()> {
        let inner = &self.0;
        inner.pending.lock().extend(inner.app.store().moved());
        let tenants: Vec<TenantId> = inner.pending.lock().iter().copied().collect();
        let mut heads: Vec<SignedHead> = Vec::new();
        for tenant in &tenants {
            let head = match inner.app.store().chain_head(&system(*tenant, "audit")).await {
                Ok(head) => head,
                // Erased meanwhile.
                Err(error) if error.code() == "not_found" => continue,
                Err(error) => return Err(error),
            };
            if head.position > 0 && inner.signed.lock().get(tenant) != Some(&head) {
                heads.push(inner.signer.sign(*tenant, head, inner.app.clock().now()));
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
        inner.signed.lock().extend(heads.into_iter().map(|head| (head.tenant, head.head)));
        let mut pending = inner.pending.lock();
        tenants.iter().for_each(|tenant| {
            pending.remove(tenant);
        });
        Ok(())
    }
}
