//! Jobs: queued with their cause, claimed under a lease, ended once.

use std::collections::HashSet;
use std::time::Duration;

use serde_json::{Value, json};
use steward_base::{Clock, Ctx, Error, Random, Secret, TenantId, Timestamp};
use steward_store::{Backend, Claim, Job, JobDraft, JobQuery, JobState, MasterKey, Options, Priority, Store, UnitOfWork};

use crate::support::{Served, Thing, ctx, kinds, postgres_url};

const LEASE: Duration = Duration::from_secs(30);

/// A store whose time stands still unless a test moves it.
struct Frozen {
    store: Store,
    clock: Clock,
    ctx: Ctx,
    _dir: Option<tempfile::TempDir>,
}

impl Frozen {
    async fn on(backend: Backend, clock: Clock, dir: Option<tempfile::TempDir>) -> Self {
        let store = frozen(backend, &clock).await;
        let tenant = TenantId::new(&Clock::system(), store.random());
        store.provision(tenant).await.expect("provisions");
        Self { store, clock, ctx: ctx(tenant), _dir: dir }
    }

    async fn queue(&self, draft: JobDraft) -> Job {
        let unit = UnitOfWork::new().enqueue(self.store.mint_id(), draft);
        self.commit(unit).await.expect("queues").jobs.remove(0)
    }

    async fn commit(&self, unit: UnitOfWork) -> Result<steward_store::Committed, Error> {
        self.store.commit(&self.ctx, unit).await
    }

    async fn claim(&self, limit: usize) -> Vec<Job> {
        let claim = Claim { kinds: vec!["work".into(), "other".into()], limit, lease: LEASE };
        self.store.claim(&self.ctx, claim).await.expect("claims")
    }

    async fn job(&self, job: &Job) -> Job {
        self.store.job(&self.ctx, job.id).await.expect("reads").expect("is there")
    }

    fn in_seconds(&self, seconds: u64) -> Timestamp {
        self.clock.now().plus(Duration::from_secs(seconds))
    }
}

/// A store at a time of its own.
async fn frozen(backend: Backend, clock: &Clock) -> Store {
    let options = Options { backend, master: MasterKey::new([7; 32]) };
    Store::open(options, kinds(), clock.clone(), Random::system()).await.expect("opens")
}

async fn on_each(test: impl AsyncFn(&Frozen)) {
    let clock = || Clock::manual("2026-03-01T12:00:00Z".parse().expect("a time"));
    let dir = tempfile::tempdir().expect("a folder");
    let here = Frozen::on(Backend::Sqlite { dir: dir.path().to_owned() }, clock(), Some(dir)).await;
    test(&here).await;
    here.store.close().await;
    let (dir, at) = (tempfile::tempdir().expect("a folder"), clock());
    let served = Served::start(frozen(Backend::Sqlite { dir: dir.path().to_owned() }, &at).await).await;
    let there = Frozen::on(served.backend(), at, Some(dir)).await;
    test(&there).await;
    there.store.close().await;
    served.stop().await;
    if let Some(url) = postgres_url() {
        let there = Frozen::on(Backend::Postgres { url: Secret::new(url), connections: 8 }, clock(), None).await;
        test(&there).await;
        there.store.close().await;
    }
}

fn work(number: i64) -> JobDraft {
    JobDraft::new("work", json!({ "number": number }))
}

