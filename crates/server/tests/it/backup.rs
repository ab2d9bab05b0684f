//! Backups by the command line and by the server itself, in a bucket and in a folder: taken beside writers, read again, read back elsewhere, and what is said when the bucket is not there.

use std::path::Path;
use std::process::Output;
use std::time::Duration;

use serde_json::{Value, json};

use crate::bucket::{BucketServer, Mood};
use crate::ledger::{Load, agree, assert_positions_are_gapless, pages};
use crate::support::{Served, bootstrapped, bucket_settings, eventually, run, succeed};
use crate::transfer::{failures, fill};

/// Every line that was ever logged.
const LOGS: &str = "/api/v1/logs?limit=500&from=2020-01-01T00:00:00Z&to=2100-01-01T00:00:00Z";

/// A settings file that names the bucket.
fn configured(folder: &Path, bucket: &BucketServer) -> String {
    let path = folder.join("steward.toml");
    std::fs::write(&path, bucket_settings(bucket)).expect("is written");
    path.to_str().expect("is text").to_owned()
}

/// `steward backup …` beside the runtime that has the bucket.
async fn backup(config: &str, data: &Path, more: &[&str]) -> Output {
    let mut arguments = vec!["backup".to_owned()];
    arguments.extend(more.iter().map(|&word| word.to_owned()));
    arguments.extend(["--config".to_owned(), config.to_owned(), "--data".to_owned(), data.display().to_string()]);
    let ran = move || run(&arguments.iter().map(String::as_str).collect::<Vec<_>>(), "");
    tokio::task::spawn_blocking(ran).await.expect("ends")
}

