//! The record kernel: kinds, units of work, queries and the event chain, on SQLite and on PostgreSQL.
//!
//! Invariants: nothing is written beside [`Store::commit`]; an answered commit is on disk; a unit of work is all or nothing; events are
//! gapless per tenant and chained; every statement binds the tenant; a namespace has one writer at a time.

mod attempt;
mod body;
mod building;
mod chain;
mod dump;
mod durable;
mod engine;
mod erase;
mod generations;
mod heads;
mod job;
mod keys;
mod kind;
mod list;
mod marks;
mod moving;
mod opened;
mod patience;
mod places;
mod plan;
mod positions;
mod postgres;
mod prepare;
mod query;
mod record;
mod remote;
mod reveal;
mod rotate;
mod rows;
mod shown;
mod skim;
mod span;
mod sqlite;
mod stirred;
mod store;
mod tally;
mod undo;
mod unit;
mod value;

pub use attempt::{Remembered, in_flight};
pub use body::Body;
pub use building::Unclaimed;
pub use dump::{Dump, Elsewhere, Loading, Position, Stopped};
pub use heads::{HeadLog, HeadSigner, Heads, SignedHead};
pub use job::{Claim, JOB_PREFIX, Job, JobDraft, JobQuery, JobState, Lease, Priority};
pub use keys::{MasterKey, Sealed};
pub use kind::{Field, Kind, Kinds, Model, NO_NUL, OnDelete, Reference, SchemaChecker, Upgrade, ValueType};
pub use list::{Facet, FacetQuery, FacetValue, Facets, SearchCursor, SearchPage, SearchQuery};
pub use marks::Mark;
pub use moving::Moved;
pub use patience::passed;
pub use places::{Layout, Place};
pub use query::{Among, Cursor, Direction, ListQuery, MAX_LIMIT, Order, Page};
pub use record::Record;
pub use remote::{LinkKey, serve as serve_port};
pub use rotate::Resealed;
pub use shown::Shown;
pub use skim::MAX_SKIMMED;
pub use stirred::Stirred;
pub use store::{Backend, Options, Store};
pub use tally::Bounds;
pub use undo::{Act, Reversal};
pub use unit::{Committed, EventDraft, Expect, UnitOfWork};
