//! The parts that every role stands on, and what an administrator may do with them on the machine itself.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use steward_auth::{Authority, system};
use steward_base::{Clock, Error, Random, Result, Secret, TenantId};
use steward_fleet::{Fleet, NewEnrollmentToken};
use steward_identity::{Identity, NewApiKey, Owner, Tenant, TenantStatus, Transfer};
use steward_store::{Kinds, ListQuery, MasterKey, Model as _, Options, Store};
use steward_telemetry::Telemetry;
use steward_work::backup::{Installation, Place};
use tokio::sync::OnceCell;

use crate::admin::{Answer, Request};
use crate::config::Config;
use crate::fabric::Fabric;
use crate::{backup, master, rotate, split, trail};

/// How long the token that this machine enrols with is good: the agent uses it at once.
const OWN_TOKEN_LIFETIME: Duration = Duration::from_secs(600);

/// What one machine can compute at once, for the pools that need to know.
fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Store, fabric, credentials and the level-5 crates. Cheap to clone.
#[derive(Clone)]
pub(crate) struct App(Arc<Parts>);

struct Parts {
    store: Store,
    /// Opened at first need: most of what is done on the machine itself has none.
    telemetry: OnceCell<Telemetry>,
    telemetry_options: steward_telemetry::Options,
    fabric: Fabric,
    backup_place: Place,
    master: MasterKey,
    authority: Authority,
    identity: Identity,
    transfer: Transfer,
    fleet: Fleet,
    public_url: String,
    data_dir: PathBuf,
    /// Where the master key is kept, when that is a file.
    master_file: Option<PathBuf>,
    clock: Clock,
    random: Random,
}

impl App {
    /// Opens what is kept; makes it at the first start.
    pub(crate) async fn open(config: &Config, public_url: &str) -> Result<Self> {
        let (clock, random) = (Clock::system(), Random::system());
        make_data_dir(&config.data_dir)?;
        let master = master::load(config, &random).await?;
        let store = open_store(config, &master, &clock, &random).await?;
        // After the store, whose lock on the data folder speaks for all of it.
        let fabric = Fabric::open(config, &clock, &random).await?;
        let authority = Authority::new(steward_auth::Options {
            store: store.clone(),
            master: master.clone(),
            cache: fabric.cache.clone(),
            clock: clock.clone(),
            random: random.clone(),
            public_url: public_url.to_owned(),
        });
        let identity = Identity::new(steward_identity::Options {
            store: store.clone(),
            authority: authority.clone(),
            clock: clock.clone(),
            random: random.clone(),
            cores: cores(),
        });
        identity.prepare().await?;
        let transfer = Transfer::new(identity.clone(), master.clone(), fabric.blob.clone());
        let fleet = Fleet::new(store.clone(), authority.clone(), clock.clone(), random.clone());
        let backup_place = backup::place(config, &fabric.blob);
        let master_file = master::file(config);
        let (public_url, data_dir) = (public_url.to_owned(), config.data_dir.clone());
        Ok(Self(Arc::new(Parts {
            store,
            telemetry: OnceCell::new(),
            telemetry_options: telemetry_options(config, &config.data_dir),
            fabric,
            backup_place,
            master,
            authority,
            identity,
            transfer,
            fleet,
            public_url,
            data_dir,
            master_file,
            clock,
            random,
        })))
    }

    pub(crate) fn store(&self) -> &Store {
        &self.0.store
    }

    /// Logs and metrics.
    pub(crate) async fn telemetry(&self) -> Result<&Telemetry> {
        let Parts { telemetry, telemetry_options, clock, random, .. } = &*self.0;
        telemetry.get_or_try_init(|| Telemetry::open(telemetry_options.clone(), clock.clone(), random.clone())).await
    }

    /// Lets go of everything.
    pub(crate) async fn close(&self) -> Result<()> {
        let telemetry = match self.0.telemetry.get() {
            Some(telemetry) => telemetry.close().await,
            None => Ok(()),
        };
        self.0.store.close().await;
        telemetry
    }

    pub(crate) fn fabric(&self) -> &Fabric {
        &self.0.fabric
    }

    pub(crate) fn backup_place(&self) -> &Place {
        &self.0.backup_place
    }

