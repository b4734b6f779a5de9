#!/usr/bin/env bash
# `make run`: builds, starts a throw-away cluster that serves port 4000, and stays until Ctrl-C.
# REALTIME_PORT chooses another port.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
cd "$here/.."
bash test/packages.sh install
# shellcheck source=test/lib.sh
source test/lib.sh

export REALTIME_PORT="${REALTIME_PORT:-4000}"
if (exec 3<>"/dev/tcp/127.0.0.1/$REALTIME_PORT") 2>/dev/null; then
  echo "Port $REALTIME_PORT is in use; choose another one: REALTIME_PORT=4001 make run" >&2
  exit 1
fi

build_log=build/run.log
mkdir -p build
echo "Building ..."
if ! make -j2 all >"$build_log" 2>&1; then
  cat "$build_log" >&2
  exit 1
fi

dir="$(mktemp -u -d "${TMPDIR:-/tmp}/realtime.XXXXXX")"
stop() {
  trap - EXIT INT TERM
  echo
  echo "Stopping ..."
  bash "$here/cluster.sh" stop "$dir"
}
trap stop EXIT
trap 'exit 0' INT TERM

environment="$(CLUSTER_TCP=no bash test/cluster.sh start "$dir")"
eval "$environment"
psql -X -q -o /dev/null -f test/demo.sql
if ! wait_until 20 serving; then
  echo "The worker does not answer on port $REALTIME_PORT. The end of the server's log:" >&2
  tail -n 20 "$REALTIME_LOG" >&2
  exit 1
fi

cat <<TEXT

realtime is ready.

  URL          $REALTIME_URL
  ANON_KEY     $ANON_KEY
  SERVICE_KEY  $SERVICE_KEY

Paste this into demo.mjs (after: npm install @supabase/supabase-js ws), run it with: node demo.mjs

  import { createClient } from '@supabase/supabase-js'
  import ws from 'ws'
  const supabase = createClient('$REALTIME_URL', '$ANON_KEY', { realtime: { transport: ws } })
  supabase.channel('room')
    .on('postgres_changes', { event: 'INSERT', schema: 'public', table: 'messages', filter: 'user_id=eq.123' },
      (change) => console.log(change))
    .subscribe((status) => console.log(status))

  const room = supabase.channel('lobby')
  room.on('broadcast', { event: 'cursor' }, ({ payload }) => console.log(payload))
    .on('presence', { event: 'sync' }, () => console.log(room.presenceState()))
    .subscribe((status) => { if (status === 'SUBSCRIBED') room.track({ online: true }) })

Then, in another terminal: watch the second row arrive, a message from SQL, and one over HTTP. Run the program twice, and each
sees the other's presence.

  psql -h $PGHOST -p $PGPORT -U postgres -c "INSERT INTO messages (user_id, body) VALUES (122, 'not for you'), (123, 'hello')"
  psql -h $PGHOST -p $PGPORT -U postgres -c "SELECT realtime.send('{\"x\": 1}', 'cursor', 'lobby', false)"
  curl -X POST $REALTIME_URL/realtime/v1/api/broadcast/lobby/events/cursor \\
    -H "apikey: $ANON_KEY" -H 'Content-Type: application/json' -d '{"x": 2}'

Private channels need policies on realtime.messages: README.md has some to start with.

Server log: $REALTIME_LOG
Ctrl-C stops the server and removes everything.
TEXT

# The server is no child of this shell: look after it by its pid file until somebody ends us.
while as_server_user test -f "$PGDATA/postmaster.pid"; do sleep 1 & wait $!; done
echo "The server has ended by itself. The end of its log:" >&2
tail -n 20 "$REALTIME_LOG" >&2
exit 1
