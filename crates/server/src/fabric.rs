//! What is leaned on beside the records: short-lived keys, objects, mail and the cache, opened as the settings say.
//!
//! Each is embedded until a setting names a server for it. None of them makes the process unready: one that is down takes along what needs it and
//! nothing else, and readiness and metrics say so.

use std::time::Duration;

use steward_base::{Clock, Random, Result, Secret};
use steward_fabric::Circuit;
use steward_fabric::blob::{Addressing, Blob, Bucket};
use steward_fabric::cache::{Cache, Freshness, Options};
use steward_fabric::kv::{Capacity, Kv, Server};
use steward_fabric::mail::{Address, Credentials, Mail, Relay, Security, Sender};
use steward_web::Site;
use steward_web::health::Need;
use url::{Host, Url};

use crate::config::{BucketAddressing, Config, invalid};

mod metrics;
mod operations;

pub(crate) use operations::operations;

/// How much memory cached values take together.
const CACHE_BYTES: u64 = 32 << 20;
/// How many messages of each tenant the mail folder keeps.
const MAIL_KEPT: usize = 1_000;
/// How long a bucket may be silent.
const BUCKET_PATIENCE: Duration = Duration::from_secs(5);
/// How long a mail server may take for one step.
const MAIL_PATIENCE: Duration = Duration::from_secs(10);

/// The handles. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Fabric {
    pub(crate) kv: Kv,
    pub(crate) blob: Blob,
    pub(crate) mail: Mail,
    /// For values that only this process changes, or whose users see for themselves whether they are still true, as those of `credentials` do: it
    /// hears of no other process. Without a second level: none of these values may be in Redis, as record 7 of the decisions says.
    pub(crate) cache: Cache,
}

impl Fabric {
    /// Opens each part. A server that is down delays no start. Fails with `config_invalid`, `kv_url`, `blob_settings`, `blob_in_use` and what a
    /// disk may say.
    pub(crate) async fn open(config: &Config, clock: &Clock, random: &Random) -> Result<Self> {
        let options = Options { bytes: CACHE_BYTES, freshness: Freshness::only_process(), second: None };
        Ok(Self {
            kv: kv(config, clock)?,
            blob: blob(config, clock).await?,
            mail: mail(config, clock, random).await?,
            cache: Cache::new(options, clock.clone(), random.clone()),
        })
    }

    /// Adds the parts to readiness, as such that may be down, and to the metrics.
    pub(crate) fn watch_over(&self, site: &Site) {
        let (kv, blob, mail) = (self.kv.clone(), self.blob.clone(), self.mail.clone());
        site.health().add("keys", Need::Sometimes, move || {
            let kv = kv.clone();
            async move { kv.health().await }
        });
        site.health().add("objects", Need::Sometimes, move || {
            let blob = blob.clone();
            async move { blob.health().await }
        });
        site.health().add("mail", Need::Sometimes, move || {
            let mail = mail.clone();
            async move { mail.health().await }
        });
        let fabric = self.clone();
        site.metrics().add(std::sync::Arc::new(move |out| metrics::render(&fabric, out)));
    }

    /// The ways to the parts that are elsewhere.
    fn circuits(&self) -> Vec<(&'static str, Circuit)> {
        let mut circuits = Vec::new();
        if let Kv::Redis(redis) = &self.kv {
            circuits.push(("keys", redis.circuit()));
        }
        if let Blob::S3(s3) = &self.blob {
            circuits.push(("objects", s3.circuit()));
        }
        if let Mail::Smtp(smtp) = &self.mail {
            circuits.push(("mail", smtp.circuit()));
        }
        circuits
    }
}

fn kv(config: &Config, clock: &Clock) -> Result<Kv> {
    if config.redis_url.expose().is_empty() {
        return Ok(Kv::memory(Capacity::default(), clock.clone()));
    }
    Kv::redis(&Server { url: config.redis_url.clone(), authority: None }, clock.clone())
}

/// The object store of the settings.
pub(crate) async fn blob(config: &Config, clock: &Clock) -> Result<Blob> {
    if config.s3_bucket.is_empty() {
        return Blob::directory(&config.data_dir.join("blobs")).await;
    }
    let bucket = Bucket {
        endpoint: Some(config.s3_endpoint.clone()).filter(|endpoint| !endpoint.is_empty()),
        name: config.s3_bucket.clone(),
        region: config.s3_region.clone(),
        access_key_id: config.s3_access_key_id.clone(),
        secret_access_key: config.s3_secret_access_key.clone(),
        addressing: match config.s3_addressing {
            BucketAddressing::Path => Addressing::Path,
            BucketAddressing::VirtualHost => Addressing::VirtualHost,
        },
        authority: None,
        patience: BUCKET_PATIENCE,
    };
    Blob::s3(&bucket, clock.clone())
}

async fn mail(config: &Config, clock: &Clock, random: &Random) -> Result<Mail> {
    let sender = sender(&config.mail_from)?;
    if config.smtp_url.expose().is_empty() {
        return Mail::folder(&config.data_dir.join("mail"), MAIL_KEPT, sender, clock.clone(), random.clone()).await;
    }
    if sender.address.domain() == "localhost" {
        return Err(invalid("mail_from is needed with smtp_url: an address that the mail server may send from.".to_owned()));
    }
    Mail::smtp(&relay(config.smtp_url.expose())?, sender, clock.clone(), random.clone())
}

/// `Name <address>`, or an address alone.
fn sender(text: &str) -> Result<Sender> {
    let (name, address) = match text.trim().strip_suffix('>').and_then(|text| text.rsplit_once('<')) {
        Some((name, address)) => (Some(name.trim().to_owned()).filter(|name| !name.is_empty()), address),
        None => (None, text.trim()),
    };
    let address: Address = address.parse().map_err(|_| invalid("mail_from is written as in Steward <steward@example.com>.".to_owned()))?;
    Ok(Sender { name, address })
}

