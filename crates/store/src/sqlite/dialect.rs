//! Every statement of the SQLite engine.

/// Migrations, forward only; a namespace remembers how far it came. What is released is never edited.
pub(super) const MIGRATIONS: [(&str, &str); 9] = [
    ("first tables", FIRST_TABLES),
    ("keys that are being built", BUILDING),
    ("jobs and numbers", JOBS_AND_NUMBERS),
    ("recycle bin by kind", RECYCLE_BIN),
    ("data keys", DATA_KEYS_TABLE),
    ("full text", FULL_TEXT),
    ("keys of requests", REQUESTS),
    ("versions of bodies", BODY_VERSIONS),
    ("events of requests", REQUEST_SPANS),
];

/// A body keeps the version that it was written in until it is written again.
const BODY_VERSIONS: &str = "ALTER TABLE record ADD COLUMN shape INTEGER NOT NULL DEFAULT 1";

pub(super) const MIGRATION_TABLE: &str =
    "CREATE TABLE IF NOT EXISTS migration (number INTEGER PRIMARY KEY, name TEXT NOT NULL, applied_at INTEGER NOT NULL) STRICT";

/// Tables with long rows have a rowid, so that their trees keep a high fan-out; key-only tables have none.
const FIRST_TABLES: &str = "
CREATE TABLE tenant (tenant INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE) STRICT;
CREATE TABLE kind (kind INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE field (field INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE key_state (
    kind INTEGER NOT NULL, field INTEGER NOT NULL, role TEXT NOT NULL, state TEXT NOT NULL,
    PRIMARY KEY (kind, field, role)
) STRICT, WITHOUT ROWID;
CREATE TABLE tenant_head (tenant INTEGER PRIMARY KEY, position INTEGER NOT NULL, hash BLOB NOT NULL) STRICT;
CREATE TABLE record (
    row INTEGER PRIMARY KEY,
    tenant INTEGER NOT NULL, kind INTEGER NOT NULL, id BLOB NOT NULL,
    parent BLOB, version INTEGER NOT NULL, body TEXT NOT NULL, scope TEXT, sealed BLOB,
    created_at INTEGER NOT NULL, created_by TEXT NOT NULL, updated_at INTEGER NOT NULL, updated_by TEXT NOT NULL,
    deleted_at INTEGER,
    UNIQUE (tenant, kind, id)
) STRICT;
CREATE INDEX record_deleted ON record (tenant, deleted_at) WHERE deleted_at IS NOT NULL;
CREATE INDEX record_parent ON record (tenant, parent) WHERE parent IS NOT NULL;
CREATE TABLE record_index (
    tenant INTEGER NOT NULL, kind INTEGER NOT NULL, field INTEGER NOT NULL, value BLOB NOT NULL, id BLOB NOT NULL,
    PRIMARY KEY (tenant, kind, field, value, id)
) STRICT, WITHOUT ROWID;
CREATE TABLE record_unique (
    tenant INTEGER NOT NULL, kind INTEGER NOT NULL, field INTEGER NOT NULL, value BLOB NOT NULL, id BLOB NOT NULL,
    PRIMARY KEY (tenant, kind, field, value)
) STRICT, WITHOUT ROWID;
CREATE TABLE event (
    row INTEGER PRIMARY KEY,
    tenant INTEGER NOT NULL, position INTEGER NOT NULL, subject BLOB NOT NULL, hash BLOB NOT NULL, body BLOB NOT NULL,
    UNIQUE (tenant, position)
) STRICT;
CREATE INDEX event_subject ON event (tenant, subject);
CREATE TABLE inbox (
    tenant INTEGER NOT NULL, source TEXT NOT NULL, message TEXT NOT NULL, expires_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, source, message)
) STRICT, WITHOUT ROWID;
CREATE TABLE idempotency (
    tenant INTEGER NOT NULL, principal TEXT NOT NULL, operation TEXT NOT NULL, key TEXT NOT NULL,
    request BLOB NOT NULL, status INTEGER, answer BLOB, expires_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, principal, operation, key)
) STRICT;
CREATE TABLE job (
    row INTEGER PRIMARY KEY,
    tenant INTEGER NOT NULL, id BLOB NOT NULL, kind TEXT NOT NULL, state TEXT NOT NULL, priority INTEGER NOT NULL, run_at INTEGER NOT NULL,
    unique_key TEXT, attempts INTEGER NOT NULL, epoch INTEGER NOT NULL, lease_until INTEGER, payload TEXT NOT NULL, progress TEXT, last_error TEXT,
    created_at INTEGER NOT NULL, finished_at INTEGER,
    UNIQUE (tenant, id)
) STRICT;
CREATE INDEX job_due ON job (state, run_at, priority);
CREATE UNIQUE INDEX job_unique ON job (tenant, kind, unique_key) WHERE unique_key IS NOT NULL AND finished_at IS NULL;
CREATE TABLE probe (one INTEGER PRIMARY KEY, count INTEGER NOT NULL) STRICT;
INSERT INTO probe VALUES (1, 0);
";

