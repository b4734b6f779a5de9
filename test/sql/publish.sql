-- realtime.publish() and realtime.unpublish()
CREATE FUNCTION attempt(command text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  hint text;
BEGIN
  EXECUTE command;
  RETURN 'ok';
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT;
  RETURN SQLSTATE || ': ' || SQLERRM || coalesce(' | ' || nullif(hint, ''), '');
END
$$;
CREATE VIEW published AS
  SELECT tablename FROM pg_publication_tables WHERE pubname = 'supabase_realtime' ORDER BY tablename COLLATE "C";

CREATE TABLE messages (id int PRIMARY KEY, body text);
CREATE TABLE "Odd ""name" (id int PRIMARY KEY);
CREATE TABLE measured (id int, at date) PARTITION BY RANGE (at);
CREATE TABLE measured_2026 PARTITION OF measured FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');

-- The first call makes the publication; the same table twice, or again later, is no error.
SELECT realtime.is_published('messages') AS before;
SELECT realtime.publish('messages');
SELECT realtime.is_published('messages') AS after;
SELECT realtime.publish('messages', 'messages', '"Odd ""name"', 'measured');
SELECT * FROM published;
SELECT puballtables, pubinsert, pubupdate, pubdelete FROM pg_publication WHERE pubname = 'supabase_realtime';

-- What can never be published is refused, and says what to do.
CREATE VIEW a_view AS SELECT 1 AS one;
CREATE MATERIALIZED VIEW a_matview AS SELECT 1 AS one;
CREATE UNLOGGED TABLE an_unlogged (id int);
CREATE TEMPORARY TABLE a_temporary (id int);
CREATE SEQUENCE a_sequence;
CREATE FOREIGN DATA WRAPPER regress_fdw;
CREATE SERVER regress_server FOREIGN DATA WRAPPER regress_fdw;
CREATE FOREIGN TABLE a_foreign (id int) SERVER regress_server;
SELECT attempt(format('SELECT realtime.publish(%L)', name)) AS result
  FROM unnest(ARRAY['a_view', 'a_matview', 'an_unlogged', 'a_sequence', 'a_foreign', 'messages_pkey',
                    'pg_catalog.pg_class', 'information_schema.sql_features', 'nowhere', '4000000000']) AS name;
SELECT split_part(attempt('SELECT realtime.publish(''a_temporary'')'), '"', 3) AS result;
SELECT attempt('SELECT realtime.publish(NULL::regclass)');
SELECT attempt('SELECT realtime.publish(VARIADIC NULL)');
SELECT attempt('SELECT realtime.unpublish(NULL::regclass)');

-- One bad table in a call: nothing is published.
CREATE TABLE good (id int PRIMARY KEY);
SELECT attempt('SELECT realtime.publish(''good'', ''a_view'')');
SELECT * FROM published;

-- Back out, twice.
SELECT realtime.unpublish('messages', 'messages');
SELECT realtime.unpublish('messages');
SELECT * FROM published;

-- A publication made by hand that includes tables by rule.
DROP PUBLICATION supabase_realtime;
SELECT realtime.unpublish('messages');
SET client_min_messages = error;
CREATE PUBLICATION supabase_realtime FOR ALL TABLES;
RESET client_min_messages;
SELECT attempt('SELECT realtime.publish(''good'')');
SELECT attempt('SELECT realtime.unpublish(''good'')');
DROP PUBLICATION supabase_realtime;
CREATE PUBLICATION supabase_realtime FOR TABLES IN SCHEMA public;
SELECT attempt('SELECT realtime.publish(''good'')');
SELECT count(*) AS named FROM pg_publication_rel;
SELECT attempt('SELECT realtime.unpublish(''good'')');
DROP PUBLICATION supabase_realtime;

-- An empty list only makes the publication.
SELECT realtime.publish(VARIADIC '{}');
SELECT count(*) FROM pg_publication WHERE pubname = 'supabase_realtime';

DROP PUBLICATION supabase_realtime;
DROP VIEW published, a_view;
DROP MATERIALIZED VIEW a_matview;
DROP FOREIGN DATA WRAPPER regress_fdw CASCADE;
DROP SEQUENCE a_sequence;
DROP TABLE messages, "Odd ""name", measured, an_unlogged, a_temporary, good;
DROP FUNCTION attempt;
