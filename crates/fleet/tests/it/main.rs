//! The fleet over HTTP, on a real store.

mod enrolment;
mod generated;
mod presence;
mod records;
mod sample;
mod scopes;
mod tokens;
mod world;
