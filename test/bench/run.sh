#!/usr/bin/env bash
# `make bench`: delay and throughput of changes against a throw-away cluster on this machine. Figures are for comparing two
# builds on one machine; client, server and database share its cores.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
bash test/packages.sh install
# shellcheck source=test/lib.sh
source test/lib.sh
make -s -j2 all
[[ -d test/client/node_modules ]] || (cd test/client && npm ci --no-audit --no-fund)
use_modern_node

dir="$(mktemp -u -d "${TMPDIR:-/tmp}/realtime.XXXXXX")"
trap 'bash test/cluster.sh stop "$dir"' EXIT
environment="$(bash test/cluster.sh start "$dir")"
eval "$environment"
psql -X -q -o /dev/null -f test/demo.sql
serving() { [[ $(http_status "${REALTIME_URL##*:}" /healthcheck) == 200 ]]; }
wait_until 20 serving
bash test/bench/compare.sh
NODE_PATH=test/client/node_modules node test/bench/changes.js "$@"
