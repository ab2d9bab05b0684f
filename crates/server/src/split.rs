//! One process or several: which roles this one runs, and where its records are.
//!
//! On SQLite one process has the files. It runs the role `data`, alone or with all others, and serves them on an address of its own; the process
//! with the rest asks there. On PostgreSQL every process reaches the records itself.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;

use steward_base::{Clock, Error, ErrorKind, Random, Result, Secret};
use steward_store::{Backend, LinkKey, MasterKey, Options, Store, serve_port};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::app::{kinds, make_data_dir};
use crate::config::{Config, invalid};
use crate::{logs, master, places, serve};

/// Most PostgreSQL connections of one process.
const DATABASE_CONNECTIONS: usize = 16;
/// What is not `data`: one process runs them together.
const REST: [&str; 4] = ["api", "identity", "telemetry", "worker"];

/// What a process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Runs {
    /// Everything.
    All,
    /// The records, for other processes.
    Data,
    /// Everything else.
    Rest,
}

impl Runs {
    /// Fails with `config_invalid`.
    pub(crate) fn of(roles: &[String]) -> Result<Self> {
        let named = |name: &str| -> Vec<&str> {
            match name {
                "all" => REST.into_iter().chain(["data"]).collect(),
                "rest" => REST.to_vec(),
                "data" => vec!["data"],
                name => REST.into_iter().filter(|role| *role == name).collect(),
            }
        };
        let mut chosen = BTreeSet::new();
        for role in roles {
            let found = named(role);
            if found.is_empty() {
                return Err(invalid(format!(
                    "roles names {role}, which is none: there are all, data and rest, or api, identity, telemetry, worker."
                )));
            }
            chosen.extend(found);
        }
        let rest = REST.iter().filter(|role| chosen.contains(*role)).count();
        match (chosen.contains("data"), rest) {
            (true, 4) => Ok(Self::All),
            (true, 0) => Ok(Self::Data),
            (false, 4) => Ok(Self::Rest),
            _ => {
                let detail = "roles splits what one process runs so far: api, identity, telemetry and worker go together, as rest.";
                Err(invalid(detail.to_owned()))
            }
        }
    }

    /// Whether the settings that say where records are fit the roles. Fails with `config_invalid`.
    pub(crate) fn check(self, config: &Config) -> Result<()> {
        let refuse = |detail: &str| Err(invalid(detail.to_owned()));
        if !config.data_listen.is_empty() && config.data_listen.parse::<SocketAddr>().is_err() {
            return refuse("data_listen is an address and a port, as in 127.0.0.1:8081.");
        }
        match self {
            Self::Rest if config.data_url.is_empty() && config.database_url.is_empty() => {
                refuse("Without the role data, data_url or database_url says where the records are: set one.")
            }
            Self::Rest if !config.data_url.is_empty() && !config.database_url.is_empty() => {
                refuse("data_url and database_url exclude each other: the process with the role data reaches the database.")
            }
            Self::Rest if !config.data_listen.is_empty() => refuse("data_listen is for the process with the role data."),
            Self::All | Self::Data if !config.data_url.is_empty() => {
                refuse("data_url is for a process without the role data: choose roles.")
            }
            Self::Data if config.data_listen.is_empty() => {
                refuse("The role data needs data_listen: the address that other processes ask at.")
            }
            Self::Data if config.watch || config.demo => refuse("watch and demo are for the process that serves the public address."),
            _ => Ok(()),
        }
    }
}

/// Where this process finds the records.
pub(crate) fn backend(config: &Config, master: &MasterKey) -> Result<Backend> {
    if !config.data_url.is_empty() {
        return Ok(Backend::Remote { url: config.data_url.clone(), key: key(config, master)? });
    }
    let home = match config.database_url.as_str() {
        "" => Backend::Sqlite { dir: config.data_dir.join("records") },
        url => Backend::Postgres { url: Secret::new(url.to_owned()), connections: DATABASE_CONNECTIONS },
    };
    places::with_home(config, home)
}

/// Serves the records and nothing else until SIGTERM or SIGINT.
pub(crate) async fn serve_data(config: Config) -> Result<()> {
    logs::start(&config)?;
    let Some(door) = Door::open(&config).await? else { return Err(Error::internal("the role data has no address")) };
    let (clock, random) = (Clock::system(), Random::system());
    make_data_dir(&config.data_dir)?;
    let master = master::load(&config, &random).await?;
    let key = key(&config, &master)?;
    let store = Store::open(Options { backend: backend(&config, &master)?, master }, kinds(), clock, random).await?;
    let (stop, stopped) = (CancellationToken::new(), serve::stopped());
    let serving = tokio::spawn(serve_port(store.clone(), key, door.listener, stop.clone()));
    println!("ready http://{}", door.address);
    stopped.await;
    tracing::info!("the data role stops: answering what was asked, then closing the files");
    stop.cancel();
    serving.await.map_err(Error::internal)?;
    store.close().await;
    Ok(())
}

/// The address at which other processes ask.
pub(crate) struct Door {
    listener: TcpListener,
    address: SocketAddr,
}

impl Door {
    /// Listens, when the settings say where. Fails with `listen_failed`.
    pub(crate) async fn open(config: &Config) -> Result<Option<Self>> {
        if config.data_listen.is_empty() {
            return Ok(None);
        }
        let listener = TcpListener::bind(&config.data_listen).await.map_err(|error| {
            let detail = format!("{} cannot be listened on: {error}. Choose another with data_listen.", config.data_listen);
            Error::new(ErrorKind::Unavailable, "listen_failed", detail)
        })?;
        let address = listener.local_addr().map_err(Error::internal)?;
        if !address.ip().is_loopback() {
            tracing::warn!(server.address = %address, "records are served without encryption: this address must be in a network of your own");
        }
        Ok(Some(Self { listener, address }))
    }

    /// Serves the records of this process to others until `stop`.
    pub(crate) async fn serve(self, store: Store, key: LinkKey, stop: CancellationToken) {
        serve_port(store, key, self.listener, stop).await;
    }
}

/// The key that requests to the data role are signed with.
pub(crate) fn key(config: &Config, master: &MasterKey) -> Result<LinkKey> {
    match config.data_key_file.as_str() {
        "" => Ok(LinkKey::derived(master)),
        path => LinkKey::read(Path::new(path)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(roles: &[&str]) -> Option<Runs> {
        Runs::of(&roles.iter().map(|role| (*role).to_owned()).collect::<Vec<_>>()).ok()
    }

    #[test]
    fn roles_are_everything_the_data_or_the_rest() {
        assert_eq!(runs(&["all"]), Some(Runs::All));
        assert_eq!(runs(&["data", "rest"]), Some(Runs::All));
        assert_eq!(runs(&["data"]), Some(Runs::Data));
        assert_eq!(runs(&["rest"]), Some(Runs::Rest));
        assert_eq!(runs(&["worker", "api", "identity", "telemetry"]), Some(Runs::Rest));
        for wrong in [&[][..], &["api"], &["data", "worker"], &["gateway"], &["all", "none"]] {
            assert_eq!(runs(wrong), None, "{wrong:?}");
        }
    }
}
