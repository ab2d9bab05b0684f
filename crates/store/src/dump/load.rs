//! Loading a tenant: a namespace is written where nobody sees it, and becomes the tenant's at once when everything held.

use bytes::Bytes;
use futures_util::Stream;
use steward_base::{Error, ErrorKind, TenantId};

use super::frame::{End, Frame, Frames, Header, newer};
use super::table::{Column, Told};
use super::{Cell, Position, Step, TABLES, Table, Writer, damaged};
use crate::chain;
use crate::remote::Departing;

/// Rows of one step.
const AT_ONCE: usize = 2_000;

/// A namespace that is being loaded. First a whole dump is applied, then any number of increments, each going on where the last one ended.
///
/// Nobody sees it before [`crate::Store::publish`]. One that is given up is removed by [`Loading::discard`], and whatever a crash leaves by the next
/// start.
pub struct Loading(Where);

enum Where {
    Here(Box<Here>),
    /// The data role writes it.
    There(Departing),
}

/// One that this process writes.
struct Here {
    tenant: TenantId,
    /// Taken by whatever ends it.
    writer: Option<Writer>,
    /// Of the last event; nothing before the first dump.
    head: Option<(i64, [u8; 32])>,
    /// A stream was refused halfway.
    spoilt: bool,
}

/// What a stream says of itself, matched with what is known here.
struct Plan {
    tables: Vec<(&'static Table, Vec<usize>)>,
    counts: Vec<u64>,
}

impl Loading {
    pub(crate) fn begin(tenant: TenantId, writer: Writer) -> Self {
        Self(Where::Here(Box::new(Here { tenant, writer: Some(writer), head: None, spoilt: false })))
    }

    pub(crate) fn there(departing: Departing) -> Self {
        Self(Where::There(departing))
    }

    /// One that is written nowhere: for finding out whether dumps are what they should be.
    pub fn checking(tenant: TenantId) -> Self {
        Self::begin(tenant, Writer::Nowhere)
    }

    /// Whose it is.
    pub fn tenant(&self) -> TenantId {
        match &self.0 {
            Where::Here(here) => here.tenant,
            Where::There(departing) => departing.tenant(),
        }
    }

    /// Takes a dump in: a whole one first, then increments. Answers where the tenant is then.
    ///
    /// Errors: `dump_damaged`, `dump_cut`, `dump_foreign`, `dump_newer`, `dump_position`, the stream's own, and those of a commit. After any
    /// of them it can only be discarded.
    pub async fn apply(&mut self, stream: impl Stream<Item = Result<Bytes, Error>> + Unpin) -> Result<Position, Error> {
        match &mut self.0 {
            Where::Here(here) => here.apply(stream).await,
            Where::There(departing) => departing.apply(stream).await,
        }
    }

    /// Makes it the tenant's namespace, durably. Fails with `tenant_exists` when there is one.
    pub(crate) async fn finish(self) -> Result<(), Error> {
        match self.0 {
            Where::Here(here) => here.finish().await,
            Where::There(departing) => departing.publish().await,
        }
    }

    /// Removes what was loaded.
    pub async fn discard(self) {
        match self.0 {
            Where::Here(here) => here.discard().await,
            Where::There(departing) => departing.discard().await,
        }
    }
}

impl Here {
    async fn apply(&mut self, stream: impl Stream<Item = Result<Bytes, Error>> + Unpin) -> Result<Position, Error> {
        if std::mem::replace(&mut self.spoilt, true) {
            return Err(Error::internal("a dump was applied to a namespace that one was refused for"));
        }
        let mut frames = Frames::of(stream);
        let header = frames.header().await?;
        let mut plan = self.check(&header)?;
        let mut head = self.head.unwrap_or_default();
        let end = loop {
            match frames.next().await? {
                Frame::Header(_) => return Err(damaged("a header stands inside of it")),
                Frame::Rows(table, rows) => self.rows(&mut plan, usize::from(table), rows, &mut head).await?,
                Frame::Replaced(ids) => self.step(Step::Remove(ids)).await?,
                Frame::Cleared(table) => {
                    let (table, _) = plan.tables[usize::from(table)];
                    if table.told != Told::Whole {
                        return Err(damaged("a table is cleared that never is"));
                    }
                    self.step(Step::Clear(table)).await?;
                }
                Frame::End(end) => break end,
            }
        };
        frames.finish().await?;
        plan.complete(&end, head)?;
        self.step(Step::Head(head.0, head.1)).await?;
        self.writer()?.sync().await?;
        self.head = Some(head);
        self.spoilt = false;
        Ok(end.head)
    }

