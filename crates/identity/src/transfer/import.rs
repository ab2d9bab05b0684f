//! Taking a tenant in from a file: read once to its end before anything is written, then taken in by a saga, or at once where none runs.

use aws_lc_rs::digest::{Context, SHA256};
use bytes::Bytes;
use futures_util::stream::unfold;
use futures_util::{Stream, StreamExt as _};
use serde::{Deserialize, Serialize};
use steward_auth::system;
use steward_base::{Ctx, Error, ErrorKind, RecordId, Result, Secret, TenantId, hex};
use steward_fabric::blob::{Blob, Expect as Announced, Key};
use steward_store::{Expect, Loading, MasterKey, Model as _, UnitOfWork};
use steward_web::Stored;
use steward_web::imports::{CLASSES, upload_key};
use steward_work::{At, Done, Failure, Saga, Step, begin};

use super::file::Reader;
use super::item::{About, Item, Sum, Totals, Traveller};
use super::{Arriving, Transfer, damaged, elsewhere, long_enough, newer};
use crate::lifecycle::begun_with;
use crate::tenants::{check_slug, slug_taken};
use crate::{Tenant, TenantStatus};

pub(crate) const IMPORT: &str = "import_tenant";
/// What the key of a file is sealed for.
const LABEL: &str = "tenant-file";
/// Most persons of a file: each of them is looked for, and a step has half an hour.
const MOST_PERSONS: u64 = 100_000;

/// What the saga `import_tenant` is begun with.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Wanted {
    pub(super) tenant: TenantId,
    slug: String,
    name: String,
    #[serde(default)]
    suspended: bool,
    /// The key that the file opens with, sealed.
    key: String,
}

/// A file that was read to its end and can be taken in.
pub(super) struct Checked {
    wanted: Wanted,
    stored: Stored,
}

impl Checked {
    /// The tenant that there will be.
    pub(super) fn tenant(&self) -> TenantId {
        self.wanted.tenant
    }
}

impl Transfer {
    /// The saga that takes a tenant in.
    pub fn sagas(&self) -> [Saga; 1] {
        let import = Saga::new(IMPORT).long();
        [import.then(Claim(self.clone())).then(Load(self.clone())).then(Settle(self.clone())).then(Open(self.clone()))]
    }

    /// Reads a file to its end without writing anything of it.
    ///
    /// Errors: `passphrase_required`, `passphrase_wrong`, `not_an_export`, `dump_cut`, `dump_damaged`, `dump_newer`, `dump_privileged`,
    /// `import_too_large`, `tenant_exists`, `slug_taken`, `slug_reserved`.
    pub(super) async fn check(&self, stored: Stored, passphrase: Secret<String>, arriving: Arriving) -> Result<Checked> {
        long_enough(passphrase.expose())?;
        let identity = &self.0.identity.0;
        let mut file = self.read(stored.key()).await?;
        let root = self.key(passphrase, file.preamble()).await?;
        let key = MasterKey::new(*root.expose());
        file.open(&key).await?;
        let About { tenant, name, slug, suspended, .. } = about(&mut file).await?;
        let (slug, suspended) = (arriving.slug.unwrap_or(slug), arriving.suspended.unwrap_or(suspended));
        self.refuse_conflicts(tenant, &slug).await?;
        let mut looking = Loading::checking(tenant);
        self.take(&mut file, &key, &mut looking, None).await?;
        file.finish().await?;
        let key = self.0.master.seal(LABEL, &stored.job().bytes(), root.expose(), &identity.random);
        Ok(Checked { wanted: Wanted { tenant, slug, name, suspended, key }, stored })
    }

    /// Begins the saga; answers its id. Fails with `tenant_being_imported`.
    pub(super) async fn begin(&self, ctx: &Ctx, checked: Checked) -> Result<RecordId> {
        let Checked { wanted, stored } = checked;
        let (saga, key) = (stored.job(), wanted.tenant.to_string());
        let input = serde_json::to_value(&wanted).map_err(Error::internal)?;
        let begun = self.0.identity.0.store.commit(ctx, begin(UnitOfWork::new(), saga, IMPORT, &key, input)).await;
        begun.map_err(|error| match error.code() {
            "unique_taken" => Error::new(ErrorKind::Conflict, "tenant_being_imported", "This tenant is being imported already."),
            _ => error,
        })?;
        stored.keep();
        Ok(saga)
    }

