#!/usr/bin/env bash
# What the extension costs the database: transactions per second of pgbench in pairs of runs that differ in one thing, and
# the processor time of a worker that has nothing to do. One and the same server differs by a tenth from run to run, so there
# are many short runs in alternating order, and a pair of equal servers shows what is noise. `make bench` runs it; COST_ROUNDS
# and COST_SECONDS set how long.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=test/lib.sh
source test/lib.sh
rounds="${COST_ROUNDS:-16}"
seconds="${COST_SECONDS:-2}"
pgbench="$(pg_config --bindir)/pgbench"

with="$(mktemp -u -d "${TMPDIR:-/tmp}/realtime.XXXXXX")"
without="$(mktemp -u -d "${TMPDIR:-/tmp}/realtime.XXXXXX")"
twin="$(mktemp -u -d "${TMPDIR:-/tmp}/realtime.XXXXXX")"
listener=""
stop_listener() {
  [[ -z $listener ]] || { kill "$listener" 2>/dev/null; wait "$listener" 2>/dev/null || true; }
  listener=""
}
stop_all() {
  stop_listener
  bash test/cluster.sh stop "$with"
  bash test/cluster.sh stop "$without"
  bash test/cluster.sh stop "$twin"
}
trap stop_all EXIT

# use ENVIRONMENT: the cluster that the next commands talk to.
use() {
  eval "$1"
  export REALTIME_URL_PORT="${REALTIME_URL##*:}"
}

prepare() {
  use "$1"
  "$pgbench" -i -q -s 5 >/dev/null 2>&1
  psql -X -q -c "CREATE PUBLICATION supabase_realtime FOR TABLE pgbench_accounts"
}

transactions() { "$pgbench" -n -N -c 4 -j 2 -T "$seconds" | awk '/^tps/ { print $3 }'; }
median() { sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }

# start_listener KIND NAME: returns once it hears everything.
start_listener() {
  local ready
  ready="$(mktemp)"
  build/bench/listen "$1" "$2" >"$ready" &
  listener=$!
  wait_until 30 grep -q ready "$ready" || { echo "nobody listens" >&2; exit 1; }
  rm -f "$ready"
}

# compare NAME: reads pairs "A B" of transactions per second, prints their medians and the median of their ratios.
compare() {
  local pairs
  pairs="$(cat)"
  printf '  %-46s %9.0f %9.0f %9.3f\n' "$1" "$(cut -d' ' -f1 <<<"$pairs" | median)" "$(cut -d' ' -f2 <<<"$pairs" | median)" \
    "$(awk '{ print $2 / $1 }' <<<"$pairs" | median)"
}

# unused_pair FIRST SECOND: one round on the clusters with these environments, first, second, second, first.
unused_pair() {
  local environment
  for environment in "$1" "$2" "$2" "$1"; do
    use "$environment"
    transactions
  done | paste -s | awk '{ print ($1 + $4) / 2, ($2 + $3) / 2 }'
}

# unused_pairs FIRST SECOND
unused_pairs() {
  local round
  for ((round = 0; round < rounds; round++)); do unused_pair "$1" "$2"; done
}

# with_listener KIND NAME
with_listener() {
  start_listener "$1" "$2"
  transactions
  stop_listener
}

listened() {
  local round
  use "$loaded"
  for ((round = 0; round < rounds; round++)); do
    {
      with_listener bare supabase_realtime
      with_listener realtime pgbench_accounts
      with_listener realtime pgbench_accounts
      with_listener bare supabase_realtime
    } | paste -s | awk '{ print ($1 + $4) / 2, ($2 + $3) / 2 }'
  done
}

# Clock ticks of a process so far.
ticks() { awk '{ print $14 + $15 }' "/proc/$1/stat"; }

idle() {
  local pid before
  use "$loaded"
  pid="$(psql -X -A -t -c "SELECT pid FROM pg_stat_activity WHERE backend_type = 'realtime worker'")"
  before="$(ticks "$pid")"
  sleep 30
  awk -v n=$(($(ticks "$pid") - before)) -v hz="$(getconf CLK_TCK)" \
    'BEGIN { printf "  %-46s %28.3f %%\n", "processor time of an idle worker, 30 s", n / hz / 30 * 100 }'
}

mkdir -p build/bench
"${CXX:-g++}" -std=c++20 -O2 -Wall -Wextra -Werror -Isrc -Itest -isystem "$(pg_config --includedir)" -o build/bench/listen \
  test/bench/{listen,measure,ws_client,stream}.cpp src/core/pgoutput.cpp -lpq
plain="$(CLUSTER_CONF="shared_preload_libraries = ''" bash test/cluster.sh start "$without")"
same="$(CLUSTER_CONF="shared_preload_libraries = ''" bash test/cluster.sh start "$twin")"
loaded="$(bash test/cluster.sh start "$with")"
prepare "$plain"
prepare "$same"
prepare "$loaded"
psql -X -q -c "CREATE EXTENSION realtime" -c "SELECT realtime.install_supabase_roles()" -o /dev/null
psql -X -q -c "GRANT SELECT ON pgbench_accounts TO anon"

printf '%-48s %9s %9s %9s\n' "pgbench -N, 4 clients, transactions/s" "first" "second" "ratio"
unused_pairs "$plain" "$same" | compare "without the extension; another without it"
unused_pairs "$plain" "$loaded" | compare "without the extension; with it, unused"
listened | compare "bare pgoutput client; one subscriber"
idle
