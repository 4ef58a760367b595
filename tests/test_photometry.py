"""Each photometric function equals torchvision's, sample by sample, with a parameter of its own for each sample."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as tv

import gpuaug as ga
from gpuaug import functional as F
from gpuaug.testing import example

SHAPE = (3, 37, 53)

PAIRS: dict[str, tuple[Callable[..., Tensor], Callable[..., Tensor], list[float]]] = {
    "brightness": (F.adjust_brightness, tv.adjust_brightness, [0.0, 0.4, 1.0, 1.7, 0.85]),
    "contrast": (F.adjust_contrast, tv.adjust_contrast, [0.0, 0.4, 1.0, 1.7, 0.85]),
    "saturation": (F.adjust_saturation, tv.adjust_saturation, [0.0, 0.4, 1.0, 1.7, 0.85]),
    "hue": (F.adjust_hue, tv.adjust_hue, [-0.5, -0.2, 0.0, 0.07, 0.49]),
    "gamma": (F.adjust_gamma, tv.adjust_gamma, [0.2, 0.7, 1.0, 1.8, 3.0]),
    "sharpness": (F.adjust_sharpness, tv.adjust_sharpness, [0.0, 0.5, 1.0, 2.0, 5.0]),
    "solarize": (F.solarize, tv.solarize, [0.0, 0.3, 0.5, 0.7, 1.0]),
    "blur": (
        lambda x, s: F.gaussian_blur(x, s, kernel_size=(7, 11)),
        lambda x, s: tv.gaussian_blur(x, [7, 11], [s, s]),
        [0.1, 0.5, 1.0, 1.4, 2.0],
    ),
}
PLAIN = {
    "gray": (lambda x: F.rgb_to_grayscale(x, 3), lambda x: tv.rgb_to_grayscale(x, 3)),
    "invert": (F.invert, tv.invert),
    "autocontrast": (F.autocontrast, tv.autocontrast),
    "equalize": (F.equalize, tv.equalize),
}
EXACT = ("solarize", "invert", "equalize")


def close(ours: Tensor, theirs: Tensor, name: str, largest: float = 1.0) -> None:
    assert ours.dtype == theirs.dtype and ours.shape == theirs.shape
    if ours.dtype == torch.uint8:  # torchvision truncates where we round, after each of its steps
        # Its sharpness also rounds the smoothed image, an error that the blend enlarges by |1 - factor|.
        bound = 0 if name in EXACT else 1 + (abs(1 - largest) / 2 if name == "sharpness" else 0)
        assert (ours.int() - theirs.int()).abs().max() <= bound
    else:
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.uint8], ids=str)
@pytest.mark.parametrize("name", PAIRS)
def test_equals_torchvision(name: str, dtype: torch.dtype) -> None:
    ours, theirs, values = PAIRS[name]
    images = example(5, SHAPE, dtype)
    given = [v * 255 for v in values] if name == "solarize" and dtype == torch.uint8 else values
    expected = torch.stack([theirs(image, v) for image, v in zip(images, given, strict=True)])
    close(ours(images, torch.tensor(given)), expected, name, max(values))


@pytest.mark.parametrize("dtype", [torch.float32, torch.uint8], ids=str)
@pytest.mark.parametrize("name", PLAIN)
def test_plain_operations_equal_torchvision(name: str, dtype: torch.dtype) -> None:
    ours, theirs = PLAIN[name]
    images = example(5, SHAPE, dtype)
    close(ours(images), torch.stack([theirs(image) for image in images]), name)


@pytest.mark.parametrize("dtype", [torch.float32, torch.uint8], ids=str)
def test_posterize(dtype: torch.dtype) -> None:
    images = example(7, SHAPE, dtype)
    bits = [1, 2, 3, 4, 5, 7, 8]
    expected = torch.stack([tv.posterize(image, b) for image, b in zip(images, bits, strict=True)])
    ours = F.posterize(images, torch.tensor(bits).float())
    if dtype == torch.uint8:
        assert torch.equal(ours, expected)
    else:
        torch.testing.assert_close(ours, expected, rtol=0, atol=1e-5)


def test_every_uint8_level_by_table() -> None:
    """All 256 levels through what must be exact on uint8."""
    ramp = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    assert torch.equal(F.invert(ramp), 255 - ramp)
    for threshold in range(0, 256, 5):
        assert torch.equal(F.solarize(ramp, threshold), tv.solarize(ramp[0], threshold)[None])
    for bits in range(9):
        assert torch.equal(F.posterize(ramp, float(bits)), ramp & (0xFF << (8 - bits) & 0xFF))


def test_normalize_equals_torchvision() -> None:
    images = example(4, SHAPE)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    torch.testing.assert_close(
        F.normalize(images, mean.expand(4, 3), std.expand(4, 3)),
        tv.normalize(images, mean.tolist(), std.tolist()),
        rtol=0,
        atol=1e-5,
    )


@pytest.mark.parametrize("mode", ["image", "image_per_channel", "min_max", "min_max_per_channel"])
def test_normalize_by_image_in_float64(mode: str) -> None:
    images = example(3, SHAPE, torch.float64)
    dims = (2, 3) if mode.endswith("channel") else (1, 2, 3)
    if mode.startswith("min"):
        low, high = images.amin(dims, keepdim=True), images.amax(dims, keepdim=True)
        expected = (images - low) / (high - low + 1e-4)
    else:
        expected = (images - images.mean(dims, keepdim=True)) / (images.std(dims, keepdim=True, unbiased=False) + 1e-4)
    torch.testing.assert_close(F.normalize_by_image(images, mode=mode), expected, rtol=0, atol=1e-9)


def test_hue_saturation_value_equals_opencv() -> None:
    """Albumentations' shift, done in float by OpenCV (hue in degrees of 360, saturation and value in 0..1)."""
    import cv2
    import numpy as np

    images = example(4, SHAPE)
    hue, sat, val = (
        torch.tensor([10.0, -20.0, 0.0, 85.0]),
        torch.tensor([30.0, -40.0, 0.0, 5.0]),
        torch.tensor([-20.0, 15.0, 0.0, 40.0]),
    )
    ours = F.adjust_hue_saturation_value(images, hue, sat, val)
    for i, image in enumerate(images):
        hsv = cv2.cvtColor(image.permute(1, 2, 0).numpy(), cv2.COLOR_RGB2HSV)
        hsv[..., 0] = np.mod(hsv[..., 0] + 2 * float(hue[i]), 360)
        hsv[..., 1] = np.clip(hsv[..., 1] + float(sat[i]) / 255, 0, 1)
        hsv[..., 2] = np.clip(hsv[..., 2] + float(val[i]) / 255, 0, 1)
        expected = torch.from_numpy(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)).permute(2, 0, 1)
        torch.testing.assert_close(ours[i], expected, rtol=0, atol=2e-4)