    /// Keeps a file that arrives and begins to take it in: for the machine itself, while the server runs. Answers the saga's id and the tenant's.
    pub async fn import(
        &self,
        bytes: impl Stream<Item = Result<Bytes>> + Send,
        passphrase: Secret<String>,
        arriving: Arriving,
    ) -> Result<(RecordId, TenantId)> {
        let stored = self.receive(bytes).await?;
        let checked = self.check(stored, passphrase, arriving).await?;
        let tenant = checked.tenant();
        Ok((self.begin(&system(TenantId::OPERATOR, "import"), checked).await?, tenant))
    }

    /// The same where no worker runs: it is taken in when this returns.
    pub async fn import_now(
        &self,
        bytes: impl Stream<Item = Result<Bytes>> + Send,
        passphrase: Secret<String>,
        arriving: Arriving,
    ) -> Result<TenantId> {
        let stored = self.receive(bytes).await?;
        let file = stored.key().clone();
        let taken = async {
            let Checked { wanted, stored } = self.check(stored, passphrase, arriving).await?;
            // Deleted below, in its turn.
            stored.keep();
            let ctx = system(TenantId::OPERATOR, "import");
            match self.all(&ctx, &wanted, &file).await {
                Ok(()) => Ok(wanted.tenant),
                Err(error) => {
                    self.let_go(&ctx, wanted.tenant).await?;
                    let unit = self.unclaim(&ctx, wanted.tenant).await?;
                    self.0.identity.0.store.commit(&ctx, unit).await?;
                    Err(error)
                }
            }
        };
        let taken = taken.await;
        self.0.blob.delete(&file).await?;
        taken
    }

    async fn all(&self, ctx: &Ctx, wanted: &Wanted, file: &Key) -> Result<()> {
        let store = &self.0.identity.0.store;
        store.commit(ctx, self.claim(ctx, wanted).await?).await?;
        self.load(file, wanted, file_id(file)?).await?;
        self.settle(ctx, file, wanted, file_id(file)?).await?;
        store.commit(ctx, self.open(ctx, wanted).await?).await?;
        Ok(())
    }

    async fn receive(&self, bytes: impl Stream<Item = Result<Bytes>> + Send) -> Result<Stored> {
        let id = RecordId::new(&self.0.identity.0.clock, &self.0.identity.0.random);
        Stored::of(&self.0.blob, TenantId::OPERATOR, id, bytes).await
    }

    async fn read(&self, key: &Key) -> Result<Reader<impl Stream<Item = Result<Bytes>> + Unpin + Send + use<>>> {
        let object = self.0.blob.get(key, None).await?.ok_or_else(|| Error::not_found("file"))?;
        Reader::begin(object.body).await
    }

    async fn refuse_conflicts(&self, tenant: TenantId, slug: &str) -> Result<()> {
        check_slug(slug)?;
        let (identity, control) = (&self.0.identity, system(TenantId::OPERATOR, "import"));
        let known = identity.0.store.get(&control, Tenant::KIND, tenant.record()).await?.is_some();
        // One that an import left half done is not known, and one whose record is lost is there all the same.
        if tenant == TenantId::OPERATOR || known || identity.0.store.chain_head(&system(tenant, "import")).await.is_ok() {
            let detail = "This tenant is here already: delete it first, or import the file into another installation.";
            return Err(Error::new(ErrorKind::Conflict, "tenant_exists", detail));
        }
        if identity.tenant_by_slug(slug).await?.is_some() {
            return Err(slug_taken(slug));
        }
        Ok(())
    }

