//! Every statement of the PostgreSQL engine. Names are qualified by schema, since a pooled connection serves many; which schema, the caller
//! says once. Values never depend on a collation: texts that are compared are `"C"`, ids are `uuid`, index values are `bytea`.

use super::keys::KeyStatements;
use super::spans::SpanStatements;
use crate::list::Drive;

/// Migrations, forward only; a namespace remembers how far it came. What is released is never edited. `{s}` is the schema.
pub(super) const MIGRATIONS: [(&str, &str); 11] = [
    ("first tables", FIRST_TABLES),
    ("keys that are being built", BUILDING),
    ("jobs and numbers", JOBS_AND_NUMBERS),
    ("recycle bin by kind", RECYCLE_BIN),
    ("data keys", DATA_KEYS_TABLE),
    ("full text", FULL_TEXT),
    ("keys of requests", REQUESTS),
    ("versions of bodies", BODY_VERSIONS),
    ("tenants that share a schema", SHARING),
    ("events of requests", REQUEST_SPANS),
    ("lives of tenants", LIVES),
];

/// A body keeps the version that it was written in until it is written again.
const BODY_VERSIONS: &str = "ALTER TABLE {s}.record ADD COLUMN shape integer NOT NULL DEFAULT 1";

const FIRST_TABLES: &str = r#"
CREATE TABLE {s}.key_state (
    kind text COLLATE "C", field text COLLATE "C", role text COLLATE "C", state text NOT NULL, PRIMARY KEY (kind, field, role));
CREATE TABLE {s}.tenant_head (tenant uuid PRIMARY KEY, position bigint NOT NULL, hash bytea NOT NULL);
CREATE TABLE {s}.record (
    tenant uuid NOT NULL, kind text COLLATE "C" NOT NULL, id uuid NOT NULL,
    parent uuid, version bigint NOT NULL, body text NOT NULL, scope text, sealed bytea,
    created_at bigint NOT NULL, created_by text NOT NULL, updated_at bigint NOT NULL, updated_by text NOT NULL, deleted_at bigint,
    PRIMARY KEY (tenant, kind, id));
CREATE INDEX record_deleted ON {s}.record (tenant, deleted_at) WHERE deleted_at IS NOT NULL;
CREATE INDEX record_parent ON {s}.record (tenant, parent) WHERE parent IS NOT NULL;
CREATE TABLE {s}.record_index (
    tenant uuid, kind text COLLATE "C", field text COLLATE "C", value bytea, id uuid, PRIMARY KEY (tenant, kind, field, value, id));
CREATE TABLE {s}.record_unique (
    tenant uuid, kind text COLLATE "C", field text COLLATE "C", value bytea, id uuid NOT NULL, PRIMARY KEY (tenant, kind, field, value));
CREATE TABLE {s}.event (
    tenant uuid, position bigint, subject uuid NOT NULL, hash bytea NOT NULL, body bytea NOT NULL, PRIMARY KEY (tenant, position));
CREATE INDEX event_subject ON {s}.event (tenant, subject, position);
CREATE TABLE {s}.inbox (
    tenant uuid, source text COLLATE "C", message text COLLATE "C", expires_at bigint NOT NULL, PRIMARY KEY (tenant, source, message));
CREATE TABLE {s}.idempotency (
    tenant uuid, principal text COLLATE "C", operation text COLLATE "C", key text COLLATE "C",
    request bytea NOT NULL, status integer, answer bytea, expires_at bigint NOT NULL, PRIMARY KEY (tenant, principal, operation, key));
CREATE TABLE {s}.job (
    tenant uuid, id uuid, kind text COLLATE "C" NOT NULL, state text COLLATE "C" NOT NULL, priority integer NOT NULL, run_at bigint NOT NULL,
    unique_key text COLLATE "C", attempts integer NOT NULL, epoch bigint NOT NULL, lease_until bigint, payload text NOT NULL, progress text,
    last_error text, created_at bigint NOT NULL, finished_at bigint, PRIMARY KEY (tenant, id));
