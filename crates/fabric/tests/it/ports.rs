//! Ports on which a server of a test listens again after it was stopped.
//!
//! They lie below the range from which the kernel takes the near ends of connections: one of those could meanwhile belong to whoever connects to
//! somebody else, or even to whoever tries to reach the stopped server, whose try would then meet itself.

use std::net::TcpListener;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use steward_base::Random;

/// `scripts/postgres.sh` and `scripts/redis.sh` take theirs here too.
const FIRST: u64 = 20_000;
const MANY: u64 = 12_000;

/// A free one, which no other test of this process gets.
pub(crate) fn own() -> u16 {
    static BEGIN: OnceLock<u64> = OnceLock::new();
    static TAKEN: AtomicU64 = AtomicU64::new(0);
    let begin = BEGIN.get_or_init(|| Random::system().below(MANY));
    loop {
        let port = (FIRST + (begin + TAKEN.fetch_add(1, Ordering::Relaxed)) % MANY) as u16;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
