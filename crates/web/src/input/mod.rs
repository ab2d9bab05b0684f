//! Reading a request: path, query and body, each checked against the schema of the type that it becomes.

mod arriving;
mod body;
mod fields;
mod filter;
mod upload;

pub(crate) use body::collect;
pub use body::{Body, BodyRules, Form, MergePatch, Raw, RawPart};
pub(crate) use fields::{Fields, Place};
pub use filter::FilterText;
pub(crate) use upload::{Content, UPLOADS, receive};
pub use upload::{Stored, Upload, upload_key};
