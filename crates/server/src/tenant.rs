//! `steward admin tenant`: a tenant as a file on standard output, and in from standard input, through the admin socket while the server runs.
//!
//! On the socket a file that goes out comes in parts, each behind its length; an empty one is the end. One that comes in follows the request's
//! line, up to where the command line has no more to say.

use std::fs;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, TryStreamExt as _};
use steward_auth::system;
use steward_base::{Error, ErrorKind, RecordId, Result, Secret, TenantId};
use steward_identity::{Arriving, Credentials, Exported};
use steward_work::{SagaState, finished};
use tokio::fs::File;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio_util::io::ReaderStream;

use crate::admin::{self, Answer, Request};
use crate::app::App;
use crate::config::Config;
use crate::serve;

/// How long the command line waits for a tenant to be taken in.
const PATIENCE: Duration = Duration::from_secs(24 * 3600);
/// Longer parts are never sent.
const LONGEST_PART: usize = 16 << 20;

/// The passphrase in a file, without the end of its line.
pub(crate) fn passphrase(file: &Path) -> Result<String> {
    let text = fs::read_to_string(file).map_err(|error| {
        let detail = format!("The passphrase file {} cannot be read: {error}.", file.display());
        Error::new(ErrorKind::Invalid, "config_invalid", detail)
    })?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

/// Writes a tenant's file to standard output.
pub(crate) async fn export(config: &Config, request: Request) -> Result<Answer> {
    let mut out = file(std::io::stdout().as_fd())?;
    let Some(mut stream) = admin::begin(&config.data_dir, &request).await? else {
        let Request::TenantExport { tenant, passphrase, passwords } = request else { return Err(Error::internal("no export")) };
        let app = App::open(config, &serve::public_url(config, config.listen)).await?;
        let written = async {
            let mut exported = exported(&app, &tenant, passphrase, passwords).await?;
            while let Some(part) = exported.parts.try_next().await? {
                out.write_all(&part).await.map_err(|error| unwritable(&error))?;
            }
            out.flush().await.map_err(|error| unwritable(&error))
        };
        let written = written.await;
        app.store().close().await;
        return written.map(|()| Answer::Done(String::new()));
    };
    let answer = line(&mut stream).await?;
    if !matches!(answer, Answer::Follows {}) {
        return Ok(answer);
    }
    loop {
        let length = stream.read_u32().await.map_err(broken)? as usize;
        if length == 0 {
            out.flush().await.map_err(|error| unwritable(&error))?;
            return Ok(Answer::Done(String::new()));
        }
        let mut part = vec![0; length.min(LONGEST_PART)];
        stream.read_exact(&mut part).await.map_err(broken)?;
        out.write_all(&part).await.map_err(|error| unwritable(&error))?;
    }
}

/// Takes a tenant in from standard input.
pub(crate) async fn import(config: &Config, request: Request) -> Result<Answer> {
    let mut input = file(std::io::stdin().as_fd())?;
    let Some(mut stream) = admin::begin(&config.data_dir, &request).await? else {
        let Request::TenantImport { passphrase, renamed, suspended } = request else { return Err(Error::internal("no import")) };
        let app = App::open(config, &serve::public_url(config, config.listen)).await?;
        let arriving = Arriving { slug: renamed, suspended };
        let taken = Box::pin(app.transfer().import_now(parts(input), Secret::new(passphrase), arriving)).await;
        app.store().close().await;
        return taken.map(|tenant| Answer::Done(tenant.to_string()));
    };
    // A server that refuses early stops reading: what it says matters more.
    let copied = tokio::io::copy(&mut input, &mut stream).await;
    let closed = stream.shutdown().await;
    let answer = line(&mut stream).await;
    if answer.is_err() {
        copied.map(drop).and(closed).map_err(broken)?;
    }
    answer
}

/// The server's side of an export.
pub(crate) async fn send(app: &App, (tenant, passphrase, passwords): (&str, String, bool), mut to: impl AsyncWrite + Unpin) -> Result<()> {
    let mut exported = match exported(app, tenant, passphrase, passwords).await {
        Ok(exported) => exported,
        Err(error) => return admin::tell(&mut to, &admin::refusal(&error)).await.map_err(broken),
    };
    admin::tell(&mut to, &Answer::Follows {}).await.map_err(broken)?;
    // What fails on its way ends the connection before the empty part.
    while let Some(mut rest) = exported.parts.try_next().await? {
        while !rest.is_empty() {
            let part = rest.split_to(rest.len().min(LONGEST_PART));
            to.write_u32(part.len() as u32).await.map_err(broken)?;
            to.write_all(&part).await.map_err(broken)?;
        }
    }
    to.write_u32(0).await.map_err(broken)
}

/// The server's side of an import.
pub(crate) async fn receive(app: &App, (passphrase, arriving): (String, Arriving), from: impl AsyncRead + Send + Unpin) -> Result<Answer> {
    let (saga, tenant) = Box::pin(app.transfer().import(parts(from), Secret::new(passphrase), arriving)).await?;
    ended(app, saga).await.map(|()| Answer::Done(tenant.to_string()))
}

/// Moves a tenant by the saga, and waits for it.
pub(crate) async fn relocate(app: &App, slug: &str, place: &str) -> Result<Answer> {
    let tenant = app.identity().named_tenant(slug).await?;
    let ctx = system(TenantId::OPERATOR, "command-line");
    let (saga, _) = app.identity().move_tenant(&ctx, tenant.record(), place).await?;
    let run = finished(app.store(), &ctx, saga, PATIENCE).await?;
    if run.state == SagaState::Done {
        return Ok(Answer::Done(format!("{tenant} {place}")));
    }
    let detail = format!("The tenant was not moved and is where it was: {}", run.error.unwrap_or_default());
    Err(Error::new(ErrorKind::Unavailable, "tenant_not_moved", detail))
}

async fn ended(app: &App, saga: RecordId) -> Result<()> {
    let run = finished(app.store(), &system(TenantId::OPERATOR, "import"), saga, PATIENCE).await?;
    if run.state == SagaState::Done {
        return Ok(());
    }
    let why = run.error.unwrap_or_default();
    Err(Error::new(ErrorKind::Unavailable, "tenant_not_imported", format!("The tenant was not taken in, and nothing of it stays: {why}")))
}

async fn exported(app: &App, slug: &str, passphrase: String, passwords: bool) -> Result<Exported> {
    let tenant = app.identity().named_tenant(slug).await?;
    let credentials = if passwords { Credentials::Travel } else { Credentials::Stay };
    let ctx = system(TenantId::OPERATOR, "command-line");
    Box::pin(app.transfer().export(&ctx, tenant.record(), Secret::new(passphrase), credentials)).await
}

/// Standard input or output without the buffers of lines.
fn file(stream: BorrowedFd<'_>) -> Result<File> {
    let own = stream.try_clone_to_owned().map_err(Error::internal)?;
    Ok(File::from_std(fs::File::from(own)))
}

fn parts(from: impl AsyncRead + Send + Unpin) -> impl Stream<Item = Result<Bytes>> + Send {
    ReaderStream::with_capacity(from, 64 << 10).map(|part| part.map_err(broken))
}

async fn line(stream: &mut UnixStream) -> Result<Answer> {
    // Byte by byte, for what follows the line is none of its business.
    let mut text = String::new();
    BufReader::with_capacity(1, stream).read_line(&mut text).await.map_err(broken)?;
    serde_json::from_str(&text).map_err(|error| broken(error.into()))
}

fn broken(error: std::io::Error) -> Error {
    let detail = "The transfer broke off before its end: what there is of the file is of no use.";
    Error::new(ErrorKind::Unavailable, "transfer_broken", detail).with_source(error)
}

fn unwritable(error: &std::io::Error) -> Error {
    let detail = format!("The file cannot be written: {error}. What there is of it is of no use.");
    Error::new(ErrorKind::Unavailable, "transfer_broken", detail)
}
