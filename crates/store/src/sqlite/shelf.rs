//! The open files, and the thread that closes those that nobody used for longest.
//!
//! To close a file is to copy its log and wait for the disk: no request does that. Only when files are opened faster than they can be closed does
//! whoever opens one close another.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::Shared;
use super::namespace::Namespace;

/// So many files stay open.
const KEPT: usize = 128;
/// From here on whoever opens a file closes another.
const MOST: usize = 2 * KEPT;
/// When every open file is in use: how soon to look again.
const LOOK: Duration = Duration::from_millis(50);

/// Each open file is in it once, or in the hands of whoever tries to close it.
#[derive(Default)]
pub(super) struct Shelf {
    state: Mutex<State>,
    moved: Condvar,
}

#[derive(Default)]
struct State {
    open: VecDeque<Arc<Namespace>>,
    ended: bool,
}

impl Shelf {
    /// A file was opened.
    pub(super) fn put(&self, namespace: Arc<Namespace>) {
        let count = {
            let mut state = self.state.lock();
            state.open.push_back(namespace);
            state.open.len()
        };
        if count > KEPT {
            self.moved.notify_one();
        }
        if count > MOST {
            self.close_one();
        }
    }

    pub(super) fn end(&self) {
        self.state.lock().ended = true;
        self.moved.notify_all();
    }

    /// Waits until there are too many; answers whether to go on.
    fn wait(&self) -> bool {
        let mut state = self.state.lock();
        while !state.ended && state.open.len() <= KEPT {
            self.moved.wait(&mut state);
        }
        !state.ended
    }

    /// Closes the file that was opened longest ago of those that were not used since they came by last; answers whether there was one.
    fn close_one(&self) -> bool {
        let count = self.state.lock().open.len();
        // Twice round: whoever was used comes by again.
        for _ in 0..count * 2 {
            let Some(namespace) = self.state.lock().open.pop_front() else { return false };
            if namespace.close_unused() {
                return true;
            }
            self.state.lock().open.push_back(namespace);
        }
        false
    }
}

/// The life of the thread.
pub(super) fn run(shared: &Arc<Shared>) {
    let shelf = &shared.shelf;
    while shelf.wait() {
        if !shelf.close_one() {
            let mut state = shelf.state.lock();
            if !state.ended {
                shelf.moved.wait_for(&mut state, LOOK);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use steward_base::{Clock, Random, TenantId};

    use super::super::codes::Known;
    use super::*;
    use crate::engine::Surroundings;
    use crate::keys::MasterKey;
    use crate::kind::Kinds;

    #[test]
    fn whoever_opens_one_file_too_many_closes_the_one_that_was_opened_longest_ago() {
        let dir = tempfile::tempdir().expect("a folder");
        let surroundings = Surroundings {
            kinds: Arc::new(Kinds::new()),
            clock: Clock::system(),
            random: Random::seeded(1),
            master: MasterKey::new([7; 32]),
            positions: Arc::default(),
            generations: Arc::default(),
            stirred: Arc::default(),
            told: Arc::default(),
        };
        // The thread that closes files does not run: it cannot keep up at all.
        let (shelf, known) = (Shelf::default(), Known::default());
        let open = |_| {
            let tenant = TenantId::new(&surroundings.clock, &surroundings.random);
            let namespace = Namespace::new(tenant, dir.path().join(format!("{tenant}.db")), surroundings.positions.of(tenant));
            assert!(namespace.create(&surroundings, &known).is_ok_and(|opened| opened));
            let namespace = Arc::new(namespace);
            shelf.put(namespace.clone());
            namespace
        };
        let namespaces: Vec<_> = (0..MOST).map(open).collect();
        assert!(namespaces.iter().all(|namespace| namespace.opened().is_some()), "so many may be open");
        // One that is in use stays, and so does one that was used again.
        let (held, again) = (namespaces[0].opened(), namespaces[1].at_hand());
        drop(again);
        let more: Vec<_> = (0..2).map(open).collect();
        let closed: Vec<_> = (0..MOST).filter(|number| namespaces[*number].opened().is_none()).collect();
        assert_eq!(closed, [2, 3]);
        assert!(more.iter().all(|namespace| namespace.opened().is_some()) && held.is_some());
    }
}
