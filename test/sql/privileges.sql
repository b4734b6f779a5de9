-- Who may do what, as pgTAP assertions.
\set QUIET on
\pset format unaligned
\pset tuples_only on
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pgtap;
BEGIN;
SELECT plan(22);

CREATE ROLE regress_owner;
CREATE ROLE regress_other;
CREATE TABLE public.owned (id int PRIMARY KEY);
ALTER TABLE public.owned OWNER TO regress_owner;
SELECT realtime.install_supabase_roles() \g /dev/null
GRANT USAGE ON SCHEMA public TO PUBLIC;

SELECT schema_privs_are('realtime', 'regress_other', ARRAY['USAGE'], 'everybody may only use schema realtime');
SELECT function_privs_are('realtime', 'topic', ARRAY[]::text[], 'anon', ARRAY['EXECUTE'], 'anon may ask for its topic');
SELECT schema_privs_are('auth', 'anon', ARRAY['USAGE'], 'anon may only use schema auth');
SELECT schema_privs_are('auth', 'authenticated', ARRAY['USAGE'], 'authenticated may only use schema auth');
SELECT schema_privs_are('auth', 'regress_other', ARRAY[]::text[], 'others may not look into schema auth');
SELECT isnt_superuser('anon', 'anon is no superuser');
SELECT isnt_superuser('authenticated', 'authenticated is no superuser');
SELECT isnt_superuser('service_role', 'service_role is no superuser');
SELECT is((SELECT array_agg(rolname::text) FROM pg_roles WHERE rolbypassrls AND NOT rolsuper
            AND rolname IN ('anon', 'authenticated', 'service_role')), ARRAY['service_role'],
          'only service_role bypasses row-level security');
SELECT is_empty($$ SELECT proname FROM pg_proc WHERE pronamespace = 'realtime'::regnamespace AND prosecdef $$,
                'no function lends its owner''s rights');

SET LOCAL ROLE regress_other;
SELECT throws_ok($$ SELECT realtime.publish('public.owned') $$, '42501', 'must be owner of table public.owned',
                 'a table of somebody else cannot be published');
SELECT throws_ok($$ SELECT realtime.install_supabase_roles() $$, '42501', 'permission denied to install roles',
                 'only a superuser installs roles');
SELECT throws_ok($$ CREATE FUNCTION realtime.evil() RETURNS int LANGUAGE sql AS 'SELECT 1' $$, '42501', NULL,
                 'nobody else creates anything in schema realtime');

SET LOCAL ROLE regress_owner;
SELECT throws_ok($$ SELECT realtime.publish('public.owned') $$, '42501',
                 'permission denied to create publication "supabase_realtime"',
                 'making the publication needs CREATE on the database');

RESET ROLE;
SELECT format('GRANT CREATE ON DATABASE %I TO regress_owner', current_database()) \gexec
SET LOCAL ROLE regress_owner;
SELECT lives_ok($$ SELECT realtime.publish('public.owned') $$, 'an owner with CREATE on the database publishes');
SELECT is((SELECT pubowner::regrole::text FROM pg_publication WHERE pubname = 'supabase_realtime'), 'regress_owner',
          'and owns the publication');
SELECT lives_ok($$ SELECT realtime.unpublish('public.owned') $$, 'and takes the table out again');
SELECT is(realtime.is_published('public.owned'), false, 'which is out then');

RESET ROLE;
CREATE TABLE public.other (id int PRIMARY KEY);
ALTER TABLE public.other OWNER TO regress_other;
SET LOCAL ROLE regress_other;
SELECT throws_ok($$ SELECT realtime.publish('public.other') $$, '42501', 'must be owner of publication supabase_realtime',
                 'a table''s owner needs the publication too');
RESET ROLE;
SELECT realtime.publish('public.other') \g /dev/null
SELECT is(realtime.is_published('public.other'), true, 'a superuser publishes anybody''s table');
SET LOCAL ROLE regress_other;
SELECT throws_ok($$ SELECT realtime.unpublish('public.other') $$, '42501',
                 'must be owner of publication supabase_realtime', 'nor is it taken out without');
SELECT lives_ok($$ SELECT realtime.publish('public.other') $$, 'publishing again what is published asks for nothing');
RESET ROLE;

SELECT * FROM finish();
ROLLBACK;
