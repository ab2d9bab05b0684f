//! How many requests anybody gets: one bucket per caller, tenant or address and class of operation, in this process's memory.
//!
//! A bucket is the generic cell rate algorithm: one number, the time at which it will be full again. A crate that knows it (governor) does not
//! tell when that is, which every answer has to say.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use parking_lot::Mutex;
use steward_base::{Clock, Ctx, Error, ErrorKind, Principal};

use crate::arrival::Arrival;
use crate::operation::RateClass;

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const LIMIT: HeaderName = HeaderName::from_static("ratelimit");
/// Quotas are per minute.
const WINDOW: Duration = Duration::from_secs(60);
const SHARDS: usize = 16;
/// Most buckets of a shard; 200,000 in all.
const SHARD: usize = 200_000 / SHARDS;

/// How many requests a minute there are. 0 is any number.
#[derive(Clone, Debug)]
pub struct Rates {
    /// Reads of one caller, or of one address without a credential.
    pub read: u32,
    /// Changes of one caller.
    pub write: u32,
    /// Telemetry requests of one caller.
    pub ingest: u32,
    /// Streams that one caller opens.
    pub stream: u32,
    /// Sign-ins and enrolments of one address.
    pub credential: u32,
    /// Credentials that are no good, of one address.
    pub refused: u32,
    /// How many callers' worth of requests a tenant gets.
    pub tenant_factor: u32,
}

impl Default for Rates {
    /// Bounds on defects and abuse, beyond what one machine serves: what a fair share is, only the operator knows.
    fn default() -> Self {
        Self { read: 1_200_000, write: 600_000, ingest: 600_000, stream: 6_000, credential: 300, refused: 300, tenant_factor: 4 }
    }
}

/// For whom a bucket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Whom {
    Caller,
    Tenant,
    Address,
}

/// Which budget, and for whom.
type Key = (&'static str, [u8; 16]);

/// The buckets of one process.
pub(crate) struct Limiter {
    rates: Rates,
    clock: Clock,
    shards: Vec<Mutex<HashMap<Key, Duration>>>,
}

/// A budget that a request was counted against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Count {
    policy: &'static str,
    quota: u32,
    remaining: u32,
    /// Until the bucket is full again.
    reset: Duration,
}

/// What the answer says about budgets.
#[derive(Clone, Debug, Default)]
pub(crate) struct Budget(Vec<Count>);

impl Limiter {
    pub(crate) fn new(rates: Rates, clock: Clock) -> Self {
        Self { rates, clock, shards: (0..SHARDS).map(|_| Mutex::default()).collect() }
    }

    /// Counts a request of a known caller. Fails with `rate_limited`; the budget is there either way.
    pub(crate) fn caller(&self, class: RateClass, ctx: &Ctx, budget: &mut Budget) -> Result<(), Error> {
        let whom = match ctx.principal() {
            Principal::Person { id, .. } | Principal::ApiKey(id) | Principal::Device(id) => id.bytes(),
            Principal::System | Principal::Anonymous => return Ok(()),
        };
        self.count(class, Whom::Caller, whom, budget)?;
        self.count(class, Whom::Tenant, ctx.tenant().bytes(), budget)
    }

    /// Counts a request of a stranger, by address.
    pub(crate) fn stranger(&self, class: RateClass, arrival: &Arrival, budget: &mut Budget) -> Result<(), Error> {
        match address(arrival) {
            Some(whom) => self.count(class, Whom::Address, whom, budget),
            None => Ok(()),
        }
    }

    /// Counts a credential that is no good, by address: guessing gets an answer that costs less.
    pub(crate) fn refused(&self, arrival: &Arrival, budget: &mut Budget) -> Result<(), Error> {
        match address(arrival) {
            Some(whom) => self.take(("refused-credentials", whom), self.rates.refused, budget),
            None => Ok(()),
        }
    }

    fn count(&self, class: RateClass, whom: Whom, id: [u8; 16], budget: &mut Budget) -> Result<(), Error> {
        let (names, quota) = match class {
            RateClass::Read => (["read", "tenant-read", "address-read"], self.rates.read),
            RateClass::Write => (["write", "tenant-write", "address-write"], self.rates.write),
            RateClass::Ingest => (["ingest", "tenant-ingest", "address-ingest"], self.rates.ingest),
            RateClass::Stream => (["stream", "tenant-stream", "address-stream"], self.rates.stream),
            RateClass::Credential => (["credential", "tenant-credential", "address-credential"], self.rates.credential),
            RateClass::Exempt => return Ok(()),
        };
        let (policy, quota) = match whom {
            Whom::Caller => (names[0], quota),
            Whom::Tenant => (names[1], quota.saturating_mul(self.rates.tenant_factor)),
            Whom::Address => (names[2], quota),
        };
        self.take((policy, id), quota, budget)
    }

    fn take(&self, key: Key, quota: u32, budget: &mut Budget) -> Result<(), Error> {
        if quota == 0 {
            return Ok(());
        }
        let (interval, now) = (WINDOW / quota, self.clock.monotonic());
        let mut shard = self.shards[usize::from(key.1[15]) % SHARDS].lock();
        let full_at = shard.get(&key).copied().unwrap_or_default().max(now) + interval;
        let reset = full_at.saturating_sub(now);
        if let Some(wait) = reset.checked_sub(WINDOW).filter(|wait| !wait.is_zero()) {
            budget.0.push(Count { policy: key.0, quota, remaining: 0, reset: wait });
            return Err(limited(key.0, quota, wait));
        }
        if shard.len() >= SHARD && !shard.contains_key(&key) {
            make_room(&mut shard, now);
        }
        shard.insert(key, full_at);
        let remaining = (WINDOW - reset).as_nanos() / interval.as_nanos().max(1);
        budget.0.push(Count { policy: key.0, quota, remaining: remaining as u32, reset });
        Ok(())
    }
}

