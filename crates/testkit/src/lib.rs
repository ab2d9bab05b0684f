//! For tests only: a Steward served on loopback over a store in a temporary folder, a client, and tests generated from the operation table.
//!
//! Invariant: nothing here stands in for our own code. The server, the store, identity and the sockets are the real ones.

mod app;
mod client;
pub mod conformance;
mod live;
mod mail_server;
mod repeats;

pub use app::{Parts, Setup, TestApp, TestTenant};
pub use client::{Answer, Ask};
pub use live::{LiveEvents, Received};
pub use mail_server::{MailServer, Taken};
pub use repeats::{Succeeding, repeats};
