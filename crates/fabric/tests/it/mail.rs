//! The contract of mail, in a folder and through a real SMTP server; and what each promises beside it.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use mail_parser::{HeaderValue, MessageParser, MimeHeaders as _};
use proptest::prelude::*;
use rustix::process::Signal;
use steward_base::{Clock, ErrorKind, Random, Secret, TenantId};
use steward_fabric::Scope;
use steward_fabric::mail::{Credentials, Mail, Message, Relay, Security, Sender};
use steward_testkit::MailServer;

use crate::support::{SOON, fresh_tenant, manual, tenant, until};

fn sender() -> Sender {
    Sender { name: Some("Steward – Müller & Söhne, \"IT\"".to_owned()), address: "steward@example.org".parse().expect("an address") }
}

fn message(subject: &str, text: &str, html: Option<&str>) -> Message {
    Message {
        to: "somebody@example.com".parse().expect("an address"),
        subject: subject.to_owned(),
        text: text.to_owned(),
        html: html.map(str::to_owned),
    }
}

async fn folder(path: &Path, keep: usize) -> Mail {
    Mail::folder(path, keep, sender(), Clock::system(), Random::system()).await.expect("opens")
}

fn smtp(relay: &Relay) -> Mail {
    Mail::smtp(relay, sender(), Clock::system(), Random::system()).expect("settings")
}

/// Runs a test on every variant; `arrived` brings the text of the `number`th message.
async fn on_each(test: impl AsyncFn(&Mail, &dyn Arrivals)) {
    let dir = tempfile::tempdir().expect("a folder");
    let mail = folder(dir.path(), 1_000).await;
    test(&mail, &InFolder(mail.clone())).await;
    if let Some(server) = MailServer::start(Security::StartTls, Some(("steward", "hunter2"))) {
        test(&smtp(&server.relay(Some(("steward", "hunter2")))), &server).await;
    }
}

/// Where messages can be seen to arrive.
trait Arrivals {
    fn arrived<'a>(&'a self, number: usize) -> std::pin::Pin<Box<dyn Future<Output = Vec<u8>> + 'a>>;
}

struct InFolder(Mail);

impl Arrivals for InFolder {
    fn arrived<'a>(&'a self, number: usize) -> std::pin::Pin<Box<dyn Future<Output = Vec<u8>> + 'a>> {
        Box::pin(async move {
            let folder = self.0.kept().expect("is a folder");
            let list = folder.list(tenant(1).into(), None, 200).await.expect("lists");
            let id = list[list.len() - number].id;
            folder.read(tenant(1).into(), id).await.expect("reads").expect("is there").source.to_vec()
        })
    }
}

impl Arrivals for MailServer {
    fn arrived<'a>(&'a self, number: usize) -> std::pin::Pin<Box<dyn Future<Output = Vec<u8>> + 'a>> {
        Box::pin(async move { self.taken(number).await.source })
    }
}

/// Line ends travel as CRLF and bodies end with one.
fn plain(text: &str) -> String {
    text.replace("\r\n", "\n").trim_end_matches('\n').to_owned()
}

fn check(source: &[u8], sent: &Message) {
    let parsed = MessageParser::default().parse(source).expect("is a message");
    assert_eq!(parsed.subject(), Some(sent.subject.as_str()));
    assert_eq!(parsed.to().and_then(|to| to.first()?.address()), Some(sent.to.to_string().as_str()));
    let from = parsed.from().and_then(|from| from.first()).expect("says who");
    assert_eq!((from.name(), from.address()), (sender().name.as_deref(), Some("steward@example.org")));
    assert_eq!(parsed.header("Auto-Submitted"), Some(&HeaderValue::Text("auto-generated".into())));
    assert!(parsed.message_id().is_some_and(|id| id.starts_with("mai_") && id.ends_with("@example.org")));
    assert_eq!(plain(&parsed.body_text(0).expect("has text")), plain(&sent.text));
    let html = parsed.parts.iter().find(|part| part.is_content_type("text", "html")).and_then(|part| part.text_contents());
    assert_eq!(html.map(plain), sent.html.as_deref().map(plain));
    let known =
        ["from", "to", "subject", "date", "message-id", "auto-submitted", "mime-version", "content-type", "content-transfer-encoding"];
    for header in parsed.headers() {
        assert!(known.contains(&header.name().to_lowercase().as_str()), "nobody asked for the header {}", header.name());
    }
}

