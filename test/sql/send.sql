-- realtime.send(), realtime.send_binary() and realtime.broadcast_changes()
SELECT p.oid::regprocedure AS function, pg_get_function_arguments(p.oid) AS arguments, p.prosecdef AS definer
  FROM pg_proc p WHERE p.pronamespace = 'realtime'::regnamespace AND p.proname IN ('send', 'send_binary', 'broadcast_changes')
 ORDER BY p.proname COLLATE "C";

CREATE VIEW sent AS
  SELECT topic, event, private, extension, payload - 'id' AS payload, convert_from(binary_payload, 'UTF8') AS bytes,
         payload ->> 'id' = id::text AS own_id
    FROM realtime.messages ORDER BY inserted_at, ctid;

-- The message is private unless said otherwise, and its id is in the payload.
SELECT realtime.send('{"text": "hello"}', 'greeting', 'room:1');
SELECT realtime.send('{}', 'greeting', 'room:1', false);
SELECT realtime.send(payload => '{"id": 7, "nested": {"a": [1, null]}}', event => 'mine', topic => 'room:2', private => true);
SELECT payload -> 'id' AS id, id IS NOT NULL AS message_id FROM realtime.messages WHERE event = 'mine';
SELECT realtime.send_binary('bytes', 'raw', 'room:1');
SELECT realtime.send_binary('', 'raw', 'room:1', false);
TABLE sent;
SELECT updated_at - inserted_at < interval '1 minute' AND expires_at IS NULL AS as_inserted FROM realtime.messages LIMIT 1;

-- The topic is set for policies and triggers while it is sent, and put back.
CREATE FUNCTION note_topic() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.payload := jsonb_build_object('topic_seen', realtime.topic(), 'path_seen', current_setting('search_path'));
  RETURN NEW;
END
$$;
CREATE TRIGGER note_topic BEFORE INSERT ON realtime.messages FOR EACH ROW WHEN (NEW.event = 'note')
  EXECUTE FUNCTION note_topic();
BEGIN;
SET LOCAL realtime.topic = 'mine';
SET LOCAL search_path = public;
SELECT realtime.send('{}', 'note', 'quote '' and \ and "');
SELECT realtime.topic();
SELECT payload FROM realtime.messages WHERE event = 'note';
ROLLBACK;
DROP TRIGGER note_topic ON realtime.messages;
DROP FUNCTION note_topic;

-- Nothing of a transaction that is rolled back.
TRUNCATE realtime.messages;
BEGIN;
SELECT realtime.send('{"n": 1}', 'e', 't');
ROLLBACK;
SELECT count(*) FROM realtime.messages;

-- What cannot be broadcast is a warning, never an error: the caller's statement goes on.
SELECT realtime.send('[1]', 'e', 't');
SELECT realtime.send('"text"', 'e', 't');
SELECT realtime.send('null', 'e', 't');
SELECT realtime.send(NULL, 'e', 't');
SELECT realtime.send('{}', NULL, 't');
SELECT realtime.send('{}', 'e', NULL);
SELECT realtime.send('{}', 'e', 't', NULL);
SELECT realtime.send_binary(NULL, 'e', 't');
SELECT realtime.send_binary('x', NULL, 't');
SELECT realtime.send_binary('x', 'e', NULL);
SELECT realtime.send_binary('x', 'e', 't', NULL);
SELECT count(*) FROM realtime.messages;

-- A partition that is attached between routing and writing a row shows as a violated check: it is tried once more.
CREATE SEQUENCE tries;  -- which no rollback takes back
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF nextval('tries') <= TG_ARGV[0]::int THEN
    RAISE check_violation USING MESSAGE = 'refused';
  END IF;
  RETURN NEW;
END
$$;
CREATE TRIGGER refuse BEFORE INSERT ON realtime.messages FOR EACH ROW EXECUTE FUNCTION refuse(1);
SELECT realtime.send('{"arrives": true}', 'e', 't');
DROP TRIGGER refuse ON realtime.messages;
SELECT setval('tries', 1, false);
CREATE TRIGGER refuse BEFORE INSERT ON realtime.messages FOR EACH ROW EXECUTE FUNCTION refuse(9);
SELECT realtime.send('{"arrives": false}', 'e', 't');
SELECT currval('tries') AS tries;
DROP TRIGGER refuse ON realtime.messages;
DROP FUNCTION refuse;
DROP SEQUENCE tries;
TABLE sent;
TRUNCATE realtime.messages;

