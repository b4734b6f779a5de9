#!/usr/bin/env bash
# `make check`: installs what it needs, builds, runs every suite and ends with `N passed, N failed`.
#   check.sh [SUITE...]   only these: architecture build unit fuzz net sql e2e
# Each suite's output is in build/check/SUITE.log; of a failed one the end is shown.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
# shellcheck source=test/lib.sh
source test/lib.sh

passed=0
failed=0
logs=build/check
cluster=""
jobs="$(nproc 2>/dev/null || echo 2)"

stop_cluster() {
  [[ -z $cluster ]] || bash test/cluster.sh stop "$cluster"
  cluster=""
}
trap stop_cluster EXIT
trap 'exit 130' INT TERM

# ---- counting: each reads a log and prints "PASSED FAILED" -----------------------------------------------------------

count_lines() { echo "$(grep -cE "$2" "$1") $(grep -cE "$3" "$1")"; }
count_ok() { count_lines "$1" '^ok ' '^not ok '; }
count_regress() { count_lines "$1" '^test .* \.\.\. ok' '^test .* \.\.\. FAILED'; }
count_gtest() {
  awk '/^\[  PASSED  \]/ { p += $4 } /^\[  FAILED  \] [0-9]+ test/ { f += $4 } END { print p + 0, f + 0 }' "$1"
}
# node's runner sums up once per run, as "# pass 3" or with an information sign.
count_node() {
  awk '$2 == "pass" && $3 ~ /^[0-9]+$/ { p += $3 }
       ($2 == "fail" || $2 == "cancelled") && $3 ~ /^[0-9]+$/ { f += $3 }
       END { print p + 0, f + 0 }' "$1"
}
count_one() { echo "0 0"; }

# suite NAME COUNTER COMMAND...: a command that fails without a failed test counts as one failure, and so does a suite
# that ran nothing. With the counter count_one the command itself is the test.
suite() {
  local name="$1" counter="$2" log="$logs/${1// /-}.log" began=$SECONDS status p f
  shift 2
  "$@" >"$log" 2>&1 </dev/null
  status=$?
  read -r p f < <("$counter" "$log")
  [[ $counter == count_one && $status == 0 ]] && p=1
  ((status != 0 && f == 0)) && f=1
  ((p + f == 0)) && f=1 && echo "no test was run" >>"$log"
  ((f > 0)) && tail -n 80 "$log"
  printf '%-24s %4d passed, %d failed (%d s)\n' "$name" "$p" "$f" $((SECONDS - began))
  passed=$((passed + p))
  failed=$((failed + f))
  ((f == 0))
}

# ---- suites ----------------------------------------------------------------------------------------------------------

start_cluster() {
  local environment
  stop_cluster
  cluster="$(mktemp -u -d "${TMPDIR:-/tmp}/realtime.XXXXXX")"
  environment="$(bash test/cluster.sh start "$cluster")" || return 1
  eval "$environment"
}

# A worker that crashed and came back would otherwise go unnoticed.
no_crash() {
  local lines
  lines="$(cat "$cluster/log" "$cluster"/data/*.log 2>/dev/null |
    grep -E 'PANIC|TRAP:|terminated by signal (4|6|7|8|11):')"
  [[ -z $lines ]] || { echo "$lines"; return 1; }
}

sql_tests() {
  start_cluster || return 1
  make -s installcheck || { cat regression.diffs; return 1; }
}

e2e_tests() {
  start_cluster || return 1
  install_client_packages || return 1
  # After npm has run: it belongs to the system's node, and trusts what the system trusts.
  use_modern_node || return 1
  psql -X -q -c "CREATE EXTENSION realtime" -c "SELECT realtime.install_supabase_roles()" || return 1
  wait_until 20 serving || { echo "the worker does not serve"; tail -n 40 "$REALTIME_LOG"; return 1; }
  (cd test/client && bash ./run.sh ${CLIENT_TESTS:-}) || { show_client_failures; return 1; }
}

# What failed comes last, where somebody looks first. After a restart the server's log is beside its data.
show_client_failures() {
  echo "---- server log"
  tail -q -n 20 "$REALTIME_LOG" "$PGDATA/client-tests.log" 2>/dev/null
  echo "---- failed tests"
  awk '/failing tests:/ { on = 1; next } /^(▶|✔|ℹ|client tests:)/ { on = 0 } on && NF' "$logs/e2e.log" | cut -c1-400 | head -n 60
}

fuzz_tests() {
  local source name
  # One build of the core for all targets, before the clock of any of them runs.
  for source in test/fuzz/*_fuzz.cpp; do
    name="$(basename "$source" _fuzz.cpp)"
    suite "fuzz $name" count_one make "fuzz-$name"
  done
}

run_suite() {
  case "$1" in
    architecture) suite architecture count_ok bash test/architecture.sh ;;
    build) suite build count_one make -j"$jobs" all ;;
    unit) make -j"$jobs" build/unit/run >"$logs/unit-build.log" 2>&1; suite unit count_gtest make unit ;;
    net) make -j"$jobs" build/net/run >"$logs/net-build.log" 2>&1; suite net count_gtest make net-test ;;
    fuzz) make -j"$jobs" fuzz-build >"$logs/fuzz-build.log" 2>&1; fuzz_tests ;;
    sql) suite sql count_regress sql_tests; suite 'sql no-crash' count_one no_crash ;;
    e2e) suite e2e count_node e2e_tests; suite 'e2e no-crash' count_one no_crash ;;
    *) echo "unknown suite: $1" >&2; exit 2 ;;
  esac
}

mkdir -p "$logs"
bash test/packages.sh install || exit 1
(($# > 0)) || set -- architecture build unit fuzz net sql e2e
for name in "$@"; do run_suite "$name"; done
stop_cluster
echo "$passed passed, $failed failed"
((failed == 0))
