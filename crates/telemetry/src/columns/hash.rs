//! A fast 64-bit hash that stays the same across versions of Rust and of Steward: it is stored with metric rows.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasherDefault, Hasher};

const SEED: u64 = 0x9e37_79b9_7f4a_7c15;

/// Hashes `bytes` on top of `state`. Not meant to resist an attacker: whoever uses it compares what was hashed as well.
pub(crate) fn hash64(state: u64, bytes: &[u8]) -> u64 {
    let mut state = fold(state ^ bytes.len() as u64, SEED);
    let mut words = bytes.chunks_exact(8);
    for word in &mut words {
        let word = u64::from_le_bytes(word.try_into().expect("chunks_exact gives 8 bytes"));
        state = fold(state ^ word, SEED);
    }
    let mut last = [0u8; 8];
    last[..words.remainder().len()].copy_from_slice(words.remainder());
    fold(state ^ u64::from_le_bytes(last), SEED ^ 0x2545_f491_4f6c_dd1d)
}

fn fold(left: u64, right: u64) -> u64 {
    let product = u128::from(left) * u128::from(right);
    (product as u64) ^ ((product >> 64) as u64) ^ left.rotate_left(23)
}

/// Finds things by a hash that was computed already; on equal hashes of different things it looks one place further.
#[derive(Clone, Debug, Default)]
pub(crate) struct ByHash(HashMap<u64, u32, BuildHasherDefault<Computed>>);

impl ByHash {
    /// The thing under `hash` that `is` it, or `new` put there.
    pub(crate) fn find_or_insert(&mut self, hash: u64, new: u32, is: impl Fn(u32) -> bool) -> u32 {
        let mut place = hash;
        loop {
            match self.0.entry(place) {
                Entry::Vacant(entry) => return *entry.insert(new),
                Entry::Occupied(entry) if is(*entry.get()) => return *entry.get(),
                Entry::Occupied(_) => place = place.wrapping_add(1),
            }
        }
    }
}

/// Passes a hash through.
#[derive(Clone, Copy, Debug, Default)]
struct Computed(u64);

impl Hasher for Computed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = hash64(self.0, bytes);
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}
