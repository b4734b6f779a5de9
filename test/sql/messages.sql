-- realtime.messages: its shape, who may use it, and what its policies decide.
\set QUIET on
\pset format unaligned
\pset tuples_only on
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pgtap;
BEGIN;
SELECT plan(45);

SELECT is(relkind, 'p', 'realtime.messages is partitioned') FROM pg_class WHERE oid = 'realtime.messages'::regclass;
SELECT is(pg_get_partkeydef('realtime.messages'::regclass), 'RANGE (inserted_at)', 'by the time of insertion');
SELECT columns_are('realtime', 'messages', ARRAY['topic', 'extension', 'payload', 'event', 'private', 'updated_at',
                   'inserted_at', 'id', 'binary_payload', 'expires_at'], 'the columns');
SELECT is(array_agg(format('%s %s%s', attname, format_type(atttypid, atttypmod), CASE WHEN attnotnull THEN ' not null' END)
                    ORDER BY attnum),
          ARRAY['topic text not null', 'extension text not null', 'payload jsonb', 'event text', 'private boolean',
                'updated_at timestamp without time zone not null', 'inserted_at timestamp without time zone not null',
                'id uuid not null', 'binary_payload bytea', 'expires_at timestamp without time zone'],
          'their types, and which must be given')
  FROM pg_attribute WHERE attrelid = 'realtime.messages'::regclass AND attnum > 0;
SELECT col_is_pk('realtime', 'messages', ARRAY['id', 'inserted_at'], 'the primary key');
SELECT is(relrowsecurity AND NOT relforcerowsecurity, true, 'row-level security is on')
  FROM pg_class WHERE oid = 'realtime.messages'::regclass;
SELECT policies_are('realtime', 'messages', ARRAY[]::name[], 'there are no policies at first');
SELECT is_empty($$ SELECT c.oid::regclass FROM pg_class c JOIN pg_inherits i ON i.inhrelid = c.oid
                    WHERE i.inhparent = 'realtime.messages'::regclass AND NOT c.relrowsecurity $$,
                'row-level security is on for every partition too');
SELECT is_empty($$ SELECT c.oid::regclass FROM pg_class c JOIN pg_inherits i ON i.inhrelid = c.oid
                    WHERE i.inhparent = 'realtime.messages'::regclass AND c.relacl IS NOT NULL $$,
                'and nobody is granted anything on one');
SELECT is_empty($$ SELECT p.oid::regclass FROM (SELECT 'realtime.messages'::regclass::oid AS oid UNION ALL
                     SELECT inhrelid FROM pg_inherits WHERE inhparent = 'realtime.messages'::regclass) p
                    WHERE NOT EXISTS (SELECT FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
                                       WHERE d.objid = p.oid AND d.deptype = 'e' AND e.extname = 'realtime') $$,
                'the table and its partitions are members of the extension');

-- Defaults, in a session that is far from UTC.
SET LOCAL timezone = 'Pacific/Kiritimati';
INSERT INTO realtime.messages (topic, extension) VALUES ('defaults', 'broadcast');
SELECT ok(inserted_at BETWEEN (now() AT TIME ZONE 'UTC') AND (clock_timestamp() AT TIME ZONE 'UTC'), 'times are UTC, whatever the session''s time zone')
  FROM realtime.messages WHERE topic = 'defaults';
SELECT ok(updated_at BETWEEN (now() AT TIME ZONE 'UTC') AND (clock_timestamp() AT TIME ZONE 'UTC'), 'both of them') FROM realtime.messages WHERE topic = 'defaults';
SELECT is(private, false, 'private is false by default') FROM realtime.messages WHERE topic = 'defaults';
SELECT ok(id IS NOT NULL AND payload IS NULL AND event IS NULL AND binary_payload IS NULL AND expires_at IS NULL,
          'an id is made, the rest is null')
  FROM realtime.messages WHERE topic = 'defaults';
