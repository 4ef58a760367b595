"""timm's strings: its operations, its magnitudes at each level (worked out by hand here), its laws."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps
from scipy import stats
from torch import Tensor
from torch.nn import functional as F

import gpuaug as ga
from gpuaug.testing import example
from gpuaug.transforms.layer import Layer

MANY = 50_000
TENTHS = range(11)
# Of each operation at levels 0 to 10 on an image of 40 x 60: what torchvision would call its magnitude.
PUBLISHED: dict[str, list[float]] = {
    "Rotate": [0, 3, 6, 9, 12, 15, 18, 21, 24, 27, 30],
    "ShearX": [0, 0.03, 0.06, 0.09, 0.12, 0.15, 0.18, 0.21, 0.24, 0.27, 0.3],
    "TranslateXRel": [2.7 * i for i in TENTHS],
    "TranslateYRel": [1.8 * i for i in TENTHS],
    "Color": [-0.9, -0.72, -0.54, -0.36, -0.18, 0, 0.18, 0.36, 0.54, 0.72, 0.9],
    "ColorIncreasing": [0.09 * i for i in TENTHS],
    "Posterize": [0, 0, 0, 1, 1, 2, 2, 2, 3, 3, 4],
    "PosterizeIncreasing": [4, 4, 4, 3, 3, 2, 2, 2, 1, 1, 0],
    "PosterizeOriginal": [4, 4, 4, 5, 5, 6, 6, 6, 7, 7, 8],
    "Solarize": [v / 255 for v in (0, 25, 51, 76, 102, 128, 153, 179, 204, 230, 256)],
    "SolarizeIncreasing": [v / 255 for v in (256, 231, 205, 180, 154, 128, 103, 77, 52, 26, 0)],
    "SolarizeAdd": [v / 255 for v in (0, 11, 22, 33, 44, 55, 66, 77, 88, 99, 110)],
    "Desaturate": [-0.5 - 0.05 * i for i in TENTHS],
    "GaussianBlur": [0.1 + 0.19 * i for i in TENTHS],
    "Equalize": [0] * 11,
}
SIGNED = {"Rotate", "ShearX", "TranslateXRel", "TranslateYRel", "ColorIncreasing"}


def drawn_by_many(layer: Layer, name: str, n: int = MANY) -> Any:
    layer.reseed(5)
    return layer.sample(torch.zeros(1, 3, 40, 60).expand(n, -1, -1, -1))[name]


def fits(observed: Tensor, weights: list[float]) -> bool:
    expected = torch.tensor(weights, dtype=torch.float64) / sum(weights) * observed.sum()
    return float(stats.chisquare(observed.numpy(), expected.numpy()).pvalue) > 1e-4


@pytest.mark.parametrize("level", TENTHS)
def test_magnitudes_of_every_level(level: int) -> None:
    seen = set()
    for string in (f"rand-m{level}-n1", f"rand-m{level}-n1-inc1", f"rand-m{level}-n1-t3a"):
        layer: Any = ga.auto_augment(string)
        drawn = drawn_by_many(layer, "TimmRandAugment", 2000)
        for number, name in enumerate(layer.space.names):
            if name in PUBLISHED:
                found = drawn.magnitude[drawn.op == number]
                expected = PUBLISHED[name][level]
                assert ((found.abs() if name in SIGNED else found) - expected).abs().max() < 1e-5, name
                if expected and name in SIGNED:
                    assert (found < 0).any() and (found > 0).any()
                seen.add(name)
    assert seen == set(PUBLISHED) - {"PosterizeOriginal"}


def test_magnitudes_of_the_original_policy() -> None:
    layer: Any = ga.auto_augment("original")
    drawn = drawn_by_many(layer, "TimmAutoAugment")
    bits = {int(v) for v in drawn.magnitude[drawn.op == layer.space.names.index("PosterizeOriginal")].unique()}
    assert bits == {PUBLISHED["PosterizeOriginal"][level] for level in (5, 6, 7, 8)}
    solarized = drawn.magnitude[drawn.op == layer.space.names.index("Solarize")] * 255
    assert {round(v) for v in solarized.unique().tolist()} == {76, 102, 128, 179, 204}
    assert fits(drawn.policy.bincount(minlength=25), [1.0] * 25)
    increasing: Any = ga.auto_augment("originalr")
    assert "PosterizeIncreasing" in increasing.space.names and "Posterize" not in increasing.space.names
    first: Any = ga.auto_augment("v0")
    assert first.policies[0] == (("Equalize", 0.8, 1), ("ShearY", 0.8, 4)) and len(first.policies) == 25
    assert first.policies[15] == (("Rotate", 1.0, 7), ("TranslateYRel", 0.8, 9))


def test_the_default_set_and_its_probabilities() -> None:
    layer: Any = ga.auto_augment("rand-m9-n3-p0.7")
    drawn = drawn_by_many(layer, "TimmRandAugment")
    assert len(layer.space.names) == 15 and drawn.op.shape == (MANY, 3)
    assert fits(drawn.op[:, 0].bincount(minlength=15), [1.0] * 15)
    assert fits(drawn.applied.sum(1).bincount(minlength=4), [0.027, 0.189, 0.441, 0.343])
    assert abs(drawn_by_many(ga.auto_augment("rand-m9"), "TimmRandAugment").applied.double().mean() - 0.5) < 0.01


def test_weights_are_drawn_without_replacement() -> None:
    layer: Any = ga.auto_augment("rand-m9-n2-tweights")
    drawn, weights = drawn_by_many(layer, "TimmRandAugment"), torch.tensor(layer.weights).double()
    assert (drawn.op[:, 0] != drawn.op[:, 1]).all()
    assert fits(drawn.op[:, 0].bincount(minlength=15), layer.weights)
    share = weights / weights.sum()
    second = (share[:, None] * share / (1 - share[:, None])).fill_diagonal_(0).sum(0)
    assert fits(drawn.op[:, 1].bincount(minlength=15), second.tolist())


def test_noise_of_the_magnitude() -> None:
    def rotations(string: str) -> Tensor:
        layer: Any = ga.auto_augment(string)
        drawn = drawn_by_many(layer, "TimmRandAugment")
        return drawn.magnitude[drawn.op == layer.space.names.index("Rotate")].abs() / 3

    levels = rotations("rand-m5-mstd0.5").double().numpy()
    assert stats.kstest(levels, stats.norm(5, 0.5).cdf).pvalue > 1e-4
    levels = rotations("rand-m6-mstd101").double().numpy()
    assert stats.kstest(levels, stats.uniform(0, 6).cdf).pvalue > 1e-4
    near = rotations("rand-m9.8-mstd0.5")
    assert near.max() <= 10 + 1e-5 and 0.2 < (near > 10 - 1e-5).double().mean() < 0.5
    assert rotations("rand-m15-mmax20").min() > 14.999 and rotations("rand-m15").max() < 10.001


def test_augmix_and_three_augment() -> None:
    layer: Any = ga.auto_augment("augmix-m5-w4-d2")
    assert (layer.width, layer.depth, layer.random_depth) == (4, 2, False) and math.isinf(layer.std)
    drawn = drawn_by_many(layer, "TimmAugMix", 10_000)
    shifted = drawn.magnitude[drawn.op == layer.space.names.index("TranslateXRel")].abs() / (60 * 0.3)
    assert stats.kstest(shifted.double().numpy(), stats.uniform(0, 0.5).cdf).pvalue > 1e-4
    drawn = drawn_by_many(ga.ThreeAugment(), "TimmAutoAugment", 20_000)
    assert fits(drawn.op[:, 0].bincount(minlength=3), [1.0] * 3)
    magnitudes = [drawn.magnitude[drawn.op == i] for i in range(3)]
    assert (magnitudes[0] == 128 / 255).all() and (magnitudes[1] == -1).all()
    assert stats.kstest(magnitudes[2].double().numpy(), stats.uniform(0.1, 1.9).cdf).pvalue > 1e-4


def test_pixels_are_pillows(photos: Tensor) -> None:
    """The operations that torchvision's policies have not, and levels that they have not, on every value."""
    images = F.interpolate(photos[:1].float(), (40, 60), mode="area").round().to(torch.uint8)

    def added(image: Image.Image, amount: int) -> Image.Image:
        return image.point([min(255, v + amount) if v < 128 else v for v in range(256)] * 3)

    pillow = {
        "SolarizeAdd": lambda image, m: added(image, round(m * 255)),
        "Solarize": lambda image, m: ImageOps.solarize(image, round(m * 255)),
        "SolarizeIncreasing": lambda image, m: ImageOps.solarize(image, round(m * 255)),
        "PosterizeIncreasing": lambda image, m: ImageOps.posterize(image, int(m)),
        "Invert": lambda image, m: ImageOps.invert(image),
        "ColorIncreasing": lambda image, m: ImageEnhance.Color(image).enhance(1 + m),
        "Desaturate": lambda image, m: ImageEnhance.Color(image).enhance(1 + m),
    }
    compared = set()
    for string in ("rand-m7-n1-p1", "rand-m4-n1-p1-inc1", "rand-m3-n1-p1-t3a"):
        layer: Any = ga.auto_augment(string)
        layer.reseed(0)
        x = images.expand(80, -1, -1, -1).contiguous()
        out, params = layer(x, return_params=True)
        drawn = params["TimmRandAugment"]
        theirs = Image.fromarray(images[0].permute(1, 2, 0).numpy())
        for result, number, m in zip(out, drawn.op[:, 0].tolist(), drawn.magnitude[:, 0].tolist(), strict=True):
            name = layer.space.names[number]
            if name in pillow and (name, m) != ("PosterizeIncreasing", 0):
                expected = torch.frombuffer(bytearray(pillow[name](theirs, m).tobytes()), dtype=torch.uint8)
                gap = (result.permute(1, 2, 0).flatten().int() - expected.int()).abs().max()
                assert gap <= (2 if name in ("ColorIncreasing", "Desaturate") else 0), name
                compared.add(name)
    assert compared == set(pillow)


