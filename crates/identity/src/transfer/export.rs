//! Telling a tenant into a file, while it is served.

use aws_lc_rs::digest::{Context, SHA256};
use bytes::Bytes;
use futures_util::stream::{BoxStream, unfold};
use futures_util::{Stream, StreamExt as _, TryStreamExt as _};
use serde_json::json;
use steward_auth::system;
use steward_base::{Ctx, Error, ErrorKind, RecordId, Result, Secret, TenantId, hex};
use steward_fabric::blob::Key;
use steward_store::{EventDraft, ListQuery, MasterKey, Model as _, Stopped, UnitOfWork};
use steward_web::imports::CLASSES;
use steward_work::backup::pack;
use tokio::sync::mpsc;

use super::file::{self, Preamble};
use super::item::{About, Item, LONGEST, Named, Sum, Totals, Traveller};
use super::{Transfer, elsewhere, long_enough};
use crate::passwords::Cost;
use crate::{Member, Person, Tenant, TenantStatus};

/// Pieces that wait for whoever takes them.
const WAITING: usize = 4;

/// Whether members can sign in elsewhere as they do here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credentials {
    /// Nobody's password hash is in the file.
    Stay,
    /// The password hashes of members are: whoever opens the file can guess at them.
    Travel,
}

/// A tenant's file on its way out.
pub struct Exported {
    /// A name for it.
    pub name: String,
    /// Its bytes.
    pub parts: BoxStream<'static, Result<Bytes>>,
}

type Pieces = mpsc::Sender<Result<Bytes>>;

impl Transfer {
    /// The tenant as a file, sealed under the passphrase. That it was asked for is an event `tenant.exported` before the first byte.
    ///
    /// Errors: `not_found`, `tenant_fixed`, `tenant_not_ready`, `passphrase_required`, `sign_in_busy`.
    pub async fn export(&self, ctx: &Ctx, tenant: RecordId, passphrase: Secret<String>, credentials: Credentials) -> Result<Exported> {
        long_enough(passphrase.expose())?;
        let identity = &self.0.identity.0;
        if tenant == TenantId::OPERATOR.record() {
            let detail = "The operator's tenant is the installation itself and cannot be exported: back the installation up instead.";
            return Err(Error::new(ErrorKind::Conflict, "tenant_fixed", detail));
        }
        let record = identity.store.get(ctx, Tenant::KIND, tenant).await?.ok_or_else(|| Error::not_found("tenant"))?;
        let Tenant { name, slug, status } = record.decode()?;
        if !matches!(status, TenantStatus::Active | TenantStatus::Suspended) {
            return Err(Error::new(ErrorKind::Conflict, "tenant_not_ready", "This tenant is being made or deleted."));
        }
        let preamble = Preamble::new(&Cost::of_files(&identity.random));
        let key = MasterKey::new(*self.key(passphrase, &preamble).await?.expose());
        let told = json!({ "slug": slug, "passwords": credentials == Credentials::Travel });
        identity.store.commit(ctx, UnitOfWork::new().event(EventDraft::new("tenant.exported", tenant, told))).await?;

        let suspended = status == TenantStatus::Suspended;
        let about = About { tenant: tenant.into(), name, slug: slug.clone(), exported_at: identity.clock.now(), suspended };
        let dump = identity.store.dump_for_elsewhere(&elsewhere(tenant.into(), &key)).await?;
        let (pieces, taken) = mpsc::channel(WAITING);
        let own = self.clone();
        tokio::spawn(async move {
            if let Err(Stopped::Failed(error)) = own.tell(about, credentials, Box::pin(dump), &pieces).await {
                // Whoever listened may have gone.
                let _ = pieces.send(Err(error)).await;
            }
        });
        let plain = unfold(taken, |mut taken| async move { taken.recv().await.map(|piece| (piece, taken)) });
        let sealed = file::seal(Box::pin(pack(Box::pin(plain))?), &key, &preamble)?;
        Ok(Exported { name: format!("{slug}.steward-tenant"), parts: sealed.boxed() })
    }

    async fn tell<D>(&self, about: About, credentials: Credentials, mut dump: D, pieces: &Pieces) -> Result<(), Stopped>
    where
        D: Stream<Item = Result<Bytes>> + Unpin + Send,
    {
        let tenant = about.tenant;
        send(pieces, Item::About(about)).await?;
        let persons = self.tell_persons(tenant, credentials, pieces).await?;
        while let Some(bytes) = dump.try_next().await? {
            cut_up(pieces, bytes, Item::Dump).await?;
        }
        let mut objects = 0;
        for class in CLASSES {
            let mut after = None;
            loop {
                let page = self.0.blob.list(tenant.into(), class, after.as_deref(), 1_000).await?;
                for found in &page.objects {
                    objects += u64::from(self.tell_object(&found.key, pieces).await?);
                }
                match page.next {
                    Some(next) => after = Some(next),
                    None => break,
                }
            }
        }
        send(pieces, Item::End(Totals { persons, objects })).await
    }

    /// Those who are members; answers how many.
    async fn tell_persons(&self, tenant: TenantId, credentials: Credentials, pieces: &Pieces) -> Result<u64, Stopped> {
        let store = &self.0.identity.0.store;
        let (own, control) = (system(tenant, "export"), system(TenantId::OPERATOR, "export"));
        let mut query = ListQuery { kind: Member::KIND.to_owned(), limit: 500, ..ListQuery::default() };
        let mut told = 0;
        loop {
            let page = store.list(&own, query.clone()).await?;
            for member in &page.records {
                let id = member.decode::<Member>()?.person_id;
                // One that control does not know cannot sign in here either.
                let Some(record) = store.get(&control, Person::KIND, id.record()).await? else { continue };
                let person: Person = record.decode()?;
                // One that does not open this tenant here must not open it elsewhere.
                let travels = credentials == Credentials::Travel && person.opens().any(|opened| opened == tenant);
                let Person { email, name, password_hash, .. } = person;
                let password_hash = Some(password_hash).filter(|_| travels);
                send(pieces, Item::Person(Traveller { id, email, name, password_hash })).await?;
                told += 1;
            }
            match page.next {
                Some(next) => query.after = Some(next),
                None => return Ok(told),
            }
        }
    }

    /// An object with its checksum; answers whether it was still there.
    async fn tell_object(&self, key: &Key, pieces: &Pieces) -> Result<bool, Stopped> {
        let Some(mut object) = self.0.blob.get(key, None).await? else { return Ok(false) };
        let named = Named { class: key.class().name().to_owned(), name: key.name().to_owned(), length: object.meta.length };
        send(pieces, Item::Object(named)).await?;
        let (mut sum, mut length) = (Context::new(&SHA256), 0);
        while let Some(bytes) = object.body.try_next().await? {
            sum.update(&bytes);
            length += bytes.len() as u64;
            cut_up(pieces, bytes, Item::Bytes).await?;
        }
        send(pieces, Item::Sum(Sum { length, sha256: hex(sum.finish().as_ref()) })).await?;
        Ok(true)
    }
}

async fn cut_up(pieces: &Pieces, mut bytes: Bytes, item: fn(Bytes) -> Item) -> Result<(), Stopped> {
    while !bytes.is_empty() {
        let part = bytes.split_to(bytes.len().min(LONGEST));
        send(pieces, item(part)).await?;
    }
    Ok(())
}

async fn send(pieces: &Pieces, item: Item) -> Result<(), Stopped> {
    let bytes = item.encode()?;
    pieces.send(Ok(bytes)).await.map_err(|_| Stopped::Unheard)
}