fn relay(text: &str) -> Result<Relay> {
    // The words of the library may quote the password.
    let form = || invalid("smtp_url is written as in smtps://user:password@host:465 or smtp://user:password@host:587.".to_owned());
    let url = Url::parse(text).map_err(|_| form())?;
    let plain = matches!(url.path(), "" | "/") && url.query().is_none() && url.fragment().is_none();
    let host = url.host_str().filter(|host| plain && !host.is_empty()).ok_or_else(form)?;
    // Schemes that the library does not know leave an address as text.
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let own = match Host::parse(url.host_str().unwrap_or_default()) {
        Ok(Host::Domain(name)) => name == "localhost",
        Ok(Host::Ipv4(address)) => address.is_loopback(),
        Ok(Host::Ipv6(address)) => address.is_loopback(),
        Err(_) => return Err(form()),
    };
    let (security, port) = match url.scheme() {
        "smtps" => (Security::Implicit, 465),
        "smtp" if own => (Security::Loopback, 25),
        "smtp" => (Security::StartTls, 587),
        _ => return Err(form()),
    };
    let text = |part: &str| percent_encoding::percent_decode_str(part).decode_utf8().map(String::from).map_err(|_| form());
    let credentials = match (url.username(), url.password()) {
        ("", None) => None,
        (user, Some(password)) if !user.is_empty() => Some(Credentials { user: text(user)?, password: Secret::new(text(password)?) }),
        _ => return Err(form()),
    };
    Ok(Relay { host, port: url.port().unwrap_or(port), security, credentials, authority: None, patience: MAIL_PATIENCE })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::config::Layers;

    fn config(pairs: &[(&str, &str)]) -> Config {
        let environment: BTreeMap<String, String> = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Layers::read(None, &environment, &[]).expect("reads").config().expect("is valid")
    }

    async fn open(pairs: &[(&str, &str)]) -> Result<Fabric> {
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path().display().to_string();
        let pairs: Vec<_> = pairs.iter().copied().chain([("STEWARD_DATA_DIR", data.as_str())]).collect();
        Fabric::open(&config(&pairs), &Clock::system(), &Random::system()).await
    }

    #[tokio::test]
    async fn everything_is_embedded_until_a_setting_names_a_server() {
        let embedded = open(&[]).await.expect("opens");
        assert!(matches!((&embedded.kv, &embedded.blob, &embedded.mail), (Kv::Memory(_), Blob::Directory(_), Mail::Folder(_))));
        assert!(embedded.circuits().is_empty());

        let networked = open(&[
            ("STEWARD_REDIS_URL", "redis://127.0.0.1:1/0"),
            ("STEWARD_S3_BUCKET", "objects"),
            ("STEWARD_S3_ENDPOINT", "http://127.0.0.1:1"),
            ("STEWARD_S3_ACCESS_KEY_ID", "me"),
            ("STEWARD_S3_SECRET_ACCESS_KEY", "secret"),
            ("STEWARD_SMTP_URL", "smtp://127.0.0.1:1"),
            ("STEWARD_MAIL_FROM", "ops@example.com"),
        ]);
        let networked = networked.await.expect("servers that are down delay no start");
        assert!(matches!((&networked.kv, &networked.blob, &networked.mail), (Kv::Redis(_), Blob::S3(_), Mail::Smtp(_))));
        assert_eq!(networked.circuits().len(), 3);
        let mut text = String::new();
        metrics::render(&networked, &mut text);
        for part in ["keys", "objects", "mail"] {
            assert!(text.contains(&format!("steward_circuit_open{{part=\"{part}\"}} 0\n")), "{text}");
        }
    }

    #[tokio::test]
    async fn what_cannot_be_used_is_refused_by_name() {
        for (name, value, part) in [
            ("STEWARD_REDIS_URL", "http://localhost", "redis://"),
            ("STEWARD_SMTP_URL", "mail.example.com", "smtp_url"),
            ("STEWARD_SMTP_URL", "smtp://user@mail.example.com", "smtp_url"),
            ("STEWARD_SMTP_URL", "smtps://mail.example.com", "mail_from"),
            ("STEWARD_MAIL_FROM", "nobody", "mail_from"),
        ] {
            let error = open(&[(name, value)]).await.expect_err(value);
            assert!(error.detail().contains(part), "{name}={value}: {}", error.detail());
        }
    }

    #[test]
    fn the_way_to_a_mail_server_is_protected_unless_it_is_this_machine() {
        let read = |text: &str| relay(text).expect("reads");
        for (text, host, port, security) in [
            ("smtps://mail.example.com", "mail.example.com", 465, Security::Implicit),
            ("smtp://mail.example.com", "mail.example.com", 587, Security::StartTls),
            ("smtp://10.0.0.5:25", "10.0.0.5", 25, Security::StartTls),
            ("smtp://localhost:2525", "localhost", 2525, Security::Loopback),
            ("smtp://127.0.0.1", "127.0.0.1", 25, Security::Loopback),
            ("smtp://[::1]", "::1", 25, Security::Loopback),
        ] {
            let relay = read(text);
            assert_eq!((relay.host.as_str(), relay.port, relay.security), (host, port, security), "{text}");
        }
        let credentials = read("smtps://me%40example.com:p%3Ass@mail.example.com").credentials.expect("are there");
        assert_eq!((credentials.user.as_str(), credentials.password.expose().as_str()), ("me@example.com", "p:ss"));
    }
}
