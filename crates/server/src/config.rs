//! Settings, in layers: defaults < file < environment < flags. Every value knows where it came from; an unknown key is refused.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use serde::Deserialize;
use steward_base::{Error, ErrorKind, Result, Secret};
use toml::{Table, Value};

use crate::places::{self, PlaceSetting};
use crate::split::Runs;

/// One setting: what `config explain` shows and what the three upper layers may name.
pub(crate) struct Setting {
    /// As in the file.
    pub(crate) key: &'static str,
    /// What it does, with its unit.
    pub(crate) doc: &'static str,
    /// As TOML.
    pub(crate) default: &'static str,
}

/// Every setting there is. The environment names them `STEWARD_` + the key in capitals; flags name some of them.
pub(crate) const SETTINGS: &[Setting] = &[
    Setting { key: "data_dir", doc: "Folder of everything Steward keeps: records, telemetry, keys.", default: "\"steward-data\"" },
    Setting { key: "listen", doc: "Address and port to serve on.", default: "\"127.0.0.1:8080\"" },
    Setting { key: "public_url", doc: "Where people and agents reach Steward; empty derives it from `listen`.", default: "\"\"" },
    Setting {
        key: "database_url",
        doc: "PostgreSQL to keep records in; empty keeps them in SQLite files under `data_dir`.",
        default: "\"\"",
    },
    Setting {
        key: "places",
        doc: "Places for tenants beside `home`, which is where the settings above say: a list of `{ name = \"…\", folder = \"…\" }`, or with `database_url_file` (a file that holds the address) or `database_url`, and `layout = \"shared\"` for one schema that all its tenants share.",
        default: "[]",
    },
    Setting { key: "newcomers", doc: "Place that new tenants are put in: `home`, or a name of `places`.", default: "\"home\"" },
    Setting {
        key: "master_key_file",
        doc: "File with the master key, one key per line and the current one first; empty is `master.key` under `data_dir`. Made at the first start.",
        default: "\"\"",
    },
    Setting {
        key: "master_key",
        doc: "The master key itself in place of a file, several separated by commas with the current one first; meant for the environment.",
        default: "\"\"",
    },
    Setting {
        key: "master_key_command",
        doc: "Command that prints the master key, in place of a file; it is run by `sh` at every start and may take 30 seconds.",
        default: "\"\"",
    },
    Setting {
        key: "audit_copy_dir",
        doc: "Second folder for the signed heads of the event chains, best on another machine; empty keeps them in `audit` under `data_dir` only.",
        default: "\"\"",
    },
    Setting { key: "audit_interval_seconds", doc: "Seconds between signatures of the event chains that moved.", default: "600" },
    Setting {
        key: "backup_dir",
        doc: "Folder for backups, best on another machine; empty puts them into the bucket, when `s3_bucket` names one.",
        default: "\"\"",
    },
    Setting {
        key: "tls_cert_file",
        doc: "PEM file of the certificate chain; TLS is on when it and `tls_key_file` are set.",
        default: "\"\"",
    },
    Setting { key: "tls_key_file", doc: "PEM file of the certificate's private key.", default: "\"\"" },
    Setting { key: "trusted_proxies", doc: "Networks (CIDR) whose X-Forwarded-For is believed.", default: "[]" },
    Setting {
        key: "roles",
        doc: "Roles this process runs: `all`; `data`, which has the records; or `rest`, which is `api`, `identity`, `telemetry` and `worker` in one process.",
        default: "[\"all\"]",
    },
    Setting {
        key: "data_listen",
        doc: "Address and port at which the role `data` serves records to other processes, plain HTTP with signed requests; never a public one. Empty serves none.",
        default: "\"\"",
    },
    Setting {
        key: "data_url",
        doc: "Where the process with the role `data` is, as in `http://127.0.0.1:8081`; for `rest` without a `database_url`.",
        default: "\"\"",
    },
    Setting {
        key: "data_key_file",
        doc: "File with the key that requests to the role `data` are signed with, 32 bytes in base64url, the same for both processes; empty derives it from the master key.",
        default: "\"\"",
    },
    Setting { key: "watch", doc: "Whether to run an agent for this machine as a child process.", default: "false" },
    Setting { key: "demo", doc: "Whether to load a sample company into the first tenant.", default: "false" },
    Setting {
        key: "log_level",
        doc: "Least severe log lines to write: error, warn, info, debug or trace, also per module.",
        default: "\"info\"",
    },
    Setting { key: "log_format", doc: "`json`, or `text` for people.", default: "\"json\"" },
    Setting { key: "connections", doc: "Most connections at once; further ones wait.", default: "16384" },
    Setting {
        key: "connections_per_address",
        doc: "Most connections of one client address at once; loopback and `trusted_proxies` are not counted.",
        default: "256",
    },
    Setting { key: "drain_seconds", doc: "Seconds that requests under way get when the server is told to stop.", default: "20" },
    Setting { key: "import_max_mb", doc: "Megabytes that one file of records to import may have.", default: "2048" },
    Setting {
        key: "import_waiting_mb",
        doc: "Megabytes of files that may wait in one tenant to be imported; more are refused until some are done.",
        default: "8192",
    },
    Setting { key: "telemetry_memory_mb", doc: "Megabytes of telemetry held in memory before writers are told to wait.", default: "256" },
    Setting {
        key: "rate_limit_read",
        doc: "Reads a minute of one caller, or of one address without a credential; 0 is any number, here and below.",
        default: "1200000",
    },
    Setting { key: "rate_limit_write", doc: "Changes a minute of one caller.", default: "600000" },
    Setting { key: "rate_limit_ingest", doc: "Telemetry requests a minute of one caller.", default: "600000" },
    Setting { key: "rate_limit_stream", doc: "Streams that one caller may open a minute.", default: "6000" },
    Setting {
        key: "rate_limit_credential",
        doc: "Sign-ins, enrolments and device tokens a minute of one client address; loopback is not counted.",
        default: "300",
    },
    Setting {
        key: "rate_limit_refused",
        doc: "Credentials that are no good, a minute of one client address; loopback is not counted.",
        default: "300",
    },
    Setting { key: "rate_limit_tenant_factor", doc: "How many callers' worth of requests a tenant gets in all.", default: "4" },
    Setting {
        key: "redis_url",
        doc: "Redis or Valkey that several processes share, as in `redis://user:password@host:6379/0`, or `rediss://` for TLS; empty keeps short-lived values in memory.",
        default: "\"\"",
    },
    Setting { key: "s3_bucket", doc: "Bucket for objects; empty keeps them as files under `data_dir`.", default: "\"\"" },
    Setting { key: "s3_endpoint", doc: "Server of the bucket, as in `https://s3.example.com`; empty is AWS.", default: "\"\"" },
    Setting { key: "s3_region", doc: "Region of the bucket; servers that know none take the default.", default: "\"us-east-1\"" },
    Setting { key: "s3_access_key_id", doc: "Key id for the bucket.", default: "\"\"" },
    Setting { key: "s3_secret_access_key", doc: "Secret of the key for the bucket; meant for the environment.", default: "\"\"" },
    Setting {
        key: "s3_addressing",
        doc: "How the bucket is named in a URL: `path`, as most servers outside AWS want it, or `virtual-host`.",
        default: "\"path\"",
    },
    Setting {
        key: "smtp_url",
        doc: "Mail server, as in `smtps://user:password@host:465`, or `smtp://` for STARTTLS on port 587, which this machine's own server goes without; empty keeps mail as files under `data_dir`.",
        default: "\"\"",
    },
    Setting {
        key: "mail_from",
        doc: "Who mail comes from, as in `Steward <steward@example.com>`; needed with `smtp_url`.",
        default: "\"Steward <steward@localhost>\"",
    },
];

