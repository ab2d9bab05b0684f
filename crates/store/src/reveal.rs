//! Secrets of records: the keys that seal them, and the one way to read one.

use std::sync::Arc;

use serde_json::json;
use steward_base::{Ctx, Error, RecordId, Secret, TenantId};

use crate::keys::{DataKey, Sealer, TenantKeys, Which, bound, texts, unreadable};
use crate::places::ask;
use crate::store::Store;
use crate::unit::{Becomes, EventDraft, UnitOfWork};

impl Store {
    /// The secret that a record holds in a field; nothing when it holds none. An event `<kind>.revealed` tells who asked for which field, and
    /// is on disk before the secret is answered.
    ///
    /// Errors: `not_found`; `version_conflict` when the record is changed at this very moment.
    pub async fn reveal(&self, ctx: &Ctx, kind: &str, id: RecordId, field: &str) -> Result<Option<Secret<String>>, Error> {
        if let Some(remote) = self.remote() {
            return remote.reveal(ctx, kind, id, field).await;
        }
        let at = self.kind(kind)?;
        let kind = self.kinds().at(at).clone();
        let known = kind.field(field).filter(|known| known.sealed && !known.list);
        let known = known.ok_or_else(|| Error::internal(format!("{}.{field} is no secret that can be revealed", kind.name())))?;
        let record = self.get(ctx, kind.name(), id).await?.ok_or_else(|| Error::not_found(&kind.name().replace('_', " ")))?;
        let body = record.body.object()?;
        let Some(text) = texts(&body, &known.segments).into_iter().next() else { return Ok(None) };
        let keys = self.keys_for(ctx.tenant(), text).await?;
        let told = EventDraft::new(format!("{}.revealed", kind.name()), id, json!({ "field": field })).about(kind.name().to_owned());
        let told = told.scope(crate::plan::scope_of(&kind, &body));
        self.commit(ctx, UnitOfWork::new().guard(kind.name().to_owned(), id, record.version).event(told)).await?;
        let plain = keys.open(&bound(&kind, id, field), text).ok_or_else(|| unreadable(&kind, field))?;
        let plain = std::str::from_utf8(&plain).map_err(|_| unreadable(&kind, field))?;
        Ok(Some(Secret::new(plain.to_owned())))
    }

    /// Refuses a master key that is not the one of this data, before anything is sealed under it.
    pub(crate) async fn check_master(&self) -> Result<(), Error> {
        if self.remote().is_some() {
            // The greeting compared them.
            return Ok(());
        }
        let some = self.0.places.home().data_keys(TenantId::OPERATOR, Which::After(None, 1)).await?;
        some.iter().try_for_each(|row| DataKey::unwrap(&self.vault().master, TenantId::OPERATOR, row).map(drop))
    }

    /// Gives a unit what its secrets are sealed with, where it writes such.
    pub(crate) async fn with_sealer(&self, ctx: &Ctx, unit: &mut UnitOfWork) -> Result<(), Error> {
        let puts = unit.writes.iter().filter(|write| matches!(write.becomes, Becomes::Live(_)));
        if puts.filter_map(|write| self.kinds().get(&write.kind)).any(|kind| kind.seals()) {
            // The first key of a tenant takes a commit of its own.
            let keys = Box::pin(self.tenant_keys(ctx.tenant())).await?;
            unit.sealer = Some(Sealer { keys, random: self.random().clone() });
        }
        Ok(())
    }

    /// The keys for the secrets of a tenant; the first one is made, and on disk, before anything is sealed.
    async fn tenant_keys(&self, tenant: TenantId) -> Result<Arc<TenantKeys>, Error> {
        if let Some(keys) = self.vault().at_hand(tenant) {
            return Ok(keys);
        }
        let keys = self.read_keys(tenant).await?;
        if !keys.is_empty() {
            return Ok(self.vault().keep(tenant, keys));
        }
        let (row, key) = DataKey::make(&self.vault().master, tenant, None, self.clock(), self.random());
        self.commit(&crate::store::own(tenant, "data-keys"), UnitOfWork { keys: vec![row], ..UnitOfWork::new() }).await?;
        Ok(self.vault().keep(tenant, vec![key]))
    }

    /// The keys of a tenant, read again when another process may have made the one that sealed this.
    async fn keys_for(&self, tenant: TenantId, sealed: &str) -> Result<Arc<TenantKeys>, Error> {
        let keys = self.tenant_keys(tenant).await?;
        if keys.knows(sealed) {
            return Ok(keys);
        }
        Ok(self.vault().keep(tenant, self.read_keys(tenant).await?))
    }

    pub(crate) async fn read_keys(&self, tenant: TenantId) -> Result<Vec<DataKey>, Error> {
        let rows = ask!(self.0.places, tenant, engine => engine.data_keys(tenant, Which::Secrets))?;
        rows.iter().map(|row| DataKey::unwrap(&self.vault().master, tenant, row)).collect()
    }
}
