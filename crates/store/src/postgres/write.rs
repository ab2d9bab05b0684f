//! One batch in one transaction: lock the head, load what is wanted, decide, write each table once, commit.

use std::time::Duration;

use deadpool_postgres::Client;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all};
use steward_base::{Clock, Error};
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::attempts::Remembering;
use super::dialect;
use super::failure::Failure;
use super::jobs::{Putting, Receiving, Sweeping, Tallying};
use super::keys::{self, Keeping, Rewrapping};
use super::namespace::Namespace;
use super::read::{field_name, hash_at, id_at, row_of};
use super::search::Telling;
use super::spans::Spanning;
use crate::engine::no_namespace;
use crate::plan::{Done, Inbound, Planner, State, Wanted};
use crate::prepare::{MAX_WRITES, Prepared, inbound};
use crate::rows::{IndexKey, Key, UniqueKey, Writes};
use crate::tally::TallyKey;
use crate::value;

/// What a batch came to.
pub(super) enum Outcome {
    /// It is on disk.
    Committed(Committed),
    /// Nothing of it happened.
    Failed(Failure),
    /// The connection broke while it was being committed: it happened if this position has this hash. Without an event there is no telling:
    /// leases end by themselves, and what is counted or received beside no event is asked for again.
    Unknown(Committed, Option<[u8; 32]>, Failure),
}

pub(super) struct Committed {
    pub(super) answers: Vec<Result<Done, Error>>,
    pub(super) position: i64,
    pub(super) life: Uuid,
    pub(super) rows: usize,
}

type Sending<'a> = BoxFuture<'a, Result<(), tokio_postgres::Error>>;

/// Runs the units as one transaction, until a time of the planner's monotonic clock.
pub(super) async fn batch(
    client: &Client,
    namespace: &Namespace,
    planner: &Planner<'_>,
    units: &[&Prepared],
    deadline: Duration,
) -> Outcome {
    let (answers, writes, life) = match within(planner.clock, deadline, decide(client, namespace, planner, units)).await {
        Ok(decided) => decided,
        Err(failure) => {
            if !failure.is_outage() {
                roll_back(client, planner.clock, deadline).await;
            }
            return Outcome::Failed(failure);
        }
    };
    let ((position, hash), rows, nothing) = (writes.head, writes.rows(), writes.is_empty());
    let told = !writes.events.is_empty();
    let committed = Committed { answers, position, life, rows };
    match within(planner.clock, deadline, write(client, namespace, planner, &writes)).await {
        Ok(()) => Outcome::Committed(committed),
        // Without a write there is no difference.
        Err(Failure::Lost(_) | Failure::TimedOut) if nothing => Outcome::Committed(committed),
        Err(failure @ (Failure::Lost(_) | Failure::TimedOut)) => Outcome::Unknown(committed, told.then_some(hash), failure),
        Err(failure) => {
            roll_back(client, planner.clock, deadline).await;
            Outcome::Failed(failure)
        }
    }
}

/// The connection is given up afterwards whatever becomes of this; it only lets go of the head sooner.
async fn roll_back(client: &Client, clock: &Clock, deadline: Duration) {
    let _ = within(clock, deadline, async { Ok(client.batch_execute("ROLLBACK").await?) }).await;
}

/// Waits for the server until a time of the monotonic clock. After a time-out the connection is in no known state.
pub(super) async fn within<T>(clock: &Clock, deadline: Duration, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let left = deadline.saturating_sub(clock.monotonic());
    tokio::time::timeout(left, work).await.unwrap_or(Err(Failure::TimedOut))
}

/// Whether the event at a position has this hash. Waits for whoever still holds the head: the broken transaction may be about to commit.
pub(super) async fn happened(client: &Client, namespace: &Namespace, position: i64, hash: &[u8; 32]) -> Result<bool, Failure> {
    let tenant = namespace.tenant.record().uuid();
    client.batch_execute("BEGIN").await?;
    client.query(dialect::AS_TENANT, &[&tenant.to_string()]).await?;
    client.query(&namespace.statements.lock_head, &[&tenant]).await?;
    let found = client.query_opt(&namespace.statements.hash_at, &[&tenant, &position]).await?;
    client.batch_execute("COMMIT").await?;
    Ok(found.is_some_and(|row| hash_at(&row, 0) == *hash))
}

