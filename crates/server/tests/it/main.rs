//! The binary as its users meet it: started as a process, spoken to over HTTP and the command line, killed and started again.

mod audit;
mod backup;
mod bad_input;
#[expect(dead_code, reason = "the tests of the fabric use the rest")]
#[path = "../../../fabric/tests/it/bucket.rs"]
mod bucket;
mod clock;
mod command_line;
mod crash;
mod database;
mod erase;
mod first_run;
mod generated;
mod ledger;
mod outages;
mod places;
#[path = "../../../fabric/tests/it/ports.rs"]
mod ports;
mod postgres;
mod problems;
mod redis;
mod split;
mod support;
mod transfer;