CREATE INDEX job_due ON {s}.job (state, run_at, priority);
CREATE UNIQUE INDEX job_unique ON {s}.job (tenant, kind, unique_key) WHERE unique_key IS NOT NULL AND finished_at IS NULL;
DO $$
DECLARE name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['tenant_head', 'record', 'record_index', 'record_unique', 'event', 'inbox', 'idempotency', 'job'] LOOP
        EXECUTE format('ALTER TABLE {s}.%I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE {s}.%I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY tenant ON {s}.%I USING (tenant = nullif(current_setting(''steward.tenant'', true), '''')::uuid)', name);
    END LOOP;
END $$;
"#;

/// A key knows the type of its values: another type is another key. What was there before is of the type it has now.
const BUILDING: &str = r#"
ALTER TABLE {s}.key_state ADD COLUMN value text COLLATE "C" NOT NULL DEFAULT '';
CREATE TABLE {s}.unclaimed (
    tenant uuid, kind text COLLATE "C", field text COLLATE "C", id uuid, PRIMARY KEY (tenant, kind, field, id));
ALTER TABLE {s}.unclaimed ENABLE ROW LEVEL SECURITY;
ALTER TABLE {s}.unclaimed FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON {s}.unclaimed USING (tenant = nullif(current_setting('steward.tenant', true), '')::uuid);
"#;

/// `due_at` is when somebody should look at an unfinished job again, whatever its state: one index finds what is due.
const JOBS_AND_NUMBERS: &str = r#"
DROP TABLE {s}.job;
CREATE TABLE {s}.job (
    tenant uuid, id uuid, kind text COLLATE "C" NOT NULL, state text COLLATE "C" NOT NULL, priority integer NOT NULL, run_at bigint NOT NULL,
    due_at bigint, unique_key text COLLATE "C", attempts integer NOT NULL, epoch bigint NOT NULL, payload text NOT NULL, progress text,
    last_error text, cancel_requested boolean NOT NULL, actor text NOT NULL, request_id text, trace_id text, created_at bigint NOT NULL,
    finished_at bigint, PRIMARY KEY (tenant, id)) WITH (fillfactor = 70);
CREATE INDEX job_due ON {s}.job (tenant, priority, due_at) WHERE due_at IS NOT NULL;
CREATE INDEX job_key ON {s}.job (tenant, kind, unique_key) WHERE unique_key IS NOT NULL AND finished_at IS NULL;
CREATE INDEX job_dead ON {s}.job (tenant, id) WHERE state = 'dead';
CREATE INDEX job_finished ON {s}.job (tenant, finished_at) WHERE finished_at IS NOT NULL;
CREATE TABLE {s}.tally (tenant uuid, name text COLLATE "C", value bigint NOT NULL, PRIMARY KEY (tenant, name));
CREATE INDEX inbox_expires ON {s}.inbox (tenant, expires_at);
DO $$
DECLARE name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['job', 'tally'] LOOP
        EXECUTE format('ALTER TABLE {s}.%I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE {s}.%I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY tenant ON {s}.%I USING (tenant = nullif(current_setting(''steward.tenant'', true), '''')::uuid)', name);
    END LOOP;
END $$;
"#;

/// A bin is looked into kind by kind, newest deletion first.
const RECYCLE_BIN: &str = "
DROP INDEX {s}.record_deleted;
CREATE INDEX record_deleted ON {s}.record (tenant, kind, deleted_at, id) WHERE deleted_at IS NOT NULL;
";
/// Which try claimed a key, when, and what it wrote: enough to tell whoever repeats a request whose answer a crash lost.
const REQUESTS: &str = r#"
DROP TABLE {s}.idempotency;
CREATE TABLE {s}.idempotency (
    tenant uuid, principal text COLLATE "C", operation text COLLATE "C", key text COLLATE "C",
    request bytea NOT NULL, nonce bytea NOT NULL, claimed_at bigint NOT NULL, written text NOT NULL,
    status integer, answer bytea, expires_at bigint NOT NULL, PRIMARY KEY (tenant, principal, operation, key));
CREATE INDEX idempotency_expires ON {s}.idempotency (tenant, expires_at);
ALTER TABLE {s}.idempotency ENABLE ROW LEVEL SECURITY;
ALTER TABLE {s}.idempotency FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON {s}.idempotency USING (tenant = nullif(current_setting('steward.tenant', true), '')::uuid);
"#;

/// A key without a subject is for the tenant's secrets.
const DATA_KEYS_TABLE: &str = r#"
CREATE TABLE {s}.data_key (
    tenant uuid, id uuid, subject uuid, wrapped text NOT NULL, created_at bigint NOT NULL, PRIMARY KEY (tenant, id));
CREATE INDEX data_key_secrets ON {s}.data_key (tenant, id) WHERE subject IS NULL;
CREATE UNIQUE INDEX data_key_subject ON {s}.data_key (tenant, subject) WHERE subject IS NOT NULL;
ALTER TABLE {s}.data_key ENABLE ROW LEVEL SECURITY;
ALTER TABLE {s}.data_key FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON {s}.data_key USING (tenant = nullif(current_setting('steward.tenant', true), '')::uuid);
"#;

/// What records are found by: derived from them, and built anew where it is not there.
const FULL_TEXT: &str = r#"
CREATE TABLE {s}.record_search (tenant uuid, kind text COLLATE "C", term bytea, id uuid, PRIMARY KEY (tenant, kind, term, id));
ALTER TABLE {s}.record_search ENABLE ROW LEVEL SECURITY;
ALTER TABLE {s}.record_search FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON {s}.record_search USING (tenant = nullif(current_setting('steward.tenant', true), '')::uuid);
"#;

