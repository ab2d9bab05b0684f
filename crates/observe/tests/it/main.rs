//! Telemetry in and out over real sockets, a real store and a real engine.

mod access;
mod generated;
mod hostile;
mod lines;
mod otlp;
mod queries;
mod scopes;
mod world;