/// Variables of the agent and of the test suites, which may stand in the same environment.
const NOT_SETTINGS: [&str; 2] = ["STEWARD_AGENT_", "STEWARD_TEST_"];

/// The effective settings.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    pub(crate) data_dir: PathBuf,
    pub(crate) listen: SocketAddr,
    pub(crate) public_url: String,
    pub(crate) database_url: String,
    pub(crate) places: Vec<PlaceSetting>,
    pub(crate) newcomers: String,
    pub(crate) master_key_file: String,
    pub(crate) master_key: Secret<String>,
    pub(crate) master_key_command: String,
    pub(crate) audit_copy_dir: String,
    pub(crate) audit_interval_seconds: u32,
    pub(crate) backup_dir: String,
    pub(crate) tls_cert_file: String,
    pub(crate) tls_key_file: String,
    pub(crate) trusted_proxies: Vec<IpNet>,
    pub(crate) roles: Vec<String>,
    pub(crate) data_listen: String,
    pub(crate) data_url: String,
    pub(crate) data_key_file: String,
    pub(crate) watch: bool,
    pub(crate) demo: bool,
    pub(crate) log_level: String,
    pub(crate) log_format: LogFormat,
    pub(crate) connections: u32,
    pub(crate) connections_per_address: u32,
    pub(crate) drain_seconds: u16,
    pub(crate) import_max_mb: u32,
    pub(crate) import_waiting_mb: u32,
    pub(crate) telemetry_memory_mb: u32,
    pub(crate) rate_limit_read: u32,
    pub(crate) rate_limit_write: u32,
    pub(crate) rate_limit_ingest: u32,
    pub(crate) rate_limit_stream: u32,
    pub(crate) rate_limit_credential: u32,
    pub(crate) rate_limit_refused: u32,
    pub(crate) rate_limit_tenant_factor: u32,
    pub(crate) redis_url: Secret<String>,
    pub(crate) s3_bucket: String,
    pub(crate) s3_endpoint: String,
    pub(crate) s3_region: String,
    pub(crate) s3_access_key_id: String,
    pub(crate) s3_secret_access_key: Secret<String>,
    pub(crate) s3_addressing: BucketAddressing,
    pub(crate) smtp_url: Secret<String>,
    pub(crate) mail_from: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    Json,
    Text,
}

