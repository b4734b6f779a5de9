#!/usr/bin/env bash
# `make soak SECONDS=1800`: a throw-away cluster under changing load; prints memory, descriptors and latency of the worker at
# the start and at the end, and fails when one of them has grown.
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
environment="$(CLUSTER_CONF="realtime.message_retention = '1d'" bash test/cluster.sh start "$dir")"
eval "$environment"
psql -X -q -o /dev/null -c "CREATE EXTENSION realtime" -c "SELECT realtime.install_supabase_roles()"
wait_until 20 serving
(cd test/client && node soak.js "${1:-1800}")
