//! What a process knows of a tenant's head: how far it has come, and in which life.
//!
//! A head that was made anew, by whoever loaded the tenant from a backup or a file, has another mark. Within a life positions only grow, so that
//! a late message takes none back; that another one began is believed only of a head that was read since the last one was known to begin.

use std::sync::Arc;

use uuid::Uuid;

use super::failure::Failure;
use super::namespace::Namespace;
use super::{Shared, read};

/// The life that is known.
#[derive(Default)]
pub(super) struct Life {
    mark: Option<Uuid>,
    /// How many were known before.
    before: u64,
}

/// What somebody saw of a head.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sight {
    pub(super) position: i64,
    /// Not known while the head is away, or of a process that does not tell it.
    pub(super) life: Option<Uuid>,
}

/// What follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// Nothing that was not known.
    No,
    /// There are more events.
    More,
    /// It is of another life, before this one or after it: somebody has to look.
    Doubt,
}

impl Namespace {
    /// Takes in what may be late.
    pub(super) fn heard(&self, sight: Sight) -> News {
        let mut life = self.life.lock();
        match (life.mark, sight.life) {
            (Some(known), Some(seen)) if known != seen => return News::Doubt,
            (None, Some(_)) => life.mark = sight.life,
            _ => {}
        }
        let position = sight.position;
        let grown = self.position.send_if_modified(|known| position > *known && std::mem::replace(known, position) != position);
        if grown { News::More } else { News::No }
    }

    /// How many lives were known before a look begins.
    fn lives_before(&self) -> u64 {
        self.life.lock().before
    }

    /// Takes in a head that was read since so many lives were known.
    fn found(&self, sight: Sight, since: u64, begins: impl FnOnce()) -> News {
        {
            let mut life = self.life.lock();
            let another = matches!((life.mark, sight.life), (Some(known), Some(seen)) if known != seen);
            if another && life.before == since {
                *life = Life { mark: sight.life, before: since + 1 };
                begins();
                self.position.send_replace(sight.position);
                return News::More;
            }
        }
        self.heard(sight)
    }
}

impl Shared {
    /// Learns the position as it is now; answers whether it is news.
    pub(super) async fn look(self: &Arc<Self>, namespace: &Arc<Namespace>) -> Result<bool, Failure> {
        let began = self.surroundings.clock.monotonic();
        loop {
            let since = namespace.lives_before();
            let (position, life) = self.stand(namespace).await?;
            let begins = || {
                self.surroundings.positions.begin_life(namespace.tenant);
                self.surroundings.stirred.add(namespace.tenant);
            };
            match namespace.found(Sight { position, life }, since, begins) {
                // Somebody else found yet another one meanwhile.
                News::Doubt => {}
                news => {
                    namespace.looked(began);
                    return Ok(news == News::More);
                }
            }
        }
    }

    /// Learns it behind whoever noticed, and tells whoever waits.
    pub(super) fn look_behind(self: &Arc<Self>, namespace: Arc<Namespace>) {
        let shared = self.clone();
        self.tasks.spawn(async move {
            match shared.look(&namespace).await {
                Ok(true) => shared.surroundings.told.add(namespace.tenant),
                Ok(false) => {}
                Err(failure) => {
                    let error = failure.into_error();
                    tracing::debug!(tenant.id = %namespace.tenant, error.code = error.code(), "a head cannot be looked at now");
                }
            }
        });
    }

    async fn stand(self: &Arc<Self>, namespace: &Arc<Namespace>) -> Result<(i64, Option<Uuid>), Failure> {
        self.ready(namespace, super::Missing::Refuse).await?;
        self.read(namespace, read::stand).await
    }
}
