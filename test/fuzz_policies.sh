#!/usr/bin/env bash
# `make fuzz-policies N=100000 SEED=1`: the policy engine against PostgreSQL's own answers, N (identity, row) pairs of random
# worlds, on a throw-away cluster. Without SEED another one each time; it is printed, and the run with it repeats the worlds.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
bash test/packages.sh install
# shellcheck source=test/lib.sh
source test/lib.sh
make -s -j2 all
install_client_packages
use_modern_node

dir="$(mktemp -u -d "${TMPDIR:-/tmp}/realtime.XXXXXX")"
trap 'bash test/cluster.sh stop "$dir"' EXIT
environment="$(bash test/cluster.sh start "$dir")"
eval "$environment"
psql -X -q -o /dev/null -c "CREATE EXTENSION realtime" -c "SELECT realtime.install_supabase_roles()"
wait_until 20 serving
export POLICY_CASES="${1:-100000}" POLICY_SEED="${2:-$RANDOM$RANDOM}"
(cd test/client && node policy_differential.test.js)
