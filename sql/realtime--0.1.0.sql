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

-- ---- messages ----------------------------------------------------------------------------------------------------------

-- Every row that is committed here with a topic, an event, `private` and a payload is broadcast, by whatever means it was
-- written. The row-level security policies of this table decide who may join, read and write private channels: with
-- none, nobody. All times are UTC, whatever the session's time zone, as the partitions are UTC days. They are the clock's and
-- not the transaction's, so that replay knows which message of a transaction came first.
CREATE TABLE realtime.messages (
  topic text NOT NULL,
  extension text NOT NULL,
  payload jsonb,
  event text,
  private boolean DEFAULT false,
  updated_at timestamp NOT NULL DEFAULT (pg_catalog.clock_timestamp() AT TIME ZONE 'UTC'),
  inserted_at timestamp NOT NULL DEFAULT (pg_catalog.clock_timestamp() AT TIME ZONE 'UTC'),
  id uuid NOT NULL DEFAULT pg_catalog.gen_random_uuid(),
  binary_payload bytea,
  expires_at timestamp,
  PRIMARY KEY (id, inserted_at),
  CONSTRAINT messages_one_payload CHECK (payload IS NULL OR binary_payload IS NULL)
) PARTITION BY RANGE (inserted_at);

COMMENT ON TABLE realtime.messages IS 'messages to broadcast; its policies decide who may use private channels';
COMMENT ON COLUMN realtime.messages.topic IS 'topic of the channel, without "realtime:"';
COMMENT ON COLUMN realtime.messages.extension IS '"broadcast" or "presence": what a policy is asked about';
COMMENT ON COLUMN realtime.messages.private IS 'whether the private or the public channels of that topic receive it';
COMMENT ON COLUMN realtime.messages.binary_payload IS 'payload that is no JSON; reaches clients of protocol version 2.0.0';
COMMENT ON COLUMN realtime.messages.expires_at IS 'when the row is to be deleted, UTC; null: with its partition';

ALTER TABLE realtime.messages ENABLE ROW LEVEL SECURITY;

-- Replay asks for the newest of one topic.
CREATE INDEX messages_replay_idx ON realtime.messages (topic, inserted_at DESC)
  WHERE extension OPERATOR(pg_catalog.=) 'broadcast' AND private;
CREATE INDEX messages_expires_at_idx ON realtime.messages (expires_at) WHERE expires_at IS NOT NULL;

-- Takes what no day's partition takes, so that no message is ever lost for want of one. A partition named directly is
-- governed by its own policies, not by its parent's: it has none, and nobody is granted anything on it.
CREATE TABLE realtime.messages_default PARTITION OF realtime.messages DEFAULT;
ALTER TABLE realtime.messages_default ENABLE ROW LEVEL SECURITY;
COMMENT ON TABLE realtime.messages_default IS 'messages of days that have no partition';

-- Roles made later get the same from realtime.install_supabase_roles().
DO $$
DECLARE
  grantee pg_catalog.name;
BEGIN
  FOR grantee IN SELECT rolname FROM pg_catalog.pg_roles
                  WHERE rolname OPERATOR(pg_catalog.=) ANY ('{anon,authenticated,service_role}'::pg_catalog.name[])
  LOOP
    EXECUTE pg_catalog.format('GRANT SELECT, INSERT, UPDATE ON realtime.messages TO %I', grantee);
  END LOOP;
END
$$;

-- ---- sending -----------------------------------------------------------------------------------------------------------

-- These run with the caller's rights and with the caller's search_path, which functions that a policy or a trigger calls
-- may depend on; so every name in them is qualified. realtime.topic, which policies read, is put back on return.
CREATE FUNCTION realtime.store_message(id uuid, payload jsonb, binary_payload bytea, event text, topic text,
                                       private boolean)
