#!/usr/bin/env bash
# Rebuilds data/fashion-mnist from Debian's package dataset-fashion-mnist: the four IDX files, recompressed with xz.
# Needs apt-get, dpkg-deb, gzip and xz; writes nothing outside data/fashion-mnist. Run from anywhere.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
(cd "$work" && apt-get download dataset-fashion-mnist && dpkg-deb -x dataset-fashion-mnist_*.deb tree)
mkdir -p "$here/fashion-mnist"
find "$work/tree" -name '*-ubyte.gz' | sort | while read -r file; do
    target="$here/fashion-mnist/$(basename "${file%.gz}").xz"
    gzip -dc "$file" | xz -9e --threads=1 > "$target.tmp"
    mv "$target.tmp" "$target"
done
(cd "$here" && grep fashion-mnist/ SHA256SUMS | sha256sum -c -)