async fn decide(
    client: &Client,
    namespace: &Namespace,
    planner: &Planner<'_>,
    units: &[&Prepared],
) -> Result<(Vec<Result<Done, Error>>, Writes, Uuid), Failure> {
    let tenant = namespace.tenant.record().uuid();
    let as_tenant = client.prepare_cached(dialect::AS_TENANT).await?;
    let lock_head = client.prepare_cached(&namespace.statements.lock_head).await?;
    let mut wanted = Wanted::by(planner.kinds, units.iter().copied());
    let loads = Loads::prepare(client, namespace).await?;
    // One round trip: the connection sends in the order in which these are polled, and the lock is held before the first row is read.
    let (setting, (begun, (set, (head, first)))) = {
        let setting = tenant.to_string();
        let tenant_bound: [&(dyn ToSql + Sync); 1] = [&setting];
        let head_bound: [&(dyn ToSql + Sync); 1] = [&tenant];
        let sent = futures_util::future::join(
            client.batch_execute("BEGIN"),
            futures_util::future::join(
                client.query(&as_tenant, &tenant_bound),
                futures_util::future::join(client.query_opt(&lock_head, &head_bound), loads.rows(client, planner, tenant, &wanted)),
            ),
        )
        .await;
        (setting, sent)
    };
    drop(setting);
    begun?;
    set?;
    // Taken away while the tenant is moved by another process.
    let head = head?.ok_or_else(no_namespace)?;
    let mut state = State::new(head.get(0), hash_at(&head, 1));
    first?.into_state(planner, &wanted, &mut state);
    Box::pin(super::jobs::load(client, namespace, planner.clock, &wanted, &mut state)).await?;
    super::attempts::load(client, namespace, &wanted, &mut state).await?;
    keys::load(client, namespace, planner.kinds, &wanted, &mut state).await?;
    loop {
        loads.referrers(client, planner, tenant, &wanted, &mut state).await?;
        wanted = state.wants_more(planner.kinds);
        if wanted.is_empty() {
            break;
        }
        loads.rows(client, planner, tenant, &wanted).await?.into_state(planner, &wanted, &mut state);
        Box::pin(super::jobs::load(client, namespace, planner.clock, &wanted, &mut state)).await?;
        keys::load(client, namespace, planner.kinds, &wanted, &mut state).await?;
    }
    let (answers, writes) = planner.batch(&mut state, units.iter().copied());
    Ok((answers, writes, head.get(2)))
}

/// The statements that load.
struct Loads {
    records: tokio_postgres::Statement,
    owners: tokio_postgres::Statement,
    referrers: tokio_postgres::Statement,
}

struct Loaded {
    records: Vec<tokio_postgres::Row>,
    owners: Vec<tokio_postgres::Row>,
    asked: Vec<UniqueKey>,
}

impl Loads {
    async fn prepare(client: &Client, namespace: &Namespace) -> Result<Self, Failure> {
        let statements = &namespace.statements;
        Ok(Self {
            records: client.prepare_cached(&statements.records).await?,
            owners: client.prepare_cached(&statements.owners).await?,
            referrers: client.prepare_cached(&statements.referrers).await?,
        })
    }

    async fn rows(&self, client: &Client, planner: &Planner<'_>, tenant: Uuid, wanted: &Wanted) -> Result<Loaded, Failure> {
        let kinds: Vec<&str> = wanted.records.iter().map(|(kind, _)| planner.kinds.at(*kind).name()).collect();
        let ids: Vec<Uuid> = wanted.records.iter().map(|(_, id)| id.uuid()).collect();
        let asked: Vec<UniqueKey> = wanted.unique.iter().cloned().collect();
        let of: Vec<&str> = asked.iter().map(|(kind, _, _)| planner.kinds.at(*kind).name()).collect();
        let fields: Vec<&str> = asked.iter().map(|(kind, field, _)| planner.kinds.at(*kind).fields()[*field].path.as_str()).collect();
        let values: Vec<&[u8]> = asked.iter().map(|(_, _, value)| value.as_slice()).collect();
        let records_bound: [&(dyn ToSql + Sync); 3] = [&tenant, &kinds, &ids];
        let owners_bound: [&(dyn ToSql + Sync); 4] = [&tenant, &of, &fields, &values];
        let some =
            |wanted: bool, statement, bound| async move { if wanted { client.query(statement, bound).await } else { Ok(Vec::new()) } };
        let (records, owners) = futures_util::future::join(
            some(!ids.is_empty(), &self.records, &records_bound[..]),
            some(!asked.is_empty(), &self.owners, &owners_bound[..]),
        )
        .await;
        Ok(Loaded { records: records?, owners: owners?, asked })
    }

