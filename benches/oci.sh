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

# One root file system, and an image of the same as `docker save` writes it.
mkdir -p "$dir"/rootfs/{bin,dev,etc,proc,sys,tmp}
cp "$(command -v busybox)" "$dir/rootfs/bin/busybox"
ln -s busybox "$dir/rootfs/bin/true"
tar -C "$dir/rootfs" -cf "$dir/layer.tar" .
digest=$(sha256sum "$dir/layer.tar" | cut -d' ' -f1)
machine=$(uname -m | sed 's/x86_64/amd64/; s/aarch64/arm64/')
printf '{"architecture":"%s","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' \
  "$machine" "$digest" >"$dir/config.json"
echo '[{"Config":"config.json","RepoTags":["bench/true:latest"],"Layers":["layer.tar"]}]' >"$dir/manifest.json"
tar -C "$dir" -cf "$dir/image.tar" manifest.json config.json layer.tar

cargo build --locked --profile bench -p orch-benches --features oci --bin oci_vs_others
program=${CARGO_TARGET_DIR:-target}/release/oci_vs_others
# crun refuses hosts with both versions of control groups: the second is hidden from all alike.
unshare -m sh -c 'umount /sys/fs/cgroup/unified 2>/dev/null; exec "$@"' sh "$program" "$dir"
