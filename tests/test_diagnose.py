"""Reports on models whose behaviour is known exactly, and pipelines of which is known what draws."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torchvision.transforms import v2

import gpuaug as ga
from gpuaug._draw import colour
from gpuaug.diagnose import calibration, default_suite, invariance, leak_check, robustness
from gpuaug.testing import example
from gpuaug.viz import chart

LEVELS = torch.tensor([0.2, 0.5, 0.8])


class ByBrightness(nn.Module):
    """Takes an image for the class whose brightness is nearest, sure of it by `sure`."""

    def __init__(self, sure: float = 0.9) -> None:
        super().__init__()
        self.logit = math.log(sure / ((1 - sure) / 2))
        self.drop = nn.Dropout(0.9)
        self.modes: set[bool] = set()

    def forward(self, x: Tensor) -> Tensor:
        self.modes.add(self.drop.training)
        nearest = (x.float().mean((1, 2, 3))[:, None] - LEVELS).abs().argmin(1)
        return nn.functional.one_hot(nearest, 3) * self.logit


def batches(size: int, count: int = 12, dtype: torch.dtype = torch.float32) -> list[tuple[Tensor, Tensor]]:
    labels = torch.arange(count) % 3
    images = LEVELS[labels][:, None, None, None].expand(-1, 3, 6, 9).clone()
    if dtype == torch.uint8:
        images = (images * 255).round().to(torch.uint8)
    return list(zip(images.split(size), labels.split(size), strict=True))


def test_accuracy_and_drop_of_each_class_are_what_they_must_be() -> None:
    """Inverted, dark is taken for light and light for dark, and gray for gray; the model is as sure as before."""
    model = ByBrightness(0.9).train()
    model.drop.eval()
    report = robustness(model, batches(5), {"invert": ga.RandomInvert(p=1.0), "flip": ga.RandomHorizontalFlip(1.0)})
    assert report.clean.mean == 1.0 and report["invert"].mean == pytest.approx(1 / 3)
    assert report.drop_per_class("invert").tolist() == [1.0, 0.0, 1.0] and report.drop("flip") == 0
    assert report.clean.calibration_error.item() == pytest.approx(0.1, abs=1e-6)
    assert report["invert"].calibration_error.item() == pytest.approx(0.9 - 1 / 3, abs=1e-6)
    assert report.samples.tolist() == [4, 4, 4] and report.mean_drop == pytest.approx(1 / 3)
    assert model.modes == {False} and model.training and not model.drop.training, "modes come back one by one"
    lines = str(report).splitlines()
    assert lines[0] == "12 samples, 3 classes, 1 seed"
    assert lines[3].split() == ["invert", "33.3", "+-", "0.0", "%", "66.7", "56.7", "%", "0", "-100.0"]
    with pytest.raises(KeyError, match="no perturbation 'x'; there are invert, flip"):
        report["x"]


def test_seeds_spread_as_their_draws_do_whatever_the_batches() -> None:
    """The share that an inversion with p = 0.4 leaves alone, seed by seed, drawn here by hand."""
    seeds = (3, 4, 5)
    layer = ga.RandomInvert(p=0.4)
    images = torch.cat([x for x, _ in batches(50, 60)])
    expected = []
    for seed in seeds:
        layer.reseed(seed)
        wrong = layer.sample(images, ids=torch.arange(60))["RandomInvert"].gate & (torch.arange(60) % 3 != 1)
        expected.append(1 - wrong.double().mean().item())
    assert len(set(expected)) > 1
    state = layer._state.clone()
    for size in (7, 60):
        report = robustness(ByBrightness(), batches(size, 60), {"invert": {"0.4": layer}}, seeds=seeds)
        row = report["invert 0.4"]
        assert row.accuracy.tolist() == pytest.approx(expected)
        assert row.spread == pytest.approx(np.std(expected, ddof=1)) and report.clean.spread == 0
    assert torch.equal(layer._state, state), "the pipeline that was given is left alone"


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_the_default_suite_does_what_its_names_say(dtype: torch.dtype) -> None:
    """On flat gray images, by what is left of them."""
    x = torch.full((12, 3, 32, 48), 0.5)
    x[..., 16:] = 0.25
    x = x if dtype != torch.uint8 else (x * 255).round().to(torch.uint8)
    unit = 255.0 if dtype == torch.uint8 else 1.0
    out: dict[str, Tensor] = {}
    for name, levels in default_suite().items():
        assert len(levels) == 3
        for level, layer in levels.items():
            layer.reseed(1)
            out[f"{name} {level}"] = layer.replay(x, layer.sample(x)).double() / unit
    clean = x.double() / unit
    noise = (out["noise 0.1"] - clean).std().item()
    assert noise == pytest.approx(0.1, abs=0.003)
    bright = (out["brightness +- 40%"] / clean).flatten(1).mean(1)
    assert {round(v, 1) for v in bright.tolist()} == {0.6, 1.4}
    contrast = out["contrast x 0.4"]
    step = contrast[..., 0] - contrast[..., -1]
    assert step.mean().item() == pytest.approx(0.4 * 0.25, abs=2 / 255)
    covered = (out["occlusion 15%"] == 0).double().mean((1, 2, 3))
    assert (covered - 0.15).abs().max() < 0.03
    edge = out["blur 2 px"].mean((0, 1, 2)).diff().abs()
    assert edge.argmax() == 15 and edge[13:18].sum() < 0.8 * 0.25
    moved = out["translation to 20%"]
    assert ((moved == 0).double().mean((1, 2, 3)) < 0.37).all() and (moved == 0).any()
    corners = out["rotation +- 20 deg"][:, 0]
    assert (corners[:, 0, 0] == 0).all(), "black where the image has turned away"
    up = corners[:, 0, 16:32].mean(1)
    assert up.unique().numel() > 1, "left and right"


def test_the_report_is_drawn(tmp_path: Path) -> None:
    suite: Any = {"invert": ga.RandomInvert(p=1.0), "flip": ga.RandomHorizontalFlip(1.0)}
    report = robustness(ByBrightness(), batches(12), suite, class_names=["dark", "gray", "light"])
    picture = report.plot(tmp_path / "new" / "report.png")
    written = np.asarray(Image.open(tmp_path / "new" / "report.png"))
    assert (written == picture.permute(1, 2, 0).numpy()).all()
    ink = torch.tensor(colour(0), dtype=torch.uint8)[:, None, None]
    bars = (picture == ink).all(0).sum(1)
    lengths = bars[bars > 0].unique().tolist()
    assert lengths[-1] == 160 and lengths[0] == round(160 / 3)
    assert ((picture == torch.tensor([170, 40, 20], dtype=torch.uint8)[:, None, None]).all(0)).sum() > 2 * 200, "red"
    many = robustness(lambda x: torch.zeros(len(x), 500), batches(12), {"flip": ga.RandomHorizontalFlip(1.0)})
    assert many.plot().shape[2] < 1500


def test_calibration_is_guos_error() -> None:
    generator = torch.Generator().manual_seed(0)
    p = torch.rand(400, 5, generator=generator).pow(3)
    p = p / p.sum(1, keepdim=True)
    labels = torch.randint(5, (400,), generator=generator)
    found = calibration(p, labels, bins=10)
    sure, right = p.max(1).values.double().numpy(), (p.argmax(1) == labels).numpy()
    error, largest = 0.0, 0.0
    for low in np.arange(10) / 10:
        inside = (sure >= low) & (sure < low + 0.1)
        if inside.any():
            gap = abs(right[inside].mean() - sure[inside].mean())
            error, largest = error + gap * inside.mean(), max(largest, gap)
    assert found.error == pytest.approx(error) and found.largest == pytest.approx(largest)
    assert found.counts.sum() == 400 and len(found.points()) == int((found.counts > 0).sum())
    assert "calibration error" in str(found) and found.plot().dtype == torch.uint8
    certain = calibration(torch.eye(3), torch.tensor([0, 1, 2]))
    assert certain.error == 0 and certain.counts[-1] == 3


def test_invariance_of_models_that_are_and_are_not() -> None:
    x = example(6, (3, 9, 13))
    flip = ga.Compose([ga.RandomHorizontalFlip(0.5), ga.Normalize((0.5,), (0.5,))], seed=3)
    steady = invariance(lambda x: torch.stack((x.mean((1, 2, 3)), x.amax((1, 2, 3))), 1), x, flip)
    assert steady.agreement == 1 and steady.distance.max() < 1e-6 and steady.distance.shape == (8, 6)

    def left(x: Tensor) -> Tensor:  # knows which half is the brighter one, and is certain
        brighter = x[..., :6].mean((1, 2, 3)) > x[..., 7:].mean((1, 2, 3))
        return torch.stack((brighter, ~brighter), 1).float()

    state = flip._state.clone()
    moved = invariance(left, x, flip, n=20, activation=None)
    own = ga.Compose([ga.RandomHorizontalFlip(0.5), ga.Normalize((0.5,), (0.5,))], seed=0)
    gates = torch.stack([own.sample(x, copy=k)["RandomHorizontalFlip"].gate for k in range(20)])
    assert torch.equal(moved.changed, gates) and torch.equal(moved.distance, gates.float())
    assert moved.mean == pytest.approx(gates.double().mean().item()) and 0 < moved.agreement < 1
    assert moved.worst(1) == [int(gates.double().mean(0).argmax())] and "20 draws each" in str(moved)
    assert torch.equal(flip._state, state)


@pytest.mark.parametrize(
    ("pipeline", "images", "where"),
    [
        (ga.Compose([ga.RandomResizedCrop(8), ga.GaussianNoise(), ga.Normalize((0.5,), (0.5,))]).eval(), True, []),
        (ga.Compose([ga.Resize(8), ga.ColorJitter(brightness=(1.2, 1.2)), ga.Normalize((0.5,), (0.5,))]), True, []),
        (ga.Compose([ga.Resize(8), ga.RandomRotation(9)]), True, ["Compose > RandomRotation: draws angle"]),
        (ga.Compose([ga.Resize(8)], eval=[ga.RandomInvert(p=0.5)]).eval(), True, ["RandomInvert: applied with p=0.5"]),
        (ga.Compose([ga.RandomApply([ga.RandomInvert(p=1.0)], p=0.5)]), False, ["RandomApply: applied with p=0.5"]),
        (ga.RandomChoice([ga.RandomInvert(1.0), ga.RandomSolarize(0.5, 1.0)]), False, ["RandomChoice: draws"]),
        (ga.GaussianNoise(sigma=0.1), True, ["GaussianNoise > GaussianNoise: draws"]),
        (ga.RandomShortestSize([8, 9, 10]), False, ["RandomShortestSize: draws a size"]),
        (nn.Sequential(nn.Identity(), ga.RandomErasing()), True, ["1 (RandomErasing) > RandomErasing: draws"]),
        (nn.Sequential(v2.Resize(8), v2.ColorJitter(0.9)).eval(), True, ["1 (ColorJitter): gives different results"]),
        (nn.Sequential(ga.Resize(8), nn.Dropout(0.9)), True, ["1 (Dropout): gives different"]),
        (nn.Sequential(ga.Resize(8), nn.Dropout(0.9)).eval(), True, []),
        (lambda x: x + torch.rand(1), True, ["two runs differ, but no module"]),
        (lambda x: x * 2, True, []),
    ],
)  # fmt: skip
def test_what_draws_in_a_validation_pipeline(pipeline: Any, images: bool, where: list[str]) -> None:
    given = (example(3),) if images else ()
    before = torch.random.get_rng_state()
    state = pipeline._state.clone() if isinstance(pipeline, ga.Compose) else None
    leak = leak_check(pipeline, *given)
    said = str(leak)
    assert bool(leak) == bool(where) and all(text in said for text in where), said
    assert len(leak.draws) <= len(where), said
    assert leak.differs is None if not images else leak.differs == bool(where) or "eval() mode too" in said
    assert (".eval()" in said) == any("not in eval" in what for _, what in leak.draws)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert state is None or torch.equal(pipeline._state, state)


def test_a_chart_shows_its_points() -> None:
    picture = chart(
        {"a": [(0.0, 0.0), (1.0, 1.0)], "b": [(0.0, float("nan")), (0.5, 0.0)]}, x_range=(0, 1), y_range=(0, 1)
    )
    assert picture.shape == (3, 260, 420)
    first = (picture == torch.tensor(colour(0), dtype=torch.uint8)[:, None, None]).all(0).nonzero()
    on_line = first[first[:, 1] < 380]
    rows, columns = on_line[:, 0].double(), on_line[:, 1].double()
    assert np.corrcoef(rows, columns)[0, 1] < -0.9, "up and to the right"
    second = (picture == torch.tensor(colour(1), dtype=torch.uint8)[:, None, None]).all(0).nonzero()
    assert (second[second[:, 1] < 350][:, 0].double().mean() - on_line[:, 0].max()).abs() < 4, "a dot at the bottom"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: robustness(ByBrightness(), []), "robustness: loader must give at least one batch"),
        (lambda: robustness(ByBrightness(), batches(4), {}), "suite must be pipelines by name"),
        (lambda: robustness(ByBrightness(), batches(4), {"m": ga.MixUp(num_classes=3)}), r"suite\['m'\] mixes samples"),
        (lambda: robustness(ByBrightness(), [torch.zeros(2, 3, 4, 5)]), "loader must give .* got Tensor"),
        (lambda: robustness(ByBrightness(), batches(4), seeds=()), "seeds must be at least one integer"),
        (lambda: robustness(lambda x: x, batches(4)), r"predictions must be floats \(B, classes\), got \(4, 3, 6, 9\)"),
        (
            lambda: robustness(ByBrightness(), batches(4), {"f": ga.Resize(4)}, class_names=["a"]),
            "class_names must be 3",
        ),
        (lambda: calibration(torch.ones(3, 2) * 4, torch.zeros(3).long()), "between 0 and 1, got others"),
        (lambda: calibration(torch.ones(3, 2), torch.zeros(3)), r"labels must be integers \(3,\), got torch.float32"),
        (lambda: invariance(lambda x: x, example(2), ga.CutMix(num_classes=3)), "invariance: augment mixes samples"),
        (lambda: invariance(lambda x: x, example(2), ga.RandomInvert()), r"must return \(B, classes\), got \(2, 3"),
        (lambda: leak_check(ga.Resize(4), runs=1), "leak_check: runs must be an integer of at least 2, got 1"),
        (lambda: chart({"a": []}), "chart: series must hold at least one finite point"),
    ],
)
def test_what_is_refused(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
