#!/usr/bin/env bash
# Checks what no compiler checks: who may include whom, how long a file may be, that tables and versions agree.
# One line per check, `ok ...` or `not ok ...`; fails when any does.
# shellcheck disable=SC2016
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1

failures=0
# report NAME FINDINGS: no findings is a pass.
report() {
  if [[ -z $2 ]]; then
    echo "ok $1"
  else
    echo "not ok $1"
    printf '%s\n' "$2" | sed 's/^/  # /'
    failures=$((failures + 1))
  fi
}

# Lines "FILE: HEADER" for each include in a room of src/.
includes() {
  grep -rnE '^[[:space:]]*#[[:space:]]*include' "src/$1" --include='*.h' --include='*.cpp' 2>/dev/null |
    sed -E 's/^([^:]+):[0-9]+:[[:space:]]*#[[:space:]]*include[[:space:]]*[<"]([^>"]+)[>"].*/\1: \2/'
}

rooms='^(core|net|pg|worker)/'
# The C and C++ standard libraries: no folder, no ".h" except C's own; plus the system's headers of sockets, signals and memory.
standard='^[a-z_0-9]+$'
posix='^(sys/[a-z]+|netinet/[a-z]+|arpa/inet|netdb|unistd|fcntl|signal|pthread|poll|errno|ifaddrs|net/if|linux/tcp|time|string|malloc)\.h$'

# outside ROOM ALLOWED: includes of a room that match none of the allowed patterns.
outside() { includes "$1" | awk -v allowed="$2" '{ if ($2 !~ allowed) print }'; }

report "core includes only core, the standard library, RapidJSON in json.cpp, OpenSSL in token.cpp" "$(
  outside core "^core/|$standard" |
    grep -vE '^src/core/json\.cpp: rapidjson/|^src/core/token\.cpp: openssl/')"
report "net includes only core, net, libwebsockets, libuv, POSIX, and OpenSSL in tls*.cpp" "$(
  outside net "^(core|net)/|$standard|$posix|^(libwebsockets|uv)\\.h\$" | grep -vE '^src/net/tls[a-z_]*\.cpp: openssl/')"
report "pg includes neither net nor worker, and no socket library" \
  "$(includes pg | grep -E ': (net|worker)/|: (libwebsockets|uv)\.h|: (rapidjson|openssl)/')"
report "only pg and worker include the backend" \
  "$(for room in core net; do includes "$room" | grep -E ': (pg/|postgres\.h|libpq|utils/|storage/)'; done)"
report "only pg/compat.h knows versions of PostgreSQL" "$(grep -rn 'PG_VERSION_NUM' src | grep -v '^src/pg/compat\.h:')"
report "every include of ours exists" "$(
  for room in core net pg worker; do includes "$room"; done | while IFS=': ' read -r file header; do
    [[ ! $header =~ $rooms || -e src/$header ]] || echo "$file: $header"
  done)"
report "every header of core starts with core/pure.h" \
  "$(for file in src/core/*.h; do
    [[ $file == src/core/pure.h ]] || grep -m1 '#include' "$file" | grep -q '"core/pure.h"' || echo "$file"
  done)"

# Behind pg/pg.h the backend is allowed to see core; without it, it is not.
refuses="$(for file in src/core/*.h; do
  ! printf '#define POSTGRES_H\n#include "%s"\n' "${file#src/}" | "${CXX:-g++}" -std=c++20 -Isrc -fsyntax-only -x c++ - 2>/dev/null ||
    echo "$file"
done)"
report "core's headers refuse to compile behind postgres.h" "$refuses"

report "no source file is longer than 400 lines" \
  "$(find src test sql -name node_modules -prune -o \( -name '*.cpp' -o -name '*.h' -o -name '*.js' -o -name '*.sh' \) -print0 |
    xargs -0 wc -l | awk '$2 != "total" && $1 > 400 { print $2 ": " $1 }')"
report "no \"using namespace\" and no tab in sources" \
  "$(grep -rnE 'using namespace|'$'\t' src --include='*.h' --include='*.cpp')"

# The table of settings: name and default in the code and in the README. -s: no line for a file that does not exist.
code_settings="$(grep -hoE '"realtime\.[a-z_]+"' src/pg/settings.cpp | tr -d '"' | sort -u)"
readme_settings="$(grep -hoE '^\| `realtime\.[a-z_]+`' README.md | tr -d '|` ' | sort -u)"
report "README lists the settings of the code" \
  "$(diff <(echo "$code_settings") <(echo "$readme_settings"))"

# Codes begin a text; comments are no texts.
code_errors="$( (find src -name '*.cpp' -o -name '*.h' | xargs sed 's|//.*||'; cat sql/realtime--*.sql) |
  grep -oE "[\"'][A-Z][a-z]+[A-Za-z]*: ?" | tr -d "\"': " | sort -u)"
listed_errors="$(sed -nE 's/^\| `([A-Za-z]+)` \|.*/\1/p' docs/errors.md | sort)"
report "docs/errors.md lists the codes of the code, each once" "$(diff <(echo "$code_errors") <(echo "$listed_errors"))"

version="$(sed -n "s/^default_version = '\(.*\)'/\1/p" realtime.control)"
report "versions agree in control, META.json, CHANGELOG.md and sql/" "$(
  [[ -n $version ]] || echo "realtime.control names no version"
  [[ -f sql/realtime--$version.sql ]] || echo "sql/realtime--$version.sql is missing"
  grep -q "^## $version" CHANGELOG.md || echo "CHANGELOG.md has no section $version"
  [[ $(grep -c "\"version\": \"$version\"" META.json) == 2 ]] || echo "META.json has another version"
  grep -q "\"$version\"" src/core/version.h || echo "src/core/version.h has another version"
  grep -q "file\": \"sql/realtime--$version.sql\"" META.json || echo "META.json names another file")"
report "every test in test/sql has its expected output, and no output is an orphan" \
  "$(diff <(basename -s .sql -a test/sql/*.sql | sort) <(basename -s .out -a expected/*.out | sort))"

exit $((failures > 0))
