//! Background work through its public interface.

mod backups;
mod consumers;
mod elsewhere;
mod generated;
mod imports;
mod kill;
#[path = "../../../fabric/tests/it/ports.rs"]
mod ports;
mod reconcilers;
mod running;
mod sagas;
mod schedules;
mod starting;
mod support;
