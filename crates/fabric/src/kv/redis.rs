//! The variant in a Redis server: one multiplexed connection, a limit on every wait, a breaker around it all.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ::redis::aio::{ConnectionManager, ConnectionManagerConfig};
use ::redis::{Client, Cmd, ErrorKind as Cause, FromRedisValue, IntoConnectionInfo, RedisError, ServerErrorKind, TlsCertificates, cmd};
use bytes::Bytes;
use parking_lot::Mutex;
use steward_base::{Clock, Error, ErrorKind, Result, Secret};

use super::key::{Key, Space, beginning};
use super::{Lease, When, full, not_a_number};
use crate::breaker::{Breaker, Circuit, Rest};
use crate::{Scope, authority};

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_millis(800);
/// How long one call may take, connecting included.
const CALL: Duration = Duration::from_secs(1);
/// How long the epoch of a lease that ended is remembered, against a clock that is set back.
const REMEMBERED: Duration = Duration::from_secs(3600);
/// How many keys one step of erasing looks at.
const STEP: usize = 1_000;

const SWAP: &str = "
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1";

const INCREMENT: &str = "
local sum = redis.call('INCRBY', KEYS[1], ARGV[1])
if redis.call('PTTL', KEYS[1]) == -1 then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return redis.call('GET', KEYS[1])";

/// Microseconds fit a Lua number exactly until the year 2255; its own way of printing them would round.
const ACQUIRE: &str = "
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local found = redis.call('HMGET', KEYS[1], 'holder', 'epoch', 'until')
local epoch = tonumber(found[2]) or 0
if found[1] and tonumber(found[3]) > now then
  if found[1] ~= ARGV[1] then return 0 end
else
  epoch = math.max(epoch + 1, now)
end
redis.call('HSET', KEYS[1], 'holder', ARGV[1], 'epoch', string.format('%.0f', epoch),
  'until', string.format('%.0f', now + ARGV[2] * 1000))
redis.call('PEXPIRE', KEYS[1], ARGV[2] + ARGV[3])
return epoch";

const RELEASE: &str = "
local time = redis.call('TIME')
local found = redis.call('HMGET', KEYS[1], 'holder', 'epoch', 'until')
if found[1] ~= ARGV[1] or found[2] ~= ARGV[2] or tonumber(found[3]) <= time[1] * 1000000 + time[2] then return 0 end
redis.call('HSET', KEYS[1], 'until', '0')
return 1";

/// Where a Redis server is.
#[derive(Clone, Debug)]
pub struct Server {
    /// `redis://[user:password@]host[:port][/database]`, or `rediss://` for TLS.
    pub url: Secret<String>,
    /// The certificates, as PEM, that the server's must come from; without them, those this machine trusts.
    pub authority: Option<String>,
}

/// Values, counters and leases in a Redis server.
#[derive(Clone)]
pub struct Redis(Arc<Shared>);

impl fmt::Debug for Redis {
    /// Without the client, which knows the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis").field("breaker", &self.0.breaker).finish_non_exhaustive()
    }
}

struct Shared {
    client: Client,
    connection: Mutex<Option<ConnectionManager>>,
    breaker: Breaker,
    clock: Clock,
}

/// Why a call brought nothing.
enum Failure {
    Redis(RedisError),
    TimedOut,
}

impl Redis {
    pub(super) fn new(server: &Server, clock: Clock) -> Result<Self> {
        let info = server.url.expose().as_str().into_connection_info().map_err(|_| unreadable())?;
        let client = if server.url.expose().starts_with("rediss://") {
            if server.authority.as_deref().is_some_and(|pem| !authority::is_usable(pem)) {
                return Err(unreadable());
            }
            let root_cert = server.authority.clone().map(String::into_bytes);
            Client::build_with_tls(info, TlsCertificates { client_tls: None, root_cert })
        } else {
            Client::open(info)
        };
        // The library's own words may quote the password.
        let client = client.map_err(|_| unreadable())?;
        let breaker = Breaker::new(clock.clone());
        Ok(Self(Arc::new(Shared { client, connection: Mutex::default(), breaker, clock })))
    }

    /// Whether the server is being given a rest.
    pub fn circuit(&self) -> Circuit {
        self.0.breaker.circuit()
    }

    pub(super) async fn get(&self, key: &Key) -> Result<Option<Bytes>> {
        let found: Option<Vec<u8>> = self.ask(cmd("GET").arg(key.stored(Space::Values))).await?;
        Ok(found.map(Bytes::from))
    }

    pub(super) async fn set(&self, key: &Key, value: &[u8], when: When<'_>, ttl: Duration) -> Result<bool> {
        let key = key.stored(Space::Values);
        match when {
            When::Always => self.ask::<()>(cmd("SET").arg(key).arg(value).arg("PX").arg(millis(ttl))).await.map(|()| true),
            When::Absent => self.ask(cmd("SET").arg(key).arg(value).arg("NX").arg("PX").arg(millis(ttl))).await,
            When::Equals(expected) => self.ask(script(SWAP, key).arg(expected).arg(value).arg(millis(ttl))).await,
        }
    }

    pub(super) async fn delete(&self, key: &Key) -> Result<bool> {
        self.ask(cmd("UNLINK").arg(key.stored(Space::Values))).await
    }

    pub(super) async fn increment(&self, key: &Key, by: i64, ttl: Duration) -> Result<i64> {
        self.ask(script(INCREMENT, key.stored(Space::Values)).arg(by).arg(millis(ttl))).await
    }

