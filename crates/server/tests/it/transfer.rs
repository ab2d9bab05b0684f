//! A tenant told into a file by one installation and taken in by another: everything is there as it was, or nothing is.

use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use reqwest::{RequestBuilder, StatusCode};
use serde_json::{Value, json};

use crate::database::database;
use crate::support::{OWNER, PASSWORD, Served, client, eventually, files_of, run, steward, succeed};

const PASSPHRASE: &str = "nobody guesses this one";
const FILE: &str = "application/octet-stream";
/// What is compared between two installations.
const LISTS: [&str; 9] = [
    "/api/v1/organizations?limit=500",
    "/api/v1/organizations?limit=500&deleted=true",
    "/api/v1/projects?limit=500",
    "/api/v1/services?limit=500",
    "/api/v1/devices?limit=500",
    "/api/v1/enrollment-tokens?limit=500",
    "/api/v1/api-keys?limit=500",
    "/api/v1/jobs?limit=500",
    "/api/v1/events?limit=500",
];

/// A served installation with a key of its operator.
struct Site {
    data: tempfile::TempDir,
    more: Vec<String>,
    served: Served,
    operator: String,
}

impl Site {
    /// With an owner of its own whose tenant is `slug`.
    fn start(slug: &str, owner: &str, settings: &str) -> Self {
        let data = tempfile::tempdir().expect("a folder");
        let config = data.path().join("steward.toml");
        std::fs::write(&config, settings).expect("is written");
        let more = vec!["--config".to_owned(), config.display().to_string()];
        admin(data.path(), &more, &["bootstrap", "--tenant", slug, "--owner", owner, "--password-stdin"], PASSWORD);
        let operator = admin(data.path(), &more, &["api-key", "--tenant", "operator", "--permissions", "tenants:*,admin:*"], "");
        let served = Served::start(data.path(), &more.iter().map(String::as_str).collect::<Vec<_>>());
        Self { data, more, served, operator }
    }

    fn admin(&self, arguments: &[&str]) -> String {
        admin(self.data.path(), &self.more, arguments, "")
    }

    fn path(&self) -> &str {
        self.data.path().to_str().expect("is text")
    }

    async fn tenant(&self, slug: &str) -> Option<String> {
        let tenants = self.served.json(self.served.get(&self.operator, "/api/v1/tenants?limit=500")).await;
        let tenants = tenants["data"].as_array().expect("a list");
        tenants.iter().find(|tenant| tenant["slug"] == slug).map(|tenant| tenant["id"].as_str().expect("an id").to_owned())
    }

    async fn export(&self, tenant: &str, query: &str) -> Vec<u8> {
        let asked = self.served.post(&self.operator, &format!("/api/v1/tenants/{tenant}/export{query}"));
        let answer = asked.header("steward-passphrase", PASSPHRASE).send().await.expect("is answered");
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["content-type"], FILE);
        answer.bytes().await.expect("comes whole").to_vec()
    }

    fn import(&self, file: Vec<u8>, query: &str) -> RequestBuilder {
        let asked = self.served.post(&self.operator, &format!("/api/v1/tenants/import{query}"));
        asked.header("steward-passphrase", PASSPHRASE).header("content-type", FILE).body(file)
    }

    async fn imported(&self, file: Vec<u8>, query: &str) -> Value {
        let begun = self.served.json(self.import(file, query)).await;
        let saga = begun["saga"].as_str().expect("an id").to_owned();
        eventually("the end of the saga", Duration::from_secs(60), async || {
            let saga: Value = self.served.json(self.served.get(&self.operator, &format!("/api/v1/sagas/{saga}"))).await;
            assert!(saga["state"] != "parked" && saga["state"] != "undone", "{saga}");
            (saga["state"] == "done").then_some(())
        })
        .await;
        begun
    }

    /// Status and code of what must be refused.
    async fn refused(&self, request: RequestBuilder) -> (u16, String) {
        let answer = request.send().await.expect("is answered");
        let status = answer.status().as_u16();
        let problem: Value = answer.json().await.expect("is a problem");
        (status, problem["code"].as_str().expect("a code").to_owned())
    }

    async fn lists(&self, key: &str) -> Vec<(&'static str, Value)> {
        let mut lists = Vec::new();
        for path in LISTS {
            lists.push((path, self.served.json(self.served.get(key, path)).await["data"].take()));
        }
        lists
    }

    async fn signs_in(&self, slug: &str) -> StatusCode {
        let login = json!({ "email": OWNER, "password": PASSWORD, "tenant": slug });
        self.served.client.post(format!("{}/auth/login", self.served.url)).json(&login).send().await.expect("is answered").status()
    }
}