RETURNS void
LANGUAGE plpgsql
SET realtime.topic = ''
AS $$
BEGIN
  IF event IS NULL OR topic IS NULL OR private IS NULL OR (payload IS NULL AND binary_payload IS NULL) THEN
    RAISE WARNING 'WarnSendingBroadcastMessage: payload, event, topic and private must not be null';
    RETURN;
  END IF;
  PERFORM pg_catalog.set_config('realtime.topic', topic, true);

  FOR attempt IN 1..2 LOOP
    BEGIN
      INSERT INTO realtime.messages (id, payload, binary_payload, event, topic, private, extension)
      VALUES (store_message.id, store_message.payload, store_message.binary_payload, store_message.event,
              store_message.topic, store_message.private, 'broadcast');
      RETURN;
    EXCEPTION
      -- The row was on its way to the default partition when its day's partition was attached: it goes there now.
      WHEN check_violation THEN
        IF attempt OPERATOR(pg_catalog.=) 2 THEN
          RAISE WARNING 'WarnSendingBroadcastMessage: %', SQLERRM;
        END IF;
      WHEN OTHERS THEN
        RAISE WARNING 'WarnSendingBroadcastMessage: %', SQLERRM;
        RETURN;
    END;
  END LOOP;
END
$$;

COMMENT ON FUNCTION realtime.store_message(uuid, jsonb, bytea, text, text, boolean) IS
  'what realtime.send() and realtime.send_binary() have in common';

CREATE FUNCTION realtime.send(payload jsonb, event text, topic text, private boolean DEFAULT true)
RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
  message_id pg_catalog.uuid := pg_catalog.gen_random_uuid();
  kind pg_catalog.text := pg_catalog.jsonb_typeof(payload);
BEGIN
  IF kind OPERATOR(pg_catalog.<>) 'object' THEN
    RAISE WARNING 'WarnSendingBroadcastMessage: payload must be a JSON object, not %', kind;
    RETURN;
  END IF;
  IF NOT pg_catalog.jsonb_exists(payload, 'id') THEN
    payload := payload OPERATOR(pg_catalog.||) pg_catalog.jsonb_build_object('id', message_id);
  END IF;
  PERFORM realtime.store_message(message_id, payload, NULL, event, topic, private);
END
$$;

COMMENT ON FUNCTION realtime.send(jsonb, text, text, boolean) IS
  'broadcast a JSON object when the transaction commits; what goes wrong is a warning';

CREATE FUNCTION realtime.send_binary(payload bytea, event text, topic text, private boolean DEFAULT true)
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
  PERFORM realtime.store_message(pg_catalog.gen_random_uuid(), NULL, payload, event, topic, private);
END
$$;

COMMENT ON FUNCTION realtime.send_binary(bytea, text, text, boolean) IS
  'broadcast bytes when the transaction commits; what goes wrong is a warning';

CREATE FUNCTION realtime.broadcast_changes(topic_name text, event_name text, operation text, table_name text,
                                           table_schema text, new record, old record, level text DEFAULT 'ROW')
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
  IF level OPERATOR(pg_catalog.=) 'STATEMENT' THEN
    RAISE EXCEPTION 'function can only be triggered for each row, not for each statement';
  END IF;
  IF operation IS NULL OR operation OPERATOR(pg_catalog.<>) ALL ('{INSERT,UPDATE,DELETE}'::pg_catalog.text[]) THEN
    RAISE EXCEPTION 'Unexpected operation type: %', operation;
  END IF;
  PERFORM realtime.send(
    pg_catalog.jsonb_build_object('old_record', old, 'record', new, 'operation', operation, 'table', table_name,
                                  'schema', table_schema),
    event_name, topic_name);
EXCEPTION WHEN OTHERS THEN
  RAISE EXCEPTION 'Failed to process the row: %', SQLERRM;
END
$$;

COMMENT ON FUNCTION realtime.broadcast_changes(text, text, text, text, text, record, record, text) IS
  'broadcast a row''s change to a private channel; for triggers FOR EACH ROW';

-- ---- upkeep of realtime.messages ---------------------------------------------------------------------------------------

