-- The upkeep of realtime.messages: partitions made and dropped, rows moved and deleted, the publication.
\set QUIET on
\pset format unaligned
\pset tuples_only on
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pgtap;
BEGIN;
SELECT plan(72);

CREATE FUNCTION pg_temp.today() RETURNS date LANGUAGE sql AS $$ SELECT (now() AT TIME ZONE 'UTC')::date $$;
CREATE FUNCTION pg_temp.days() RETURNS int[] LANGUAGE sql AS $$
  SELECT coalesce(array_agg(day - pg_temp.today() ORDER BY day), '{}') FROM realtime.message_partitions()
$$;
CREATE FUNCTION pg_temp.name_of(day int) RETURNS text LANGUAGE sql AS $$
  SELECT 'realtime.messages_' || to_char(pg_temp.today() + day, 'YYYY_MM_DD')
$$;
-- Which partition, as an offset from today; null: the default partition.
CREATE FUNCTION pg_temp.where_is(wanted text) RETURNS int LANGUAGE sql AS $$
  SELECT p.day - pg_temp.today() FROM realtime.messages m LEFT JOIN realtime.message_partitions() p ON p.partition = m.tableoid
   WHERE m.topic = wanted
$$;
CREATE PROCEDURE pg_temp.add(topic text, days_ago float, expires interval DEFAULT NULL) LANGUAGE sql AS $$
  INSERT INTO realtime.messages (topic, extension, event, payload, private, inserted_at, expires_at)
  VALUES (topic, 'broadcast', 'e', '{"a": 1}', true, now() AT TIME ZONE 'UTC' - days_ago * interval '1 day',
          now() AT TIME ZONE 'UTC' + expires)
$$;
-- As if no worker had run for long.
CREATE PROCEDURE pg_temp.lose(days int[]) LANGUAGE plpgsql AS $$
DECLARE
  part regclass;
BEGIN
  FOR part IN SELECT partition FROM realtime.message_partitions() WHERE day - pg_temp.today() = ANY (days) LOOP
    EXECUTE format('ALTER EXTENSION realtime DROP TABLE %s', part);
    EXECUTE format('DROP TABLE %s', part);
  END LOOP;
END
$$;

SELECT is(pg_temp.days(), '{-1,0,1,2,3}', 'CREATE EXTENSION makes partitions from yesterday to three days ahead');
SELECT is(realtime.make_message_partitions(), 0::bigint, 'which are all that is needed');
CALL pg_temp.lose('{-1,0,1,2,3}');
SELECT is(pg_temp.days(), '{}', 'none is left');
SELECT is(realtime.make_message_partitions(max_partitions => 2), 2::bigint, 'some are made when only some may be');
SELECT is(pg_temp.days(), '{-1,0}', 'in the order of days');
SELECT is(realtime.make_message_partitions(), 3::bigint, 'and the others then');

-- What a partition is made of.
SELECT is(pg_get_expr(relpartbound, oid), format('FOR VALUES FROM (%L) TO (%L)', pg_temp.today()::timestamp,
          (pg_temp.today() + 1)::timestamp), 'a partition holds one UTC day')
  FROM pg_class WHERE oid = pg_temp.name_of(0)::regclass;
SELECT is(relrowsecurity AND relacl IS NULL, true, 'has row-level security and no grants')
  FROM pg_class WHERE oid = pg_temp.name_of(0)::regclass;
SELECT is(array_agg(indexdef ORDER BY indexdef COLLATE "C"),
          (SELECT array_agg(replace(indexdef, 'messages_default', c.relname) ORDER BY indexdef COLLATE "C")
             FROM pg_indexes WHERE schemaname = 'realtime' AND tablename = 'messages_default'),
          'has the indexes of the table')
  FROM pg_class c JOIN pg_indexes i ON i.tablename = c.relname WHERE c.oid = pg_temp.name_of(0)::regclass GROUP BY c.relname;
SELECT is(relowner, (SELECT relowner FROM pg_class WHERE oid = 'realtime.messages'::regclass), 'has the table''s owner')
  FROM pg_class WHERE oid = pg_temp.name_of(0)::regclass;
SELECT is(count(*)::int, 6, 'and is a member of the extension, as is the default partition')
  FROM pg_inherits i JOIN pg_depend d ON d.objid = i.inhrelid AND d.deptype = 'e'
 WHERE i.inhparent = 'realtime.messages'::regclass;