#[tokio::test]
async fn messages_arrive_as_they_were_sent() {
    on_each(async |mail, arrivals| {
        let long = "A line that is far longer than any line may be on the way. ".repeat(50);
        let sent = [
            message("Hello", "Hello,\n\nthis is it.\n", None),
            message(
                "Grüße aus Köln 🎉 — mit einer Betreffzeile, die länger ist als eine Zeile sein darf",
                "ÄÖÜ € 漢字 🎉\n",
                Some("<p>ÄÖÜ € 漢字 🎉</p>"),
            ),
            message("A dot = a dot?", ".\n..\n.\r\nFrom here\n", Some("<html>.</html>")),
            message("x: y, z; \"w\" <v@u>", &long, Some(&long)),
            message(&"w".repeat(250), "", None),
        ];
        for (number, message) in sent.iter().enumerate() {
            mail.send(tenant(1).into(), message).await.expect("sends");
            check(&arrivals.arrived(number + 1).await, message);
        }
        mail.health().await.expect("is well");
    })
    .await;
}

#[tokio::test]
async fn nothing_in_a_message_becomes_a_header() {
    on_each(async |mail, _| {
        for subject in ["a\r\nBcc: x@example.org", "a\nX: y", "a\rX: y", "a\0b", "", "  ", "=?utf-8?q?x?=", &"x".repeat(251)] {
            let error = mail.send(tenant(1).into(), &message(subject, "text", None)).await.expect_err("is refused");
            assert_eq!((error.kind(), error.code(), error.fields()[0].pointer.as_str()), (ErrorKind::Invalid, "mail_message", "/subject"));
        }
        for (text, html, pointer) in [("a\0", None, "/text"), ("a", Some("\0"), "/html"), (&*"x".repeat((1 << 20) + 1), None, "/text")] {
            let error = mail.send(tenant(1).into(), &message("Hello", text, html)).await.expect_err("is refused");
            assert_eq!((error.code(), error.fields()[0].pointer.as_str()), ("mail_message", pointer));
        }
    })
    .await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_accepted_reads_back(subject in "\\PC{1,80}|[ -~]{1,200}|[\r\n:a ]{1,6}", text in "(\\PC|\n){0,200}", html in proptest::option::of("(\\PC|\n){1,100}")) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let dir = tempfile::tempdir().expect("a folder");
            let mail = folder(dir.path(), 10).await;
            let sent = message(&subject, &text, html.as_deref());
            if let Ok(id) = mail.send(tenant(1).into(), &sent).await {
                let letter = mail.kept().expect("is a folder").read(tenant(1).into(), id).await.expect("reads").expect("is there");
                let parsed = MessageParser::default().parse(&letter.source[..]).expect("is a message");
                assert_eq!(parsed.headers().len(), if html.is_some() { 8 } else { 9 } - usize::from(parsed.header("Content-Transfer-Encoding").is_none() && html.is_none()));
                assert_eq!(letter.envelope.subject.split_whitespace().collect::<Vec<_>>(), subject.split_whitespace().collect::<Vec<_>>());
                assert_eq!(plain(&letter.text), plain(&text));
            }
        });
    }
}

