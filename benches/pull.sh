#!/usr/bin/env bash
# Measures the pull of an image of some 200 MB from a registry on this machine: ours, and skopeo with umoci. Needs root.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/engine install docker-registry libseccomp-dev pkg-config skopeo umoci
dir=$(mktemp -d)
clean() {
  [ -z "${registry:-}" ] || kill "$registry"
  rm -rf "$dir"
}
trap clean EXIT

program=$(benches/build.sh pull_vs_skopeo pull)

# The image as `docker save` writes it. Who pushes it compresses its layers, as any that pushes does.
layers='' diffs=''
for ((n = 0; n < $("$program" layers); n++)); do
  "$program" layer "$n" >"$dir/$n.tar"
  layers+=",\"$n.tar\""
  diffs+=",\"sha256:$(sha256sum "$dir/$n.tar" | cut -d' ' -f1)\""
done
machine=$(uname -m | sed 's/x86_64/amd64/; s/aarch64/arm64/')
printf '{"architecture":"%s","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":[%s]}}' \
  "$machine" "${diffs#,}" >"$dir/config.json"
printf '[{"Config":"config.json","RepoTags":["bench/pull:1"],"Layers":[%s]}]\n' "${layers#,}" >"$dir/manifest.json"
tar -C "$dir" -cf "$dir/image.tar" manifest.json config.json $(cd "$dir" && ls ./*.tar | sed 's,^\./,,')
echo "unpacked $(($(cat "$dir"/[0-9]*.tar | wc -c) / 1000000)) MB, $(cat "$dir"/[0-9]*.tar | tar -tif - | wc -l) entries"
rm "$dir"/[0-9]*.tar

# A port that nobody has, as far as one can know.
port=$((20000 + RANDOM % 10000))
printf 'version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: %s/data}}\nhttp: {addr: "127.0.0.1:%s"}\n' \
  "$dir" "$port" >"$dir/config.yml"
docker-registry serve "$dir/config.yml" >"$dir/registry.log" 2>&1 &
registry=$!
image=127.0.0.1:$port/bench/pull:1
for _ in $(seq 100); do
  (: >"/dev/tcp/127.0.0.1/$port") 2>/dev/null && break
  sleep 0.1
done
skopeo copy --quiet --dest-tls-verify=false "docker-archive:$dir/image.tar" "docker://$image"
rm "$dir/image.tar"
echo "compressed $(du -sm --apparent-size "$dir/data" | cut -f1) MB"

"$program" pull "$dir" "$image"
