-- Rows that are there before the measurement, so that indexes have a real depth. Expects the variable `records`.
CREATE TEMPORARY TABLE made AS
SELECT number, int8send(number * 1000) || substr(uuid_send(gen_random_uuid()), 9) AS id FROM generate_series(1, :records) AS number;
INSERT INTO record SELECT '\x00000000000000000000000000000001', 1, id, NULL, 1,
    '{"description":"' || repeat('a project to look after ', 8) || '","name":"project ' || number || '","path":"/srv/' || number || '","tests_dir_path":"tests"}',
    number, 'key_bench', number, 'key_bench', NULL FROM made;
INSERT INTO record_index SELECT '\x00000000000000000000000000000001', 1, field, uuid_send(gen_random_uuid()), id FROM made, generate_series(1, 5) AS field;
INSERT INTO record_unique SELECT '\x00000000000000000000000000000001', 1, 1, id, id FROM made;
INSERT INTO event SELECT '\x00000000000000000000000000000001', nextval('event_position'), uuid_send(gen_random_uuid()), 1, id, number,
    '{"after":{"name":"project ' || number || '","tests_dir_path":"tests"}}', sha256(id) FROM made;
VACUUM ANALYZE;
CHECKPOINT;