#[tokio::test]
async fn operators_list_and_read_what_the_folder_keeps() {
    let dir = tempfile::tempdir().expect("a folder");
    let (clock, random) = (manual(), Random::seeded(1));
    let open = async || Mail::folder(&dir.path().join("mail"), 5, sender(), clock.clone(), random.clone()).await.expect("opens");
    let mail = open().await;
    let (mine, other): (TenantId, TenantId) = (fresh_tenant(), fresh_tenant());
    let mut ids = Vec::new();
    for number in 0..8 {
        clock.advance(Duration::from_secs(1));
        ids.push(mail.send(mine.into(), &message(&format!("Nr. {number} ü"), "Text", Some("<b>Text</b>"))).await.expect("sends"));
    }
    let theirs = mail.send(other.into(), &message("Theirs", "x", None)).await.expect("sends");
    mail.send(Scope::Platform, &message("Ours", "x", None)).await.expect("sends");

    let folder = mail.kept().expect("is a folder");
    let list = folder.list(mine.into(), None, 200).await.expect("lists");
    assert_eq!(list.iter().map(|envelope| envelope.id).collect::<Vec<_>>(), ids[3..].iter().rev().copied().collect::<Vec<_>>());
    assert_eq!((list[0].subject.as_str(), list[0].to.as_str(), list[0].sent), ("Nr. 7 ü", "somebody@example.com", clock.now()));
    let page = folder.list(mine.into(), Some(list[1].id), 2).await.expect("lists");
    assert_eq!(page, list[2..4]);
    let letter = folder.read(mine.into(), ids[7]).await.expect("reads").expect("is there");
    assert_eq!((letter.envelope.length, letter.source.len() as u64), (list[0].length, list[0].length));
    assert_eq!((letter.text.trim_end(), letter.html.as_deref().map(str::trim_end)), ("Text", Some("<b>Text</b>")));
    assert_eq!(folder.read(mine.into(), ids[0]).await.expect("asks"), None, "made room");
    assert_eq!(folder.read(mine.into(), theirs).await.expect("asks"), None, "is another's");
    assert_eq!(folder.read(other.into(), theirs).await.expect("reads").expect("is there").html, None);
    let file = dir.path().join("mail").join(mine.to_string()).join(format!("{}.eml", ids[7]));
    assert_eq!(std::fs::metadata(&file).expect("is a file").permissions().mode() & 0o777, 0o600);

    // What was left in the middle is swept, the rest is there after a restart.
    std::fs::write(file.with_extension("part"), "half").expect("writes");
    let mail = open().await;
    assert!(!file.with_extension("part").exists());
    let folder = mail.kept().expect("is a folder");
    assert_eq!(folder.list(mine.into(), None, 200).await.expect("lists"), list);
    mail.erase(mine.into()).await.expect("erases");
    mail.erase(mine.into()).await.expect("is erased already");
    assert!(folder.list(mine.into(), None, 200).await.expect("lists").is_empty());
    assert_eq!(folder.list(other.into(), None, 200).await.expect("lists").len(), 1);
    assert_eq!(folder.list(Scope::Platform, None, 200).await.expect("lists").len(), 1);
}

#[tokio::test]
async fn servers_are_reached_by_tls_with_the_named_authority_only() {
    for security in [Security::Implicit, Security::StartTls] {
        let Some(server) = MailServer::start(security, None) else { return };
        let sent = message("Hello", "text", None);
        smtp(&server.relay(None)).send(tenant(1).into(), &sent).await.expect("sends");
        let taken = server.taken(1).await;
        assert_eq!(taken.way, "steward@example.org somebody@example.com tls");
        check(&taken.source, &sent);
        let distrusting = Relay { authority: None, ..server.relay(None) };
        let error = smtp(&distrusting).send(tenant(1).into(), &sent).await.expect_err("nobody trusts it");
        assert_eq!((error.kind(), error.retry_after().is_some()), (ErrorKind::Unavailable, true), "{error:?}");
        assert!(smtp(&distrusting).health().await.is_err());
    }
    // A server without TLS is not spoken to in clear when TLS was asked for.
    let Some(server) = MailServer::start(Security::Loopback, None) else { return };
    let error = smtp(&Relay { security: Security::StartTls, ..server.relay(None) })
        .send(tenant(1).into(), &message("Hello", "text", None))
        .await
        .expect_err("offers no TLS");
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    smtp(&server.relay(None)).send(tenant(1).into(), &message("Hello", "text", None)).await.expect("on this machine it may");
    assert_eq!(server.taken(1).await.way, "steward@example.org somebody@example.com plain");
}

