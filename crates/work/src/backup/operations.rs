//! What the operator may do about the installation's backups: see them, have one made, have one read again.

use http::{Method, StatusCode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use steward_base::{Ctx, Error, ErrorKind, Id, RecordId, Result, TenantId, Timestamp};
use steward_store::{JobDraft, Model as _, UnitOfWork};
use steward_web::cursor::{Bound, Mark};
use steward_web::{Call, Json, Operation, Page, Reply, operation};

use super::inventory::{Found, Told, is_spoilt, missing};
use super::jobs::{BackUp, OfBackup, PERMISSION, VerifyBackup};
use super::{Backup, Backups, Copied, Keep, gone, names, read};
use crate::job::JobHandler as _;
use crate::operations::JobView;

/// Looks, and changes nothing.
const READ: &str = "platform:read";

/// A backup as people see it.
#[derive(Clone, Debug, Serialize, JsonSchema)]
struct BackupView {
    /// `bak_…`: later ones sort behind.
    name: Id<OfBackup>,
    /// When it was begun: everything that was acknowledged before is in it.
    made_at: Timestamp,
    /// When it was complete.
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_at: Option<Timestamp>,
    /// Bytes of all that it names, what it shares with others too.
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    /// How many tenants are in it, the operator's own among them.
    #[serde(skip_serializing_if = "Option::is_none")]
    tenants: Option<usize>,
    /// Whether it is of the whole installation, rather than of single tenants.
    #[serde(skip_serializing_if = "Option::is_none")]
    everything: Option<bool>,
    /// Whether it holds as far as is known: its manifest does, and nothing was wrong when it was last read to its end.
    whole: bool,
    /// What is wrong with it, as the code of an error, as in `backup_damaged`.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
    /// When it was last read to its end and found to hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    verified_at: Option<Timestamp>,
}

/// A backup with what is in it.
#[derive(Clone, Debug, Serialize, JsonSchema)]
struct BackupDetail {
    #[serde(flatten)]
    backup: BackupView,
    /// How many of the objects that it names are not there as it names them; with any, it is not whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    missing: Option<u64>,
    /// Each tenant in it; none when its manifest cannot be read.
    contents: Vec<HeldTenant>,
}

/// A tenant in a backup.
#[derive(Clone, Debug, Serialize, JsonSchema)]
struct HeldTenant {
    /// Which.
    id: TenantId,
    /// The short name that it had.
    #[serde(skip_serializing_if = "Option::is_none")]
    slug: Option<String>,
    /// Its events.
    events: i64,
    /// Its uploaded files, and what else it keeps as objects.
    objects: usize,
    /// Its segments of logs and metrics.
    segments: usize,
    /// Bytes of all of it.
    bytes: u64,
}

#[derive(Debug, Deserialize, JsonSchema)]
struct BackupsQuery {
    /// The most backups of one page; 50 unless said.
    #[schemars(range(min = 1, max = 200))]
    limit: Option<u16>,
    /// Where the page before ended.
    cursor: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(inline)]
struct ByName {
    /// The backup's name.
    name: Id<OfBackup>,
}

/// What a backup is to be like.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewBackup {
    /// Which backups stay when it is made; the others are removed. All of them unless said.
    keep: Option<Keep>,
}

/// `backups.list`, `backups.create`, `backups.get` and `backups.verify`.
pub(crate) fn operations(backups: &Backups) -> [Operation; 4] {
    let nowhere = (StatusCode::CONFLICT, "backup_place_missing");
    let none = (StatusCode::NOT_FOUND, "backup_missing");
    [
        operation("backups.list", Method::GET, "/api/v1/backups")
            .needs(READ)
            .summary("Backups of the installation, newest first")
            .description("What is in the place that the settings name, whoever made it. A backup that was interrupted is none.")
            .tag("backups")
            .error(nowhere.0, nowhere.1)
            .handle(backups.clone(), list),
        operation("backups.create", Method::POST, "/api/v1/backups")
            .needs(PERMISSION)
            .summary("Have a backup of the whole installation made")
            .description(
                "While everything is served, at the place that the settings name; what did not change since the last one is not copied again. One is \
                 made at a time: while one waits to be begun, that one is answered.",
            )
            .tag("backups")
            .status(StatusCode::ACCEPTED)
            .body_example("keep_some", json!({ "keep": { "last": 24, "daily": 7, "weekly": 5, "monthly": 12 } }))
            .error(nowhere.0, nowhere.1)
            .error(StatusCode::UNPROCESSABLE_ENTITY, "backup_keeps_nothing")
            .handle(backups.clone(), create),
        operation("backups.get", Method::GET, "/api/v1/backups/{name}")
            .needs(READ)
            .reads_kind(Backup::KIND)
            .summary("One backup, with what is in it")
            .description("Says too whether everything that it names is there. Whether that is what was written, says its verification.")
            .tag("backups")
            .error(nowhere.0, nowhere.1)
            .error(none.0, none.1)
            .handle(backups.clone(), get),
        operation("backups.verify", Method::POST, "/api/v1/backups/{name}/verify")
            .needs(PERMISSION)
            .summary("Have a backup read to its end")
            .description("Checksums, that every file and every log line is there, and that every event follows from the one before.")
            .tag("backups")
            .status(StatusCode::ACCEPTED)
            .error(nowhere.0, nowhere.1)
            .error(none.0, none.1)
            .handle(backups.clone(), verify),
    ]
}

