//! The engine through its public interface, on real files and on a simulated disk.

mod copies;
mod crash;
mod damage;
mod erase;
mod faults;
mod kill;
mod metrics;
mod model;
mod needles;
mod outages;
mod power;
mod support;
mod tail;
mod upkeep;
