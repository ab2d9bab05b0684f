//! The store in another process: its port over HTTP.
//!
//! On SQLite one process opens the files. It has the `data` role and serves [`serve`]; every other process of the installation opens its store with
//! [`crate::Backend::Remote`] and asks it. The cut is at the port and not below: a call of [`crate::Store`] is one request, `POST
//! /data/v1/<method>` with JSON in and out; `calls` is the list of them. Filters, units of work and answers travel as the data they are, stored bodies
//! as their text, errors as kind, code, detail and fields, so that a caller cannot tell where the store is.
//!
//! - **Who may ask**: every request is signed with a key that both processes have, for 30 seconds, for one use, and for this run of the data role
//!   (`sign`). A run begins with a greeting that refuses processes whose kinds or master key are others (`greeting`).
//! - **A commit happens once**: it travels on a lane whose last number is kept in the commit itself (`lanes`), so that a commit whose answer was lost
//!   is asked again until it is known, also by another run.
//! - **Nothing is missed**: one long poll per process asks for changes after a number (`feed`, `follow`). After a lost connection it goes on where it
//!   was; after a restart of the data role everything that may have changed is looked at.
//! - **A tenant is told and loaded as a stream of parts** (`copies`, `arrivals`): what nobody goes on with is given up, and what is loaded is seen
//!   when it is whole.
//! - **While the data role is away** every call fails with `data_unreachable` within a bounded time, and it comes back by itself.

mod arrivals;
mod calls;
mod client;
mod copies;
mod feed;
mod follow;
mod greeting;
mod lanes;
mod port;
mod serve;
mod sign;
pub(crate) mod stored;
pub(crate) mod text;
mod wire;

pub(crate) use arrivals::Departing;
pub(crate) use client::Remote;
pub use serve::serve;
pub use sign::LinkKey;

/// Where the port is served.
const PREFIX: &str = "/data/v1/";
/// Longest request and answer: a unit of work holds 1,000 records.
const MAX_BODY: usize = 256 * 1024 * 1024;
