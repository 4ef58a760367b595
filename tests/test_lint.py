"""Style and types are tests, so that one command checks everything."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[1]
CODE = [name for name in ("gpuaug", "tests", "benchmarks", "notebooks") if (ROOT / name).is_dir()]


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(["ruff", "check", *CODE], id="ruff-check"),
        pytest.param(["ruff", "format", "--check", *CODE], id="ruff-format"),
        pytest.param(
            ["mypy", "--strict", "gpuaug"],
            id="mypy",
            marks=pytest.mark.skipif(
                tuple(map(int, torch.__version__.split(".")[:2])) < (2, 9),
                reason="torch 2.8 has no types for much of torch.nn.functional: types are checked with newer ones",
            ),
        ),
    ],
)
def test_lint(command: list[str]) -> None:
    done = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
