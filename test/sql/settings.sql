-- The settings as the server knows them: defaults, ranges, when a change counts. Those that are secrets are left out of lists.
SELECT name, boot_val AS "default", unit, min_val AS lowest, max_val AS highest, context
  FROM pg_settings WHERE name LIKE 'realtime.%' ORDER BY name COLLATE "C";

-- A key that a client could not present, or that could be guessed.
ALTER SYSTEM SET realtime.publishable_key = 'sb_short';
ALTER SYSTEM SET realtime.publishable_key = 'sb_publishable_with a blank';
ALTER SYSTEM SET realtime.publishable_key = 'sb_publishable_%20_escape';
ALTER SYSTEM SET realtime.metrics_token = 'too short';
ALTER SYSTEM SET realtime.secret_key = 'sb_secret_with a blank';
ALTER SYSTEM SET realtime.publishable_role = '';
ALTER SYSTEM SET realtime.message_retention = '10min';
ALTER SYSTEM SET realtime.max_payload_size = '1TB';

-- Keys are for superusers only, even where all settings may be read.
CREATE ROLE regress_reader IN ROLE pg_read_all_settings;
CREATE ROLE regress_nobody;
SET ROLE regress_nobody;
SHOW realtime.jwt_secret;
SHOW realtime.jwks;
SHOW realtime.secret_key;
SHOW realtime.metrics_token;
SELECT current_setting('realtime.jwks');
SET realtime.secret_key = 'sb_secret_of_somebody_else';
SELECT count(*) FROM pg_settings WHERE name IN ('realtime.jwt_secret', 'realtime.jwks', 'realtime.secret_key', 'realtime.metrics_token');
SET ROLE regress_reader;
SELECT name FROM unnest(ARRAY['conninfo', 'jwt_secret', 'jwt_secret_next', 'jwks', 'secret_key', 'metrics_token']) AS name
 WHERE current_setting('realtime.' || name) NOT IN ('', '********');
RESET ROLE;
DROP ROLE regress_reader, regress_nobody;
