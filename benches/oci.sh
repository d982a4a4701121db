#!/usr/bin/env bash
# Measures containers that run `true` without an engine, beside crun, runc and a Docker engine, where they are. Needs root.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/engine install crun runc libseccomp-dev pkg-config || [ $? -eq 3 ]
dir=$(mktemp -d)
[ -e "${ORCH_ENGINE_DIR:-/tmp/orch-engine}/dockerd.pid" ] || engine=ours
clean() {
  [ -z "${engine:-}" ] || scripts/engine stop
  rm -rf "$dir"
}
trap clean EXIT
scripts/engine up || [ $? -eq 3 ]

# One root file system for all.
benches/image.sh "$dir" true bench/true:latest '{}'

program=$(benches/build.sh oci_vs_others oci)
"$program" "$dir"
