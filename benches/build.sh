#!/usr/bin/env bash
# Builds a program of the benches, with these features, and prints where it is.
set -euo pipefail
program=$1 features=$2

cargo build --locked --profile bench -p orch-benches ${features:+--features "$features"} --bin "$program"
target=$(cargo metadata --locked --format-version 1 --no-deps | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
echo "$target/release/$program"
