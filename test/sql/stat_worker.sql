-- The statistics of the worker: what they are, and who may read them, as pgTAP assertions.
\set QUIET on
\pset format unaligned
\pset tuples_only on
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pgtap;
BEGIN;
SELECT plan(14);

CREATE ROLE regress_watcher IN ROLE pg_monitor;
CREATE ROLE regress_nobody;
SELECT realtime.install_supabase_roles() \g /dev/null

SELECT columns_are('realtime', 'stat_worker', ARRAY[
  'state', 'pid', 'started_at', 'restarts', 'slot_name', 'confirmed_lsn', 'received_lsn', 'lag_bytes', 'lag_seconds',
  'transactions', 'rows', 'deliveries', 'policy_checks', 'slow_policy_checks', 'policy_failures', 'filter_failures',
  'parked_rows', 'parked_bytes', 'history_rows', 'history_bytes', 'queue_bytes', 'connections', 'channels', 'subscriptions', 'client_queue_bytes',
  'loop_stall_p99_ms',
  'last_error', 'last_error_at'], 'the columns');
SELECT table_privs_are('realtime', 'stat_worker', 'pg_monitor', ARRAY['SELECT'], 'pg_monitor may read');
SELECT table_privs_are('realtime', 'stat_worker', 'regress_nobody', ARRAY[]::text[], 'others may not');
SELECT function_privs_are('realtime', 'worker_statistics', ARRAY[]::text[], 'pg_monitor', ARRAY['EXECUTE'], 'and call what is behind it');
SELECT function_privs_are('realtime', 'worker_statistics', ARRAY[]::text[], 'anon', ARRAY[]::text[], 'which others may not');
SELECT is((SELECT count(*)::int FROM realtime.stat_worker), 1, 'one row');
-- The server of this test may serve another database.
SELECT is((SELECT count(*)::int FROM realtime.stat_worker WHERE state IS NULL OR state = ''), 0, 'it always has a state');
SELECT is((SELECT pid FROM realtime.stat_worker), (SELECT pid FROM pg_stat_activity WHERE backend_type = 'realtime worker'),
          'the process is the one of pg_stat_activity');
SELECT ok((SELECT restarts >= 0 AND rows >= 0 AND policy_checks >= slow_policy_checks FROM realtime.stat_worker),
          'figures are counts');

SET LOCAL ROLE regress_watcher;
SELECT lives_ok($$ SELECT * FROM realtime.stat_worker $$, 'a member of pg_monitor reads');
SET LOCAL ROLE regress_nobody;
SELECT throws_ok($$ SELECT * FROM realtime.stat_worker $$, '42501', 'permission denied for view stat_worker', 'nobody else does');
SELECT throws_ok($$ SELECT realtime.worker_statistics() $$, '42501', 'permission denied for function worker_statistics',
                 'nor by the function');
SET LOCAL ROLE service_role;
SELECT throws_ok($$ SELECT * FROM realtime.stat_worker $$, '42501', 'permission denied for view stat_worker',
                 'nor whoever bypasses row-level security');
RESET ROLE;
SELECT is((SELECT provolatile::text FROM pg_proc WHERE proname = 'worker_statistics'), 'v', 'each reading is a new one');

SELECT * FROM finish();
ROLLBACK;
