"""Labels of mixed samples: found in whatever holds them, exact, and put back."""

from __future__ import annotations

from collections import namedtuple
from typing import Any

import pytest
import torch
from torch import Tensor
from torchvision import tv_tensors

import gpuaug as ga
from gpuaug.functional import mix_labels, soft_labels
from gpuaug.testing import example

B, H, W = 5, 10, 16
IMAGES = example(B, (3, H, W))
LABELS = torch.tensor([3, 0, 2, 2, 1])


def mix(**options: Any) -> ga.Compose:
    return ga.Compose([ga.MixUp(**options)], seed=1)


def expected(labels: Tensor, **options: Any) -> Tensor:
    """Soft labels by the shares that are drawn, in float64."""
    drawn = mix(**options).sample(IMAGES)["MixUp"]
    own = torch.eye(4, dtype=torch.float64)[labels]
    lam = drawn.lam.double()[:, None]
    return (own * lam + own[drawn.partner] * (1 - lam)).float()


Pair = namedtuple("Pair", ["images", "labels"])
STRUCTURES: dict[str, tuple[tuple[Any, ...], Any, Any]] = {
    "two inputs": ((IMAGES, LABELS), "default", lambda out: out[1]),
    "tuple": (((IMAGES, LABELS),), "default", lambda out: out[1]),
    "list": (([IMAGES, LABELS],), "default", lambda out: out[1]),
    "label": (({"image": IMAGES, "label": LABELS},), "default", lambda out: out["label"]),
    "labels": (({"image": IMAGES, "labels": LABELS, "id": "x"},), "default", lambda out: out["labels"]),
    "class_label": (({"image": IMAGES, "Class_Label": LABELS},), "default", lambda out: out["Class_Label"]),
    "beside objects": (
        ({"image": IMAGES, "boxes": torch.ones(B, 2, 4), "labels": torch.ones(B, 2), "label": LABELS},),
        "default",
        lambda out: out["label"],
    ),
    "getter": (({"image": IMAGES, "y": LABELS},), lambda d: d["y"], lambda out: out["y"]),
    "third": ((IMAGES, 7, LABELS), lambda inputs: inputs[2], lambda out: out[2]),
    "tv_tensors": ((tv_tensors.Image(IMAGES), LABELS), "default", lambda out: out[1]),
    "nested tv_tensors": (
        ((tv_tensors.Image(IMAGES), {"cls": LABELS, "name": "a"}),),
        lambda pair: pair[1]["cls"],
        lambda out: out[1]["cls"],
    ),
}


@pytest.mark.parametrize("name", list(STRUCTURES))
def test_labels_are_found_and_replaced(name: str) -> None:
    inputs, getter, read = STRUCTURES[name]
    out = mix(num_classes=4, labels_getter=getter)(*inputs)
    torch.testing.assert_close(read(out), expected(LABELS), atol=1e-6, rtol=0)
    assert type(out) is type(inputs[0] if len(inputs) == 1 else inputs)
    evaluated = mix(num_classes=4, labels_getter=getter).eval()(*inputs)
    assert read(evaluated) is LABELS  # nothing is mixed, and labels stay numbers


def test_no_labels() -> None:
    assert isinstance(mix(num_classes=4)(IMAGES), Tensor)
    out = mix(num_classes=4, labels_getter=None)(IMAGES, LABELS)
    assert out[1] is LABELS
    boxes = {"image": IMAGES, "boxes": torch.ones(B, 2, 4), "labels": torch.arange(10).view(B, 2)}
    assert mix()(boxes)["labels"].shape == (B, 4)  # those of the objects, of both samples
    images = list(IMAGES)  # a list of images is no pair of images and labels
    assert ga.Compose([ga.Resize((8, 9)), ga.MixUp(num_classes=4)])(images).shape == (B, 3, 8, 9)


