//! The agent against a real HTTP server, real files and a real spool.

mod enrolment;
mod files;
mod journal;
mod peer;
#[path = "../../../fabric/tests/it/ports.rs"]
mod ports;
mod sending;
mod spool;
