//! Background work through its public interface.

mod backups;
mod backups_lost;
mod backups_objects;
mod backups_operations;
mod backups_own;
mod backups_power;
mod backups_prune;
mod backups_telemetry;
#[expect(dead_code, reason = "the tests of the fabric use the rest")]
#[path = "../../../fabric/tests/it/bucket.rs"]
mod bucket;
mod chores;
mod consumers;
mod elsewhere;
mod fairness;
mod generated;
mod imports;
mod kill;
mod place;
#[path = "../../../fabric/tests/it/platters.rs"]
mod platters;
#[path = "../../../fabric/tests/it/ports.rs"]
mod ports;
mod reconcilers;
mod running;
mod sagas;
mod schedules;
mod starting;
mod support;
#[path = "../../../fabric/tests/it/traced.rs"]
mod traced;
