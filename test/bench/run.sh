#!/usr/bin/env bash
# `make bench`: delay and throughput of changes and broadcasts against a throw-away cluster on this machine. Figures are for
# comparing two builds on one machine; client, server and database share its cores.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
bash test/packages.sh install
# shellcheck source=test/lib.sh
source test/lib.sh
make -s -j2 all
install_client_packages
use_modern_node

dir="$(mktemp -u -d "${TMPDIR:-/tmp}/realtime.XXXXXX")"
trap 'bash test/cluster.sh stop "$dir"' EXIT
# Room for 10,000 sockets, and none of the limits that keep clients from what is measured here.
ulimit -n "$(ulimit -Hn)"
settings="realtime.max_connections = 12000
realtime.max_events_per_second = 0
realtime.max_joins_per_second = 0
realtime.max_channels_per_client = 100000"
environment="$(CLUSTER_CONF="$settings" bash test/cluster.sh start "$dir")"
eval "$environment"
psql -X -q -o /dev/null -f test/demo.sql
wait_until 20 serving
bash test/bench/compare.sh
bash test/bench/cost.sh
NODE_PATH=test/client/node_modules node test/bench/changes.js "$@"
NODE_PATH=test/client/node_modules node test/bench/many_users.js
NODE_PATH=test/client/node_modules node test/bench/user_curve.js