    async fn referrers(
        &self,
        client: &Client,
        planner: &Planner<'_>,
        tenant: Uuid,
        wanted: &Wanted,
        state: &mut State,
    ) -> Result<(), Failure> {
        for target in &wanted.inbound {
            let found = self.referrers_of(client, planner, tenant, *target).await?;
            state.loaded_inbound(*target, found);
        }
        Ok(())
    }

    /// The records that refer to one, up to more than a unit may delete.
    async fn referrers_of(&self, client: &Client, planner: &Planner<'_>, tenant: Uuid, target: Key) -> Result<Vec<Inbound>, Failure> {
        let wire = value::text(&target.1.wire(planner.kinds.at(target.0).prefix()));
        let mut found = Vec::new();
        for (kind, field) in inbound(planner.kinds, target.0) {
            let model = planner.kinds.at(kind);
            let most = MAX_WRITES as i64 + 1;
            let rows = client.query(&self.referrers, &[&tenant, &model.name(), &model.fields()[field].path, &wire, &most]).await?;
            found.extend(rows.iter().map(|row| Inbound { key: (kind, id_at(row, 0)), field }));
        }
        Ok(found)
    }
}

impl Loaded {
    fn into_state(self, planner: &Planner<'_>, wanted: &Wanted, state: &mut State) {
        for row in &self.records {
            if let Some(kind) = planner.kinds.index(row.get::<_, &str>(9)) {
                state.loaded_record(planner.kinds, (kind, id_at(row, 10)), row_of(row));
            }
        }
        state.loaded_restored(wanted);
        for row in &self.owners {
            // Ordinality counts from 1.
            if let Some(key) = self.asked.get(row.get::<_, i64>(0) as usize - 1) {
                state.loaded_owner(key.clone(), id_at(row, 1));
            }
        }
    }
}