-- Rows that wait in the default partition move to the day where they belong.
CALL pg_temp.lose('{-1,0,1,2,3}');
CALL pg_temp.add('now', 0);
CALL pg_temp.add('day before yesterday', 2);
CALL pg_temp.add('in two days', -2);
CALL pg_temp.add('too old', 4);
CALL pg_temp.add('far ahead', -40);
INSERT INTO realtime.messages (topic, extension, inserted_at) VALUES ('never', 'broadcast', 'infinity'), ('ever', 'presence', '-infinity');
INSERT INTO realtime.messages (topic, extension, inserted_at, binary_payload)
  SELECT 'many', 'broadcast', now() AT TIME ZONE 'UTC', '\x00ff' FROM generate_series(1, 1000);
CREATE TEMPORARY TABLE before AS TABLE realtime.messages;
SELECT is(array_agg(DISTINCT tableoid::regclass::text), ARRAY['realtime.messages_default'], 'without partitions all wait')
  FROM realtime.messages;
SELECT is(realtime.make_message_partitions(max_partitions => 1), 1::bigint, 'one partition is made');
SELECT is(pg_temp.days(), '{-1}', 'first one that nothing waits for');
SELECT is(realtime.make_message_partitions(), 5::bigint, 'then the others, with one for the row of two days ago');
SELECT is(pg_temp.days(), '{-2,-1,0,1,2,3}', 'a row within the retention gets its day');
SELECT is(pg_temp.where_is('now'), 0, 'today''s row is in today''s partition');
SELECT is(pg_temp.where_is('in two days'), 2, 'one ahead of time in its day''s');
SELECT is(pg_temp.where_is('day before yesterday'), -2, 'an older one in its day''s');
SELECT is((SELECT array_agg(topic ORDER BY topic) FROM ONLY realtime.messages_default),
          ARRAY['ever', 'far ahead', 'never', 'too old'], 'rows of no such day wait on');
SELECT results_eq('SELECT * FROM realtime.messages ORDER BY id', 'SELECT * FROM before ORDER BY id',
                  'no row is lost or changed by moving');
SELECT is(count(*)::int, 1000, 'many at once as well') FROM realtime.messages
 WHERE topic = 'many' AND tableoid = pg_temp.name_of(0)::regclass;
SELECT is(realtime.make_message_partitions(), 0::bigint, 'then there is nothing more to do');

-- Old rows and expired ones.
CALL pg_temp.add('expired', 0, '-1 second');
CALL pg_temp.add('expired too', -40, '-1 second');
CALL pg_temp.add('expires later', 0, '1 minute');
SELECT is(realtime.delete_old_messages('72 hours', 1), 3::bigint, 'deleting is bounded per partition');
SELECT is(realtime.delete_old_messages(), 1::bigint, 'the rest goes with the next call');
SELECT is((SELECT array_agg(topic ORDER BY topic) FROM realtime.messages WHERE topic <> 'many'),
          ARRAY['day before yesterday', 'expires later', 'far ahead', 'in two days', 'never', 'now'],
          'what has expired is gone, and what is old in the default partition');
SELECT is(realtime.delete_old_messages(), 0::bigint, 'then there is nothing more to delete');

-- The worker's rights are nothing for the triggers of others.
CREATE ROLE regress_trigger_owner;
CREATE FUNCTION public.theirs() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN OLD; END $$;
ALTER FUNCTION public.theirs() OWNER TO regress_trigger_owner;
CREATE TRIGGER theirs BEFORE DELETE ON realtime.messages FOR EACH ROW EXECUTE FUNCTION public.theirs();
SELECT throws_ok('SELECT realtime.delete_old_messages()', '42501', NULL, 'rows with a trigger of somebody else are not deleted');
CALL pg_temp.add('moves', 5);
SELECT throws_ok($$ SELECT realtime.make_message_partitions('10 days') $$, '42501', NULL, 'nor moved');
ALTER FUNCTION public.theirs() SECURITY DEFINER;
SELECT throws_ok('SELECT realtime.delete_old_messages()', '42501', NULL, 'nor with one that brings its own rights');
ALTER FUNCTION public.theirs() SECURITY INVOKER;
ALTER FUNCTION public.theirs() OWNER TO CURRENT_USER;
SELECT lives_ok('SELECT realtime.delete_old_messages()', 'unless it is a superuser''s');
DROP TRIGGER theirs ON realtime.messages;

