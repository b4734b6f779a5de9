#!/usr/bin/env bash
# A throw-away PostgreSQL cluster that preloads realtime, as built in this folder (run make before). It runs from a copy of
# the server's program folder in its own directory, because extensions are found relative to the server program: nothing
# is installed into the system, so no rights are needed, and what is installed there does not matter.
#   cluster.sh start DIR   makes it in DIR (which must not exist) and starts it; prints shell assignments for its users:
#                          PGHOST PGPORT PGUSER PGDATABASE REALTIME_URL JWT_SECRET ANON_KEY SERVICE_KEY
#                          PGDATA PG_BIN AS_POSTGRES (prefix of commands that act on the cluster) REALTIME_LOG
#   cluster.sh restart DIR
#   cluster.sh stop DIR    stops it, if it runs, and removes DIR
# Environment: CLUSTER_TCP=no leaves it on its Unix socket only; CLUSTER_PORT, REALTIME_PORT fix ports that are else free ones;
# CLUSTER_OPTIONS is options of the server program for `restart`, and for those after it; CLUSTER_CONF is appended to postgresql.conf; CLUSTER_SERVER_ENV is assignments for the environment of the server program.
set -euo pipefail
# shellcheck source=test/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

action="${1:-}"
dir="${2:-}"
bin="$dir$(pg_config --bindir)"
[[ -n $action && $dir == /* ]] || { echo "usage: cluster.sh start|restart|stop /ABSOLUTE/DIR" >&2; exit 2; }

# Real copies of the programs, which look for their files relative to where they really are; links to the rest.
copy_server() {
  local folder
  for folder in "$(pg_config --pkglibdir)" "$(pg_config --sharedir)"; do
    mkdir -p "$dir$folder"
    cp -rs "$folder/." "$dir$folder/"
  done
  rm -f "$dir$(pg_config --pkglibdir)"/realtime.* "$dir$(pg_config --sharedir)"/extension/realtime*
  mkdir -p "$bin"
  cp "$(pg_config --bindir)"/{postgres,initdb,pg_ctl} "$bin/"
  make -s -C "$(dirname "${BASH_SOURCE[0]}")/.." install DESTDIR="$dir" >/dev/null
}

write_settings() {
  local listen="127.0.0.1"
  [[ ${CLUSTER_TCP:-yes} == yes ]] || listen=""
  as_server_user tee -a "$dir/data/postgresql.conf" >/dev/null <<SETTINGS
listen_addresses = '$listen'
port = $port
unix_socket_directories = '$dir/socket'
unix_socket_permissions = 0700
wal_level = logical
shared_preload_libraries = 'realtime'
fsync = off
max_connections = 50
timezone = 'UTC'
log_line_prefix = '%m [%p] '
realtime.database = 'postgres'
realtime.jwt_secret = '$secret'
realtime.port = $realtime_port
realtime.listen_addresses = '127.0.0.1'
${CLUSTER_CONF:-}
SETTINGS
}

# However the server is started later, by pg_ctl or by a test, it has this environment; what it was started from does not.
wrap_server() {
  [[ -n ${CLUSTER_SERVER_ENV:-} ]] || return 0
  mv "$bin/postgres" "$bin/postgres.wrapped"
  # Under its own name, by which it finds its files.
  printf '#!/bin/bash\nexport %s\nexec -a "$0" "$0.wrapped" "$@"\n' "$CLUSTER_SERVER_ENV" >"$bin/postgres"
  chmod 0755 "$bin/postgres"
}

pg_ctl_do() { as_server_user "$bin/pg_ctl" -D "$dir/data" -s -w -t 60 "$@"; }

start_server() {
  if ! pg_ctl_do -l "$dir/log" start >&2; then
    echo "the server did not start; the end of its log:" >&2
    tail -n 20 "$dir/log" >&2 || true
    return 1
  fi
}

print_environment() {
  local host="$dir/socket"
  local prefix=""
  [[ ${CLUSTER_TCP:-yes} != yes ]] || host="127.0.0.1"
  [[ $(id -u) != 0 ]] || prefix="runuser -u postgres --"
  cat <<ENVIRONMENT
export PGHOST='$host' PGPORT='$port' PGUSER='postgres' PGDATABASE='postgres'
export REALTIME_URL='http://127.0.0.1:$realtime_port' JWT_SECRET='$secret'
export ANON_KEY='$(make_jwt "$secret" anon)' SERVICE_KEY='$(make_jwt "$secret" service_role)'
export PGDATA='$dir/data' PG_BIN='$bin' AS_POSTGRES='$prefix' REALTIME_LOG='$dir/log'
ENVIRONMENT
}

case "$action" in
  start)
    port="${CLUSTER_PORT:-$(free_port)}"
    realtime_port="${REALTIME_PORT:-$(free_port)}"
    secret="$(openssl rand -hex 32)"
    mkdir -m 0700 "$dir"
    copy_server
    [[ $(id -u) != 0 ]] || chown -Rh postgres: "$dir"
    as_server_user mkdir -m 0700 "$dir/socket"
    # Whoever can reach the server may be anybody: it is for tests, on this machine, and short-lived.
    as_server_user "$bin/initdb" -D "$dir/data" -U postgres --auth=trust --encoding=UTF8 --locale=C --no-sync >/dev/null
    write_settings
    wrap_server
    start_server
    print_environment
    ;;
  restart) pg_ctl_do -l "$dir/log" -m fast ${CLUSTER_OPTIONS:+-o "$CLUSTER_OPTIONS"} restart >&2 ;;
  stop)
    if [[ -f $dir/data/postmaster.pid ]]; then pg_ctl_do -m fast stop >&2; fi
    rm -rf "$dir"
    ;;
  *) echo "unknown action: $action" >&2; exit 2 ;;
esac
