#!/usr/bin/env bash
# Measures orchd: from its start until it says how to reach it, and what it holds in memory while it idles.
#
#   benches/orchd.sh [STARTS] [IDLE SECONDS]
set -euo pipefail
cd "$(dirname "$0")/.."
starts=${1:-20} idle=${2:-30}

cargo build --locked --release --example orchd
target=$(cargo metadata --locked --format-version 1 --no-deps | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
dir=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || kill "$pid" 2>/dev/null || true; wait; rm -rf "$dir"' EXIT

# Starts it, on a directory that is new or not, and sets `took` to microseconds.
start() {
  local began line
  mkfifo "$dir/said"
  began=${EPOCHREALTIME/./}
  "$target/release/examples/orchd" --data "$dir/data" --runtime process >"$dir/said" &
  pid=$!
  exec 3<"$dir/said"
  while read -r line <&3 && [[ $line != export* ]]; do :; done
  took=$((${EPOCHREALTIME/./} - began))
  rm "$dir/said"
}

stop() {
  kill "$pid"
  wait "$pid"
  exec 3<&-
  pid=
}

median() {
  sort -n | sed -n "$(((starts + 1) / 2))p"
}

for what in 'a new directory' 'one that was used'; do
  for _ in $(seq "$starts"); do
    [ "$what" != 'a new directory' ] || rm -rf "$dir/data"
    start
    stop
    echo "$took"
  done | median | sed "s/.*/ready, with $what: & us (median of $starts)/"
done
start
sleep "$idle"
awk '/^(VmRSS|RssAnon)/ {print "idle, " $1 " " $2 " KiB"}' "/proc/$pid/status"
stop
