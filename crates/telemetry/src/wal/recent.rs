//! The deliveries stored last.

use std::collections::{HashMap, VecDeque};

use crate::{Ack, Delivery, Key};

/// Knows a delivery that comes again.
#[derive(Debug, Default)]
pub(crate) struct Recent {
    acks: HashMap<(Key, Delivery), Ack>,
    order: VecDeque<(Key, Delivery)>,
}

impl Recent {
    pub(crate) fn insert(&mut self, key: Key, delivery: Delivery, ack: Ack) {
        if self.acks.insert((key, delivery), ack).is_none() {
            self.order.push_back((key, delivery));
        }
        if self.order.len() > Delivery::REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.acks.remove(&oldest);
        }
    }

    /// The answer that the delivery had, or would have had.
    pub(crate) fn get(&self, key: Key, delivery: Delivery) -> Option<Ack> {
        self.acks.get(&(key, delivery)).map(|ack| Ack { repeated: true, ..*ack })
    }
}