-- Nor for what else a DELETE runs.
CREATE FUNCTION pg_temp.refused() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  PERFORM realtime.delete_old_messages();
  RETURN 'done';
EXCEPTION WHEN insufficient_privilege THEN
  RETURN regexp_replace(SQLERRM, ' would run with the rights of role .*', '');
END
$$;
CREATE FUNCTION public.theirs_too() RETURNS boolean LANGUAGE sql AS 'SELECT true';
ALTER FUNCTION public.theirs_too() OWNER TO regress_trigger_owner;
CREATE TRIGGER conditional BEFORE DELETE ON realtime.messages_default
  FOR EACH ROW WHEN (public.theirs_too()) EXECUTE FUNCTION public.theirs();
SELECT is(pg_temp.refused(), 'the WHEN clause of trigger "conditional" of table realtime.messages_default',
          'nor with a superuser''s trigger that asks somebody else''s function');
DROP TRIGGER conditional ON realtime.messages_default;
CREATE TRIGGER conditional BEFORE DELETE ON realtime.messages_default
  FOR EACH STATEMENT WHEN (query_to_xml('SELECT public.theirs_too()', true, true, '') IS NOT NULL)
  EXECUTE FUNCTION public.theirs();
SELECT is(pg_temp.refused(), 'the WHEN clause of trigger "conditional" of table realtime.messages_default',
          'or asks it by way of PostgreSQL''s own');
ALTER TABLE realtime.messages_default DISABLE TRIGGER conditional;
SELECT is(pg_temp.refused(), 'done', 'a disabled trigger asks nobody');
DROP TRIGGER conditional ON realtime.messages_default;
CREATE RULE theirs AS ON DELETE TO realtime.messages_default DO ALSO SELECT public.theirs_too();
SELECT is(pg_temp.refused(), 'rule "theirs" of table realtime.messages_default', 'nor with a rule');
DROP RULE theirs ON realtime.messages_default;
CREATE TABLE public.theirs (id uuid, inserted_at timestamp,
                            FOREIGN KEY (id, inserted_at) REFERENCES realtime.messages ON DELETE CASCADE);
ALTER TABLE public.theirs OWNER TO regress_trigger_owner;
SELECT is(pg_temp.refused(), 'what follows the action of a foreign key of table public.theirs',
          'nor with a foreign key that changes another table, whose triggers would run');
DROP TABLE public.theirs;
CREATE TABLE public.theirs (id uuid, inserted_at timestamp, FOREIGN KEY (id, inserted_at) REFERENCES realtime.messages);
SELECT is(pg_temp.refused(), 'done', 'one that only forbids is nothing to us');
DROP TABLE public.theirs;
ALTER TABLE realtime.messages_default OWNER TO regress_trigger_owner;
SELECT throws_ok('SELECT realtime.delete_old_messages()', '42501', NULL, 'a table of somebody else is not written to');
ALTER TABLE realtime.messages_default OWNER TO CURRENT_USER;
ALTER TABLE realtime.messages OWNER TO regress_trigger_owner;
SELECT throws_ok('SELECT realtime.make_message_partition(''2001-01-01'')', '42501', NULL, 'nor is a partition made of one');
ALTER TABLE realtime.messages OWNER TO CURRENT_USER;
SELECT is(count(*)::int, 0, 'old rows are gone then') FROM realtime.messages WHERE topic = 'moves';

-- Old partitions.
SELECT is(realtime.drop_old_message_partitions('72 hours'), 0::bigint, 'no partition is older than three days');
SELECT is(realtime.drop_old_message_partitions(NULL), 0::bigint, 'without a retention none is ever old');
SELECT is(realtime.drop_old_message_partitions((now() AT TIME ZONE 'UTC') - (pg_temp.today() - 1)::timestamp + interval '1 second'),
          0::bigint, 'a partition that ends after the cutoff stays');
SELECT is(pg_temp.days(), '{-2,-1,0,1,2,3}', 'whole');
SELECT is(realtime.drop_old_message_partitions((now() AT TIME ZONE 'UTC') - (pg_temp.today() - 1)::timestamp), 1::bigint,
          'one that ends at the cutoff goes');
