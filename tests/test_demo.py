"""The demo runs, its augmentation helps, and it helps as much as torchvision's, applied image by image."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image
from torchvision.transforms.v2.functional import pil_to_tensor

from benchmarks.digits import torchvision_recipe
from gpuaug import cli, demo


def accuracies(*names: str) -> dict[str, list[float]]:
    """Train the demo's net on fewer images for fewer steps than it does, with three seeds, each way to augment."""
    found: dict[str, list[float]] = {name: [] for name in names}
    for seed in range(3):
        digits, prepare = demo.load_digits(100, seed), demo.recipe(seed).eval()
        torch.manual_seed(seed)  # torchvision draws from the global generator
        ways = {"nothing": prepare, "gpuaug": demo.recipe(seed), "torchvision": torchvision_recipe()}
        for name in names:
            found[name].append(demo.train(digits, ways[name], prepare, steps=180, seed=seed).accuracy)
    return found


def test_augmentation_helps() -> None:
    """The mean gain is about two points."""
    runs = accuracies("nothing", "gpuaug")
    gain = sum(runs["gpuaug"]) / 3 - sum(runs["nothing"]) / 3
    assert gain > 0.008, runs


@pytest.mark.slow
def test_as_accurate_as_torchvision_image_by_image() -> None:
    """The same recipe by torchvision, one image at a time: within the spread of the seeds, or better."""
    runs = accuracies("gpuaug", "torchvision")
    ours, theirs = runs["gpuaug"], runs["torchvision"]
    spread = max(max(ours) - min(ours), max(theirs) - min(theirs))
    assert sum(ours) / 3 > sum(theirs) / 3 - max(spread, 0.005), runs


def test_demo_writes_its_sheet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "new folder" / "sheet.png"
    argv = ["demo", "--steps", "3", "--seeds", "2", "--seed", "5", "--device", "cpu", "--out", str(out)]
    assert cli.main(argv) == 0
    printed = capsys.readouterr()
    assert str(out) in printed.out
    assert "with augmentation" in printed.out and "mean of 2 seeds" in printed.out
    assert len(printed.err.splitlines()) == 4, "no bar where stderr is no terminal: one line per run"
    assert pil_to_tensor(Image.open(out)).shape == (3, 8 * (64 + 2) + 2, 10 * (64 + 2) + 2)


def test_a_run_repeats_itself() -> None:
    digits = demo.load_digits(100, 0)
    prepare = demo.recipe(0).eval()
    first, second = (demo.train(digits, demo.recipe(0), prepare, steps=12, seed=0) for _ in range(2))
    assert first.accuracy == second.accuracy
    assert 0 < first.augment_share < 1 and first.images_per_second > 0


def test_the_split_keeps_held_out_images_out() -> None:
    digits = demo.load_digits(300, 1)
    assert digits.train_images.shape == (300, 1, 16, 16)
    assert digits.test_images.shape == (1497, 1, 16, 16)
    assert digits.train_images.dtype == torch.uint8
    train = {bytes(image.numpy()) for image in digits.train_images}
    test = {bytes(image.numpy()) for image in digits.test_images}
    assert not train & test


@pytest.mark.parametrize("images", [0, 1797])
def test_the_split_refuses_an_empty_side(images: int) -> None:
    with pytest.raises(ValueError, match=r"images must be in \[1, 1796\]"):
        demo.load_digits(images, 0)


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)
    assert cli.main(["demo", "--steps", "1"]) == 2
    assert 'pip install "gpuaug[demo]"' in capsys.readouterr().err


def test_version_and_usage(capsys: pytest.CaptureFixture[str]) -> None:
    """A command as a process succeeds in test_preview.py."""
    with pytest.raises(SystemExit) as said:
        cli.main(["--version"])
    assert said.value.code == 0 and capsys.readouterr().out.split() == ["gpuaug", "0.1.0"]
    done = subprocess.run([sys.executable, "-m", "gpuaug.cli"], capture_output=True, text=True)
    assert done.returncode == 2 and "usage: gpuaug" in done.stderr
