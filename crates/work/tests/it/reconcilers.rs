//! Reconcilers: at the start, on a signal and by the clock, one at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use steward_store::UnitOfWork;
use steward_work::{Failure, Reconciler, Running, Work, signal};

use crate::support::{World, options, unavailable, until};

/// Counts its runs; the second one fails.
#[derive(Clone, Default)]
struct Mend {
    runs: Arc<AtomicUsize>,
    at_once: Arc<AtomicUsize>,
}

impl Reconciler for Mend {
    const NAME: &'static str = "mend";

    fn every(&self) -> Duration {
        Duration::from_millis(300)
    }

    async fn reconcile(&self, _: Running) -> Result<UnitOfWork, Failure> {
        assert_eq!(self.at_once.fetch_add(1, Ordering::SeqCst), 0, "one at a time");
        tokio::task::yield_now().await;
        self.at_once.fetch_sub(1, Ordering::SeqCst);
        if self.runs.fetch_add(1, Ordering::SeqCst) == 1 { Err(unavailable().into()) } else { Ok(UnitOfWork::new()) }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_runs_again_whatever_happened() {
    let world = World::new().await;
    let mend = Mend::default();
    let work = || Work::new(world.store.clone(), options()).reconciler(mend.clone());
    let workers = [work().start().await.expect("starts"), work().start().await.expect("starts")];
    until(async || mend.runs.load(Ordering::SeqCst) >= 4).await;
    let before = mend.runs.load(Ordering::SeqCst);
    signal::<Mend>(&world.store).await.expect("signals");
    until(async || mend.runs.load(Ordering::SeqCst) > before).await;
    for worker in &workers {
        worker.stop(Duration::from_secs(5)).await;
    }
}