/// Full buckets go; when there are none, the half that is nearest to it.
fn make_room(shard: &mut HashMap<Key, Duration>, now: Duration) {
    shard.retain(|_, full_at| *full_at > now);
    if shard.len() >= SHARD {
        let mut times: Vec<Duration> = shard.values().copied().collect();
        let middle = times.len() / 2;
        let (_, median, _) = times.select_nth_unstable(middle);
        let median = *median;
        shard.retain(|_, full_at| *full_at > median);
    }
}

/// An IPv6 network of 64 bits is one address. Loopback is this machine, or a proxy that nobody told us of: all of its clients are not one.
fn address(arrival: &Arrival) -> Option<[u8; 16]> {
    let ip: IpAddr = arrival.origin.ip.as_deref()?.parse().ok()?;
    match ip {
        ip if ip.is_loopback() => None,
        IpAddr::V4(ip) => Some(ip.to_ipv6_mapped().octets()),
        IpAddr::V6(ip) => {
            let mut octets = ip.octets();
            // The shard is told by the last byte.
            octets[15] = octets[..8].iter().fold(0, |sum, byte| sum ^ byte);
            octets[8..15].fill(0);
            Some(octets)
        }
    }
}

fn limited(policy: &str, quota: u32, wait: Duration) -> Error {
    let seconds = seconds(wait);
    let detail =
        format!("The limit \"{policy}\" of {quota} requests a minute is used up. Send no more for {seconds} s, and fewer from then on.");
    Error::new(ErrorKind::Limited, "rate_limited", detail).with_retry_after(wait)
}

fn seconds(time: Duration) -> u128 {
    time.as_millis().div_ceil(1000)
}

impl Budget {
    /// Writes the headers of draft-ietf-httpapi-ratelimit-headers: every policy, and the one that leaves least.
    pub(crate) fn write(&self, headers: &mut HeaderMap) {
        let Some(least) = self.0.iter().min_by_key(|count| count.remaining) else { return };
        let policies: Vec<String> =
            self.0.iter().map(|count| format!("\"{}\";q={};w={}", count.policy, count.quota, WINDOW.as_secs())).collect();
        let limit = format!("\"{}\";r={};t={}", least.policy, least.remaining, seconds(least.reset));
        for (name, text) in [(POLICY, policies.join(", ")), (LIMIT, limit)] {
            if let Ok(value) = HeaderValue::try_from(text) {
                headers.insert(name, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use steward_base::Timestamp;

    use super::*;

    fn limiter(clock: &Clock) -> Limiter {
        Limiter::new(Rates { read: 6, ..Rates::default() }, clock.clone())
    }

    fn take(limiter: &Limiter, whom: u8) -> Result<Count, Error> {
        let mut budget = Budget::default();
        limiter.count(RateClass::Read, Whom::Caller, [whom; 16], &mut budget)?;
        Ok(budget.0[0])
    }

    #[test]
    fn a_bucket_empties_and_fills_again_evenly() {
        let clock = Clock::manual(Timestamp::from_micros(0));
        let limiter = limiter(&clock);
        let left: Vec<u32> = (0..6).map(|_| take(&limiter, 1).expect("is left").remaining).collect();
        assert_eq!(left, [5, 4, 3, 2, 1, 0]);
        let refused = take(&limiter, 1).expect_err("is empty");
        assert_eq!((refused.code(), refused.retry_after()), ("rate_limited", Some(Duration::from_secs(10))));
        assert!(refused.detail().contains("\"read\" of 6"), "{}", refused.detail());
        assert_eq!(take(&limiter, 2).expect("another's").remaining, 5);
        clock.advance(Duration::from_secs(9));
        assert_eq!(take(&limiter, 1).expect_err("is early").retry_after(), Some(Duration::from_secs(1)));
        clock.advance(Duration::from_secs(1));
        assert_eq!(take(&limiter, 1).expect("one dripped in").reset, Duration::from_secs(60));
        clock.advance(Duration::from_secs(600));
        assert_eq!(take(&limiter, 1).expect("is full").remaining, 5);
    }

    #[test]
    fn memory_is_bounded_and_the_emptiest_buckets_stay() {
        let clock = Clock::manual(Timestamp::from_micros(0));
        let limiter = limiter(&clock);
        let guest = |number: usize| {
            let mut id = [0; 16];
            id[..8].copy_from_slice(&number.to_be_bytes());
            id
        };
        let mut budget = Budget::default();
        for _ in 0..5 {
            limiter.count(RateClass::Read, Whom::Caller, guest(0), &mut budget).expect("is left");
        }
        for number in 1..SHARD * 2 {
            limiter.count(RateClass::Read, Whom::Caller, guest(number), &mut Budget::default()).expect("is new");
        }
        let shard = limiter.shards[0].lock();
        assert!(shard.len() <= SHARD, "{}", shard.len());
        assert!(shard.contains_key(&("read", guest(0))), "whoever used most is remembered");
        drop(shard);
        clock.advance(WINDOW);
        make_room(&mut limiter.shards[0].lock(), clock.monotonic());
        assert!(limiter.shards[0].lock().is_empty(), "full buckets say nothing");
    }
}
