#!/usr/bin/env bash
# Measures the redb store beside Debian's etcd: same load, same disk, same run. Prints the ratios.
# usage: benches/store.sh [seconds per measurement]
set -euo pipefail
cd "$(dirname "$0")/.."

for package in etcd-server protobuf-compiler libprotobuf-dev; do
    dpkg -s "$package" >/dev/null 2>&1 || apt-get install -y --no-install-recommends "$package"
done
program=$(benches/build.sh store_vs_etcd etcd)

directory=$(mktemp -d "${BENCH_DIR:-/var/tmp}/store-bench.XXXXXX")
client=http://127.0.0.1:$((20000 + $$ % 10000))
peer=http://127.0.0.1:$((30000 + $$ % 10000))
etcd --data-dir "$directory/etcd" --listen-client-urls "$client" --advertise-client-urls "$client" \
    --listen-peer-urls "$peer" --initial-advertise-peer-urls "$peer" --initial-cluster "default=$peer" \
    --quota-backend-bytes $((8 << 30)) --log-level error >"$directory/etcd.log" 2>&1 &
etcd=$!
trap 'kill "$etcd" 2>/dev/null; wait "$etcd" 2>/dev/null; rm -rf "$directory"' EXIT
for _ in $(seq 100); do
    (exec 3<>"/dev/tcp/127.0.0.1/${client##*:}") 2>/dev/null && break
    kill -0 "$etcd" || { cat "$directory/etcd.log"; exit 1; }
    sleep 0.1
done

"$program" --etcd "$client" --dir "$directory" --seconds "${1:-4}"
