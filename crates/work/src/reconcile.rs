//! Reconcilers: work without input that brings what is to what should be, on a signal and on a timer, one at a time in the installation.
//!
//! Each is one job of the operator tenant that queues itself again in the commit that ends it; its unique key keeps it single.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::json;
use steward_base::{Error, TenantId};
use steward_store::{JobDraft, Store, UnitOfWork};

use crate::job::{Failure, JobHandler, Policy, Running};

/// Brings something into the state that it should have.
pub trait Reconciler: Send + Sync + 'static {
    /// Unique in the installation.
    const NAME: &'static str;

    /// How long after one run the next one comes when nobody signals.
    fn every(&self) -> Duration;

    /// Looks and does what is missing. It may be run again at any time, and be ended at any point. What it answers is committed in the operator
    /// tenant.
    fn reconcile(&self, run: Running) -> impl Future<Output = Result<UnitOfWork, Failure>> + Send;
}

type Run = Box<dyn Fn(Running) -> BoxFuture<'static, Result<UnitOfWork, Failure>> + Send + Sync>;

/// The reconcilers that a process knows.
#[derive(Default)]
pub(crate) struct Reconcilers(HashMap<&'static str, (Duration, Run)>);

impl Reconcilers {
    pub(crate) fn add<R: Reconciler>(&mut self, reconciler: R) {
        let (every, reconciler) = (reconciler.every(), Arc::new(reconciler));
        let run: Run = Box::new(move |running| {
            let reconciler = reconciler.clone();
            async move { reconciler.reconcile(running).await }.boxed()
        });
        assert!(self.0.insert(R::NAME, (every, run)).is_none(), "two reconcilers are called {}", R::NAME);
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.0.keys().copied()
    }
}

/// The payload of its job.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Named {
    name: String,
}

/// Queues a run of a reconciler: at once, or sooner than the one that waits.
pub(crate) fn queue(store: &Store, name: &str, unit: UnitOfWork) -> UnitOfWork {
    unit.enqueue(store.mint_id(), draft(name))
}

fn draft(name: &str) -> JobDraft {
    JobDraft::new(Reconcile::KIND, json!({ "name": name })).unique(name)
}

/// Has a reconciler run now, or again when it is running; a signal is durable.
pub async fn signal<R: Reconciler>(store: &Store) -> Result<(), Error> {
    let ctx = steward_auth::system(TenantId::OPERATOR, "signal");
    store.commit(&ctx, queue(store, R::NAME, UnitOfWork::new())).await.map(|_| ())
}

/// Runs them.
pub(crate) struct Reconcile(pub(crate) Reconcilers);

impl JobHandler for Reconcile {
    const KIND: &'static str = "reconcile";
    type Payload = Named;

    async fn run(&self, job: Running, payload: Named) -> Result<UnitOfWork, Failure> {
        // One that this version does not know any more ends here.
        let Some((every, run)) = self.0.0.get(payload.name.as_str()) else { return Ok(UnitOfWork::new()) };
        let (store, next) = (job.store.clone(), job.store.clock().now().plus(*every));
        let done = run(job).await?;
        Ok(done.enqueue(store.mint_id(), draft(&payload.name).at(next)))
    }

    /// It is never given up: what it looks after would be left alone without a word.
    fn policy(&self) -> Policy {
        Policy { attempts: i32::MAX, longest_wait: Duration::from_secs(300), ..Policy::default() }
    }
}
