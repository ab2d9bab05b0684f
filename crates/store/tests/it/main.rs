//! The record kernel through its public interface, on both engines.

mod contract;
mod input;
mod kinds;
mod lists;
mod references;
mod support;
mod writers;
