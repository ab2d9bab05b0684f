//! Namespaces as a process comes to know them, and finds that they are gone.

use std::sync::Arc;

use deadpool_postgres::Client;
use steward_base::{Error, TenantId};

use super::Shared;
use super::failure::Failure;
use super::migrate::{Missing, migrate};
use super::namespace::Namespace;
use crate::building::Building;
use crate::engine::closed;

impl Shared {
    /// The namespace of a tenant that has a schema.
    pub(super) async fn existing(self: &Arc<Self>, tenant: TenantId) -> Result<Arc<Namespace>, Error> {
        let namespace = self.namespace(tenant);
        if let Err(failure) = self.ready(&namespace, Missing::Refuse).await {
            // Strangers' ids must not fill the map.
            if matches!(failure, Failure::Ours(_)) && namespace.position.receiver_count() == 0 {
                self.namespaces.write().remove(&tenant);
            }
            return Err(failure.into_error());
        }
        Ok(namespace)
    }

    pub(super) async fn ready(self: &Arc<Self>, namespace: &Arc<Namespace>, missing: Missing) -> Result<Arc<Building>, Failure> {
        if let Some(ready) = namespace.ready.get() {
            return Ok(ready.clone());
        }
        let (shared, own) = (self.clone(), namespace.clone());
        // Whoever asks may have gone before a long migration is through: it is not begun anew for the next one.
        let preparing = self.tasks.spawn(async move {
            tokio::select! {
                () = shared.closing.cancelled() => Err(closed().into()),
                ready = own.ready.get_or_try_init(|| shared.prepare(&own, missing)) => ready.cloned(),
            }
        });
        preparing.await.map_err(Error::internal)?
    }

    async fn prepare(self: &Arc<Self>, namespace: &Arc<Namespace>, missing: Missing) -> Result<Arc<Building>, Failure> {
        self.check().await?;
        let client = self.connections.hold().await?;
        let done = migrate(&client, namespace, &self.surroundings.kinds, &self.surroundings.clock, missing).await?;
        client.give_back();
        let building = Arc::new(done);
        if !building.is_empty() {
            self.tasks.spawn(super::build(self.clone(), namespace.clone(), building.clone()));
        }
        Ok(building)
    }

    pub(super) async fn read<T>(
        &self,
        namespace: &Namespace,
        read: impl AsyncFnOnce(&Client, &Namespace) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let client = self.connections.pool.get().await?;
        let done = read(&client, namespace).await;
        if done.as_ref().is_err_and(Failure::is_gone) {
            self.let_go(namespace);
        }
        done
    }

    /// Lets go of a namespace that another process removed. Whoever waits for its events is woken, and finds out.
    pub(super) fn let_go(&self, namespace: &Namespace) {
        let mut namespaces = self.namespaces.write();
        if namespaces.get(&namespace.tenant).is_some_and(|known| std::ptr::eq(&**known, namespace)) {
            namespaces.remove(&namespace.tenant);
            // If it comes again, it is another one.
            self.surroundings.positions.begin_life(namespace.tenant);
        }
        drop(namespaces);
        namespace.position.send_modify(|_| ());
    }
}
