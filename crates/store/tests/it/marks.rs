//! Marks of tenants that may have work waiting: they give way when nobody writes any more, in one process and in several.

use std::time::Duration;

use serde_json::json;
use steward_base::{Clock, Random, Secret, TenantId, Timestamp};
use steward_store::{Backend, JobDraft, Mark, MasterKey, Options, Store, UnitOfWork};

use crate::support::{Thing, ctx, kinds, postgres_url};

const IDLE: Duration = Duration::from_secs(60);
/// Longer than any process relies on a mark that it wrote.
const LONG: Duration = Duration::from_secs(200);

struct World {
    clock: Clock,
    /// Of several processes where there may be such.
    stores: Vec<Store>,
    tenants: [TenantId; 2],
}

impl World {
    async fn new(backend: Backend, processes: usize) -> Self {
        let (clock, random) = (Clock::manual(Clock::system().now()), Random::system());
        let mut stores = Vec::new();
        for _ in 0..processes {
            let options = Options { backend: backend.clone(), master: MasterKey::new([7; 32]) };
            stores.push(Store::open(options, kinds(), clock.clone(), random.clone()).await.expect("opens"));
        }
        let tenants = [TenantId::new(&clock, &random), TenantId::new(&clock, &random)];
        for tenant in tenants {
            stores[0].provision(tenant).await.expect("provisions");
        }
        Self { clock, stores, tenants }
    }

    async fn write(&self, store: usize, tenant: usize) {
        let store = &self.stores[store];
        let unit = UnitOfWork::new().create(store.mint_id(), &Thing::named("x"));
        store.commit(&ctx(self.tenants[tenant]), unit).await.expect("creates");
    }

    /// Settles in the last process; tenants of other tests on the same server stay as they are.
    async fn settle(&self) {
        let own = |tenant| if self.tenants.contains(&tenant) { i64::MAX } else { -1 };
        self.stores[self.stores.len() - 1].settle(IDLE, own).await.expect("settles");
    }

    async fn marks(&self) -> [Option<Mark>; 2] {
        let marks = self.stores[0].marked().await.expect("reads");
        self.tenants.map(|own| marks.iter().find(|(tenant, _)| *tenant == own).map(|(_, mark)| *mark))
    }

    async fn close(self) {
        for store in self.stores {
            store.close().await;
        }
    }
}

#[tokio::test]
async fn a_tenant_that_nobody_writes_to_is_not_looked_into() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut worlds = vec![World::new(Backend::Sqlite { dir: dir.path().to_owned() }, 1).await];
    if let Some(url) = postgres_url() {
        worlds.push(World::new(Backend::Postgres { url: Secret::new(url), connections: 4 }, 2).await);
    }
    for world in worlds {
        world.write(0, 0).await;
        let later = Timestamp::from_micros(world.clock.now().plus(Duration::from_secs(3_600)).micros());
        let job = UnitOfWork::new().enqueue(world.stores[0].mint_id(), JobDraft::new("work", json!({})).at(later));
        world.stores[0].commit(&ctx(world.tenants[1]), job).await.expect("queues");
        world.settle().await;
        assert_eq!(world.marks().await, [Some(Mark::Dirty); 2], "nobody has been idle for so long");
        world.clock.advance(LONG);
        world.settle().await;
        assert_eq!(world.marks().await, [None, Some(Mark::Due(later))]);
        // Whoever commits again marks it again, whatever he believed of it.
        world.write(0, 0).await;
        assert_eq!(world.marks().await, [Some(Mark::Dirty), Some(Mark::Due(later))]);
        world.close().await;
    }
}

#[tokio::test]
async fn a_tenant_is_calm_until_somebody_writes_to_it() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut worlds = vec![World::new(Backend::Sqlite { dir: dir.path().to_owned() }, 1).await];
    if let Some(url) = postgres_url() {
        worlds.push(World::new(Backend::Postgres { url: Secret::new(url), connections: 4 }, 2).await);
    }
    for world in worlds {
        let (first, last) = (&world.stores[0], &world.stores[world.stores.len() - 1]);
        let calm = async || {
            let calm = first.calm().await.expect("reads");
            world.tenants.map(|tenant| calm.get(&tenant).copied())
        };
        world.write(0, 0).await;
        let job = JobDraft::new("work", json!({})).at(world.clock.now().plus(Duration::from_secs(86_400)));
        first.commit(&ctx(world.tenants[1]), UnitOfWork::new().enqueue(first.mint_id(), job)).await.expect("queues");
        last.note_calm(&world.tenants, 1).await.expect("is noted");
        assert_eq!(calm().await, [None, None], "somebody may be writing");
        for _ in 0..2 {
            world.clock.advance(LONG);
            world.settle().await;
        }
        last.note_calm(&world.tenants[..1], 2).await.expect("is noted");
        last.note_calm(&world.tenants[1..], 3).await.expect("is noted");
        assert_eq!(calm().await, [Some(2), Some(3)], "one that waits for its next job is calm too");
        world.write(0, 0).await;
        assert_eq!(calm().await, [None, Some(3)]);
        for _ in 0..2 {
            world.clock.advance(LONG);
            world.settle().await;
        }
        assert_eq!(calm().await, [None, Some(3)], "it is not what it was");
        first.erase(world.tenants[1]).await.expect("erases");
        assert_eq!(calm().await, [None, None]);
        world.close().await;
    }
}

#[tokio::test]
async fn nobody_settles_what_another_process_relies_on() {
    let Some(url) = postgres_url() else { return };
    let world = World::new(Backend::Postgres { url: Secret::new(url), connections: 4 }, 2).await;
    world.write(0, 0).await;
    world.settle().await;
    world.clock.advance(LONG / 2);
    world.write(0, 0).await;
    world.clock.advance(LONG / 2);
    world.settle().await;
    assert_eq!(world.marks().await[0], Some(Mark::Dirty), "it was marked anew meanwhile");
    world.clock.advance(LONG / 2);
    world.settle().await;
    assert_eq!(world.marks().await[0], Some(Mark::Dirty), "and has not stood for long enough since");
    // One that is written to without a pause stays marked without a pause.
    for _ in 0..8 {
        world.clock.advance(IDLE / 2);
        world.write(0, 0).await;
        world.settle().await;
        assert_eq!(world.marks().await[0], Some(Mark::Dirty));
    }
    world.clock.advance(LONG);
    world.settle().await;
    world.clock.advance(LONG);
    world.settle().await;
    assert_eq!(world.marks().await[0], None, "whose process may be gone");
    world.write(1, 0).await;
    world.write(0, 0).await;
    assert_eq!(world.marks().await[0], Some(Mark::Dirty));
    world.close().await;
}
