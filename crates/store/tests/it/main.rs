//! The record kernel through its public interface, on both engines.

mod contract;
mod differential;
mod disk;
mod input;
mod kill;
mod kinds;
mod lists;
mod model;
mod outage;
mod references;
mod support;
mod writers;
