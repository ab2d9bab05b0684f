//! Export and import over HTTP.

use http::{Method, StatusCode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use steward_base::{Error, ErrorKind, Result, Secret};
use steward_store::Model as _;
use steward_web::{ById, Call, File, HeaderInput, Json, Operation, Reply, Upload, file, operation};
use steward_work::SagaRun;

use super::{Arriving, Credentials, Transfer};
use crate::Tenant;

const HEADER: &str = "steward-passphrase";

impl Transfer {
    /// `tenants.export_file` and `tenants.import_file`.
    pub fn operations(&self) -> Vec<Operation> {
        vec![
            operation("tenants.export_file", Method::POST, "/api/v1/tenants/{id}/export")
                .needs("tenants:execute")
                .summary("Tell a tenant into one file that another installation can import")
                .description(
                    "Records, recycle bin, history, jobs, members and the persons they are, and objects, while the tenant is served: suspend it \
                     first for a file behind which nothing is written. Secrets open wherever the file does. Sessions and signing keys are not in \
                     it, nor logs and metrics. A transfer that breaks off is not complete.",
                )
                .tag("tenants")
                .reads(HeaderInput::Passphrase)
                .error(StatusCode::CONFLICT, "tenant_fixed")
                .error(StatusCode::CONFLICT, "tenant_not_ready")
                .error(StatusCode::UNPROCESSABLE_ENTITY, "passphrase_required")
                .error(StatusCode::SERVICE_UNAVAILABLE, "sign_in_busy")
                .handle(self.clone(), export),
            operation("tenants.import_file", Method::POST, "/api/v1/tenants/import")
                .needs("tenants:write")
                .summary("Make a tenant of a file that an export wrote")
                .description(
                    "The file is read to its end before anything is written; then a saga takes it in, and the tenant is let in when all of it is \
                     there, unless it was suspended where it came from. It is the tenant that it was, with its ids and its history. Persons whom this installation knows by their address keep \
                     their password; the others have one only if the export was asked for it.",
                )
                .tag("tenants")
                .media_types(&["application/octet-stream"])
                .reads(HeaderInput::Passphrase)
                .status(StatusCode::ACCEPTED)
                .error(StatusCode::CONFLICT, "slug_taken")
                .error(StatusCode::CONFLICT, "tenant_being_imported")
                .error(StatusCode::CONFLICT, "tenant_exists")
                .error(StatusCode::PAYLOAD_TOO_LARGE, "import_too_large")
                .error(StatusCode::TOO_MANY_REQUESTS, "imports_full")
                .error(StatusCode::UNPROCESSABLE_ENTITY, "dump_cut")
                .error(StatusCode::UNPROCESSABLE_ENTITY, "dump_damaged")
                .error(StatusCode::UNPROCESSABLE_ENTITY, "dump_newer")
                .error(StatusCode::UNPROCESSABLE_ENTITY, "dump_privileged")
                .error(StatusCode::UNPROCESSABLE_ENTITY, "not_an_export")
                .error(StatusCode::UNPROCESSABLE_ENTITY, "passphrase_required")
                .error(StatusCode::UNPROCESSABLE_ENTITY, "passphrase_wrong")
                .error(StatusCode::SERVICE_UNAVAILABLE, "sign_in_busy")
                .handle(self.clone(), import),
        ]
    }
}

/// What an export may be asked.
#[derive(Debug, Deserialize, JsonSchema)]
struct ExportParameters {
    /// Whether the members' password hashes are in the file, so that they can sign in elsewhere as they do here; whoever opens the file can guess
    /// at them.
    passwords: Option<bool>,
}

async fn export(transfer: Transfer, call: Call<ById<Tenant>, ExportParameters>) -> Result<Reply<File>> {
    let credentials = if call.query.passwords == Some(true) { Credentials::Travel } else { Credentials::Stay };
    let exported = transfer.export(&call.ctx, call.path.id.record(), passphrase(&call.headers)?, credentials).await?;
    Ok(file(call.standing(), &exported.name, exported.parts))
}

/// What an import may be asked.
#[derive(Debug, Deserialize, JsonSchema)]
struct ImportParameters {
    /// The short name that the tenant gets; its own unless said.
    #[schemars(length(min = 2, max = 40), regex(pattern = r"^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])$"))]
    slug: Option<String>,
    /// Whether it takes no requests until it is resumed; as where it was exported unless said.
    suspended: Option<bool>,
}

/// What goes on in the background.
#[derive(Debug, Serialize, JsonSchema)]
struct Import {
    /// The saga's id; `/api/v1/sagas/{id}` says how far it is.
    saga: String,
    /// The tenant that there will be.
    tenant: String,
}

async fn import(transfer: Transfer, call: Call<(), ImportParameters, Upload>) -> Result<Reply<Json<Import>>> {
    let passphrase = passphrase(&call.headers)?;
    let arriving = Arriving { slug: call.query.slug, suspended: call.query.suspended };
    let stored = call.body.stored(&call.site, call.ctx.tenant()).await?;
    let checked = Box::pin(transfer.check(stored, passphrase, arriving)).await?;
    let tenant = checked.tenant().record().wire(Tenant::PREFIX);
    let saga = transfer.begin(&call.ctx, checked).await?.wire(SagaRun::PREFIX);
    let location = format!("/api/v1/sagas/{saga}");
    Ok(Reply::json(Import { saga, tenant }).location(&location))
}

fn passphrase(headers: &http::HeaderMap) -> Result<Secret<String>> {
    let text = headers.get(HEADER).map(|value| std::str::from_utf8(value.as_bytes()).map(str::to_owned)).transpose();
    let text = text.map_err(|_| Error::new(ErrorKind::Invalid, "passphrase_required", "The passphrase is not UTF-8."))?;
    Ok(Secret::new(text.unwrap_or_default()))
}
