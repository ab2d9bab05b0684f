//! The write-ahead log of the process: one sequence of CRC-framed batches over preallocated files.
//!
//! Invariants: a batch is acknowledged only after the fdatasync that covers it; sequence numbers have no gap across files that is not below
//! the manifest's floor; of a batch that is
//! written twice, because the first file failed, the later file's copy counts; a file is removed only when the manifest has published all
//! of it.

mod frame;
mod recent;
mod recovery;
mod writer;

pub(crate) use frame::Header;
pub(crate) use recent::Recent;
pub(crate) use recovery::{Recovered, recover};
pub(crate) use writer::{Append, FileState, Start, Wal, WalOptions, WalState};