@pytest.mark.parametrize(
    "dtype", [torch.uint8, torch.int8, torch.int16, torch.uint16, torch.int32, torch.int64], ids=str
)
def test_any_integers(dtype: torch.dtype) -> None:
    out = mix(num_classes=4)(IMAGES, LABELS.to(dtype))[1]
    torch.testing.assert_close(out, expected(LABELS), atol=1e-6, rtol=0)
    own, other, lam = mix(return_pairs=True)(IMAGES, LABELS.to(dtype))[1]
    drawn = mix().sample(IMAGES)["MixUp"]
    assert own.dtype == other.dtype == dtype and torch.equal(own.long(), LABELS)
    assert torch.equal(other.long(), LABELS[drawn.partner]) and torch.equal(lam, drawn.lam)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_a_hundred_thousand_classes_beside_half_precision(dtype: torch.dtype) -> None:
    """Regressions 24: 999 stays 999, and 99,998 stays itself, whatever the images are."""
    labels = torch.tensor([999, 99_998, 65_537, 2_049, 0])
    out, soft = mix(num_classes=100_000)(IMAGES.to(dtype), labels)
    drawn = mix().sample(IMAGES)["MixUp"]
    assert out.dtype == dtype and soft.shape == (B, 100_000)
    found = [set(row.nonzero().flatten().tolist()) for row in soft]
    assert found == [{int(a), int(b)} for a, b in zip(labels, labels[drawn.partner], strict=True)]
    torch.testing.assert_close(soft[torch.arange(B), labels], drawn.lam)
    assert (soft.sum(1) - 1).abs().max() <= 1e-6
    values = torch.rand(B, 7, dtype=torch.float64).softmax(1)
    soft = mix()(IMAGES.to(dtype), values.to(dtype))[1]
    exact = values.to(dtype).double()
    exact = exact * drawn.lam.double()[:, None] + exact[drawn.partner] * (1 - drawn.lam.double()[:, None])
    assert soft.dtype == dtype and (soft.double() - exact).abs().max() <= torch.finfo(dtype).eps / 2


def test_the_share_of_labels_is_that_of_pixels() -> None:
    """Regressions 24: the share regressed from the pixels is that of the labels."""
    images = torch.zeros(6, 1, 20, 30)
    images[::2] = 1.0
    for make in (ga.MixUp, ga.CutMix, ga.ResizeMix):
        layer = make(num_classes=2, pairing="roll")
        layer.reseed(3)
        out, soft = layer(images, torch.arange(1, 7) % 2)
        torch.testing.assert_close(out.mean((1, 2, 3)), soft[:, 1], atol=1e-5, rtol=0)


def test_labels_follow_the_pixels_through_several_mixes() -> None:
    """Images of one class each, in a channel of its own: what is seen of a class is its label."""
    classes = torch.arange(8) % 4
    images = torch.eye(4, dtype=torch.float64)[classes][..., None, None].expand(8, 4, 18, 26)
    for seed, last in enumerate((ga.CutMix, ga.ResizeMix, ga.MixUp)):  # what is not even any more comes last
        blends = [ga.MixUp(num_classes=4, p=0.6), ga.RandomApply([ga.MixUp(num_classes=4)])]
        augment = ga.Compose([*blends, last(num_classes=4, p=0.8)], seed=seed)
        out, soft = augment(images, classes)
        torch.testing.assert_close(out.mean((2, 3)).float(), soft, atol=1e-5, rtol=0)
        assert ((soft > 1e-3).sum(1) > 2).any()


def test_rows_sum_to_one_after_several_mixes() -> None:
    """Smoothing is done once, by the first one's amount."""
    augment = ga.Compose(
        [ga.MixUp(num_classes=4, label_smoothing=0.1), ga.CutMix(num_classes=4, label_smoothing=0.1, p=0.5)], seed=2
    )
    out = augment(IMAGES, LABELS)[1]
    torch.testing.assert_close(out.sum(1), torch.ones(B))
    plain = ga.Compose([ga.MixUp(num_classes=4), ga.CutMix(num_classes=4, p=0.5)], seed=2)(IMAGES, LABELS)[1]
    torch.testing.assert_close(out, plain * 0.9 + 0.025)


def test_labels_that_are_independent() -> None:
    many = torch.tensor([[1, 0, 1], [0, 0, 0], [1, 1, 1], [0, 1, 0], [0, 0, 1]])
    drawn = mix().sample(IMAGES)["MixUp"]
    lam = drawn.lam[:, None]
    for given in (many, many.bool(), many.float()):
        out = mix(multi_label=True, label_smoothing=0.2)(IMAGES, given)[1]
        smooth = many * 0.8 + 0.1
        torch.testing.assert_close(out, smooth * lam + smooth[drawn.partner] * (1 - lam))


