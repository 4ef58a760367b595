"""Everything wrong is refused, at construction or at the door, naming class, argument, rule and value."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torchvision import tv_tensors

import gpuaug as ga

X = torch.zeros(2, 3, 23, 17)

CONSTRUCTORS: list[tuple[Any, type[Exception], str]] = [
    (lambda: ga.RandomHorizontalFlip(p=1.5), ValueError, "RandomHorizontalFlip: p must be between 0 and 1, got 1.5"),
    (lambda: ga.RandomVerticalFlip(p="yes"), TypeError, "RandomVerticalFlip: p must be a number.*'yes'"),
    (lambda: ga.RandomTranspose(p=-0.1), ValueError, "RandomTranspose: p must be between"),
    (lambda: ga.RandomRotate90(p=True), TypeError, "RandomRotate90: p must be a number.*True"),
    (lambda: ga.RandomRotation((30, 10)), ValueError, r"RandomRotation: degrees .*\(30, 10\)"),
    (lambda: ga.RandomRotation(-5), ValueError, "RandomRotation: degrees .*-5"),
    (lambda: ga.RandomRotation(5, expand=True, p=0.5), ValueError, "RandomRotation: expand .* p=1, got p=0.5"),
    (lambda: ga.RandomRotation(5, center=(1,)), ValueError, r"RandomRotation: center must be \(x, y\)"),
    (lambda: ga.RandomRotation(5, interpolation="lanczos"), ValueError, "RandomRotation: interpolation .*'lanczos'"),
    (lambda: ga.RandomRotation(5, fill="red"), TypeError, "RandomRotation: fill must be a number.*'red'"),
    (lambda: ga.RandomAffine(5, translate=(0.1, 1.2)), ValueError, r"RandomAffine: translate .*\(0.1, 1.2\)"),
    (lambda: ga.RandomAffine(5, scale=(0.0, 1.0)), ValueError, "RandomAffine: scale "),
    (lambda: ga.RandomAffine(5, shear=95), ValueError, "RandomAffine: shear "),
    (lambda: ga.RandomPerspective(1.5), ValueError, "RandomPerspective: distortion_scale .*1.5"),
    (lambda: ga.RandomPerspective("big"), TypeError, "RandomPerspective: distortion_scale .*'big'"),
    (lambda: ga.Pad(-1), ValueError, "Pad: padding must not be negative, got -1"),
    (lambda: ga.Pad((1, 2, 3)), TypeError, r"Pad: padding .*\(1, 2, 3\)"),
    (lambda: ga.RandomCrop(0), ValueError, "RandomCrop: size must be at least 1, got 0"),
    (lambda: ga.RandomCrop((3, 4, 5)), TypeError, r"RandomCrop: size .*\(3, 4, 5\)"),
    (lambda: ga.CenterCrop(3.5), TypeError, "CenterCrop: size .*3.5"),
    (lambda: ga.Resize("small"), TypeError, "Resize: size .*'small'"),
    (lambda: ga.RandomResizedCrop(8, scale=(0.9, 0.1)), ValueError, r"RandomResizedCrop: scale .*\(0.9, 0.1\)"),
    (lambda: ga.RandomResizedCrop(8, ratio=(0.0, 1.0)), ValueError, "RandomResizedCrop: ratio "),
    (lambda: ga.LetterBox((0, 5)), ValueError, r"LetterBox: size must be at least 1, got \(0, 5\)"),
    (lambda: ga.ColorJitter(-0.1), ValueError, "ColorJitter: brightness must not be negative, got -0.1"),
    (lambda: ga.ColorJitter(hue=0.6), ValueError, "ColorJitter: hue "),
    (lambda: ga.ColorJitter(contrast=(2, 1)), ValueError, r"ColorJitter: contrast .*\(2, 1\)"),
    (lambda: ga.Grayscale(2), ValueError, "Grayscale: num_output_channels must be 1 or 3, got 2"),
    (lambda: ga.RandomGamma((0, 10)), ValueError, "RandomGamma: "),
    (lambda: ga.RandomSolarize("x"), (TypeError, ValueError), "RandomSolarize: threshold "),
    (lambda: ga.RandomPosterize(9), ValueError, "RandomPosterize: bits .*9"),
    (lambda: ga.GaussianBlur(4), ValueError, "GaussianBlur: kernel_size .*4"),
    (lambda: ga.GaussianBlur(5, (0, 1)), ValueError, "GaussianBlur: sigma "),
    (lambda: ga.GaussianNoise(sigma=-1), ValueError, "GaussianNoise: sigma .*-1"),
    (lambda: ga.RandomErasing(scale=(0.5, 0.1)), ValueError, "RandomErasing: scale "),
    (lambda: ga.RandomErasing(value="blue"), (TypeError, ValueError), "RandomErasing: value .*'blue'"),
    (lambda: ga.RandomErasing(min_count=3, max_count=1), ValueError, "RandomErasing: "),
    (lambda: ga.GridDropout(1.5), ValueError, "GridDropout: ratio .*1.5"),
    (lambda: ga.Normalize((0.5,), (0.5, 0.5)), ValueError, "Normalize: mean and std "),
    (lambda: ga.Normalize(0.5, 0.5), ValueError, "Normalize: mean and std must have one number for each channel"),
    (lambda: ga.Normalize((0.5,), (0.0,)), ValueError, "Normalize: std must be positive"),
    (lambda: ga.Normalize((0.5,), (0.5,), dtype=torch.uint8), (TypeError, ValueError), "Normalize: dtype .*uint8"),
    (lambda: ga.Normalize(normalization="batch"), ValueError, "Normalize: normalization .*'batch'"),
    (lambda: ga.ToDtype(torch.int32), ValueError, "ToDtype: dtype .*int32"),
    (lambda: ga.RandomApply(ga.RandomInvert()), TypeError, "RandomApply: transforms must be a list.*RandomInvert"),
    (lambda: ga.RandomApply([ga.Resize(5)], p=0.5), ValueError, "RandomApply: .*got Resize"),
    (lambda: ga.RandomApply([ga.RandomInvert()], p=2), ValueError, "RandomApply: p must be between 0 and 1, got 2"),
    (lambda: ga.SelectiveChannelTransform(ga.RandomRotation(5)), TypeError, "SelectiveChannelTransform: .*RandomRotat"),
    (lambda: ga.Compose([torch.nn.ReLU()]), TypeError, r"Compose: transforms\[0\] must be a gpuaug.*got ReLU"),
    (
        lambda: ga.Compose([ga.Normalize((0.5,), (0.5,)), ga.ColorJitter(0.4)]),
        ValueError,
        "Compose: ColorJitter .* may not follow Normalize, got it at place 1",
    ),
    (
        lambda: ga.Compose([ga.Normalize((0.5,), (0.5,)), ga.RandomApply([ga.GaussianBlur(3)])]),
        ValueError,
        "GaussianBlur .* may not follow Normalize",
    ),
    (lambda: ga.Compose([ga.Normalize((0.5,), (0.5,)), ga.ToDtype(torch.uint8)]), ValueError, "ToDtype .* Normalize"),
    (lambda: ga.ColorJitter(0.4, channels=(0, 0, 1)), ValueError, r"ColorJitter: channels must be different bands"),
    (lambda: ga.GaussianBlur(5, ga.Normal(1, 0.5)), ValueError, "GaussianBlur: sigma .*TruncatedNormal has bounds"),
    (lambda: ga.Compose([], interpolation="area"), ValueError, "Compose: interpolation .*'area'"),
]


@pytest.mark.parametrize(("build", "kind", "message"), CONSTRUCTORS, ids=[m[:40] for _, _, m in CONSTRUCTORS])
def test_wrong_arguments_are_refused_at_construction(build: Any, kind: Any, message: str) -> None:
    with pytest.raises(kind, match=message):
        build()


DOOR: list[tuple[Any, type[Exception], str]] = [
    (np.zeros((2, 3, 4, 5)), TypeError, r"Compose: images must be a tensor \(B, C, H, W\), got ndarray"),
    ((X[0], X[1]), TypeError, "Compose: images must be a tensor .* or a list of tensors .*tuple of 2 tensors"),
    ([], ValueError, "Compose: a list of images must hold at least one"),
    ([X[0], X[0, :1]], ValueError, "Ragged: images must have one number of channels.* got 1, .* after 3, "),
    ([X[0], X[0].double()], ValueError, "Ragged: .*got 3, torch.float64"),
    (X.long(), TypeError, "Compose: images must have one of the dtypes uint8.*got torch.int64"),
    (X[0, 0], ValueError, r"images must have shape \(B, C, H, W\), .* or \(B, T, C, H, W\), got \(23, 17\)"),
    (torch.zeros(5, 23, 17), ValueError, r"a 3-D tensor is one image .* \(B, 1, H, W\).*got shape \(5, 23, 17\)"),
    (torch.zeros(2, 0, 23, 17), ValueError, "at least one channel, row and column"),
    (torch.zeros(2, 3, 0, 17), ValueError, "at least one channel, row and column"),
]


@pytest.mark.parametrize(("images", "kind", "message"), DOOR, ids=[m[:60] for _, _, m in DOOR])
def test_wrong_images_are_refused_at_the_door(images: Any, kind: Any, message: str) -> None:
    layer = ga.Compose([ga.RandomHorizontalFlip()], seed=0)
    with pytest.raises(kind, match=message):
        layer(images)
    layer(X)
    reference = ga.Compose([ga.RandomHorizontalFlip()], seed=0)
    assert torch.equal(layer._state, (reference(X), reference._state)[1]), "a refused call moved the clock"


FIT: list[tuple[Any, Any, str]] = [
    (ga.RandomCrop(30), X, "RandomCrop: .*30.*23"),
    (ga.GaussianBlur(47), X, "GaussianBlur: images must be larger than half the kernel"),
    (ga.RandomRotation(5, fill=(0.1, 0.2)), X, "RandomRotation: fill must be one number or 3 numbers"),
    (ga.ColorJitter(saturation=0.4), torch.zeros(2, 5, 9, 8), "ColorJitter: .*1 or 3 channels.*channels=.*got 5"),
    (ga.ColorJitter(hue=0.1, channels=(2, 1)), torch.zeros(2, 5, 9, 8), "ColorJitter: images must have 1 or 3.*got 2"),
    (
        ga.ColorJitter(0.1, channels=(2, 1, 7)),
        torch.zeros(2, 5, 9, 8),
        r"ColorJitter: channels .*below 5.*7",
    ),
    (ga.Normalize((0.5, 0.5), (0.5, 0.5)), X, "Normalize: images must have 2 channels, as mean and std, got 3"),
    (ga.RandomRotate90(p=0.5), X, "RandomRotate90: .*square"),
    (ga.RandomTranspose(p=0.5), X, "RandomTranspose: .*square"),
]


@pytest.mark.parametrize(("layer", "images", "message"), FIT, ids=[m[:40] for _, _, m in FIT])
def test_images_that_do_not_fit_a_transform_are_refused(layer: Any, images: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        layer(images)


def test_params_of_other_images_are_refused() -> None:
    layer = ga.Compose([ga.RandomCrop(8)], seed=0)
    params = layer.sample(X)
    with pytest.raises(ValueError, match=r"Compose: params were drawn for 2 samples of \(23, 17\), got 1 samples"):
        layer.replay(X[:1], params)
    with pytest.raises(ValueError, match=r"got 2 samples of \(17, 23\)"):
        layer.replay(X.transpose(2, 3), params)
    with pytest.raises(TypeError, match="Compose: replay takes the batch and then Params, got Tensor last"):
        layer.replay(X)


def test_ids_and_states_of_other_types_are_refused() -> None:
    layer = ga.Compose([ga.RandomCrop(8)], seed=0)
    with pytest.raises(TypeError, match=r"Compose: ids must be an integer tensor \(B,\), got list"):
        layer(X, ids=[0, 1])
    with pytest.raises(TypeError, match=r"Compose: images must be a tensor .* got nothing"):
        layer.explain()
    for state in (torch.tensor([1, 2]), torch.tensor([1.0, 2.0, 3.0]), "7"):
        with pytest.raises(ValueError, match=r"Compose: the saved state must be int64 \(seed, step, epoch\), got"):
            layer.load_state_dict({"_extra_state": state})


def test_what_looks_like_a_mask_and_stays_is_warned_of(recwarn: pytest.WarningsRecorder) -> None:
    turn, planes = ga.Compose([ga.RandomRotation(20)], seed=0), X[:, 0]
    with pytest.warns(UserWarning, match=r"Compose: input 2 \(2, 23, 17\) has the height.* comes back as it is.*dict"):
        assert turn(X, planes)[1] is planes
    with pytest.warns(UserWarning, match=r"the key 'depht' \(2, 1, 23, 17\) .*roles=\{'depht': 'mask'\}"):
        turn({"image": X, "depht": X[:, :1]})
    with pytest.warns(UserWarning, match=r"input 2 \(23, 17\)"):
        turn(X[0], planes[0])
    with pytest.warns(UserWarning, match=r"input 3 \(2, 3, 23, 17\)"):
        turn(X[:, None].expand(-1, 3, -1, -1, -1), torch.zeros(2), planes[:, None].expand(-1, 3, -1, -1))
    recwarn.clear()
    turn(X, torch.zeros(2, 10))  # soft labels
    turn({"image": X, "mask": planes, "label": torch.zeros(2), "boxes": torch.zeros(2, 5, 4)})
    ga.ColorJitter(0.4)(X, planes)  # nothing moves
    ga.Compose([ga.RandomRotation(20)], roles={"depth": "dense"})({"image": X, "depth": X[:, :1]})
    turn(tv_tensors.Image(X[0]), tv_tensors.Mask(planes[0]), planes[0])
    assert not [w for w in recwarn if "height" in str(w.message)]


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (({"image": X, "bboxes": torch.zeros(2, 1, 4)},), "the key 'bboxes' comes back .* called 'boxes' here"),
        (({"image": X, "kpts": torch.zeros(2, 1, 2)},), "the key 'kpts' comes back .* called 'keypoints' here"),
        ((X, {"boxes": torch.zeros(2, 1, 4)}), "'boxes' in input 2 comes back .* give one dict"),
        (((X, {"boxes": torch.zeros(2, 1, 4)}),), "'boxes' in input 2 comes back .* give one dict"),
        ((X, [{"boxes": torch.zeros(1, 4)}, {"boxes": torch.zeros(1, 4)}]), "'boxes' in input 2 comes back .*lists"),
        ((X[0], {"masks": torch.zeros(1, 23, 17)}), "'masks' in input 2 comes back"),
    ],
    ids=["bboxes", "kpts", "a dict beside", "in one argument", "targets beside a tensor", "one image"],
)
def test_annotations_that_nothing_moves_are_warned_of(inputs: Any, message: str) -> None:
    with pytest.warns(UserWarning, match=message):
        ga.Compose([ga.RandomHorizontalFlip(1.0)], seed=0)(*inputs)
