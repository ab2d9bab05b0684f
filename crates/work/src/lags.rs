//! How far consumers are, for people to see.

use std::sync::Arc;

use http::Method;
use schemars::JsonSchema;
use serde::Serialize;
use steward_base::{Error, Timestamp};
use steward_store::Store;
use steward_web::{Call, Json, Operation, Reply, operation};

use crate::follow::{Followed, lag};

/// What the operation needs.
#[derive(Clone)]
pub(crate) struct Lags {
    pub(crate) store: Store,
    pub(crate) consumers: Arc<[&'static str]>,
    pub(crate) followed: Arc<Followed>,
}

/// The consumers of the tenant's events.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Consumers {
    /// By name.
    data: Vec<ConsumerLag>,
}

/// How far one consumer is.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ConsumerLag {
    /// Its name.
    name: &'static str,
    /// The last event that it has seen to for good.
    position: i64,
    /// Events after that. Where none of them matters to it, it says so now and then only.
    lag_events: i64,
    /// How long ago the first of those happened.
    lag_seconds: f64,
    /// How often the next event failed.
    failures: i32,
    /// Why it failed last.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// When it is tried again.
    #[serde(skip_serializing_if = "Option::is_none")]
    again_at: Option<Timestamp>,
}

impl Lags {
    pub(crate) fn operation(self) -> Operation {
        operation("consumers.list", Method::GET, "/api/v1/consumers")
            .summary("How far the consumers of events are")
            .description("Consumers do what follows from events: each has a cursor of its own and sees every event once.")
            .tag("jobs")
            .needs("jobs:read")
            .handle(self, list)
    }
}

async fn list(lags: Lags, call: Call) -> Result<Reply<Json<Consumers>>, Error> {
    let mut data = Vec::new();
    for name in lags.consumers.iter().copied() {
        let (position, lag_events, behind) = lag(&lags.store, &call.ctx, name).await?;
        let trouble = lags.followed.trouble(call.ctx.tenant(), name);
        data.push(ConsumerLag {
            name,
            position,
            lag_events,
            lag_seconds: behind.as_secs_f64(),
            failures: trouble.as_ref().map_or(0, |trouble| trouble.attempts),
            error: trouble.as_ref().map(|trouble| trouble.error.clone()),
            again_at: trouble.map(|trouble| trouble.again_at),
        });
    }
    Ok(Reply::json(Consumers { data }))
}
