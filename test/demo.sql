-- What `make run` shows: a table that everybody may read and write, and one of which everybody sees only their own rows.
\set ON_ERROR_STOP on
SET client_min_messages = warning;
CREATE EXTENSION realtime;
SELECT realtime.install_supabase_roles();

CREATE TABLE public.messages (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  user_id bigint,
  body text NOT NULL
);
GRANT SELECT, INSERT ON public.messages TO anon, authenticated, service_role;

CREATE TABLE public.notes (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  user_id uuid NOT NULL DEFAULT auth.uid(),
  body text NOT NULL
);
ALTER TABLE public.notes ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON public.notes USING (user_id = auth.uid());
GRANT SELECT, INSERT, UPDATE, DELETE ON public.notes TO authenticated, service_role;

SELECT realtime.publish('public.messages', 'public.notes');
