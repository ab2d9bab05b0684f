//! Starting the real binary and talking to it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use reqwest::{Client, RequestBuilder};
use serde_json::Value;

use crate::bucket::BucketServer;

pub(crate) const PASSWORD: &str = "correct horse battery staple";
pub(crate) const OWNER: &str = "owner@example.com";
const PATIENCE: Duration = Duration::from_secs(60);

/// The command, without the variables of whoever runs the tests.
pub(crate) fn steward(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_steward"));
    command.args(arguments).env_clear().env("PATH", "/usr/bin:/bin");
    command
}

/// Runs the command to its end with `input` as stdin.
pub(crate) fn run(arguments: &[&str], input: &str) -> Output {
    let mut command = steward(arguments);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts");
    child.stdin.take().expect("is piped").write_all(input.as_bytes()).expect("is read");
    child.wait_with_output().expect("ends")
}

/// Stdout of a run that must succeed.
pub(crate) fn succeed(arguments: &[&str], input: &str) -> String {
    let output = run(arguments, input);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("is text").trim_end().to_owned()
}

/// A client with connections of its own.
#[expect(clippy::disallowed_methods, reason = "a test's client needs no time-outs or trust of its own: the runner ends what hangs")]
pub(crate) fn client() -> Client {
    Client::new()
}

/// The time, for waiting on a real process.
#[expect(clippy::disallowed_methods, reason = "a real process runs by the machine's clock")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// A served instance; killed when dropped.
pub(crate) struct Served {
    child: Child,
    pub(crate) url: String,
    pub(crate) client: Client,
}

impl Served {
    /// Starts on a free port over `data` and waits until it is ready.
    pub(crate) fn start(data: &Path, more: &[&str]) -> Self {
        Self::start_with(data, more, &[])
    }

    /// The same with variables in its environment.
    pub(crate) fn start_with(data: &Path, more: &[&str], variables: &[(&str, String)]) -> Self {
        let data = data.to_str().expect("is text");
        let mut arguments = vec!["serve", "--data", data, "--listen", "127.0.0.1:0"];
        arguments.extend(more);
        let mut child =
            steward(&arguments).envs(variables.iter().cloned()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("is piped")).read_line(&mut line).expect("is text");
        let Some(url) = line.trim().strip_prefix("ready ") else {
            let mut why = String::new();
            child.stderr.take().expect("is piped").read_to_string(&mut why).expect("is text");
            panic!("the server is not ready: {line}{why}");
        };
        // Its log must be read, or it would wait for the pipe to empty.
        let stderr = child.stderr.take().expect("is piped");
        std::thread::spawn(move || BufReader::new(stderr).lines().for_each(drop));
        Self { url: url.to_owned(), child, client: client() }
    }

    pub(crate) fn get(&self, key: &str, path: &str) -> RequestBuilder {
        self.client.get(format!("{}{path}", self.url)).bearer_auth(key)
    }

    pub(crate) fn post(&self, key: &str, path: &str) -> RequestBuilder {
        self.client.post(format!("{}{path}", self.url)).bearer_auth(key)
    }

    /// The JSON of a request that must succeed.
    pub(crate) async fn json(&self, request: RequestBuilder) -> Value {
        let response = request.send().await.expect("is answered");
        let status = response.status();
        let text = response.text().await.expect("is text");
        assert!(status.is_success(), "{status}: {text}");
        serde_json::from_str(&text).expect("is JSON")
    }

    /// As `kill -9`.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("is killed");
        self.child.wait().expect("ends");
    }

    /// As `kill -TERM`; the exit status.
    pub(crate) fn terminate(mut self) -> std::process::ExitStatus {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().expect("runs").success());
        let deadline = now() + PATIENCE;
        while now() < deadline {
            if let Some(status) = self.child.try_wait().expect("can be asked") {
                return status;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("the server does not stop");
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // It may have ended already; either way nothing is left running.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The lines of a settings file that name a bucket.
pub(crate) fn bucket_settings(server: &BucketServer) -> String {
    let bucket = server.bucket(PATIENCE);
    format!(
        "s3_bucket = \"{}\"\ns3_endpoint = \"{}\"\ns3_region = \"{}\"\ns3_access_key_id = \"{}\"\ns3_secret_access_key = \"{}\"\n",
        bucket.name,
        bucket.endpoint.unwrap_or_default(),
        bucket.region,
        bucket.access_key_id,
        bucket.secret_access_key.expose()
    )
}

/// A data folder with a tenant, its owner and a key that may do everything in it.
pub(crate) fn bootstrapped(data: &Path) -> String {
    let data = data.to_str().expect("is text");
    succeed(&["admin", "bootstrap", "--data", data, "--tenant", "acme", "--owner", OWNER, "--password-stdin"], PASSWORD);
    succeed(&["admin", "api-key", "--data", data, "--tenant", "acme", "--permissions", "admin:*"], "")
}

/// Asks again until the answer is there.
pub(crate) async fn eventually<T>(what: &str, patience: Duration, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = now() + patience;
    loop {
        if let Some(found) = ask().await {
            return found;
        }
        assert!(now() < deadline, "{what} did not come within {patience:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Files below a folder whose path has a name in it, as a tenant's.
pub(crate) fn files_of(dir: &Path, name: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files_of(&path, name));
        } else if path.display().to_string().contains(name) {
            found.push(path.display().to_string());
        }
    }
    found
}