SELECT is(tableoid::regclass::text, 'realtime.messages_' || to_char(now() AT TIME ZONE 'UTC', 'YYYY_MM_DD'),
          'a row lands in the partition of its UTC day')
  FROM realtime.messages WHERE topic = 'defaults';
RESET timezone;
SELECT throws_ok($$ INSERT INTO realtime.messages (topic, extension, payload, binary_payload)
                    VALUES ('t', 'broadcast', '{}', '\x00') $$, '23514', NULL, 'a message has one payload');
SELECT throws_ok($$ INSERT INTO realtime.messages (extension) VALUES ('broadcast') $$, '23502', NULL, 'and a topic');

-- Nothing is lost for want of a partition.
INSERT INTO realtime.messages (topic, extension, inserted_at)
  SELECT 'outside', 'broadcast', t FROM unnest('{2001-01-01, 2999-01-01, infinity, -infinity}'::timestamp[]) t;
SELECT is(array_agg(DISTINCT tableoid::regclass::text), ARRAY['realtime.messages_default'],
          'the default partition takes what no day''s takes') FROM realtime.messages WHERE topic = 'outside';

-- The index that replay needs is one that it gets.
SET LOCAL enable_seqscan = off;
SET LOCAL enable_bitmapscan = off;
SET LOCAL enable_sort = off;
CREATE FUNCTION pg_temp.plan_of(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
  RETURN QUERY EXECUTE 'EXPLAIN (COSTS OFF) ' || query;
END
$$;
SELECT ok(bool_and(line ~ '_topic_inserted_at_idx') FILTER (WHERE line ~ ' Scan ') AND NOT bool_or(line ~ '-> +Sort'),
          'replay reads the newest rows of a topic from an index')
  FROM pg_temp.plan_of($$ SELECT id FROM realtime.messages WHERE topic = 't' AND extension = 'broadcast' AND private
                           AND inserted_at >= now() AT TIME ZONE 'UTC' ORDER BY inserted_at DESC LIMIT 25 $$) AS line;
RESET enable_seqscan;
RESET enable_bitmapscan;
RESET enable_sort;

-- Privileges.
CREATE ROLE regress_other;
SELECT realtime.install_supabase_roles() \g /dev/null
SELECT table_privs_are('realtime', 'messages', 'regress_other', ARRAY[]::text[], 'others have nothing on the table');
SELECT table_privs_are('realtime', 'messages', r, ARRAY['INSERT', 'SELECT', 'UPDATE'], r || ' may try')
  FROM unnest('{anon, authenticated, service_role}'::text[]) AS r;
SELECT is_empty($$ SELECT c.oid::regclass, r FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid,
                          unnest('{anon, authenticated, service_role, regress_other}'::text[]) AS r
                    WHERE i.inhparent = 'realtime.messages'::regclass
                      AND has_table_privilege(r, c.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, TRIGGER, REFERENCES') $$,
                'nobody may name a partition');

-- Without policies: nothing is read, nothing is written.
SET LOCAL ROLE anon;
SELECT is_empty($$ SELECT FROM realtime.messages $$, 'without policies anon reads nothing');
SELECT throws_ok($$ INSERT INTO realtime.messages (topic, extension) VALUES ('t', 'broadcast') $$, '42501',
                 'new row violates row-level security policy for table "messages"', 'and writes nothing');
SELECT throws_ok($$ SELECT FROM realtime.messages_default $$, '42501', NULL, 'not past the table either');
SELECT throws_ok(format('SELECT FROM realtime.messages_%s', to_char(now() AT TIME ZONE 'UTC', 'YYYY_MM_DD')), '42501', NULL,
                 'nor through a day''s partition');
SELECT throws_ok($$ INSERT INTO realtime.messages_default (topic, extension, inserted_at)
                    VALUES ('t', 'broadcast', '2001-01-01') $$, '42501', NULL, 'a partition is not written either');
SET LOCAL ROLE service_role;
SELECT isnt_empty($$ SELECT FROM realtime.messages $$, 'service_role bypasses row-level security');
SELECT lives_ok($$ INSERT INTO realtime.messages (topic, extension) VALUES ('t', 'broadcast') $$, 'for writing too');
SELECT throws_ok($$ DELETE FROM realtime.messages $$, '42501', NULL, 'but may not delete');
RESET ROLE;

-- A grant on a partition, as default privileges may bring, opens nothing.
GRANT SELECT ON realtime.messages_default TO anon;
SET LOCAL ROLE anon;
SELECT is_empty($$ SELECT FROM realtime.messages_default $$, 'row-level security guards a partition that was granted');
RESET ROLE;
REVOKE SELECT ON realtime.messages_default FROM anon;

-- Policies as Supabase's documentation writes them.
CREATE TABLE public.members (topic text, user_id uuid, PRIMARY KEY (topic, user_id));
GRANT SELECT ON public.members TO authenticated;
INSERT INTO public.members VALUES ('room', '00000000-0000-4000-8000-000000000001');
CREATE POLICY "members receive" ON realtime.messages FOR SELECT TO authenticated
  USING (EXISTS (SELECT FROM public.members m WHERE m.user_id = (SELECT auth.uid()) AND m.topic = (SELECT realtime.topic()))
         AND realtime.messages.extension IN ('broadcast', 'presence'));
CREATE POLICY "members send" ON realtime.messages FOR INSERT TO authenticated
  WITH CHECK (EXISTS (SELECT FROM public.members m WHERE m.user_id = auth.uid() AND m.topic = realtime.topic())
              AND extension = 'broadcast');
INSERT INTO realtime.messages (topic, extension) VALUES ('room', 'presence');
SET LOCAL ROLE authenticated;
SET LOCAL request.jwt.claims = '{"sub": "00000000-0000-4000-8000-000000000001", "role": "authenticated"}';
SET LOCAL realtime.topic = 'room';
SELECT isnt_empty($$ SELECT FROM realtime.messages WHERE topic = 'room' AND extension = 'presence' $$, 'a member reads');
SELECT lives_ok($$ INSERT INTO realtime.messages (topic, extension) VALUES ('room', 'broadcast') $$, 'a member writes');
SELECT throws_ok($$ INSERT INTO realtime.messages (topic, extension) VALUES ('room', 'presence') $$, '42501', NULL,
                 'what the policy names, and nothing else');
SELECT is_empty($$ UPDATE realtime.messages SET event = 'x' RETURNING id $$, 'without a policy FOR UPDATE no row is changed');
SET LOCAL realtime.topic = 'another';
SELECT is_empty($$ SELECT FROM realtime.messages $$, 'the policy is asked about the topic of realtime.topic()');
SELECT throws_ok($$ INSERT INTO realtime.messages (topic, extension) VALUES ('another', 'broadcast') $$, '42501', NULL,
                 'for writing too');
SET LOCAL realtime.topic = 'room';
SET LOCAL request.jwt.claims = '{"sub": "00000000-0000-4000-8000-000000000002", "role": "authenticated"}';
SELECT is_empty($$ SELECT FROM realtime.messages $$, 'somebody else reads nothing');
SELECT throws_ok($$ INSERT INTO realtime.messages (topic, extension) VALUES ('room', 'broadcast') $$, '42501', NULL,
                 'and writes nothing');
SET LOCAL ROLE anon;
SELECT is_empty($$ SELECT FROM realtime.messages $$, 'nor does anon, whom no policy names');
RESET ROLE;
SELECT is(count(*)::int, 1, 'one row came from a member') FROM realtime.messages
 WHERE topic = 'room' AND extension = 'broadcast';

-- Roles that are there before the extension.
DROP EXTENSION realtime;
SELECT hasnt_table('realtime', 'messages', 'the table goes with the extension, policies and partitions with it');
CREATE EXTENSION realtime;
SELECT table_privs_are('realtime', 'messages', 'anon', ARRAY['INSERT', 'SELECT', 'UPDATE'],
                       'roles that exist already get their grants from CREATE EXTENSION');

SELECT * FROM finish();
ROLLBACK;