/// A key knows the type of its values: another type is another key. What was there before is of the type it has now.
const BUILDING: &str = "
ALTER TABLE key_state ADD COLUMN value TEXT NOT NULL DEFAULT '';
CREATE TABLE unclaimed (
    tenant INTEGER NOT NULL, kind INTEGER NOT NULL, field INTEGER NOT NULL, id BLOB NOT NULL, PRIMARY KEY (tenant, kind, field, id)
) STRICT, WITHOUT ROWID;
";

/// `due_at` is when somebody should look at an unfinished job again, whatever its state: one index finds what is due.
const JOBS_AND_NUMBERS: &str = "
DROP TABLE job;
CREATE TABLE job (
    row INTEGER PRIMARY KEY,
    tenant INTEGER NOT NULL, id BLOB NOT NULL, kind TEXT NOT NULL, state TEXT NOT NULL, priority INTEGER NOT NULL, run_at INTEGER NOT NULL,
    due_at INTEGER, unique_key TEXT, attempts INTEGER NOT NULL, epoch INTEGER NOT NULL, payload TEXT NOT NULL, progress TEXT, last_error TEXT,
    cancel_requested INTEGER NOT NULL, actor TEXT NOT NULL, request_id TEXT, trace_id TEXT, created_at INTEGER NOT NULL, finished_at INTEGER,
    UNIQUE (tenant, id)
) STRICT;
CREATE INDEX job_due ON job (tenant, priority, due_at) WHERE due_at IS NOT NULL;
CREATE INDEX job_key ON job (tenant, kind, unique_key) WHERE unique_key IS NOT NULL AND finished_at IS NULL;
CREATE INDEX job_dead ON job (tenant, id) WHERE state = 'dead';
CREATE INDEX job_finished ON job (tenant, finished_at) WHERE finished_at IS NOT NULL;
CREATE TABLE tally (tenant INTEGER NOT NULL, name TEXT NOT NULL, value INTEGER NOT NULL, PRIMARY KEY (tenant, name)) STRICT, WITHOUT ROWID;
CREATE INDEX inbox_expires ON inbox (tenant, expires_at);
";

/// A bin is looked into kind by kind, newest deletion first.
const RECYCLE_BIN: &str = "
DROP INDEX record_deleted;
CREATE INDEX record_deleted ON record (tenant, kind, deleted_at, id) WHERE deleted_at IS NOT NULL;
";

