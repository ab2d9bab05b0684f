//! Where rows belong, and where a caller may read and write.

use serde_json::json;
use steward_base::filter::{self, Expr, Registry};
use steward_base::{Ctx, Error, ErrorKind, Principal, RecordId, Result, Timestamp};
use steward_store::Store;
use steward_telemetry::{Scope, log_registry};
use steward_web::Scope as Limit;

/// The kind whose records devices are; only this field of it is read here.
const DEVICE: &str = "device";
const ORGANIZATION: &str = "organization_id";

/// Who sends, and where its rows may lie.
#[derive(Debug)]
pub(crate) struct Sender {
    /// A device's own id and organization, which its rows cannot change.
    device: Option<(String, String)>,
    /// A filter that the ids of every row must pass.
    limit: Option<Expr>,
}

/// The ids that a row's source claims for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Claims {
    pub(crate) organization_id: String,
    pub(crate) device_id: String,
    pub(crate) project_id: String,
    pub(crate) service_id: String,
}

impl Claims {
    /// Takes the value of the attribute `key` when it names where rows belong; answers whether it does.
    pub(crate) fn take(&mut self, key: &str, value: &str) -> bool {
        let (prefix, place) = match key {
            "steward.organization.id" => ("org", &mut self.organization_id),
            "steward.device.id" => ("dev", &mut self.device_id),
            "steward.project.id" => ("prj", &mut self.project_id),
            "steward.service.id" => ("svc", &mut self.service_id),
            _ => return false,
        };
        let known = RecordId::parse(prefix, value).is_some();
        if known {
            value.clone_into(place);
        }
        known
    }

    pub(crate) fn scope(&self) -> Scope<'_> {
        Scope {
            organization_id: &self.organization_id,
            device_id: &self.device_id,
            project_id: &self.project_id,
            service_id: &self.service_id,
        }
    }
}

impl Sender {
    /// Looks the caller up. A point read costs microseconds, so nothing is cached: a device that was moved writes to its new organization at once.
    ///
    /// Fails with `device_unknown` for a device that was deleted, and `permission_denied` for a permission that holds nowhere here.
    pub(crate) async fn of(store: &Store, ctx: &Ctx, limit: Option<Limit>, now: Timestamp) -> Result<Self> {
        let limit = limit.map(|limit| checked(&limit, &log_registry(), now)).transpose()?;
        let Principal::Device(id) = ctx.principal() else { return Ok(Self { device: None, limit }) };
        let record = store.get(ctx, DEVICE, *id).await?.ok_or_else(|| {
            Error::new(ErrorKind::Forbidden, "device_unknown", "This device was removed. Enrol it again with a new token.")
        })?;
        let organization = record.body.object()?.get(ORGANIZATION).and_then(|id| id.as_str()).unwrap_or_default().to_owned();
        Ok(Self { device: Some((id.wire("dev"), organization)), limit })
    }

    /// Where rows with these claims belong; `None` where the caller may not write.
    pub(crate) fn place(&self, mut claims: Claims) -> Option<Claims> {
        if let Some((device, organization)) = &self.device {
            device.clone_into(&mut claims.device_id);
            organization.clone_into(&mut claims.organization_id);
        }
        let allowed = self.limit.as_ref().is_none_or(|limit| {
            let present = |id: &str| if id.is_empty() { serde_json::Value::Null } else { id.into() };
            let row = json!({
                "organization_id": present(&claims.organization_id),
                "device_id": present(&claims.device_id),
                "project_id": present(&claims.project_id),
                "service_id": present(&claims.service_id),
            });
            filter::matches(limit, &row)
        });
        allowed.then_some(claims)
    }
}

/// A permission's limit made ready for these rows.
pub(crate) fn checked(limit: &Limit, registry: &Registry, now: Timestamp) -> Result<Expr> {
    limit.over(registry, now).ok_or_else(|| {
        let detail = "Your permission is limited to fields that telemetry does not have. Ask an owner or admin of the tenant.";
        Error::new(ErrorKind::Forbidden, "permission_denied", detail)
    })
}
