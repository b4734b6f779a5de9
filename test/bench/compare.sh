#!/usr/bin/env bash
# Builds and runs the benchmarks in C++: what a subscriber of the extension waits, next to a bare logical replication client
# (bench.cpp; with many subscribers, latency.cpp), broadcast fan-out next to a bare loop (broadcast.cpp), and what a large
# transaction and other long work do to memory and heartbeats (large.cpp). With arguments, only these: large changes
# latency broadcast.
# Wants a running cluster in PGHOST PGPORT PGUSER PGDATABASE, ANON_KEY, and REALTIME_URL (or REALTIME_URL_PORT);
# USER_KEY, a token of role authenticated with a sub, is made from JWT_SECRET when absent.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=test/lib.sh
source test/lib.sh

user_jwt() {
  local head body
  head="$(printf '{"alg":"HS256","typ":"JWT"}' | base64url)"
  body="$(printf '{"role":"authenticated","sub":"00000000-0000-4000-8000-000000000001","exp":%d}' \
    $(($(date +%s) + 86400)) | base64url)"
  printf '%s.%s.%s\n' "$head" "$body" \
    "$(printf '%s.%s' "$head" "$body" | openssl dgst -sha256 -hmac "$JWT_SECRET" -binary | base64url)"
}

export REALTIME_URL_PORT="${REALTIME_URL_PORT:-${REALTIME_URL##*:}}"
export USER_KEY="${USER_KEY:-$(user_jwt)}"

# build NAME SOURCE... [-lLIBRARY...]
build() {
  local name="$1"
  shift
  "${CXX:-g++}" -std=c++20 -O2 -Wall -Wextra -Werror -Isrc -Itest -isystem "$(pg_config --includedir)" \
    -o "build/bench/$name" test/bench/{measure,ws_client}.cpp "$@"
}

mkdir -p build/bench
# Memory first: what an earlier part gave back could be used again unseen.
(($# > 0)) || set -- large changes latency broadcast
for part in "$@"; do
  case "$part" in
    changes) build run test/bench/{bench,database,stream}.cpp src/core/pgoutput.cpp -lpq -lpthread; build/bench/run; echo ;;
    latency)
      build latency test/bench/{latency,database,listeners,stream}.cpp src/core/pgoutput.cpp -lpq -lpthread
      build/bench/latency
      echo
      ;;
    large) build large test/bench/{large,database,heartbeats}.cpp -lpq -lpthread; build/bench/large; echo ;;
    broadcast) build broadcast test/bench/{broadcast,fleet,bare_loop,room_message}.cpp; build/bench/broadcast ;;
    *) echo "unknown benchmark: $part" >&2; exit 2 ;;
  esac
done
