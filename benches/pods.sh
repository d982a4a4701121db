#!/usr/bin/env bash
# Measures pods from bind to Ready, each on a network of its own, without an engine and on a Docker engine, if there is one
# or one can be had. Needs root.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/engine install iproute2 libseccomp-dev nftables pkg-config || [ $? -eq 3 ]
dir=$(mktemp -d)
[ -e "${ORCH_ENGINE_DIR:-/tmp/orch-engine}/dockerd.pid" ] || engine=ours
clean() {
  [ -z "${engine:-}" ] || scripts/engine stop
  rm -rf "$dir"
}
trap clean EXIT
# Without one, only half of it is measured.
[ -n "${WITHOUT_ENGINE:-}" ] || scripts/engine up || [ $? -eq 3 ]

# The engine's image, or as much of it as a pod needs. What is deleted ends at once, and is not waited for.
benches/image.sh "$dir" sleep orch-test/busybox:latest '{"StopSignal":"SIGKILL"}'

"$(benches/build.sh pods_vs_docker oci)" "$dir"
