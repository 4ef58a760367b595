"""Transforms that are limited to some inputs of a dict."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

import gpuaug as ga
from gpuaug.testing import example

H, W = 50, 62


def given() -> dict[str, Tensor]:
    """An image, a second one, and a depth map."""
    images = example(6, (3, H, W))
    return {"image": images[:3], "nir": images[3:, :1], "depth": images[3:, 1:2] * 0.8 + 0.1}


ROLES = {"nir": "image", "depth": "dense"}


@pytest.mark.parametrize("small", [10**9, 0], ids=["batched", "walked"])
def test_values_change_where_they_are_asked_to(monkeypatch: pytest.MonkeyPatch, small: int) -> None:
    """By name; without keys images only; the geometry is everybody's."""
    monkeypatch.setattr("gpuaug.render.backend.SMALL", small)
    batch = given()
    invert: Any = ga.RandomInvert
    for keys, changed in (
        (None, {"image", "nir"}),
        (("image",), {"image"}),
        (("depth",), {"depth"}),
        (["nir", "depth"], {"nir", "depth"}),
    ):
        out = ga.Compose([invert(p=1.0, keys=keys)], roles=ROLES)(batch)
        for key, value in batch.items():
            assert torch.allclose(out[key], 1 - value if key in changed else value, atol=1e-6), (keys, key)
        flipped = ga.Compose([ga.RandomHorizontalFlip(p=1.0), invert(p=1.0, keys=keys)], roles=ROLES)(batch)
        for key in batch:
            assert torch.allclose(flipped[key], out[key].flip(-1), atol=1e-6), (keys, key)


def test_every_photometric_transform_takes_keys() -> None:
    """And leaves the other images as they are, bit for bit."""
    batch = given()
    steps: list[Any] = [
        ga.ColorJitter(0.4, keys=("image",)), ga.Grayscale(3, keys=("image",)),
        ga.RandomGrayscale(1.0, keys=("image",)),
        ga.RandomBrightnessContrast(p=1.0, keys=("image",)), ga.HueSaturationValue(p=1.0, keys=("image",)),
        ga.RandomGamma(p=1.0, keys=("image",)), ga.RandomSolarize(0.5, p=1.0, keys=("image",)),
        ga.RandomPosterize(3, p=1.0, keys=("image",)), ga.RandomAutocontrast(p=1.0, keys=("image",)),
        ga.RandomEqualize(p=1.0, keys=("image",)), ga.RandomChannelPermutation(p=1.0, keys=("image",)),
        ga.ChannelDropout(p=1.0, keys=("image",)), ga.RandomPhotometricDistort(p=1.0, keys=("image",)),
        ga.GaussianBlur(5, keys=("image",)), ga.RandomAdjustSharpness(3.0, p=1.0, keys=("image",)),
        ga.GaussianNoise(keys=("image",)), ga.RandomErasing(p=1.0, value=0.3, keys=("image",)),
        ga.CoarseDropout(p=1.0, fill=0.3, keys=("image",)), ga.GridDropout(p=1.0, fill=0.3, keys=("image",)),
    ]  # fmt: skip
    for step in steps:
        out = ga.Compose([step], roles=ROLES, seed=1)(batch)
        assert not torch.equal(out["image"], batch["image"]), step
        assert torch.equal(out["nir"], batch["nir"]) and torch.equal(out["depth"], batch["depth"]), step


def test_refusals() -> None:
    with pytest.raises(ValueError, match=r"Compose: keys of RandomInvert must be `image` or in `roles` .*got 'nir'"):
        ga.Compose([ga.RandomInvert(keys=("nir",))])
    with pytest.raises(ValueError, match="Grayscale: keys needs num_output_channels=3"):
        ga.Grayscale(1, keys=("image",))
    for keys in ("image", (), (1,)):
        with pytest.raises(TypeError, match="RandomInvert: keys must be names of inputs"):
            ga.RandomInvert(keys=keys)  # type: ignore[arg-type]


def test_a_choice_among_what_is_limited_to_other_inputs() -> None:
    """Pixel operations on several inputs are no one place of a program: each changes its own input alone."""
    layer = ga.Compose(
        [ga.RandomChoice([ga.RandomInvert(p=1.0, keys=("nir",)), ga.RandomSolarize(0.0, p=1.0, keys=("image",))])],
        roles={"nir": "image"},
        seed=1,
    )
    x = torch.rand(12, 1, 5, 7)
    out, params = layer({"image": x, "nir": x}, return_params=True)
    first = (params["RandomChoice"].index == 0).view(-1, 1, 1, 1)
    assert first.any() and not first.all()
    assert torch.allclose(out["nir"], torch.where(first, 1 - x, x)) and torch.allclose(
        out["image"], torch.where(first, x, 1 - x)
    )