/// A key without a subject is for the tenant's secrets.
const DATA_KEYS_TABLE: &str = "
CREATE TABLE data_key (
    tenant INTEGER NOT NULL, id BLOB NOT NULL, subject BLOB, wrapped TEXT NOT NULL, created_at INTEGER NOT NULL, PRIMARY KEY (tenant, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX data_key_secrets ON data_key (tenant, id) WHERE subject IS NULL;
CREATE UNIQUE INDEX data_key_subject ON data_key (tenant, subject) WHERE subject IS NOT NULL;
";

pub(super) const SECRET_KEYS: &str =
    "SELECT id, subject, wrapped, created_at FROM data_key WHERE tenant = ?1 AND subject IS NULL ORDER BY id";
pub(super) const DATA_KEYS: &str =
    "SELECT id, subject, wrapped, created_at FROM data_key WHERE tenant = ?1 AND id > ?2 ORDER BY id LIMIT ?3";
pub(super) const DATA_KEY: &str = "SELECT id, subject, wrapped, created_at FROM data_key WHERE tenant = ?1 AND id = ?2";
pub(super) const SUBJECT_KEY: &str = "SELECT id, subject, wrapped, created_at FROM data_key WHERE tenant = ?1 AND subject = ?2";
pub(super) const FORGET_DATA_KEY: &str = "DELETE FROM data_key WHERE tenant = ?1 AND subject = ?2";
pub(super) const REWRAP_DATA_KEY: &str = "UPDATE data_key SET wrapped = ?4 WHERE tenant = ?1 AND id = ?2 AND wrapped = ?3";
pub(super) const PUT_DATA_KEY: &str = "INSERT INTO data_key (tenant, id, subject, wrapped, created_at) VALUES (?1, ?2, ?3, ?4, ?5)";

/// What records are found by: derived from them, and built anew where it is not there.
const FULL_TEXT: &str = "
CREATE TABLE record_search (
    tenant INTEGER NOT NULL, kind INTEGER NOT NULL, term BLOB NOT NULL, id BLOB NOT NULL, PRIMARY KEY (tenant, kind, term, id)
) STRICT, WITHOUT ROWID;
";

/// Which try claimed a key, when, and what it wrote: enough to tell whoever repeats a request whose answer a crash lost.
const REQUESTS: &str = "
DROP TABLE idempotency;
CREATE TABLE idempotency (
    tenant INTEGER NOT NULL, principal TEXT NOT NULL, operation TEXT NOT NULL, key TEXT NOT NULL,
    request BLOB NOT NULL, nonce BLOB NOT NULL, claimed_at INTEGER NOT NULL, written TEXT NOT NULL,
    status INTEGER, answer BLOB, expires_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, principal, operation, key)
) STRICT;
CREATE INDEX idempotency_expires ON idempotency (tenant, expires_at);
";

/// Which events each unit of a request left, for a day: what came before this is not found.
const REQUEST_SPANS: &str = "
CREATE TABLE request_span (
    tenant INTEGER NOT NULL, hour INTEGER NOT NULL, request INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
    PRIMARY KEY (tenant, hour, request, first)
) STRICT, WITHOUT ROWID;
";

pub(super) const PUT_SPAN: &str = "INSERT INTO request_span VALUES (?1, ?2, ?3, ?4, ?5)";
pub(super) const SPANS: &str = "SELECT first, last FROM request_span WHERE tenant = ?1 AND hour = ?2 AND request = ?3";
pub(super) const SWEEP_SPANS: &str = "DELETE FROM request_span WHERE tenant = ?1 AND (hour, request, first) IN
    (SELECT hour, request, first FROM request_span WHERE tenant = ?1 AND hour < ?2 LIMIT ?3)";

pub(super) const MIGRATED: &str = "SELECT coalesce(max(number), 0) FROM migration";
pub(super) const REMEMBER_MIGRATION: &str = "INSERT INTO migration VALUES (?1, ?2, ?3)";

pub(super) const INTERN_TENANT: &str = "INSERT INTO tenant (id) VALUES (?1) ON CONFLICT DO NOTHING";
pub(super) const TENANT: &str = "SELECT tenant FROM tenant WHERE id = ?1";
pub(super) const INTERN_KIND: &str = "INSERT INTO kind (name) VALUES (?1) ON CONFLICT DO NOTHING";
pub(super) const KIND: &str = "SELECT kind FROM kind WHERE name = ?1";
pub(super) const INTERN_FIELD: &str = "INSERT INTO field (name) VALUES (?1) ON CONFLICT DO NOTHING";
pub(super) const FIELD: &str = "SELECT field FROM field WHERE name = ?1";

pub(super) const KEY_STATES: &str =
    "SELECT f.name, k.role, k.value, k.state FROM key_state k JOIN field f ON f.field = k.field WHERE k.kind = ?1";
pub(super) const KEY_BEGUN: &str = "INSERT INTO key_state (kind, field, role, value, state) VALUES (?1, ?2, ?3, ?4, 'building')";
pub(super) const KEYS_READY: &str = "UPDATE key_state SET state = 'ready' WHERE kind = ?1";
pub(super) const KEY_GONE: &str = "DELETE FROM key_state WHERE kind = ?1 AND field = ?2 AND role = ?3";
pub(super) const FORGET_INDEX: &str = "DELETE FROM record_index WHERE tenant = ?1 AND kind = ?2 AND field = ?3";
pub(super) const FORGET_UNIQUE: &str = "DELETE FROM record_unique WHERE tenant = ?1 AND kind = ?2 AND field = ?3";
pub(super) const FORGET_SEARCH: &str = "DELETE FROM record_search WHERE tenant = ?1 AND kind = ?2";
pub(super) const FORGET_UNCLAIMED: &str = "DELETE FROM unclaimed WHERE tenant = ?1 AND kind = ?2 AND field = ?3";
pub(super) const NEXT_LIVE: &str =
    "SELECT id, body, shape FROM record WHERE tenant = ?1 AND kind = ?2 AND deleted_at IS NULL AND id > ?3 ORDER BY id LIMIT ?4";
pub(super) const ENTER_MISSING: &str = "INSERT INTO record_index VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING";
pub(super) const CLAIM_MISSING: &str = "INSERT INTO record_unique VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING";
pub(super) const FIND_MISSING: &str = "INSERT INTO record_search VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING";
pub(super) const REMEMBER_UNCLAIMED: &str = "INSERT INTO unclaimed VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING";
pub(super) const UNCLAIMED: &str = "SELECT kind, field, id FROM unclaimed WHERE tenant = ?1 ORDER BY kind, field, id LIMIT 1000";

pub(super) const HEAD: &str = "SELECT position, hash FROM tenant_head WHERE tenant = ?1";
pub(super) const FIRST_HEAD: &str = "INSERT INTO tenant_head VALUES (?1, 0, zeroblob(32)) ON CONFLICT DO NOTHING";
pub(super) const MOVE_HEAD: &str = "UPDATE tenant_head SET position = ?2, hash = ?3 WHERE tenant = ?1";

macro_rules! columns {
    () => {
        "version, parent, body, created_at, created_by, updated_at, updated_by, deleted_at, shape"
    };
}

pub(super) const RECORD: &str = concat!("SELECT ", columns!(), " FROM record WHERE tenant = ?1 AND kind = ?2 AND id = ?3");
pub(super) const PUT_RECORD: &str = "
INSERT INTO record (tenant, kind, id, version, parent, body, created_at, created_by, updated_at, updated_by, deleted_at, shape)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)
ON CONFLICT (tenant, kind, id) DO UPDATE SET version = excluded.version, parent = excluded.parent, body = excluded.body,
    created_at = excluded.created_at, created_by = excluded.created_by, updated_at = excluded.updated_at, updated_by = excluded.updated_by,
    deleted_at = excluded.deleted_at, shape = excluded.shape";

