//! Redis and a bucket that are stopped, frozen and started again under load: what needs them answers a clear refusal within a bounded time,
//! everything else answers as before, and nobody has to lend a hand.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::Method;
use serde_json::json;
use steward_base::Error;
use steward_fabric::Class;
use steward_fabric::blob::{self, Blob, Expect};
use steward_fabric::kv::{self, Kv};
use steward_store::Kind;
use steward_testkit::{Parts, Setup, TestApp};
use steward_web::health::Need;
use steward_web::{Call, Operation, Rates, Reply, operation};

use crate::bucket::{BucketServer, Mood};
use crate::redis_server::RedisServer;
use crate::sample::{self, Gadget, Levers};
use crate::support::until;

/// Far above what one answer may take, far below what a hanging one would.
const BOUND: Duration = Duration::from_secs(20);
const CLASS: Class = Class::new("test");
const KEYS: &str = "/api/v1/api-keys";
/// Takes one row in.
const IMPORT: &str = "/api/v1/gadgets/import";
/// Takes more rows in than one request works on, by way of the bucket.
const LARGE_IMPORT: &str = "/api/v1/gadgets/import?dry_run=true";
const ROW: &str = "{\"name\":\"Lamp\"}\n";

fn operations(kv: Option<Kv>, blob: Blob) -> Vec<Operation> {
    let mut all = vec![
        operation("odd.put", Method::POST, "/odd/object").summary("Puts an object").tag("odd").signed_in().handle(
            blob.clone(),
            async |blob: Blob, call: Call| {
                let key = blob::Key::new(call.ctx.tenant(), CLASS, "object")?;
                blob.put(&key, blob::whole("what is kept"), Expect::default()).await?;
                Ok::<_, Error>(Reply::empty())
            },
        ),
        operation("odd.get", Method::GET, "/odd/object").summary("Reads it").tag("odd").signed_in().handle(
            blob,
            async |blob: Blob, call: Call| {
                let key = blob::Key::new(call.ctx.tenant(), CLASS, "object")?;
                let object = blob.get(&key, None).await?.ok_or_else(|| Error::not_found("object"))?;
                Ok::<_, Error>(Reply::json(object.bytes(100).await?.len()))
            },
        ),
    ];
    all.extend(kv.map(|kv| {
        operation("odd.count", Method::POST, "/odd/count").summary("Counts").tag("odd").signed_in().handle(
            kv,
            async |kv: Kv, call: Call| {
                let key = kv::Key::new(call.ctx.tenant(), CLASS, "count")?;
                Ok::<_, Error>(Reply::json(kv.increment(&key, 1, Duration::from_secs(3600)).await?))
            },
        )
    }));
    all
}