/// Sends every table's statement and the commit without waiting in between.
pub(super) async fn write(client: &Client, namespace: &Namespace, planner: &Planner<'_>, writes: &Writes) -> Result<(), Failure> {
    let statements = &namespace.statements;
    let tenant = namespace.tenant.record().uuid();
    let (put, leave, enter) = (Put::of(planner, writes), Entries::of(planner, &writes.index_gone), Entries::of(planner, &writes.index_new));
    let (free, claim, append) = (Claims::of(planner, &writes.unique_gone), Claims::of(planner, &writes.unique_new), Append::of(writes));
    let (untell, tell) = (Telling::of(planner, &writes.terms_gone), Telling::of(planner, &writes.terms_new));
    let (jobs, tallies, receive) = (Putting::of(&writes.jobs), Tallying::of(&writes.tallies), Receiving::of(&writes.received));
    let remember = Remembering::of(&writes.attempts);
    let sweeping = Sweeping::of(writes.sweep);
    let spanning = Spanning::of(&writes.spans, writes.sweep);
    let (keeping, gone) = (Keeping::of(&writes.keys), Gone::of(planner, writes));
    let rewrapping = Rewrapping::of(&writes.rewrapped);
    let forgotten: Vec<String> = writes.tallies_gone.iter().map(TallyKey::text).collect();
    let bounds: [(&str, usize, Vec<&(dyn ToSql + Sync)>); 25] = [
        (&statements.put, put.ids.len(), put.bound(&tenant)),
        (&statements.erase, gone.ids.len(), vec![&tenant, &gone.kinds, &gone.ids]),
        (&statements.jobs.forget_answers, gone.names.len(), vec![&tenant, &gone.names]),
        (&statements.keys.forget, gone.subjects.len(), vec![&tenant, &gone.subjects]),
        (&statements.leave, leave.ids.len(), leave.bound(&tenant)),
        (&statements.enter, enter.ids.len(), enter.bound(&tenant)),
        (&statements.untell, untell.ids.len(), untell.bound(&tenant)),
        (&statements.tell, tell.ids.len(), tell.bound(&tenant)),
        (&statements.free, free.ids.len(), free.bound(&tenant)),
        (&statements.claim, claim.ids.len(), claim.bound(&tenant)),
        (&statements.append, append.positions.len(), append.bound(&tenant)),
        (&statements.move_head, append.positions.len(), vec![&tenant, &append.position, &append.hash]),
        (&statements.spans.put, writes.spans.len(), spanning.bound(&tenant)),
        (&statements.keys.rewrap, rewrapping.ids.len(), rewrapping.bound(&tenant)),
        (&statements.keys.put, writes.keys.len(), keeping.bound(&tenant)),
        (&statements.jobs.put, writes.jobs.len(), jobs.bound(&tenant)),
        (&statements.jobs.put_tallies, writes.tallies.len(), tallies.bound(&tenant)),
        (&statements.jobs.drop_tallies, forgotten.len(), vec![&tenant, &forgotten]),
        (&statements.jobs.receive, writes.received.len(), receive.bound(&tenant)),
        (&statements.jobs.remember, writes.attempts.len(), remember.bound(&tenant)),
        (&statements.jobs.sweep_jobs, usize::from(writes.sweep.is_some()), vec![&tenant, &sweeping.done, &sweeping.dead, &sweeping.most]),
        (&statements.purge, usize::from(writes.sweep.is_some()), vec![&tenant, &sweeping.deleted, &sweeping.most]),
        (&statements.jobs.sweep_inbox, usize::from(writes.sweep.is_some()), vec![&tenant, &sweeping.now, &sweeping.most]),
        (&statements.jobs.sweep_requests, usize::from(writes.sweep.is_some()), vec![&tenant, &sweeping.now, &sweeping.most]),
        (&statements.spans.sweep, usize::from(writes.sweep.is_some()), spanning.sweeping(&tenant)),
    ];
    let mut prepared = Vec::new();
    for (sql, rows, _) in &bounds {
        prepared.push(if *rows > 0 { Some(client.prepare_cached(sql).await?) } else { None });
    }
    let mut sending: Vec<Sending<'_>> = Vec::new();
    for (statement, (_, _, bound)) in prepared.iter().zip(&bounds) {
        if let Some(statement) = statement {
            sending.push(async move { client.execute(statement, bound).await.map(|_| ()) }.boxed());
        }
    }
    sending.push(client.batch_execute("COMMIT").boxed());
    // Few enough that `join_all` polls, and so sends, them in order. After one that fails, the commit is a rollback.
    let answers = join_all(sending).await;
    let mut failures: Vec<Failure> = answers.into_iter().filter_map(Result::err).map(Failure::from).collect();
    match failures.iter().position(|failure| matches!(failure, Failure::Refused(_))) {
        Some(refused) => Err(failures.swap_remove(refused)),
        None => failures.pop().map_or(Ok(()), Err),
    }
}

/// What is erased.
struct Gone<'a> {
    kinds: Vec<&'a str>,
    ids: Vec<Uuid>,
    /// Their wire ids.
    names: Vec<String>,
    subjects: Vec<Uuid>,
}

impl<'a> Gone<'a> {
    fn of(planner: &Planner<'a>, writes: &Writes) -> Self {
        Self {
            kinds: writes.records_gone.iter().map(|(kind, _)| planner.kinds.at(*kind).name()).collect(),
            ids: writes.records_gone.iter().map(|(_, id)| id.uuid()).collect(),
            names: writes.records_gone.iter().map(|(kind, id)| id.wire(planner.kinds.at(*kind).prefix())).collect(),
            subjects: writes.keys_gone.iter().map(|subject| subject.uuid()).collect(),
        }
    }
}

/// Records by column.
struct Put<'a> {
    kinds: Vec<&'a str>,
    ids: Vec<Uuid>,
    versions: Vec<i64>,
    parents: Vec<Option<Uuid>>,
    bodies: Vec<&'a str>,
    created_at: Vec<i64>,
    created_by: Vec<&'a str>,
    updated_at: Vec<i64>,
    updated_by: Vec<&'a str>,
    deleted_at: Vec<Option<i64>>,
    shapes: Vec<i32>,
}

