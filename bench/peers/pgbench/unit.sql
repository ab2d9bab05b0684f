-- One unit of work in one statement: one round trip and one implicit transaction, the fastest way to write these rows.
WITH made AS MATERIALIZED (
    SELECT int8send((extract(epoch FROM clock_timestamp()) * 1000000)::bigint) || substr(uuid_send(gen_random_uuid()), 9) AS id,
           (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now
), recorded AS (
    INSERT INTO record SELECT '\x00000000000000000000000000000001', 1, id, NULL, 1,
        '{"description":"' || repeat('a project to look after ', 8) || '","name":"project ' || now || '","path":"/srv/' || now || '","tests_dir_path":"tests"}',
        now, 'key_bench', now, 'key_bench', NULL FROM made
), indexed AS (
    INSERT INTO record_index SELECT '\x00000000000000000000000000000001', 1, field, uuid_send(gen_random_uuid()), id FROM made, generate_series(1, 5) AS field
), claimed AS (
    INSERT INTO record_unique SELECT '\x00000000000000000000000000000001', 1, 1, id, id FROM made
)
INSERT INTO event SELECT '\x00000000000000000000000000000001', nextval('event_position'), uuid_send(gen_random_uuid()), 1, id, now,
    '{"after":{"name":"project ' || now || '","tests_dir_path":"tests"}}', sha256(id) FROM made;
