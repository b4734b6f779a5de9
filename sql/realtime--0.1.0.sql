\echo Use "CREATE EXTENSION realtime" to load this file. \quit

-- The schema `realtime` is named by the control file and exists by now. Policies that clients' roles are subject to call
-- functions in it, so every role may look names up here.
GRANT USAGE ON SCHEMA realtime TO PUBLIC;

CREATE FUNCTION realtime.version()
RETURNS text
LANGUAGE c STABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'realtime_version';

COMMENT ON FUNCTION realtime.version() IS 'version of the loaded library';

-- Bodies of SQL functions are parsed here, once, so that no caller's search_path can change what they mean; without a
-- SET clause they stay inlinable, which policies need to be fast.
CREATE FUNCTION realtime.topic()
RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
RETURN NULLIF(pg_catalog.current_setting('realtime.topic', true), '');

COMMENT ON FUNCTION realtime.topic() IS 'topic of the channel that a policy is asked about';

-- The publication whose changes are served. The fall-back is for a session in which the library is not loaded.
CREATE FUNCTION realtime.publication_name()
RETURNS name
LANGUAGE sql STABLE
RETURN COALESCE(NULLIF(pg_catalog.current_setting('realtime.publication', true), ''), 'supabase_realtime')::name;

COMMENT ON FUNCTION realtime.publication_name() IS 'publication whose changes are served';

-- Refuses what can never be published, with the way out as hint, before anything is changed.
CREATE FUNCTION realtime.check_publishable(tab regclass)
RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  rel record;
  problem text;
  cure text;
BEGIN
  IF tab IS NULL THEN
    RAISE EXCEPTION 'table must not be null' USING ERRCODE = 'null_value_not_allowed';
  END IF;

  SELECT c.relkind, c.relpersistence, c.relowner, n.nspname, c.relname, c.oid INTO rel
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
   WHERE c.oid = tab;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'table with OID % does not exist', tab::oid USING ERRCODE = 'undefined_table';
  END IF;

  -- 16384 is the first OID of objects that users make: PostgreSQL publishes nothing below it.
  IF rel.oid < 16384 OR rel.nspname IN ('pg_catalog', 'information_schema', 'pg_toast') THEN
    problem := 'it belongs to the system';
    cure := 'Publish a table of your own, and keep it current with a trigger if need be.';
  ELSIF rel.relkind IN ('v', 'm') THEN
    problem := CASE rel.relkind WHEN 'v' THEN 'it is a view' ELSE 'it is a materialized view' END;
    cure := 'Publish the tables that the view reads; clients subscribe to those.';
  ELSIF rel.relkind = 'f' THEN
    problem := 'it is a foreign table';
    cure := 'Publish the table on the server where it is stored.';
  ELSIF rel.relkind NOT IN ('r', 'p') THEN
    problem := 'it is not a table';
    cure := 'Give the name of an ordinary or a partitioned table.';
  ELSIF rel.relpersistence = 't' THEN
    problem := 'it is a temporary table';
    cure := 'Changes of temporary tables are not written to WAL; use a permanent table.';
  ELSIF rel.relpersistence = 'u' THEN
    problem := 'it is an unlogged table';
    cure := format('Changes of unlogged tables are not written to WAL: ALTER TABLE %I.%I SET LOGGED.',
                   rel.nspname, rel.relname);
  END IF;

  IF problem IS NOT NULL THEN
    RAISE EXCEPTION 'cannot publish "%.%": %', rel.nspname, rel.relname, problem
      USING ERRCODE = 'wrong_object_type', HINT = cure;
  END IF;
  IF NOT pg_has_role(current_user, rel.relowner, 'USAGE') THEN
    RAISE EXCEPTION 'must be owner of table %.%', rel.nspname, rel.relname
      USING ERRCODE = 'insufficient_privilege',
            HINT = format('Its owner is %I.', pg_get_userbyid(rel.relowner));
  END IF;
END
$$;