async fn list(backups: Backups, call: Call<(), BackupsQuery>) -> Result<Reply<Json<Page<BackupView>>>> {
    let bound = Bound { tenant: call.ctx.tenant(), operation: "backups.list", shape: &[] };
    let cursors = call.site.cursors();
    let mark: Option<Mark<Id<OfBackup>>> = call.query.cursor.as_deref().map(|text| cursors.open(bound, text)).transpose()?;
    let now = mark.as_ref().map_or_else(|| call.site.clock().now(), |mark| mark.now);
    let limit = usize::from(call.query.limit.unwrap_or(50));
    let blob = backups.0.place.open_to_read().await?;
    let mut manifests = backups.0.inventory.manifests(&blob).await?;
    if let Some(mark) = mark {
        manifests.retain(|(id, _)| *id < mark.after.record());
    }
    let has_more = manifests.len() > limit;
    manifests.truncate(limit);
    let last = manifests.last().filter(|_| has_more).map(|(id, _)| Mark { now, after: Id::<OfBackup>::from(*id) });
    let next_cursor = last.map(|mark| cursors.seal(bound, &mark)).transpose()?;
    let mut data = Vec::with_capacity(manifests.len());
    for manifest in &manifests {
        if let Some(found) = backups.0.inventory.look(&blob, manifest).await? {
            data.push(view(&backups, &call.ctx, &found).await?);
        }
    }
    Ok(Reply::json(Page { data, next_cursor, has_more, count: None }))
}

async fn get(backups: Backups, call: Call<ByName>) -> Result<Reply<Json<BackupDetail>>> {
    let (blob, id) = (backups.0.place.open_to_read().await?, call.path.name.record());
    let manifest = backups.0.inventory.manifests(&blob).await?.into_iter().find(|(found, _)| *found == id).ok_or_else(super::missing)?;
    let found = backups.0.inventory.look(&blob, &manifest).await?.ok_or_else(super::missing)?;
    let mut backup = view(&backups, &call.ctx, &found).await?;
    let _alone = backups.0.inventory.alone().await;
    let manifest = match read(&blob, Some(&backup.name.to_string())).await {
        Ok(manifest) => manifest,
        Err(error) if is_spoilt(error.code()) && error.kind() != ErrorKind::NotFound => {
            backup = BackupView { whole: false, problem: Some(error.code().to_owned()), ..backup };
            return Ok(Reply::json(BackupDetail { backup, missing: None, contents: Vec::new() }));
        }
        Err(error) => return Err(error),
    };
    let missing = missing(&blob, &manifest).await?;
    if missing > 0 {
        let problem = gone("something").code().to_owned();
        backup = BackupView { whole: false, problem: Some(problem), ..backup };
    }
    let contents = manifest.tenants.iter().map(HeldTenant::from).collect();
    Ok(Reply::json(BackupDetail { backup, missing: Some(missing), contents }))
}

async fn create(backups: Backups, call: Call<(), (), Json<NewBackup>>) -> Result<Reply<Json<JobView>>> {
    let Json(NewBackup { keep }) = &call.body;
    if let Some(keep) = keep {
        keep.check()?;
    }
    backups.0.place.check()?;
    let payload = keep.map_or_else(|| json!({}), |keep| json!({ "keep": keep }));
    queue(&backups, &call.ctx, JobDraft::new(BackUp::KIND, payload).unique(BackUp::KIND)).await
}

async fn verify(backups: Backups, call: Call<ByName>) -> Result<Reply<Json<JobView>>> {
    let name = call.path.name.to_string();
    if !names(&backups.0.place.open_to_read().await?).await?.contains(&name) {
        return Err(super::missing());
    }
    queue(&backups, &call.ctx, JobDraft::new(VerifyBackup::KIND, json!({ "backup": name })).unique(name)).await
}

async fn queue(backups: &Backups, ctx: &Ctx, job: JobDraft) -> Result<Reply<Json<JobView>>> {
    let store = &backups.0.store;
    let queued = store.commit(ctx, UnitOfWork::new().enqueue(store.mint_id(), job)).await?.jobs.pop();
    let view = JobView::from(queued.ok_or_else(|| Error::internal("a job that was queued is not told of"))?);
    let location = format!("/api/v1/jobs/{}", view.id);
    Ok(Reply::json(view).location(&location))
}

async fn view(backups: &Backups, ctx: &Ctx, found: &Found) -> Result<BackupView> {
    let Backup { verified_at, problem } = backups.known(ctx, found.id).await?;
    let name = found.id.into();
    Ok(match &found.told {
        Told::Whole(summary) => BackupView {
            name,
            made_at: summary.began_at,
            ended_at: Some(summary.ended_at),
            bytes: Some(summary.bytes),
            tenants: Some(summary.tenants),
            everything: Some(summary.everything),
            whole: problem.is_none(),
            problem,
            verified_at,
        },
        Told::Spoilt(code) => BackupView {
            name,
            made_at: minted_at(found.id),
            ended_at: None,
            bytes: None,
            tenants: None,
            everything: None,
            whole: false,
            problem: Some(code.clone()),
            verified_at,
        },
    })
}

/// A name begins with the milliseconds at which it was made.
fn minted_at(id: RecordId) -> Timestamp {
    let millis = id.bytes()[..6].iter().fold(0, |millis, byte| millis << 8 | i64::from(*byte));
    Timestamp::from_micros(millis * 1_000)
}

impl From<&Copied> for HeldTenant {
    fn from(copied: &Copied) -> Self {
        Self {
            id: copied.tenant,
            slug: copied.about.get("slug").and_then(Value::as_str).map(str::to_owned),
            events: copied.head.position,
            objects: copied.objects.len(),
            segments: copied.telemetry.segments.len(),
            bytes: copied.length(),
        }
    }
}