-- It has the caller's rights: without any, with a grant but no policy, with a policy.
CREATE ROLE regress_sender;
SET ROLE regress_sender;
SELECT realtime.send('{}', 'e', 't');
RESET ROLE;
GRANT INSERT ON realtime.messages TO regress_sender;
SET ROLE regress_sender;
SELECT realtime.send('{}', 'e', 't');
RESET ROLE;
CREATE POLICY rooms ON realtime.messages FOR INSERT TO regress_sender WITH CHECK (realtime.topic() = 'allowed');
SET ROLE regress_sender;
SELECT realtime.send('{}', 'e', 'denied');
SELECT realtime.send('{}', 'e', 'allowed');
SELECT realtime.send_binary('x', 'e', 'denied');
SELECT realtime.send_binary('x', 'e', 'allowed');
RESET ROLE;
SELECT topic, count(*) FROM realtime.messages GROUP BY topic;
DROP POLICY rooms ON realtime.messages;
REVOKE INSERT ON realtime.messages FROM regress_sender;
DROP ROLE regress_sender;
TRUNCATE realtime.messages;

-- Other things of the same name on the search_path change nothing.
CREATE SCHEMA trap;
CREATE FUNCTION trap.jsonb_typeof(jsonb) RETURNS text LANGUAGE sql AS $$ SELECT 'trapped' $$;
CREATE FUNCTION trap.different(text, text) RETURNS boolean LANGUAGE sql AS $$ SELECT true $$;
CREATE OPERATOR trap.<> (LEFTARG = text, RIGHTARG = text, FUNCTION = trap.different);
CREATE DOMAIN trap.text AS pg_catalog.int4;
CREATE DOMAIN trap.uuid AS pg_catalog.int4;
CREATE TABLE trap.messages (id int);
\c
SET search_path = trap, pg_catalog;
SELECT realtime.send('{"safe": true}', 'e', 't');
SELECT realtime.broadcast_changes('t', 'e', 'INSERT', 'a', 'b', ROW(1), NULL);
RESET search_path;
TABLE sent;
SET client_min_messages = warning;
DROP SCHEMA trap CASCADE;
RESET client_min_messages;
TRUNCATE realtime.messages;

-- Changes of a table, as a trigger broadcasts them.
CREATE TABLE items (id int PRIMARY KEY, body text, tags text[]);
CREATE FUNCTION items_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM realtime.broadcast_changes('items:' || coalesce(NEW.id, OLD.id), TG_OP, TG_OP, TG_TABLE_NAME, TG_TABLE_SCHEMA,
                                     NEW, OLD);
  RETURN NULL;
END
$$;
CREATE TRIGGER items_changed AFTER INSERT OR UPDATE OR DELETE ON items FOR EACH ROW EXECUTE FUNCTION items_changed();
INSERT INTO items VALUES (1, 'one', '{a,b}');
UPDATE items SET body = NULL;
DELETE FROM items;
TABLE sent;
SELECT key, count(*) FROM realtime.messages, jsonb_object_keys(payload) AS key GROUP BY key ORDER BY key COLLATE "C";

-- A payload that cannot be stored is still a warning; what a trigger does wrong fails the statement.
CREATE FUNCTION attempt(command text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE command;
  RETURN 'ok';
EXCEPTION WHEN OTHERS THEN
  RETURN SQLSTATE || ': ' || SQLERRM;
END
$$;
SELECT attempt($$ SELECT realtime.broadcast_changes('t', 'e', 'INSERT', 'a', 'b', ROW(1), NULL, 'STATEMENT') $$);
SELECT attempt($$ SELECT realtime.broadcast_changes('t', 'e', 'TRUNCATE', 'a', 'b', NULL, NULL) $$);
SELECT attempt($$ SELECT realtime.broadcast_changes('t', 'e', NULL, 'a', 'b', NULL, NULL) $$);
SELECT attempt($$ SELECT realtime.broadcast_changes(NULL, 'e', 'INSERT', 'a', 'b', NULL, NULL) $$);
CREATE FUNCTION statement_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM realtime.broadcast_changes('items', TG_OP, TG_OP, TG_TABLE_NAME, TG_TABLE_SCHEMA, NULL, NULL, TG_LEVEL);
  RETURN NULL;
END
$$;
CREATE TRIGGER statement_changed AFTER INSERT ON items FOR EACH STATEMENT EXECUTE FUNCTION statement_changed();
SELECT attempt('INSERT INTO items VALUES (2)');
SELECT count(*) AS items FROM items;

DROP TABLE items;
DROP FUNCTION items_changed, statement_changed, attempt;
DROP VIEW sent;
TRUNCATE realtime.messages;
