-- realtime.install_supabase_roles() makes what policies written for Supabase rely on.
SELECT realtime.install_supabase_roles();
SELECT rolname, rolcanlogin, rolsuper, rolinherit, rolbypassrls, rolcreaterole, rolcreatedb
  FROM pg_roles WHERE rolname IN ('anon', 'authenticated', 'service_role') ORDER BY rolname COLLATE "C";
SELECT p.oid::regprocedure AS function, format_type(p.prorettype, NULL) AS returns, p.provolatile, p.prosecdef
  FROM pg_proc p WHERE p.pronamespace = 'auth'::regnamespace ORDER BY 1;

-- Outside of a request they are NULL.
SELECT auth.uid() IS NULL AS uid, auth.role() IS NULL AS role, auth.jwt() IS NULL AS jwt;

-- From the claims as one JSON document.
BEGIN;
SET LOCAL ROLE authenticated;
SELECT set_config('request.jwt.claims',
                  '{"sub": "00000000-0000-4000-8000-000000000001", "role": "authenticated", "org": {"id": 7}}', true);
SELECT auth.uid(), auth.role(), auth.jwt() #>> '{org,id}' AS org;

-- The single settings win, as they do on Supabase.
SELECT set_config('request.jwt.claim.sub', '00000000-0000-4000-8000-000000000002', true);
SELECT set_config('request.jwt.claim.role', 'anon', true);
SELECT auth.uid(), auth.role();
ROLLBACK;

-- Settings that a finished transaction leaves behind as empty strings are no claims.
SELECT auth.uid() IS NULL AS uid, auth.role() IS NULL AS role, auth.jwt() IS NULL AS jwt;

-- A subject that is no UUID is an error, not somebody else.
SELECT set_config('request.jwt.claims', '{"sub": "alice"}', false);
SELECT auth.uid();
SELECT set_config('request.jwt.claims', '', false);

-- What exists is left alone.
CREATE OR REPLACE FUNCTION auth.role() RETURNS text LANGUAGE sql STABLE AS $$ SELECT 'mine'::text $$;
ALTER ROLE anon CONNECTION LIMIT 7;
SELECT realtime.install_supabase_roles();
SELECT auth.role(), rolconnlimit FROM pg_roles WHERE rolname = 'anon';
ALTER ROLE anon CONNECTION LIMIT -1;
DROP FUNCTION auth.role();
SELECT realtime.install_supabase_roles();
SELECT auth.role() IS NULL AS made_again;

-- They are not the extension's: dropping it keeps the policies that use them working.
SELECT count(*) AS members FROM pg_depend
 WHERE deptype = 'e' AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'realtime')
   AND (classid, objid) IN (SELECT 'pg_proc'::regclass, oid FROM pg_proc WHERE pronamespace = 'auth'::regnamespace);
