//! Reading a request: path, query and body, each checked against the schema of the type that it becomes.

mod body;
mod fields;
mod filter;

pub(crate) use body::collect;
pub use body::{Body, BodyRules, Form, MergePatch, Raw, RawPart};
pub(crate) use fields::{Fields, Place};
pub use filter::FilterText;
