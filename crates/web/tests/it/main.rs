//! The web crate over real sockets and a real store.

mod batch;
mod bin;
mod bodies;
#[expect(dead_code, reason = "the tests of the fabric use the rest")]
#[path = "../../../fabric/tests/it/bucket.rs"]
mod bucket;
mod confidential;
mod contract;
mod credentials;
mod document;
mod export;
mod found;
mod generated;
mod health;
mod import;
mod lists;
mod live;
mod log;
mod outages;
#[path = "../../../fabric/tests/it/ports.rs"]
mod ports;
mod problems;
mod rates;
#[path = "../../../fabric/tests/it/redis_server.rs"]
mod redis_server;
mod repeats;
mod sample;
mod scopes;
mod serving;
#[expect(dead_code, reason = "the tests of the fabric use the rest")]
#[path = "../../../fabric/tests/it/support.rs"]
mod support;
mod trace;
