//! What tests share: tenants, waiting for a condition, limits on waiting.

use std::time::Duration;

use steward_base::{Clock, RecordId, TenantId, Timestamp};

/// Nothing real takes this long; whoever waits longer waits for ever.
pub(crate) const SOON: Duration = Duration::from_secs(60);

pub(crate) fn tenant(byte: u8) -> TenantId {
    RecordId::from_bytes([byte; 16]).into()
}

/// A tenant that no other test has.
pub(crate) fn fresh_tenant() -> TenantId {
    TenantId::new(&Clock::system(), &steward_base::Random::system())
}

pub(crate) fn manual() -> Clock {
    Clock::manual(Timestamp::from_micros(1_800_000_000_000_000))
}

/// Waits until `holds` does.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let reached = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(SOON, reached).await.unwrap_or_else(|_| panic!("{what} does not happen"));
}