    pub(super) async fn acquire(&self, key: &Key, holder: &str, ttl: Duration) -> Result<Option<Lease>> {
        let until = self.0.clock.monotonic() + ttl;
        let mut ask = script(ACQUIRE, key.stored(Space::Leases));
        let epoch: i64 = self.ask(ask.arg(holder).arg(millis(ttl)).arg(millis(REMEMBERED))).await?;
        Ok((epoch > 0).then_some(Lease { epoch, until }))
    }

    pub(super) async fn release(&self, key: &Key, holder: &str, lease: Lease) -> Result<bool> {
        self.ask(script(RELEASE, key.stored(Space::Leases)).arg(holder).arg(lease.epoch)).await
    }

    pub(super) async fn erase(&self, scope: Scope) -> Result<()> {
        // Nothing in a scope's text means anything to a pattern.
        let pattern = format!("{}*", beginning(scope));
        let mut cursor = 0u64;
        loop {
            let mut scan = cmd("SCAN");
            let (next, keys): (u64, Vec<Vec<u8>>) = self.ask(scan.arg(cursor).arg("MATCH").arg(&pattern).arg("COUNT").arg(STEP)).await?;
            if !keys.is_empty() {
                self.ask::<()>(cmd("UNLINK").arg(keys)).await?;
            }
            if next == 0 {
                return Ok(());
            }
            cursor = next;
        }
    }

    pub(super) async fn health(&self) -> Result<()> {
        self.ask::<()>(&cmd("PING")).await
    }

    /// Sends one command once: a command that may have run is never repeated.
    async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> Result<T> {
        let call = async {
            let mut connection = self.connection().map_err(Failure::Redis)?;
            match tokio::time::timeout(CALL, command.query_async(&mut connection)).await {
                Ok(answer) => answer.map_err(Failure::Redis),
                Err(_) => Err(Failure::TimedOut),
            }
        };
        let failed = |outcome: &Result<T, Failure>| outcome.as_ref().is_err_and(Failure::is_outage);
        let outcome = self.0.breaker.run(call, failed).await.map_err(|Rest(rest)| resting(rest))?;
        let denied = matches!(&outcome, Err(Failure::Redis(error)) if is_denied(error));
        if denied || self.0.breaker.is_open() {
            // The library does not try again where it was turned away or where nothing comes back: whoever asks next connects anew.
            *self.0.connection.lock() = None;
        }
        outcome.map_err(Failure::into_error)
    }

    fn connection(&self) -> Result<ConnectionManager, RedisError> {
        let mut connection = self.0.connection.lock();
        if let Some(connection) = &*connection {
            return Ok(connection.clone());
        }
        let config = ConnectionManagerConfig::new()
            .set_number_of_retries(0)
            .set_connection_timeout(Some(CONNECT))
            .set_response_timeout(Some(CALL))
            .set_pipeline_buffer_size(1_024);
        let made = ConnectionManager::new_lazy_with_config(self.0.client.clone(), config)?;
        *connection = Some(made.clone());
        Ok(made)
    }
}

impl Failure {
    /// Whether the server is to blame rather than what it was asked.
    fn is_outage(&self) -> bool {
        match self {
            Self::TimedOut => true,
            Self::Redis(error) => match error.kind() {
                Cause::Server(ServerErrorKind::ResponseError) | Cause::UnexpectedReturnType | Cause::Client => false,
                _ => !is_full(error) && !is_denied(error),
            },
        }
    }

    fn into_error(self) -> Error {
        match self {
            Self::TimedOut => unavailable().with_source("Redis did not answer in time"),
            Self::Redis(error) if is_full(&error) => full().with_source(error),
            Self::Redis(error) if is_denied(&error) => {
                let detail = "Redis refuses our name or password: mend the URL of the key-value store.";
                Error::new(ErrorKind::Unavailable, "kv_credentials", detail).with_retry_after(Duration::from_secs(5)).with_source(error)
            }
            Self::Redis(error) if is_no_number(&error) => not_a_number(),
            Self::Redis(error) if Self::is_outage(&Self::Redis(error.clone())) => unavailable().with_source(error),
            Self::Redis(error) => Error::internal(error),
        }
    }
}

fn script(text: &str, key: Vec<u8>) -> Cmd {
    let mut command = cmd("EVAL");
    command.arg(text).arg(1).arg(key);
    command
}

fn millis(duration: Duration) -> u64 {
    duration.as_millis() as u64
}

fn is_full(error: &RedisError) -> bool {
    error.code() == Some("OOM")
}

fn is_denied(error: &RedisError) -> bool {
    error.kind() == Cause::AuthenticationFailed || matches!(error.code(), Some("NOAUTH" | "WRONGPASS" | "NOPERM"))
}

fn is_no_number(error: &RedisError) -> bool {
    let said = error.detail().unwrap_or_default();
    said.contains("not an integer") || said.contains("would overflow")
}

fn unreadable() -> Error {
    let detail =
        "The URL of the key-value store, or its authority, cannot be read: write redis://user:password@host:port/0, or rediss:// for TLS.";
    Error::new(ErrorKind::Invalid, "kv_url", detail)
}

fn unavailable() -> Error {
    let detail = "Redis cannot be reached: it is tried again all the time.";
    Error::new(ErrorKind::Unavailable, "kv_unavailable", detail).with_retry_after(Duration::from_secs(1))
}

fn resting(rest: Duration) -> Error {
    let after = Duration::from_secs(rest.as_millis().div_ceil(1_000).max(1) as u64);
    unavailable().with_retry_after(after).with_source("Redis failed several times in a row and is given a rest")
}
