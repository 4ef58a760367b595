"""The demo runs, its augmentation helps, and it helps as much as torchvision's, applied image by image."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image
from torchvision.transforms.v2.functional import pil_to_tensor

from benchmarks.digits import torchvision_recipe
from gpuaug import cli, demo
from gpuaug.viz import contact_sheet, save_png


def _accuracy(seed: int, images: int, steps: int, augment: Callable[[torch.Tensor], torch.Tensor]) -> float:
    digits = demo.load_digits(images, seed)
    return demo.train(digits, augment, demo.recipe(seed).eval(), steps=steps, seed=seed).accuracy


def test_augmentation_helps() -> None:
    """The demo's own setting, three seeds: the mean gain is about one point."""
    plain = torch.tensor([_accuracy(seed, 200, 400, demo.recipe(seed).eval()) for seed in range(3)])
    ours = torch.tensor([_accuracy(seed, 200, 400, demo.recipe(seed)) for seed in range(3)])
    assert ours.mean() > plain.mean() + 0.003, f"without {plain.tolist()}, with {ours.tolist()}"


def test_as_accurate_as_torchvision_image_by_image() -> None:
    """The same recipe by torchvision, one image at a time: within the spread of the seeds, or better."""
    ours, theirs = [], []
    for seed in range(3):
        torch.manual_seed(seed)  # torchvision draws from the global generator
        ours.append(_accuracy(seed, 100, 120, demo.recipe(seed)))
        theirs.append(_accuracy(seed, 100, 120, torchvision_recipe()))
    spread = max(max(ours) - min(ours), max(theirs) - min(theirs))
    mean, other = sum(ours) / 3, sum(theirs) / 3
    assert mean > other - max(spread, 0.005), f"gpuaug {ours}, torchvision {theirs}"


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


def test_version_and_usage() -> None:
    command = [sys.executable, "-m", "gpuaug.cli"]
    done = subprocess.run([*command, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["gpuaug", "0.1.0"]
    assert subprocess.run(command, capture_output=True).returncode == 2


# --- contact sheets ---


def test_contact_sheet_places_and_enlarges() -> None:
    images = torch.arange(5, dtype=torch.uint8).view(5, 1, 1, 1).expand(5, 1, 4, 6) * 10
    sheet = contact_sheet(images, columns=3, scale=2)
    assert sheet.shape == (3, 2 * (8 + 2) + 2, 3 * (12 + 2) + 2) and sheet.dtype == torch.uint8
    assert (sheet[:, 2:10, 2:14] == 0).all() and (sheet[:, 2:10, 16:28] == 10).all()
    assert (sheet[:, 12:20, 2:14] == 30).all()
    assert (sheet[:, 12:20, 30:] == 255).all(), "the tile that is missing stays paper"


def test_contact_sheet_undoes_normalize() -> None:
    images = torch.rand(2, 3, 5, 4)
    mean, std = (0.1, 0.2, 0.3), (0.5, 0.6, 0.7)
    normalized = (images - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)
    difference = contact_sheet(normalized, mean=mean, std=std).int() - contact_sheet(images).int()
    assert difference.abs().max() <= 1


def test_contact_sheet_captions() -> None:
    sheet = contact_sheet(torch.zeros(2, 3, 8, 40), columns=1, labels=["Ab 1", "a caption too long for its tile"])
    assert sheet.shape == (3, 2 * (8 + 14 + 2) + 2, 44)
    assert (sheet[:, 10:24] == 0).any() and (sheet[:, 10:24] == 255).any()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"images": torch.zeros(3, 4, 4)}, "images must be"),
        ({"images": torch.zeros(0, 3, 4, 4)}, "at least one image"),
        ({"images": torch.zeros(1, 3, 4, 4, dtype=torch.int32)}, "uint8 or float"),
        ({"images": torch.zeros(1, 3, 4, 4), "columns": 0}, "at least 1"),
        ({"images": torch.zeros(1, 3, 4, 4), "labels": []}, "one per image"),
        ({"images": torch.zeros(1, 3, 4, 4), "mean": (0.5,)}, "given together"),
    ],
)
def test_contact_sheet_refuses(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        contact_sheet(**arguments)  # type: ignore[arg-type]


def test_save_png_keeps_every_pixel(tmp_path: Path) -> None:
    picture = torch.randint(0, 256, (3, 7, 5), dtype=torch.uint8)
    save_png(picture, tmp_path / "picture.png")
    assert torch.equal(pil_to_tensor(Image.open(tmp_path / "picture.png")), picture)
