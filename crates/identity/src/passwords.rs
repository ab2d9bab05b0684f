//! Password hashing: argon2id with OWASP's parameters, in a bounded pool that refuses rather than queues without end.

use std::sync::Arc;
use std::time::Duration;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use steward_base::{Error, ErrorKind, Random, Result, Secret};
use tokio::sync::Semaphore;

/// Memory in KiB, passes and lanes of OWASP's first recommendation.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
/// So many times what ours take is spent on a hash that came from elsewhere: another version may ask for more.
const DEAREST: u32 = 4;
/// Sign-ins admitted at once for each one that is being computed.
const ADMITTED_PER_CORE: usize = 16;

/// What deriving a key from a passphrase takes. It stands with what the key opens.
#[derive(Clone, Debug)]
pub(crate) struct Cost {
    pub(crate) salt: [u8; 16],
    pub(crate) memory_kib: u32,
    pub(crate) passes: u32,
}

impl Cost {
    /// Of a file that whoever has it may guess at for years.
    pub(crate) fn of_files(random: &Random) -> Self {
        Self { salt: random.bytes(), memory_kib: 64 * 1024, passes: 3 }
    }

    /// Whether it is no more than what somebody would wait for.
    pub(crate) fn is_bearable(&self) -> bool {
        (8..=1024 * 1024).contains(&self.memory_kib) && (1..=16).contains(&self.passes)
    }
}

/// Hashes and checks passwords. Cheap to clone.
#[derive(Clone)]
pub struct Passwords(Arc<Pool>);

struct Pool {
    random: Random,
    admitted: Semaphore,
    computing: Semaphore,
    /// Checked when there is no such person, so that an unknown address takes as long as a wrong password.
    decoy: String,
}

impl Passwords {
    /// A pool that computes `cores` hashes at a time.
    pub fn new(random: Random, cores: usize) -> Self {
        let decoy = hash(&random, "no one has this password").expect("the decoy can be hashed");
        let admitted = Semaphore::new(cores * ADMITTED_PER_CORE);
        Self(Arc::new(Pool { random, admitted, computing: Semaphore::new(cores), decoy }))
    }

    /// The PHC string to store. Fails with `weak_password` or `sign_in_busy`.
    pub async fn hash(&self, password: Secret<String>, email: &str) -> Result<String> {
        strong_enough(password.expose(), email)?;
        let random = self.0.random.clone();
        self.compute(move || hash(&random, password.expose())).await?
    }

    /// Whether `password` is the one that `stored` was made from; `None` spends the same time and is false. Fails with `sign_in_busy`.
    pub async fn verify(&self, password: Secret<String>, stored: Option<String>) -> Result<bool> {
        let known = stored.is_some();
        let stored = stored.unwrap_or_else(|| self.0.decoy.clone());
        let right = self
            .compute(move || {
                let parsed = PasswordHash::new(&stored).map_err(|error| Error::internal(error.to_string()))?;
                Ok(hasher().verify_password(password.expose().as_bytes(), &parsed).is_ok())
            })
            .await??;
        Ok(right && known)
    }

    /// A hash that no password has.
    pub(crate) fn nobodys(&self) -> String {
        let text = |bytes: &[u8]| STANDARD_NO_PAD.encode(bytes);
        let (salt, hash) = (self.0.random.bytes::<16>(), self.0.random.bytes::<32>());
        format!("$argon2id$v=19$m={MEMORY_KIB},t={PASSES},p={LANES}${}${}", text(&salt), text(&hash))
    }

    /// A key from a passphrase. Fails with `sign_in_busy`.
    pub(crate) async fn derive(&self, passphrase: Secret<String>, cost: Cost) -> Result<Secret<[u8; 32]>> {
        self.compute(move || {
            let params = Params::new(cost.memory_kib, cost.passes, LANES, Some(32)).map_err(|error| Error::internal(error.to_string()))?;
            let mut key = [0; 32];
            let derived = Argon2::new(Algorithm::Argon2id, Version::V0x13, params).hash_password_into(
                passphrase.expose().as_bytes(),
                &cost.salt,
                &mut key,
            );
            derived.map(|()| Secret::new(key)).map_err(|error| Error::internal(error.to_string()))
        })
        .await?
    }

    async fn compute<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let busy = || {
            let detail = "Too many sign-ins at once. Try again in a moment.";
            Error::new(ErrorKind::Unavailable, "sign_in_busy", detail).with_retry_after(Duration::from_secs(1))
        };
        let _admitted = self.0.admitted.try_acquire().map_err(|_| busy())?;
        let _computing = self.0.computing.acquire().await.map_err(|_| busy())?;
        tokio::task::spawn_blocking(work).await.map_err(Error::internal)
    }
}

