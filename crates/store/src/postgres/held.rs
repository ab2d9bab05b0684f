//! A connection in the middle of something: a transaction, or a lock that goes with it.

use std::ops::Deref;

use deadpool_postgres::{Client, PoolError};
use tokio_postgres::error::SqlState;

use super::connect::Connections;
use super::failure::Failure;

/// A connection that nobody else meets before it is given back. One that is dropped instead is closed, and the server ends what it was at:
/// whoever waited may have gone in the middle of it.
pub(super) struct Held(Option<Client>);

impl Connections {
    /// A connection for more than one statement.
    pub(super) async fn hold(&self) -> Result<Held, PoolError> {
        Ok(Held(Some(self.pool.get().await?)))
    }
}

impl Held {
    /// Takes a lock that goes with the connection; without it the connection is of no more use. It waits as long as a server needs to notice that
    /// another one is gone.
    pub(super) async fn lock(&self, sql: &str, name: &str) -> Result<bool, Failure> {
        self.batch_execute("BEGIN; SET LOCAL lock_timeout = '2s'").await?;
        match self.query(sql, &[&name]).await {
            Ok(_) => Ok(self.batch_execute("COMMIT").await.map(|()| true)?),
            Err(error) if error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// It has no transaction and no lock any more.
    pub(super) fn give_back(mut self) {
        drop(self.0.take());
    }
}

impl Deref for Held {
    type Target = Client;

    fn deref(&self) -> &Client {
        self.0.as_ref().expect("it is there until it is given back")
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(client) = self.0.take() {
            drop(Client::take(client));
        }
    }
}