def test_what_is_outside_is_the_mean_of_imagenet() -> None:
    layer = ga.auto_augment("rand-m10-n1-p1-inc1", interpolation="nearest")
    layer.reseed(0)
    for dtype, fill in ((torch.uint8, [124.0, 116.0, 104.0]), (torch.float32, [0.485, 0.456, 0.406])):
        images = example(60, (3, 40, 60), dtype)
        params = layer.sample(images)
        drawn = params["TimmRandAugment"]
        shifted = drawn.op[:, 0] == layer.space.names.index("TranslateXRel")
        out = layer.replay(images, params)[shifted]
        left = drawn.magnitude[shifted, 0] > 0
        for image, positive in zip(out, left.tolist(), strict=True):
            column = image[:, :, 0 if positive else -1].double()
            assert (column - torch.tensor(fill)[:, None].double()).abs().max() < 1e-6
    black = ga.Compose([ga.auto_augment("rand-m10-n1-p1")], fill=0, seed=0)
    assert (black(torch.full((60, 3, 40, 60), 0.5))[:, 0] < 0.01).any()


@pytest.mark.parametrize(
    ("string", "message"),
    [
        ("rand-w0", "weights are -tweights now"),
        ("rand-mx", "got 'mx' in 'rand-mx'"),
        ("rand-m9-tq", "t must be one of weights, 3a, 3aw, got 'q'"),
        ("rand-n1.5", "n must be a whole number, got '1.5'"),
        ("augmix-q3", "sections of m, w, d, a, b, mstd"),
        ("original-m9", "sections of mstd with a value, got 'm9'"),
        ("rund-m9", "must begin with rand, augmix, original"),
        ("rand-n20-tweights", "n must be at most 15 with weights, got 20"),
    ],
)
def test_strings_that_timm_does_not_know(string: str, message: str) -> None:
    with pytest.raises(ValueError, match="auto_augment") as error:
        ga.auto_augment(string)
    assert message in str(error.value)


