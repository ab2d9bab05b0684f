//! What nobody should send, and what disks should not do: a clear error with a stable code, and the server goes on.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Served, bootstrapped, eventually, run};

/// Sends bytes as they are; status and body of the answer.
fn raw(served: &Served, request: &[u8]) -> (u16, String) {
    let address = served.url.strip_prefix("http://").expect("is plain HTTP");
    let mut stream = TcpStream::connect(address).expect("connects");
    stream.set_read_timeout(Some(Duration::from_secs(15))).expect("is set");
    // The server may answer and close before it has read all.
    let _ = stream.write_all(request);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let text = String::from_utf8_lossy(&answer).into_owned();
    let status = text.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
    (status, text.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default())
}

fn post(key: &str, body: &[u8], headers: &str) -> Vec<u8> {
    let head = format!(
        "POST /api/v1/projects HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {key}\r\n{headers}content-length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

#[tokio::test]
async fn every_malformed_request_is_a_problem_with_a_stable_code() {
    let data = tempfile::tempdir().expect("a folder");
    let key = bootstrapped(data.path());
    let served = Served::start(data.path(), &[]);
    let json = "content-type: application/json\r\n";
    let long = "x".repeat(1 << 20);
    for (what, request, status, code) in [
        ("malformed JSON", post(&key, b"{\"name\": ", json), 400, "malformed_json"),
        ("invalid UTF-8", post(&key, b"{\"name\": \"\xff\xfe\"}", json), 400, "malformed_json"),
        ("a wrong type", post(&key, b"{\"name\": 7}", json), 422, "invalid"),
        ("an unknown field", post(&key, b"{\"name\": \"a\", \"nam\": 1}", json), 422, "invalid"),
        ("a missing field", post(&key, b"{}", json), 422, "invalid"),
        ("a null character", post(&key, b"{\"name\": \"a\\u0000b\"}", json), 422, "invalid"),
        ("another media type", post(&key, b"name=a", "content-type: application/x-www-form-urlencoded\r\n"), 415, "unsupported_media_type"),
        ("an oversized body", post(&key, format!("{{\"name\": \"{long}\"}}").as_bytes(), json), 413, "body_too_large"),
        ("a wrong key", post("stw_wrong", b"{}", json), 401, "invalid_credential"),
    ] {
        let (got, body) = raw(&served, &request);
        let problem: Value = serde_json::from_str(&body).unwrap_or_else(|error| panic!("{what}: {error}: {got} {body}"));
        assert_eq!((got, problem["code"].as_str()), (status, Some(code)), "{what}: {body}");
        assert!(problem["request_id"].is_string() && problem["type"].is_string() && problem["detail"].is_string(), "{what}: {body}");
    }
    let deep = format!("{}1{}", "[".repeat(50_000), "]".repeat(50_000));
    assert!((400..500).contains(&raw(&served, &post(&key, deep.as_bytes(), json)).0), "deep nesting is refused, not recursed into");
    let headers: String = (0..200).map(|at| format!("x-filler-{at}: {}\r\n", "y".repeat(600))).collect();
    assert_eq!(raw(&served, &post(&key, b"{}", &headers)).0, 431);
    let long = format!("GET /api/v1/projects?filter={} HTTP/1.1\r\nhost: x\r\n\r\n", "y".repeat(70_000));
    assert_eq!(raw(&served, long.as_bytes()).0, 414);
    assert_eq!(raw(&served, b"\x16\x03\x01\x00\x00 not http\r\n\r\n").0, 400);
    let list = served.json(served.get(&key, "/api/v1/projects")).await;
    assert_eq!(list["data"], json!([]), "nothing of all this was stored");
}

/// A small file system of its own, unmounted when dropped.
struct Disk(PathBuf);

impl Disk {
    /// `None` without the right to mount: the caller says so.
    fn mount(at: &Path, options: &str) -> Option<Self> {
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(at).status().expect("mount is there");
        mounted.success().then(|| Self(at.to_owned()))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[tokio::test]
async fn a_full_disk_refuses_writes_says_why_loses_nothing_and_heals() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(_disk) = Disk::mount(folder.path(), "size=400m") else {
        println!("not run: mounting a small disk needs root");
        return;
    };
    let data = folder.path().join("data");
    let key = bootstrapped(&data);
    let served = Served::start(&data, &[]);
    let create = async |name: &str| {
        let answer = served.post(&key, "/api/v1/projects").json(&json!({ "name": name })).send().await.expect("is answered");
        (answer.status().as_u16(), answer.json::<Value>().await.expect("is JSON"))
    };
    assert_eq!(create("before").await.0, 201);

    let filler = folder.path().join("filler");
    fill(&filler);
    let mut acked = vec!["before".to_owned()];
    let refusal = eventually("a refusal", Duration::from_secs(60), async || {
        let name = format!("during {}", acked.len());
        // SQLite's log may still have room in what it has reserved.
        let (status, body) = create(&name).await;
        if status == 201 {
            acked.push(name);
            return None;
        }
        Some((status, body))
    })
    .await;
    assert_eq!((refusal.0, refusal.1["code"].as_str()), (503, Some("storage_full")), "{}", refusal.1);
    let ready = served.client.get(format!("{}/readyz?verbose", served.url)).send().await.expect("is answered");
    assert_eq!(ready.status(), 503);
    assert!(ready.text().await.expect("is text").contains("storage_full"));
    assert_eq!(served.get(&key, "/api/v1/projects").send().await.expect("is answered").status(), 200, "reads go on");

    std::fs::remove_file(&filler).expect("is removed");
    let name = "after".to_owned();
    eventually("recovery without a hand", Duration::from_secs(30), async || (create(&name).await.0 == 201).then_some(())).await;
    acked.push(name);
    served.kill();
    let served = Served::start(&data, &[]);
    let list = served.json(served.get(&key, "/api/v1/projects?limit=500")).await;
    let names: Vec<_> = list["data"].as_array().expect("is a list").iter().map(|row| row["name"].as_str().expect("is text")).collect();
    assert!(acked.iter().all(|name| names.contains(&name.as_str())), "acked {acked:?}, found {names:?}");
}

/// Takes all the room there is.
fn fill(path: &Path) {
    let mut file = std::fs::File::create(path).expect("is made");
    let block = vec![0u8; 1 << 20];
    while file.write_all(&block).is_ok() {}
    while file.write_all(&block[..4096]).is_ok() {}
}

#[test]
fn a_read_only_disk_is_named_at_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(_disk) = Disk::mount(folder.path(), "ro") else {
        println!("not run: mounting a small disk needs root");
        return;
    };
    let data = folder.path().join("data");
    let output = run(&["serve", "--data", data.to_str().expect("is text"), "--listen", "127.0.0.1:0"], "");
    assert_eq!(output.status.code(), Some(7));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("data_dir_unusable") && stderr.contains("Read-only"), "{stderr}");
}

#[tokio::test]
async fn a_torn_telemetry_log_is_recovered_up_to_the_tear() {
    let data = tempfile::tempdir().expect("a folder");
    let key = bootstrapped(data.path());
    let served = Served::start(data.path(), &[]);
    let line = json!({ "message": "whole", "service": "torn" }).to_string();
    served.json(served.post(&key, "/ingest/v1/app").header("content-type", "application/x-ndjson").body(line)).await;
    served.kill();
    tear(&data.path().join("telemetry/wal"));
    let served = Served::start(data.path(), &[]);
    let lines = served.json(served.get(&key, "/api/v1/logs?filter=service%20%3D%20%22torn%22")).await;
    assert_eq!(lines["data"].as_array().expect("is a list").len(), 1, "{lines}");
    let ready = served.client.get(format!("{}/readyz", served.url)).send().await.expect("is answered");
    assert_eq!(ready.status(), 200, "a torn tail is what crashes leave and no reason to worry");
}

/// Begins one more frame behind the last whole one, as a write that the power cut would.
fn tear(wal: &Path) {
    use std::os::unix::fs::FileExt as _;
    const MAGIC: &[u8] = b"STWF";
    const HEADER: usize = 80;
    let mut files: Vec<_> = std::fs::read_dir(wal).expect("is there").map(|entry| entry.expect("is readable").path()).collect();
    files.sort();
    let last = files.last().expect("there is a log file");
    let bytes = std::fs::read(last).expect("is read");
    let at = bytes.windows(MAGIC.len()).rposition(|window| window == MAGIC).expect("holds a frame");
    let length = u32::from_le_bytes(bytes[at + 4..at + 8].try_into().expect("are four bytes"));
    let end = at + HEADER + length as usize;
    let file = std::fs::OpenOptions::new().write(true).open(last).expect("opens");
    file.write_all_at(&[MAGIC, &[0xa5; 33]].concat(), end as u64).expect("is written");
}
