//! The records that the kernel is measured with, and where they are kept.

use std::path::PathBuf;

use clap::Args;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use steward_base::{Clock, Ctx, Random, Secret, TenantId};
use steward_store::{Backend, Kind, Kinds, Layout, MasterKey, Model, Options, Store, UnitOfWork};

use crate::Failure;

/// Records that one unit writes while the store is filled.
const FILL_PER_UNIT: u64 = 500;

/// Where the records are.
#[derive(Args)]
pub(crate) struct Place {
    /// A folder for SQLite files.
    #[arg(long, conflicts_with = "postgres_file", required_unless_present = "postgres_file")]
    dir: Option<PathBuf>,
    /// A file that holds the address of a PostgreSQL database.
    #[arg(long)]
    postgres_file: Option<PathBuf>,
    /// All tenants in one schema of that database, instead of one each.
    #[arg(long, requires = "postgres_file")]
    shared: bool,
}

impl Place {
    /// A folder for SQLite files.
    pub(crate) fn folder(dir: PathBuf) -> Self {
        Self { dir: Some(dir), postgres_file: None, shared: false }
    }

    /// Opens a store there with a tenant of its own.
    pub(crate) async fn open(&self, clock: Clock) -> Result<(Store, Ctx), Failure> {
        let store = self.reopen(clock).await?;
        let ctx = tenant(&store).await?;
        Ok((store, ctx))
    }

    /// Opens the store that is there.
    pub(crate) async fn reopen(&self, clock: Clock) -> Result<Store, Failure> {
        let backend = match (&self.dir, &self.postgres_file) {
            (Some(dir), _) => Backend::Sqlite { dir: dir.clone() },
            (None, Some(file)) => Backend::Postgres { url: Secret::new(std::fs::read_to_string(file)?.trim().to_owned()), connections: 16 },
            (None, None) => return Err("name a folder or a database".into()),
        };
        let backend = if self.shared { shared(backend) } else { backend };
        let kinds = steward_work::kinds().into_iter().fold(Kinds::new().with(Kind::of::<Asset>()), Kinds::with);
        Ok(Store::open(Options { backend, master: MasterKey::new([7; 32]) }, kinds, clock, Random::system()).await?)
    }
}

fn shared(backend: Backend) -> Backend {
    let name = "shared".to_owned();
    Backend::Places { newcomers: name.clone(), places: vec![steward_store::Place { name, backend, layout: Layout::Shared }] }
}

/// Makes a tenant.
pub(crate) async fn tenant(store: &Store) -> Result<Ctx, Failure> {
    let tenant = TenantId::new(store.clock(), store.random());
    store.provision(tenant).await?;
    Ok(steward_auth::system(tenant, "bench"))
}

/// What is written: five indexed fields, one of them unique, and a searchable text.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct Asset {
    #[schemars(extend("indexed" = true, "unique" = true))]
    serial: String,
    #[schemars(extend("indexed" = true, "searchable" = true))]
    name: String,
    #[schemars(extend("indexed" = true))]
    site: String,
    #[schemars(extend("indexed" = true))]
    state: String,
    #[schemars(extend("indexed" = true))]
    price: i64,
    description: String,
}

impl Model for Asset {
    const KIND: &'static str = "asset";
    const PREFIX: &'static str = "ast";
}

impl Asset {
    pub(crate) fn new(number: u64) -> Self {
        Self {
            serial: format!("serial-{number}"),
            name: format!("asset {number} of house {}", number % 1_000),
            site: format!("site-{}", number % 500),
            state: ["new", "used", "broken"][usize::try_from(number % 3).unwrap_or_default()].to_owned(),
            price: i64::try_from(number * 7_919 % 1_000_000).unwrap_or_default(),
            description: "an asset to look after ".repeat(8),
        }
    }
}

/// Makes records with numbers from 0.
pub(crate) async fn fill(store: &Store, ctx: &Ctx, records: u64) -> Result<(), Failure> {
    for first in (0..records).step_by(usize::try_from(FILL_PER_UNIT)?) {
        let mut unit = UnitOfWork::new();
        for number in first..records.min(first + FILL_PER_UNIT) {
            unit = unit.create(store.mint_id(), &Asset::new(number));
        }
        store.commit(ctx, unit).await?;
    }
    Ok(())
}