    async fn finish(mut self) -> Result<(), Error> {
        match self.writer.take() {
            Some(writer) if self.head.is_some() && !self.spoilt => writer.publish().await,
            Some(writer) => {
                writer.discard().await;
                Err(Error::internal("a namespace was to be used that no whole dump was loaded into"))
            }
            None => Err(Error::internal("a namespace is loaded once")),
        }
    }

    async fn discard(mut self) {
        if let Some(writer) = self.writer.take() {
            writer.discard().await;
        }
    }

    fn check(&self, header: &Header) -> Result<Plan, Error> {
        if header.tenant != self.tenant {
            let detail = format!("This copy is of the tenant {} and not of {}.", header.tenant, self.tenant);
            return Err(Error::new(ErrorKind::Invalid, "dump_foreign", detail));
        }
        let fits = match (&header.after, self.head) {
            (None, None) => true,
            (Some(after), Some(head)) => *after == Position::of(head),
            _ => false,
        };
        if !fits {
            let detail = "This copy does not go on where the one before it ended: apply them from the whole one on, in their order.";
            return Err(Error::new(ErrorKind::Conflict, "dump_position", detail));
        }
        let known = |(name, columns): &(String, Vec<String>)| {
            let table = TABLES.iter().find(|table| table.name == *name)?;
            let places = table.columns.iter().map(|known| columns.iter().position(|name| name == known.name).unwrap_or(usize::MAX));
            columns.iter().all(|name| table.column(name).is_some()).then(|| (table, places.collect()))
        };
        let tables: Vec<_> = header.tables.iter().map(known).collect::<Option<_>>().ok_or_else(newer)?;
        Ok(Plan { counts: vec![0; tables.len()], tables })
    }

    async fn rows(&mut self, plan: &mut Plan, number: usize, rows: Vec<Vec<Cell>>, head: &mut (i64, [u8; 32])) -> Result<(), Error> {
        let (table, places) = &plan.tables[number];
        plan.counts[number] += rows.len() as u64;
        let mut ready = Vec::with_capacity(rows.len());
        for mut row in rows {
            let cells: Vec<Cell> =
                places.iter().map(|place| row.get_mut(*place).map_or(Cell::Null, |cell| std::mem::replace(cell, Cell::Null))).collect();
            let fits = |(cell, column): (&Cell, &Column)| column.takes(cell);
            if !cells.iter().zip(table.columns).all(fits) {
                return Err(damaged(format!("a row of {} is not of its form", table.name)));
            }
            if table.told == Told::Itself {
                *head = self.follow(&cells, *head)?;
            }
            ready.push(cells);
        }
        while !ready.is_empty() {
            let rest = ready.split_off(ready.len().min(AT_ONCE));
            let some = std::mem::replace(&mut ready, rest);
            self.step(if table.is_records() { Step::Records(some) } else { Step::Put(table, some) }).await?;
        }
        Ok(())
    }

    /// An event must follow from the one before.
    fn follow(&self, cells: &[Cell], head: (i64, [u8; 32])) -> Result<(i64, [u8; 32]), Error> {
        let broken = || damaged(format!("the event chain does not hold at position {}", head.0 + 1));
        let (Some(position), Some(hash), Some(body)) = (cells[0].int(), cells[2].bytes(), cells[3].bytes()) else { return Err(broken()) };
        let link = chain::link(&head.1, body);
        if position != head.0 + 1 || hash != link || !chain::names(self.tenant, position, body) {
            return Err(broken());
        }
        Ok((position, link))
    }

    async fn step(&mut self, step: Step) -> Result<(), Error> {
        self.writer()?.step(step).await
    }

    fn writer(&mut self) -> Result<&mut Writer, Error> {
        self.writer.as_mut().ok_or_else(|| Error::internal("a namespace is loaded once"))
    }
}

impl Plan {
    /// Everything that was told is there.
    fn complete(&self, end: &End, head: (i64, [u8; 32])) -> Result<(), Error> {
        if end.head == Position::of(head) && end.rows == self.counts { Ok(()) } else { Err(damaged("its end does not agree with it")) }
    }
}
