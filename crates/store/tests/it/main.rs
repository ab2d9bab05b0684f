//! The record kernel through its public interface, on both engines.

mod attempts;
mod bin;
mod changes;
mod contract;
mod differential;
mod disk;
mod dumps;
mod elsewhere;
mod encryption;
mod erase;
mod facets;
mod heads_power;
mod input;
mod jobs;
mod kill;
mod kill_repeats;
mod kinds;
mod lists;
mod loads;
mod marks;
mod model;
mod moves;
mod moves_undecided;
mod open_files;
mod outage;
mod personal;
mod places_away;
#[path = "../../../fabric/tests/it/platters.rs"]
mod platters;
#[path = "../../../fabric/tests/it/ports.rs"]
mod ports;
mod processes;
mod readers;
mod references;
mod remote;
mod restored;
mod rotation;
mod search;
mod secrets;
mod skim;
mod stalled;
mod support;
mod tallies;
mod tampering;
#[path = "../../../fabric/tests/it/traced.rs"]
mod traced;
mod undo;
mod upgrades;
mod wire;
mod writers;
