//! A Redis server that tests stop, freeze and look into.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::support::now;

const PATIENCE: Duration = Duration::from_secs(60);

/// A server of this test's own, to be stopped and frozen.
pub(crate) struct Redis {
    pub(crate) port: u16,
    dir: tempfile::TempDir,
    child: Option<Child>,
}

impl Redis {
    pub(crate) fn new() -> Self {
        let port = crate::ports::own();
        Self { port, dir: tempfile::tempdir().expect("a folder"), child: None }
    }

    pub(crate) fn start(&mut self) {
        let mut command = Command::new("redis-server");
        command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--port", &self.port.to_string(), "--dir"]);
        self.child = Some(command.arg(self.dir.path()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("is installed"));
        let deadline = now() + PATIENCE;
        while std::net::TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(now() < deadline, "Redis does not start");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Everything that it holds, as it lies on its disk when it is told to save.
    pub(crate) fn saved(&self) -> Vec<u8> {
        for command in [&["CONFIG", "SET", "rdbcompression", "no"][..], &["SAVE"]] {
            let said = Command::new("redis-cli").args(["-p", &self.port.to_string()]).args(command).output().expect("is installed");
            assert_eq!(String::from_utf8_lossy(&said.stdout).trim(), "OK");
        }
        std::fs::read(self.dir.path().join("dump.rdb")).expect("was saved")
    }

    pub(crate) fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("is killed");
            child.wait().expect("is gone");
        }
    }

    pub(crate) fn signal(&self, signal: &str) {
        let id = self.child.as_ref().expect("runs").id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().expect("runs").success());
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.stop();
    }
}