fn admin(data: &Path, more: &[String], arguments: &[&str], input: &str) -> String {
    let mut all = vec!["admin"];
    all.extend(arguments);
    all.extend(["--data", data.to_str().expect("is text")]);
    all.extend(more.iter().map(String::as_str));
    succeed(&all, input)
}

/// Something of everything that a tenant can have. Answers the job of an import that refused rows.
pub(crate) async fn fill(served: &Served, key: &str) -> String {
    let made =
        async |path: &str, body: Value| served.json(served.post(key, path).json(&body)).await["id"].as_str().expect("an id").to_owned();
    let organization = made("/api/v1/organizations", json!({ "name": "Blau & Söhne", "slug": "blau", "notes": "ask for Anna" })).await;
    let gone = made("/api/v1/organizations", json!({ "name": "Gone", "slug": "gone" })).await;
    let address = |id: &str| format!("{}/api/v1/organizations/{id}", served.url);
    let changed = served.client.patch(address(&organization)).bearer_auth(key).header("if-match", "\"1\"");
    served.json(changed.header("content-type", "application/merge-patch+json").body(r#"{"notes":"ask for Bea"}"#)).await;
    let deleted = served.client.delete(address(&gone)).bearer_auth(key).header("if-match", "\"1\"").send().await.expect("is answered");
    assert!(deleted.status().is_success());
    let project = made("/api/v1/projects", json!({ "name": "A project", "organization_id": organization })).await;
    made("/api/v1/services", json!({ "name": "A service", "project_id": project })).await;
    served.json(served.post(key, "/api/v1/enrollment-tokens").json(&json!({ "name": "A token" }))).await;
    // More rows than one answer takes; those that are refused are kept as an object.
    let rows: String = (0..1_100)
        .map(|number| if number % 100 == 0 { "{\"name\":7}\n".to_owned() } else { format!("{{\"name\":\"Project {number}\"}}\n") })
        .collect();
    let sent = served.post(key, "/api/v1/projects/import").header("content-type", "application/x-ndjson").body(rows);
    let job = served.json(sent).await["job_id"].as_str().expect("a job").to_owned();
    eventually("the end of the import", Duration::from_secs(60), async || {
        let told = served.json(served.get(key, &format!("/api/v1/jobs/{job}"))).await;
        (told["state"] == "done").then_some(())
    })
    .await;
    job
}

pub(crate) async fn failures(served: &Served, key: &str, job: &str) -> String {
    let told = served.get(key, &format!("/api/v1/projects/imports/{job}/failures")).send().await.expect("is answered");
    assert_eq!(told.status(), 200);
    told.text().await.expect("is text")
}

async fn there_and_the_same(settings: &str) {
    let from = Site::start("acme", OWNER, "");
    let key = from.admin(&["api-key", "--tenant", "acme", "--permissions", "admin:*"]);
    let job = fill(&from.served, &key).await;
    let tenant = from.tenant("acme").await.expect("is there");
    let file = from.export(&tenant, "?passwords=true").await;
    let told = from.served.json(from.served.get(&from.operator, "/api/v1/events?limit=500")).await;
    let told = told["data"].as_array().expect("a list").iter().find(|event| event["type"] == "tenant.exported").expect("is told").clone();
    assert_eq!((&told["subject"], &told["data"]["passwords"]), (&json!(tenant), &json!(true)));
    for word in ["Blau", "ask for", "Project 7", OWNER] {
        assert!(!file.windows(word.len()).any(|window| window == word.as_bytes()), "{word} can be read in the file");
    }

    let to = Site::start("others", "other@example.com", settings);
    let begun = to.imported(file, "").await;
    assert_eq!(begun["tenant"], tenant.as_str());
    // Its keys are good here as well; nothing was written to it since.
    assert_eq!(to.lists(&key).await, from.lists(&key).await);
    let refused = failures(&from.served, &key, &job).await;
    assert_eq!(refused.lines().count(), 11);
    assert_eq!(failures(&to.served, &key, &job).await, refused, "the object came along");
    let organization = &from.lists(&key).await[0].1[0]["id"];
    let history = format!("/api/v1/organizations/{}/history", organization.as_str().expect("an id"));
    let histories = [from.served.json(from.served.get(&key, &history)).await, to.served.json(to.served.get(&key, &history)).await];
    assert_eq!(histories[0]["data"], histories[1]["data"]);
    let hits = to.served.json(to.served.get(&key, "/api/v1/search?q=Bea")).await;
    assert_eq!(hits["data"].as_array().map(Vec::len), Some(1), "it is indexed anew: {hits}");
    assert_eq!(to.signs_in("acme").await, 200);
    let made = to.served.post(&key, "/api/v1/projects").json(&json!({ "name": "Made here" })).send().await.expect("is answered");
    assert_eq!(made.status(), 201, "and it goes on");
    let mut verify = vec!["audit", "verify", "--data", to.path()];
    verify.extend(to.more.iter().map(String::as_str));
    let verified = run(&verify, "");
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));
    assert!(files_of(&to.data.path().join("blobs"), "uploads").is_empty(), "the file that came is gone");
    assert_eq!(to.refused(to.import(from.export(&tenant, "").await, "")).await, (409, "tenant_exists".to_owned()));
    assert!(to.served.terminate().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_is_the_same_in_an_installation_that_did_not_know_it() {
    there_and_the_same("").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_is_the_same_on_postgresql() {
    let Some(database) = database("imported").await else { return };
    there_and_the_same(&format!("database_url = \"{}\"\n", database.url)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_taken_in_leaves_nothing() {
    let from = Site::start("acme", OWNER, "");
    let key = from.admin(&["api-key", "--tenant", "acme", "--permissions", "admin:*"]);
    fill(&from.served, &key).await;
    let tenant = from.tenant("acme").await.expect("is there");
    let file = from.export(&tenant, "").await;
    let to = Site::start("others", "other@example.com", "");
    let reader = to.admin(&["api-key", "--tenant", "operator", "--permissions", "tenants:read"]);

    let mut flipped = file.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    let newer = [&file[..15], &[22, 0, 0, 0], br#"{"format":2,"x":"abc"}"#, &file[200..]].concat();
    let longer = [&file[..], b"more"].concat();
    for (name, sent, query, status, code) in [
        ("cut in its first words", file[..20].to_vec(), "", 422, "dump_cut"),
        ("cut in the middle", file[..middle].to_vec(), "", 422, "dump_cut"),
        ("cut at its end", file[..file.len() - 1].to_vec(), "", 422, "dump_cut"),
        ("changed", flipped, "", 422, "dump_damaged"),
        ("with something behind it", longer, "", 422, "dump_damaged"),
        ("of a newer version", newer, "", 422, "dump_newer"),
        ("of something else", b"PK\x03\x04 and so on, for a while".to_vec(), "", 422, "not_an_export"),
        ("nothing", Vec::new(), "", 422, "not_an_export"),
        ("with a name that is taken", file.clone(), "?slug=others", 409, "slug_taken"),
        ("with a name of our own", file.clone(), "?slug=operator", 422, "slug_reserved"),
    ] {
        assert_eq!(to.refused(to.import(sent, query)).await, (status, code.to_owned()), "{name}");
    }
    let import = format!("{}/api/v1/tenants/import", to.served.url);
    let without = to.served.client.post(&import).bearer_auth(&to.operator).header("content-type", FILE).body(file.clone());
    assert_eq!(to.refused(without).await, (422, "passphrase_required".to_owned()));
    let wrong = to.served.client.post(&import).bearer_auth(&to.operator).header("content-type", FILE).body(file.clone());
    assert_eq!(to.refused(wrong.header("steward-passphrase", "somebody guesses wrong")).await, (422, "passphrase_wrong".to_owned()));
    for (key, path) in [(&reader, "/api/v1/tenants/import".to_owned()), (&key, format!("/api/v1/tenants/{tenant}/export"))] {
        let site = if key == &reader { &to } else { &from };
        // Refused before the body was read, a connection ends.
        let denied = client().post(format!("{}{path}", site.served.url)).bearer_auth(key);
        let denied = denied.header("steward-passphrase", PASSPHRASE).header("content-type", FILE).body(file.clone());
        assert_eq!(site.refused(denied).await, (403, "permission_denied".to_owned()));
    }
    let operator = from.tenant("operator").await.expect("is there");
    let fixed = from.served.post(&from.operator, &format!("/api/v1/tenants/{operator}/export")).header("steward-passphrase", PASSPHRASE);
    assert_eq!(from.refused(fixed).await, (409, "tenant_fixed".to_owned()));

    assert_eq!(to.tenant("acme").await, None);
    // Whatever was received is deleted behind the answer.
    eventually("the end of what was refused", Duration::from_secs(20), async || {
        (files_of(to.data.path(), &tenant).is_empty() && files_of(&to.data.path().join("blobs"), "uploads").is_empty()).then_some(())
    })
    .await;
    // And it can still be taken in; whoever had a password elsewhere has none here.
    to.imported(file, "?slug=new-name").await;
    assert_eq!(to.tenant("new-name").await, Some(tenant));
    assert_eq!(to.signs_in("new-name").await, 401);
    // Until the operator gives them the means to set one.
    let code = to.admin(&["password-code", "--email", OWNER]);
    let set = json!({ "code": code, "password": PASSWORD });
    let set = to.served.client.post(format!("{}/auth/password", to.served.url)).json(&set).send().await.expect("is answered");
    assert_eq!((set.status().as_u16(), to.signs_in("new-name").await.as_u16()), (204, 200));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_goes_from_command_line_to_command_line() {
    let from = Site::start("acme", OWNER, "");
    let key = from.admin(&["api-key", "--tenant", "acme", "--permissions", "admin:*"]);
    let job = fill(&from.served, &key).await;
    let secret = from.data.path().join("passphrase");
    std::fs::write(&secret, format!("{PASSPHRASE}\n")).expect("is written");
    let secret = secret.to_str().expect("is text");
    let export = |data: &str| {
        let out = steward(&["admin", "tenant", "export", "--data", data, "--tenant", "acme", "--passphrase-file", secret])
            .output()
            .expect("runs");
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        out.stdout
    };
    let import = |data: &str, more: &[&str], file: &[u8]| {
        let arguments = [&["admin", "tenant", "import", "--data", data, "--passphrase-file", secret], more].concat();
        let mut child = steward(&arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts");
        child.stdin.take().expect("is piped").write_all(file).expect("is read");
        child.wait_with_output().expect("ends")
    };
    let running = export(from.path());
    let lists = from.lists(&key).await;
    let tenant = from.tenant("acme").await.expect("is there");
    let (data, more) = (from.data, from.served);
    assert!(more.terminate().success());
    let stopped = export(data.path().to_str().expect("is text"));

    // Into one that runs, under another name, and into one that does not.
    let to = Site::start("acme", OWNER, "");
    let taken = import(to.path(), &[], &running);
    assert_eq!(taken.status.code(), Some(5), "{}", String::from_utf8_lossy(&taken.stderr));
    let taken = import(to.path(), &["--as", "acme-2"], &running);
    assert!(taken.status.success(), "{}", String::from_utf8_lossy(&taken.stderr));
    assert_eq!(String::from_utf8_lossy(&taken.stdout).trim(), tenant);
    assert_eq!(
        to.lists(&key).await.iter().filter(|(path, _)| !path.contains("events")).collect::<Vec<_>>(),
        lists.iter().filter(|(path, _)| !path.contains("events")).collect::<Vec<_>>()
    );
    // The member is whoever has that address here, with the password they have here.
    assert_eq!(to.signs_in("acme-2").await, 200);

    let empty = tempfile::tempdir().expect("a folder");
    let cut = import(empty.path().to_str().expect("is text"), &[], &stopped[..stopped.len() / 2]);
    assert_eq!((cut.status.code(), String::from_utf8_lossy(&cut.stderr).contains("dump_cut")), (Some(1), true));
    assert!(files_of(empty.path(), &tenant).is_empty());
    let taken = import(empty.path().to_str().expect("is text"), &[], &stopped);
    assert!(taken.status.success(), "{}", String::from_utf8_lossy(&taken.stderr));
    let served = Served::start(empty.path(), &[]);
    assert_eq!(failures(&served, &key, &job).await.lines().count(), 11);
    assert_eq!(served.json(served.get(&key, LISTS[8])).await["data"], lists[8].1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_tenant_is_taken_in_as_it_was_or_as_it_is_asked() {
    let from = Site::start("acme", OWNER, "");
    let tenant = from.tenant("acme").await.expect("is there");
    from.served.json(from.served.post(&from.operator, &format!("/api/v1/tenants/{tenant}/suspend"))).await;
    let file = from.export(&tenant, "?passwords=true").await;
    for (query, status) in [("", "suspended"), ("?suspended=false", "active")] {
        let to = Site::start("others", "other@example.com", "");
        to.imported(file.clone(), query).await;
        let known = to.served.json(to.served.get(&to.operator, &format!("/api/v1/tenants/{tenant}"))).await;
        assert_eq!(known["status"], status, "{query}");
        assert_eq!(to.signs_in("acme").await == StatusCode::OK, status == "active");
    }
    // Without a server, and the other way round.
    let (secret, to) = (from.data.path().join("passphrase"), tempfile::tempdir().expect("a folder"));
    std::fs::write(&secret, PASSPHRASE).expect("is written");
    let (secret, to) = (secret.to_str().expect("is text"), to.path().to_str().expect("is text"));
    let import = ["admin", "tenant", "import", "--data", to, "--passphrase-file", secret, "--suspended", "false"];
    let mut child = steward(&import).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("starts");
    child.stdin.take().expect("is piped").write_all(&file).expect("is read");
    assert!(child.wait().expect("ends").success());
    let served = Served::start(Path::new(to), &[]);
    let login = json!({ "email": OWNER, "password": PASSWORD, "tenant": "acme" });
    let answer = served.client.post(format!("{}/auth/login", served.url)).json(&login).send().await.expect("is answered");
    assert_eq!(answer.status(), 200);
}