    /// The unit that takes the short name.
    async fn claim(&self, ctx: &Ctx, wanted: &Wanted) -> Result<UnitOfWork> {
        let Wanted { tenant, slug, name, .. } = wanted;
        let known = self.0.identity.0.store.get(ctx, Tenant::KIND, tenant.record()).await?;
        if known.map(|record| record.decode::<Tenant>()).transpose()?.is_some_and(|known| known.status != TenantStatus::Provisioning) {
            return Err(Error::new(ErrorKind::Conflict, "tenant_exists", "This tenant came to be while its file was read."));
        }
        let claimed = Tenant { name: name.clone(), slug: slug.clone(), status: TenantStatus::Provisioning };
        Ok(UnitOfWork::new().put_model(tenant.record(), &claimed, Expect::Any))
    }

    /// The unit that gives it back, unless it is somebody else's.
    async fn unclaim(&self, ctx: &Ctx, tenant: TenantId) -> Result<UnitOfWork> {
        let known = self.0.identity.0.store.get(ctx, Tenant::KIND, tenant.record()).await?;
        let own =
            known.map(|record| record.decode::<Tenant>()).transpose()?.is_some_and(|known| known.status == TenantStatus::Provisioning);
        Ok(if own { UnitOfWork::new().erase(Tenant::KIND, tenant.record()) } else { UnitOfWork::new() })
    }

    /// Loads namespace and objects; whatever an earlier try left is removed before.
    async fn load(&self, file: &Key, wanted: &Wanted, saga: RecordId) -> Result<()> {
        let (store, tenant) = (&self.0.identity.0.store, wanted.tenant);
        let (mut file, key) = self.opened(file, wanted, saga).await?;
        about(&mut file).await?;
        store.erase(tenant).await?;
        self.0.blob.erase(tenant.into()).await?;
        let mut loading = store.load(tenant).await?;
        match self.take(&mut file, &key, &mut loading, Some(&self.0.blob)).await {
            Ok(()) => store.publish(loading).await,
            Err(error) => {
                loading.discard().await;
                Err(error)
            }
        }
    }

    /// Lets the persons of a file belong to the tenant; may be repeated.
    async fn settle(&self, ctx: &Ctx, file: &Key, wanted: &Wanted, saga: RecordId) -> Result<()> {
        let (mut file, _) = self.opened(file, wanted, saga).await?;
        about(&mut file).await?;
        let mut settled = 0;
        while let Some(person) = person(&mut file, settled).await? {
            self.settle_one(ctx, wanted.tenant, &person).await?;
            settled += 1;
        }
        Ok(())
    }

    async fn opened(
        &self,
        file: &Key,
        wanted: &Wanted,
        saga: RecordId,
    ) -> Result<(Reader<impl Stream<Item = Result<Bytes>> + Unpin + Send + use<>>, MasterKey)> {
        let root = self.0.master.open(LABEL, &saga.bytes(), &wanted.key).and_then(|root| <[u8; 32]>::try_from(root.as_slice()).ok());
        let key = MasterKey::new(root.ok_or_else(|| Error::internal("the key of a file was sealed under another master key"))?);
        let mut file = self.read(file).await?;
        file.open(&key).await?;
        Ok((file, key))
    }

    /// What the steps but the first one did is undone; it may be repeated.
    async fn let_go(&self, ctx: &Ctx, tenant: TenantId) -> Result<()> {
        let known = self.0.identity.0.store.get(ctx, Tenant::KIND, tenant.record()).await?;
        if known.map(|record| record.decode::<Tenant>()).transpose()?.is_some_and(|known| known.status == TenantStatus::Provisioning) {
            self.0.identity.leave_persons(ctx, tenant).await?;
            self.0.identity.0.store.scrub(ctx).await?;
            self.0.blob.erase(tenant.into()).await?;
            self.0.identity.0.store.erase(tenant).await?;
        }
        Ok(())
    }

    /// The unit that lets requests in, or leaves that to the operator.
    async fn open(&self, ctx: &Ctx, wanted: &Wanted) -> Result<UnitOfWork> {
        let known = self.0.identity.0.store.get(ctx, Tenant::KIND, wanted.tenant.record()).await?;
        let record = known.ok_or_else(|| Error::not_found("tenant"))?;
        let status = if wanted.suspended { TenantStatus::Suspended } else { TenantStatus::Active };
        let opened = Tenant { status, ..record.decode()? };
        Ok(UnitOfWork::new().put_model(record.id, &opened, Expect::Version(record.version)))
    }