-- The worker calls these once a minute, each in a transaction of its own and with a lock_timeout. Those who do it at the
-- same time wait for each other on a lock of the table that neither readers nor writers notice, and that, unlike an
-- advisory lock, nobody without rights on the table can take.

CREATE FUNCTION realtime.message_cutoff(retention interval)
RETURNS timestamp
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF retention <= interval '0' THEN
    RAISE EXCEPTION 'retention must be positive, or null to keep all messages'
      USING ERRCODE = 'invalid_parameter_value';
  END IF;
  RETURN COALESCE((now() AT TIME ZONE 'UTC') - retention, '-infinity');
END
$$;

COMMENT ON FUNCTION realtime.message_cutoff(interval) IS 'UTC time before which messages are old; null: none is';

-- Writing to a table runs code of its owner's: expressions of indexes, checks, triggers. The worker is a superuser.
CREATE FUNCTION realtime.require_trusted_owner(tab regclass)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  owner record;
BEGIN
  SELECT r.rolname, r.rolsuper INTO owner FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner WHERE c.oid = tab;
  IF NOT owner.rolsuper AND (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
    RAISE EXCEPTION 'table % belongs to role "%", whose code would run with the rights of role "%"',
      tab, owner.rolname, current_user
      USING ERRCODE = 'insufficient_privilege',
            HINT = format('ALTER TABLE %s OWNER TO a superuser. Until then the upkeep of realtime.messages stands still.', tab);
  END IF;
END
$$;

-- Rows are deleted with the worker's rights, and what a DELETE calls has them too. The function of a trigger must be a
-- superuser's: whoever else owns it may replace it, or take SECURITY DEFINER from it, between this check and the call. A WHEN
-- clause can do anything by itself, whoever owns the functions that it names: query_to_xml() takes a statement. So can a rule.
-- A foreign key's action runs as the owner of the table that it changes, but that table's AFTER triggers run when his rights
-- have been left. The lock keeps others from being made meanwhile.
CREATE FUNCTION realtime.lock_for_delete(part regclass)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  untrusted text;
BEGIN
  EXECUTE format('LOCK TABLE ONLY %s IN ROW EXCLUSIVE MODE', part);
  PERFORM realtime.require_trusted_owner(part);
  SELECT CASE WHEN k.contype = 'f' THEN format('what follows the action of a foreign key of table %s', k.conrelid::regclass)
              WHEN t.tgqual IS NOT NULL THEN format('the WHEN clause of trigger "%s" of table %s', t.tgname, part)
              ELSE format('trigger "%s" of table %s', t.tgname, part) END INTO untrusted
    FROM pg_trigger t JOIN pg_proc f ON f.oid = t.tgfoid JOIN pg_roles r ON r.oid = f.proowner
    LEFT JOIN pg_constraint k ON k.oid = t.tgconstraint
   WHERE t.tgrelid = part AND t.tgenabled <> 'D' AND t.tgtype & 8 <> 0  -- on DELETE
     AND (NOT r.rolsuper OR t.tgqual IS NOT NULL OR (k.contype = 'f' AND k.confdeltype NOT IN ('a', 'r')))
  UNION ALL
  SELECT format('rule "%s" of table %s', w.rulename, part) FROM pg_rewrite w
   WHERE w.ev_class = part AND w.ev_enabled <> 'D' AND w.ev_type = '4';  -- on DELETE
  IF FOUND THEN
    RAISE EXCEPTION '% would run with the rights of role "%"', untrusted, current_user
      USING ERRCODE = 'insufficient_privilege',
            HINT = 'Drop it; a trigger may call a superuser''s function, without WHEN. Until then no rows are deleted or moved.';
  END IF;
END
$$;

-- Partitions whose name and bounds are those of one UTC day: the ones made here. Others are left alone.
CREATE FUNCTION realtime.message_partitions()
RETURNS TABLE (partition regclass, day date)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
SET datestyle = 'ISO, YMD'
AS $$
  SELECT p.oid::regclass, d.day
    FROM (SELECT c.oid, c.relname, pg_get_expr(c.relpartbound, c.oid) AS bound
            FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
           WHERE i.inhparent = 'realtime.messages'::regclass AND c.relname ~ '^messages_\d{4}_\d\d_\d\d$') p,
         LATERAL (SELECT substring(p.bound FROM 'FROM \(''([^'']+)''\)')::timestamp::date AS day) d
   WHERE p.bound = format('FOR VALUES FROM (%L) TO (%L)', d.day::timestamp, d.day::timestamp + interval '1 day')
     AND p.relname = 'messages_' || to_char(d.day, 'YYYY_MM_DD')
$$;

COMMENT ON FUNCTION realtime.message_partitions() IS 'the daily partitions of realtime.messages';

-- Made as a table of its own and attached when it is complete: that locks the default partition, but nobody out of the
-- other ones. Rows that wait in the default partition for this day move along; they are in place before the table
-- becomes a partition, so that the move is nothing that a publication of realtime.messages carries.
CREATE FUNCTION realtime.make_message_partition(day date)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET datestyle = 'ISO, YMD'
AS $$
DECLARE
  name text := 'realtime.messages_' || to_char(day, 'YYYY_MM_DD');
  first timestamp := day;
  past timestamp := day + 1;
  owner name := (SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = 'realtime.messages'::regclass);
  columns text := (SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute
                    WHERE attrelid = 'realtime.messages'::regclass AND attnum > 0 AND NOT attisdropped
                      AND attgenerated = '');
BEGIN
  PERFORM realtime.require_trusted_owner('realtime.messages');
  EXECUTE format('CREATE TABLE %s (LIKE realtime.messages INCLUDING ALL)', name);
  EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', name);
  EXECUTE format('ALTER TABLE %s OWNER TO %I', name, owner);

  LOCK TABLE ONLY realtime.messages_default IN ACCESS EXCLUSIVE MODE;
  PERFORM realtime.lock_for_delete(tableoid) FROM ONLY realtime.messages_default
    WHERE inserted_at >= first AND inserted_at < past LIMIT 1;
  EXECUTE format('WITH moved AS (DELETE FROM ONLY realtime.messages_default WHERE inserted_at >= $1 AND inserted_at < $2'
                 ' RETURNING %1$s) INSERT INTO %2$s (%1$s) SELECT %1$s FROM moved', columns, name) USING first, past;
  EXECUTE format('ALTER TABLE realtime.messages ATTACH PARTITION %s FOR VALUES FROM (%L) TO (%L)', name, first, past);

  -- A member of the extension is not dumped: a restored database makes its own. In an extension's script it is one by now.
  IF NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = name::regclass AND deptype = 'e')
  THEN
    EXECUTE format('ALTER EXTENSION realtime ADD TABLE %s', name);
  END IF;