/// How a bucket is named in a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum BucketAddressing {
    Path,
    VirtualHost,
}

/// Values with the layer that set each.
pub(crate) struct Layers {
    values: Table,
    sources: BTreeMap<&'static str, String>,
}

impl Layers {
    /// Reads the layers; `flags` hold TOML values by key. Fails with `config_invalid`, naming the layer and the key.
    pub(crate) fn read(file: Option<&Path>, environment: &BTreeMap<String, String>, flags: &[(&'static str, Value)]) -> Result<Self> {
        let mut layers = Self { values: Table::new(), sources: BTreeMap::new() };
        for setting in SETTINGS {
            let value = literal(setting.default).ok_or_else(|| invalid(format!("The default of {} is no TOML.", setting.key)))?;
            layers.set(setting.key, value, "default".to_owned());
        }
        if let Some(path) = file {
            layers.read_file(path)?;
        }
        layers.read_environment(environment)?;
        for (key, value) in flags {
            layers.set(key, value.clone(), "flag".to_owned());
        }
        Ok(layers)
    }

    /// The typed settings, checked together.
    pub(crate) fn config(&self) -> Result<Config> {
        for (key, value) in &self.values {
            self.check_type(key, value)?;
        }
        let config: Config = typed(self.values.clone()).map_err(|error| match self.culprit() {
            Some(key) => invalid(format!("{key} (from {}): {}.", self.sources[key], error.message().trim_end())),
            None => invalid(error.message().to_owned()),
        })?;
        config.check()?;
        Ok(config)
    }

    /// Each setting with its value as TOML and its source, in the order of the list; what `config print` shows.
    pub(crate) fn rows(&self) -> Vec<(&'static Setting, String, &str)> {
        let row = |setting: &'static Setting| {
            let source = self.sources.get(setting.key).map_or("default", String::as_str);
            let value = match setting.key {
                "database_url" | "redis_url" | "smtp_url" => hide_password(&self.values[setting.key]),
                "master_key" | "s3_secret_access_key" if self.values[setting.key].as_str() != Some("") => "\"hidden\"".to_owned(),
                "places" => places::shown(&self.values["places"]),
                key => self.values[key].to_string(),
            };
            (setting, value, source)
        };
        SETTINGS.iter().map(row).collect()
    }

    fn set(&mut self, key: &'static str, value: Value, source: String) {
        self.values.insert(key.to_owned(), value);
        self.sources.insert(key, source);
    }

    fn read_file(&mut self, path: &Path) -> Result<()> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| invalid(format!("The configuration file {} cannot be read: {error}.", path.display())))?;
        let table: Table = text.parse().map_err(|error| invalid(format!("{} is not TOML: {error}", path.display())))?;
        for (key, value) in table {
            let setting = known(&key).ok_or_else(|| unknown(&key, &format!("{}", path.display())))?;
            self.set(setting.key, value, format!("file {}", path.display()));
        }
        Ok(())
    }

    fn read_environment(&mut self, environment: &BTreeMap<String, String>) -> Result<()> {
        for (name, text) in environment {
            if NOT_SETTINGS.iter().any(|prefix| name.starts_with(prefix)) {
                continue;
            }
            let Some(key) = name.strip_prefix("STEWARD_").map(str::to_lowercase) else { continue };
            let setting = known(&key).ok_or_else(|| unknown(name, "the environment"))?;
            // Text settings need no quotes there; lists may be separated by commas.
            let value = match literal(setting.default) {
                Some(Value::String(_)) => Value::String(text.clone()),
                // Places are no plain texts: there they are written as in the file.
                Some(Value::Array(_)) if text.trim_start().starts_with('[') => {
                    literal(text).ok_or_else(|| invalid(format!("{name} is not a list: it is written as in the file.")))?
                }
                Some(Value::Array(_)) => list(text),
                _ => literal(text).ok_or_else(|| invalid(format!("{name} is not a value: {text}")))?,
            };
            self.set(setting.key, value, format!("environment {name}"));
        }
        Ok(())
    }

    /// The setting that does not read: the one that spoils the defaults.
    fn culprit(&self) -> Option<&'static str> {
        let defaults: Table = SETTINGS.iter().filter_map(|setting| Some((setting.key.to_owned(), literal(setting.default)?))).collect();
        let spoils = |key: &&'static str| {
            let mut table = defaults.clone();
            table.insert((*key).to_owned(), self.values[*key].clone());
            typed(table).is_err()
        };
        SETTINGS.iter().map(|setting| setting.key).find(spoils)
    }

    fn check_type(&self, key: &str, value: &Value) -> Result<()> {
        let Some(setting) = known(key) else { return Err(unknown(key, "the settings")) };
        let wanted = literal(setting.default).map_or("value", |value| value.type_str());
        if value.type_str() == wanted {
            return Ok(());
        }
        let source = self.sources.get(key).map_or("default", String::as_str);
        Err(invalid(format!("{key} (from {source}) must be a TOML {wanted}, not a {}. {}", value.type_str(), setting.doc)))
    }
}

