//! The operator's operations on backups: what must be true of every operation, and what they answer.

use std::time::Duration;

use serde_json::{Value, json};
use steward_base::{Clock, Random};
use steward_fabric::blob::Blob;
use steward_telemetry::Telemetry;
use steward_testkit::{Setup, TestApp, TestTenant, conformance, repeats};
use steward_web::{Operation, Spec};
use steward_work::backup::{self, Backups, Installation, Place};
use steward_work::{Options, Work, Worker};
use tempfile::TempDir;

use crate::place::subjects;
use crate::support::until;

struct World {
    app: TestApp,
    operator: TestTenant,
    folder: TempDir,
    backups: Backups,
    objects: Blob,
    telemetry: Telemetry,
    _own: TempDir,
}

impl World {
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self::at(Place::Folder(folder.path().to_owned()), folder).await
    }

    async fn at(place: Place, folder: TempDir) -> Self {
        let own = tempfile::tempdir().expect("a folder");
        let objects = Blob::directory(&own.path().join("blobs")).await.expect("opens");
        let options = steward_telemetry::Options::new(own.path().join("telemetry"));
        let telemetry = Telemetry::open(options, Clock::system(), Random::system()).await.expect("opens");
        let mut backups = None;
        let app = TestApp::start(Setup::default(), |parts| {
            let everything = || std::future::ready(Ok(subjects(&[])));
            let made = Backups::new(parts.store.clone(), objects.clone(), telemetry.clone(), place, everything);
            let operations = work(parts, &made).operations();
            backups = Some(made);
            operations
        })
        .await;
        let operator = app.operator().await;
        let backups = backups.expect("the app is made of them");
        Self { app, operator, folder, backups, objects, telemetry, _own: own }
    }

    async fn worker(&self) -> Worker {
        work(&self.app.parts, &self.backups).start().await.expect("starts")
    }

    /// A backup that somebody else made.
    async fn made(&self) -> String {
        let from = Installation { store: &self.app.parts.store, objects: &self.objects, telemetry: &self.telemetry };
        let blob = Blob::directory(self.folder.path()).await.expect("opens");
        backup::create(from, &blob, subjects(&[])).await.expect("is made").name
    }

    async fn get(&self, path: &str) -> Value {
        self.app.get(path).key(&self.operator.key).send().await.expect(200).json()
    }

    /// Asks for a job and answers how it ended.
    async fn done(&self, path: &str, body: Value) -> Value {
        let asked = self.app.post(path).key(&self.operator.key).json(&body).send().await.expect(202);
        let job = format!("/api/v1/jobs/{}", asked.json()["id"].as_str().expect("an id"));
        assert_eq!(asked.header("location"), job);
        until(async || self.get(&job).await["finished_at"].is_string()).await;
        self.get(&job).await
    }
}

fn work(parts: &steward_testkit::Parts, backups: &Backups) -> Work {
    Work::new(parts.store.clone(), Options::default()).backups(backups.clone())
}

