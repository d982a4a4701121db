#!/usr/bin/env bash
# Makes, in a directory, `rootfs`: busybox and one of its programs; and `image.tar`: an image of the same, as `docker save`
# writes it, of this name and with this configuration.
set -euo pipefail
dir=$1 program=$2 name=$3 config=$4

mkdir -p "$dir"/rootfs/{bin,dev,etc,proc,sys,tmp}
cp "$(command -v busybox)" "$dir/rootfs/bin/busybox"
ln -s busybox "$dir/rootfs/bin/$program"
tar -C "$dir/rootfs" -cf "$dir/layer.tar" .
digest=$(sha256sum "$dir/layer.tar" | cut -d' ' -f1)
machine=$(uname -m | sed 's/x86_64/amd64/; s/aarch64/arm64/')
printf '{"architecture":"%s","os":"linux","config":%s,"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' \
  "$machine" "$config" "$digest" >"$dir/config.json"
printf '[{"Config":"config.json","RepoTags":["%s"],"Layers":["layer.tar"]}]\n' "$name" >"$dir/manifest.json"
tar -C "$dir" -cf "$dir/image.tar" manifest.json config.json layer.tar
