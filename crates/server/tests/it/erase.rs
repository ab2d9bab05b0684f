//! A deleted tenant leaves nothing behind: canaries planted wherever a tenant can leave something are gone from the folder, the database, the
//! bucket, the mail folder and Redis.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use steward_base::{Clock, Random, Secret, TenantId};
use steward_fabric::Class;
use steward_fabric::blob::{self, Blob};
use steward_fabric::kv::{self, Kv, Server, When};
use steward_fabric::mail::{Mail, Message, Sender};

use crate::bucket::BucketServer;
use crate::database::database;
use crate::redis::Redis;
use crate::support::{OWNER, PASSWORD, Served, bucket_settings, eventually, files_of, succeed};

const CANARY: &str = "kanarienvogel";

/// Files below a folder in whose bytes or name the text stands.
fn holding(dir: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(holding(&path, text));
        } else if std::fs::read(&path).is_ok_and(|bytes| contains(&bytes, text)) {
            found.push(path.display().to_string());
        }
    }
    found
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window.eq_ignore_ascii_case(text.as_bytes()))
}

async fn plant(served: &Served, key: &str) {
    let organization = json!({ "name": format!("{CANARY} & sons"), "slug": CANARY, "notes": format!("ask for {CANARY}") });
    let made = served.json(served.post(key, "/api/v1/organizations").json(&organization)).await;
    let id = made["id"].as_str().expect("an id");
    // Deleted ones stay in the recycle bin, and their events in the history.
    let deleted = served.client.delete(format!("{}/api/v1/organizations/{id}", served.url)).bearer_auth(key).header("if-match", "\"1\"");
    assert!(deleted.send().await.expect("is answered").status().is_success());
    served.json(served.post(key, "/api/v1/organizations").json(&organization).header("idempotency-key", CANARY)).await;
    let found = served.json(served.get(key, &format!("/api/v1/search?q={CANARY}"))).await;
    assert!(!found["data"].as_array().expect("hits").is_empty(), "it is indexed: {found}");
    let lines = format!("{{\"message\":\"{CANARY} sings\",\"service\":\"{CANARY}\"}}\n").repeat(50);
    let sent = served.post(key, "/ingest/v1/app").header("content-type", "application/x-ndjson").body(lines);
    served.json(sent).await;
    let imported: String = (0..1_200).map(|number| format!("{}\n", json!({ "name": format!("{CANARY} {number}") }))).collect();
    let sent = served.post(key, "/api/v1/projects/import").header("content-type", "application/x-ndjson").body(imported);
    let status = sent.send().await.expect("is answered").status();
    assert!(status.is_success(), "a large import is kept as an object: {status}");
}

async fn erase(served: &Served, operator: &str, tenant: &str) {
    let address = format!("{}/api/v1/tenants/{tenant}?confirm=doomed", served.url);
    let begun = served.json(served.client.delete(address).bearer_auth(operator)).await;
    let saga = begun["saga"].as_str().expect("an id").to_owned();
    eventually("the end of the saga", Duration::from_secs(60), async || {
        let saga: Value = served.json(served.get(operator, &format!("/api/v1/sagas/{saga}"))).await;
        assert!(saga["state"] != "parked" && saga["state"] != "undone", "{saga}");
        (saga["state"] == "done").then_some(())
    })
    .await;
}

/// A served installation with a tenant that is about to go, and one that stays.
struct Planted {
    served: Served,
    operator: String,
    tenant: String,
    key: String,
    neighbour: String,
}

async fn planted(data: &Path, more: &[&str]) -> Planted {
    let folder = data.to_str().expect("is text");
    let admin = |arguments: &[&str], input: &str| {
        let mut all = vec!["admin"];
        all.extend(arguments);
        all.extend(["--data", folder]);
        all.extend(more);
        succeed(&all, input)
    };
    admin(&["bootstrap", "--tenant", "acme", "--owner", OWNER, "--password-stdin"], PASSWORD);
    let operator = admin(&["api-key", "--tenant", "operator", "--permissions", "tenants:*,admin:*"], "");
    let served = Served::start(data, more);
    let made = served.json(served.post(&operator, "/api/v1/tenants").json(&json!({ "name": "Doomed", "slug": "doomed" }))).await;
    let tenant = made["id"].as_str().expect("an id").to_owned();
    let key = admin(&["api-key", "--tenant", "doomed", "--permissions", "admin:*"], "");
    let neighbour = admin(&["api-key", "--tenant", "acme", "--permissions", "admin:*"], "");
    plant(&served, &key).await;
    served.json(served.post(&neighbour, "/api/v1/organizations").json(&json!({ "name": "A neighbour" }))).await;
    Planted { served, operator, tenant, key, neighbour }
}

impl Planted {
    /// Erases the tenant and looks whether anybody else lost something.
    async fn erase(&self) {
        let served = &self.served;
        erase(served, &self.operator, &self.tenant).await;
        assert_eq!(served.get(&self.key, "/api/v1/organizations").send().await.expect("is answered").status(), 401);
        let left = served.json(served.get(&self.neighbour, "/api/v1/organizations")).await;
        assert_eq!(left["data"].as_array().map(Vec::len), Some(1), "the neighbour is untouched");
    }
}

