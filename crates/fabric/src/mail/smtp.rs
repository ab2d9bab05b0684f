//! The variant through a mail server, which then delivers.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use lettre::transport::smtp::PoolConfig;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor};
use steward_base::{Error, ErrorKind, Result, Secret};

use super::message::Composer;
use super::{MailId, Message};
use crate::authority;
use crate::breaker::{Breaker, Circuit, Rest};

/// How many steps' time a whole message may take.
const WHOLE: u32 = 3;
/// How many conversations are kept open at once.
const CONNECTIONS: u32 = 4;

/// Where a mail server is and how it is spoken to.
#[derive(Clone, Debug)]
pub struct Relay {
    /// Its name, which its certificate must show, or its address.
    pub host: String,
    /// 587 or 465 as a rule.
    pub port: u16,
    /// How the way to it is protected.
    pub security: Security,
    /// Who we say we are.
    pub credentials: Option<Credentials>,
    /// The certificates, as PEM, that the server's must come from; without them, those this machine trusts.
    pub authority: Option<String>,
    /// How long it may take for one step of the conversation.
    pub patience: Duration,
}

/// Who we say we are.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The account.
    pub user: String,
    /// What proves it.
    pub password: Secret<String>,
}

/// How the way to a mail server is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    /// TLS from the first byte, on port 465.
    Implicit,
    /// TLS before anything is said; a server that does not offer it is not used. On port 587.
    StartTls,
    /// None, to a server on this machine.
    Loopback,
}

/// Mail through a server.
#[derive(Clone)]
pub struct Smtp {
    composer: Composer,
    transport: AsyncSmtpTransport<Tokio1Executor>,
    breaker: Breaker,
    longest: Duration,
}

impl fmt::Debug for Smtp {
    /// Without the transport, which knows the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Smtp").field("composer", &self.composer).finish_non_exhaustive()
    }
}

/// Why a message did not go.
enum Failure {
    Smtp(lettre::transport::smtp::Error),
    TimedOut,
}

impl Smtp {
    pub(super) fn new(relay: &Relay, composer: Composer) -> Result<Self> {
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&relay.host)
            .port(relay.port)
            .tls(tls(relay)?)
            .timeout(Some(relay.patience))
            .hello_name(ClientId::Domain(composer.sender.address.domain().to_owned()))
            .pool_config(PoolConfig::new().max_size(CONNECTIONS).idle_timeout(Duration::from_secs(30)));
        if let Some(credentials) = &relay.credentials {
            builder = builder.credentials((credentials.user.clone(), credentials.password.expose().clone()).into());
        }
        let breaker = Breaker::new(composer.clock.clone());
        Ok(Self { composer, transport: builder.build(), breaker, longest: relay.patience * WHOLE })
    }

    /// Whether the server is being given a rest.
    pub fn circuit(&self) -> Circuit {
        self.breaker.circuit()
    }

    pub(super) async fn send(&self, message: &Message) -> Result<MailId> {
        let (id, message) = self.composer.compose(message)?;
        self.bounded(Box::pin(self.transport.send(message))).await?;
        Ok(id)
    }

    pub(super) async fn health(&self) -> Result<()> {
        if self.bounded(Box::pin(self.transport.test_connection())).await? { Ok(()) } else { Err(unavailable()) }
    }

    async fn bounded<T>(&self, call: impl Future<Output = Result<T, lettre::transport::smtp::Error>>) -> Result<T> {
        let call = async {
            match tokio::time::timeout(self.longest, call).await {
                Ok(answer) => answer.map_err(Failure::Smtp),
                Err(_) => Err(Failure::TimedOut),
            }
        };
        let failed = |outcome: &Result<T, Failure>| outcome.as_ref().is_err_and(Failure::is_outage);
        let outcome = self.breaker.run(call, failed).await.map_err(|Rest(rest)| {
            let after = Duration::from_secs(rest.as_millis().div_ceil(1_000).max(1) as u64);
            unavailable().with_retry_after(after).with_source("the mail server failed several times in a row and is given a rest")
        })?;
        outcome.map_err(Failure::into_error)
    }
}

impl Failure {
    /// Whether the server is to blame rather than this message.
    fn is_outage(&self) -> bool {
        match self {
            Self::TimedOut => true,
            Self::Smtp(error) => !error.is_permanent() && !error.is_transient() && !error.is_client(),
        }
    }

    fn into_error(self) -> Error {
        let error = match self {
            Self::TimedOut => return unavailable().with_source("the mail server did not answer in time"),
            Self::Smtp(error) => error,
        };
        let later = |code, detail| Error::new(ErrorKind::Unavailable, code, detail).with_retry_after(Duration::from_secs(30));
        let status = error.status().map(u16::from);
        if matches!(status, Some(454 | 530 | 534 | 535 | 538)) {
            return later("mail_credentials", "The mail server refuses our user or password: mend the settings of the mail server.")
                .with_source(error);
        }
        if error.is_permanent() {
            let detail = "The mail server will not deliver this message: look at the address.";
            return Error::new(ErrorKind::Invalid, "mail_refused", detail).with_source(error);
        }
        if error.is_tls() {
            let detail = "The mail server offers no TLS, or its certificate is not trusted: name its authority in the settings.";
            return later("mail_certificate", detail).with_source(error);
        }
        unavailable().with_source(error)
    }
}

fn tls(relay: &Relay) -> Result<Tls> {
    if relay.security == Security::Loopback {
        let local = relay.host == "localhost" || relay.host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        return if local { Ok(Tls::None) } else { Err(settings("Mail goes without TLS to this machine only.")) };
    }
    const UNUSABLE: &str = "The mail server's name or authority cannot be used.";
    let unusable = |error| settings(UNUSABLE).with_source(error);
    let mut parameters = TlsParameters::builder(relay.host.clone());
    if let Some(pem) = &relay.authority {
        if !authority::is_usable(pem) {
            return Err(settings(UNUSABLE));
        }
        parameters = parameters.certificate_store(CertificateStore::None);
        parameters = parameters.add_root_certificate(Certificate::from_pem(pem.as_bytes()).map_err(unusable)?);
    }
    let parameters = parameters.build_rustls().map_err(unusable)?;
    Ok(if relay.security == Security::Implicit { Tls::Wrapper(parameters) } else { Tls::Required(parameters) })
}

fn settings(detail: &'static str) -> Error {
    Error::new(ErrorKind::Invalid, "mail_settings", detail)
}

fn unavailable() -> Error {
    let detail = "The mail server cannot be reached, or takes nothing now: it is tried again later.";
    Error::new(ErrorKind::Unavailable, "mail_unavailable", detail).with_retry_after(Duration::from_secs(30))
}
