//! The PostgreSQL engine.

use steward_base::{Error, RecordId, Secret, TenantId};
use tokio::sync::watch;

use crate::engine::Surroundings;
use crate::list::{Range, Scan, Scanned};
use crate::prepare::Prepared;
use crate::rows::{EventRow, IndexField, Row};
use crate::unit::Committed;

pub(crate) enum Postgres {}

impl Postgres {
    pub(crate) async fn open(_: &Secret<String>, _: usize, _: Surroundings) -> Result<Self, Error> {
        Err(Error::new(steward_base::ErrorKind::Unavailable, "database_unavailable", "This build speaks to SQLite only."))
    }
    pub(crate) async fn provision(&self, _: TenantId) -> Result<(), Error> {
        match *self {}
    }
    pub(crate) async fn get(&self, _: TenantId, _: usize, _: RecordId) -> Result<Option<Row>, Error> {
        match *self {}
    }
    pub(crate) async fn find(&self, _: TenantId, _: usize, _: usize, _: Vec<u8>) -> Result<Option<(RecordId, Row)>, Error> {
        match *self {}
    }
    pub(crate) async fn count(&self, _: TenantId, _: usize, _: IndexField, _: Range, _: Option<i64>) -> Result<i64, Error> {
        match *self {}
    }
    pub(crate) async fn scan(&self, _: TenantId, _: Scan) -> Result<Scanned, Error> {
        match *self {}
    }
    pub(crate) async fn commit(&self, _: TenantId, _: Prepared) -> Result<Committed, Error> {
        match *self {}
    }
    pub(crate) async fn events(&self, _: TenantId, _: i64, _: usize) -> Result<Vec<EventRow>, Error> {
        match *self {}
    }
    pub(crate) async fn head(&self, _: TenantId) -> Result<(i64, [u8; 32]), Error> {
        match *self {}
    }
    pub(crate) fn watch(&self, _: TenantId) -> watch::Receiver<i64> {
        match *self {}
    }
    pub(crate) async fn health(&self) -> Result<(), Error> {
        match *self {}
    }
    pub(crate) async fn close(&self) {
        match *self {}
    }
}