def test_small_images_cannot_be_blurred() -> None:
    with pytest.raises(ValueError, match="TimmAutoAugment: images must be larger than 11 on both sides, got 11x30"):
        ga.ThreeAugment()(torch.zeros(2, 3, 11, 30))


# Sub-policies of "v0" as timm 1.0 has them: initials of both operations (R, X, Y: rotate, shears; T: shift; C: colour;
# E, A, S, D, P, I: equalize, autocontrast, solarize, solarize add, posterize, invert), tenths of both probabilities,
# both levels; T is ten.
NAMES_V0 = "EY CE CR SE SS CE ED XR CE IR EY CE PA SC SR RT XS YC CR EE EA YD PS SE CR"
TENTHS_V0 = "88 46 46 84 46 28 48 26 6T 46 T6 46 44 66 28 T8 08 86 T6 80 T6 46 86 66 84"
LEVELS_V0 = "14 93 18 37 22 08 83 98 12 90 93 70 67 89 49 79 04 04 02 48 42 77 2T 81 65"
LETTERS = {
    **{"A": "AutoContrast", "C": "Color", "D": "SolarizeAdd", "E": "Equalize", "I": "Invert", "P": "Posterize"},
    **{"R": "Rotate", "S": "Solarize", "T": "TranslateYRel", "X": "ShearX", "Y": "ShearY"},
}


@pytest.mark.parametrize(("string", "posterize"), [("v0", "Posterize"), ("v0r", "PosterizeIncreasing")])
def test_every_step_of_v0(string: str, posterize: str) -> None:
    def number(digit: str) -> int:
        return 10 if digit == "T" else int(digit)

    layer: Any = ga.auto_augment(string)
    rows = zip(layer.policies, NAMES_V0.split(), TENTHS_V0.split(), LEVELS_V0.split(), strict=True)
    for policy, names, tenths, levels in rows:
        for (name, p, level), letter, tenth, digit in zip(policy, names, tenths, levels, strict=True):
            assert name == (posterize if letter == "P" else LETTERS[letter])
            assert (round(10 * p, 9), level) == (number(tenth), number(digit))


