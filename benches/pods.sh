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
mkdir -p "$dir"/rootfs/{bin,dev,etc,proc,sys,tmp}
cp "$(command -v busybox)" "$dir/rootfs/bin/busybox"
ln -s busybox "$dir/rootfs/bin/sleep"
tar -C "$dir/rootfs" -cf "$dir/layer.tar" .
digest=$(sha256sum "$dir/layer.tar" | cut -d' ' -f1)
machine=$(uname -m | sed 's/x86_64/amd64/; s/aarch64/arm64/')
printf '{"architecture":"%s","os":"linux","config":{"StopSignal":"SIGKILL"},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' \
  "$machine" "$digest" >"$dir/config.json"
echo '[{"Config":"config.json","RepoTags":["orch-test/busybox:latest"],"Layers":["layer.tar"]}]' >"$dir/manifest.json"
tar -C "$dir" -cf "$dir/image.tar" manifest.json config.json layer.tar

cargo build --locked --profile bench -p orch-benches --features oci --bin pods_vs_docker
"${CARGO_TARGET_DIR:-target}/release/pods_vs_docker" "$dir"