END
$$;

-- From yesterday to three days ahead, and for days within the retention that wait in the default partition: at most a week
-- back, so that rows dated at will cannot make any number of partitions. A name that something else has (a partition that
-- was detached to be kept, say) is left to it: that day's messages stay in the default partition. Days that nothing waits
-- for come first: they are made even if moving rows takes longer than the caller may.
CREATE FUNCTION realtime.make_message_partitions(retention interval DEFAULT '72 hours', max_partitions integer DEFAULT NULL)
RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  cutoff timestamp := realtime.message_cutoff(retention);
  today date := now() AT TIME ZONE 'UTC';
  wanted date;
  made bigint := 0;
BEGIN
  LOCK TABLE ONLY realtime.messages IN SHARE UPDATE EXCLUSIVE MODE;
  FOR wanted IN
    SELECT d.day
      FROM (SELECT generate_series(today - 1, today + 3, '1 day')::date AS day, 0 AS waiting
            UNION ALL
            SELECT inserted_at::date, 1 FROM ONLY realtime.messages_default
             WHERE inserted_at >= today - 7 AND inserted_at < today + 4) d
     WHERE d.day + 1 > cutoff
       AND NOT EXISTS (SELECT FROM realtime.message_partitions() p WHERE p.day = d.day)
       AND to_regclass('realtime.messages_' || to_char(d.day, 'YYYY_MM_DD')) IS NULL
     GROUP BY d.day
     ORDER BY max(d.waiting), d.day
     LIMIT max_partitions
  LOOP
    PERFORM realtime.make_message_partition(wanted);
    made := made + 1;
  END LOOP;
  RETURN made;