async fn done(config: &str, data: &Path, more: &[&str]) -> String {
    let output = backup(config, data, more).await;
    assert!(output.status.success(), "{more:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("is text")
}

/// How many objects a bucket has of backups.
fn parts(bucket: &BucketServer) -> usize {
    let folder = std::fs::read_dir(bucket.folder().join("steward-test/platform/backup-parts"));
    folder.map_or(0, Iterator::count)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_in_a_bucket_is_read_back_into_an_installation_that_has_nothing() {
    let (bucket, data) = (BucketServer::start().await, tempfile::tempdir().expect("a folder"));
    let config = configured(data.path(), &bucket);
    let key = bootstrapped(data.path());
    let served = Served::start(data.path(), &["--config", &config]);
    let load = Load::begin(&served, &key, &[]);
    load.goes_on("before the first backup").await;
    let known = load.acknowledged();
    let first = done(&config, data.path(), &["create"]).await;
    assert!(first.contains(": 2 tenants, "), "{first}");
    load.goes_on("before the second one").await;
    let between = load.acknowledged();
    let whole = parts(&bucket);
    done(&config, data.path(), &["create"]).await;
    assert!(parts(&bucket) > whole, "what happened since is an increment");
    load.goes_on("after it").await;
    let sent = load.end().await;
    let before = pages(&served, &key, "/api/v1/projects?limit=500", "name").await;
    agree("records", &sent, &before);
    let verified = done(&config, data.path(), &["verify"]).await;
    assert!(verified.contains(": 2 tenants, ") && verified.contains(" hold"), "{verified}");
    let drilled = done(&config, data.path(), &["restore", "--drill"]).await;
    assert!(drilled.contains("recovery time"), "{drilled}");
    assert_eq!(served.terminate().code(), Some(0));

    for (named, all) in [(Some(first.split(':').next().expect("a name")), known), (None, between)] {
        // Another machine, with the key and nothing else.
        let elsewhere = tempfile::tempdir().expect("a folder");
        std::fs::copy(data.path().join("master.key"), elsewhere.path().join("master.key")).expect("is kept elsewhere");
        let wanted: Vec<&str> = ["restore"].into_iter().chain(named.iter().flat_map(|name| ["--backup", *name])).collect();
        done(&config, elsewhere.path(), &wanted).await;
        let again = backup(&config, elsewhere.path(), &["restore"]).await;
        assert!(String::from_utf8_lossy(&again.stderr).contains("tenant_exists"), "{again:?}");
        let served = Served::start(elsewhere.path(), &["--config", &config]);
        let found = pages(&served, &key, "/api/v1/projects?limit=500", "name").await;
        let lost: Vec<&String> = all.iter().filter(|name| !found.contains_key(*name)).collect();
        assert!(lost.is_empty() && !all.is_empty(), "acknowledged before the backup began, and not in it: {lost:?}");
        assert!(found.iter().all(|(name, count)| *count == 1 && sent.contains_key(name)), "nothing is doubled or made up");
        assert_positions_are_gapless(&served, &key).await;
        served.json(served.post(&key, "/api/v1/projects").json(&json!({ "name": "it goes on" }))).await;
        assert_eq!(served.terminate().code(), Some(0));
        succeed(&["audit", "verify", "--data", elsewhere.path().to_str().expect("is text")], "");
    }
}

/// Asked for over HTTP, made by a job, found by the command line, and read back without being told where it is.
#[tokio::test(flavor = "multi_thread")]
async fn the_server_makes_backups_of_itself_where_its_settings_say() {
    let (data, folder) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let config = data.path().join("steward.toml");
    std::fs::write(&config, format!("backup_dir = \"{}\"\n", folder.path().display())).expect("is written");
    let config = config.to_str().expect("is text");
    let key = bootstrapped(data.path());
    let path = data.path().to_str().expect("is text");
    let operator = succeed(&["admin", "api-key", "--data", path, "--tenant", "operator", "--permissions", "platform:*"], "");
    let served = Served::start(data.path(), &["--config", config]);
    let before = pages(&served, &key, "/api/v1/projects?limit=500", "name").await;
    let age = async || {
        let text = served.client.get(format!("{}/metrics", served.url)).send().await.expect("is answered").text().await.expect("is text");
        text.lines().find_map(|line| line.strip_prefix("steward_backup_age_seconds ").map(str::to_owned))
    };
    assert_eq!(eventually("a look at the place", Duration::from_secs(60), age).await, "+Inf");
    let mut made = String::new();
    for _ in 0..2 {
        let asked = served.json(served.post(&operator, "/api/v1/backups").json(&json!({ "keep": { "last": 1 } }))).await;
        let job = format!("/api/v1/jobs/{}", asked["id"].as_str().expect("an id"));
        made = eventually("the end of the job", Duration::from_secs(60), async || {
            let job: Value = served.json(served.get(&operator, &job)).await;
            assert_ne!(job["state"], "dead", "{job}");
            (job["state"] == "done").then(|| job["progress"]["backup"].as_str().expect("a name").to_owned())
        })
        .await;
    }
    let listed = served.json(served.get(&operator, "/api/v1/backups")).await;
    assert_eq!((&listed["data"][0]["name"], &listed["data"][0]["tenants"], &listed["data"][1]), (&json!(made), &json!(2), &Value::Null));
    assert_ne!(age().await.as_deref(), Some("+Inf"));
    let refused = served.get(&key, "/api/v1/backups").send().await.expect("is answered");
    assert_eq!(refused.status(), 403, "it is the operator's");
    let verified = done(config, data.path(), &["verify"]).await;
    assert!(verified.contains(&made) && verified.contains(": 2 tenants, "), "{verified}");
    let by_hand = done(config, data.path(), &["create"]).await;
    let listed = served.json(served.get(&operator, "/api/v1/backups")).await;
    assert_eq!(listed["data"][0]["name"].as_str(), by_hand.split(':').next());
    assert_eq!(served.terminate().code(), Some(0));

    let elsewhere = tempfile::tempdir().expect("a folder");
    std::fs::copy(data.path().join("master.key"), elsewhere.path().join("master.key")).expect("is kept elsewhere");
    done(config, elsewhere.path(), &["restore", "--backup", &made]).await;
    let served = Served::start(elsewhere.path(), &[]);
    assert_eq!(pages(&served, &key, "/api/v1/projects?limit=500", "name").await, before);
    let nowhere = served.get(&operator, "/api/v1/backups").send().await.expect("is answered");
    assert_eq!(nowhere.json::<Value>().await.expect("is a problem")["code"], "backup_place_missing");
    assert_eq!(served.terminate().code(), Some(0));
}

/// Copied into a folder and into a bucket, and read back where the bucket lost everything of tenants.
#[tokio::test(flavor = "multi_thread")]
async fn files_and_logs_come_back_with_their_tenants() {
    let (bucket, data, folder) =
        (BucketServer::start().await, tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let config = configured(data.path(), &bucket);
    let key = bootstrapped(data.path());
    let served = Served::start(data.path(), &["--config", &config]);
    let job = fill(&served, &key).await;
    let refused = failures(&served, &key, &job).await;
    let sent: String = (0..300).map(|number| format!("{}\n", json!({ "message": format!("line {number}"), "service": "app" }))).collect();
    served.json(served.post(&key, "/ingest/v1/app").header("content-type", "application/x-ndjson").body(sent)).await;
    let logged = pages(&served, &key, LOGS, "message").await;
    assert_eq!(logged.len(), 300);
    assert_eq!(refused.lines().count(), 11);
    let folder = folder.path().to_str().expect("is text");
    for (to, from) in [(&[][..], &[][..]), (&["--to", folder], &["--from", folder])] {
        done(&config, data.path(), &[&["create"], to].concat()).await;
        let verified = done(&config, data.path(), &[&["verify"], from].concat()).await;
        assert!(verified.contains(" parts, ") && !verified.contains(" 0 objects, ") && !verified.contains(" 0 segments"), "{verified}");
    }
    assert_eq!(served.terminate().code(), Some(0));

    for from in [&[][..], &["--from", folder]] {
        for entry in std::fs::read_dir(bucket.folder().join("steward-test")).expect("lists") {
            let path = entry.expect("an entry").path();
            if path.file_name().is_some_and(|name| name != "platform") && path.is_dir() {
                std::fs::remove_dir_all(path).expect("is removed");
            }
        }
        let elsewhere = tempfile::tempdir().expect("a folder");
        std::fs::copy(data.path().join("master.key"), elsewhere.path().join("master.key")).expect("is kept elsewhere");
        done(&config, elsewhere.path(), &[&["restore"], from].concat()).await;
        let served = Served::start(elsewhere.path(), &["--config", &config]);
        assert_eq!(failures(&served, &key, &job).await, refused);
        assert_eq!(pages(&served, &key, LOGS, "message").await, logged);
        assert_eq!(served.terminate().code(), Some(0));
    }
}

/// The records of a tenant that goes are erased from the bucket, and the backups that are kept in the same bucket stay whole.
#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_tenant_takes_nothing_from_backups_in_the_same_bucket() {
    let (bucket, data) = (BucketServer::start().await, tempfile::tempdir().expect("a folder"));
    let config = configured(data.path(), &bucket);
    bootstrapped(data.path());
    let folder = data.path().to_str().expect("is text");
    let operator = succeed(&["admin", "api-key", "--data", folder, "--tenant", "operator", "--permissions", "tenants:*,admin:*"], "");
    let served = Served::start(data.path(), &["--config", &config]);
    let made = served.json(served.post(&operator, "/api/v1/tenants").json(&json!({ "name": "Doomed", "slug": "doomed" }))).await;
    let id = made["id"].as_str().expect("an id");
    served.json(served.post(&operator, &format!("/api/v1/tenants/{id}/suspend"))).await;
    done(&config, data.path(), &["create"]).await;
    let address = format!("{}/api/v1/tenants/{id}?confirm=doomed", served.url);
    let begun = served.json(served.client.delete(address).bearer_auth(&operator)).await;
    let saga = format!("/api/v1/sagas/{}", begun["saga"].as_str().expect("an id"));
    eventually("the end of the saga", Duration::from_secs(60), async || {
        let saga: Value = served.json(served.get(&operator, &saga)).await;
        (saga["state"] == "done").then_some(())
    })
    .await;
    let verified = done(&config, data.path(), &["verify"]).await;
    assert!(verified.contains(": 3 tenants, ") && verified.contains(" hold"), "{verified}");
    done(&config, data.path(), &["restore", "--tenant", "doomed"]).await;
    let tenants = served.json(served.get(&operator, "/api/v1/tenants")).await;
    let restored = tenants["data"].as_array().expect("a list").iter().find(|tenant| tenant["slug"] == "doomed").expect("is back");
    assert_eq!(restored["status"], "suspended", "to restore it does not let it in again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_is_not_there_or_broken_is_told_as_such() {
    let (mut bucket, data) = (BucketServer::start().await, tempfile::tempdir().expect("a folder"));
    let config = configured(data.path(), &bucket);
    bootstrapped(data.path());
    done(&config, data.path(), &["create"]).await;
    let refused = async |more: &[&str], code: &str| {
        let output = backup(&config, data.path(), more).await;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && output.stdout.is_empty(), "{more:?}");
        assert!(said.contains(code) && !said.contains(crate::bucket::PASSWORD), "{more:?}: {said}");
    };
    bucket.turn(Mood::Broken);
    for command in [&["create"][..], &["verify"], &["restore", "--drill"]] {
        refused(command, "blob_unavailable").await;
    }
    bucket.turn(Mood::Cutting);
    refused(&["verify"], "blob_unavailable").await;
    bucket.turn(Mood::Well);
    done(&config, data.path(), &["verify"]).await;
    bucket.stop().await;
    for command in [&["create"][..], &["verify"], &["restore", "--drill"]] {
        refused(command, "blob_unavailable").await;
    }
    bucket.start_again().await;
    done(&config, data.path(), &["verify"]).await;

    // An object that somebody took away or changed.
    let folder = bucket.folder().join("steward-test/platform/backup-parts");
    let part = std::fs::read_dir(&folder).expect("lists").next().expect("a part").expect("an entry").path();
    let mut bytes = std::fs::read(&part).expect("is there");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&part, bytes).expect("is changed");
    refused(&["verify"], "backup_damaged").await;
    std::fs::remove_file(&part).expect("is removed");
    refused(&["verify"], "backup_missing").await;
}

/// In a bucket several processes meet: what is being made is not removed, and one that crashed holds nobody up for long.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_removes_backups_of_a_bucket_while_one_is_made() {
    let (bucket, data) = (BucketServer::start().await, tempfile::tempdir().expect("a folder"));
    let config = configured(data.path(), &bucket);
    let key = bootstrapped(data.path());
    let served = Served::start(data.path(), &["--config", &config]);
    let load = Load::begin(&served, &key, &[]);
    let keep = ["prune", "--keep-last", "2"];
    done(&config, data.path(), &["create"]).await;
    let (mut made, mut removed, mut busy) = (0, 0, 0);
    while made < 4 || removed < 2 {
        load.goes_on("before the next backup").await;
        let (create, prune) = tokio::join!(backup(&config, data.path(), &["create"]), backup(&config, data.path(), &keep));
        for (output, done) in [(create, &mut made), (prune, &mut removed)] {
            if output.status.success() {
                *done += 1;
            } else {
                assert!(String::from_utf8_lossy(&output.stderr).contains("backup_busy"), "{output:?}");
                assert_eq!(output.status.code(), Some(5));
                busy += 1;
            }
        }
        assert!(made + removed + busy < 100, "they hinder each other for ever");
        let (create, prune) = (done(&config, data.path(), &["create"]).await, done(&config, data.path(), &keep).await);
        made += 1;
        removed += 1;
        assert!(prune.contains("2 kept, ") && prune.contains(create.split(':').next().expect("a name")), "{prune}");
        done(&config, data.path(), &["verify"]).await;
    }
    load.end().await;

    let locks = bucket.folder().join("steward-test/platform/backup-locks");
    let left = |name: &str, minutes: u64| {
        let lock = std::fs::File::create(locks.join(name)).expect("is made");
        let age = Duration::from_secs(minutes * 60);
        let modified = lock.metadata().and_then(|meta| meta.modified()).expect("is known") - age;
        lock.set_modified(modified).expect("is set");
    };
    assert_eq!(std::fs::read_dir(&locks).map_or(0, Iterator::count), 0, "nobody left a lock");
    left("bak_1.making", 8);
    let output = backup(&config, data.path(), &keep).await;
    assert!(String::from_utf8_lossy(&output.stderr).contains("backup_busy"), "{output:?}");
    done(&config, data.path(), &["create"]).await;
    left("bak_1.making", 11);
    left("run_1.pruning", 8);
    let output = backup(&config, data.path(), &["create"]).await;
    assert!(String::from_utf8_lossy(&output.stderr).contains("backup_busy"), "{output:?}");
    left("run_1.pruning", 11);
    done(&config, data.path(), &["create"]).await;
    done(&config, data.path(), &keep).await;
    assert_eq!(std::fs::read_dir(&locks).map_or(0, Iterator::count), 0, "nobody left a lock");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_is_said_and_a_rehearsal_removes_nothing() {
    let (data, folder) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    bootstrapped(data.path());
    let (data, folder) = (data.path().to_str().expect("is text"), folder.path().to_str().expect("is text"));
    let prune = |more: &[&str]| run(&[&["backup", "prune", "--data", data, "--from", folder], more].concat(), "");
    let name = |told: &str| told.split(':').next().expect("a name").to_owned();
    let names = [(); 3].map(|()| name(&succeed(&["backup", "create", "--data", data, "--to", folder], "")));
    assert_eq!(prune(&[]).status.code(), Some(2), "nothing is kept by saying nothing");
    assert_eq!(prune(&["--keep-daily", "0"]).status.code(), Some(1));
    let manifests = || std::fs::read_dir(format!("{folder}/platform/backups")).expect("lists").count();
    for (more, left) in [(&["--keep-last", "1", "--keep-daily", "7", "--dry-run"][..], 3), (&["--keep-last", "1", "--keep-daily", "7"], 1)]
    {
        let output = prune(more);
        assert!(output.status.success(), "{output:?}");
        let told = String::from_utf8(output.stdout).expect("is text");
        assert!(told.contains(&names[0]) && told.contains(&names[2]) && told.contains("kept: last, daily"), "{told}");
        assert!(told.contains("1 kept, 2 "), "{told}");
        assert_eq!(manifests(), left);
    }
    succeed(&["backup", "verify", "--data", data, "--from", folder], "");
}