def test_brightness_contrast_in_float64() -> None:
    images = example(3, SHAPE, torch.float64)
    b, c = torch.tensor([0.1, -0.2, 0.0], dtype=torch.float64), torch.tensor([0.2, -0.1, 0.0], dtype=torch.float64)
    linear = images * (1 + c.view(-1, 1, 1, 1))
    torch.testing.assert_close(F.brightness_contrast(images, b, c), (linear + b.view(-1, 1, 1, 1)).clamp(0, 1))
    shift = b.view(-1, 1, 1, 1) * images.mean((1, 2, 3), keepdim=True)
    ours = F.brightness_contrast(images, b, c, brightness_by_max=False)
    torch.testing.assert_close(ours, (linear + shift).clamp(0, 1))


def test_channels_by_hand() -> None:
    images = example(2, SHAPE)
    order = torch.tensor([[2, 0, 1], [1, 2, 0]])
    permuted = F.permute_channels(images, order)
    for i in range(2):
        assert torch.equal(permuted[i], images[i, order[i]])
    dropped = F.drop_channels(images, torch.tensor([[True, False, False], [False, True, True]]), fill=0.25)
    assert torch.equal(dropped[0, 1:], images[0, 1:]) and (dropped[0, 0] == 0.25).all()
    assert torch.equal(dropped[1, 0], images[1, 0]) and (dropped[1, 1:] == 0.25).all()


