//! The persons of a tenant that comes from elsewhere: each is who the installation knows by that address, or new.

use steward_auth::system_for;
use steward_base::{Ctx, Result, TenantId};
use steward_store::{Model as _, UnitOfWork};

use super::Transfer;
use super::item::Traveller;
use crate::{Member, Person, PersonId};

impl Transfer {
    /// Lets them belong to the tenant; may be repeated.
    pub(super) async fn settle(&self, ctx: &Ctx, tenant: TenantId, persons: &[Traveller]) -> Result<()> {
        for traveller in persons {
            let known = self.settled(ctx, tenant, traveller).await?;
            if known != traveller.id {
                self.rename(ctx, tenant, (traveller.id, known)).await?;
            }
        }
        Ok(())
    }

    /// Who they are here.
    async fn settled(&self, ctx: &Ctx, tenant: TenantId, traveller: &Traveller) -> Result<PersonId> {
        let identity = &self.0.identity;
        let known = match identity.person_by_email(&traveller.email).await? {
            Some(known) => Some(known),
            // Their address has changed since, here or there.
            None => identity.0.store.get(ctx, Person::KIND, traveller.id.record()).await?,
        };
        if let Some(known) = known {
            let join = |person: &mut Person| {
                if !person.tenants.contains(&tenant) {
                    person.tenants.push(tenant);
                }
                Ok(())
            };
            identity.0.store.update::<Person>(ctx, known.id, join).await?;
            return Ok(known.id.into());
        }
        // Somebody has their id and another address: they are somebody else.
        let taken = identity.0.store.get_with_deleted(ctx, Person::KIND, traveller.id.record()).await?.is_some();
        let id = if taken { PersonId::new(&identity.0.clock, &identity.0.random) } else { traveller.id };
        let password_hash = traveller.password_hash.clone().unwrap_or_else(|| identity.0.passwords.nobodys());
        let person = Person { email: traveller.email.clone(), name: traveller.name.clone(), password_hash, tenants: vec![tenant] };
        identity.0.store.commit(ctx, UnitOfWork::new().create(id.record(), &person)).await?;
        Ok(id)
    }

    /// Makes the membership of one person that of another.
    async fn rename(&self, ctx: &Ctx, tenant: TenantId, (from, to): (PersonId, PersonId)) -> Result<()> {
        let (store, own) = (&self.0.identity.0.store, system_for(ctx, tenant, "import"));
        let Some(member) = store.find(&own, Member::KIND, "person_id", &from.to_string()).await? else { return Ok(()) };
        let become_other = move |member: &mut Member| {
            member.person_id = to;
            Ok(())
        };
        store.update::<Member>(&own, member.id, become_other).await?;
        Ok(())
    }
}