/// Each tenant of a schema builds its own keys. What is being loaded can be told from what is whole.
const SHARING: &str = r#"
ALTER TABLE {s}.key_state ADD COLUMN tenant uuid;
UPDATE {s}.key_state SET tenant = (SELECT tenant FROM {s}.tenant_head);
DELETE FROM {s}.key_state WHERE tenant IS NULL;
ALTER TABLE {s}.key_state DROP CONSTRAINT key_state_pkey, ADD PRIMARY KEY (tenant, kind, field, role);
ALTER TABLE {s}.key_state ENABLE ROW LEVEL SECURITY;
ALTER TABLE {s}.key_state FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON {s}.key_state USING (tenant = nullif(current_setting('steward.tenant', true), '')::uuid);
CREATE TABLE {s}.loading (tenant uuid PRIMARY KEY);
"#;

/// Which events each unit of a request left, for a day: what came before this is not found.
const REQUEST_SPANS: &str = r#"
CREATE TABLE {s}.request_span (
    tenant uuid, hour bigint, request bigint, first bigint, last bigint NOT NULL, PRIMARY KEY (tenant, hour, request, first));
ALTER TABLE {s}.request_span ENABLE ROW LEVEL SECURITY;
ALTER TABLE {s}.request_span FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON {s}.request_span USING (tenant = nullif(current_setting('steward.tenant', true), '')::uuid);
"#;

/// A head that is made anew is another one, whatever its position: other processes can tell.
const LIVES: &str = "ALTER TABLE {s}.tenant_head ADD COLUMN life uuid NOT NULL DEFAULT gen_random_uuid()";

/// The second wall: row-level security lets a transaction see this tenant's rows only.
pub(super) const AS_TENANT: &str = "SELECT set_config('steward.tenant', $1, false)";
pub(super) const SCHEMA_EXISTS: &str = "SELECT 1 FROM pg_namespace WHERE nspname = $1";
/// A migration takes as long as it takes, and waits for the one of another process.
pub(super) const BEGIN_UNLIMITED: &str = "BEGIN; SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0";
pub(super) const LOCK_SCHEMA: &str = "SELECT pg_advisory_xact_lock(hashtextextended('steward:' || $1, 0))";
pub(super) const LOCK_TENANT: &str = "SELECT pg_advisory_xact_lock(hashtextextended('steward:' || $1 || $2, 3))";
/// Row-level security does not bind these.
pub(super) const PASSES_WALLS: &str = "SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user";
/// Held by the connection that moves a tenant.
pub(super) const LOCK_GUARD: &str = "SELECT pg_advisory_lock(hashtextextended('steward:' || $1, 2))";
/// All of one moment, and for as long as whoever takes it needs.
pub(super) const BEGIN_SNAPSHOT: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL idle_in_transaction_session_timeout = '10min'; SET LOCAL statement_timeout = 0";
/// Held by the connection that loads, so that others leave its schema alone.
pub(super) const LOCK_LOADING: &str = "SELECT pg_advisory_lock(hashtextextended('steward:' || $1, 1))";
pub(super) const TRY_LOCK_LOADING: &str = "SELECT pg_try_advisory_lock(hashtextextended('steward:' || $1, 1))";
pub(super) const UNLOCK_LOADING: &str = "SELECT pg_advisory_unlock(hashtextextended('steward:' || $1, 1))";
pub(super) const LOADING_SCHEMAS: &str = "SELECT nspname::text FROM pg_namespace WHERE starts_with(nspname, 'loading_')";
pub(super) const CAN_WRITE: &str = "SELECT NOT pg_is_in_recovery() AND current_setting('transaction_read_only') = 'off'";
pub(super) const IS_DURABLE: &str = "SELECT current_setting('fsync') = 'on' AND current_setting('synchronous_commit') <> 'off'";
pub(super) const RING: &str = "SELECT pg_notify('steward', $1)";
pub(super) const LISTEN: &str = "LISTEN steward";

const COLUMNS: &str = "r.version, r.parent, r.body, r.created_at, r.created_by, r.updated_at, r.updated_by, r.deleted_at, r.shape";