END
$$;

COMMENT ON FUNCTION realtime.make_message_partitions(interval, integer) IS
  'make the daily partitions of realtime.messages that are missing; returns how many';

-- Rows first, at most max_rows of each partition; they go by their place in the table, so that the plan is always a cheap one.
CREATE FUNCTION realtime.delete_old_messages(retention interval DEFAULT '72 hours', max_rows integer DEFAULT 10000)
RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  cutoff timestamp := realtime.message_cutoff(retention);
  part regclass;
  gone bigint := 0;
  n bigint;
BEGIN
  FOR part IN SELECT i.inhrelid FROM pg_inherits i WHERE i.inhparent = 'realtime.messages'::regclass LOOP
    PERFORM realtime.lock_for_delete(part);
    EXECUTE format('DELETE FROM ONLY %1$s WHERE ctid = ANY (ARRAY(SELECT ctid FROM ONLY %1$s'
                   ' WHERE expires_at <= now() AT TIME ZONE ''UTC'' LIMIT $1))', part) USING max_rows;
    GET DIAGNOSTICS n = ROW_COUNT;
    gone := gone + n;
  END LOOP;

  DELETE FROM ONLY realtime.messages_default WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM ONLY realtime.messages_default WHERE inserted_at < cutoff LIMIT max_rows));
  GET DIAGNOSTICS n = ROW_COUNT;
  RETURN gone + n;
END
$$;

COMMENT ON FUNCTION realtime.delete_old_messages(interval, integer) IS
  'delete messages that have expired, and old ones that are in no daily partition; returns how many';

-- This needs an exclusive lock on realtime.messages, for a moment. The lock is taken only when there is something to drop.
CREATE FUNCTION realtime.drop_old_message_partitions(retention interval DEFAULT '72 hours')
RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  cutoff timestamp := realtime.message_cutoff(retention);
  old record;
  dropped bigint := 0;
BEGIN
  IF NOT EXISTS (SELECT FROM realtime.message_partitions() p WHERE p.day + 1 <= cutoff) THEN
    RETURN 0;
  END IF;
  LOCK TABLE ONLY realtime.messages IN ACCESS EXCLUSIVE MODE;
  FOR old IN SELECT p.partition FROM realtime.message_partitions() p WHERE p.day + 1 <= cutoff LOOP
    IF EXISTS (SELECT FROM pg_depend
                WHERE classid = 'pg_class'::regclass AND objid = old.partition AND deptype = 'e') THEN
      EXECUTE format('ALTER EXTENSION realtime DROP TABLE %s', old.partition);
    END IF;
    EXECUTE format('DROP TABLE %s', old.partition);
    dropped := dropped + 1;
  END LOOP;
  RETURN dropped;
END
$$;

COMMENT ON FUNCTION realtime.drop_old_message_partitions(interval) IS
  'drop daily partitions of realtime.messages that are wholly older than the retention; returns how many';

-- The publication through which the worker reads realtime.messages. It cannot be a member of the extension.
CREATE FUNCTION realtime.messages_are_published()
RETURNS boolean
LANGUAGE sql STABLE
BEGIN ATOMIC
  SELECT EXISTS (
    SELECT
      FROM pg_catalog.pg_publication p
     WHERE p.pubname = 'supabase_realtime_messages_publication'
       AND p.pubinsert AND p.pubviaroot AND NOT (p.puballtables OR p.pubupdate OR p.pubdelete OR p.pubtruncate)
       AND NOT EXISTS (SELECT FROM pg_catalog.pg_publication_namespace s WHERE s.pnpubid = p.oid)
       AND (SELECT pg_catalog.array_agg(r.prrelid::regclass) = '{realtime.messages}'::regclass[]
                   AND pg_catalog.bool_and(r.prqual IS NULL AND r.prattrs IS NULL)
              FROM pg_catalog.pg_publication_rel r WHERE r.prpubid = p.oid));