    pub(crate) fn master(&self) -> &MasterKey {
        &self.0.master
    }

    pub(crate) fn data_dir(&self) -> &Path {
        &self.0.data_dir
    }

    pub(crate) fn authority(&self) -> &Authority {
        &self.0.authority
    }

    pub(crate) fn identity(&self) -> &Identity {
        &self.0.identity
    }

    pub(crate) fn transfer(&self) -> &Transfer {
        &self.0.transfer
    }

    pub(crate) fn fleet(&self) -> &Fleet {
        &self.0.fleet
    }

    pub(crate) fn public_url(&self) -> &str {
        &self.0.public_url
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.0.clock
    }

    pub(crate) fn random(&self) -> &Random {
        &self.0.random
    }

    /// The active tenants, oldest first.
    pub(crate) async fn tenants(&self) -> Result<Vec<TenantId>> {
        let control = system(TenantId::OPERATOR, "tenants");
        let mut query = ListQuery { kind: Tenant::KIND.to_owned(), limit: 500, ..ListQuery::default() };
        let mut tenants = Vec::new();
        loop {
            let page = self.0.store.list(&control, query.clone()).await?;
            for record in &page.records {
                if record.decode::<Tenant>()?.status == TenantStatus::Active {
                    tenants.push(record.id.into());
                }
            }
            match page.next {
                Some(next) => query.after = Some(next),
                None => return Ok(tenants),
            }
        }
    }

    /// The oldest tenant that is not the operator's.
    pub(crate) async fn first_tenant(&self) -> Result<Option<TenantId>> {
        Ok(self.tenants().await?.into_iter().find(|tenant| *tenant != TenantId::OPERATOR))
    }

    /// A one-use token with which this very machine enrols.
    pub(crate) async fn own_enrolment_token(&self, tenant: TenantId) -> Result<Secret<String>> {
        let expires_at = Some(self.0.clock.now().plus(OWN_TOKEN_LIFETIME));
        let new = NewEnrollmentToken { name: "This machine".to_owned(), organization_id: None, max_uses: Some(1), expires_at };
        let (_, secret) = self.0.fleet.new_enrollment_token(&system(tenant, "watch"), new).await?;
        Ok(secret)
    }

    /// The link that makes the first owner.
    pub(crate) async fn set_up_link(&self) -> Result<String> {
        let token = self.0.identity.set_up_token().await?;
        Ok(format!("{}/console/setup#{}", self.0.public_url, token.expose()))
    }

    /// Where a person sets a password with a code, which the link carries behind `#`.
    pub(crate) fn password_page(&self) -> String {
        format!("{}/console/sign-in/code", self.0.public_url)
    }

    /// Does what the command line asks.
    pub(crate) async fn administrate(&self, request: Request) -> Result<Answer> {
        match request {
            Request::AuditVerify { tenant, heads } => {
                let folder = heads.unwrap_or_else(|| trail::folder(self.data_dir()));
                let report = trail::verify::verify(&self.0.store, &folder, tenant.as_deref()).await?;
                return Ok(report.into());
            }
            Request::RotateKeys { rewrap_only, secrets } => {
                let rotation = rotate::Rotation { make: !rewrap_only, secrets };
                return rotate::rotate(self, self.0.master_file.as_deref(), rotation).await;
            }
            Request::BackupCreate { to, tenant } => {
                let blob = backup::of_server(&self.0.backup_place, to.as_deref()).await?;
                Box::pin(backup::create(self.installation().await?, &self.0.master, &blob, tenant.as_deref())).await
            }
            Request::BackupRestore { from, backup, tenant, renamed, suspended } => {
                let blob = backup::of_server(&self.0.backup_place, from.as_deref()).await?;
                let wanted = backup::Wanted { backup, tenant: Some(tenant), renamed, suspended };
                Box::pin(backup::restore_tenant(self.installation().await?, &blob, &wanted)).await
            }
            Request::TenantMove { tenant, place } => {
                // No worker runs that could do it as a saga.
                let tenant = self.0.identity.named_tenant(&tenant).await?;
                let ctx = system(TenantId::OPERATOR, "command-line");
                Box::pin(self.0.identity.move_tenant_now(&ctx, tenant, &place)).await.map(|()| format!("{tenant} {place}"))
            }
            Request::TenantExport { .. } | Request::TenantImport { .. } => Err(Error::internal("a file has a way of its own")),
            Request::SetupLink {} => self.set_up_link().await,
            Request::PasswordCode { email } => {
                let made = self.0.identity.password_code(&system(TenantId::OPERATOR, "command-line"), &email).await;
                made.map(|(_, code, _)| code.expose().clone())
            }
            Request::Bootstrap { tenant, owner, password } => self.bootstrap(tenant, owner, password).await,
            Request::ApiKey { tenant, permissions, name } => self.api_key(&tenant, permissions, name).await,
            Request::EnrollToken { tenant, organization } => self.enroll_token(&tenant, organization).await,
        }
        .map(Answer::Done)
    }

