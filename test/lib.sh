# shellcheck shell=bash
# Shared by the scripts in this folder; to be sourced.

# A TCP port of 127.0.0.1 on which nobody listens.
free_port() {
  local port
  while :; do
    port=$((20000 + RANDOM % 12000))
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port"; return; }
  done
}

# wait_until SECONDS COMMAND...: runs the command until it succeeds.
wait_until() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@"; do
    ((SECONDS < deadline)) || return 1
    sleep 0.1
  done
}

base64url() { openssl base64 -A | tr '+/' '-_' | tr -d '='; }

# make_jwt SECRET ROLE: an HS256 token that is valid for ten years.
make_jwt() {
  local head body
  head="$(printf '{"alg":"HS256","typ":"JWT"}' | base64url)"
  body="$(printf '{"role":"%s","iss":"realtime","exp":%d}' "$2" $(($(date +%s) + 315360000)) | base64url)"
  printf '%s.%s.%s\n' "$head" "$body" \
    "$(printf '%s.%s' "$head" "$body" | openssl dgst -sha256 -hmac "$1" -binary | base64url)"
}

# Runs a command as the user that the server runs as: PostgreSQL refuses root.
as_server_user() {
  if [[ $(id -u) == 0 ]]; then
    (cd / && exec runuser -u postgres -- "$@")
  else
    "$@"
  fi
}

# The client tests need Node 20 or newer; where the system's is older (Debian 12: 18), npm brings one of its own.
use_modern_node() {
  local arch package
  [[ $(node --version 2>/dev/null) =~ ^v([0-9]+) ]] && ((BASH_REMATCH[1] >= 20)) && return 0
  arch="$(uname -m)"
  package="node-linux-$([[ $arch == aarch64 ]] && echo arm64 || echo x64)"
  [[ -x build/node/node_modules/$package/bin/node ]] ||
    npm install --prefix build/node --no-audit --no-fund "$package@20" >&2 || return 1
  PATH="$PWD/build/node/node_modules/$package/bin:$PATH"
  export PATH
}

# The packages of the client tests, at the versions that their lock file names.
install_client_packages() {
  cmp -s test/client/package-lock.json test/client/node_modules/.ours-lock.json && return 0
  if [[ -L test/client/node_modules ]]; then
    echo 'test/client/node_modules is a link and out of date; npm would empty the folder that it points to. Remove the link.' >&2
    return 1
  fi
  (cd test/client && npm ci --no-audit --no-fund) || return 1
  cp test/client/package-lock.json test/client/node_modules/.ours-lock.json
}

# http_status PORT PATH: the status code of a GET on 127.0.0.1, empty when nobody answers.
http_status() {
  local line
  {
    exec 3<>"/dev/tcp/127.0.0.1/$1" || return 0
    printf 'GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' "$2" >&3
    read -r -t 5 line <&3 || true
    exec 3<&-
  } 2>/dev/null
  [[ ${line:-} =~ ^HTTP/1\.[01]\ ([0-9]{3}) ]] && echo "${BASH_REMATCH[1]}"
  return 0
}

# Whether the worker at REALTIME_URL serves clients.
serving() { [[ $(http_status "${REALTIME_URL##*:}" /healthcheck) == 200 ]]; }
