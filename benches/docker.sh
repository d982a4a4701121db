#!/usr/bin/env bash
# Measures a Deployment of 50 replicas on Docker beside the engine's own calls and Swarm. Prints the ratios.
set -euo pipefail
cd "$(dirname "$0")/.."

[ -e "${ORCH_ENGINE_DIR:-/tmp/orch-engine}/dockerd.pid" ] || trap 'scripts/engine stop' EXIT
scripts/engine up
cargo run --profile bench -p orch-benches --features docker --bin docker_vs_engine
