"""Ranges and probabilities by class, and a strength for each sample."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from cases import CASES, Case
from kernels import images
from test_capture import Tape, recorded  # noqa: F401  # a fixture, used by its name
from torch import Tensor

import gpuaug as ga
from gpuaug.testing import annotated, example

N = 300
X = torch.zeros(N, 3, 6, 9)
LABELS = torch.arange(N) % 10


def digits() -> ga.Compose:
    """Sixes and nines may not be turned over; one camera takes no negatives; the rest follows a schedule."""
    return ga.Compose(
        [
            ga.RandomRotation(
                degrees=ga.PerClass({6: (-15, 15), 9: (ga.Linear(0, -5, 4), 5), 1: 0}, default=(-180, 180)), fill=0.5
            ),
            ga.RandomInvert(p=ga.PerClass({2: 0.0, -7: 1.0}, default=0.5, key="camera")),
            ga.GaussianNoise(0.0, 0.1),
        ],
        seed=2,
    )


def test_each_class_has_its_range() -> None:
    """The angle is that of a layer with the class's range for all."""
    layer = digits()
    cameras = torch.tensor([2, -7, 5]).repeat(N // 3)
    batch = {"image": X, "label": LABELS, "camera": cameras}
    for epoch, least in ((0, 0.0), (4, -5.0)):
        layer.set_epoch(epoch)
        params = layer.sample(batch)
        angle, gate = params["RandomRotation"].angle, params["RandomInvert"].gate
        for label, bounds in ((6, (-15, 15)), (9, (least, 5.0)), (1, (0.0, 0.0)), (3, (-180, 180))):
            mine = LABELS == label
            same = ga.Compose([ga.RandomRotation(bounds)], seed=2).sample(X)["RandomRotation"].angle
            assert torch.equal(angle[mine], same[mine])
        assert not gate[cameras == 2].any() and gate[cameras == -7].all() and 25 < int(gate[cameras == 5].sum()) < 75


def test_labels_are_found_where_a_batch_has_them() -> None:
    layer = ga.Compose([ga.RandomRotation(ga.PerClass({1: (2, 3)}, default=0))], seed=2)
    x, labels = X[:4], torch.tensor([1, 0, 5, 1])
    expected = layer.sample({"image": x, "label": labels})["RandomRotation"].angle
    assert (expected[[0, 3]] >= 2).all() and not expected[[1, 2]].any()
    for given in ((x, labels), ((x, labels),), ({"image": x, "labels": labels.to(torch.int32)},)):
        assert torch.equal(layer.sample(*given)["RandomRotation"].angle, expected)
    assert layer.sample({"image": x[0], "label": labels[0]})["RandomRotation"].angle.shape == (1,)
    images, same = layer(x, labels)
    assert images.shape == x.shape and same is labels
    assert "RandomRotation" in layer.explain(x)


def test_keys_are_found_in_targets_and_in_what_follows_the_images() -> None:
    layer = ga.Compose([ga.RandomRotation(ga.PerClass({1: (2, 3)}, default=0, key="camera"))], seed=2)
    x, cameras = X[:3], torch.tensor([1, 0, 1])
    expected = layer.sample({"image": x, "camera": cameras})["RandomRotation"].angle
    assert (expected[[0, 2]] >= 2).all() and not expected[1].any()
    boxes = torch.tensor([[1.0, 1.0, 4.0, 5.0]])
    for form in (int, lambda v: v, lambda v: v[None]):  # as data sets give an image_id
        targets = [{"boxes": boxes, "labels": torch.ones(1).long(), "camera": form(camera)} for camera in cameras]
        for given in ((list(x), targets), (list(x), tuple(targets)), ((list(x), targets),)):
            assert torch.equal(layer.sample(*given)["RandomRotation"].angle, expected)
        kept = layer.eval()(list(x), targets)[1]
        layer.train()
        assert all(int(target["camera"]) == int(given["camera"]) for target, given in zip(kept, targets, strict=True))
    assert torch.equal(layer.sample(x, {"camera": cameras})["RandomRotation"].angle, expected)
    one = layer.sample(x[0], {"boxes": boxes, "camera": 1})["RandomRotation"].angle
    assert one.shape == (1,) and one >= 2
    for camera in (True, 0.5, torch.tensor([1, 2])):
        targets = [{**target, "camera": camera} for target in targets]
        with pytest.raises((TypeError, ValueError), match="camera"):
            layer.sample(list(x), targets)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ((X,), ValueError, "Compose: PerClass needs the key 'camera' of the batch, got no dict"),
        (({"image": X, "camera": LABELS},), ValueError, "needs the key 'label' of the batch, got image, camera"),
        (({"image": X, "label": LABELS, "labels": LABELS},), ValueError, "needs the key 'camera' of the batch, got im"),
        (({"image": X, "label": LABELS[:3], "camera": LABELS},), ValueError, r"label must be an integer tensor \(300,"),
        (({"image": X, "label": LABELS > 1, "camera": LABELS},), ValueError, r"label must be .* got torch.bool"),
        (({"image": X, "label": LABELS * 0.5, "camera": LABELS},), ValueError, r"label must be .* got torch.float32"),
        (({"image": X, "label": [1, 2], "camera": LABELS},), TypeError, "label must be an integer tensor .* got list"),
    ],
)
def test_missing_and_wrong_keys(given: tuple[Any, ...], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        digits()(*given)
    digits().eval()(X)  # which draws nothing


def test_what_follows_the_images_is_the_key_labels_too() -> None:
    for key in ("label", "labels"):
        layer = ga.RandomRotation(ga.PerClass({1: 7}, default=0, key=key))
        assert torch.equal(layer.sample(X, LABELS)["RandomRotation"].angle.bool(), LABELS == 1), key
    with pytest.raises(ValueError, match="needs the key 'camera' of the batch"):
        ga.RandomRotation(ga.PerClass({1: 7}, default=0, key="camera")).sample(X, LABELS)


def test_wrong_classes_are_refused() -> None:
    with pytest.raises(TypeError, match="PerClass: values must have integers as classes, got 'six'"):
        ga.PerClass({"six": 1}, default=0)  # type: ignore[dict-item]
    with pytest.raises(ValueError, match="RandomRotation: degrees must have one law"):
        ga.RandomRotation(ga.PerClass({1: ga.Normal(0, 1)}, default=(0, 3)))
    with pytest.raises(ValueError, match=r"RandomGamma: gamma_range must be within"):
        ga.RandomGamma(ga.PerClass({1: (-5, 3)}, default=(90, 110)))
    with pytest.raises(ValueError, match="RandomInvert: p must be between 0 and 1"):
        ga.RandomInvert(ga.PerClass({1: 2}, default=0.5))
    with pytest.raises(TypeError, match=r"PerClass: values must be numbers here, got \(0, 1\)"):
        ga.RandomInvert(ga.PerClass({1: (0, 1)}, default=0.5))
    with pytest.raises(ValueError, match="PerClass must have one key within a range"):
        ga.Uniform(ga.PerClass({1: 0}, 0, key="a"), ga.PerClass({1: 2}, 3, key="b"))


def test_classes_are_written_compiled_and_captured(recorded: list[Tape]) -> None:  # noqa: F811
    torch._dynamo.reset()
    layer, eager = digits(), ga.from_dict(json.loads(json.dumps(ga.to_dict(digits()))))
    assert ga.fingerprint(layer) == ga.fingerprint(eager)
    x = images((3, 11, 15), torch.float32)
    labels = torch.tensor([6, 1, 9])

    def batch(k: int) -> dict[str, Tensor]:
        return {"image": x, "label": labels.roll(k), "camera": labels.roll(2 * k) - 7}

    captured = layer.capture(batch(0))
    for epoch in range(3):
        layer.set_epoch(epoch), eager.set_epoch(epoch)
        assert torch.equal(captured(batch(epoch))["image"], eager(batch(epoch))["image"])
    assert len(recorded) == 1
    layer, eager = digits(), digits()
    compiled = torch.compile(layer, fullgraph=True, backend="eager")
    for epoch in range(3):
        layer.set_epoch(epoch), eager.set_epoch(epoch)
        with torch._dynamo.config.patch(error_on_recompile=epoch > 0):
            out = compiled(batch(epoch))
        assert torch.allclose(out["image"], eager(batch(epoch))["image"], atol=1e-5)
    torch._dynamo.reset()


# -- strength


def test_strength_scales_each_range_towards_its_neutral_value() -> None:
    strength = torch.linspace(0, 1, N)
    layer = ga.Compose(
        [
            ga.RandomAffine((10, 20), (0.2, 0.2), (1.5, 2.0), 9.0),
            ga.RandomGamma((200, 300), p=0.5),
            ga.RandomRotation(ga.PerClass({1: (50, 60)}, default=(1, 2))),
            ga.RandomPerspective(0.5, p=1.0),
        ],
        seed=3,
    )
    given = {"image": X, "label": LABELS}
    full, scaled = layer.sample(given), layer.sample(given, strength=strength)
    for name, param, neutral, unit in (
        ("RandomAffine", "angle", 0.0, 1.0),
        ("RandomAffine", "scale", 1.0, 1.0),
        ("RandomAffine", "shear_x", 0.0, 1.0),
        ("RandomGamma", "gamma", 100.0, 100.0),
        ("RandomRotation", "angle", 0.0, 1.0),
    ):
        value, less = (p.values[name][param].double() * unit for p in (full, scaled))
        assert torch.allclose(less, neutral + strength.double() * (value - neutral), atol=1e-4), (name, param)
        assert less[0] == neutral and less[-1] == value[-1] and not torch.equal(value, less)
    assert torch.equal(full["RandomGamma"].gate, scaled["RandomGamma"].gate)
    assert torch.allclose(scaled["RandomPerspective"].matrix[0], torch.eye(3, dtype=torch.float64), atol=1e-6)
    assert torch.equal(layer.sample(given, strength=1.0)["RandomAffine"].matrix, full["RandomAffine"].matrix)


def test_whole_numbers_stay_whole() -> None:
    layer = ga.RandomRotation(ga.Integers(2, 9))
    layer.reseed(1)
    full, less = (layer.sample(X, strength=s)["RandomRotation"].angle for s in (1.0, 0.35))
    assert torch.equal(less, torch.round(0.35 * full)) and set(less.tolist()) == {1.0, 2.0, 3.0}


def test_strength_scales_the_probability_of_what_has_no_neutral_value() -> None:
    x = torch.zeros(6000, 1, 3, 4)
    layer = ga.Compose(
        [
            ga.RandomHorizontalFlip(p=0.5),
            ga.RandomInvert(p=1.0),
            ga.RandomApply([ga.RandomErasing(p=1.0)], p=0.4),
            ga.OneOf([ga.RandomSolarize(0.5), ga.RandomGamma(p=1.0)], p=1.0),
        ],
        seed=3,
    )
    strength = torch.tensor([0.0, 0.3, 1.0]).repeat(2000)
    full, params = layer.sample(x), layer.sample(x, strength=strength)
    for name, p in (("RandomHorizontalFlip", 0.5), ("RandomInvert", 1.0), ("RandomErasing", 0.4)):
        gate = params[name].gate
        for s in (0.0, 0.3, 1.0):
            share = gate[strength == s].double().mean().item()
            assert abs(share - p * s) < 0.045, (name, s)
        whole = full[name].gate if "gate" in full.values[name] else torch.ones(6000, dtype=torch.bool)
        assert torch.equal(gate[strength == 1], whole[strength == 1]) and not (gate & ~whole).any()
    assert torch.equal(full["OneOf"].index, params["OneOf"].index)
    assert not params["RandomSolarize"].gate[strength == 0].any()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_without_strength_nothing_happens(case: Case) -> None:
    """At 0 images are what they are without random transforms, at 1 what they are without a strength."""
    layer = ga.Compose([case.make()], seed=5)
    x = example(4, case.shape)
    given = annotated(x, masks=True) if any(node.transform.sees for node in layer.nodes) else x

    def image(value: Any) -> Tensor:
        out: Tensor = value["image"] if isinstance(value, dict) else value
        return out

    full = image(layer.replay(given, layer.sample(given)))
    assert torch.equal(image(layer.replay(given, layer.sample(given, strength=1.0))), full)
    none = image(layer.replay(given, layer.sample(given, strength=0.0)))
    keeps = none.shape == x.shape and case.name not in (
        "Lambda", "ThreeAugment", "RandomIoUCrop", "Grayscale", "Normalize", "CenterCrop", "LetterBox", "Compose",
        "LinearTransformation",
    )  # fmt: skip
    if keeps:
        assert torch.allclose(none, x, atol=2e-5), (none - x).abs().max()


def test_strength_alone_draws_and_advances(recorded: list[Tape]) -> None:  # noqa: F811
    layer, eager = (ga.Compose([ga.RandomInvert(p=1.0)], seed=4) for _ in range(2))
    x, strength = images((3, 11, 15), torch.float32), torch.tensor([0.1, 0.25, 0.5])
    captured = layer.capture(x, strength=strength)
    outs = []
    for k in range(4):
        outs.append(eager(x, strength=strength * (k + 1) / 2))
        assert torch.equal(captured(x, strength=strength * (k + 1) / 2), outs[-1])
    assert len({out.sum().item() for out in outs}) > 2 and int(eager._state[1]) == 4
    assert torch.allclose(layer.eval()(x, strength=0.5), 1 - x)  # deterministic, so that it runs there too


def test_strengths_beyond_the_scale_end_at_it() -> None:
    layer = ga.Compose([ga.RandomRotation(30), ga.RandomHorizontalFlip()], seed=3)
    beyond, ends = (layer.sample(X, strength=torch.tensor(s).repeat(N // 2)) for s in ([-1.0, 3.0], [0.0, 1.0]))
    assert torch.equal(beyond["RandomRotation"].angle, ends["RandomRotation"].angle)
    assert not beyond["RandomRotation"].angle[::2].any() and not beyond["RandomHorizontalFlip"].gate[::2].any()


@pytest.mark.parametrize(
    ("strength", "error", "message"),
    [
        (1.5, ValueError, "Compose: strength must be between 0 and 1, got 1.5"),
        ("all", TypeError, "Compose: strength must be a number or a tensor"),
        (torch.ones(3), ValueError, r"Compose: strength must be floats of shape \(300,\), got torch.float32 \(3,\)"),
        (torch.ones(N, dtype=torch.int64), ValueError, "Compose: strength must be floats"),
    ],
)
def test_wrong_strengths_are_refused(strength: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        ga.Compose([ga.RandomInvert()])(X, strength=strength)
