//! Objects that cannot be stored or read for a while.

use std::sync::{Arc, Mutex};

use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error as StoreError, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions,
    PutOptions, PutPayload, PutResult, Result as StoreResult,
};
use steward_base::{Clock, Random};
use steward_telemetry::{Options, Telemetry};
use tempfile::tempdir;

use crate::support::{batch, messages, open, options, tenant};

/// What fails, for every path that contains the text.
#[derive(Clone, Debug, PartialEq)]
enum Outage {
    None,
    Put(String),
    /// The put works, its answer is lost.
    PutAnswer(String),
    Get(String),
}

/// A bucket in memory that can be told what to refuse.
#[derive(Debug)]
struct Bucket {
    store: InMemory,
    outage: Mutex<Outage>,
}

impl Bucket {
    fn options(dir: &std::path::Path) -> (Arc<Self>, Options) {
        let bucket = Arc::new(Self { store: InMemory::new(), outage: Mutex::new(Outage::None) });
        let objects: Arc<dyn ObjectStore> = Arc::<Self>::clone(&bucket);
        (bucket, Options { objects: Some(objects), ..options(dir) })
    }

    fn suffer(&self, outage: Outage) {
        *self.outage.lock().expect("alive") = outage;
    }

    fn outage(&self) -> Outage {
        self.outage.lock().expect("alive").clone()
    }

    async fn segments(&self, tenant: steward_base::TenantId) -> usize {
        let prefix = Path::from(tenant.to_string());
        let found: Vec<StoreResult<ObjectMeta>> = self.store.list(Some(&prefix)).collect().await;
        found.into_iter().filter(|meta| meta.as_ref().is_ok_and(|meta| meta.location.as_ref().ends_with(".parquet"))).count()
    }
}

fn refused<T>() -> StoreResult<T> {
    Err(StoreError::Generic { store: "Bucket", source: "out of order".into() })
}

impl std::fmt::Display for Bucket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Bucket")
    }
}

#[async_trait::async_trait]
impl ObjectStore for Bucket {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> StoreResult<PutResult> {
        match self.outage() {
            Outage::Put(text) if location.as_ref().contains(&text) => refused(),
            Outage::PutAnswer(text) if location.as_ref().contains(&text) => {
                self.store.put_opts(location, payload, options).await?;
                refused()
            }
            _ => self.store.put_opts(location, payload, options).await,
        }
    }
    async fn put_multipart_opts(&self, location: &Path, options: PutMultipartOptions) -> StoreResult<Box<dyn MultipartUpload>> {
        self.store.put_multipart_opts(location, options).await
    }
    async fn get_opts(&self, location: &Path, options: GetOptions) -> StoreResult<GetResult> {
        match self.outage() {
            Outage::Get(text) if location.as_ref().contains(&text) => refused(),
            _ => self.store.get_opts(location, options).await,
        }
    }
    fn delete_stream(&self, locations: BoxStream<'static, StoreResult<Path>>) -> BoxStream<'static, StoreResult<Path>> {
        self.store.delete_stream(locations)
    }
    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, StoreResult<ObjectMeta>> {
        self.store.list(prefix)
    }
    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> StoreResult<ListResult> {
        self.store.list_with_delimiter(prefix).await
    }
    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> StoreResult<()> {
        self.store.copy_opts(from, to, options).await
    }
}

#[tokio::test]
async fn a_tenant_that_cannot_be_flushed_does_not_keep_the_others_waiting() {
    let dir = tempdir().expect("a folder");
    let (bucket, options) = Bucket::options(dir.path());
    let telemetry = open(options).await;
    for number in 1..=4 {
        telemetry.append_logs(tenant(number), None, batch(["row"])).await.expect("stored");
    }
    bucket.suffer(Outage::Put(tenant(2).to_string()));
    assert_eq!(telemetry.flush().await.expect_err("says so").code(), "telemetry_storage");
    for number in 1..=4 {
        assert_eq!(bucket.segments(tenant(number)).await, usize::from(number != 2), "tenant {number}");
        assert_eq!(messages(&telemetry, tenant(number)).await, ["row"]);
    }
    assert!(telemetry.health().memory_bytes > 0);
    bucket.suffer(Outage::None);
    telemetry.flush().await.expect("flushes");
    assert_eq!((bucket.segments(tenant(2)).await, telemetry.health().memory_bytes), (1, 0));
    assert_eq!(messages(&telemetry, tenant(2)).await, ["row"]);
}

#[tokio::test]
async fn a_tenant_whose_segments_cannot_be_joined_does_not_keep_the_others_waiting() {
    let dir = tempdir().expect("a folder");
    let (bucket, mut options) = Bucket::options(dir.path());
    options.compact_segments = 3;
    let telemetry = open(options).await;
    // Segments are looked up in no order: with as many tenants, one of them comes after the one that fails.
    let tenants = 1..=8;
    bucket.suffer(Outage::Get(tenant(4).to_string()));
    for _ in 0..3 {
        for number in tenants.clone() {
            telemetry.append_logs(tenant(number), None, batch(["row"])).await.expect("stored");
        }
        telemetry.flush().await.expect("flushes");
    }
    assert_eq!(telemetry.maintain().await.expect_err("says so").code(), "telemetry_storage");
    for number in tenants {
        assert_eq!(bucket.segments(tenant(number)).await, if number == 4 { 3 } else { 1 }, "tenant {number}");
    }
    bucket.suffer(Outage::None);
    telemetry.maintain().await.expect("maintains");
    assert_eq!(bucket.segments(tenant(4)).await, 1);
    assert_eq!(messages(&telemetry, tenant(4)).await, ["row"; 3]);
}

#[tokio::test]
async fn a_manifest_whose_puts_fail_again_and_again_goes_on_once_they_work() {
    let dir = tempdir().expect("a folder");
    let (bucket, options) = Bucket::options(dir.path());
    let telemetry = open(options.clone()).await;
    let delta = |outage: fn(String) -> Outage| outage("manifest/".to_owned());
    let mut sent: Vec<String> = Vec::new();
    // Which of the failed puts is there is never the same: the first, none, one after some that are not.
    for outages in [
        vec![delta(Outage::PutAnswer), delta(Outage::Put), delta(Outage::Put)],
        vec![delta(Outage::Put), delta(Outage::Put)],
        vec![
            delta(Outage::Put),
            delta(Outage::PutAnswer),
            delta(Outage::PutAnswer),
            Outage::Get("manifest/".to_owned()),
            delta(Outage::Put),
        ],
    ] {
        for outage in outages {
            // Another row each time, so that each delta is another.
            sent.push(format!("row {}", sent.len()));
            telemetry.append_logs(tenant(1), None, batch([sent.last().expect("a row").as_str()])).await.expect("stored");
            bucket.suffer(outage);
            telemetry.flush().await.expect_err("says so");
            assert_eq!(messages(&telemetry, tenant(1)).await.len(), sent.len());
        }
        bucket.suffer(Outage::None);
        telemetry.flush().await.expect("flushes");
        assert_eq!(telemetry.health().memory_bytes, 0);
    }
    telemetry.close().await.expect("closes");
    drop(telemetry);
    let telemetry = reopen(options).await;
    let mut found = messages(&telemetry, tenant(1)).await;
    found.sort();
    sent.sort();
    assert_eq!(found, sent);
}

/// Opens the engine once the former one has let go of the folder.
async fn reopen(options: Options) -> Telemetry {
    loop {
        if let Ok(telemetry) = Telemetry::open(options.clone(), Clock::system(), Random::seeded(8)).await {
            return telemetry;
        }
        tokio::task::yield_now().await;
    }
}
