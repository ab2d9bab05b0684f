//! `steward admin rotate-keys`: a new master key, and everything that an older one sealed under it, tenant by tenant.
//!
//! It may stop anywhere and be run again: keys that are older stay in the file and open what is not sealed anew yet.

use std::path::Path;

use steward_auth::system;
use steward_base::{Error, ErrorKind, Result, TenantId};
use steward_identity::Tenant;
use steward_store::{HeadSigner, ListQuery, Model as _};

use crate::admin::Answer;
use crate::app::App;
use crate::trail;

/// What is to be done.
pub(crate) struct Rotation {
    /// A new master key first.
    pub(crate) make: bool,
    /// A new data key for the secrets of each tenant.
    pub(crate) secrets: bool,
}

/// Does it, and answers what was done, for people; unsound when the secrets of some records had to be left as they were.
pub(crate) async fn rotate(app: &App, file: Option<&Path>, rotation: Rotation) -> Result<Answer> {
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
    let (mut keys, mut records, mut left) = (0, 0, Vec::new());
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
            let done = app.store().rotate_data_key(&ctx).await?;
            records += done.records;
            left.extend(done.left.into_iter().map(|record| format!("\n  {record} of {tenant}")));
        }
    }
    tracing::info!(keys, records, left = left.len(), tenants = tenants.len(), "keys are sealed under the current master key");
    let master = app.master().id();
    let report = format!(
        "Master key {master} is current. Sealed anew: {keys} keys and the secrets of {records} records, in {} tenants.",
        tenants.len()
    );
    if left.is_empty() {
        return Ok(Answer::Done(report));
    }
    let what = "Left under an older key, since they are damaged (see the log); give them their secrets again, or delete them:";
    Ok(Answer::Unsound(format!("{report}\n{what}{}", left.concat())))
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
