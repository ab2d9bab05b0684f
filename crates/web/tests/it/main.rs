//! The web crate over real sockets and a real store.

mod batch;
mod bin;
mod bodies;
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
mod problems;
mod rates;
mod repeats;
mod sample;
mod scopes;
mod serving;
mod trace;
