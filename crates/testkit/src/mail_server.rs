//! A real SMTP server in a process of its own.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use steward_base::Secret;
use steward_fabric::mail::{Credentials, Relay, Security};

/// Debian's own interpreter: another one does not see Debian's packages.
const PYTHON: &str = "/usr/bin/python3";

/// Takes mail until it is dropped.
pub struct MailServer {
    dir: tempfile::TempDir,
    certificate: String,
    port: u16,
    security: Security,
    child: Child,
}

/// Something that the server took.
#[derive(Debug)]
pub struct Taken {
    /// Sender, recipients, and whether it came by TLS.
    pub way: String,
    /// As it came.
    pub source: Vec<u8>,
}

impl MailServer {
    /// None where the package is missing.
    pub fn start(security: Security, account: Option<(&str, &str)>) -> Option<Self> {
        let there = Command::new(PYTHON).args(["-c", "import aiosmtpd"]).stderr(Stdio::null()).status();
        if !there.is_ok_and(|status| status.success()) {
            eprintln!("python3-aiosmtpd is not installed: nothing was sent through a mail server");
            return None;
        }
        let dir = tempfile::tempdir().expect("a folder");
        let signed = rcgen::generate_simple_self_signed(vec!["127.0.0.1".into(), "localhost".into()]).expect("signs");
        let (certificate, key) = (dir.path().join("certificate.pem"), dir.path().join("key.pem"));
        std::fs::write(&certificate, signed.cert.pem()).expect("writes");
        std::fs::write(&key, signed.signing_key.serialize_pem()).expect("writes");
        let mode = match security {
            Security::Implicit => "implicit",
            Security::StartTls => "starttls",
            Security::Loopback => "plain",
        };
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/src/mail_server.py");
        let mut command = Command::new(PYTHON);
        command.args(["-W", "ignore", script]).arg(dir.path()).arg(mode).arg(&certificate).arg(&key);
        if let Some((user, password)) = account {
            command.args([user, password]);
        }
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("starts");
        let mut port = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut port).expect("says where it is");
        let port = port.trim().parse().expect("a port");
        Some(Self { dir, certificate: signed.cert.pem(), port, security, child })
    }

    /// How to reach it.
    pub fn relay(&self, account: Option<(&str, &str)>) -> Relay {
        let credentials = account.map(|(user, password)| Credentials { user: user.to_owned(), password: Secret::new(password.to_owned()) });
        let authority = Some(self.certificate.clone());
        Relay {
            host: "127.0.0.1".to_owned(),
            port: self.port,
            security: self.security,
            credentials,
            authority,
            patience: Duration::from_secs(10),
        }
    }

    /// The `number`th message it took, counted from one.
    pub async fn taken(&self, number: usize) -> Taken {
        let path = self.dir.path().join(format!("{number}.eml"));
        let arrives = async {
            while !path.exists() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), arrives).await.expect("arrives");
        let bytes = std::fs::read(path).expect("reads");
        let end = bytes.windows(2).position(|two| two == b"\r\n").expect("has a first line");
        Taken { way: String::from_utf8(bytes[..end].to_vec()).expect("text"), source: bytes[end + 2..].to_vec() }
    }

    /// Stops it, lets it go on, or ends it.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("is signalled");
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
