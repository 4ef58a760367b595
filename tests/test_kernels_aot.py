"""The kernels of standard pipelines compile ahead of time, without a GPU, and spill no register."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

MOST = 168
"""Registers of a thread with which three programs of 128 threads fit on a multiprocessor."""


@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="Triton is not installed: torch serves")
@pytest.mark.parametrize("capability", [80, 90])
def test_no_kernel_spills(capability: int, record_property: pytest.RecordProperty) -> None:
    here = Path(__file__).parent
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    environment["PYTHONPATH"] = os.pathsep.join([str(here.parent), str(here), environment.get("PYTHONPATH", "")])
    environment["TRITON_DEFAULT_FP_FUSION"] = "1"
    command = [sys.executable, "-m", "aot", str(capability)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    found = [json.loads(line) for line in done.stdout.splitlines()]
    expected = {"prepare_kernel", "render_kernel", "measure_kernel", "table_kernel", "filter_kernel", "pick_kernel"}
    expected |= {"uniform_kernel", "noise_kernel", "beta_kernel", "blend_kernel", "tile_kernel"}
    catalogue = {"code_kernel", "show_kernel", "tiles_kernel", "lens_kernel", "axes_kernel"}
    assert {row["kernel"] for row in found} == expected | (catalogue if capability == 90 else set())
    record_property("registers", json.dumps([(row["pipeline"], row["kernel"], row["registers"]) for row in found]))
    for row in found:
        assert row["sm"] == capability and row["local"] == 0, row
        assert row["registers"] <= MOST, row