impl<'a> Put<'a> {
    fn of(planner: &Planner<'a>, writes: &'a Writes) -> Self {
        let rows = || writes.records.iter().map(|(_, row)| row);
        Self {
            kinds: writes.records.iter().map(|((kind, _), _)| planner.kinds.at(*kind).name()).collect(),
            ids: writes.records.iter().map(|((_, id), _)| id.uuid()).collect(),
            versions: rows().map(|row| row.version).collect(),
            parents: rows().map(|row| row.parent.map(|parent| parent.uuid())).collect(),
            bodies: rows().map(|row| &*row.body).collect(),
            created_at: rows().map(|row| row.created_at).collect(),
            created_by: rows().map(|row| &*row.created_by).collect(),
            updated_at: rows().map(|row| row.updated_at).collect(),
            updated_by: rows().map(|row| &*row.updated_by).collect(),
            deleted_at: rows().map(|row| row.deleted_at).collect(),
            shapes: rows().map(|row| row.shape).collect(),
        }
    }

    fn bound<'b>(&'b self, tenant: &'b Uuid) -> Vec<&'b (dyn ToSql + Sync)> {
        vec![
            tenant,
            &self.kinds,
            &self.ids,
            &self.versions,
            &self.parents,
            &self.bodies,
            &self.created_at,
            &self.created_by,
            &self.updated_at,
            &self.updated_by,
            &self.deleted_at,
            &self.shapes,
        ]
    }
}

/// Index entries by column.
struct Entries<'a> {
    kinds: Vec<&'a str>,
    fields: Vec<&'a str>,
    values: Vec<&'a [u8]>,
    ids: Vec<Uuid>,
}

impl<'a> Entries<'a> {
    fn of(planner: &Planner<'a>, entries: &'a [IndexKey]) -> Self {
        Self {
            kinds: entries.iter().map(|(kind, ..)| planner.kinds.at(*kind).name()).collect(),
            fields: entries.iter().map(|(kind, field, ..)| field_name(planner.kinds.at(*kind), *field)).collect(),
            values: entries.iter().map(|(_, _, value, _)| value.as_slice()).collect(),
            ids: entries.iter().map(|(.., id)| id.uuid()).collect(),
        }
    }

    fn bound<'b>(&'b self, tenant: &'b Uuid) -> Vec<&'b (dyn ToSql + Sync)> {
        vec![tenant, &self.kinds, &self.fields, &self.values, &self.ids]
    }
}

/// Unique keys by column.
pub(super) struct Claims<'a> {
    kinds: Vec<&'a str>,
    fields: Vec<&'a str>,
    values: Vec<&'a [u8]>,
    ids: Vec<Uuid>,
}

impl<'a> Claims<'a> {
    pub(super) fn of(planner: &Planner<'a>, claims: &'a [(UniqueKey, steward_base::RecordId)]) -> Self {
        Self {
            kinds: claims.iter().map(|((kind, ..), _)| planner.kinds.at(*kind).name()).collect(),
            fields: claims.iter().map(|((kind, field, _), _)| planner.kinds.at(*kind).fields()[*field].path.as_str()).collect(),
            values: claims.iter().map(|((_, _, value), _)| value.as_slice()).collect(),
            ids: claims.iter().map(|(_, id)| id.uuid()).collect(),
        }
    }

    pub(super) fn bound<'b>(&'b self, tenant: &'b Uuid) -> Vec<&'b (dyn ToSql + Sync)> {
        vec![tenant, &self.kinds, &self.fields, &self.values, &self.ids]
    }
}

/// Events by column, and the head after them.
struct Append<'a> {
    positions: Vec<i64>,
    subjects: Vec<Uuid>,
    hashes: Vec<&'a [u8]>,
    bodies: Vec<&'a [u8]>,
    position: i64,
    hash: &'a [u8],
}

impl<'a> Append<'a> {
    fn of(writes: &'a Writes) -> Self {
        let events = &writes.events;
        Self {
            positions: events.iter().map(|event| event.position).collect(),
            subjects: events.iter().map(|event| event.subject.uuid()).collect(),
            hashes: events.iter().map(|event| &event.hash[..]).collect(),
            bodies: events.iter().map(|event| event.body.as_slice()).collect(),
            position: writes.head.0,
            hash: &writes.head.1,
        }
    }

    fn bound<'b>(&'b self, tenant: &'b Uuid) -> Vec<&'b (dyn ToSql + Sync)> {
        vec![tenant, &self.positions, &self.subjects, &self.hashes, &self.bodies]
    }
}