#[tokio::test]
async fn what_the_server_refuses_is_told_apart() {
    let Some(server) = MailServer::start(Security::StartTls, Some(("steward", "hunter2"))) else { return };
    let mail = smtp(&server.relay(Some(("steward", "hunter2"))));
    assert!(!format!("{mail:?} {:?}", server.relay(Some(("steward", "hunter2")))).contains("hunter2"), "the password is in no log");
    let to = |address: &str| Message { to: address.parse().expect("an address"), ..message("Hello", "text", None) };
    for _ in 0..10 {
        let error = mail.send(tenant(1).into(), &to("nobody@example.com")).await.expect_err("is refused");
        assert_eq!((error.kind(), error.code()), (ErrorKind::Invalid, "mail_refused"), "{error:?}");
        let error = mail.send(tenant(1).into(), &to("later@example.com")).await.expect_err("is put off");
        assert_eq!((error.kind(), error.code(), error.retry_after().is_some()), (ErrorKind::Unavailable, "mail_unavailable", true));
    }
    mail.send(tenant(1).into(), &to("somebody@example.com")).await.expect("others' addresses do not matter");
    for account in [Some(("steward", "wrong")), None] {
        let error = smtp(&server.relay(account)).send(tenant(1).into(), &to("somebody@example.com")).await.expect_err("is refused");
        assert_eq!((error.kind(), error.code()), (ErrorKind::Unavailable, "mail_credentials"), "{error:?}");
    }
}

#[tokio::test]
async fn a_server_that_is_away_is_an_error_until_it_is_back() {
    let Some(server) = MailServer::start(Security::Loopback, None) else { return };
    let mail = smtp(&Relay { patience: Duration::from_millis(300), ..server.relay(None) });
    let hello = message("Hello", "text", None);
    mail.send(tenant(1).into(), &hello).await.expect("sends");
    server.signal(Signal::STOP);
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (mail, hello) = (mail.clone(), hello.clone());
        tasks.spawn(async move { tokio::time::timeout(Duration::from_secs(50), mail.send(tenant(1).into(), &hello)).await });
    }
    for answer in tasks.join_all().await {
        let error = answer.expect("is answered").expect_err("is frozen");
        assert_eq!((error.kind(), error.code()), (ErrorKind::Unavailable, "mail_unavailable"), "{error:?}");
    }
    assert!(mail.health().await.expect_err("rests").causes().contains("rest"));
    server.signal(Signal::CONT);
    until("recovery", async || mail.health().await.is_ok()).await;
    mail.send(tenant(1).into(), &hello).await.expect("sends again");
}

#[tokio::test]
async fn settings_that_would_betray_are_refused() {
    let relay = |host: &str, security, authority: Option<&str>| {
        let credentials = Some(Credentials { user: "u".to_owned(), password: Secret::new("p".to_owned()) });
        Relay { host: host.to_owned(), port: 25, security, credentials, authority: authority.map(str::to_owned), patience: SOON }
    };
    let make = |relay: &Relay| Mail::smtp(relay, sender(), manual(), Random::seeded(1));
    for host in ["localhost", "127.0.0.1", "127.9.9.9", "::1"] {
        assert!(make(&relay(host, Security::Loopback, None)).is_ok(), "{host}");
    }
    for host in ["mail.example.org", "10.0.0.1", "localhost.example.org", "127.0.0.1.example.org", "0.0.0.0"] {
        let error = make(&relay(host, Security::Loopback, None)).expect_err(host);
        assert_eq!((error.kind(), error.code()), (ErrorKind::Invalid, "mail_settings"));
    }
    assert_eq!(make(&relay("mail.example.org", Security::StartTls, Some("no certificate"))).expect_err("none").code(), "mail_settings");
}
