//! Who read records with personal data, and who read secrets. Handlers that show such records say so here before they answer; the server gives the other end to
//! whatever keeps the entries.
//!
//! An entry is handed over before the answer goes out, and nobody waits for the disk. Where it cannot be handed over, nothing is read.

use std::time::Duration;

use steward_base::{Ctx, Error, ErrorKind, RecordId, Result, Timestamp};
use steward_store::Kind;
use tokio::sync::mpsc;

use crate::site::Site;

/// Entries that wait to be kept; beyond it readers wait.
const WAITING: usize = 10_000;
/// How long a reader waits for room.
const PATIENCE: Duration = Duration::from_secs(5);
/// Ids that one entry names; the others are counted.
const NAMED: usize = 50;

/// That somebody read records of a kind.
#[derive(Clone, Debug)]
pub struct AccessEntry {
    /// When.
    pub time: Timestamp,
    /// Who, in which tenant, by which operation (the reason), from where, in which request.
    pub ctx: Ctx,
    /// The kind's name.
    pub kind: String,
    /// The first 50 of the records, by wire id.
    pub ids: Vec<String>,
    /// How many there were.
    pub count: usize,
    /// What was asked for, where more than one record could have been the answer.
    pub filter: Option<String>,
    /// The field, where it was a secret that was asked for.
    pub secret: Option<String>,
}

/// Where entries are handed over.
#[derive(Clone, Debug)]
pub struct AccessLog(mpsc::Sender<AccessEntry>);

/// Both ends of an access log.
pub fn access_log() -> (AccessLog, mpsc::Receiver<AccessEntry>) {
    let (sender, receiver) = mpsc::channel(WAITING);
    (AccessLog(sender), receiver)
}

impl Site {
    /// Says that the caller is about to be shown these records; nothing happens for kinds without personal data, or where no log is kept.
    ///
    /// Errors: `access_log_unavailable`.
    pub async fn saw(&self, ctx: &Ctx, kind: &Kind, ids: impl ExactSizeIterator<Item = RecordId>, filter: Option<&str>) -> Result<()> {
        let Some(log) = self.access_log().filter(|_| kind.is_personal()) else { return Ok(()) };
        let entry = AccessEntry {
            time: self.clock().now(),
            ctx: ctx.clone(),
            kind: kind.name().to_owned(),
            count: ids.len(),
            ids: ids.take(NAMED).map(|id| id.wire(kind.prefix())).collect(),
            filter: filter.map(str::to_owned),
            secret: None,
        };
        hand_over(log, entry).await
    }

    /// Says that the caller is about to be shown a secret of a record, whatever else the kind holds.
    ///
    /// Errors: `access_log_unavailable`.
    pub(crate) async fn reveals(&self, ctx: &Ctx, kind: &Kind, id: RecordId, field: &str) -> Result<()> {
        let Some(log) = self.access_log() else { return Ok(()) };
        let entry = AccessEntry {
            time: self.clock().now(),
            ctx: ctx.clone(),
            kind: kind.name().to_owned(),
            count: 1,
            ids: vec![id.wire(kind.prefix())],
            filter: None,
            secret: Some(field.to_owned()),
        };
        hand_over(log, entry).await
    }
}

async fn hand_over(log: &AccessLog, entry: AccessEntry) -> Result<()> {
    let handed_over = tokio::time::timeout(PATIENCE, log.0.send(entry)).await.is_ok_and(|sent| sent.is_ok());
    handed_over.then_some(()).ok_or_else(|| {
        let detail = "Who reads personal data is recorded, and that is not possible at the moment: try again later.";
        Error::new(ErrorKind::Unavailable, "access_log_unavailable", detail).with_retry_after(PATIENCE)
    })
}
