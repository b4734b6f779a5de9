#!/usr/bin/env bash
# `make check-asan`: the end-to-end suite against a server whose extension is built with AddressSanitizer and
# UndefinedBehaviorSanitizer. Fails on a failed test, on a process that died, and on anything the sanitizers report.
#   asan.sh [FILE...]   only these files of test/client
# PostgreSQL itself stays as it is: the sanitizer's runtime is preloaded into the server, so that its longjmp and malloc are
# seen too. The build has a tree of its own in build/asan, which keeps its objects for the next time.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=test/lib.sh
source test/lib.sh

tree="$PWD/build/asan"
compiler="${CXX:-g++}"

# Times are kept, so that only what has changed is compiled again.
copy_tree() {
  mkdir -p "$tree"
  find "$tree/src" "$tree/test" "$tree/sql" "$tree/docs" -type f ! -name '*.o' ! -name '*.d' -delete 2>/dev/null || true
  tar -c --exclude=node_modules --exclude='*.o' --exclude='*.d' \
    Makefile realtime.control META.json LICENSE ./*.md docs src sql test |
    tar -x -C "$tree"
  ln -sfn "$PWD/test/client/node_modules" "$tree/test/client/node_modules"
}

bash test/packages.sh install
install_client_packages
copy_tree

# The server's user writes here, whoever that is.
reports="$(mktemp -d "${TMPDIR:-/tmp}/realtime-asan.XXXXXX")"
chmod 1777 "$reports"
trap 'rm -rf "$reports"' EXIT

# Leaks are not looked for: a backend that ends leaves its memory contexts to the system. A finding ends the process by
# SIGABRT, which the postmaster logs.
common="abort_on_error=1:print_stacktrace=1:log_path=$reports/report"
export SANITIZERS="-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer"
"${CC:-gcc}" -shared -fPIC -o "$reports/gettext.so" -x c test/asan_gettext.c
export CLUSTER_SERVER_ENV="LD_PRELOAD=$("$compiler" -print-file-name=libasan.so):$reports/gettext.so \
ASAN_OPTIONS=detect_leaks=0:detect_stack_use_after_return=0:handle_segv=1:$common UBSAN_OPTIONS=$common"
export CLIENT_TESTS="$*"

status=0
(cd "$tree" && bash test/check.sh build e2e) || status=1
for report in "$reports"/report*; do
  [[ -e $report ]] || continue
  status=1
  echo "---- $(basename "$report")"
  head -n 60 "$report"
done
((status == 0)) && echo "no finding"
exit "$status"