#[tokio::test]
async fn every_operation_keeps_the_rules() {
    let world = World::new().await;
    let (app, operator) = (&world.app, &world.operator);
    let (acme, name) = (app.tenant("acme").await, world.made().await);
    let existing = |spec: &Spec| spec.path.contains("/backups/{name}").then(|| spec.path.replace("{name}", &name));
    let mut findings = conformance::no_credential(app).await;
    findings.extend(conformance::missing_permission(app, operator).await);
    findings.extend(conformance::missing_permission(app, &acme).await);
    findings.extend(conformance::tenant_mismatch(app, operator, &acme).await);
    findings.extend(conformance::other_tenants_records(app, &acme, &existing).await);
    findings.extend(conformance::unknown_input(app, operator, &existing).await);
    findings.extend(conformance::unreadable_bodies(app, operator, &existing).await);
    findings.retain(|finding| finding.contains("backups."));
    assert!(findings.is_empty(), "{}", findings.join("\n"));
    let ours = app.operations.iter().map(Operation::spec).filter(|spec| spec.id.starts_with("backups.")).count();
    assert_eq!(ours, 4);

    let succeeding = |spec: &Spec| match spec.id {
        "backups.create" => Some((spec.path.clone(), json!({}))),
        "backups.verify" => Some((existing(spec)?, Value::Null)),
        _ => None,
    };
    let (findings, asked) = repeats(app, operator, &succeeding).await;
    assert!(findings.is_empty(), "{}", findings.join("\n"));
    assert_eq!(asked, 2);
    // Everything that its own tenant has is not enough.
    for (method, path) in [("GET", "/api/v1/backups".to_owned()), ("GET", format!("/api/v1/backups/{name}"))] {
        assert_eq!(app.ask(method, &path).key(&acme.key).send().await.expect(403).json()["code"], "permission_denied");
    }
    let body = json!({ "name": "Nightly", "cron": "0 2 * * *", "job": "back_up" });
    assert_eq!(app.post("/api/v1/schedules").key(&acme.key).json(&body).send().await.expect(403).json()["code"], "permission_denied");
    let nothing = json!({ "name": "Nightly", "cron": "0 2 * * *", "job": "back_up", "payload": { "keep": { "daily": 0 } } });
    let refused = app.post("/api/v1/schedules").key(&operator.key).json(&nothing).send().await.expect(422).json();
    assert_eq!(refused["errors"][0]["pointer"], "/payload");
    app.post("/api/v1/schedules").key(&operator.key).json(&body).send().await.expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn backups_are_made_seen_and_read_again() {
    let world = World::new().await;
    let worker = world.worker().await;
    assert_eq!(world.get("/api/v1/backups").await["data"], json!([]));
    let by_others = world.made().await;
    let done = world.done("/api/v1/backups", json!({ "keep": { "last": 5 } })).await;
    let name = done["progress"]["backup"].as_str().expect("a name").to_owned();
    assert_eq!((&done["state"], &done["progress"]["removed"]), (&json!("done"), &json!(0)));
    let page = world.get("/api/v1/backups?limit=1").await;
    assert_eq!((&page["data"][0]["name"], &page["has_more"]), (&json!(name), &json!(true)));
    let rest = world.get(&format!("/api/v1/backups?limit=1&cursor={}", page["next_cursor"].as_str().expect("goes on"))).await;
    assert_eq!((&rest["data"][0]["name"], &rest["has_more"]), (&json!(by_others), &json!(false)));
    let one = &page["data"][0];
    assert_eq!((&one["tenants"], &one["everything"], &one["whole"]), (&json!(1), &json!(true), &json!(true)));
    assert!(one["made_at"].as_str() <= one["ended_at"].as_str() && one["bytes"].as_u64() > Some(0), "{one}");

    let path = format!("/api/v1/backups/{name}");
    let verified = world.done(&format!("{path}/verify"), Value::Null).await;
    assert_eq!((&verified["state"], &verified["progress"]["backup"]), (&json!("done"), &json!(name)));
    let detail = world.get(&path).await;
    assert_eq!(
        (&detail["whole"], &detail["missing"], &detail["contents"][0]["slug"]),
        (&json!(true), &json!(0), &detail["contents"][0]["id"])
    );
    assert!(detail["verified_at"].is_string() && detail["contents"][0]["bytes"].as_u64() == detail["bytes"].as_u64(), "{detail}");

    // Somebody takes away what it needs, and then spoils what it says of itself.
    let platform = world.folder.path().join("platform");
    for part in std::fs::read_dir(platform.join("backup-parts")).expect("lists") {
        std::fs::remove_file(part.expect("an entry").path()).expect("is removed");
    }
    let detail = world.get(&path).await;
    assert_eq!((&detail["whole"], &detail["problem"]), (&json!(false), &json!("backup_missing")));
    assert!(detail["missing"].as_u64() > Some(0), "{detail}");
    let found = world.done(&format!("{path}/verify"), Value::Null).await;
    assert_eq!(found["state"], "dead");
    let listed = world.get("/api/v1/backups").await;
    assert_eq!((&listed["data"][0]["whole"], &listed["data"][0]["problem"]), (&json!(false), &json!("backup_missing")));
    std::fs::write(platform.join("backups").join(&by_others), "nothing").expect("is written");
    let listed = world.get("/api/v1/backups").await;
    assert_eq!((&listed["data"][1]["whole"], &listed["data"][1]["problem"]), (&json!(false), &json!("backup_damaged")));
    let detail = world.get(&format!("/api/v1/backups/{by_others}")).await;
    assert_eq!((&detail["problem"], &detail["contents"]), (&json!("backup_damaged"), &json!([])));
    assert!(detail["made_at"].as_str().is_some_and(|at| at > "2020"), "a name says when it was made");
    worker.stop(Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_may_look_at_once() {
    let world = World::new().await;
    let names = [world.made().await, world.made().await];
    let detail = format!("/api/v1/backups/{}", names[0]);
    let paths = ["/api/v1/backups", detail.as_str()].into_iter().cycle().take(16);
    let seen = futures_util::future::join_all(paths.map(|path| world.get(path)));
    let seen = tokio::time::timeout(Duration::from_secs(60), seen).await.expect("nobody waits for themselves");
    for (list, detail) in seen.iter().step_by(2).zip(seen.iter().skip(1).step_by(2)) {
        assert_eq!((&list["data"][0]["name"], &list["data"][1]["name"]), (&json!(names[1]), &json!(names[0])));
        assert_eq!((&detail["whole"], &detail["missing"]), (&json!(true), &json!(0)));
    }
}

#[tokio::test]
async fn what_cannot_be_is_refused_at_once() {
    let world = World::new().await;
    let unknown = "/api/v1/backups/bak_00000000000000000000000000";
    for (method, path, body, status, code) in [
        ("GET", unknown.to_owned(), Value::Null, 404, "backup_missing"),
        ("POST", format!("{unknown}/verify"), Value::Null, 404, "backup_missing"),
        ("POST", "/api/v1/backups".to_owned(), json!({ "keep": {} }), 422, "backup_keeps_nothing"),
    ] {
        let answer = world.app.ask(method, &path).key(&world.operator.key).json(&body).send().await.expect(status);
        assert_eq!(answer.json()["code"], code, "{method} {path}");
    }
    let nowhere = World::at(Place::Nowhere, tempfile::tempdir().expect("a folder")).await;
    for (method, path) in [("GET", "/api/v1/backups"), ("POST", "/api/v1/backups"), ("GET", unknown)] {
        let answer = nowhere.app.ask(method, path).key(&nowhere.operator.key).json(&json!({})).send().await.expect(409).json();
        assert_eq!(answer["code"], "backup_place_missing");
        assert!(answer["detail"].as_str().is_some_and(|detail| detail.contains("backup_dir")), "{answer}");
    }
}
