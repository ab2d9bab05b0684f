//! A dump on its way to another installation, and in from one: what its data keys are wrapped under changes, and what is of no use elsewhere
//! is left out.

use bytes::Bytes;
use futures_util::{Stream, stream};
use steward_base::{Error, Random, TenantId};

use super::frame::{Frame, Frames, Header};
use super::{Cell, damaged};
use crate::keys::{KeyRow, MasterKey};
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
}

/// Answers to repeated requests are sealed under the master key of the installation that gave them.
const ANSWERS: &str = "idempotency";

impl Store {
    /// The tenant's dump for another installation: its data keys are wrapped under the key of the journey. See [`Store::dump`].
    pub async fn dump_for_elsewhere(&self, to: &Elsewhere) -> Result<impl Stream<Item = Result<Bytes, Error>> + Send + use<>, Error> {
        let dump = self.dump(to.tenant, None).await?;
        let change = Change { how: to.clone(), from: self.vault().master.clone(), to: to.key.clone(), random: self.random().clone() };
        Ok(changed(dump, change))
    }

    /// A dump of [`Store::dump_for_elsewhere`] as this installation can load it: its data keys are wrapped under the own master key. It ends with
    /// `master_key_wrong` when they do not open under the key of the journey.
    pub fn dump_from_elsewhere<S>(&self, from: &Elsewhere, dump: S) -> impl Stream<Item = Result<Bytes, Error>> + Send + use<S>
    where
        S: Stream<Item = Result<Bytes, Error>> + Unpin + Send,
    {
        let change = Change { how: from.clone(), from: from.key.clone(), to: self.vault().master.clone(), random: self.random().clone() };
        changed(dump, change)
    }
}

/// What is done to the frames.
struct Change {
    how: Elsewhere,
    from: MasterKey,
    to: MasterKey,
    random: Random,
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
                rows.retain(|row| row[kind].text().is_none_or(|kind| !change.how.without.contains(&kind)));
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
