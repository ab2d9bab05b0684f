//! The methods of the port: what each is asked and how the store answers it. The list at the end is all there is, beside the greeting, commits,
//! the feed, and tenants on their way out (`copies`) and in (`arrivals`).

mod queued;
mod records;
mod tenants;
mod told;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use steward_base::{Ctx, Error, ErrorKind, TenantId};

pub(super) use self::queued::{AskJob, AskRemembered, AskTally, InUse, Jobs, Marks, NextDue, Settle};
pub(super) use self::records::{AskFacets, AskUnclaimed, Count, Find, Get, List, Reveal, Search};
pub(super) use self::tenants::{AskPlace, CheckPlace, DataKeys, Erase, Health, Provision, Relocate, ResealSecrets, RotateDataKey, Scrub};
pub(super) use self::told::{Correlated, Events, Heads, History, Telling, VerifyChain};
use crate::store::{Store, own};

/// How long an answer may take that looks at a few rows.
const SHORT: Duration = Duration::from_secs(30);
/// How long one may take that looks at all of them.
const LONG: Duration = Duration::from_secs(900);

/// A method of the port that may be asked twice.
pub(super) trait Call: Serialize + DeserializeOwned + Send + Sync + 'static {
    const METHOD: &'static str;
    const PATIENCE: Duration = SHORT;
    /// What changes something goes on when whoever asked hangs up.
    const CHANGES: bool = false;
    type Answer: Serialize + DeserializeOwned;

    fn answer(self, store: &Store) -> impl Future<Output = Result<Self::Answer, Error>> + Send;
}

/// Reads look at nothing of a context but the tenant.
fn reading(tenant: TenantId) -> Ctx {
    own(tenant, "remote")
}

/// Answers a body.
pub(super) type Handler = fn(Arc<Store>, Bytes) -> Pin<Box<dyn Future<Output = Result<Vec<u8>, Error>> + Send>>;

fn handle<C: Call>(store: Arc<Store>, body: Bytes) -> Pin<Box<dyn Future<Output = Result<Vec<u8>, Error>> + Send>> {
    let answer = async move {
        let call: C = read(&body)?;
        let answer = call.answer(&store).await?;
        serde_json::to_vec(&answer).map_err(Error::internal)
    };
    if C::CHANGES { Box::pin(async move { tokio::spawn(answer).await.map_err(Error::internal)? }) } else { Box::pin(answer) }
}

const fn call<C: Call>() -> (&'static str, Handler) {
    (C::METHOD, handle::<C>)
}

/// Every method.
pub(super) const CALLS: &[(&str, Handler)] = &[
    call::<Provision>(),
    call::<Get>(),
    call::<Find>(),
    call::<AskUnclaimed>(),
    call::<List>(),
    call::<Count>(),
    call::<AskFacets>(),
    call::<Search>(),
    call::<Events>(),
    call::<History>(),
    call::<Reveal>(),
    call::<AskJob>(),
    call::<Jobs>(),
    call::<NextDue>(),
    call::<AskTally>(),
    call::<DataKeys>(),
    call::<RotateDataKey>(),
    call::<ResealSecrets>(),
    call::<Scrub>(),
    call::<Erase>(),
    call::<Relocate>(),
    call::<AskPlace>(),
    call::<CheckPlace>(),
    call::<Correlated>(),
    call::<AskRemembered>(),
    call::<Marks>(),
    call::<InUse>(),
    call::<Settle>(),
    call::<Heads>(),
    call::<VerifyChain>(),
    call::<Health>(),
];

/// Reads what another process wrote.
pub(super) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(body).map_err(|error| {
        let detail = "The two processes do not speak the same version of the port: upgrade the data role first, then the others.";
        Error::new(ErrorKind::Unavailable, "data_version", detail).with_source(error)
    })
}
