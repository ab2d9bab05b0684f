//! Mail: files that operators read, or a mail server.
//!
//! Invariants: an address is checked before it is used, and nothing in a message can become a header; without TLS mail goes to this machine
//! only; what the folder took is on disk, and the folder is bounded.

mod address;
mod folder;
mod message;
mod smtp;

use std::path::Path;

use steward_base::{Clock, Id, Prefix, Random, Result};

pub use address::Address;
pub use folder::{Envelope, Folder, Letter};
pub use message::{Message, Sender};
pub use smtp::{Credentials, Relay, Security, Smtp};

use crate::Scope;
use message::Composer;

/// The mark of [`MailId`].
#[derive(Debug)]
pub enum Sent {}

impl Prefix for Sent {
    const PREFIX: &'static str = "mai";
}

/// Names a message that was sent; it is the first part of its `Message-ID`.
pub type MailId = Id<Sent>;

/// Where mail goes.
#[derive(Clone, Debug)]
pub enum Mail {
    /// Into files.
    Folder(Folder),
    /// To a mail server.
    Smtp(Smtp),
}

impl Mail {
    /// Mail as files in the folder at `path`, made when it is missing; of each scope the newest `keep` stay.
    pub async fn folder(path: &Path, keep: usize, sender: Sender, clock: Clock, random: Random) -> Result<Self> {
        Folder::open(path.to_owned(), keep, Composer { sender, clock, random }).await.map(Self::Folder)
    }

    /// Mail through a server, from within a Tokio runtime. Connects when there is something to send. Fails with `mail_settings`.
    pub fn smtp(relay: &Relay, sender: Sender, clock: Clock, random: Random) -> Result<Self> {
        Smtp::new(relay, Composer { sender, clock, random }).map(Self::Smtp)
    }

    /// Sends a message, or hands it over to be sent: a success is a promise that somebody has it.
    ///
    /// Fails with `mail_message` when it cannot be sent at all, `mail_refused` when the server will never take it, `mail_unavailable`,
    /// `mail_certificate` and `mail_credentials` when it may later, `mail_full` when the disk is full.
    pub async fn send(&self, scope: Scope, message: &Message) -> Result<MailId> {
        match self {
            Self::Folder(folder) => folder.send(scope, message).await,
            Self::Smtp(smtp) => smtp.send(message).await,
        }
    }

    /// Deletes what is kept of a scope's mail; what a server took is out of reach.
    pub async fn erase(&self, scope: Scope) -> Result<()> {
        match self {
            Self::Folder(folder) => folder.erase(scope).await,
            Self::Smtp(_) => Ok(()),
        }
    }

    /// The folder, where mail is kept in one.
    pub fn kept(&self) -> Option<&Folder> {
        match self {
            Self::Folder(folder) => Some(folder),
            Self::Smtp(_) => None,
        }
    }

    /// Fails while nothing can be sent.
    pub async fn health(&self) -> Result<()> {
        match self {
            Self::Folder(folder) => folder.health().await,
            Self::Smtp(smtp) => smtp.health().await,
        }
    }
}