/// Whether a hash that somebody else stored is one of ours that costs no more to check than what we make: what it says is what a sign-in spends.
pub(crate) fn is_bearable(stored: &str) -> bool {
    let Ok(parsed) = PasswordHash::new(stored) else { return false };
    parsed.algorithm == Algorithm::Argon2id.ident()
        && Params::try_from(&parsed).is_ok_and(|params| {
            params.m_cost() <= DEAREST * MEMORY_KIB && params.t_cost() <= DEAREST * PASSES && params.p_cost() <= DEAREST
        })
}

fn hasher() -> Argon2<'static> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).expect("the parameters are within argon2's limits");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

fn hash(random: &Random, password: &str) -> Result<String> {
    let salt: [u8; 16] = random.bytes();
    let hash = hasher().hash_password_with_salt(password.as_bytes(), &salt);
    hash.map(|hash| hash.to_string()).map_err(|error| Error::internal(error.to_string()))
}

/// Length is what counts (NIST SP 800-63B); no character classes.
fn strong_enough(password: &str, email: &str) -> Result<()> {
    let characters = password.chars().count();
    let refuse = |detail: &'static str| {
        Err(Error::new(ErrorKind::Invalid, "weak_password", detail).with_field("/password", "weak_password", detail))
    };
    if characters < 12 {
        return refuse("Use at least 12 characters; several words in a row are easy to remember.");
    }
    if characters > 256 {
        return refuse("Use at most 256 characters.");
    }
    if password.eq_ignore_ascii_case(email) {
        return refuse("Use something other than the e-mail address.");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret<String> {
        Secret::new(text.to_owned())
    }

    #[tokio::test]
    async fn only_the_right_password_passes() {
        let pool = Passwords::new(Random::system(), 1);
        let stored = pool.hash(secret("a long enough one"), "a@b.c").await.expect("hashes");
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{stored}");
        assert!(pool.verify(secret("a long enough one"), Some(stored.clone())).await.expect("checks"));
        assert!(!pool.verify(secret("another long one"), Some(stored)).await.expect("checks"));
        assert!(!pool.verify(secret("no one has this password"), None).await.expect("checks"));
    }

    #[tokio::test]
    async fn a_hash_of_nobody_is_read_and_never_right() {
        let pool = Passwords::new(Random::system(), 1);
        let hash = pool.nobodys();
        assert_ne!(hash, pool.nobodys());
        assert!(!pool.verify(secret("no one has this password"), Some(hash)).await.expect("checks"));
    }

    #[test]
    fn a_hash_that_is_dear_to_check_is_not_borne() {
        let of = |algorithm: &str, cost: &str| format!("${algorithm}$v=19${cost}$c29tZSBzYWx0IG9mIHVz$Zml2ZSBhbmQgdHdlbnR5IGJ5dGVzIQ");
        assert!(is_bearable(&of("argon2id", "m=19456,t=2,p=1")));
        for (algorithm, cost) in [
            ("argon2id", "m=4194304,t=2,p=1"),
            ("argon2id", "m=19456,t=4294967295,p=1"),
            ("argon2id", "m=19456,t=2,p=64"),
            ("argon2i", "m=19456,t=2,p=1"),
        ] {
            assert!(!is_bearable(&of(algorithm, cost)), "{algorithm} {cost}");
        }
        assert!(!is_bearable("a password"));
    }

    #[tokio::test]
    async fn weak_passwords_are_refused_with_their_field() {
        let pool = Passwords::new(Random::system(), 1);
        for weak in ["short", "owner@example.com"] {
            let error = pool.hash(secret(weak), "Owner@Example.com").await.expect_err("is weak");
            assert_eq!((error.code(), error.fields()[0].pointer.as_str()), ("weak_password", "/password"));
        }
    }

    #[tokio::test]
    async fn a_flood_is_refused_rather_than_queued() {
        let pool = Passwords::new(Random::system(), 1);
        let mut tries = tokio::task::JoinSet::new();
        for _ in 0..64 {
            let pool = pool.clone();
            tries.spawn(async move { pool.verify(secret("whatever it is"), None).await.map_err(|error| error.code()) });
        }
        let answers = tries.join_all().await;
        assert!(answers.contains(&Err("sign_in_busy")));
        assert!(answers.contains(&Ok(false)));
    }
}