    /// Reads what comes behind the first piece: into the loading, and the objects where they belong or nowhere.
    async fn take<S>(&self, file: &mut Reader<S>, key: &MasterKey, loading: &mut Loading, objects: Option<&Blob>) -> Result<()>
    where
        S: Stream<Item = Result<Bytes>> + Unpin + Send,
    {
        let (mut persons, mut taken) = (0, 0);
        while person(file, persons).await?.is_some() {
            persons += 1;
        }
        let tenant = loading.tenant();
        let parts = unfold(&mut *file, |file| next(file, |item| if let Item::Dump(bytes) = item { Ok(bytes) } else { Err(item) }));
        let dump = self.0.identity.0.store.dump_from_elsewhere(&elsewhere(tenant, key), Box::pin(parts));
        loading.apply(Box::pin(dump)).await?;
        let totals = loop {
            match file.item().await? {
                Item::Object(named) => {
                    let class = CLASSES.into_iter().find(|class| class.name() == named.class).ok_or_else(newer)?;
                    let key = Key::new(tenant, class, &named.name)?;
                    let bytes =
                        unfold(&mut *file, |file| next(file, |item| if let Item::Bytes(bytes) = item { Ok(bytes) } else { Err(item) }));
                    let seen = match objects {
                        Some(blob) => {
                            let put = blob.put(&key, bytes, Announced { length: Some(named.length), sha256: None }).await?;
                            Sum { length: put.length, sha256: hex(&put.sha256) }
                        }
                        None => summed(bytes).await?,
                    };
                    match file.item().await? {
                        Item::Sum(sum) if sum == seen => taken += 1,
                        _ => return Err(damaged("the checksum of an object does not hold")),
                    }
                }
                Item::End(totals) => break totals,
                _ => return Err(damaged("a piece stands where it never does")),
            }
        };
        if totals == (Totals { persons, objects: taken }) { Ok(()) } else { Err(damaged("its end does not agree with it")) }
    }
}

/// The next piece of one sort, for a stream that ends before any other.
async fn next<S>(file: &mut Reader<S>, sort: fn(Item) -> Result<Bytes, Item>) -> Option<(Result<Bytes>, &mut Reader<S>)>
where
    S: Stream<Item = Result<Bytes>> + Unpin + Send,
{
    match file.item().await.map(sort) {
        Ok(Ok(bytes)) => Some((Ok(bytes), file)),
        Ok(Err(other)) => {
            file.put_back(other);
            None
        }
        Err(error) => Some((Err(error), file)),
    }
}

/// The next person, for as long as there are no other pieces. Fails with `import_too_large`, and with `dump_damaged` for one that no export wrote.
async fn person<S: Stream<Item = Result<Bytes>> + Unpin + Send>(file: &mut Reader<S>, before: u64) -> Result<Option<Traveller>> {
    match file.item().await? {
        Item::Person(_) if before == MOST_PERSONS => {
            let detail = format!("The file of a tenant may bring {MOST_PERSONS} persons.");
            Err(Error::new(ErrorKind::TooLarge, "import_too_large", detail))
        }
        Item::Person(person) => {
            person.check()?;
            Ok(Some(person))
        }
        other => {
            file.put_back(other);
            Ok(None)
        }
    }
}

async fn summed(bytes: impl Stream<Item = Result<Bytes>>) -> Result<Sum> {
    let (mut bytes, mut sum, mut length) = (std::pin::pin!(bytes), Context::new(&SHA256), 0);
    while let Some(part) = bytes.next().await {
        let part = part?;
        sum.update(&part);
        length += part.len() as u64;
    }
    Ok(Sum { length, sha256: hex(sum.finish().as_ref()) })
}

async fn about<S: Stream<Item = Result<Bytes>> + Unpin + Send>(file: &mut Reader<S>) -> Result<About> {
    match file.item().await? {
        Item::About(about) => Ok(about),
        _ => Err(damaged("it does not begin with what it is")),
    }
}

