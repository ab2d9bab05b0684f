//! Keys of repeatable requests: claimed in the commit of the first effect, answered once, forgotten in time.

use std::sync::Arc;
use std::time::Duration;

use steward_base::{Attempt, AttemptKey, Ctx, Timestamp};
use steward_store::{Expect, JobDraft, UnitOfWork};

use crate::support::{Bench, Thing, on_each};

struct Request<'a> {
    bench: &'a Bench,
    key: &'a str,
    body: u8,
    until: Timestamp,
}

impl<'a> Request<'a> {
    fn new(bench: &'a Bench, key: &'a str) -> Self {
        Self { bench, key, body: 1, until: bench.store.clock().now().plus(Duration::from_secs(3600)) }
    }

    /// The context of one try.
    fn attempt(&self, try_number: u8) -> Ctx {
        let key = AttemptKey { principal: "key_1".into(), operation: "things.create".into(), key: self.key.into() };
        let (request, nonce) = ([self.body; 32], [try_number; 16]);
        let attempt = Attempt { tenant: self.bench.ctx.tenant(), key, request, formerly: Vec::new(), nonce, until: self.until };
        self.bench.ctx.clone().attempting(Some(Arc::new(attempt)))
    }
}

fn thing(bench: &Bench) -> UnitOfWork {
    UnitOfWork::new().create(bench.store.mint_id(), &Thing::named("once"))
}

async fn count(bench: &Bench) -> u64 {
    bench.store.count(&bench.ctx, "thing", None).await.expect("counts")
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_tries_with_one_key_one_has_its_effect() {
    on_each(async |bench| {
        let request = Request::new(bench, "k");
        let attempts: Vec<Ctx> = (0..16).map(|number| request.attempt(number)).collect();
        let done = futures_util::future::join_all(attempts.iter().map(|ctx| bench.store.commit(ctx, thing(bench)))).await;
        assert_eq!(done.iter().filter(|answer| answer.is_ok()).count(), 1);
        assert!(done.into_iter().filter_map(Result::err).all(|error| error.code() == "idempotency_in_flight"));
        assert_eq!(count(bench).await, 1);
        let other = Request { body: 2, ..Request::new(bench, "k") };
        let refused = bench.store.commit(&other.attempt(99), thing(bench)).await.expect_err("asks for something else");
        assert_eq!(refused.code(), "idempotency_key_reused");
        bench.store.commit(&Request::new(bench, "l").attempt(99), thing(bench)).await.expect("another key");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_unit_claims_nothing_and_a_claim_names_what_was_written() {
    on_each(async |bench| {
        let request = Request::new(bench, "k");
        let (first, second) = (request.attempt(1), request.attempt(2));
        let missing = UnitOfWork::new().delete("thing", bench.store.mint_id(), Expect::Version(1));
        let _ = bench.store.commit(&first, missing).await.expect_err("there is none");
        assert_eq!(bench.store.remembered(&first).await.expect("reads"), None);

        let (id, job) = (bench.store.mint_id(), bench.store.mint_id());
        bench.store.commit(&second, UnitOfWork::new().create(id, &Thing::named("x"))).await.expect("the next try has it");
        bench.store.commit(&second, UnitOfWork::new().enqueue(job, JobDraft::new("work", 1.into()))).await.expect("goes on");
        let remembered = bench.store.remembered(&first).await.expect("reads").expect("is remembered");
        assert_eq!(remembered.written, [id.wire("thg"), job.wire("job")]);
        assert_eq!((remembered.answer, remembered.nonce), (None, [2; 16]));

        bench.store.answer(&second, 201, Some(b"sealed".to_vec())).await.expect("is kept");
        bench.store.commit(&second, thing(bench)).await.expect("what goes on later is let through");
        bench.store.answer(&second, 500, None).await.expect("is too late");
        let remembered = bench.store.remembered(&first).await.expect("reads").expect("is remembered");
        assert_eq!((remembered.answer, remembered.written.len()), (Some((201, Some(b"sealed".to_vec()))), 2));
        assert_eq!(bench.store.remembered(&bench.ctx).await.expect("reads"), None, "without a key there is nothing to ask for");

        // An answer may tell what was in the record.
        bench.store.erase_record(&bench.ctx, "thing", id).await.expect("erases");
        let remembered = bench.store.remembered(&first).await.expect("reads").expect("is remembered");
        assert_eq!(remembered.answer, None);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_forgotten_and_swept() {
    on_each(async |bench| {
        let now = bench.store.clock().now();
        let over = Request { until: now, ..Request::new(bench, "k") };
        bench.store.commit(&over.attempt(1), thing(bench)).await.expect("claims");
        assert_eq!(bench.store.remembered(&over.attempt(2)).await.expect("reads"), None);
        let kept = Request { body: 2, ..Request::new(bench, "k") };
        bench.store.commit(&kept.attempt(2), thing(bench)).await.expect("a forgotten key is free");
        bench.store.sweep(&bench.ctx).await.expect("sweeps");
        let remembered = bench.store.remembered(&kept.attempt(3)).await.expect("reads").expect("is kept");
        assert_eq!(remembered.request, [2; 32]);
        assert_eq!(count(bench).await, 2);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_belongs_to_its_tenant() {
    on_each(async |bench| {
        let elsewhere = Request::new(bench, "k").attempt(1);
        let other = steward_base::TenantId::new(bench.store.clock(), bench.store.random());
        bench.store.provision(other).await.expect("provisions");
        let ctx = crate::support::ctx(other).attempting(elsewhere.attempt().cloned());
        assert!(ctx.attempt().is_none(), "what is done in another tenant is not the request's own effect");
        bench.store.commit(&ctx, thing(bench)).await.expect("commits");
        assert_eq!(bench.store.remembered(&elsewhere).await.expect("reads"), None);
    })
    .await;
}
