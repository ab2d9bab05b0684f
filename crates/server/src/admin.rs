//! What an administrator does on the machine itself, through a socket in the data folder while the server runs and directly while it does not.
//!
//! The socket is mode 0600 in the data folder: who may open it may read the data anyway. One JSON line in, one out.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use steward_base::{Error, ErrorKind, Result};
use steward_identity::Arriving;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::tenant;

/// The longest request line; a password is at most 256 characters.
const LONGEST_LINE: u64 = 64 * 1024;
/// How long a client may take to send its line.
const PATIENCE: Duration = Duration::from_secs(10);

/// A request of the command line.
#[derive(Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum Request {
    /// A fresh set-up link.
    SetupLink {},
    /// A code with which a person sets a password.
    PasswordCode { email: String },
    /// A tenant with its owner.
    Bootstrap { tenant: String, owner: String, password: String },
    /// An API key.
    ApiKey { tenant: String, permissions: Vec<String>, name: String },
    /// A new master key where it comes from a file, unless `rewrap_only`; then everything is sealed under the current one. With `secrets`, every
    /// tenant gets a new data key too.
    RotateKeys { rewrap_only: bool, secrets: bool },
    /// Whether the audit trail holds; `heads` is another folder of signed heads.
    AuditVerify { tenant: Option<String>, heads: Option<PathBuf> },
    /// A backup, into a folder or into the bucket of the settings.
    BackupCreate { to: Option<PathBuf>, tenant: Option<String> },
    /// One tenant of a backup.
    BackupRestore { from: Option<PathBuf>, backup: Option<String>, tenant: String, renamed: Option<String>, suspended: Option<bool> },
    /// A tenant as a file, which follows the answer.
    TenantExport { tenant: String, passphrase: String, passwords: bool },
    /// A tenant from a file, which follows the request.
    TenantImport { passphrase: String, renamed: Option<String>, suspended: Option<bool> },
    /// A tenant to another place.
    TenantMove { tenant: String, place: String },
    /// An enrolment token.
    EnrollToken { tenant: String, organization: Option<String> },
}

/// What the command line prints: one value to stdout.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Answer {
    /// The value asked for.
    Done(String),
    /// A file comes behind this line.
    Follows {},
    /// What was verified and does not hold, or was done and could not be done wholly.
    Unsound(String),
    /// Code and public detail of the error.
    Refused { code: String, detail: String },
}

/// The socket of a data folder.
pub(crate) fn socket(data_dir: &Path) -> PathBuf {
    data_dir.join("admin.sock")
}

/// Sends a request to the running server; `None` when none runs.
pub(crate) async fn ask(data_dir: &Path, request: &Request) -> Result<Option<Answer>> {
    let Some(stream) = begin(data_dir, request).await? else { return Ok(None) };
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).await.map_err(unreachable)?;
    serde_json::from_str(&answer).map(Some).map_err(Error::internal)
}

/// Begins a conversation with the running server; `None` when none runs.
pub(crate) async fn begin(data_dir: &Path, request: &Request) -> Result<Option<UnixStream>> {
    let mut stream = match UnixStream::connect(socket(data_dir)).await {
        Ok(stream) => stream,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => return Ok(None),
        Err(error) => return Err(unreachable(error)),
    };
    tell(&mut stream, request).await.map_err(unreachable)?;
    Ok(Some(stream))
}

/// Sends a line.
pub(crate) async fn tell(to: &mut (impl AsyncWrite + Unpin), what: &impl Serialize) -> io::Result<()> {
    let mut text = serde_json::to_string(what).map_err(io::Error::other)?;
    text.push('\n');
    to.write_all(text.as_bytes()).await
}

/// Opens the socket; one that a killed server left behind is replaced, since the folder's lock proves that no other server runs.
pub(crate) fn listen(data_dir: &Path) -> Result<UnixListener> {
    let path = socket(data_dir);
    let open = || -> io::Result<UnixListener> {
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&path)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
        Ok(listener)
    };
    open().map_err(unreachable)
}

/// Answers requests until `stop`.
pub(crate) async fn serve(listener: UnixListener, app: App, stop: CancellationToken) {
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                let app = app.clone();
                tokio::spawn(async move {
                    if let Err(error) = converse(stream, &app).await {
                        tracing::warn!(error.message = %error, "an administrator's connection broke off");
                    }
                });
            }
            Err(error) => tracing::warn!(error.message = %error, "the admin socket does not accept"),
        }
    }
}

async fn converse(stream: UnixStream, app: &App) -> io::Result<()> {
    let (read, mut write) = stream.into_split();
    let (mut line, mut read) = (String::new(), BufReader::new(read));
    let mut limited = (&mut read).take(LONGEST_LINE);
    tokio::time::timeout(PATIENCE, limited.read_line(&mut line)).await.map_err(io::Error::other)??;
    let answer = match serde_json::from_str(&line) {
        Ok(Request::TenantExport { tenant, passphrase, passwords }) => {
            return tenant::send(app, (&tenant, passphrase, passwords), write).await.map_err(io::Error::other);
        }
        Ok(Request::TenantMove { tenant, place }) => tenant::relocate(app, &tenant, &place).await.unwrap_or_else(|error| refusal(&error)),
        Ok(Request::TenantImport { passphrase, renamed, suspended }) => {
            let arriving = Arriving { slug: renamed, suspended };
            tenant::receive(app, (passphrase, arriving), read).await.unwrap_or_else(|error| refusal(&error))
        }
        Ok(request) => app.administrate(request).await.unwrap_or_else(|error| refusal(&error)),
        Err(_) => refusal(&Error::new(ErrorKind::Malformed, "malformed_request", "The request is not one that this version knows.")),
    };
    tell(&mut write, &answer).await
}

pub(crate) fn refusal(error: &Error) -> Answer {
    if error.kind() == ErrorKind::Internal {
        tracing::error!(error.causes = error.causes(), "an administrator's request failed");
    }
    let fields = error.fields().iter().map(|field| format!(" {}: {}", field.pointer, field.detail)).collect::<String>();
    Answer::Refused { code: error.code().to_owned(), detail: format!("{}{fields}", error.detail()) }
}

fn unreachable(error: io::Error) -> Error {
    let detail = "The admin socket in the data folder cannot be used. Run this as the user that runs the server.";
    Error::new(ErrorKind::Unavailable, "admin_socket", detail).with_source(error)
}