-- True when the publication carries the table's changes: by name, by schema, or because it carries every table's.
CREATE FUNCTION realtime.is_published(tab regclass)
RETURNS boolean
LANGUAGE sql STABLE
BEGIN ATOMIC
  SELECT EXISTS (
    SELECT
      FROM pg_catalog.pg_publication p
     WHERE p.pubname = realtime.publication_name()
       AND (p.puballtables
            OR EXISTS (SELECT FROM pg_catalog.pg_publication_rel r WHERE r.prpubid = p.oid AND r.prrelid = tab)
            OR EXISTS (SELECT
                         FROM pg_catalog.pg_publication_namespace s
                         JOIN pg_catalog.pg_class c ON c.relnamespace = s.pnnspid
                        WHERE s.pnpubid = p.oid AND c.oid = tab)));
END;

COMMENT ON FUNCTION realtime.is_published(regclass) IS 'whether changes of the table are published to clients';

-- Both run with the caller's rights: whoever owns the table and the publication may publish, nobody else.
CREATE FUNCTION realtime.publish(VARIADIC tables regclass[])
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  publication name := realtime.publication_name();
  owner oid;
  tab regclass;
BEGIN
  IF tables IS NULL THEN
    RAISE EXCEPTION 'table must not be null' USING ERRCODE = 'null_value_not_allowed';
  END IF;
  FOREACH tab IN ARRAY tables LOOP
    PERFORM realtime.check_publishable(tab);
  END LOOP;

  -- ALTER PUBLICATION in two sessions at once fails with an internal error; one waits for the other instead.
  PERFORM pg_advisory_xact_lock('pg_publication'::regclass::oid::int, hashtext(publication));

  SELECT p.pubowner INTO owner FROM pg_publication p WHERE p.pubname = publication;
  IF NOT FOUND THEN
    IF NOT has_database_privilege(current_database(), 'CREATE') THEN
      RAISE EXCEPTION 'permission denied to create publication "%"', publication
        USING ERRCODE = 'insufficient_privilege',
              HINT = format('GRANT CREATE ON DATABASE %I TO %I, or have a superuser call realtime.publish().',
                            current_database(), current_user);
    END IF;
    BEGIN
      EXECUTE format('CREATE PUBLICATION %I', publication);
    EXCEPTION WHEN duplicate_object OR unique_violation THEN
      NULL;  -- another session was faster
    END;
    SELECT p.pubowner INTO owner FROM pg_publication p WHERE p.pubname = publication;
  END IF;

  FOREACH tab IN ARRAY tables LOOP
    CONTINUE WHEN realtime.is_published(tab);
    IF NOT pg_has_role(current_user, owner, 'USAGE') THEN
      RAISE EXCEPTION 'must be owner of publication %', publication
        USING ERRCODE = 'insufficient_privilege', HINT = format('Its owner is %I.', pg_get_userbyid(owner));
    END IF;
    BEGIN
      EXECUTE format('ALTER PUBLICATION %I ADD TABLE %s', publication, tab);
    EXCEPTION WHEN duplicate_object OR unique_violation THEN
      NULL;
    END;
  END LOOP;
END
$$;

COMMENT ON FUNCTION realtime.publish(regclass[]) IS 'let clients subscribe to changes of the tables';

CREATE FUNCTION realtime.unpublish(VARIADIC tables regclass[])
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  publication name := realtime.publication_name();
  pub record;
  tab regclass;
