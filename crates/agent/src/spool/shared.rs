//! The spool as the agent's parts share it: its file work stays off the threads that serve the network.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use steward_base::{Error, Result};
use tokio::sync::Notify;

use super::{Batch, Figures, Position, Spool};

/// A handle to the one spool.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    spool: Arc<Mutex<Spool>>,
    appended: Arc<Notify>,
}

impl Shared {
    pub(crate) fn open(folder: &Path, limit: u64) -> Result<Self> {
        Ok(Self { spool: Arc::new(Mutex::new(Spool::open(folder, limit)?)), appended: Arc::new(Notify::new()) })
    }

    /// Appends and wakes the sender. Blocks on the disk.
    pub(crate) fn append_blocking(&self, batch: &Batch) -> Result<()> {
        let result = self.with(|spool| spool.append(batch));
        self.appended.notify_one();
        result
    }

    pub(crate) async fn append(&self, batch: Batch) -> Result<()> {
        let shared = self.clone();
        blocking(move || shared.append_blocking(&batch)).await?
    }

    /// The oldest unsent batch, as soon as there is one.
    pub(crate) async fn next(&self) -> Result<(Position, Batch)> {
        loop {
            let shared = self.clone();
            if let Some(found) = blocking(move || shared.with(Spool::oldest)).await?? {
                return Ok(found);
            }
            // One permit is kept when nobody waits, so an append between the look and the wait is not missed.
            self.appended.notified().await;
        }
    }

    pub(crate) async fn sent(&self, position: Position, batch: Batch) -> Result<()> {
        let shared = self.clone();
        blocking(move || shared.with(|spool| spool.sent(position, &batch))).await
    }

    pub(crate) async fn refused(&self, position: Position, batch: Batch) -> Result<()> {
        let shared = self.clone();
        blocking(move || shared.with(|spool| spool.refused(position, &batch))).await
    }

    pub(crate) fn figures(&self) -> Figures {
        self.with(|spool| spool.figures())
    }

    fn with<R>(&self, act: impl FnOnce(&mut Spool) -> R) -> R {
        // A panic in the middle of an append leaves at worst a torn tail, which recovery cuts off.
        act(&mut self.spool.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

async fn blocking<R: Send + 'static>(act: impl FnOnce() -> R + Send + 'static) -> Result<R> {
    tokio::task::spawn_blocking(act).await.map_err(Error::internal)
}
