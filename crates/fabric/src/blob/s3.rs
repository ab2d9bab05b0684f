//! The variant in a bucket.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _};
use object_store::aws::{AmazonS3Builder, Checksum};
use object_store::path::Path;
use object_store::{BackoffConfig, Certificate, ClientOptions, GetOptions, ObjectStore as _, RetryConfig};
use steward_base::{Clock, Error, ErrorKind, Result, Secret};

use super::door::{Door, Guard};
use super::key::{self, Key};
use super::unfinished::{Unfinished, Upload};
use crate::breaker::{Breaker, Circuit};
use crate::{Class, Scope, authority};

const CONNECT: Duration = Duration::from_secs(3);
/// How often a request that failed is sent again.
const RETRIES: usize = 2;

/// Where a bucket is and how it is spoken to.
#[derive(Clone, Debug)]
pub struct Bucket {
    /// The server, as `https://host[:port]`; `None` for AWS. With `http://` objects travel in clear.
    pub endpoint: Option<String>,
    /// The bucket's name.
    pub name: String,
    /// Its region; servers that know none take `us-east-1`.
    pub region: String,
    /// Whose access it is.
    pub access_key_id: String,
    /// What proves it.
    pub secret_access_key: Secret<String>,
    /// How the bucket is named in a URL.
    pub addressing: Addressing,
    /// The certificates, as PEM, that the server's must come from; without them, those this machine trusts.
    pub authority: Option<String>,
    /// How long the server may be silent.
    pub patience: Duration,
}

/// How the bucket is named in a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addressing {
    /// In the path, as most servers outside AWS want it.
    Path,
    /// In the host's name.
    VirtualHost,
}

/// Objects in a bucket.
#[derive(Clone, Debug)]
pub struct S3 {
    door: Door,
    breaker: Breaker,
    unfinished: Arc<Unfinished>,
}

impl S3 {
    pub(super) fn new(bucket: &Bucket, clock: Clock) -> Result<Self> {
        let mut options = ClientOptions::new()
            .with_connect_timeout(CONNECT)
            .with_read_timeout(bucket.patience)
            .with_timeout_disabled()
            .with_allow_http(bucket.endpoint.as_deref().is_some_and(|endpoint| endpoint.starts_with("http://")));
        if let Some(pem) = &bucket.authority {
            options = options.with_no_system_certificates(true);
            if !authority::is_usable(pem) {
                return Err(unreadable());
            }
            let certificates = Certificate::from_pem_bundle(pem.as_bytes()).map_err(|error| unreadable().with_source(error))?;
            options = certificates.into_iter().fold(options, ClientOptions::with_root_certificate);
        }
        let retry = RetryConfig {
            backoff: BackoffConfig { init_backoff: Duration::from_millis(100), max_backoff: Duration::from_secs(2), base: 2.0 },
            max_retries: RETRIES,
            retry_timeout: bucket.patience,
        };
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(&bucket.name)
            .with_region(&bucket.region)
            .with_access_key_id(&bucket.access_key_id)
            .with_secret_access_key(bucket.secret_access_key.expose())
            .with_virtual_hosted_style_request(bucket.addressing == Addressing::VirtualHost)
            .with_checksum_algorithm(Checksum::SHA256)
            .with_client_options(options.clone())
            .with_retry(retry);
        if let Some(endpoint) = &bucket.endpoint {
            builder = builder.with_endpoint(endpoint);
        }
        let store = Arc::new(builder.build().map_err(|error| unreadable().with_source(error))?);
        let unfinished = Unfinished::new(bucket, Arc::clone(&store), &options).map_err(|error| unreadable().with_source(error))?;
        let breaker = Breaker::new(clock);
        let guard = Guard { breaker: breaker.clone(), longest: bucket.patience * 2 + CONNECT };
        Ok(Self { door: Door { store, guard: Some(guard) }, breaker, unfinished: Arc::new(unfinished) })
    }

    /// Whether the bucket is being given a rest.
    pub fn circuit(&self) -> Circuit {
        self.breaker.circuit()
    }

    pub(super) fn door(&self) -> &Door {
        &self.door
    }

    pub(super) async fn erase(&self, scope: Scope) -> Result<()> {
        let folder = Path::from(scope.to_string());
        // First: what is completed meanwhile is an object then.
        for upload in self.unfinished.list(&self.door, &format!("{folder}/")).await? {
            self.unfinished.abort(&self.door, &upload).await?;
        }
        loop {
            let listed: Vec<Path> = match self.door.step(self.some(&folder)).await? {
                Some(listed) if !listed.is_empty() => listed,
                _ => return Ok(()),
            };
            let deleted = self.door.store.delete_stream(futures_util::stream::iter(listed.into_iter().map(Ok)).boxed());
            self.door.step(deleted.try_for_each(|_| async { Ok(()) })).await?;
        }
    }

    /// The names of a class of the scope with uploads that are unfinished, and which uploads these are.
    pub(super) async fn unfinished(&self, scope: Scope, class: Class) -> Result<Vec<(Key, Upload)>> {
        let uploads = self.unfinished.list(&self.door, &format!("{}/", key::folder(scope, class))).await?;
        let ours = |upload: Upload| Some((Key::new(scope, class, upload.key.rsplit_once('/')?.1).ok()?, upload));
        Ok(uploads.into_iter().filter_map(ours).collect())
    }

    pub(super) async fn abort(&self, upload: &Upload) -> Result<()> {
        self.unfinished.abort(&self.door, upload).await
    }

    pub(super) async fn health(&self) -> Result<()> {
        // A list tells whether the bucket is there, a look at one object whether it is the key that is refused.
        let options = GetOptions { head: true, ..GetOptions::default() };
        self.door.step(self.door.store.get_opts(&Path::from("health/probe"), options)).await?;
        self.door.step(self.some(&Path::from("health"))).await.map(drop)
    }

    /// As many objects below `folder` as one request deletes.
    async fn some(&self, folder: &Path) -> object_store::Result<Vec<Path>> {
        self.door.store.list(Some(folder)).map_ok(|meta| meta.location).take(1_000).try_collect().await
    }
}

fn unreadable() -> Error {
    let detail = "The settings of the bucket cannot be used: look at its endpoint, its name and its authority.";
    Error::new(ErrorKind::Invalid, "blob_settings", detail)
}
