-- The tables that one unit of work of Steward's kernel touches, as plainly as PostgreSQL can hold them. The peer gets
-- the advantages it would have in practice: positions come from a sequence (Steward's are gapless and hash-chained, which
-- costs a lock), nothing is validated, and no full-text rows are kept.
CREATE TABLE record (
    tenant bytea NOT NULL, kind int NOT NULL, id bytea NOT NULL, parent bytea, version bigint NOT NULL, body text NOT NULL,
    created_at bigint NOT NULL, created_by text NOT NULL, updated_at bigint NOT NULL, updated_by text NOT NULL, deleted_at bigint,
    PRIMARY KEY (tenant, kind, id)
);
CREATE TABLE record_index (
    tenant bytea NOT NULL, kind int NOT NULL, field int NOT NULL, value bytea NOT NULL, id bytea NOT NULL,
    PRIMARY KEY (tenant, kind, field, value, id)
);
CREATE TABLE record_unique (
    tenant bytea NOT NULL, kind int NOT NULL, field int NOT NULL, value bytea NOT NULL, id bytea NOT NULL,
    PRIMARY KEY (tenant, kind, field, value)
);
CREATE SEQUENCE event_position;
CREATE TABLE event (
    tenant bytea NOT NULL, position bigint NOT NULL, id bytea NOT NULL, type int NOT NULL, subject bytea NOT NULL,
    time bigint NOT NULL, data text NOT NULL, hash bytea NOT NULL,
    PRIMARY KEY (tenant, position)
);
CREATE INDEX event_subject ON event (tenant, subject, position);
