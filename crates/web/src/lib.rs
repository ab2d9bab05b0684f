//! Operations and everything around them: what can be done over HTTP, in one table.
//!
//! ```text
//! // One operation. The types of path, query and body parse, check and document; the answer's type documents itself.
//! operation("devices.approve", Method::POST, "/api/v1/devices/{id}/approve")
//!     .summary("Approve a device").tag("devices").needs("devices:approve")
//!     .handle(state, approve);
//! async fn approve(state: State, call: Call<ById, (), Json<Approval>>) -> Result<Reply<Json<Device>>, Error> { … }
//!
//! // A public one gets the anonymous context; `call.arrival.occasion(reason)` is for credentials that it checks itself.
//! operation("auth.login", Method::POST, "/auth/login").public().first_party()
//!     .handle(state, login);
//! async fn login(state: State, call: Call<(), (), Json<Login>>) -> Result<Reply<Json<Session>>, Error> { … }
//!
//! // The standard operations of a kind.
//! resource::<Device>(&store, Resource::new("devices").without_create())
//!
//! // The table, the server.
//! let operations = Operations::new().with(health::operations()).with(events::operations(&store)).with(fleet::operations(…));
//! let site = Site::new(settings, authority, clock, random);
//! let router = operations.router(&site);
//! serve(listener, router, &site, Serving::default(), shutdown).await
//! ```
//!
//! - Bodies in: `()` (ignored), [`Json<T>`], [`MergePatch`], [`Form<T>`], [`Raw`] with `.media_types()`, `.encodings()`, `.body_limit()`,
//!   [`Upload`] of any length with `.media_types()`.
//! - Bodies out: `()` (204), [`Json<T>`], [`Text`], [`Binary`], [`File`] from [`file()`], [`live::EventStream`] from [`live::stream`].
//! - [`Reply`] adds status, `ETag`, `Location` and cookies; errors are `steward_base::Error` and become problems.
//! - [`FilterText`] is the query parameter `filter`, wherever there is one: it documents and checks itself.
//! - `call.scope` is where the caller's permission holds. A handler that keeps to it says so with `.scoped()`, and [`scope`] puts it to a kind;
//!   any other is never called by whoever holds a scoped permission.
//! - `call.site.cursors()` signs cursors; `call.site.clock()` is the time; `call.site.drain()` ends what runs on.
//! - `site.health().add("store", health::Need::Always, check)` and `site.metrics().add(part)` are for the server's parts.
//!
//! Invariants: nothing is routed that is not in the table; every answer outside 2xx and 3xx is a problem, save the closed list of protocol
//! forms; a handler that changes something cannot be stopped by a client that hangs up; causes of errors go to the log and never out.

mod access_log;
mod arrival;
mod call;
mod credentials;
pub mod cursor;
mod download;
mod draft;
mod error_form;
pub mod etag;
pub mod events;
pub mod health;
mod idempotency;
pub mod imports;
mod input;
mod layers;
pub mod live;
pub mod metrics;
pub mod openapi;
mod operation;
pub mod problem;
mod rate;
mod reply;
mod resource;
mod router;
pub mod schema;
pub mod scope;
pub mod search;
mod serve;
pub mod shown_once;
mod site;
pub mod undo;

pub use access_log::{AccessEntry, AccessLog, access_log};
pub use arrival::{Arrival, Peer};
pub use call::{Call, Standing};
pub use credentials::cookie;
pub use download::{File, file};
pub use draft::{Draft, operation};
pub use error_form::ErrorForm;
pub use input::{Body, BodyRules, FilterText, Form, MergePatch, Raw, RawPart, Stored, Upload};
pub use operation::{Access, HeaderInput, Operation, RateClass, Spec};
pub use problem::Problem;
pub use rate::Rates;
pub use reply::{Binary, Content, Json, Output, Reply, Text};
pub use resource::{ById, Change, Page, Resource, resource};
pub use router::Operations;
pub use serve::{Serving, serve};
pub use site::{Limits, Settings, Site, Version};
pub use steward_auth::Scope;
