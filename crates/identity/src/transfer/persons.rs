//! The persons of a tenant that comes from elsewhere: each is who the installation knows by that address, or new.

use steward_auth::system_for;
use steward_base::{Ctx, Result, TenantId};
use steward_store::{Model as _, UnitOfWork};

use super::item::Traveller;
use super::{Transfer, damaged};
use crate::passwords::is_bearable;
use crate::set_up::normal;
use crate::{Member, Person, PersonId};

impl Traveller {
    /// Fails with `dump_damaged` for what no export wrote.
    pub(super) fn check(&self) -> Result<()> {
        if self.email != normal(&self.email) {
            return Err(damaged("the address of a person is not of its form"));
        }
        if self.password_hash.as_deref().is_some_and(|hash| !is_bearable(hash)) {
            return Err(damaged("a password hash is none of ours, or dearer to check"));
        }
        Ok(())
    }
}

impl Transfer {
    /// Lets one of them belong to the tenant; may be repeated.
    pub(super) async fn settle_one(&self, ctx: &Ctx, tenant: TenantId, traveller: &Traveller) -> Result<()> {
        let known = self.settled(ctx, tenant, traveller).await?;
        if known != traveller.id {
            self.rename(ctx, tenant, (traveller.id, known)).await?;
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
                // Both files bring the same password: it is theirs, and not one that the writer of the first file thought of.
                let same = traveller.password_hash.as_ref() == Some(&person.password_hash);
                if let Some(places) = person.password_for.as_mut().filter(|places| same && !places.contains(&tenant)) {
                    places.push(tenant);
                }
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
        let password_for = traveller.password_hash.is_some().then(|| vec![tenant]);
        let password_hash = traveller.password_hash.clone().unwrap_or_else(|| identity.0.passwords.nobodys());
        let (email, name) = (traveller.email.clone(), traveller.name.clone());
        let person = Person { email, name, password_hash, password_for, tenants: vec![tenant] };
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
