#!/usr/bin/env bash
# The one command for a GPU machine: the tests on the device, then every benchmark, in under nine minutes, no network.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

gpu=$(python3 -c 'import torch; print(torch.cuda.get_device_name().lower().replace(" ", "-"))')
out="benchmarks/results/${gpu}-$(date +%F).json"

timeout 200 python3 -m pytest tests/test_contract.py tests/test_photometry.py -n 4 --device cuda || echo "TESTS FAILED"
timeout 300 python3 -m benchmarks.run --device cuda --batch 256 --single --out "$out"
echo "written: $out"