def test_weights_of_the_sets() -> None:
    """timm's, in its order of magnitude."""
    moving = {"Rotate": 3, "ShearX": 2, "ShearY": 2}
    rest = ("SolarizeAdd", "ContrastIncreasing", "BrightnessIncreasing", "Equalize", "PosterizeIncreasing", "Invert")
    quarter = dict.fromkeys(("ColorIncreasing", "SharpnessIncreasing", "AutoContrast"), 0.25)
    three = dict.fromkeys(("SolarizeIncreasing", "Desaturate", "GaussianBlur"), 6)
    once = ("PosterizeIncreasing", "AutoContrast", "Equalize", "Invert")
    enhancing = (f"{name}Increasing" for name in ("Color", "Contrast", "Brightness", "Sharpness"))
    for string, expected in (
        ("rand-tweights", {
            **moving, "TranslateXRel": 1, "TranslateYRel": 1, **quarter, "SolarizeIncreasing": 0.05,
            **dict.fromkeys(rest, 0.05),
        }),
        ("rand-t3aw", {**three, **moving, **dict.fromkeys((*once, *enhancing), 1)}),
    ):  # fmt: skip
        layer: Any = ga.auto_augment(string)
        assert dict(zip(layer.space.names, layer.weights, strict=True)) == expected


def test_levels_beyond_ten_end_at_bounds() -> None:
    """A factor stays at 0.1 or more, what is added at 128, a threshold at 256: what Pillow and timm take at most."""
    for string, name, bound in (
        ("rand-m15-mmax20-n1-inc1", "ColorIncreasing", -0.9),
        ("rand-m15-mmax20-n1", "SolarizeAdd", 128 / 255),
        ("rand-m15-mmax20-n1", "Solarize", 256 / 255),
        ("rand-m15-mmax20-n1-inc1", "SolarizeIncreasing", 0),
        ("rand-m15-mmax20-n1-t3a", "GaussianBlur", 2),
        ("rand-m15-mmax20-n1-t3a", "Desaturate", -1),
    ):
        layer: Any = ga.auto_augment(string)
        drawn = drawn_by_many(layer, "TimmRandAugment", 400)
        found = drawn.magnitude[drawn.op == layer.space.names.index(name)]
        least = found.min() if name == "ColorIncreasing" else found
        assert torch.allclose(least, torch.tensor(float(bound)), atol=1e-6), name
        if name == "ColorIncreasing":
            assert abs(found.max() - 1.35) < 1e-6


def test_the_settings_of_augmix_and_of_noise() -> None:
    layer: Any = ga.auto_augment("augmix-a0.3", interpolation="bicubic")
    assert (layer.width, layer.depth, layer.random_depth, layer.interpolation) == (3, 3, True, "bicubic")
    drawn = drawn_by_many(layer, "TimmAugMix", 5000)
    assert stats.kstest(drawn.weights[:, 0].double().numpy(), stats.beta(0.3, 0.3).cdf).pvalue > 1e-4
    turned = drawn.magnitude[drawn.op == layer.space.names.index("Rotate")].abs().double()
    assert stats.kstest(turned.numpy(), stats.uniform(0, 9).cdf).pvalue > 1e-4  # m is 3
    noisy = drawn_by_many(ga.auto_augment("original-mstd0.5"), "TimmAutoAugment", 2000)
    assert len(noisy.magnitude.abs().unique()) > 500
    plain = drawn_by_many(ga.auto_augment("rand"), "TimmRandAugment", 2000)
    number = ga.auto_augment("rand").space.names.index("Rotate")  # type: ignore[union-attr]
    assert (plain.magnitude[plain.op == number].abs() == 30).all() and plain.op.shape[1] == 2  # m is 10, n is 2
    always = drawn_by_many(ga.auto_augment("rand-p1"), "TimmRandAugment", 2000)
    assert always.applied.all()


def test_gray_images_show_the_mean_of_the_mean() -> None:
    layer = ga.auto_augment("rand-m10-n1-p1", interpolation="nearest")
    layer.reseed(0)
    out, params = layer(torch.zeros(60, 1, 40, 60), return_params=True)
    drawn = params["TimmRandAugment"]
    shifted = (drawn.op[:, 0] == layer.space.names.index("TranslateXRel")) & (drawn.magnitude[:, 0] > 0)  # type: ignore[union-attr,operator]
    assert shifted.any() and torch.allclose(out[shifted][..., 0], torch.tensor((0.485 + 0.456 + 0.406) / 3))


def test_three_augment_jitters_three_colours() -> None:
    drawn = drawn_by_many(ga.ThreeAugment(), "ColorJitter", 2000)
    for name in ("brightness", "contrast", "saturation"):
        value = getattr(drawn, name)
        assert 0.7 <= value.min() < 0.72 and 1.28 < value.max() <= 1.3
    assert not hasattr(drawn, "hue")