fn numbers(jobs: &[Job]) -> Vec<i64> {
    jobs.iter().map(|job| job.payload["number"].as_i64().expect("has one")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_urgent_goes_first_then_what_is_due_longest() {
    on_each(async |frozen| {
        frozen.queue(work(1).priority(Priority::Bulk)).await;
        frozen.queue(work(2).at(frozen.clock.now().minus(Duration::from_secs(5)))).await;
        frozen.queue(work(3).at(frozen.clock.now().minus(Duration::from_secs(9)))).await;
        frozen.queue(work(4).priority(Priority::Urgent)).await;
        frozen.queue(work(5).at(frozen.in_seconds(60))).await;
        frozen.queue(JobDraft::new("unknown", json!({ "number": 6 }))).await;
        assert_eq!(numbers(&frozen.claim(3).await), [4, 3, 2]);
        assert_eq!(numbers(&frozen.claim(3).await), [1], "neither what is not due nor what nobody here knows");
        let kinds = ["work".to_owned()];
        let next = frozen.store.next_due(frozen.ctx.tenant(), &kinds).await.expect("reads");
        assert_eq!(next, Some(frozen.clock.now().plus(LEASE)), "a lease that ends is due too");
        frozen.clock.advance(Duration::from_secs(60));
        assert_eq!(frozen.claim(9).await.len(), 5, "the leases have ended, and the fifth is due");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_queued_with_its_cause_or_not_at_all() {
    on_each(async |frozen| {
        let (taken, id) = (frozen.store.mint_id(), frozen.store.mint_id());
        let named = |name: &str| Thing { serial: Some("S-1".into()), ..Thing::named(name) };
        frozen.commit(UnitOfWork::new().create(taken, &named("first"))).await.expect("creates");
        let unit = UnitOfWork::new().create(id, &named("second")).enqueue(frozen.store.mint_id(), work(1));
        assert_eq!(frozen.commit(unit).await.expect_err("is taken").code(), "unique_taken");
        assert!(frozen.claim(1).await.is_empty());
        let unit = UnitOfWork::new().create(id, &Thing::named("second")).enqueue(frozen.store.mint_id(), work(1));
        let queued = frozen.commit(unit).await.expect("commits").jobs.remove(0);
        assert_eq!((queued.state, queued.request_id.as_deref()), (JobState::Queued, Some("req-1")));
        assert_eq!(frozen.claim(1).await[0].id, queued.id);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_whose_lease_ended_changes_nothing() {
    on_each(async |frozen| {
        frozen.queue(work(1)).await;
        let first = frozen.claim(1).await.remove(0);
        let effect = |lease| UnitOfWork::new().create(frozen.store.mint_id(), &Thing::named("effect")).complete(lease);
        let renewed = frozen.commit(UnitOfWork::new().renew(first.lease(), LEASE * 2, Some(json!({ "done": 3 })))).await.expect("renews");
        assert_eq!(renewed.jobs[0].progress, Some(json!({ "done": 3 })));
        frozen.clock.advance(LEASE + Duration::from_secs(1));
        assert!(frozen.claim(1).await.is_empty(), "it was renewed");
        frozen.clock.advance(LEASE);
        for unit in [
            effect(first.lease()),
            UnitOfWork::new().renew(first.lease(), LEASE, None),
            UnitOfWork::new().retry(first.lease(), frozen.clock.now(), "x"),
            UnitOfWork::new().bury(first.lease(), "x"),
        ] {
            assert_eq!(frozen.commit(unit).await.expect_err("is over").code(), "lease_lost", "though nobody else has it yet");
        }
        let second = frozen.claim(1).await.remove(0);
        assert_eq!((second.id, second.epoch, second.attempts), (first.id, first.epoch + 1, 2));
        assert_eq!(frozen.commit(effect(first.lease())).await.expect_err("is over").code(), "lease_lost");
        frozen.commit(effect(second.lease())).await.expect("holds");
        assert_eq!(frozen.commit(effect(second.lease())).await.expect_err("ended").code(), "lease_lost", "once");
        assert_eq!(frozen.store.count(&frozen.ctx, "thing", None).await.expect("counts"), 1);
        let done = frozen.job(&first).await;
        assert_eq!((done.state, done.due_at, done.finished_at), (JobState::Done, None, Some(frozen.clock.now())));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_one_key_one_is_queued_and_one_runs() {
    on_each(async |frozen| {
        let keyed = |number| work(number).unique("k");
        let later = frozen.queue(keyed(1).at(frozen.in_seconds(60))).await;
        let again = frozen.queue(keyed(2)).await;
        assert_eq!((again.id, again.due_at), (later.id, Some(frozen.clock.now())), "the one that waits, sooner");
        frozen.queue(JobDraft::new("other", json!({ "number": 7 })).unique("k")).await;
        let mut taken = frozen.claim(9).await;
        taken.sort_by_key(|job| job.payload["number"].as_i64());
        assert_eq!(numbers(&taken), [1, 7], "another kind's key is another key");
        // What happens from here on, the running one may not have seen.
        let next = frozen.queue(keyed(3)).await;
        assert_ne!(next.id, later.id);
        assert!(frozen.claim(9).await.is_empty(), "not beside each other");
        frozen.commit(UnitOfWork::new().complete(taken[0].lease())).await.expect("ends");
        let taken = frozen.claim(9).await;
        assert_eq!(numbers(&taken), [3]);
        // One that is tried again while the next one waits has nothing left to do.
        frozen.queue(keyed(4)).await;
        let retry = UnitOfWork::new().retry(taken[0].lease(), frozen.clock.now(), "failed");
        assert_eq!(frozen.commit(retry).await.expect("gives back").jobs[0].state, JobState::Cancelled);
        assert_eq!(numbers(&frozen.claim(9).await), [4]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_fails_is_tried_again_and_then_given_up_and_told_of() {
    on_each(async |frozen| {
        let job = frozen.queue(work(1)).await;
        let taken = frozen.claim(1).await.remove(0);
        frozen.commit(UnitOfWork::new().retry(taken.lease(), frozen.in_seconds(10), "no answer")).await.expect("gives back");
        assert!(frozen.claim(1).await.is_empty());
        frozen.clock.advance(Duration::from_secs(10));
        let taken = frozen.claim(1).await.remove(0);
        assert_eq!((taken.attempts, taken.last_error.as_deref()), (2, Some("no answer")));
        let before = frozen.store.verify_chain(&frozen.ctx).await.expect("holds");
        frozen.commit(UnitOfWork::new().bury(taken.lease(), "still no answer")).await.expect("gives up");
        let events = frozen.store.events(&frozen.ctx, before, 10).await.expect("reads");
        let told = (events[0].event_type.as_str(), events[0].subject.clone(), events[0].data.get("attempts").cloned());
        assert_eq!(told, ("job.died", job.id.wire("job"), Some(Value::from(2))));
        let dead = JobQuery { state: Some(JobState::Dead), ..JobQuery::default() };
        assert_eq!(frozen.store.jobs(&frozen.ctx, dead.clone()).await.expect("lists"), [frozen.job(&job).await]);
        frozen.commit(UnitOfWork::new().redrive(job.id)).await.expect("queues again");
        let twice = frozen.commit(UnitOfWork::new().redrive(job.id)).await.expect_err("is queued");
        assert_eq!(twice.code(), "job_not_finished");
        let taken = frozen.claim(1).await.remove(0);
        assert_eq!((taken.attempts, taken.epoch), (1, 3), "attempts begin anew, tokens never");
        assert!(frozen.store.jobs(&frozen.ctx, dead).await.expect("lists").is_empty());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_can_be_called_off() {
    on_each(async |frozen| {
        let (waiting, running) = (frozen.queue(work(1).at(frozen.in_seconds(1))).await, frozen.queue(work(2)).await);
        let taken = frozen.claim(1).await.remove(0);
        assert_eq!(taken.id, running.id);
        let cancelled = frozen.commit(UnitOfWork::new().cancel(waiting.id).cancel(running.id)).await.expect("cancels").jobs;
        assert_eq!((cancelled[0].state, cancelled[1].state), (JobState::Cancelled, JobState::Running));
        let renewed = frozen.commit(UnitOfWork::new().renew(taken.lease(), LEASE, None)).await.expect("renews").jobs.remove(0);
        assert!(renewed.cancel_requested, "its worker sees that it is asked to stop");
        // A worker that vanished never looks.
        frozen.clock.advance(LEASE * 2);
        assert!(frozen.claim(9).await.is_empty());
        assert_eq!(frozen.job(&running).await.state, JobState::Cancelled);
        let unknown = frozen.commit(UnitOfWork::new().cancel(frozen.store.mint_id())).await.expect_err("is unknown");
        assert_eq!(unknown.code(), "not_found");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_workers_take_each_job_once() {
    on_each(async |frozen| {
        for chunk in 0..5 {
            let unit = (0..100).fold(UnitOfWork::new(), |unit, at| unit.enqueue(frozen.store.mint_id(), work(chunk * 100 + at)));
            frozen.commit(unit).await.expect("queues");
        }
        let workers = (0..8).map(|_| async {
            let mut done = Vec::new();
            loop {
                let taken = frozen.claim(7).await;
                if taken.is_empty() {
                    return done;
                }
                let unit = taken.iter().fold(UnitOfWork::new(), |unit, job| unit.complete(job.lease()));
                frozen.commit(unit).await.expect("ends");
                done.extend(numbers(&taken));
            }
        });
        let done: Vec<i64> = futures_util::future::join_all(workers).await.concat();
        assert_eq!((done.len(), done.iter().collect::<HashSet<_>>().len()), (500, 500));
        let page = frozen.store.jobs(&frozen.ctx, JobQuery { limit: 3, ..JobQuery::default() }).await.expect("lists");
        let older = JobQuery { before: Some(page[2].id), state: Some(JobState::Done), limit: 1, ..JobQuery::default() };
        assert!(frozen.store.jobs(&frozen.ctx, older).await.expect("lists")[0].id < page[2].id);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_hands_out_work_hears_of_it() {
    on_each(async |frozen| {
        // On a shared server other tenants' jobs are heard of as well, and one's own may be twice.
        let heard = async || while !frozen.store.stirred().next().await.contains(&frozen.ctx.tenant()) {};
        frozen.queue(work(1)).await;
        frozen.queue(work(2)).await;
        heard().await;
        let taken = frozen.claim(2).await;
        assert_eq!(taken.len(), 2);
        heard().await;
        frozen.commit(UnitOfWork::new().retry(taken[0].lease(), frozen.clock.now(), "x")).await.expect("gives back");
        heard().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn finished_jobs_are_swept_in_time() {
    on_each(async |frozen| {
        let day = Duration::from_secs(86_400);
        let (done, dead, waiting) =
            (frozen.queue(work(1)).await, frozen.queue(work(2)).await, frozen.queue(work(3).at(frozen.in_seconds(1))).await);
        let taken = frozen.claim(2).await;
        frozen
            .commit(UnitOfWork::new().complete(taken[0].lease()).bury(taken[1].lease(), "x").receive("source", "m", frozen.in_seconds(1)))
            .await
            .expect("ends");
        let left = async || {
            frozen.store.sweep(&frozen.ctx).await.expect("sweeps");
            let mut left = frozen.store.jobs(&frozen.ctx, JobQuery::default()).await.expect("lists");
            left.sort_by_key(|job| job.id);
            left.into_iter().map(|job| job.id).collect::<Vec<_>>()
        };
        assert_eq!(left().await.len(), 3);
        let again = frozen.commit(UnitOfWork::new().receive("source", "m", frozen.in_seconds(1))).await.expect_err("is remembered");
        assert_eq!(again.code(), "already_received");
        frozen.clock.advance(day * 8);
        assert_eq!(left().await, [dead.id.min(waiting.id), dead.id.max(waiting.id)], "not the one that was done: {}", done.id.wire("job"));
        frozen.clock.advance(day * 90);
        assert_eq!(left().await, [waiting.id], "what was never done stays");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn asking_again_under_the_same_id_changes_nothing() {
    on_each(async |frozen| {
        let id = frozen.store.mint_id();
        let queue = async || frozen.commit(UnitOfWork::new().enqueue(id, work(1))).await.expect("queues").jobs.remove(0);
        let first = queue().await;
        assert_eq!(queue().await, first);
        let taken = frozen.claim(1).await.remove(0);
        assert_eq!(queue().await, taken, "its lease holds");
        frozen.commit(UnitOfWork::new().complete(taken.lease())).await.expect("ends");
        assert_eq!(queue().await.state, JobState::Done);
        assert!(frozen.claim(1).await.is_empty());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_failed_keeps_its_wait_and_one_that_was_given_back_did_not_fail() {
    on_each(async |frozen| {
        let keyed = || work(1).unique("k").priority(Priority::Bulk);
        frozen.queue(keyed()).await;
        let taken = frozen.claim(1).await.remove(0);
        let later = frozen.in_seconds(100);
        frozen.commit(UnitOfWork::new().retry(taken.lease(), later, "x")).await.expect("gives back");
        let waiting = frozen.queue(keyed().priority(Priority::Urgent)).await;
        assert_eq!((waiting.due_at, waiting.priority), (Some(later), Priority::Urgent));
        assert_eq!(frozen.job(&waiting).await.priority, Priority::Urgent);
        frozen.clock.advance(Duration::from_secs(100));
        let taken = frozen.claim(1).await.remove(0);
        assert_eq!(taken.attempts, 2);
        let back = frozen.commit(UnitOfWork::new().give_back(taken.lease(), "stopping")).await.expect("gives back").jobs.remove(0);
        assert_eq!((back.attempts, back.state, back.due_at), (1, JobState::Queued, Some(frozen.clock.now())));
    })
    .await;
}
