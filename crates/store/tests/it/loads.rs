//! Loading a tenant where another process has the files: what is lost on the way, and who goes away in the middle.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use steward_base::{Error, TenantId};
use steward_store::{Backend, Store, UnitOfWork};

use crate::support::{Bench, Served, Thing, ctx, kinds, link_key, remote, reopened, sqlite, until};
use crate::wire::{Wire, between};

/// A tenant of another installation, and all that is told of it.
async fn told() -> (Bench, Vec<Bytes>) {
    let bench = sqlite().await;
    for _ in 0..40 {
        let thing = Thing::named(&"words ".repeat(60));
        bench.store.commit(&bench.ctx, UnitOfWork::new().create(bench.store.mint_id(), &thing)).await.expect("commits");
    }
    let dump = bench.store.dump(bench.ctx.tenant(), None).await.expect("begins");
    let frames = dump.map(|frame| frame.expect("reads")).collect().await;
    (bench, frames)
}

fn all(frames: &[Bytes]) -> impl Stream<Item = Result<Bytes, Error>> + Unpin + use<> {
    stream::iter(frames.iter().cloned().map(Ok).collect::<Vec<_>>())
}

/// Some of it, and then the source fails.
fn broken(frames: &[Bytes]) -> impl Stream<Item = Result<Bytes, Error>> + Unpin + use<> {
    // As large as a part, so that one is on its way before it breaks.
    let large = Bytes::from(vec![0; 2 << 20]);
    let some = [frames[0].clone(), large].into_iter().map(Ok);
    stream::iter(some.chain([Err(Error::internal("the disk that it is read from"))]))
}

async fn load(store: &Store, tenant: TenantId, frames: &[Bytes]) -> Result<(), Error> {
    let mut loading = store.load(tenant).await?;
    loading.apply(all(frames)).await?;
    store.publish(loading).await
}

async fn asking(served: &Served) -> Store {
    reopened(Backend::Remote { url: served.url.clone(), key: link_key() }, kinds()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_goes_away_in_the_middle_leaves_nothing_in_the_way() {
    let ((source, frames), bench) = (told().await, remote().await);
    let tenant = source.ctx.tenant();
    let gone = asking(bench.served.as_ref().expect("is served")).await;
    let mut loading = gone.load(tenant).await.expect("begins");
    loading.apply(all(&frames)).await.expect("loads");
    // As a process that was killed: nothing is said, and another one begins.
    std::mem::forget(loading);
    gone.close().await;
    let mut first = bench.store.load(tenant).await.expect("takes its place");
    assert_eq!(bench.store.load(tenant).await.err().map(|error| error.code()), Some("tenant_busy"), "this one goes on");
    assert!(first.apply(broken(&frames)).await.is_err());
    first.discard().await;
    assert_eq!(bench.store.head(&source.ctx).await.expect_err("is not there").code(), "not_found");
    load(&bench.store, tenant, &frames).await.expect("is whole");
    assert_eq!(bench.store.verify_chain(&source.ctx).await.expect("holds"), 40);
    bench.close().await;
    source.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_role_that_restarts_meanwhile_says_so_and_keeps_nothing() {
    let ((source, frames), bench) = (told().await, remote().await);
    let tenant = source.ctx.tenant();
    let folder = bench.dir().to_owned();
    let Bench { store, served, .. } = bench;
    let served = served.expect("is served");
    let mut loading = store.load(tenant).await.expect("begins");
    loading.apply(all(&frames)).await.expect("loads");
    let address = served.url.strip_prefix("http://").expect("is plain").to_owned();
    served.stop().await;
    let again = Served::start_on(reopened(Backend::Sqlite { dir: folder }, kinds()).await, &address).await;
    let refused = store.publish(loading).await.expect_err("was lost");
    assert!(["data_unreachable", "load_given_up"].contains(&refused.code()), "{refused:?}");
    until(async || store.head(&ctx(tenant)).await.expect_err("is not there").code() == "not_found").await;
    load(&store, tenant, &frames).await.expect("is whole");
    assert_eq!(store.verify_chain(&source.ctx).await.expect("holds"), 40);
    store.close().await;
    again.stop().await;
    source.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_published_is_known_though_the_answer_was_lost() {
    let ((source, frames), bench) = (told().await, remote().await);
    let tenant = source.ctx.tenant();
    let wire = Arc::new(Wire::default());
    let url = between(bench.served.as_ref().expect("is served"), wire.clone()).await;
    let store = reopened(Backend::Remote { url, key: link_key() }, kinds()).await;
    let mut loading = store.load(tenant).await.expect("begins");
    loading.apply(all(&frames)).await.expect("loads");
    *wire.lose_of.lock() = Some("load_publish");
    store.publish(loading).await.expect("is found to be there");
    assert_eq!(*wire.lose_of.lock(), None, "an answer was lost");
    assert_eq!(store.verify_chain(&source.ctx).await.expect("holds"), 40);
    store.close().await;
    bench.close().await;
    source.close().await;
}
