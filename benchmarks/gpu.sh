#!/usr/bin/env bash
# The one command for a machine with a GPU: the tests on the device, the tables, the memory checker, in under nine
# minutes and without a network. Wheels of peers that are missing there may lie in wheels/ (git-ignored): kornia,
# kornia_rs, triton_augment. Arguments go to `python -m benchmarks.gpu`; OUT is where results go.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

python="${PYTHON:-python3}"
shopt -s nullglob
wheels=(wheels/*.whl)
if ((${#wheels[@]})); then
    site="$(mktemp -d)"
    trap 'rm -rf "$site"' EXIT
    if "$python" -m pip install --quiet --no-index --no-deps --no-cache-dir --target "$site" "${wheels[@]}"; then
        export PYTHONPATH="$site${PYTHONPATH:+:$PYTHONPATH}"
    else
        echo "the wheels could not be installed: their rows are not measured" >&2
    fi
fi
"$python" -m benchmarks.gpu --out "${OUT:-benchmarks/results}" "$@"
