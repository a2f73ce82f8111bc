#!/usr/bin/env bash
# A private PostgreSQL on loopback for tests and benches: `postgres.sh start DIR` prints its URL, `postgres.sh stop DIR` ends it.
# Further arguments of `start` are settings of the server: tests, whose data nobody keeps, give fsync=off.
# The server must not run as root: as root it runs as the user `postgres`.
set -euo pipefail

verb=${1:?start or stop}
dir=${2:?a folder for the cluster}

bin() {
  local found
  found=$(find /usr/lib/postgresql -maxdepth 3 -path "*/bin/$1" 2>/dev/null | sort -V | tail -n 1)
  [ -n "$found" ] || found=$(command -v "$1" || true)
  [ -n "$found" ] || { echo "postgres.sh: $1 not found; install the package postgresql" >&2; exit 1; }
  echo "$found"
}

as_owner() {
  if [ "$(id -u)" = 0 ]; then su postgres -s /bin/bash -c "cd / && $(printf '%q ' "$@")"; else "$@"; fi
}

case $verb in
  start)
    mkdir -p "$dir"
    [ "$(id -u)" != 0 ] || chown postgres "$dir"
    as_owner "$(bin initdb)" -D "$dir/data" -U entente -A trust -E UTF8 --no-sync --locale=C >"$dir/initdb.log"
    settings=
    for setting in "${@:3}"; do settings+=" -c $setting"; done
    port=$(node -e "const s=require('node:net').createServer().listen(0,'127.0.0.1',()=>{console.log(s.address().port);s.close()})")
    as_owner "$(bin pg_ctl)" -D "$dir/data" -w -t 60 -l "$dir/log" \
      -o "-c listen_addresses=127.0.0.1 -c port=$port -c unix_socket_directories= -c max_connections=300$settings" start >/dev/null
    echo "$port" >"$dir/port"
    echo "postgres://entente@127.0.0.1:$port/postgres"
    ;;
  stop)
    as_owner "$(bin pg_ctl)" -D "$dir/data" -m immediate -w stop >/dev/null
    ;;
  *)
    echo "usage: postgres.sh start|stop DIR" >&2
    exit 2
    ;;
esac
