//! The record kernel through its public interface, on both engines.

mod attempts;
mod bin;
mod changes;
mod contract;
mod differential;
mod disk;
mod dumps;
mod encryption;
mod facets;
mod input;
mod jobs;
mod kill;
mod kinds;
mod lists;
mod model;
mod outage;
mod processes;
mod readers;
mod references;
mod search;
mod secrets;
mod support;
mod tallies;
mod tampering;
mod undo;
mod writers;
