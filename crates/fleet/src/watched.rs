//! Which tenants have devices that are not offline. Control knows it before such a device is stored, so that a start looks for silent devices in
//! those tenants and opens no other.

use std::collections::HashSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use steward_auth::system;
use steward_base::filter::{Expr, Literal, Op};
use steward_base::{Ctx, Result, TenantId};
use steward_store::{Expect, ListQuery, Model, UnitOfWork};
use tokio::sync::RwLock;

use crate::Fleet;
use crate::models::Device;

/// A tenant that has, or may have, a device that is not offline. In control, under the tenant's own id.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct WatchedTenant {
    /// Which.
    pub(crate) tenant_id: TenantId,
}

impl Model for WatchedTenant {
    const KIND: &'static str = "watched_tenant";
    const PREFIX: &'static str = "wat";
}

/// The tenants that control names. Whatever makes a device be online holds it for reading, and what takes a tenant off it for writing.
#[derive(Default)]
pub(crate) struct Watched(RwLock<HashSet<TenantId>>);

impl Fleet {
    /// Does `work`, after which a device of the tenant is online: control names the tenant before and until it is done.
    pub(crate) async fn while_watched<T>(&self, tenant: TenantId, work: impl Future<Output = Result<T>>) -> Result<T> {
        let mut watched = self.0.watched.0.read().await;
        if !watched.contains(&tenant) {
            drop(watched);
            let mut all = self.0.watched.0.write().await;
            if !all.contains(&tenant) {
                let unit = UnitOfWork::new().put_model(tenant.record(), &WatchedTenant { tenant_id: tenant }, Expect::Any);
                self.0.store.commit(&control(), unit).await?;
                all.insert(tenant);
            }
            watched = all.downgrade();
        }
        let done = work.await;
        drop(watched);
        done
    }

    /// The tenants that control named when the server ended.
    pub(crate) async fn watched_tenants(&self) -> Result<Vec<TenantId>> {
        let mut query = ListQuery { kind: WatchedTenant::KIND.to_owned(), limit: 500, ..ListQuery::default() };
        let mut tenants = Vec::new();
        loop {
            let page = self.0.store.list(&control(), query.clone()).await?;
            tenants.extend(page.records.iter().map(|record| TenantId::from(record.id)));
            match page.next {
                Some(next) => query.after = Some(next),
                None => break,
            }
        }
        self.0.watched.0.write().await.extend(&tenants);
        Ok(tenants)
    }

    /// Begins to watch the tenant's devices that are not offline.
    pub(crate) async fn expect_devices(&self, tenant: TenantId) -> Result<()> {
        let mut query = not_offline(500);
        loop {
            let page = self.0.store.list(&system(tenant, "presence"), query.clone()).await?;
            for record in &page.records {
                self.0.presence.expect(tenant, record.id, record.decode::<Device>()?.status);
            }
            match page.next {
                Some(next) => query.after = Some(next),
                None => return Ok(()),
            }
        }
    }

    /// Takes the tenant off when none of its devices is left to watch.
    pub(crate) async fn settle(&self, tenant: TenantId) -> Result<()> {
        let mut watched = self.0.watched.0.write().await;
        if self.0.presence.watches(tenant) || !self.0.store.list(&system(tenant, "presence"), not_offline(1)).await?.records.is_empty() {
            return Ok(());
        }
        self.0.store.commit(&control(), UnitOfWork::new().delete(WatchedTenant::KIND, tenant.record(), Expect::Any)).await?;
        watched.remove(&tenant);
        Ok(())
    }
}

fn control() -> Ctx {
    system(TenantId::OPERATOR, "presence")
}

fn not_offline(limit: usize) -> ListQuery {
    let filter = Expr::compare("status", Op::Ne, Literal::Text("offline".to_owned()));
    ListQuery { kind: Device::KIND.to_owned(), filter: Some(filter), limit, ..ListQuery::default() }
}