async fn plant_and_erase(data: &Path, more: &[&str]) -> String {
    let planted = planted(data, more).await;
    planted.erase().await;
    assert_eq!((holding(data, CANARY), files_of(data, &planted.tenant)), (Vec::new(), Vec::new()), "while it serves");
    assert!(planted.served.terminate().success());
    planted.tenant
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_deleted_tenant_is_left_in_the_folder() {
    let data = tempfile::tempdir().expect("a folder");
    let tenant = plant_and_erase(data.path(), &[]).await;
    assert_eq!((holding(data.path(), CANARY), files_of(data.path(), &tenant)), (Vec::new(), Vec::new()));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_deleted_tenant_is_left_in_the_database() {
    let Some(database) = database("erased").await else { return };
    let (data, url) = (tempfile::tempdir().expect("a folder"), &database.url);
    let config = data.path().join("steward.toml");
    std::fs::write(&config, format!("database_url = \"{url}\"\n")).expect("is written");
    plant_and_erase(data.path(), &["--config", config.to_str().expect("is text")]).await;
    let dump = Command::new("pg_dump").arg(url).output().expect("pg_dump is there");
    assert!(dump.status.success(), "{}", String::from_utf8_lossy(&dump.stderr));
    let text = String::from_utf8_lossy(&dump.stdout).to_lowercase();
    let hexadecimal: String = CANARY.bytes().map(|byte| format!("{byte:02x}")).collect();
    let lines: Vec<&str> = text.lines().filter(|line| line.contains(CANARY) || line.contains(&hexadecimal)).collect();
    assert!(lines.is_empty(), "{lines:?}");
}

const CLASS: Class = Class::new("canary");

/// The parts beside the records, as whatever uses them puts something there.
struct Parts {
    objects: Blob,
    keys: Kv,
    mail: Mail,
}

impl Parts {
    async fn plant(&self, tenant: TenantId) {
        let text = format!("{CANARY} sings");
        // One of them is sent in parts.
        for (name, times) in [("small", 1), (CANARY, 1_000_000)] {
            let key = blob::Key::new(tenant, CLASS, name).expect("a key");
            self.objects.put(&key, blob::whole(text.repeat(times)), blob::Expect::default()).await.expect("is put");
        }
        let week = Duration::from_secs(7 * 24 * 3_600);
        for number in 0..1_500 {
            let key = kv::Key::new(tenant, CLASS, format!("{CANARY}/{number}")).expect("a key");
            assert!(self.keys.set(&key, text.clone().into(), When::Always, week).await.expect("is set"));
        }
        let lease = kv::Key::new(tenant, CLASS, format!("{CANARY} lease")).expect("a key");
        self.keys.acquire(&lease, CANARY, week).await.expect("is asked").expect("is granted");
        let to = format!("{CANARY}@example.org").parse().expect("an address");
        let message = Message { to, subject: CANARY.to_owned(), text, html: None };
        self.mail.send(tenant.into(), &message).await.expect("is kept");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_deleted_tenant_is_left_in_bucket_mail_and_redis() {
    let (bucket, mut redis, data) = (BucketServer::start().await, Redis::new(), tempfile::tempdir().expect("a folder"));
    redis.start();
    let url = format!("redis://127.0.0.1:{}/0", redis.port);
    let config = data.path().join("steward.toml");
    std::fs::write(&config, format!("redis_url = \"{url}\"\n{}", bucket_settings(&bucket))).expect("is written");
    let planted = planted(data.path(), &["--config", config.to_str().expect("is text")]).await;
    let (tenant, neighbour): (TenantId, _) = (planted.tenant.parse().expect("an id"), TenantId::new(&Clock::system(), &Random::system()));
    let sender = Sender { name: None, address: "steward@example.org".parse().expect("an address") };
    let parts = Parts {
        objects: bucket.blob(),
        keys: Kv::redis(&Server { url: Secret::new(url), authority: None }, Clock::system()).expect("a URL"),
        mail: Mail::folder(&data.path().join("mail"), 10, sender, Clock::system(), Random::system()).await.expect("opens"),
    };
    for owner in [tenant, neighbour] {
        parts.plant(owner).await;
    }
    let places = |owner: TenantId| {
        let owner = owner.to_string();
        let files = |dir: &Path| holding(dir, CANARY).iter().chain(&files_of(dir, &owner)).any(|path| path.contains(&owner));
        (files(bucket.folder()), files(&data.path().join("mail")), contains(&redis.saved(), &owner))
    };
    assert_eq!((places(tenant), places(neighbour)), ((true, true, true), (true, true, true)), "the canaries sit");

    planted.erase().await;
    assert_eq!((places(tenant), places(neighbour)), ((false, false, false), (true, true, true)), "of this one, and of this one only");
    let theirs = neighbour.to_string();
    let ours = |dir: &Path| holding(dir, CANARY).into_iter().filter(|path| !path.contains(&theirs)).collect::<Vec<_>>();
    assert_eq!((ours(bucket.folder()), ours(data.path())), (Vec::new(), Vec::new()));
    assert!(planted.served.terminate().success());
}
