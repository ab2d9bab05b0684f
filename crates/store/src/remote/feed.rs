//! What changed, in order: for every tenant the last time that it had new events and the last time that its jobs changed. It holds two places per
//! tenant and forgets none, so that whoever comes late misses nothing.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use steward_base::TenantId;
use tokio::sync::watch;

use crate::stirred::Stirred;

pub(super) const METHOD: &str = "changes";
/// How long nothing may happen before it is said that nothing happened.
pub(super) const LONGEST_POLL: Duration = Duration::from_secs(15);

/// The question for changes.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Poll {
    /// Those after this number.
    pub(super) after: u64,
}

/// Changes since a number.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Changes {
    /// The number to go on from.
    pub(super) seq: u64,
    /// Tenants with new events, and the position of the last one.
    pub(super) told: Vec<(TenantId, i64)>,
    /// Tenants whose jobs changed.
    pub(super) stirred: Vec<TenantId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum What {
    Told,
    Stirred,
}

/// The changes of this run.
pub(super) struct Feed {
    places: Mutex<Places>,
    last: watch::Sender<u64>,
}

#[derive(Default)]
struct Places {
    of: HashMap<(TenantId, What), u64>,
    order: BTreeMap<u64, (TenantId, What)>,
    seq: u64,
}

impl Feed {
    pub(super) fn new() -> Self {
        Self { places: Mutex::default(), last: watch::Sender::new(0) }
    }

    pub(super) fn last(&self) -> u64 {
        *self.last.borrow()
    }

    fn note(&self, tenants: Vec<TenantId>, what: What) {
        let mut places = self.places.lock();
        for tenant in tenants {
            places.seq += 1;
            let seq = places.seq;
            if let Some(before) = places.of.insert((tenant, what), seq) {
                places.order.remove(&before);
            }
            places.order.insert(seq, (tenant, what));
        }
        self.last.send_replace(places.seq);
    }

    /// What changed after a number, as soon as there is something; nothing after a while.
    pub(super) async fn after(&self, number: u64) -> (u64, Vec<(TenantId, What)>) {
        let mut last = self.last.subscribe();
        // Whether it came in time is seen in the list.
        let _ = tokio::time::timeout(LONGEST_POLL, last.wait_for(|seq| *seq > number)).await;
        let places = self.places.lock();
        (places.seq, places.order.range(number + 1..).map(|(_, change)| *change).collect())
    }
}

/// Notes what a store tells, for as long as the task lives.
pub(super) async fn fill(feed: Arc<Feed>, told: Arc<Stirred>, stirred: Arc<Stirred>) {
    loop {
        tokio::select! {
            tenants = told.next() => feed.note(tenants, What::Told),
            tenants = stirred.next() => feed.note(tenants, What::Stirred),
        }
    }
}

#[cfg(test)]
mod tests {
    use steward_base::{Clock, Random};

    use super::*;

    #[tokio::test]
    async fn a_late_reader_is_told_of_each_change_once() {
        let (clock, random) = (Clock::system(), Random::seeded(1));
        let (one, other) = (TenantId::new(&clock, &random), TenantId::new(&clock, &random));
        let feed = Feed::new();
        for _ in 0..3 {
            feed.note(vec![one, other], What::Told);
            feed.note(vec![one], What::Stirred);
        }
        let (seq, changes) = feed.after(0).await;
        assert_eq!((seq, feed.last()), (9, 9));
        assert_eq!(changes, [(one, What::Told), (other, What::Told), (one, What::Stirred)]);
        assert_eq!(feed.after(7).await.1, [(other, What::Told), (one, What::Stirred)]);
        feed.note(vec![other], What::Stirred);
        assert_eq!(feed.after(seq).await, (10, vec![(other, What::Stirred)]));
    }
}