/// What the load met: answers by path and code, an empty one for success.
type Met = Arc<Mutex<BTreeMap<(&'static str, String), usize>>>;

#[derive(Clone)]
struct Load {
    app: Arc<TestApp>,
    key: String,
    met: Met,
    others: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
}

impl Load {
    /// Asks over and over; every answer comes in time.
    async fn ask(self, method: &'static str, path: &'static str, code: Option<&'static str>) {
        while !self.stop.load(Ordering::SeqCst) {
            let ask = self.app.ask(method, path).key(&self.key);
            let ask = match path {
                IMPORT => ask.body("application/x-ndjson", ROW),
                LARGE_IMPORT => ask.body("application/x-ndjson", ROW.repeat(2_000)),
                _ => ask,
            };
            let answer = tokio::time::timeout(BOUND, ask.send()).await.expect("is answered in time");
            let met = match (answer.status, code) {
                (200..300, _) => String::new(),
                (503, Some(code)) => {
                    assert_eq!(answer.code(), code, "{method} {path}: {}", answer.text);
                    assert!(!answer.header("retry-after").is_empty(), "{}", answer.text);
                    code.to_owned()
                }
                _ => panic!("{method} {path}: {} {}", answer.status, answer.text),
            };
            *self.met.lock().expect("is whole").entry((path, met)).or_default() += 1;
            if code.is_none() {
                self.others.fetch_add(1, Ordering::SeqCst);
            }
        }
    }
}

/// What `/readyz?verbose` says of a part; the whole is ready whatever happens.
async fn part(app: &TestApp, name: &str) -> (String, String) {
    let told = app.get("/readyz?verbose").send().await.expect(200).json();
    let parts = told["parts"].as_array().expect("a list").clone();
    let part = parts.into_iter().find(|part| part["name"] == name).expect("is listed");
    (part["status"].as_str().unwrap_or_default().to_owned(), part["code"].as_str().unwrap_or_default().to_owned())
}

/// Waits until a path is refused with this code, others go on meanwhile, and readiness says which part it is.
async fn goes_down(app: &TestApp, load: &Load, (path, code, name): (&'static str, &str, &str)) {
    let refused = || load.met.lock().expect("is whole").get(&(path, code.to_owned())).copied().unwrap_or_default();
    let (before, others) = (refused(), load.others.load(Ordering::SeqCst));
    until("the refusal", async || refused() > before).await;
    until("answers of everything else", async || load.others.load(Ordering::SeqCst) > others + 20).await;
    until("the line of readiness", async || {
        let (status, why) = part(app, name).await;
        status == "down" && (why == code || why == "no_answer")
    })
    .await;
}

async fn comes_back(app: &TestApp, load: &Load, (path, _, name): (&'static str, &str, &str)) {
    let served = || load.met.lock().expect("is whole").get(&(path, String::new())).copied().unwrap_or_default();
    let before = served();
    until("recovery", async || served() > before + 2).await;
    until("the line of readiness", async || part(app, name).await.0 == "ready").await;
}

/// A Steward with the load on it that every test here has.
async fn started(kv: Option<Kv>, blob: Blob) -> (Arc<TestApp>, Load, tokio::task::JoinSet<()>) {
    let (own_kv, own_blob) = (kv.clone(), blob.clone());
    let rates = Rates { read: 0, write: 0, ..Rates::default() };
    let setup = Setup { kinds: vec![Kind::of::<Gadget>()], rates, blob: Some(blob.clone()), ..Setup::default() };
    let all = move |parts: &Parts| {
        let sample = sample::operations(parts, Levers::default());
        sample.into_iter().chain(operations(own_kv, own_blob)).collect()
    };
    let app = Arc::new(TestApp::start(setup, all).await);
    if let Some(kv) = kv.clone() {
        app.site.health().add("keys", Need::Sometimes, move || {
            let kv = kv.clone();
            async move { kv.health().await }
        });
    }
    app.site.health().add("objects", Need::Sometimes, move || {
        let blob = blob.clone();
        async move { blob.health().await }
    });
    let tenant = app.tenant("acme").await;
    let _ = app.post("/odd/object").key(&tenant.key).send().await.expect(204);
    let _ = app.post(KEYS).key(&tenant.key).json(&json!({ "name": "ci", "permissions": ["api-keys:read"] })).send().await.expect(201);
    let load = Load { app: app.clone(), key: tenant.key, met: Met::default(), others: Arc::default(), stop: Arc::default() };
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(load.clone().ask("GET", KEYS, None));
    tasks.spawn(load.clone().ask("GET", "/livez", None));
    tasks.spawn(load.clone().ask("POST", "/odd/object", Some("blob_unavailable")));
    tasks.spawn(load.clone().ask("GET", "/odd/object", Some("blob_unavailable")));
    tasks.spawn(load.clone().ask("POST", IMPORT, None));
    tasks.spawn(load.clone().ask("POST", LARGE_IMPORT, Some("blob_unavailable")));
    if kv.is_some() {
        tasks.spawn(load.clone().ask("POST", "/odd/count", Some("kv_unavailable")));
    }
    (app, load, tasks)
}

async fn ended(load: Load, mut tasks: tokio::task::JoinSet<()>) {
    load.stop.store(true, Ordering::SeqCst);
    while let Some(done) = tasks.join_next().await {
        done.expect("no answer was wrong");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_that_goes_away_takes_along_what_needs_it_and_nothing_else() {
    let mut bucket = BucketServer::start().await;
    let (app, load, tasks) = started(None, bucket.impatient()).await;
    let objects = ("/odd/object", "blob_unavailable", "objects");
    let imports = (LARGE_IMPORT, "blob_unavailable", "objects");
    for mood in [None, Some(Mood::Silent), Some(Mood::Broken)] {
        match mood {
            None => bucket.stop().await,
            Some(mood) => bucket.turn(mood),
        }
        goes_down(&app, &load, objects).await;
        goes_down(&app, &load, imports).await;
        match mood {
            None => bucket.start_again().await,
            Some(_) => bucket.turn(Mood::Well),
        }
        comes_back(&app, &load, objects).await;
        comes_back(&app, &load, imports).await;
    }
    ended(load, tasks).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_goes_away_takes_along_what_needs_it_and_nothing_else() {
    let Some(mut redis) = RedisServer::start(&[]) else { return };
    let bucket = BucketServer::start().await;
    let (app, load, tasks) = started(Some(redis.kv()), bucket.blob()).await;
    let counts = ("/odd/count", "kv_unavailable", "keys");
    redis.stop();
    goes_down(&app, &load, counts).await;
    redis.start_again();
    comes_back(&app, &load, counts).await;
    redis.freeze();
    goes_down(&app, &load, counts).await;
    redis.thaw();
    comes_back(&app, &load, counts).await;
    assert_eq!(
        load.met.lock().expect("is whole").get(&("/odd/object", "blob_unavailable".to_owned())),
        None,
        "the bucket was well all along"
    );
    ended(load, tasks).await;
}
