"""Recipes do what was published: frequencies and ranges of what they draw, against the papers' numbers."""

from __future__ import annotations

import inspect
import json
from typing import Any

import pytest
import torch
from scipy import stats
from torch import Tensor

import gpuaug as ga
from gpuaug import recipes
from gpuaug.testing import annotated, example

N, H, W = 3000, 240, 300
MANY = torch.zeros(1, 3, H, W, dtype=torch.uint8).expand(N, -1, -1, -1)
B4 = (0.4, 0.4, 0.2, 0.1)


def both(*numbers: Any) -> dict[str, tuple[Any, ...]]:
    """Of two views that are alike."""
    return {"view_1": numbers, "view_2": numbers}


# For each view: area of the crop; brightness, contrast, saturation, hue, and how often; gray; blur; solarised.
VIEWS: dict[str, tuple[Any, dict[str, tuple[Any, ...]]]] = {
    "simclr": (recipes.simclr, both(0.08, 1.0, (0.8, 0.8, 0.8, 0.2), 0.8, 0.2, 0.5, 0.0)),
    "moco_v1": (recipes.moco_v1, both(0.2, 1.0, (0.4, 0.4, 0.4, 0.4), 1.0, 0.2, 0.0, 0.0)),
    "moco_v2": (recipes.moco_v2, both(0.2, 1.0, (0.4, 0.4, 0.4, 0.1), 0.8, 0.2, 0.5, 0.0)),
    "moco_v3": (
        recipes.moco_v3,
        {"view_1": (0.08, 1.0, B4, 0.8, 0.2, 1.0, 0.0), "view_2": (0.08, 1.0, B4, 0.8, 0.2, 0.1, 0.2)},
    ),
    "byol": (
        recipes.byol,
        {"view_1": (0.08, 1.0, B4, 0.8, 0.2, 1.0, 0.0), "view_2": (0.08, 1.0, B4, 0.8, 0.2, 0.1, 0.2)},
    ),
    "barlow_twins": (
        recipes.barlow_twins,
        {"view_1": (0.08, 1.0, B4, 0.8, 0.2, 1.0, 0.0), "view_2": (0.08, 1.0, B4, 0.8, 0.2, 0.1, 0.2)},
    ),
    "vicreg, paper": (
        lambda: recipes.vicreg(as_written=True),
        both(0.08, 1.0, B4, 0.8, 0.2, 0.5, 0.1),
    ),
    "swav": (
        recipes.swav,
        {
            "global": (0.14, 1.0, (0.8, 0.8, 0.8, 0.2), 0.8, 0.2, 0.5, 0.0),
            "local": (0.05, 0.14, (0.8, 0.8, 0.8, 0.2), 0.8, 0.2, 0.5, 0.0),
        },
    ),
    "dino": (
        recipes.dino,
        {
            "global_1": (0.4, 1.0, B4, 0.8, 0.2, 1.0, 0.0),
            "global_2": (0.4, 1.0, B4, 0.8, 0.2, 0.1, 0.2),
            "local": (0.05, 0.4, B4, 0.8, 0.2, 0.5, 0.0),
        },
    ),
    "dinov2, released": (
        recipes.dinov2,
        {
            "global_1": (0.32, 1.0, B4, 0.8, 0.2, 0.0, 0.0),
            "global_2": (0.32, 1.0, B4, 0.8, 0.2, 0.9, 0.2),
            "local": (0.05, 0.32, B4, 0.8, 0.2, 0.5, 0.0),
        },
    ),
    "dinov2, written": (
        lambda: recipes.dinov2(as_written=True),
        {
            "global_1": (0.32, 1.0, B4, 0.8, 0.2, 1.0, 0.0),
            "global_2": (0.32, 1.0, B4, 0.8, 0.2, 0.1, 0.2),
            "local": (0.05, 0.32, B4, 0.8, 0.2, 0.5, 0.0),
        },
    ),
}  # fmt: skip


def share(params: ga.Params, name: str) -> float:
    """How often a transform applies."""
    if name not in params.values:
        return 0.0
    gate = params.values[name].get("gate")
    return 1.0 if gate is None else gate.double().mean().item()


