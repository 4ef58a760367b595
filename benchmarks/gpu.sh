#!/usr/bin/env bash
# The one command for a machine with a GPU: the tests on the device, then every benchmark, in under nine minutes, without
# a network. Wheels of peers that are missing there may lie in wheels/ (git-ignored): kornia, kornia_rs.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if compgen -G "wheels/*.whl" > /dev/null; then
    python3 -m pip install --quiet --no-index --no-deps wheels/*.whl
fi
name=$(python3 -c 'import torch; print(torch.cuda.get_device_name().lower().replace(" ", "-"))') || exit 1
out="${OUT:-benchmarks/results}/${name}-$(date +%F).json"
mkdir -p "$(dirname "$out")"

timeout 240 python3 -m pytest -o addopts= -o filterwarnings= -q -p no:cacheprovider tests/test_cuda.py --device cuda
tests=$?
timeout 270 python3 -m benchmarks.run --device cuda --batch 256 --rounds 7 --single --compile --out "$out"
echo "tests: exit status $tests; figures: $out"
exit "$tests"