BEGIN
  IF tables IS NULL OR array_position(tables, NULL) IS NOT NULL THEN
    RAISE EXCEPTION 'table must not be null' USING ERRCODE = 'null_value_not_allowed';
  END IF;
  -- ALTER PUBLICATION in two sessions at once fails with an internal error; one waits for the other instead.
  PERFORM pg_advisory_xact_lock('pg_publication'::regclass::oid::int, hashtext(publication));

  SELECT p.oid, p.puballtables, p.pubowner INTO pub FROM pg_publication p WHERE p.pubname = publication;
  IF NOT FOUND THEN
    RETURN;
  END IF;

  FOREACH tab IN ARRAY tables LOOP
    CONTINUE WHEN NOT realtime.is_published(tab);
    IF NOT pg_has_role(current_user, pub.pubowner, 'USAGE') THEN
      RAISE EXCEPTION 'must be owner of publication %', publication
        USING ERRCODE = 'insufficient_privilege', HINT = format('Its owner is %I.', pg_get_userbyid(pub.pubowner));
    END IF;
    IF EXISTS (SELECT FROM pg_publication_rel r WHERE r.prpubid = pub.oid AND r.prrelid = tab) THEN
      EXECUTE format('ALTER PUBLICATION %I DROP TABLE %s', publication, tab);
    END IF;
    IF realtime.is_published(tab) THEN
      RAISE EXCEPTION 'cannot unpublish "%": publication "%" includes it by rule', tab, publication
        USING ERRCODE = 'object_not_in_prerequisite_state',
              HINT = CASE WHEN pub.puballtables
                          THEN 'The publication is FOR ALL TABLES; make one that names its tables.'
                          ELSE 'The publication includes the table''s whole schema; name its tables instead.' END;
    END IF;
  END LOOP;
END
$$;

COMMENT ON FUNCTION realtime.unpublish(regclass[]) IS 'stop serving changes of the tables';

-- What policies written for Supabase rely on. Never called by CREATE EXTENSION, and leaves alone whatever exists.
CREATE FUNCTION realtime.install_supabase_roles()
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  may_create boolean := (SELECT rolsuper FROM pg_roles WHERE rolname = current_user);
BEGIN
  IF NOT may_create THEN
    RAISE EXCEPTION 'permission denied to install roles'
      USING ERRCODE = 'insufficient_privilege',
            HINT = 'The role service_role bypasses row-level security; only a superuser can create it.';
  END IF;

  IF to_regrole('anon') IS NULL THEN
    CREATE ROLE anon NOLOGIN NOINHERIT;
  END IF;
  IF to_regrole('authenticated') IS NULL THEN
    CREATE ROLE authenticated NOLOGIN NOINHERIT;
  END IF;
  IF to_regrole('service_role') IS NULL THEN
    CREATE ROLE service_role NOLOGIN NOINHERIT BYPASSRLS;
  END IF;

  IF to_regnamespace('auth') IS NULL THEN
    CREATE SCHEMA auth;
  END IF;
  IF to_regprocedure('auth.uid()') IS NULL THEN
    CREATE FUNCTION auth.uid() RETURNS uuid LANGUAGE sql STABLE
    RETURN COALESCE(NULLIF(current_setting('request.jwt.claim.sub', true), ''),
                    NULLIF(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub')::uuid;
  END IF;
  IF to_regprocedure('auth.role()') IS NULL THEN
    CREATE FUNCTION auth.role() RETURNS text LANGUAGE sql STABLE
    RETURN COALESCE(NULLIF(current_setting('request.jwt.claim.role', true), ''),
                    NULLIF(current_setting('request.jwt.claims', true), '')::jsonb ->> 'role');
  END IF;
  IF to_regprocedure('auth.jwt()') IS NULL THEN
    CREATE FUNCTION auth.jwt() RETURNS jsonb LANGUAGE sql STABLE
    RETURN COALESCE(NULLIF(current_setting('request.jwt.claim', true), ''),
                    NULLIF(current_setting('request.jwt.claims', true), ''))::jsonb;
  END IF;

  GRANT USAGE ON SCHEMA auth TO anon, authenticated, service_role;
  IF to_regnamespace('public') IS NOT NULL THEN
    GRANT USAGE ON SCHEMA public TO anon, authenticated, service_role;
  END IF;
END
$$;

COMMENT ON FUNCTION realtime.install_supabase_roles() IS
  'create the roles anon, authenticated and service_role and the functions auth.uid(), auth.role() and auth.jwt() where they are missing';