def near(found: float, expected: float, samples: int = N) -> bool:
    return abs(found - expected) <= 5 * (expected * (1 - expected) / samples) ** 0.5 + 1e-12


def spans(values: Tensor, low: float, high: float, slack: float = 0.02) -> bool:
    """Evenly from one end to the other."""
    inside = low - 1e-4 <= values.min() and values.max() <= high + 1e-4
    return bool(inside) and stats.kstest(values.numpy(), stats.uniform(low, high - low).cdf).statistic < slack + 0.03


@pytest.mark.parametrize("name", VIEWS)
def test_views_are_the_published_ones(name: str) -> None:
    make, table = VIEWS[name]
    views = make()
    views.reseed(1)
    params = views.sample(MANY)
    assert set(params) == set(table)
    counts = {"swav": 6}.get(name, 8)
    for view, (low, high, jitter, jitter_p, gray, blur, solarize) in table.items():
        drawn, layer = params[view], views.views[view]
        assert drawn.copies == (counts if view == "local" else 2 if view == "global" else 1)
        one = params.of(view)
        crop = one["RandomResizedCrop"]
        area = (crop.height * crop.width / (H * W)).double()
        assert low - 0.01 <= area.min() < low + 0.02 and high - 0.02 < area.max() <= high + 0.01
        aspect = crop.width / crop.height
        assert 0.71 < aspect.min() < 0.8 and 1.25 < aspect.max() < 1.4
        assert near(share(one, "RandomHorizontalFlip"), 0.5) and near(share(one, "RandomGrayscale"), gray)
        assert near(share(one, "ColorJitter"), jitter_p)
        colors = one["ColorJitter"]
        for kind, amount in zip(("brightness", "contrast", "saturation"), jitter[:3], strict=True):
            assert spans(getattr(colors, kind), 1 - amount, 1 + amount), kind
        assert spans(colors.hue, -jitter[3], jitter[3])
        assert near(share(one, "GaussianBlur"), blur) and near(share(one, "RandomSolarize"), solarize)
        if blur:
            assert spans(one["GaussianBlur"].sigma, 0.1, 2.0)
            side = layer[0].size[0]
            wanted = 9 if name.startswith("dinov2") else {224: 23, 96: 9}[side]
            blurring = next(step for step in layer if isinstance(step, ga.GaussianBlur))
            assert tuple(blurring.kernel_size) == (wanted, wanted)
        if solarize:
            assert (one["RandomSolarize"].threshold == 128).all()
        assert layer[0].size == ((96, 96) if view == "local" else (224, 224))
        bicubic = name.split(",")[0] in ("byol", "barlow_twins", "vicreg", "dino", "dinov2")
        assert layer[0].interpolation == ("bicubic" if bicubic else "bilinear")
        assert isinstance(layer[-1], ga.Normalize) and layer[-1].mean == ga.IMAGENET_MEAN
    assert equal(recipes.vicreg, recipes.byol) and equal(recipes.simsiam, recipes.moco_v2)


def equal(a: Any, b: Any) -> bool:
    pair = [repr(make()) for make in (a, b)]
    return pair[0] == pair[1]


def test_weak_and_strong_pairs() -> None:
    x = MANY[:1000, :, :32, :32]
    for make in (recipes.fixmatch, recipes.uda):
        views = make(seed=2)
        params = views.sample(x)
        weak, strong = params.of(0), params.of(1)
        for drawn in (weak, strong):
            assert near(share(drawn, "RandomHorizontalFlip"), 0.5, 1000)
            assert drawn["RandomCrop"].top.min() == -4 and drawn["RandomCrop"].top.max() == 4
        assert not torch.equal(weak["RandomCrop"].top, strong["RandomCrop"].top)
        images = example(6, (3, 32, 32), torch.uint8)
        one, two = make(seed=2, mean=None)(images)
        assert (two == 127).all(1).flatten(1).sum(1).min() >= 8 * 8  # a square of half the side, cut at the border
        assert not (one == 127).all(1).flatten(1).sum(1).max() > 40


