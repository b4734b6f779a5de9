-- What CREATE EXTENSION makes, and what it leaves alone.
CREATE EXTENSION realtime;
SELECT n.nspname AS schema, e.extversion = realtime.version() AS library_and_sql_agree
  FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
 WHERE e.extname = 'realtime';

-- Nothing of the user's: no publication, no roles, no schema auth.
SELECT count(*) AS publications FROM pg_publication;
SELECT to_regnamespace('auth') IS NULL AS no_auth;

-- The functions, and how each is protected: an own search_path, or a body parsed when it was made. Those that send qualify
-- every name instead: policies and triggers that they set off see the caller's search_path.
SELECT p.oid::regprocedure AS function, p.prosecdef AS definer,
       p.proconfig AS settings, p.prosqlbody IS NOT NULL AS parsed
  FROM pg_proc p
  JOIN pg_depend d ON d.objid = p.oid AND d.classid = 'pg_proc'::regclass AND d.deptype = 'e'
  JOIN pg_extension e ON e.oid = d.refobjid
 WHERE e.extname = 'realtime'
 ORDER BY p.oid::regprocedure::text COLLATE "C";

ALTER EXTENSION realtime SET SCHEMA public;

-- It can go and come back.
DROP EXTENSION realtime;
SELECT to_regproc('realtime.version') IS NULL AS gone;
CREATE EXTENSION realtime;
