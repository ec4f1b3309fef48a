#!/bin/sh
# reproducible.sh: builds the committed tree twice, in two folders, and compares the programs byte by byte.
set -eu
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
cargo_home=${CARGO_HOME:-$HOME/.cargo}
export SOURCE_DATE_EPOCH
for folder in one another/one; do
    mkdir -p "$work/$folder"
    git archive HEAD | tar -x -C "$work/$folder"
    # The places where somebody happened to build are in panic messages and in what C asserts.
    (
        cd "$work/$folder"
        RUSTFLAGS="--remap-path-prefix=$PWD=/bearerd --remap-path-prefix=$cargo_home=/cargo" \
            CFLAGS="-ffile-prefix-map=$PWD=/bearerd -ffile-prefix-map=$cargo_home=/cargo" \
            CARGO_TARGET_DIR="$PWD/target" cargo build --release --locked --quiet
        sha256sum target/release/bearerd
    )
done
cmp "$work/one/target/release/bearerd" "$work/another/one/target/release/bearerd"
echo "the same bytes, twice"
