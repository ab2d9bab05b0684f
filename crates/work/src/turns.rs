//! Whose turn it is: tenants with work due go round, those with work later wait for their time.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};

use steward_base::{TenantId, Timestamp};

/// The tenants that wait.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    /// Each is in it once.
    line: VecDeque<TenantId>,
    in_line: HashSet<TenantId>,
    later: BTreeSet<(Timestamp, TenantId)>,
    times: HashMap<TenantId, Timestamp>,
}

impl Turns {
    /// Puts a tenant at the end of the line, unless it is in it.
    pub(crate) fn now(&mut self, tenant: TenantId) {
        self.forget(tenant);
        if self.in_line.insert(tenant) {
            self.line.push_back(tenant);
        }
    }

    /// Remembers when a tenant's turn comes, instead of any other time.
    pub(crate) fn at(&mut self, tenant: TenantId, time: Timestamp) {
        self.forget(tenant);
        if !self.in_line.contains(&tenant) {
            self.later.insert((time, tenant));
            self.times.insert(tenant, time);
        }
    }

    /// Takes who is next.
    pub(crate) fn next(&mut self, now: Timestamp) -> Option<TenantId> {
        while let Some((time, tenant)) = self.later.first().copied()
            && time <= now
        {
            self.now(tenant);
        }
        let tenant = self.line.pop_front()?;
        self.in_line.remove(&tenant);
        Some(tenant)
    }

    /// Takes this one, if it is in the line or its time has come.
    pub(crate) fn take(&mut self, tenant: TenantId, now: Timestamp) -> bool {
        let waits = self.in_line.remove(&tenant);
        if waits {
            self.line.retain(|other| *other != tenant);
        }
        let due = waits || self.time_of(tenant).is_some_and(|time| time <= now);
        if due {
            self.forget(tenant);
        }
        due
    }

    /// When the turn of one that waits for its time comes.
    pub(crate) fn time_of(&self, tenant: TenantId) -> Option<Timestamp> {
        self.times.get(&tenant).copied()
    }

    /// When the next one that waits for its time is due.
    pub(crate) fn next_time(&self) -> Option<Timestamp> {
        self.later.first().map(|(time, _)| *time)
    }

    fn forget(&mut self, tenant: TenantId) {
        if let Some(time) = self.times.remove(&tenant) {
            self.later.remove(&(time, tenant));
        }
    }
}

#[cfg(test)]
mod tests {
    use steward_base::{Clock, Random};

    use super::*;

    #[test]
    fn tenants_go_round_and_later_ones_join_in_time() {
        let (clock, random) = (Clock::system(), Random::seeded(1));
        let [a, b, c]: [TenantId; 3] = std::array::from_fn(|_| TenantId::new(&clock, &random));
        let time = Timestamp::from_micros;
        let mut turns = Turns::default();
        turns.now(a);
        turns.now(b);
        turns.now(a);
        turns.at(c, time(10));
        turns.at(c, time(20));
        assert_eq!((turns.next(time(10)), turns.next_time()), (Some(a), Some(time(20))));
        turns.now(a);
        assert_eq!(
            [turns.next(time(20)), turns.next(time(20)), turns.next(time(20)), turns.next(time(20))],
            [Some(b), Some(a), Some(c), None]
        );
        turns.at(c, time(30));
        turns.now(c);
        assert_eq!((turns.next_time(), turns.next(time(0)), turns.next(time(99))), (None, Some(c), None));
        turns.now(a);
        turns.now(b);
        turns.at(c, time(40));
        assert_eq!(
            [turns.take(b, time(0)), turns.take(b, time(0)), turns.take(c, time(39)), turns.take(c, time(40))],
            [true, false, false, true]
        );
        assert_eq!((turns.next(time(99)), turns.next(time(99))), (Some(a), None));
    }
}
