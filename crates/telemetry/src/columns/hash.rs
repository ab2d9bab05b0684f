//! A fast 64-bit hash that stays the same across versions of Rust and of Steward: it is stored with metric rows.

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
