//! `steward admin rotate-keys`: a new master key, and everything that an older one sealed under it, tenant by tenant.
//!
//! It may stop anywhere and be run again: keys that are older stay in the file and open what is not sealed anew yet.

use std::path::Path;

use steward_auth::system;
use steward_base::{Error, ErrorKind, Result, TenantId};
use steward_identity::Tenant;
use steward_store::{HeadSigner, ListQuery, Model as _};

use crate::app::App;
use crate::trail;

/// What is to be done.
pub(crate) struct Rotation {
    /// A new master key first.
    pub(crate) make: bool,
    /// A new data key for the secrets of each tenant.
    pub(crate) secrets: bool,
}

/// Answers what was done, for people.
pub(crate) async fn rotate(app: &App, file: Option<&Path>, rotation: Rotation) -> Result<String> {
    if rotation.make {
        let Some(file) = file else {
            let detail = "The master key does not come from a file of this process alone: put a new one before the old ones where it comes from, \
                          restart every process, and run this again with --rewrap-only.";
            return Err(Error::new(ErrorKind::Invalid, "master_key_elsewhere", detail));
        };
        app.master().rotate(file, app.random())?;
    }
    HeadSigner::reseal(&trail::folder(app.data_dir()), app.master(), app.random())?;
    let tenants = tenants(app).await?;
    let (mut keys, mut records) = (0, 0);
    for tenant in &tenants {
        let ctx = system(*tenant, "rotate-keys");
        match app.store().rewrap_keys(&ctx).await {
            Ok(wrapped) => keys += wrapped,
            // It is about to be made, or was just erased.
            Err(error) if error.code() == "not_found" => continue,
            Err(error) => return Err(error),
        }
        keys += app.authority().reseal_signing_keys(*tenant).await?;
        if rotation.secrets {
            records += app.store().rotate_data_key(&ctx).await?;
        }
    }
    tracing::info!(keys, records, tenants = tenants.len(), "keys are sealed under the current master key");
    let master = app.master().id();
    Ok(format!(
        "Master key {master} is current. Sealed anew: {keys} keys and the secrets of {records} records, in {} tenants.",
        tenants.len()
    ))
}

/// Every tenant, whatever its state.
async fn tenants(app: &App) -> Result<Vec<TenantId>> {
    let control = system(TenantId::OPERATOR, "rotate-keys");
    let mut query = ListQuery { kind: Tenant::KIND.to_owned(), limit: 500, ..ListQuery::default() };
    let mut tenants = vec![TenantId::OPERATOR];
    loop {
        let page = app.store().list(&control, query.clone()).await?;
        tenants.extend(page.records.iter().map(|record| TenantId::from(record.id)).filter(|tenant| *tenant != TenantId::OPERATOR));
        match page.next {
            Some(next) => query.after = Some(next),
            None => return Ok(tenants),
        }
    }
}