pub(super) const ERASE_RECORD: &str = "DELETE FROM record WHERE tenant = ?1 AND kind = ?2 AND id = ?3";

pub(super) const OWNER: &str = "SELECT id FROM record_unique WHERE tenant = ?1 AND kind = ?2 AND field = ?3 AND value = ?4";
pub(super) const CLAIM: &str = "INSERT INTO record_unique VALUES (?1, ?2, ?3, ?4, ?5)";
pub(super) const FREE: &str = "DELETE FROM record_unique WHERE tenant = ?1 AND kind = ?2 AND field = ?3 AND value = ?4 AND id = ?5";

pub(super) const ENTER: &str = "INSERT INTO record_index VALUES (?1, ?2, ?3, ?4, ?5)";
pub(super) const LEAVE: &str = "DELETE FROM record_index WHERE tenant = ?1 AND kind = ?2 AND field = ?3 AND value = ?4 AND id = ?5";
pub(super) const TELL: &str = "INSERT INTO record_search VALUES (?1, ?2, ?3, ?4)";
pub(super) const UNTELL: &str = "DELETE FROM record_search WHERE tenant = ?1 AND kind = ?2 AND term = ?3 AND id = ?4";
pub(super) const COUNT_FOUND: &str =
    "SELECT count(*) FROM (SELECT 1 FROM record_search WHERE tenant = ?1 AND kind = ?2 AND term >= ?3 AND term < ?4 LIMIT ?5)";
pub(super) const FOUND: &str =
    "SELECT id FROM record_search WHERE tenant = ?1 AND kind = ?2 AND term >= ?3 AND term < ?4 AND id < ?5 LIMIT ?6";
pub(super) const REFERRERS: &str =
    "SELECT id FROM record_index WHERE tenant = ?1 AND kind = ?2 AND field = ?3 AND value = ?4 ORDER BY id LIMIT ?5";

pub(super) const APPEND: &str = "INSERT INTO event (tenant, position, subject, hash, body) VALUES (?1, ?2, ?3, ?4, ?5)";
pub(super) const EVENTS: &str =
    "SELECT position, subject, hash, body FROM event WHERE tenant = ?1 AND position > ?2 ORDER BY position LIMIT ?3";

// Rows of one tenant stand in the order of their positions, so that the index of subjects, which ends with the row, has that order too.
pub(super) const HISTORY: &str = "SELECT position, subject, hash, body FROM event WHERE tenant = ?1 AND subject = ?2
    AND row <= (SELECT row FROM event WHERE tenant = ?1 AND position < ?3 ORDER BY position DESC LIMIT 1) ORDER BY row DESC LIMIT ?4";

