-- The functions of the extension: which there are, who may call them, and what a caller relies on of those that send.
\set QUIET on
\pset format unaligned
\pset tuples_only on
SET client_min_messages = error;
CREATE EXTENSION IF NOT EXISTS pgtap;
BEGIN;
SELECT plan(31);

-- Whoever adds a function finds its test, or the lack of one, here.
SELECT functions_are('realtime', ARRAY['version', 'topic',
  'send', 'send_binary', 'broadcast_changes', 'store_message',
  'message_cutoff', 'message_partitions', 'make_message_partition', 'make_message_partitions', 'delete_old_messages',
  'require_trusted_owner', 'lock_for_delete', 'drop_old_message_partitions', 'messages_are_published', 'publish_messages', 'maintain_messages',
  'publication_name', 'check_publishable', 'is_published', 'publish', 'unpublish', 'install_supabase_roles',
  'worker_statistics', 'channel_statistics', 'connection_statistics', 'subscription_statistics', 'disconnect']::name[],
  'the functions');
SELECT is_empty($$ SELECT oid::regprocedure FROM pg_proc WHERE pronamespace = 'realtime'::regnamespace AND prosecdef $$,
                'none runs with more than its caller''s rights');

CREATE ROLE regress_caller;
SELECT function_privs_are('realtime', name, args, 'regress_caller', ARRAY['EXECUTE'], 'everybody may call ' || name)
  FROM (VALUES ('send', '{jsonb,text,text,boolean}'::text[]), ('send_binary', '{bytea,text,text,boolean}'),
               ('broadcast_changes', '{text,text,text,text,text,record,record,text}'), ('topic', '{}'),
               ('version', '{}')) f (name, args);
SELECT function_privs_are('realtime', name, args, 'regress_caller', ARRAY[]::text[], 'not everybody may call ' || name)
  FROM (VALUES ('maintain_messages', '{interval}'::text[]), ('publish_messages', '{}'), ('make_message_partition', '{date}'),
               ('make_message_partitions', '{interval,integer}'), ('delete_old_messages', '{interval,integer}'),
               ('drop_old_message_partitions', '{interval}')) f (name, args);

CREATE FUNCTION pg_temp.sent(OUT topic text, OUT event text, OUT private boolean, OUT payload jsonb, OUT bytes bytea)
RETURNS SETOF record LANGUAGE sql AS $$
  SELECT m.topic, m.event, m.private, m.payload - 'id', m.binary_payload FROM realtime.messages m ORDER BY m.ctid
$$;

SELECT lives_ok($$ SELECT realtime.send('{"n": 1}', 'e', 't') $$, 'send');
SELECT results_eq('SELECT * FROM pg_temp.sent()', $$ VALUES ('t', 'e', true, '{"n": 1}'::jsonb, NULL::bytea) $$,
                  'is private unless said otherwise');
SELECT is(payload ->> 'id', id::text, 'carries the message''s id') FROM realtime.messages;
TRUNCATE realtime.messages;
SELECT lives_ok($$ SELECT realtime.send_binary('\x00ff', 'e', 't', false) $$, 'send_binary');
SELECT results_eq('SELECT * FROM pg_temp.sent()', $$ VALUES ('t', 'e', false, NULL::jsonb, '\x00ff'::bytea) $$,
                  'keeps the bytes');
TRUNCATE realtime.messages;
SELECT lives_ok($$ SELECT realtime.send('[1]', 'e', 't'), realtime.send(NULL, 'e', 't'), realtime.send('{}', NULL, 't'),
                          realtime.send_binary(NULL, 'e', 't') $$, 'what cannot be sent is no error');
SELECT is_empty('SELECT FROM realtime.messages', 'but sends nothing');

CREATE TABLE things (id int);
CREATE FUNCTION things_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM realtime.broadcast_changes('things', 'changed', TG_OP, TG_TABLE_NAME, TG_TABLE_SCHEMA, NEW, OLD);
  RETURN NULL;
END
$$;
CREATE TRIGGER things_changed AFTER INSERT OR UPDATE OR DELETE ON things FOR EACH ROW EXECUTE FUNCTION things_changed();
INSERT INTO things VALUES (1);
UPDATE things SET id = 2;
DELETE FROM things;
SELECT results_eq($$ SELECT private, payload ->> 'operation', payload -> 'old_record' ->> 'id', payload -> 'record' ->> 'id'
                       FROM pg_temp.sent() $$,
                  $$ VALUES (true, 'INSERT', NULL, '1'), (true, 'UPDATE', '1', '2'), (true, 'DELETE', '2', NULL) $$,
                  'broadcast_changes tells the old and the new row');
SELECT throws_like($$ SELECT realtime.broadcast_changes('t', 'e', 'TRUNCATE', 'a', 'b', NULL, NULL) $$,
                   'Failed to process the row: Unexpected operation type: TRUNCATE', 'and knows three operations');
TRUNCATE realtime.messages;

-- Sending has the caller's rights: a grant, and a policy that is asked about the topic.
GRANT INSERT ON realtime.messages TO regress_caller;
CREATE POLICY own_room ON realtime.messages FOR INSERT TO regress_caller
  WITH CHECK (extension = 'broadcast' AND realtime.topic() = 'allowed');
SELECT policies_are('realtime', 'messages', ARRAY['own_room'], 'with one policy');
SELECT policy_cmd_is('realtime', 'messages', 'own_room', 'insert', 'for sending');
SET ROLE regress_caller;
SELECT lives_ok($$ SELECT realtime.send('{}', 'sent', 'denied'), realtime.send_binary('x', 'sent', 'denied') $$,
                'what a policy denies is no error');
SELECT lives_ok($$ SELECT realtime.send('{}', 'sent', 'allowed'), realtime.send_binary('x', 'sent', 'allowed') $$,
                'what it allows neither');
SELECT is(realtime.topic(), NULL, 'the topic is that of the policy alone');
RESET ROLE;
SELECT bag_eq('SELECT topic FROM pg_temp.sent()', $$ VALUES ('allowed'), ('allowed') $$, 'and only that is sent');

SELECT is(realtime.version(), extversion, 'version') FROM pg_extension WHERE extname = 'realtime';
SELECT is(realtime.message_cutoff(NULL), '-infinity', 'without a retention no message is old');
SELECT is(realtime.message_cutoff('1 hour'), (now() - interval '1 hour') AT TIME ZONE 'UTC', 'the cutoff is UTC');

SELECT * FROM finish();
ROLLBACK;