/// The statements of one schema.
pub(super) struct Statements {
    pub(super) schema: String,
    pub(super) migration_table: String,
    pub(super) migrated: String,
    pub(super) remember_migration: String,
    pub(super) key_states: String,
    pub(super) keys_begun: String,
    pub(super) keys_ready: String,
    pub(super) key_gone: String,
    pub(super) forget_index: String,
    pub(super) forget_unique: String,
    pub(super) forget_unclaimed: String,
    pub(super) forget_search: String,
    pub(super) find_missing: String,
    pub(super) tell: String,
    pub(super) untell: String,
    pub(super) count_found: String,
    pub(super) found_ids: String,
    pub(super) next_live: String,
    pub(super) enter_missing: String,
    pub(super) claim_missing: String,
    pub(super) remember_unclaimed: String,
    pub(super) unclaimed: String,
    pub(super) first_head: String,
    pub(super) head: String,
    pub(super) is_there: String,
    pub(super) last_event: String,
    pub(super) put_head: String,
    pub(super) drop_head: String,
    pub(super) loading: String,
    pub(super) is_loading: String,
    pub(super) begin_loading: String,
    pub(super) end_loading: String,
    /// The tables that hold rows of tenants.
    pub(super) tables: String,
    pub(super) lock_head: String,
    pub(super) move_head: String,
    pub(super) record: String,
    pub(super) found: String,
    pub(super) records: String,
    pub(super) owners: String,
    pub(super) referrers: String,
    pub(super) put: String,
    pub(super) leave: String,
    pub(super) enter: String,
    pub(super) free: String,
    pub(super) claim: String,
    pub(super) append: String,
    pub(super) hash_at: String,
    pub(super) events: String,
    pub(super) history: String,
    pub(super) purge: String,
    pub(super) erase: String,
    pub(super) count: String,
    pub(super) values: String,
    pub(super) jobs: JobStatements,
    pub(super) keys: KeyStatements,
    pub(super) spans: SpanStatements,
}

/// The statements of one schema for jobs and numbers.
pub(super) struct JobStatements {
    pub(super) some: String,
    pub(super) by_keys: String,
    pub(super) due: String,
    pub(super) next_due: String,
    pub(super) list: String,
    pub(super) put: String,
    pub(super) tallies: String,
    pub(super) notes: String,
    pub(super) drop_tallies: String,
    pub(super) put_tallies: String,
    pub(super) received: String,
    pub(super) receive: String,
    pub(super) sweep_jobs: String,
    pub(super) sweep_inbox: String,
    pub(super) remembered: String,
    pub(super) remember: String,
    /// An answer may hold what the request wrote.
    pub(super) forget_answers: String,
    pub(super) sweep_requests: String,
}

const JOB_COLUMNS: &str = "j.id, j.kind, j.state, j.priority, j.run_at, j.due_at, j.unique_key, j.attempts, j.epoch, j.payload, j.progress,
    j.last_error, j.cancel_requested, j.actor, j.request_id, j.trace_id, j.created_at, j.finished_at";
/// A queued job waits while another one with its key is running.
const NOT_BLOCKED: &str = "(j.unique_key IS NULL OR j.state = 'running' OR NOT EXISTS (SELECT 1 FROM {s}.job r WHERE r.tenant = j.tenant
    AND r.kind = j.kind AND r.unique_key = j.unique_key AND r.finished_at IS NULL AND r.state = 'running'))";

