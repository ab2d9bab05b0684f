//! `steward audit verify`: follows every chain and holds it against the heads that were signed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use steward_auth::system;
use steward_base::{Error, Result, TenantId};
use steward_identity::Tenant;
use steward_store::{Heads, ListQuery, Model as _, Store};

use crate::admin::Answer;

/// What was found, one line per tenant, and whether all of it holds.
pub(crate) struct Report {
    pub(crate) text: String,
    pub(crate) holds: bool,
}

impl From<Report> for Answer {
    fn from(report: Report) -> Self {
        if report.holds { Self::Done(report.text) } else { Self::Unsound(report.text) }
    }
}

/// Verifies one tenant, or all that control or the signed heads know.
pub(crate) async fn verify(store: &Store, folder: &Path, slug: Option<&str>) -> Result<Report> {
    let heads = Heads::read(folder)?;
    let slugs = slugs(store).await?;
    let tenants: BTreeSet<TenantId> = match slug {
        None => slugs.keys().copied().chain(heads.tenants()).collect(),
        Some(slug) => slugs.iter().filter(|(_, known)| *known == slug).map(|(tenant, _)| *tenant).collect(),
    };
    if tenants.is_empty() {
        return Err(Error::not_found("tenant"));
    }
    let mut lines = Vec::new();
    let mut holds = heads.problems.is_empty();
    for tenant in tenants {
        let name = slugs.get(&tenant).map_or("-", String::as_str);
        let signed = heads.of(tenant);
        let said = match store.verify_trail(&system(tenant, "audit"), signed).await {
            Ok(last) if signed.is_empty() => format!("{last} events hold; no head of it is signed, so a chain written anew would not show"),
            Ok(last) => format!("{last} events and {} signed heads hold", signed.len()),
            Err(error) if error.code() == "not_found" => match erased(store, tenant).await? {
                Some(when) => format!("was erased {when}"),
                None if signed.is_empty() => "is being made: it has no events yet".to_owned(),
                None => {
                    holds = false;
                    "DOES NOT HOLD: heads of it are signed, and it is not there".to_owned()
                }
            },
            Err(error) if matches!(error.code(), "chain_broken" | "chain_rewritten" | "chain_cut") => {
                holds = false;
                format!("DOES NOT HOLD: {} ({})", error.detail(), error.code())
            }
            Err(error) => return Err(error),
        };
        lines.push(format!("{tenant} {name}: {said}"));
    }
    lines.extend(heads.problems.iter().chain(&heads.incomplete).map(|problem| format!("{}: {problem}", folder.display())));
    lines.push(if holds { "The audit trail holds.".to_owned() } else { "The audit trail DOES NOT HOLD.".to_owned() });
    Ok(Report { text: lines.join("\n"), holds })
}

/// The short names of the tenants in control.
async fn slugs(store: &Store) -> Result<BTreeMap<TenantId, String>> {
    let control = system(TenantId::OPERATOR, "audit");
    let mut query = ListQuery { kind: Tenant::KIND.to_owned(), limit: 500, ..ListQuery::default() };
    let mut slugs = BTreeMap::from([(TenantId::OPERATOR, "operator".to_owned())]);
    loop {
        let page = store.list(&control, query.clone()).await?;
        for record in &page.records {
            slugs.insert(record.id.into(), record.decode::<Tenant>()?.slug);
        }
        match page.next {
            Some(next) => query.after = Some(next),
            None => return Ok(slugs),
        }
    }
}

/// When a tenant was erased, as the control's own chain says.
async fn erased(store: &Store, tenant: TenantId) -> Result<Option<String>> {
    let control = system(TenantId::OPERATOR, "audit");
    let history = store.history(&control, Tenant::KIND, tenant.record(), None, 100).await?;
    Ok(history
        .into_iter()
        .find(|event| matches!(event.event_type.as_str(), "tenant.erased" | "tenant.deleted"))
        .map(|event| event.time.to_string()))
}