pub(super) const COUNT: &str =
    "SELECT count(*) FROM (SELECT 1 FROM record_index WHERE tenant = ?1 AND kind = ?2 AND field = ?3 AND value BETWEEN ?4 AND ?5 LIMIT ?6)";

pub(super) const NEXT_VALUE: &str =
    "SELECT value, id FROM record_index WHERE tenant = ?1 AND kind = ?2 AND field = ?3 AND value > ?4 ORDER BY value, id LIMIT 1";

// Rows along an index. `CROSS JOIN` fixes the order: the index leads, the record is looked up.
pub(super) const BY_ID_UP: &str = concat!(
    "SELECT ",
    columns!(),
    ", id FROM record WHERE tenant = ?1 AND kind = ?2 AND deleted_at IS NULL AND id > ?3 ORDER BY id LIMIT ?4"
);
pub(super) const BY_ID_DOWN: &str = concat!(
    "SELECT ",
    columns!(),
    ", id FROM record WHERE tenant = ?1 AND kind = ?2 AND deleted_at IS NULL AND id < ?3 ORDER BY id DESC LIMIT ?4"
);

pub(super) const DELETED: &str = concat!(
    "SELECT ",
    columns!(),
    ", id FROM record WHERE tenant = ?1 AND kind = ?2 AND deleted_at IS NOT NULL AND (deleted_at, id) < (?3, ?4) ",
    "ORDER BY deleted_at DESC, id DESC LIMIT ?5"
);

macro_rules! joined {
    ($rest:literal) => {
        concat!(
            "SELECT r.version, r.parent, r.body, r.created_at, r.created_by, r.updated_at, r.updated_by, r.deleted_at, r.shape, i.id, i.value ",
            "FROM record_index i CROSS JOIN record r ON r.tenant = i.tenant AND r.kind = i.kind AND r.id = i.id ",
            "WHERE i.tenant = ?1 AND i.kind = ?2 AND i.field = ?3 AND ",
            $rest
        )
    };
}

pub(super) const EQUAL_UP: &str = joined!("i.value = ?4 AND i.id > ?5 ORDER BY i.id LIMIT ?6");
pub(super) const EQUAL_DOWN: &str = joined!("i.value = ?4 AND i.id < ?5 ORDER BY i.id DESC LIMIT ?6");
pub(super) const RANGE_UP: &str = joined!("(i.value, i.id) > (?4, ?5) AND i.value <= ?6 ORDER BY i.value, i.id LIMIT ?7");
pub(super) const RANGE_DOWN: &str = joined!("(i.value, i.id) < (?4, ?5) AND i.value >= ?6 ORDER BY i.value DESC, i.id DESC LIMIT ?7");

pub(super) const PROBE: &str = "UPDATE probe SET count = count + 1";

macro_rules! job_columns {
    () => {
        "j.id, j.kind, j.state, j.priority, j.run_at, j.due_at, j.unique_key, j.attempts, j.epoch, j.payload, j.progress, j.last_error, \
         j.cancel_requested, j.actor, j.request_id, j.trace_id, j.created_at, j.finished_at"
    };
}

/// A queued job waits while another one with its key is running.
macro_rules! not_blocked {
    () => {
        "(j.unique_key IS NULL OR j.state = 'running' OR NOT EXISTS (SELECT 1 FROM job r WHERE r.tenant = j.tenant AND r.kind = j.kind \
         AND r.unique_key = j.unique_key AND r.finished_at IS NULL AND r.state = 'running'))"
    };
}

pub(super) const JOB: &str = concat!("SELECT ", job_columns!(), " FROM job j WHERE j.tenant = ?1 AND j.id = ?2");
pub(super) const JOBS_BY_KEY: &str =
    concat!("SELECT ", job_columns!(), " FROM job j WHERE j.tenant = ?1 AND j.kind = ?2 AND j.unique_key = ?3 AND j.finished_at IS NULL");
