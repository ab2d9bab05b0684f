//! How the server is reached.

use std::fs::File;
use std::io::BufReader;
use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{Hook, Manager, Pool, Runtime};
use percent_encoding::percent_decode_str;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use steward_base::{Error, ErrorKind, Secret};
use tokio_postgres::config::SslMode;
use tokio_postgres_rustls::MakeRustlsConnect;

const CONNECT: Duration = Duration::from_secs(5);
/// Statements that one connection keeps prepared. Every schema has its own, some 25, and the server holds memory for each: beyond this it begins
/// anew.
const MOST_STATEMENTS: usize = 500;
/// How long a request waits for a connection.
const WAIT: Duration = Duration::from_secs(10);
/// How long what was sent may stay unacknowledged: then the way to the server is broken.
const UNACKNOWLEDGED: Duration = Duration::from_secs(10);
/// What the server ends by itself. A process that vanished in the middle of a transaction gives the head free before those who wait for it
/// give up.
const LIMITS: &str = "-c statement_timeout=30s -c lock_timeout=12s -c idle_in_transaction_session_timeout=10s";

/// The connections of a store.
pub(super) struct Connections {
    pub(super) pool: Pool,
    pub(super) config: tokio_postgres::Config,
    pub(super) tls: MakeRustlsConnect,
}

pub(super) fn connections(url: &Secret<String>, most: usize) -> Result<Connections, Error> {
    let (url, authority) = trust(url.expose())?;
    // The parser's own words may quote the password.
    let mut config: tokio_postgres::Config = url.parse().map_err(|_| unreadable())?;
    config.application_name("steward").connect_timeout(CONNECT).keepalives_idle(Duration::from_secs(30)).tcp_user_timeout(UNACKNOWLEDGED);
    // The last one counts: what the URL says itself comes after ours.
    let options = config.get_options().map_or_else(|| LIMITS.to_owned(), |own| format!("{LIMITS} {own}"));
    config.options(options);
    let tls = MakeRustlsConnect::new(tls_config(config.get_ssl_mode(), authority.as_deref())?);
    let pool = Pool::builder(Manager::new(config.clone(), tls.clone()))
        .max_size(most.max(2))
        .pre_recycle(Hook::sync_fn(|client, _| {
            if client.statement_cache.size() > MOST_STATEMENTS {
                client.statement_cache.clear();
            }
            Ok(())
        }))
        .runtime(Runtime::Tokio1)
        .wait_timeout(Some(WAIT))
        .create_timeout(Some(CONNECT))
        .build()
        .map_err(Error::internal)?;
    Ok(Connections { pool, config, tls })
}

/// Takes what only libpq knows out of the URL: `sslrootcert`, and the strict modes, which are what `require` means here.
fn trust(url: &str) -> Result<(String, Option<String>), Error> {
    let Some((address, query)) = url.split_once('?') else { return Ok((url.to_owned(), None)) };
    let (mut kept, mut authority) = (Vec::new(), None);
    for pair in query.split('&') {
        match pair.split_once('=') {
            Some(("sslrootcert", path)) => {
                authority = Some(percent_decode_str(path).decode_utf8().map_err(|_| unreadable())?.into_owned());
            }
            Some(("sslmode", "verify-ca" | "verify-full")) => kept.push("sslmode=require"),
            _ => kept.push(pair),
        }
    }
    Ok((format!("{address}?{}", kept.join("&")), authority.filter(|path| path != "system")))
}

fn unreadable() -> Error {
    let detail = "The database URL cannot be read: write postgres://user:password@host:port/database.";
    Error::new(ErrorKind::Invalid, "database_url", detail)
}

/// A server that offers TLS must show a certificate for its name, from the authority given or else from one that this machine trusts.
fn tls_config(mode: SslMode, authority: Option<&str>) -> Result<ClientConfig, Error> {
    let mut roots = RootCertStore::empty();
    match authority {
        _ if mode == SslMode::Disable => {}
        Some(path) => {
            let (added, _) = roots.add_parsable_certificates(certificates(path)?);
            if added == 0 {
                return Err(Error::new(ErrorKind::Invalid, "database_url", format!("The sslrootcert {path} holds no certificate.")));
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().map_err(Error::internal)?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

fn certificates(path: &str) -> Result<Vec<CertificateDer<'static>>, Error> {
    let unreadable = |cause: String| {
        let detail = format!("The sslrootcert {path} of the database URL cannot be read: {cause}.");
        Error::new(ErrorKind::Invalid, "database_url", detail)
    };
    let file = File::open(path).map_err(|error| unreadable(error.to_string()))?;
    CertificateDer::pem_reader_iter(BufReader::new(file)).collect::<Result<_, _>>().map_err(|error| unreadable(error.to_string()))
}
