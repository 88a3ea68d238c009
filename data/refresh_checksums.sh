#!/usr/bin/env bash
# Writes data/SHA256SUMS anew, after data or weights were changed on purpose.
set -euo pipefail
cd "$(dirname "$0")"
find emoji fashion-mnist pretrained samples -type f \( -name '*.xz' -o -name '*.webp' -o -name '*.tsv' -o -name '*.safetensors' -o -name '*.json' -o -path 'samples/*.png' \) \
    ! -name quality.json | LC_ALL=C sort | xargs sha256sum > SHA256SUMS.tmp
mv SHA256SUMS.tmp SHA256SUMS
