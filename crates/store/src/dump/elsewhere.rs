//! A dump on its way to another installation, and in from one: what its data keys are wrapped under changes, and what is of no use elsewhere
//! is left out.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::{Stream, stream};
use steward_base::{Error, ErrorKind, Random, TenantId};

use super::frame::{Frame, Frames, Header};
use super::{Cell, damaged};
use crate::keys::{KeyRow, MasterKey};
use crate::kind::Kinds;
use crate::store::Store;

/// What a dump that leaves its installation is like.
#[derive(Clone, Debug)]
pub struct Elsewhere {
    /// Whose it is.
    pub tenant: TenantId,
    /// What the data keys are wrapped under on the way.
    pub key: MasterKey,
    /// Kinds whose records stay: their events go along.
    pub without: Vec<&'static str>,
    /// Kinds of jobs that no tenant has. A dump that brings one, or a record of a kind that is the platform's, was made by somebody who means to act
    /// outside of their tenant, and is refused.
    pub never: Vec<&'static str>,
}

/// Answers to repeated requests are sealed under the master key of the installation that gave them.
const ANSWERS: &str = "idempotency";

impl Store {
    /// The tenant's dump for another installation: its data keys are wrapped under the key of the journey. See [`Store::dump`].
    pub async fn dump_for_elsewhere(&self, to: &Elsewhere) -> Result<impl Stream<Item = Result<Bytes, Error>> + Send + use<>, Error> {
        let dump = self.dump(to.tenant, None).await?;
        let change =
            Change { how: to.clone(), from: self.vault().master.clone(), to: to.key.clone(), random: self.random().clone(), guard: None };
        Ok(changed(dump, change))
    }

    /// A dump of [`Store::dump_for_elsewhere`] as this installation can load it: its data keys are wrapped under the own master key. It ends with
    /// `master_key_wrong` when they do not open under the key of the journey, and with `dump_privileged` when it brings what no tenant has.
    pub fn dump_from_elsewhere<S>(&self, from: &Elsewhere, dump: S) -> impl Stream<Item = Result<Bytes, Error>> + Send + use<S>
    where
        S: Stream<Item = Result<Bytes, Error>> + Unpin + Send,
    {
        let (random, guard) = (self.random().clone(), Some(self.0.kinds.clone()));
        let change = Change { how: from.clone(), from: from.key.clone(), to: self.vault().master.clone(), random, guard };
        changed(dump, change)
    }
}

/// What is done to the frames.
struct Change {
    how: Elsewhere,
    from: MasterKey,
    to: MasterKey,
    random: Random,
    /// By which it is known what the platform's own is, on the way in.
    guard: Option<Arc<Kinds>>,
}

impl Change {
    /// Fails with `dump_privileged` for records of these kinds.
    fn check_records<'a>(&self, mut kinds: impl Iterator<Item = &'a str>) -> Result<(), Error> {
        let Some(known) = &self.guard else { return Ok(()) };
        match kinds.find(|kind| known.get(kind).is_some_and(|kind| kind.is_of_platform())) {
            Some(kind) => Err(privileged(&format!("records of the kind {kind}"))),
            None => Ok(()),
        }
    }

    /// Fails with `dump_privileged` for jobs of these kinds.
    fn check_jobs<'a>(&self, mut kinds: impl Iterator<Item = &'a str>) -> Result<(), Error> {
        match kinds.find(|kind| self.guard.is_some() && self.how.never.contains(kind)) {
            Some(kind) => Err(privileged(&format!("jobs of the kind {kind}"))),
            None => Ok(()),
        }
    }
}

fn privileged(what: &str) -> Error {
    let detail = format!("This file brings {what}, which no tenant has: no export wrote it. Do not trust whoever it came from.");
    Error::new(ErrorKind::Invalid, "dump_privileged", detail)
}

/// Where the stream stands.
enum At<S> {
    Begin(Frames<S>),
    Inside(Frames<S>, Box<Told>),
    End,
}

/// What the header says, and how many rows of each table were left out.
struct Told {
    header: Header,
    left_out: Vec<u64>,
}

fn changed<S>(dump: S, change: Change) -> impl Stream<Item = Result<Bytes, Error>> + Send + use<S>
where
    S: Stream<Item = Result<Bytes, Error>> + Unpin + Send,
{
    stream::try_unfold((At::Begin(Frames::of(dump)), change), |(at, change)| async move {
        match at {
            At::Begin(mut frames) => {
                let header = frames.header().await?;
                let bytes = Frame::Header(header.clone()).encode()?;
                let told = Told { left_out: vec![0; header.tables.len()], header };
                Ok(Some((bytes, (At::Inside(frames, Box::new(told)), change))))
            }
            At::Inside(mut frames, mut told) => match frames.next().await? {
                Frame::End(mut end) => {
                    frames.finish().await?;
                    end.rows.iter_mut().zip(&told.left_out).for_each(|(rows, left_out)| *rows = rows.saturating_sub(*left_out));
                    Ok(Some((Frame::End(end).encode()?, (At::End, change))))
                }
                Frame::Rows(table, rows) => {
                    let rows = told.rows(&change, usize::from(table), rows)?;
                    Ok(Some((Frame::Rows(table, rows).encode()?, (At::Inside(frames, told), change))))
                }
                other => Ok(Some((other.encode()?, (At::Inside(frames, told), change)))),
            },
            At::End => Ok(None),
        }
    })
}

impl Told {
    fn rows(&mut self, change: &Change, number: usize, mut rows: Vec<Vec<Cell>>) -> Result<Vec<Vec<Cell>>, Error> {
        let (table, columns) = &self.header.tables[number];
        let place = |name: &str| {
            let found = columns.iter().position(|column| column == name);
            found.ok_or_else(|| damaged(format!("{table} has no {name}")))
        };
        let before = rows.len();
        match table.as_str() {
            ANSWERS => rows.clear(),
            "record" => {
                let kind = place("kind")?;
                change.check_records(rows.iter().filter_map(|row| row[kind].text()))?;
                rows.retain(|row| row[kind].text().is_none_or(|kind| !change.how.without.contains(&kind)));
            }
            "job" => {
                let kind = place("kind")?;
                change.check_jobs(rows.iter().filter_map(|row| row[kind].text()))?;
            }
            "data_key" => {
                let (id, wrapped) = (place("id")?, place("wrapped")?);
                for row in &mut rows {
                    let key = row[id].id().zip(row[wrapped].text()).ok_or_else(|| damaged("a data key is not of its form"))?;
                    let key = KeyRow { id: key.0, subject: None, wrapped: key.1.into(), created_at: 0 };
                    row[wrapped] = Cell::Text(key.carried((&change.from, &change.to), change.how.tenant, &change.random)?);
                }
            }
            _ => {}
        }
        self.left_out[number] += (before - rows.len()) as u64;
        Ok(rows)
    }
}
