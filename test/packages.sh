#!/usr/bin/env bash
# The system packages that building and testing need.
#   packages.sh list      the command that installs them
#   packages.sh install   installs what is missing, as root or with sudo; otherwise prints that command and fails
# WITH_BROWSER=yes adds the browser of test/client.
set -euo pipefail

# Without what packages merely recommend: several hundred more, with npm.
install=(apt-get install -y --no-install-recommends)

# The server's major version: that of an installed server, else the one this release is tested with.
pg_version() {
  local found
  found="$(pg_config --version 2>/dev/null | sed -n 's/^PostgreSQL \([0-9]*\).*/\1/p')"
  echo "${found:-15}"
}

packages() {
  local v
  v="$(pg_version)"
  echo "g++ make clang libclang-rt-dev libgtest-dev rapidjson-dev libssl-dev libpq-dev libuv1-dev openssl curl" \
    "libwebsockets-dev libwebsockets-evlib-uv" \
    "postgresql-$v postgresql-server-dev-$v postgresql-$v-pgtap"
  # Where node comes with npm of its own, the distribution's npm would pull in a second node.
  command -v node >/dev/null || echo nodejs
  command -v npm >/dev/null || echo npm
  # For the one test in a browser, which is skipped without it.
  [[ ${WITH_BROWSER:-no} != yes ]] || echo chromium
}

missing() {
  local package
  for package in $(packages); do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || echo "$package"
  done
}

install_missing() {
  local needed=() root=()
  if ! command -v dpkg-query >/dev/null; then
    echo "This is not a Debian-like system: install the equivalents of $(packages | xargs) yourself." >&2
    return 0
  fi
  mapfile -t needed < <(missing)
  ((${#needed[@]} == 0)) && return 0
  if [[ $(id -u) != 0 ]]; then
    root=(sudo -n)
    if ! sudo -n true 2>/dev/null; then
      echo "Packages are missing. Run this, then try again:" >&2
      echo "  sudo ${install[*]} ${needed[*]}" >&2
      return 1
    fi
  fi
  echo "installing: ${needed[*]}" >&2
  "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -q >&2
  # A cluster of the distribution's own would only occupy a port.
  "${root[@]}" mkdir -p /etc/postgresql-common/createcluster.d
  echo "create_main_cluster = false" |
    "${root[@]}" tee /etc/postgresql-common/createcluster.d/realtime-test.conf >/dev/null
  "${root[@]}" env DEBIAN_FRONTEND=noninteractive "${install[@]}" -q "${needed[@]}" >&2
}

case "${1:-}" in
  list) echo "sudo ${install[*]} $(packages | xargs)" ;;
  install) install_missing ;;
  *) echo "usage: packages.sh list|install" >&2; exit 2 ;;
esac
