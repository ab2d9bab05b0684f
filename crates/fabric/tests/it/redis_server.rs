//! Redis servers: the one that the script started, and ones to stop and freeze.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use steward_base::{Clock, Secret};
use steward_fabric::kv::{Kv, Server};

use crate::support::SOON;

/// Where Redis is, when the caller started one.
#[expect(clippy::disallowed_methods, reason = "tests are told by the script that runs them")]
pub(crate) fn redis_url() -> Option<String> {
    let url = std::env::var("STEWARD_TEST_REDIS").ok();
    if url.is_none() {
        eprintln!("STEWARD_TEST_REDIS is not set: this ran in memory only");
    }
    url
}

pub(crate) fn kv(url: &str, authority: Option<String>) -> Kv {
    Kv::redis(&Server { url: Secret::new(url.to_owned()), authority }, Clock::system()).expect("a URL")
}

/// A server of its own.
pub(crate) struct RedisServer {
    dir: tempfile::TempDir,
    pub(crate) port: u16,
    settings: Vec<String>,
    child: Option<Child>,
}

impl RedisServer {
    /// None where tests run without Redis.
    pub(crate) fn start(settings: &[&str]) -> Option<Self> {
        redis_url()?;
        let dir = tempfile::tempdir().expect("a folder");
        let port = crate::ports::own();
        let settings = settings.iter().map(|&word| word.to_owned()).collect();
        let mut server = Self { dir, port, settings, child: None };
        server.start_again();
        Some(server)
    }

    pub(crate) fn start_again(&mut self) {
        let port = self.port.to_string();
        let tls = self.settings.iter().any(|word| word == "--tls-port");
        let plain = if tls { "0" } else { &port };
        let mut command = Command::new("redis-server");
        command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--port", plain, "--dir"]).arg(self.dir.path());
        command.args(self.settings.iter().map(|word| if word == "PORT" { port.clone() } else { word.clone() }));
        self.child = Some(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("is installed"));
        let clock = Clock::system();
        while std::net::TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(clock.monotonic() < SOON, "Redis does not start");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("is killed");
            child.wait().expect("is gone");
        }
    }

    /// Stops it in the middle of whatever it does; connections stay.
    pub(crate) fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    pub(crate) fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().expect("runs");
        kill_process(Pid::from_child(child), signal).expect("is signalled");
    }

    pub(crate) fn kv(&self) -> Kv {
        kv(&format!("redis://127.0.0.1:{}/0", self.port), None)
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.stop();
    }
}