impl Config {
    /// Whether to serve TLS.
    pub(crate) fn tls(&self) -> bool {
        !self.tls_cert_file.is_empty()
    }

    /// What this process runs. Fails with `config_invalid`.
    pub(crate) fn runs(&self) -> Result<Runs> {
        Runs::of(&self.roles)
    }

    fn check(&self) -> Result<()> {
        if self.tls_cert_file.is_empty() != self.tls_key_file.is_empty() {
            return Err(invalid("tls_cert_file and tls_key_file go together: set both or neither.".to_owned()));
        }
        let sources = [!self.master_key_file.is_empty(), !self.master_key.expose().is_empty(), !self.master_key_command.is_empty()];
        if sources.into_iter().filter(|set| *set).count() > 1 {
            return Err(invalid("master_key_file, master_key and master_key_command exclude each other: set one.".to_owned()));
        }
        if self.s3_bucket.is_empty() != self.s3_access_key_id.is_empty()
            || self.s3_bucket.is_empty() != self.s3_secret_access_key.expose().is_empty()
        {
            return Err(invalid("s3_bucket, s3_access_key_id and s3_secret_access_key go together: set all or none.".to_owned()));
        }
        if self.audit_interval_seconds == 0 {
            return Err(invalid("audit_interval_seconds is at least 1.".to_owned()));
        }
        if self.connections == 0 || self.connections_per_address == 0 {
            return Err(invalid("connections and connections_per_address are at least 1: without any nobody is served.".to_owned()));
        }
        if self.import_max_mb == 0 || self.import_waiting_mb < self.import_max_mb {
            return Err(invalid("import_max_mb is at least 1, and import_waiting_mb at least as much.".to_owned()));
        }
        self.runs()?.check(self)?;
        places::check(self)?;
        if !self.public_url.is_empty() {
            let url = url::Url::parse(&self.public_url).map_err(|error| invalid(format!("public_url is not a URL: {error}.")))?;
            let plain = matches!(url.scheme(), "http" | "https") && url.path() == "/" && url.query().is_none() && url.fragment().is_none();
            if !plain || self.public_url.ends_with('/') || url.host().is_none() {
                return Err(invalid("public_url is a scheme, a host and maybe a port, as in https://steward.example.com.".to_owned()));
            }
        }
        Ok(())
    }
}