SELECT is(pg_temp.days(), '{-1,0,1,2,3}', 'and no other');
SELECT is(pg_temp.where_is('day before yesterday'), NULL, 'with its rows');
SELECT lives_ok($$ SELECT realtime.maintain_messages('1 second') $$, 'a retention of less than a day is possible');
SELECT is(pg_temp.days(), '{0,1,2,3}', 'yesterday is then neither kept nor made again');
SELECT isnt(pg_temp.where_is('now'), NULL, 'today''s rows stay with their partition');
SELECT throws_ok($$ SELECT realtime.maintain_messages('0') $$, '22023', 'retention must be positive, or null to keep all messages',
                 'a retention of nothing is a mistake');

-- Partitions of other makers.
CREATE TABLE realtime.messages_2001_01_01 PARTITION OF realtime.messages FOR VALUES FROM ('2001-01-01') TO ('2001-02-01');
SELECT is(realtime.drop_old_message_partitions('72 hours'), 0::bigint, 'a partition that is not a day''s is left alone');
CALL pg_temp.lose('{3}');
DO $$ BEGIN EXECUTE format('CREATE TABLE %s (kept int)', pg_temp.name_of(3)); END $$;
SELECT lives_ok($$ SELECT realtime.maintain_messages() $$, 'a name that is taken stops nothing');
SELECT is(pg_temp.days(), '{-1,0,1,2}', 'that day has to do with the default partition');

-- The publication that the worker reads.
SELECT is(realtime.messages_are_published(), true, 'maintenance made the publication');
SELECT is((pubinsert, pubupdate, pubdelete, pubtruncate, puballtables, pubviaroot)::text, '(t,f,f,f,f,t)',
          'it carries inserts, under the name of the table')
  FROM pg_publication WHERE pubname = 'supabase_realtime_messages_publication';
CREATE FUNCTION pg_temp.mended(command text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  broken boolean;
BEGIN
  EXECUTE command;
  broken := NOT realtime.messages_are_published();
  PERFORM realtime.publish_messages();
  RETURN format('broken %s, mended %s', broken, realtime.messages_are_published());
END
$$;
CREATE TABLE public.stranger (id int);
SELECT is(pg_temp.mended(format(command, 'PUBLICATION supabase_realtime_messages_publication')), 'broken t, mended t', command)
  FROM unnest(ARRAY['DROP %s', 'ALTER %s DROP TABLE realtime.messages', 'ALTER %s SET TABLE public.stranger',
                    'ALTER %s SET TABLE realtime.messages (id, topic)', 'ALTER %s SET TABLE realtime.messages WHERE (private)',
                    'ALTER %s ADD TABLE public.stranger', 'ALTER %s ADD TABLES IN SCHEMA public',
                    $$ALTER %s SET (publish = 'insert, update')$$, 'ALTER %s SET (publish_via_partition_root = false)',
                    'DROP %1$s; CREATE %1$s FOR ALL TABLES']) AS command;

-- Who may do it.
CREATE ROLE regress_other;
SELECT is_empty($$ SELECT p.oid::regprocedure FROM pg_proc p WHERE p.pronamespace = 'realtime'::regnamespace
                    AND p.proname ~ '(maintain|make|publish|delete|drop)_.*message'
                    AND has_function_privilege('regress_other', p.oid, 'EXECUTE') $$, 'nobody else maintains messages');
SET LOCAL ROLE regress_other;
SELECT throws_ok($$ SELECT realtime.maintain_messages() $$, '42501', NULL, 'really');
RESET ROLE;

-- It goes whole, and comes back whole.
SELECT lives_ok($$ DROP EXTENSION realtime $$, 'DROP EXTENSION needs no CASCADE');
SELECT is_empty($$ SELECT relname FROM pg_class WHERE relnamespace = 'realtime'::regnamespace
                    AND relname !~ '^messages_\d' $$, 'only what others made is left');
DROP SCHEMA realtime CASCADE;
CREATE EXTENSION realtime;
SELECT is(pg_temp.days(), '{-1,0,1,2,3}', 'a second CREATE EXTENSION makes all anew');
SELECT realtime.publish_messages() \g /dev/null
SELECT is(realtime.messages_are_published(), true, 'and the old publication serves the new table');

SELECT * FROM finish();
ROLLBACK;