# What is drawn by the recipes of one pipeline: how often, and between which bounds.
PUBLISHED: dict[str, tuple[Any, dict[str, tuple[float, dict[str, tuple[float, float]]]]]] = {
    "imagenet": (lambda: recipes.imagenet(), {"RandomHorizontalFlip": (0.5, {})}),
    "torchvision_v2": (
        lambda: recipes.torchvision_v2(num_classes=None),
        {"RandomHorizontalFlip": (0.5, {}), "RandomErasing": (0.1, {}), "TrivialAugmentWide": (1.0, {})},
    ),
    "deit": (lambda: recipes.deit(num_classes=None), {"RandomErasing": (0.25, {})}),
    "deit_3": (
        lambda: recipes.deit_3(num_classes=None),
        {"ColorJitter": (1.0, {"brightness": (0.7, 1.3), "contrast": (0.7, 1.3), "saturation": (0.7, 1.3)})},
    ),
    "mae": (lambda: recipes.mae(), {"RandomHorizontalFlip": (0.5, {})}),
    "medical": (
        lambda: recipes.medical(),
        {
            "RandomAffine": (0.2, {"angle": (-180, 180)}),
            "RandomAffine_2": (0.2, {"scale": (0.7, 1.4)}),
            "GaussianNoise": (0.1, {"sigma": (0.0, 0.1)}),
            "GaussianBlur": (0.2, {"sigma": (0.5, 1.0)}),
            "RandomBrightnessContrast": (0.15, {}),
            "RandomBrightnessContrast_2": (0.15, {}),
            "RandomGamma": (0.3, {}),
        },
    ),
    "satellite": (lambda: recipes.satellite(), {"RandomBrightnessContrast": (0.8, {}), "GaussianBlur": (0.5, {})}),
    "segmentation": (
        lambda: recipes.segmentation(200),
        {"RandomScale": (1.0, {"scale": (-0.5, 1.0)}), "RandomHorizontalFlip": (0.5, {})},
    ),
    "detr": (
        lambda: recipes.detr(),
        {"RandomScale": (0.5, {"scale": (0.0, 0.56)}), "RandomHorizontalFlip": (0.5, {})},
    ),
    "keypoints": (lambda: recipes.keypoints(), {"RandomRotation": (0.6, {}), "RandomHorizontalFlip": (0.5, {})}),
    "yolo": (
        lambda: recipes.yolo(200),
        {
            "Mosaic": (1.0, {}),
            "RandomAffine": (1.0, {"scale": (0.5, 1.5), "translate_x": (-0.05, 0.05), "translate_y": (-0.05, 0.05)}),
            "RandomHorizontalFlip": (0.5, {}),
        },
    ),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_pipelines_are_the_published_ones(name: str) -> None:
    make, table = PUBLISHED[name]
    layer = make()
    layer.reseed(1)
    params = layer.sample({"image": MANY, "keypoints": torch.zeros(N, 17, 2)} if name == "keypoints" else MANY)
    for transform, (p, ranges) in table.items():
        assert near(share(params, transform), p), transform
        for key, (low, high) in ranges.items():
            assert spans(getattr(params[transform], key), low, high), (transform, key)
    if name in ("imagenet", "torchvision_v2", "deit", "deit_3", "mae"):
        crop = params["RandomResizedCrop"]
        area = crop.height * crop.width / (H * W)
        assert abs(area.min() - (0.2 if name == "mae" else 0.08)) < 0.01 and area.max() > 0.98


def test_policies_and_mixes_of_timm() -> None:
    """Magnitudes of RandAugment's operations, and how much MixUp and CutMix mix, by their labels."""
    numbers = {
        "timm_a1": (recipes.timm_a1, 7, 0.2, 0.1, 224), "timm_a2": (recipes.timm_a2, 7, 0.1, 0.0, 224),
        "timm_a3": (recipes.timm_a3, 6, 0.1, 0.0, 160), "deit": (recipes.deit, 9, 0.8, 0.1, 224),
    }  # fmt: skip
    for name, (make, magnitude, mixup, smoothing, size) in numbers.items():
        layer = make(num_classes=10)
        written = json.dumps(ga.to_dict(layer))
        assert layer[0].size == (size, size) and layer[0].interpolation == "bicubic", name
        policy = next(step for step in layer if hasattr(step, "space"))
        assert repr(policy) == repr(ga.auto_augment(f"rand-m{magnitude}-mstd0.5-inc1")), name
        choice = layer[-1]
        assert isinstance(choice, ga.RandomChoice) and [type(c).__name__ for c in choice] == ["MixUp", "CutMix"]
        assert [c.label_smoothing for c in choice] == [smoothing] * 2 and '"alpha": 1.0' in written
        params = ga.Compose([make(num_classes=10)[-1]], seed=3).sample(MANY[:, :, :32, :32], torch.zeros(N).long())
        lam, gate = params["MixUp"].lam[params["MixUp"].gate], params["MixUp"].gate
        assert near(gate.double().mean().item(), 0.5)
        # Half of such a law lies within a rounding of 0 and 1: it is counted between quantiles.
        for q in (0.01, 0.2, 0.5, 0.8, 0.99):
            assert near((lam <= q).double().mean().item(), stats.beta(mixup, mixup).cdf(q), len(lam)), (name, q)
    written = json.dumps(ga.to_dict(recipes.torchvision_v2(num_classes=10)))
    assert '"alpha": 0.2' in written and '"alpha": 1.0' in written and written.count('"label_smoothing": 0.1') == 2
    rotation = recipes.keypoints()
    rotation.reseed(2)
    drawn = rotation.sample({"image": MANY, "keypoints": torch.zeros(N, 17, 2)})
    law = stats.truncnorm(-2, 2, loc=0, scale=45)
    assert stats.kstest(drawn["RandomRotation"].angle.numpy(), law.cdf).pvalue > 1e-4
    assert stats.kstest(drawn["RandomAffine"].scale.numpy(), stats.truncnorm(-1, 1, 1, 0.35).cdf).pvalue > 1e-4


def made(name: str) -> tuple[Any, Any]:
    """A recipe for small images, and what it takes."""
    make = getattr(recipes, name)
    given: dict[str, Any] = {}
    taken = inspect.signature(make).parameters
    if "global_size" in taken:
        given = {"global_size": 32, "local_size": 16}
    elif "size" in taken:
        given = {"size": 32}
    elif "sizes" in taken:
        given = {"sizes": (40, 48), "max_size": 90}
    if "num_classes" in taken:
        given["num_classes"] = 10
    images = example(
        4, (3, 32, 32) if name in ("fixmatch", "uda", "cifar", "small_images") else (3, 44, 53), torch.uint8
    )
    if name in ("detr", "yolo", "ssd", "segmentation"):
        return make(**given, seed=3), (annotated(images),)
    if name == "keypoints":
        return make(seed=3), ({"image": images, "keypoints": torch.rand(4, 17, 2) * 40},)
    return make(**given, seed=3), (images, torch.arange(4)) if "num_classes" in taken else (images,)


@pytest.mark.parametrize("name", recipes.__all__)
def test_every_recipe_runs_prints_and_is_documented(name: str) -> None:
    layer, inputs = made(name)
    out, params = layer(*inputs, return_params=True)
    assert repr(layer).count("\n") > 2 and "Source:" in (inspect.getdoc(getattr(recipes, name)) or "")
    again = layer.replay(*inputs, params)
    for a, b in zip(torch.utils._pytree.tree_leaves(out), torch.utils._pytree.tree_leaves(again), strict=True):
        assert torch.equal(a, b)
        assert not a.is_floating_point() or torch.isfinite(a).all()
    layer.eval()
    shapes = [[tuple(t.shape) for t in torch.utils._pytree.tree_leaves(layer(*inputs))] for _ in range(2)]
    assert shapes[0] == shapes[1]
    restored = ga.from_dict(json.loads(json.dumps(ga.to_dict(layer))))
    assert ga.fingerprint(restored) == ga.fingerprint(layer)
    assert type(restored) is type(layer)


def test_levels_grow() -> None:
    for make in (recipes.small_images, recipes.medium_images, recipes.large_images):
        sizes = [len(make(32, level)) for level in ("weak", "medium", "strong", "very_strong")]
        assert sizes == sorted(set(sizes))
    with pytest.raises(ValueError, match="recipes: level must be one of weak"):
        recipes.small_images(32, "odd")