    async fn installation(&self) -> Result<Installation<'_>> {
        Ok(Installation { store: &self.0.store, objects: &self.0.fabric.blob, telemetry: self.telemetry().await? })
    }

    async fn bootstrap(&self, slug: String, email: String, password: String) -> Result<String> {
        let cause = system(TenantId::OPERATOR, "bootstrap");
        let name = email.split('@').next().unwrap_or(&email).to_owned();
        let password = Secret::new(password);
        let owner = Owner { email, name, password, tenant_name: slug.clone(), tenant_slug: slug };
        let (tenant, person) = self.0.identity.make_owner(&cause, owner).await?;
        Ok(format!("{tenant} {person}"))
    }

    async fn api_key(&self, slug: &str, permissions: Vec<String>, name: String) -> Result<String> {
        let tenant = self.0.identity.named_tenant(slug).await?;
        let new = NewApiKey { name, permissions, scope: None, expires_at: None };
        let (_, secret) = self.0.identity.create_api_key(&system(tenant, "command-line"), new).await?;
        Ok(secret.expose().clone())
    }

    async fn enroll_token(&self, slug: &str, organization: Option<String>) -> Result<String> {
        let tenant = self.0.identity.named_tenant(slug).await?;
        let organization_id = organization.map(|id| id.parse()).transpose()?;
        let name = "Made on the command line".to_owned();
        let new = NewEnrollmentToken { name, organization_id, max_uses: None, expires_at: None };
        let (_, secret) = self.0.fleet.new_enrollment_token(&system(tenant, "command-line"), new).await?;
        Ok(secret.expose().clone())
    }
}

/// How telemetry is kept below a folder.
pub(crate) fn telemetry_options(config: &Config, folder: &Path) -> steward_telemetry::Options {
    let memory_bytes = usize::try_from(u64::from(config.telemetry_memory_mb) << 20).unwrap_or(usize::MAX);
    steward_telemetry::Options { memory_bytes, ..steward_telemetry::Options::new(folder.join("telemetry")) }
}

/// The records alone, for what must not change anything.
pub(crate) async fn open_store(config: &Config, master: &MasterKey, clock: &Clock, random: &Random) -> Result<Store> {
    let backend = split::backend(config, master)?;
    Store::open(Options { backend, master: master.clone() }, kinds(), clock.clone(), random.clone()).await
}

/// Every kind of the installation, in one list.
pub(crate) fn kinds() -> Kinds {
    let own = [steward_auth::kinds(), steward_identity::kinds(), steward_fleet::kinds(), steward_work::kinds()];
    own.into_iter().flatten().fold(Kinds::new(), Kinds::with)
}

/// Makes the folder, and closes one that others could look into.
pub(crate) fn make_data_dir(path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let private = || {
        std::fs::create_dir_all(path)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700))
    };
    private().map_err(|error| {
        let detail = format!("The data folder {} cannot be made private: {error}. Choose another with --data.", path.display());
        Error::new(steward_base::ErrorKind::Unavailable, "data_dir_unusable", detail)
    })?;
    // Its name is to outlive a power cut as what is in it does; what is above it and not ours cannot be synced, and needs not.
    for above in path.ancestors().skip(1) {
        let above = if above.as_os_str().is_empty() { Path::new(".") } else { above };
        let _ = std::fs::File::open(above).and_then(|above| above.sync_all());
    }
    Ok(())
}