END;

COMMENT ON FUNCTION realtime.messages_are_published() IS 'whether the publication of realtime.messages is as it must be';

CREATE FUNCTION realtime.publish_messages()
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  for_all boolean;
BEGIN
  IF realtime.messages_are_published() THEN
    RETURN;
  END IF;
  LOCK TABLE ONLY realtime.messages IN SHARE UPDATE EXCLUSIVE MODE;
  SELECT puballtables INTO for_all FROM pg_publication WHERE pubname = 'supabase_realtime_messages_publication';
  IF for_all THEN
    DROP PUBLICATION supabase_realtime_messages_publication;  -- nothing can turn it into one of a table
  END IF;
  IF for_all IS DISTINCT FROM false THEN
    CREATE PUBLICATION supabase_realtime_messages_publication FOR TABLE realtime.messages
      WITH (publish = 'insert', publish_via_partition_root = true);
  ELSIF NOT realtime.messages_are_published() THEN
    ALTER PUBLICATION supabase_realtime_messages_publication
      SET (publish = 'insert', publish_via_partition_root = true);
    ALTER PUBLICATION supabase_realtime_messages_publication SET TABLE realtime.messages;
  END IF;
END
$$;

COMMENT ON FUNCTION realtime.publish_messages() IS 'make or mend the publication of realtime.messages';

CREATE FUNCTION realtime.maintain_messages(retention interval DEFAULT '72 hours')
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM realtime.publish_messages();
  PERFORM realtime.make_message_partitions(retention);
  PERFORM realtime.delete_old_messages(retention);
  PERFORM realtime.drop_old_message_partitions(retention);
END
$$;

COMMENT ON FUNCTION realtime.maintain_messages(interval) IS 'the whole upkeep of realtime.messages, as the worker does it';

REVOKE ALL ON FUNCTION realtime.require_trusted_owner(regclass), realtime.lock_for_delete(regclass),
  realtime.make_message_partition(date),
  realtime.make_message_partitions(interval, integer),
  realtime.delete_old_messages(interval, integer), realtime.drop_old_message_partitions(interval),
  realtime.publish_messages(), realtime.maintain_messages(interval) FROM PUBLIC;

-- ---- what is served -----------------------------------------------------------------------------------------------------

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

-- ---- statistics --------------------------------------------------------------------------------------------------------

-- Figures of the worker, for those who watch the server. What it has last complained of may hold values of users' rows, as
-- pg_stat_activity may: for superusers and members of pg_monitor only, who need both rights, as a view's functions are called
-- with the reader's.
CREATE FUNCTION realtime.worker_statistics(
  OUT state text, OUT pid integer, OUT started_at timestamptz, OUT restarts bigint,
  OUT slot_name text, OUT confirmed_lsn pg_lsn, OUT received_lsn pg_lsn, OUT lag_bytes bigint,
  OUT lag_seconds double precision, OUT transactions bigint, OUT rows bigint, OUT deliveries bigint,
  OUT policy_checks bigint, OUT slow_policy_checks bigint, OUT policy_failures bigint, OUT filter_failures bigint,
  OUT parked_rows bigint, OUT parked_bytes bigint, OUT history_rows bigint, OUT history_bytes bigint,
  OUT queue_bytes bigint, OUT connections bigint, OUT channels bigint, OUT subscriptions bigint,
  OUT client_queue_bytes bigint, OUT loop_stall_p99_ms double precision,
  OUT last_error text, OUT last_error_at timestamptz)
RETURNS record
LANGUAGE c VOLATILE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'realtime_stat_worker';

COMMENT ON FUNCTION realtime.worker_statistics() IS 'what realtime.stat_worker shows';