impl JobStatements {
    fn of(schema: &str) -> Self {
        let at = |text: &str| {
            let text = text.replace("{columns}", JOB_COLUMNS).replace("{not_blocked}", NOT_BLOCKED);
            text.replace("{s}", &format!("\"{schema}\""))
        };
        Self {
            some: at("SELECT {columns} FROM {s}.job j WHERE j.tenant = $1 AND j.id = ANY ($2::uuid[])"),
            by_keys: at("SELECT {columns} FROM unnest($2::text[], $3::text[]) k (kind, key)
                JOIN {s}.job j ON j.tenant = $1 AND j.kind = k.kind AND j.unique_key = k.key AND j.finished_at IS NULL"),
            // One range of the index per priority: sorting everything that is due would read everything that is due.
            due: at("SELECT {columns} FROM unnest(ARRAY[0, 1, 2]) WITH ORDINALITY p (priority, turn)
                CROSS JOIN LATERAL (SELECT * FROM {s}.job j WHERE j.tenant = $1 AND j.priority = p.priority AND j.due_at <= $2
                    AND j.kind = ANY ($3::text[]) AND {not_blocked} ORDER BY j.due_at LIMIT $4) j
                ORDER BY p.turn, j.due_at LIMIT $4"),
            next_due: at("SELECT min(j.due_at) FROM unnest(ARRAY[0, 1, 2]) p (priority)
                CROSS JOIN LATERAL (SELECT j.due_at FROM {s}.job j WHERE j.tenant = $1 AND j.priority = p.priority AND j.due_at IS NOT NULL
                    AND ($2::text[] IS NULL OR j.kind = ANY ($2::text[])) AND {not_blocked} ORDER BY j.due_at LIMIT 1) j"),
            list: at("SELECT {columns} FROM {s}.job j WHERE j.tenant = $1 AND ($2::uuid IS NULL OR j.id < $2)
                AND ($3::text IS NULL OR j.state = $3) AND ($4::text IS NULL OR j.kind = $4) ORDER BY j.id DESC LIMIT $5"),
            put: at("INSERT INTO {s}.job
                    (tenant, id, kind, state, priority, run_at, due_at, unique_key, attempts, epoch, payload, progress, last_error,
                    cancel_requested, actor, request_id, trace_id, created_at, finished_at)
                SELECT $1, * FROM unnest($2::uuid[], $3::text[], $4::text[], $5::integer[], $6::bigint[], $7::bigint[], $8::text[], $9::integer[],
                    $10::bigint[], $11::text[], $12::text[], $13::text[], $14::boolean[], $15::text[], $16::text[], $17::text[], $18::bigint[],
                    $19::bigint[])
                ON CONFLICT (tenant, id) DO UPDATE SET state = excluded.state, priority = excluded.priority, run_at = excluded.run_at, due_at = excluded.due_at,
                    attempts = excluded.attempts, epoch = excluded.epoch, progress = excluded.progress, last_error = excluded.last_error,
                    cancel_requested = excluded.cancel_requested, finished_at = excluded.finished_at"),
            tallies: at("SELECT name, value FROM {s}.tally WHERE tenant = $1 AND name = ANY ($2::text[])"),
            drop_tallies: at("DELETE FROM {s}.tally WHERE tenant = $1 AND name = ANY ($2::text[])"),
            notes: at("SELECT substr(name, length($2) + 1), value FROM {s}.tally WHERE tenant = $1 AND starts_with(name, $2) AND value < $3"),
            put_tallies: at("INSERT INTO {s}.tally SELECT $1, * FROM unnest($2::text[], $3::bigint[])
                ON CONFLICT (tenant, name) DO UPDATE SET value = excluded.value"),
            received: at("SELECT i.source, i.message, i.expires_at FROM unnest($2::text[], $3::text[]) k (source, message)
                JOIN {s}.inbox i ON i.tenant = $1 AND i.source = k.source AND i.message = k.message"),
            sweep_jobs: at("DELETE FROM {s}.job WHERE tenant = $1 AND id IN (SELECT id FROM {s}.job WHERE tenant = $1 AND finished_at IS NOT NULL
                AND finished_at < $2 AND finished_at < CASE state WHEN 'dead' THEN $3 ELSE $2 END LIMIT $4)"),
            sweep_inbox: at("DELETE FROM {s}.inbox WHERE tenant = $1 AND (source, message) IN
                (SELECT source, message FROM {s}.inbox WHERE tenant = $1 AND expires_at <= $2 LIMIT $3)"),
            remembered: at("SELECT i.principal, i.operation, i.key, i.request, i.nonce, i.claimed_at, i.written, i.status, i.answer, i.expires_at
                FROM unnest($2::text[], $3::text[], $4::text[]) k (principal, operation, key)
                JOIN {s}.idempotency i ON i.tenant = $1 AND i.principal = k.principal AND i.operation = k.operation AND i.key = k.key"),
            remember: at("INSERT INTO {s}.idempotency
                    (tenant, principal, operation, key, request, nonce, claimed_at, written, status, answer, expires_at)
                SELECT $1, * FROM unnest($2::text[], $3::text[], $4::text[], $5::bytea[], $6::bytea[], $7::bigint[], $8::text[], $9::integer[],
                    $10::bytea[], $11::bigint[])
                ON CONFLICT (tenant, principal, operation, key) DO UPDATE SET request = excluded.request, nonce = excluded.nonce,
                    claimed_at = excluded.claimed_at, written = excluded.written, status = excluded.status, answer = excluded.answer,
                    expires_at = excluded.expires_at"),
            forget_answers: at("UPDATE {s}.idempotency i SET status = NULL, answer = NULL FROM unnest($2::text[]) k (id)
                WHERE i.tenant = $1 AND i.answer IS NOT NULL AND strpos(' ' || i.written || ' ', ' ' || k.id || ' ') > 0"),
            sweep_requests: at("DELETE FROM {s}.idempotency WHERE tenant = $1 AND (principal, operation, key) IN
                (SELECT principal, operation, key FROM {s}.idempotency WHERE tenant = $1 AND expires_at <= $2 LIMIT $3)"),
            receive: at("INSERT INTO {s}.inbox SELECT $1, * FROM unnest($2::text[], $3::text[], $4::bigint[])
                ON CONFLICT (tenant, source, message) DO UPDATE SET expires_at = excluded.expires_at"),
        }
    }
}

impl Statements {
    pub(super) fn of(schema: &str) -> Self {
        let at = |text: &str| text.replace("{s}", &format!("\"{schema}\"")).replace("{columns}", COLUMNS);
        Self {
            schema: schema.to_owned(),
            migration_table: at("CREATE TABLE IF NOT EXISTS {s}.migration (number bigint PRIMARY KEY, name text NOT NULL, applied_at bigint NOT NULL)"),
            migrated: at("SELECT coalesce(max(number), 0) FROM {s}.migration"),
            remember_migration: at("INSERT INTO {s}.migration VALUES ($1, $2, $3)"),
            key_states: at("SELECT field, role, value, state, kind FROM {s}.key_state WHERE tenant = $1"),
            keys_begun: at("INSERT INTO {s}.key_state (tenant, kind, field, role, value, state)
                SELECT $1, k.kind, k.field, k.role, k.value, $6 FROM unnest($2::text[], $3::text[], $4::text[], $5::text[]) k (kind, field, role, value)"),
            keys_ready: at("UPDATE {s}.key_state SET state = 'ready' WHERE tenant = $1 AND kind = $2"),
            key_gone: at("DELETE FROM {s}.key_state WHERE tenant = $1 AND kind = $2 AND field = $3 AND role = $4"),
            forget_index: at("DELETE FROM {s}.record_index WHERE tenant = $1 AND kind = $2 AND field = $3"),
            forget_unique: at("DELETE FROM {s}.record_unique WHERE tenant = $1 AND kind = $2 AND field = $3"),
            forget_unclaimed: at("DELETE FROM {s}.unclaimed WHERE tenant = $1 AND kind = $2 AND field = $3"),
            forget_search: at("DELETE FROM {s}.record_search WHERE tenant = $1 AND kind = $2"),
            find_missing: at("INSERT INTO {s}.record_search SELECT $1, * FROM unnest($2::text[], $3::bytea[], $4::uuid[]) ON CONFLICT DO NOTHING"),
            tell: at("INSERT INTO {s}.record_search SELECT $1, * FROM unnest($2::text[], $3::bytea[], $4::uuid[])"),
            untell: at("DELETE FROM {s}.record_search s USING unnest($2::text[], $3::bytea[], $4::uuid[]) k (kind, term, id)
                WHERE s.tenant = $1 AND s.kind = k.kind AND s.term = k.term AND s.id = k.id"),
            count_found: at("SELECT count(*) FROM (SELECT 1 FROM {s}.record_search
                WHERE tenant = $1 AND kind = $2 AND term >= $3 AND term < $4 LIMIT $5) terms"),
            found_ids: at("SELECT id FROM {s}.record_search
                WHERE tenant = $1 AND kind = $2 AND term >= $3 AND term < $4 AND ($5::uuid IS NULL OR id < $5) LIMIT $6"),
            next_live: at("SELECT id, body, shape FROM {s}.record
                WHERE tenant = $1 AND kind = $2 AND deleted_at IS NULL AND id > $3 ORDER BY id LIMIT $4"),
            enter_missing: at("INSERT INTO {s}.record_index SELECT $1, * FROM unnest($2::text[], $3::text[], $4::bytea[], $5::uuid[])
                ON CONFLICT DO NOTHING"),
            claim_missing: at("INSERT INTO {s}.record_unique SELECT $1, * FROM unnest($2::text[], $3::text[], $4::bytea[], $5::uuid[])
                ON CONFLICT DO NOTHING"),
            remember_unclaimed: at("INSERT INTO {s}.unclaimed
                SELECT $1, k.kind, k.field, k.id FROM unnest($2::text[], $3::text[], $4::bytea[], $5::uuid[]) k (kind, field, value, id)
                JOIN {s}.record_unique u ON u.tenant = $1 AND u.kind = k.kind AND u.field = k.field AND u.value = k.value AND u.id <> k.id
                ON CONFLICT DO NOTHING RETURNING field, id"),
            unclaimed: at("SELECT kind, field, id FROM {s}.unclaimed WHERE tenant = $1 ORDER BY kind, field, id LIMIT 1000"),
            first_head: at("INSERT INTO {s}.tenant_head VALUES ($1, 0, decode(repeat('00', 32), 'hex')) ON CONFLICT DO NOTHING"),
            head: at("SELECT position, hash, life FROM {s}.tenant_head WHERE tenant = $1"),
            // A head may be away for a moment, and keys are there from the first one on; of what is being loaded nobody knows yet.
            is_there: at("SELECT 1 FROM {s}.key_state WHERE tenant = $1 AND NOT EXISTS (SELECT 1 FROM {s}.loading WHERE tenant = $1) LIMIT 1"),
            last_event: at("SELECT position, hash FROM {s}.event WHERE tenant = $1 ORDER BY position DESC LIMIT 1"),
            put_head: at("INSERT INTO {s}.tenant_head VALUES ($1, $2, $3) ON CONFLICT (tenant) DO UPDATE SET position = excluded.position, hash = excluded.hash
                RETURNING life"),
            drop_head: at("DELETE FROM {s}.tenant_head WHERE tenant = $1"),
            loading: at("SELECT tenant FROM {s}.loading"),
            is_loading: at("SELECT 1 FROM {s}.loading WHERE tenant = $1"),
            begin_loading: at("INSERT INTO {s}.loading VALUES ($1) ON CONFLICT DO NOTHING"),
            end_loading: at("DELETE FROM {s}.loading WHERE tenant = $1"),
            tables: format!("SELECT c.table_name::text FROM information_schema.columns c
                WHERE c.table_schema = '{schema}' AND c.column_name = 'tenant' AND c.table_name <> 'loading'"),
            lock_head: at("SELECT position, hash, life FROM {s}.tenant_head WHERE tenant = $1 FOR UPDATE"),
            move_head: at("UPDATE {s}.tenant_head SET position = $2, hash = $3 WHERE tenant = $1"),
            record: at("SELECT {columns} FROM {s}.record r WHERE r.tenant = $1 AND r.kind = $2 AND r.id = $3"),
            found: at("SELECT {columns}, r.id FROM {s}.record_unique u JOIN {s}.record r ON r.tenant = u.tenant AND r.kind = u.kind AND r.id = u.id
                WHERE u.tenant = $1 AND u.kind = $2 AND u.field = $3 AND u.value = $4"),
            // `OFFSET 0` keeps the planner from turning a lookup per key into a scan of the table.
            records: at("SELECT {columns}, k.kind, k.id FROM unnest($2::text[], $3::uuid[]) k (kind, id)
                CROSS JOIN LATERAL (SELECT * FROM {s}.record WHERE tenant = $1 AND kind = k.kind AND id = k.id OFFSET 0) r"),
            owners: at("SELECT k.at, u.id FROM unnest($2::text[], $3::text[], $4::bytea[]) WITH ORDINALITY k (kind, field, value, at)
                CROSS JOIN LATERAL (SELECT id FROM {s}.record_unique
                    WHERE tenant = $1 AND kind = k.kind AND field = k.field AND value = k.value OFFSET 0) u"),
            referrers: at("SELECT id FROM {s}.record_index WHERE tenant = $1 AND kind = $2 AND field = $3 AND value = $4 ORDER BY id LIMIT $5"),
            put: at("INSERT INTO {s}.record AS r
                    (tenant, kind, id, version, parent, body, created_at, created_by, updated_at, updated_by, deleted_at, shape)
                SELECT $1, * FROM unnest($2::text[], $3::uuid[], $4::bigint[], $5::uuid[], $6::text[], $7::bigint[], $8::text[], $9::bigint[],
                    $10::text[], $11::bigint[], $12::integer[])
                ON CONFLICT (tenant, kind, id) DO UPDATE SET version = excluded.version, parent = excluded.parent, body = excluded.body,
                    created_at = excluded.created_at, created_by = excluded.created_by, updated_at = excluded.updated_at,
                    updated_by = excluded.updated_by, deleted_at = excluded.deleted_at, shape = excluded.shape"),
            leave: at("DELETE FROM {s}.record_index i USING unnest($2::text[], $3::text[], $4::bytea[], $5::uuid[]) k (kind, field, value, id)
                WHERE i.tenant = $1 AND i.kind = k.kind AND i.field = k.field AND i.value = k.value AND i.id = k.id"),
            enter: at("INSERT INTO {s}.record_index SELECT $1, * FROM unnest($2::text[], $3::text[], $4::bytea[], $5::uuid[])"),
            free: at("DELETE FROM {s}.record_unique u USING unnest($2::text[], $3::text[], $4::bytea[], $5::uuid[]) k (kind, field, value, id)
                WHERE u.tenant = $1 AND u.kind = k.kind AND u.field = k.field AND u.value = k.value AND u.id = k.id"),
            claim: at("INSERT INTO {s}.record_unique SELECT $1, * FROM unnest($2::text[], $3::text[], $4::bytea[], $5::uuid[])"),
            append: at("INSERT INTO {s}.event SELECT $1, * FROM unnest($2::bigint[], $3::uuid[], $4::bytea[], $5::bytea[])"),
            hash_at: at("SELECT hash FROM {s}.event WHERE tenant = $1 AND position = $2"),
            events: at("SELECT position, subject, hash, body FROM {s}.event WHERE tenant = $1 AND position > $2 ORDER BY position LIMIT $3"),
            history: at("SELECT position, subject, hash, body FROM {s}.event WHERE tenant = $1 AND subject = $2 AND position < $3
                ORDER BY position DESC LIMIT $4"),
            erase: at("DELETE FROM {s}.record r USING unnest($2::text[], $3::uuid[]) k (kind, id)
                WHERE r.tenant = $1 AND r.kind = k.kind AND r.id = k.id"),
            purge: at("DELETE FROM {s}.record WHERE tenant = $1 AND (kind, id) IN (SELECT kind, id FROM {s}.record
                WHERE tenant = $1 AND deleted_at IS NOT NULL AND deleted_at < $2 LIMIT $3)"),
            // From value to value: what lies between two is stepped over. The limit ends the recursion, since nobody asks for more.
            values: at("WITH RECURSIVE known AS (
                    (SELECT value, id FROM {s}.record_index WHERE tenant = $1 AND kind = $2 AND field = $3 ORDER BY value, id LIMIT 1)
                    UNION ALL
                    SELECT next.value, next.id FROM known CROSS JOIN LATERAL (SELECT value, id FROM {s}.record_index
                        WHERE tenant = $1 AND kind = $2 AND field = $3 AND value > known.value ORDER BY value, id LIMIT 1) next)
                SELECT value, id, (SELECT count(*) FROM (SELECT 1 FROM {s}.record_index i
                    WHERE i.tenant = $1 AND i.kind = $2 AND i.field = $3 AND i.value = known.value LIMIT $5) entries)
                FROM known LIMIT $4"),
            count: at("SELECT count(*) FROM (SELECT 1 FROM {s}.record_index
                WHERE tenant = $1 AND kind = $2 AND field = $3 AND value BETWEEN $4 AND $5 LIMIT $6) entries"),
            jobs: JobStatements::of(schema),
            keys: KeyStatements::of(schema),
            spans: SpanStatements::of(schema),
        }
    }

    pub(super) fn migration(&self, statements: &str) -> String {
        statements.replace("{s}", &format!("\"{}\"", self.schema))
    }

    /// What holds the text of records and keys.
    pub(super) fn scrubbed(&self) -> Vec<String> {
        let tables = ["record", "record_index", "record_unique", "record_search", "data_key"];
        tables.iter().map(|table| format!("\"{}\".{table}", self.schema)).collect()
    }

    pub(super) fn create_schema(&self) -> String {
        format!("CREATE SCHEMA IF NOT EXISTS \"{}\"", self.schema)
    }

    pub(super) fn drop_schema(&self) -> String {
        format!("DROP SCHEMA IF EXISTS \"{}\" CASCADE", self.schema)
    }

    pub(super) fn rename_schema(&self, name: &str) -> String {
        format!("ALTER SCHEMA \"{}\" RENAME TO \"{name}\"", self.schema)
    }

    /// Rows along an index. The inner query is one index scan and bounds what the outer one looks up.
    ///
    /// Parameters: tenant, kind, limit; with an index field and value or far bound; then where to go on: value and id, or the near bound.
    pub(super) fn scan(&self, drive: &Drive, up: bool, resumed: bool) -> String {
        let (past, short_of, way) = if up { (">", "<=", "ASC") } else { ("<", ">=", "DESC") };
        let at_or_past = if up { ">=" } else { "<=" };
        let schema = &self.schema;
        if matches!(drive, Drive::Id) {
            let from = if resumed { format!("AND r.id {past} $4") } else { String::new() };
            return format!(
                "SELECT {COLUMNS}, r.id FROM \"{schema}\".record r WHERE r.tenant = $1 AND r.kind = $2 AND r.deleted_at IS NULL {from} ORDER BY r.id {way} LIMIT $3"
            );
        }
        if matches!(drive, Drive::Deleted) {
            let from = if resumed { "AND (r.deleted_at, r.id) < ($4, $5)" } else { "" };
            return format!(
                "SELECT {COLUMNS}, r.id FROM \"{schema}\".record r WHERE r.tenant = $1 AND r.kind = $2 AND r.deleted_at IS NOT NULL {from}
                    ORDER BY r.deleted_at DESC, r.id DESC LIMIT $3"
            );
        }
        let (condition, order) = match (drive, resumed) {
            (Drive::Equal(..), false) => ("value = $5".to_owned(), format!("id {way}")),
            (Drive::Equal(..), true) => (format!("value = $5 AND id {past} $6"), format!("id {way}")),
            (_, false) => (format!("value {short_of} $5 AND value {at_or_past} $6"), format!("value {way}, id {way}")),
            (_, true) => (format!("value {short_of} $5 AND (value, id) {past} ($6, $7)"), format!("value {way}, id {way}")),
        };
        format!(
            "SELECT {COLUMNS}, r.id, i.value FROM (SELECT value, id FROM \"{schema}\".record_index
                WHERE tenant = $1 AND kind = $2 AND field = $4 AND {condition} ORDER BY {order} LIMIT $3) i
            JOIN \"{schema}\".record r ON r.tenant = $1 AND r.kind = $2 AND r.id = i.id ORDER BY {}",
            order.replace("value", "i.value").replace("id ", "i.id ")
        )
    }
}
