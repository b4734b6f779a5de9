-- realtime.topic() is the topic of the channel, NULL outside of one.
SELECT realtime.topic() IS NULL AS unset;
SELECT set_config('realtime.topic', 'room:1', false);
SELECT realtime.topic();
SELECT set_config('realtime.topic', '', false);
SELECT realtime.topic() IS NULL AS empty;

-- Everybody may set it: it is input for policies, as with the reference.
CREATE ROLE regress_realtime_topic;
SET ROLE regress_realtime_topic;
SELECT set_config('realtime.topic', 'room:2', false);
SELECT realtime.topic();
RESET ROLE;
DROP ROLE regress_realtime_topic;

-- A caller's search_path cannot change what it means.
CREATE SCHEMA regress_trap;
CREATE FUNCTION regress_trap.current_setting(text, boolean) RETURNS text LANGUAGE sql AS $$ SELECT 'trapped' $$;
SET search_path = regress_trap, pg_catalog;
SELECT realtime.topic();
RESET search_path;
DROP SCHEMA regress_trap CASCADE;