pub(super) const JOBS_DUE: &str = concat!(
    "SELECT ",
    job_columns!(),
    " FROM job j WHERE j.tenant = ?1 AND j.priority = ?2 AND j.due_at <= ?3 AND j.kind IN (SELECT value FROM json_each(?4)) AND ",
    not_blocked!(),
    " ORDER BY j.due_at LIMIT ?5"
);
pub(super) const NEXT_DUE: &str = concat!(
    "SELECT j.due_at FROM job j WHERE j.tenant = ?1 AND j.priority = ?2 AND j.due_at IS NOT NULL AND (?3 IS NULL OR j.kind IN (SELECT value FROM json_each(?3))) AND ",
    not_blocked!(),
    " ORDER BY j.due_at LIMIT 1"
);
pub(super) const JOBS: &str = concat!(
    "SELECT ",
    job_columns!(),
    " FROM job j WHERE j.tenant = ?1 AND j.id < ?2 AND (?3 IS NULL OR j.state = ?3) AND (?4 IS NULL OR j.kind = ?4) ORDER BY j.id DESC LIMIT ?5"
);
pub(super) const DEAD_JOBS: &str = concat!(
    "SELECT ",
    job_columns!(),
    " FROM job j WHERE j.tenant = ?1 AND j.id < ?2 AND j.state = 'dead' AND (?3 IS NULL OR j.kind = ?3) ORDER BY j.id DESC LIMIT ?4"
);
pub(super) const PUT_JOB: &str = "
INSERT INTO job (tenant, id, kind, state, priority, run_at, due_at, unique_key, attempts, epoch, payload, progress, last_error, cancel_requested,
    actor, request_id, trace_id, created_at, finished_at)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19)
ON CONFLICT (tenant, id) DO UPDATE SET state = excluded.state, priority = excluded.priority, run_at = excluded.run_at, due_at = excluded.due_at, attempts = excluded.attempts,
    epoch = excluded.epoch, progress = excluded.progress, last_error = excluded.last_error, cancel_requested = excluded.cancel_requested,
    finished_at = excluded.finished_at";

pub(super) const SWEEP_JOBS: &str =
    "DELETE FROM job WHERE row IN (SELECT row FROM job WHERE tenant = ?1 AND finished_at < CASE state WHEN 'dead' THEN ?3 ELSE ?2 END
    AND finished_at IS NOT NULL AND finished_at < ?2 LIMIT ?4)";
pub(super) const SWEEP_INBOX: &str = "DELETE FROM inbox WHERE tenant = ?1 AND (source, message) IN (SELECT source, message FROM inbox WHERE tenant = ?1 AND expires_at <= ?2 LIMIT ?3)";

/// Kind by kind, as the index of the recycle bin is.
pub(super) const PURGE: &str =
    "DELETE FROM record WHERE row IN (SELECT row FROM record WHERE tenant = ?1 AND kind IN (SELECT kind FROM kind)
    AND deleted_at IS NOT NULL AND deleted_at < ?2 LIMIT ?3)";
pub(super) const REMEMBERED: &str = "SELECT request, nonce, claimed_at, written, status, answer, expires_at FROM idempotency
    WHERE tenant = ?1 AND principal = ?2 AND operation = ?3 AND key = ?4";
pub(super) const REMEMBER: &str =
    "INSERT INTO idempotency (tenant, principal, operation, key, request, nonce, claimed_at, written, status, answer, expires_at)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
    ON CONFLICT DO UPDATE SET request = excluded.request, nonce = excluded.nonce, claimed_at = excluded.claimed_at,
        written = excluded.written, status = excluded.status, answer = excluded.answer, expires_at = excluded.expires_at";
/// An answer may hold what the request wrote.
pub(super) const FORGET_ANSWERS: &str = "UPDATE idempotency SET status = NULL, answer = NULL
    WHERE tenant = ?1 AND answer IS NOT NULL AND instr(' ' || written || ' ', ' ' || ?2 || ' ') > 0";
pub(super) const SWEEP_REQUESTS: &str = "DELETE FROM idempotency WHERE rowid IN
    (SELECT rowid FROM idempotency WHERE tenant = ?1 AND expires_at <= ?2 LIMIT ?3)";

pub(super) const TALLY: &str = "SELECT value FROM tally WHERE tenant = ?1 AND name = ?2";
pub(super) const NOTES: &str =
    "SELECT substr(name, length(?2) + 1), value FROM tally WHERE tenant = ?1 AND name > ?2 AND name < ?3 AND value < ?4";
pub(super) const DROP_TALLY: &str = "DELETE FROM tally WHERE tenant = ?1 AND name = ?2";
pub(super) const PUT_TALLY: &str = "INSERT INTO tally VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET value = excluded.value";
pub(super) const RECEIVED: &str = "SELECT expires_at FROM inbox WHERE tenant = ?1 AND source = ?2 AND message = ?3";
pub(super) const RECEIVE: &str = "INSERT INTO inbox VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE SET expires_at = excluded.expires_at";