CREATE VIEW realtime.stat_worker AS SELECT s.* FROM realtime.worker_statistics() s;

COMMENT ON VIEW realtime.stat_worker IS 'state and figures of the worker, one row';

REVOKE ALL ON FUNCTION realtime.worker_statistics() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION realtime.worker_statistics() TO pg_monitor;
GRANT SELECT ON realtime.stat_worker TO pg_monitor;

-- What the worker's threads hold: each reading asks the worker, which answers within two seconds or not at all.
CREATE FUNCTION realtime.channel_statistics(
  OUT topic text, OUT private boolean, OUT clients bigint, OUT presences bigint, OUT broadcasts bigint,
  OUT deliveries bigint)
RETURNS SETOF record
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'realtime_stat_channels';

COMMENT ON FUNCTION realtime.channel_statistics() IS 'what realtime.stat_channels shows';

CREATE FUNCTION realtime.connection_statistics(
  OUT connection_id bigint, OUT address text, OUT client text, OUT role text, OUT token_expires double precision,
  OUT protocol text, OUT channels bigint, OUT queue_bytes bigint, OUT bytes_in bigint, OUT bytes_out bigint,
  OUT connected double precision)
RETURNS SETOF record
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'realtime_stat_connections';

COMMENT ON FUNCTION realtime.connection_statistics() IS 'what realtime.stat_connections shows, times as seconds since 1970';

CREATE FUNCTION realtime.subscription_statistics(
  OUT connection_id bigint, OUT channel text, OUT role text, OUT schema_name text, OUT table_name text, OUT filter text,
  OUT events text, OUT matched bigint, OUT delivered bigint, OUT errors bigint)
RETURNS SETOF record
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'realtime_stat_subscriptions';

COMMENT ON FUNCTION realtime.subscription_statistics() IS 'what realtime.stat_subscriptions shows';

CREATE VIEW realtime.stat_channels AS SELECT s.* FROM realtime.channel_statistics() s;
CREATE VIEW realtime.stat_connections AS
  SELECT s.connection_id, s.address, s.client, s.role, pg_catalog.to_timestamp(s.token_expires) AS token_expires_at,
         s.protocol, s.channels, s.queue_bytes, s.bytes_in, s.bytes_out, pg_catalog.to_timestamp(s.connected) AS connected_at
    FROM realtime.connection_statistics() s;
CREATE VIEW realtime.stat_subscriptions AS SELECT s.* FROM realtime.subscription_statistics() s;

COMMENT ON VIEW realtime.stat_channels IS 'topics that somebody is joined to';
COMMENT ON VIEW realtime.stat_connections IS 'clients that are connected';
COMMENT ON VIEW realtime.stat_subscriptions IS 'subscriptions to changes, one row for each';

CREATE FUNCTION realtime.disconnect(connection_id bigint)
RETURNS boolean
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'realtime_disconnect';

COMMENT ON FUNCTION realtime.disconnect(bigint) IS 'end a connection of realtime.stat_connections; false: there is none';

REVOKE ALL ON FUNCTION realtime.channel_statistics(), realtime.connection_statistics(),
  realtime.subscription_statistics(), realtime.disconnect(bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION realtime.channel_statistics(), realtime.connection_statistics(),
  realtime.subscription_statistics() TO pg_monitor;
GRANT SELECT ON realtime.stat_channels, realtime.stat_connections, realtime.stat_subscriptions TO pg_monitor;
GRANT EXECUTE ON FUNCTION realtime.disconnect(bigint) TO pg_signal_backend;

-- ---- roles ------------------------------------------------------------------------------------------------------------

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
  GRANT SELECT, INSERT, UPDATE ON realtime.messages TO anon, authenticated, service_role;
END
$$;

COMMENT ON FUNCTION realtime.install_supabase_roles() IS
  'create the roles anon, authenticated and service_role and the functions auth.uid(), auth.role() and auth.jwt() where they are missing';

-- So that messages have their partitions from the start, also where no worker runs.
SELECT realtime.make_message_partitions();