/// The id that a waiting file is named after.
fn file_id(file: &Key) -> Result<RecordId> {
    RecordId::parse(steward_store::JOB_PREFIX, file.name()).ok_or_else(|| Error::internal("a waiting file is named after its job"))
}

/// What cannot be otherwise next time is not tried again.
fn judged(error: Error) -> Failure {
    match error.kind() {
        ErrorKind::Invalid | ErrorKind::Conflict => Failure::Never(error),
        _ => Failure::Again(error),
    }
}

/// Takes the short name. Its undo is the last one.
struct Claim(Transfer);

impl Step for Claim {
    const NAME: &'static str = "claim";

    async fn run(&self, at: At) -> Result<Done, Failure> {
        let wanted: Wanted = begun_with(&at)?;
        match self.0.0.identity.tenant_by_slug(&wanted.slug).await? {
            Some(other) if other.id != wanted.tenant.record() => Err(Failure::Never(slug_taken(&wanted.slug))),
            _ => Ok(Done { unit: self.0.claim(&at.ctx, &wanted).await.map_err(judged)?, ..Done::default() }),
        }
    }

    async fn undo(&self, at: At) -> Result<UnitOfWork, Failure> {
        let Wanted { tenant, .. } = begun_with(&at)?;
        self.0.0.blob.delete(&upload_key(at.ctx.tenant(), at.saga)?).await?;
        Ok(self.0.unclaim(&at.ctx, tenant).await?)
    }
}

/// Makes the namespace and the objects.
struct Load(Transfer);

impl Step for Load {
    const NAME: &'static str = "load";

    async fn run(&self, at: At) -> Result<Done, Failure> {
        let wanted: Wanted = begun_with(&at)?;
        Box::pin(self.0.load(&upload_key(at.ctx.tenant(), at.saga)?, &wanted, at.saga)).await.map_err(judged)?;
        Ok(Done::default())
    }

    async fn undo(&self, at: At) -> Result<UnitOfWork, Failure> {
        self.0.let_go(&at.ctx, begun_with::<Wanted>(&at)?.tenant).await?;
        Ok(UnitOfWork::new())
    }
}

/// Makes members of persons.
struct Settle(Transfer);

impl Step for Settle {
    const NAME: &'static str = "settle";

    async fn run(&self, at: At) -> Result<Done, Failure> {
        let wanted: Wanted = begun_with(&at)?;
        Box::pin(self.0.settle(&at.ctx, &upload_key(at.ctx.tenant(), at.saga)?, &wanted, at.saga)).await.map_err(judged)?;
        Ok(Done::default())
    }

    async fn undo(&self, at: At) -> Result<UnitOfWork, Failure> {
        // What was in their namespace goes with the step before.
        self.0.0.identity.leave_persons(&at.ctx, begun_with::<Wanted>(&at)?.tenant).await?;
        self.0.0.identity.0.store.scrub(&at.ctx).await?;
        Ok(UnitOfWork::new())
    }
}

/// Lets requests in, unless it comes suspended, and forgets the file.
struct Open(Transfer);

impl Step for Open {
    const NAME: &'static str = "open";

    async fn run(&self, at: At) -> Result<Done, Failure> {
        let unit = self.0.open(&at.ctx, &begun_with(&at)?).await?;
        self.0.0.blob.delete(&upload_key(at.ctx.tenant(), at.saga)?).await?;
        Ok(Done { unit, ..Done::default() })
    }

    async fn undo(&self, at: At) -> Result<UnitOfWork, Failure> {
        let (tenant, store) = (begun_with::<Wanted>(&at)?.tenant, &self.0.0.identity.0.store);
        let Some(record) = store.get(&at.ctx, Tenant::KIND, tenant.record()).await? else { return Ok(UnitOfWork::new()) };
        let closed = Tenant { status: TenantStatus::Provisioning, ..record.decode()? };
        Ok(UnitOfWork::new().put_model(record.id, &closed, Expect::Version(record.version)))
    }
}
