-- The views of what the worker's threads hold, and realtime.disconnect(): what they are, and who may use them.
\set QUIET on
\pset format unaligned
\pset tuples_only on
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pgtap;
BEGIN;
SELECT plan(30);

CREATE ROLE regress_watcher IN ROLE pg_monitor;
CREATE ROLE regress_signaller IN ROLE pg_signal_backend;
CREATE ROLE regress_nobody;
SELECT realtime.install_supabase_roles() \g /dev/null

SELECT columns_are('realtime', 'stat_channels', ARRAY['topic', 'private', 'clients', 'presences', 'broadcasts', 'deliveries'],
                   'the columns of stat_channels');
SELECT columns_are('realtime', 'stat_connections', ARRAY['connection_id', 'address', 'client', 'role', 'token_expires_at',
  'protocol', 'channels', 'queue_bytes', 'bytes_in', 'bytes_out', 'connected_at'], 'the columns of stat_connections');
SELECT columns_are('realtime', 'stat_subscriptions', ARRAY['connection_id', 'channel', 'role', 'schema_name', 'table_name',
  'filter', 'events', 'matched', 'delivered', 'errors'], 'the columns of stat_subscriptions');

SELECT table_privs_are('realtime', view, 'pg_monitor', ARRAY['SELECT'], 'pg_monitor may read ' || view)
  FROM unnest(ARRAY['stat_channels', 'stat_connections', 'stat_subscriptions']) view;
SELECT table_privs_are('realtime', view, role, ARRAY[]::text[], role || ' may not read ' || view)
  FROM unnest(ARRAY['stat_channels', 'stat_connections', 'stat_subscriptions']) view,
       unnest(ARRAY['regress_nobody', 'service_role']) role;
SELECT function_privs_are('realtime', name, ARRAY[]::text[], 'regress_nobody', ARRAY[]::text[], 'not everybody may call ' || name)
  FROM unnest(ARRAY['channel_statistics', 'connection_statistics', 'subscription_statistics']) name;
SELECT function_privs_are('realtime', 'disconnect', ARRAY['bigint'], role, granted, 'disconnect: ' || role)
  FROM (VALUES ('pg_signal_backend', ARRAY['EXECUTE']), ('pg_monitor', '{}'), ('regress_nobody', '{}'), ('anon', '{}'),
               ('service_role', '{}'::text[])) each (role, granted);

SELECT is(realtime.disconnect(id), false, 'nobody has the id ' || id)
  FROM unnest(ARRAY[0, -1, 9223372036854775807, -9223372036854775808]) id;
SELECT is(realtime.disconnect(NULL), NULL, 'nor none');

SET LOCAL ROLE regress_watcher;
SELECT lives_ok($$ SELECT * FROM realtime.stat_channels, realtime.stat_connections, realtime.stat_subscriptions $$,
                'a member of pg_monitor reads');
SELECT throws_ok($$ SELECT realtime.disconnect(1) $$, '42501', 'permission denied for function disconnect', 'but ends nobody');
SET LOCAL ROLE regress_signaller;
SELECT lives_ok($$ SELECT realtime.disconnect(0) $$, 'a member of pg_signal_backend may');
SELECT throws_ok($$ SELECT * FROM realtime.stat_connections $$, '42501', 'permission denied for view stat_connections',
                 'but does not read');
SET LOCAL ROLE regress_nobody;
SELECT throws_ok($$ SELECT * FROM realtime.connection_statistics() $$, '42501',
                 'permission denied for function connection_statistics', 'nobody else reads, by the function either');
RESET ROLE;

SELECT * FROM finish();
ROLLBACK;