def test_erase_equals_torchvision() -> None:
    images = example(3, SHAPE)
    boxes = torch.tensor([[[2, 3, 10, 20]], [[0, 0, 37, 53]], [[5, 5, 0, 0]]])
    values = torch.rand(3, 3, 37, 53)
    ours = F.erase(images, boxes, values)
    for i, (top, left, h, w) in enumerate(boxes[:, 0].tolist()):
        expected = tv.erase(images[i], top, left, h, w, values[i, :, top : top + h, left : left + w])
        assert torch.equal(ours[i], expected)


@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation", "hue", "gamma", "sharpness", "blur"])
def test_gradients(name: str) -> None:
    """In the image and in the parameter, away from the clamps."""
    function, _, values = PAIRS[name]
    images = (0.3 + 0.4 * example(2, (3, 6, 7), torch.float64)).requires_grad_()
    middle = torch.tensor([values[1] * 0.5 + 0.5, 1.1] if name != "hue" else [0.05, -0.07], dtype=torch.float64)
    if name == "blur":
        assert torch.autograd.gradcheck(
            lambda x, s: F.gaussian_blur(x, s, kernel_size=(3, 5)), (images, middle.requires_grad_())
        )
    else:
        assert torch.autograd.gradcheck(function, (images, middle.requires_grad_()))


@pytest.mark.parametrize("name", [*PAIRS, *PLAIN])
def test_one_channel(name: str) -> None:
    images = example(2, (1, 9, 12))
    out = PLAIN[name][0](images) if name in PLAIN else PAIRS[name][0](images, torch.tensor([0.4, 0.8]) * 0.5)
    assert torch.isfinite(out).all()
    if name in ("saturation", "hue"):
        assert torch.equal(out, images)


@pytest.mark.parametrize("function", [F.adjust_hue, F.adjust_saturation, F.adjust_contrast], ids=lambda f: f.__name__)
def test_five_channels_are_refused_by_name(function: Callable[..., Tensor]) -> None:
    with pytest.raises(ValueError, match=f"{function.__name__}.*got 5"):
        function(torch.zeros(2, 5, 4, 6), 0.5)


def test_functions_take_values_in_the_images_unit() -> None:
    """0..255 for uint8, as in torchvision: threshold, fill, values."""
    images = example(3, (3, 9, 13), torch.uint8)
    thresholds = torch.tensor([90.0, 128.0, 200.0])
    expected = torch.stack([tv.solarize(x, t) for x, t in zip(images, thresholds.tolist(), strict=True)])
    assert torch.equal(F.solarize(images, thresholds), expected)
    dropped = torch.tensor([[True, False, False]]).expand(3, 3)
    assert (F.drop_channels(images, dropped, fill=40)[:, 0] == 40).all()
    out = F.erase(images, torch.tensor([[[1, 2, 3, 4]]] * 3), torch.full((1, 1, 1, 1), 77.0))
    assert torch.equal(out, tv.erase(images, 1, 2, 3, 4, torch.tensor([[[77]]], dtype=torch.uint8)))
    floats = images.float() / 255
    out = F.normalize(floats, ga.IMAGENET_MEAN, ga.IMAGENET_STD)
    assert (out - tv.normalize(floats, list(ga.IMAGENET_MEAN), list(ga.IMAGENET_STD))).abs().max() < 1e-5


def test_posterize_draws_whole_bits_equally() -> None:
    layer = ga.RandomPosterize((2, 6), p=1.0)
    layer.reseed(0)
    bits = layer.sample(torch.zeros(4000, 1, 2, 3))["RandomPosterize"].bits
    values, counts = bits.unique(return_counts=True)
    assert values.tolist() == [2, 3, 4, 5, 6]
    assert (counts - 800).abs().max() < 5 * (800 * 0.8) ** 0.5


def test_a_container_limited_to_bands_sees_only_those() -> None:
    images = example(6, (5, 9, 13))
    layer = ga.SelectiveChannelTransform(ga.RandomChannelPermutation(), channels=(4, 1))
    layer.reseed(1)
    out = layer(images)
    for c in (0, 2, 3):
        assert torch.equal(out[:, c], images[:, c])
    kept, swapped = ((out[:, 4] == images[:, c]).flatten(1).all(1) for c in (4, 1))
    assert (kept ^ swapped).all() and kept.any() and swapped.any()
