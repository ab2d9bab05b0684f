//! What is sent, and how it becomes the text that travels.

use std::time::{Duration, UNIX_EPOCH};

use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{MultiPart, SinglePart};
use steward_base::{Clock, Error, ErrorKind, Random, Result};

use super::{Address, MailId};

/// The longest subject, in characters; names of senders too.
const MAX_LINE: usize = 250;
/// The longest text, and the longest HTML, in bytes.
const MAX_BODY: usize = 1 << 20;

/// What is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Who gets it.
    pub to: Address,
    /// One line.
    pub subject: String,
    /// The text, for everybody.
    pub text: String,
    /// The same as HTML, for those who look at it.
    pub html: Option<String>,
}

/// Who sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sender {
    /// Shown in place of the address.
    pub name: Option<String>,
    /// Where answers and complaints go.
    pub address: Address,
}

/// Makes messages ready to travel.
#[derive(Clone, Debug)]
pub(super) struct Composer {
    pub(super) sender: Sender,
    pub(super) clock: Clock,
    pub(super) random: Random,
}

impl Composer {
    pub(super) fn compose(&self, message: &Message) -> Result<(MailId, lettre::Message)> {
        check_line("/subject", &message.subject)?;
        if let Some(name) = &self.sender.name {
            check_line("/sender/name", name)?;
        }
        check_body("/text", &message.text)?;
        check_body("/html", message.html.as_deref().unwrap_or_default())?;
        let id = MailId::new(&self.clock, &self.random);
        let micros = u64::try_from(self.clock.now().micros()).unwrap_or(0);
        let address = &self.sender.address;
        // RFC 3834: no machine answers what says this.
        let automatic = HeaderValue::new(HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated".to_owned());
        let builder = lettre::Message::builder()
            .from(address.mailbox(self.sender.name.clone()))
            .to(message.to.mailbox(None))
            .subject(&message.subject)
            .date(UNIX_EPOCH + Duration::from_micros(micros))
            .message_id(Some(format!("<{id}@{}>", address.domain())))
            .raw_header(automatic);
        let text = SinglePart::plain(message.text.clone());
        let built = match &message.html {
            None => builder.singlepart(text),
            Some(html) => builder.multipart(MultiPart::alternative().singlepart(text).singlepart(SinglePart::html(html.clone()))),
        };
        Ok((id, built.map_err(Error::internal)?))
    }
}

fn check_line(pointer: &str, line: &str) -> Result<()> {
    if line.trim().is_empty() {
        return Err(refused(pointer, "required", "Say what it is about."));
    }
    if line.chars().count() > MAX_LINE {
        return Err(refused(pointer, "too_long", &format!("At most {MAX_LINE} characters fit.")));
    }
    if line.contains("=?") {
        // RFC 2047: it would be decoded on arrival and read otherwise.
        return Err(refused(pointer, "encoded_word", "Write it without `=?`."));
    }
    if line.contains(char::is_control) {
        return Err(refused(pointer, "control_character", "Write it in one line."));
    }
    Ok(())
}

fn check_body(pointer: &str, body: &str) -> Result<()> {
    if body.len() > MAX_BODY {
        return Err(refused(pointer, "too_long", &format!("At most {MAX_BODY} bytes fit: link to what is longer.")));
    }
    if body.contains('\0') {
        return Err(refused(pointer, "control_character", "Mail cannot carry NUL characters."));
    }
    Ok(())
}

fn refused(pointer: &str, code: &'static str, detail: &str) -> Error {
    Error::new(ErrorKind::Invalid, "mail_message", "The message cannot be sent as it is.").with_field(pointer, code, detail)
}
