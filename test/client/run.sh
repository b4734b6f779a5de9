#!/usr/bin/env bash
# Runs the client tests against the server that the environment names (README.md): first the ones that leave it alone, then,
# one file at a time, the ones that kill and restart it. With arguments, runs these files only.
# The last line is `client tests: N passed, N failed, N skipped`; the exit code is non-zero on any failure.
set -euo pipefail
cd "$(dirname "$0")"

# Not through a link, as build/asan has one: npm would empty the folder that it points to.
(cd ../.. && source test/lib.sh && install_client_packages)

log=$(mktemp)
trap 'rm -f "$log"' EXIT
status=0
limit=900000  # of one file and of each test in it, in ms, on a busy machine, too: a hang must end

# One group of files; its summary is kept to be added up.
run() {
  local concurrency=$1
  shift
  node --test --test-force-exit --test-reporter=spec --test-timeout="$limit" --test-concurrency="$concurrency" "$@" 2>&1 | tee -a "$log" || status=1
}

# The sum of one line of the summaries, e.g. "ℹ pass 12".
total() {
  awk -v key="$1" '$1 == "ℹ" && $2 == key { sum += $3 } END { print sum + 0 }' "$log"
}

if [ $# -gt 0 ]; then
  run 1 "$@"
else
  run "${TEST_CONCURRENCY:-2}" ./*.test.js
  run 1 disruptive/*.test.js
fi

failed=$(( $(total fail) + $(total cancelled) ))
if [ "$failed" -gt 0 ]; then status=1; fi
echo "client tests: $(total pass) passed, $failed failed, $(total skipped) skipped"
exit "$status"