fn typed(values: Table) -> Result<Config, toml::de::Error> {
    Value::Table(values).try_into()
}

fn known(key: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.key == key)
}

fn literal(text: &str) -> Option<Value> {
    format!("value = {text}").parse::<Table>().ok()?.remove("value")
}

fn list(text: &str) -> Value {
    let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
    Value::Array(items.map(|item| Value::String(item.to_owned())).collect())
}

pub(crate) fn hide_password(value: &Value) -> String {
    let Some(text) = value.as_str() else { return value.to_string() };
    match url::Url::parse(text) {
        _ if text.is_empty() => value.to_string(),
        Ok(mut url) if url.has_host() => {
            // Parameters may hold a password as well.
            url.set_query(None);
            let hidden = url.password().is_none() || url.set_password(Some("hidden")).is_ok();
            if hidden { format!("\"{url}\"") } else { "\"hidden\"".to_owned() }
        }
        _ => "\"hidden\"".to_owned(),
    }
}

pub(crate) fn invalid(detail: String) -> Error {
    Error::new(ErrorKind::Invalid, "config_invalid", detail)
}

fn unknown(key: &str, place: &str) -> Error {
    invalid(format!("{place} names {key}, which is no setting. `steward config explain` lists them all."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn upper_layers_win_and_say_so() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("steward.toml");
        std::fs::write(&file, "listen = \"127.0.0.1:1\"\nlog_level = \"warn\"\ndrain_seconds = 5\n").expect("is written");
        let environment = environment(&[("STEWARD_LISTEN", "127.0.0.1:2"), ("STEWARD_LOG_LEVEL", "debug"), ("PATH", "/bin")]);
        let layers = Layers::read(Some(&file), &environment, &[("listen", Value::String("127.0.0.1:3".to_owned()))]).expect("reads");
        let config = layers.config().expect("is valid");
        assert_eq!((config.listen.port(), config.log_level.as_str(), config.drain_seconds), (3, "debug", 5));
        let sources: Vec<_> = layers.rows().into_iter().filter(|row| row.2 != "default").map(|row| (row.0.key, row.2.to_owned())).collect();
        assert_eq!(sources[0], ("listen", "flag".to_owned()));
        assert_eq!(sources[1], ("log_level", "environment STEWARD_LOG_LEVEL".to_owned()));
        assert!(sources[2].1.starts_with("file "));
    }

    #[test]
    fn what_is_unknown_or_wrong_is_refused_by_name() {
        for (name, value, part) in [
            ("STEWARD_LISTN", "x", "STEWARD_LISTN"),
            ("STEWARD_LISTEN", "nowhere", "listen"),
            ("STEWARD_WATCH", "maybe", "STEWARD_WATCH"),
            ("STEWARD_DRAIN_SECONDS", "-1", "drain_seconds"),
            ("STEWARD_PUBLIC_URL", "https://a.example/path", "public_url"),
            ("STEWARD_TLS_CERT_FILE", "cert.pem", "tls_key_file"),
            ("STEWARD_ROLES", "gateway", "roles"),
            ("STEWARD_ROLES", "data", "data_listen"),
            ("STEWARD_ROLES", "rest", "data_url"),
            ("STEWARD_DATA_URL", "http://127.0.0.1:8081", "roles"),
            ("STEWARD_DATA_LISTEN", "here", "data_listen"),
            ("STEWARD_TRUSTED_PROXIES", "10.0.0.0/33", "trusted_proxies"),
            ("STEWARD_CONNECTIONS_PER_ADDRESS", "0", "connections_per_address"),
            ("STEWARD_IMPORT_WAITING_MB", "1", "import_max_mb"),
            ("STEWARD_PLACES", "[{ name = \"home\", folder = \"x\" }]", "home"),
            ("STEWARD_PLACES", "[{ name = \"a\" }]", "database_url_file"),
            ("STEWARD_PLACES", "[{ name = \"a\", folder = \"x\", layout = \"shared\" }]", "layout"),
            ("STEWARD_PLACES", "[{ name = \"a\", folder = \"x\" }, { name = \"a\", folder = \"y\" }]", "twice"),
            ("STEWARD_PLACES", "a,b", "places"),
            ("STEWARD_NEWCOMERS", "somewhere", "newcomers"),
            ("STEWARD_S3_BUCKET", "objects", "s3_secret_access_key"),
            ("STEWARD_S3_ADDRESSING", "both", "s3_addressing"),
        ] {
            let layers = Layers::read(None, &environment(&[(name, value)]), &[]);
            let error = layers.and_then(|layers| layers.config()).expect_err(name);
            assert_eq!(error.code(), "config_invalid");
            assert!(error.detail().contains(part), "{name}: {}", error.detail());
        }
    }

    #[test]
    fn the_defaults_are_valid_and_no_password_is_shown() {
        for url in ["postgres://me:open-sesame@localhost/x", "host=db password=open-sesame", "postgres://db/x?password=open-sesame"] {
            let layers = Layers::read(None, &environment(&[("STEWARD_DATABASE_URL", url)]), &[]).expect("reads");
            layers.config().expect("is valid");
            assert!(layers.rows().iter().all(|row| !row.1.contains("open-sesame")), "{url}");
        }
        let secrets = environment(&[
            ("STEWARD_MASTER_KEY", "open-sesame"),
            ("STEWARD_REDIS_URL", "redis://:open-sesame@localhost/0"),
            ("STEWARD_PLACES", "[{ name = \"a\", database_url = \"postgres://me:open-sesame@db/x\" }]"),
            ("STEWARD_S3_BUCKET", "objects"),
            ("STEWARD_S3_ACCESS_KEY_ID", "me"),
            ("STEWARD_S3_SECRET_ACCESS_KEY", "open-sesame"),
            ("STEWARD_SMTP_URL", "smtps://me:open-sesame@localhost"),
        ]);
        let layers = Layers::read(None, &secrets, &[]).expect("reads");
        assert!(layers.rows().iter().all(|row| !row.1.contains("open-sesame")));
        assert!(!format!("{:?}", layers.config().expect("is valid")).contains("open-sesame"));
    }
}
