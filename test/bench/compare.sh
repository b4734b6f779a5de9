#!/usr/bin/env bash
# Builds and runs bench.cpp: what a subscriber of the extension waits, next to a bare logical replication client.
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
mkdir -p build/bench
"${CXX:-g++}" -std=c++20 -O2 -Wall -Wextra -Werror -Isrc -Itest -isystem "$(pg_config --includedir)" \
  -o build/bench/run test/bench/*.cpp src/core/pgoutput.cpp -lpq -lpthread
build/bench/run