def test_one_sample_and_clips() -> None:
    image, label = mix(num_classes=4)(IMAGES[0], torch.tensor(2))
    assert torch.equal(image, IMAGES[0]) and label.tolist() == [0, 0, 1, 0]
    assert mix()(IMAGES[0], torch.tensor([0.25, 0.75]))[1].tolist() == [0.25, 0.75]
    assert [v.tolist() for v in mix(return_pairs=True)(IMAGES[0], torch.tensor(2))[1]] == [2, 2, 1.0]
    clips = IMAGES[:, None].expand(B, 3, 3, H, W)
    torch.testing.assert_close(mix(num_classes=4)(clips, LABELS)[1], expected(LABELS), atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("options", "labels", "error", "message"),
    [
        ({}, LABELS, ValueError, "MixUp: num_classes must be given for labels that are numbers of classes, got None"),
        ({"num_classes": 3}, torch.rand(B, 4), ValueError, "MixUp: num_classes must be 4, as the labels have, got 3"),
        ({"multi_label": True, "num_classes": 4}, LABELS, ValueError, "MixUp: multi_label needs labels"),
        ({"num_classes": 4}, LABELS[:3], ValueError, r"labels must be integers \(5,\) or numbers \(5, classes\)"),
        ({"num_classes": 4}, torch.rand(B), ValueError, "labels must be integers"),
        ({"num_classes": 4}, torch.zeros(B, H, W), ValueError, "labels_getter says where they are"),
        ({"num_classes": 4, "labels_getter": lambda d: d[1] + 0}, LABELS, ValueError, "return a tensor of what it is"),
        ({"num_classes": 4, "labels_getter": lambda d: 3}, LABELS, TypeError, "labels must be a tensor, got int"),
    ],
)
def test_refusals(options: dict[str, Any], labels: Tensor, error: type[Exception], message: str) -> None:
    """At the door: nothing has been rendered."""
    with pytest.raises(error, match=message):
        mix(**options)(IMAGES, labels)


def test_pairs_of_one_mix_only() -> None:
    with pytest.raises(ValueError, match="return_pairs names two samples"):
        ga.Compose([ga.MixUp(return_pairs=True), ga.CutMix(num_classes=4)])(IMAGES, LABELS)
    with pytest.raises(TypeError, match="labels_getter must be 'default', a function or None, got 'y'"):
        ga.MixUp(labels_getter="y")


def test_functions() -> None:
    soft = soft_labels(LABELS, 4, 0.1)
    torch.testing.assert_close(soft, torch.eye(4)[LABELS] * 0.9 + 0.025)
    assert torch.equal(soft_labels(torch.tensor([-1, 9, 1]), 2), torch.tensor([[0.0, 0], [0, 0], [0, 1]]))
    assert torch.equal(mix_labels(soft, torch.arange(B).flip(0), torch.ones(B)), soft)
    with pytest.raises(ValueError, match="soft_labels: num_classes must be given"):
        soft_labels(LABELS)


def test_switched_off_between_calls() -> None:
    """As timm's mixup_enabled: images as they are, labels in the same form."""
    augment = ga.Compose([ga.MixUp(num_classes=4, label_smoothing=0.2), ga.CutMix(num_classes=4)], seed=0)
    images, labels = example(4, (3, 9, 12)), torch.arange(4)
    data = {"image": images, "label": labels, "boxes": torch.ones(4, 2, 4)}
    for mix in augment:
        mix.enabled = False
    out, params = augment(data, return_params=True)
    assert out["image"] is images and out["boxes"].shape == (4, 2, 4)
    torch.testing.assert_close(out["label"], torch.eye(4) * 0.8 + 0.05)
    assert "unchanged" in repr(params) or "MixUp()" in repr(params)
    augment[1].enabled = True
    assert augment(data)["boxes"].shape == (4, 4, 4)


def test_what_can_be_switched_off() -> None:
    """A container switches what mixes in it; what does not mix says what to do instead."""
    images, labels = example(4, (3, 9, 12)), torch.arange(4)
    choice = ga.RandomChoice([ga.MixUp(num_classes=4), ga.CutMix(num_classes=4)])
    augment = ga.Compose([ga.RandomInvert(0.0), choice], seed=0)
    for layer in (choice, augment):
        layer.enabled = False
        assert not layer.enabled and torch.equal(augment(images, labels)[0], images)
        layer.enabled = True
        assert layer.enabled and not torch.equal(augment(images, labels)[0], images)
    for made in (ga.RandomInvert(), ga.Compose([ga.RandomInvert()])):
        with pytest.raises(AttributeError, match="enabled can be set where samples meet"):
            made.enabled = False
