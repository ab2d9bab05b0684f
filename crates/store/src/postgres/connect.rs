//! How the server is reached.

use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{Manager, Pool, Runtime};
use rustls::{ClientConfig, RootCertStore};
use steward_base::{Error, ErrorKind, Secret};
use tokio_postgres::config::SslMode;
use tokio_postgres_rustls::MakeRustlsConnect;

const CONNECT: Duration = Duration::from_secs(5);
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
    // The parser's own words may quote the password.
    let mut config: tokio_postgres::Config = url.expose().parse().map_err(|_| {
        Error::new(
            ErrorKind::Invalid,
            "database_url",
            "The database URL cannot be read: write postgres://user:password@host:port/database.",
        )
    })?;
    config.application_name("steward").connect_timeout(CONNECT).keepalives_idle(Duration::from_secs(30)).tcp_user_timeout(UNACKNOWLEDGED);
    // The last one counts: what the URL says itself comes after ours.
    let options = config.get_options().map_or_else(|| LIMITS.to_owned(), |own| format!("{LIMITS} {own}"));
    config.options(options);
    let tls = MakeRustlsConnect::new(tls_config(config.get_ssl_mode())?);
    let pool = Pool::builder(Manager::new(config.clone(), tls.clone()))
        .max_size(most.max(2))
        .runtime(Runtime::Tokio1)
        .wait_timeout(Some(WAIT))
        .create_timeout(Some(CONNECT))
        .build()
        .map_err(Error::internal)?;
    Ok(Connections { pool, config, tls })
}

/// A server that offers TLS must show a certificate of an authority that this machine trusts.
fn tls_config(mode: SslMode) -> Result<ClientConfig, Error> {
    let mut roots = RootCertStore::empty();
    if mode != SslMode::Disable {
        let found = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(found.certs);
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().map_err(Error::internal)?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}
