"""Levels of the published policies: drawn, scheduled, by class, scaled by a strength; and their files."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from content import coordinates
from test_capture import Tape, recorded  # noqa: F401  # a fixture, used by its name
from torch import Tensor

import gpuaug as ga
from gpuaug.testing import example
from gpuaug.transforms.policy import Policy

N = 600
X = torch.zeros(1, 3, 30, 40).expand(N, -1, -1, -1)
MAKERS: dict[str, tuple[Any, float]] = {
    "RandAugment": (lambda m: ga.RandAugment(2, m), 4.5),
    "TrivialAugmentWide": (lambda m: ga.TrivialAugmentWide(magnitude=m), 4.5),
    "AugMix": (lambda m: ga.AugMix(m if not isinstance(m, float) else round(m)), 4.0),
    "rand": (lambda m: ga.auto_augment("rand-m9-mstd0.5-inc1", magnitude=m), 4.5),
    "rand-tweights": (lambda m: ga.auto_augment("rand-m9-tweights", magnitude=m), 4.5),
    "augmix": (lambda m: ga.auto_augment("augmix-m3-w2-d2", magnitude=m), 4.5),
}


def drawn(layer: Any, x: Any = X, **told: Any) -> dict[str, Tensor]:
    """Return what the policy drew."""
    values: dict[str, Tensor] = next(iter(layer.sample(x, **told).values.values()))
    return values


def seeded(layer: Any) -> Any:
    layer.reseed(6)
    return layer


@pytest.mark.parametrize("name", list(MAKERS))
def test_a_scheduled_magnitude_changes_the_level_and_nothing_else(name: str) -> None:
    """What is drawn is exactly what a policy of the magnitude of the epoch draws, operations and signs the same."""
    make, middle = MAKERS[name]
    layer = seeded(make(ga.Linear(1, 2 * middle - 1, over=4)))
    before = drawn(layer)
    layer.set_epoch(2)
    now, expected = drawn(layer), drawn(seeded(make(middle)))
    assert set(now) == set(expected) and all(torch.equal(now[key], expected[key]) for key in now)
    assert torch.equal(before["op"], now["op"]) and torch.equal(before["_code"], now["_code"])
    assert not torch.equal(before["magnitude"], now["magnitude"])
    turned = now["magnitude"].sign() * before["magnitude"].sign()
    assert (turned >= 0).all()  # the signs stay


@pytest.mark.parametrize("name", list(MAKERS))
def test_no_samples(name: str) -> None:
    assert MAKERS[name][0](2)(torch.zeros(0, 3, 30, 40)).shape == (0, 3, 30, 40)


@pytest.mark.parametrize("name", list(MAKERS))
def test_each_class_has_its_magnitude(name: str) -> None:
    make, _ = MAKERS[name]
    labels = torch.arange(N) % 3
    mixed = drawn(seeded(make(ga.PerClass({1: 2, 2: ga.Linear(7, 9, over=3)}, default=5))), (X, labels))
    for label, magnitude in ((0, 5), (1, 2), (2, 7)):
        mine, same = labels == label, drawn(seeded(make(magnitude)))
        assert all(torch.equal(mixed[key][mine], same[key][mine]) for key in same)


def test_a_range_of_levels_is_drawn_for_each_operation() -> None:
    layer = ga.RandAugment(2, (5, 7))
    values = drawn(seeded(layer), X[:1].expand(6000, -1, -1, -1))
    turned = values["magnitude"][values["op"] == layer.space.names.index("Rotate")].abs()
    assert set(turned.tolist()) == {5.0, 6.0, 7.0}  # a degree for each level
    both = (values["op"] == layer.space.names.index("Rotate")).all(1)
    differ = values["magnitude"][both].abs().diff(dim=1) != 0
    assert 0 < int(differ.sum()) < int(both.sum())
    between = drawn(seeded(ga.RandAugment(1, ga.Uniform(5, 7))))
    turned = between["magnitude"][between["op"] == 5].abs()
    assert 5 <= turned.min() < turned.max() <= 7 and len(set(turned.tolist())) > 20
    wide = ga.TrivialAugmentWide(magnitude=(0, 2))
    values = drawn(seeded(wide))
    assert set(values["magnitude"][values["op"] == 5].abs().tolist()) == {0.0, 4.5, 9.0}
    every = drawn(seeded(ga.TrivialAugmentWide())), drawn(seeded(ga.TrivialAugmentWide(magnitude=(0, 30))))
    assert torch.equal(every[0]["magnitude"], every[1]["magnitude"])


def test_compiled_and_captured_calls_follow(recorded: list[Tape]) -> None:  # noqa: F811
    x = example(3, (3, 13, 17))

    def make() -> ga.Compose:
        steps = [ga.RandAugment(1, ga.Linear(0, 20, over=4)), ga.TrivialAugmentWide(magnitude=ga.Linear(0, 20, over=4))]
        return ga.Compose(steps, seed=3)

    torch._dynamo.reset()
    layer, eager = make(), make()
    compiled, captured = torch.compile(layer, fullgraph=True, backend="eager"), make().capture(x)
    outs = []
    for epoch in range(3):
        for each in (layer, eager, captured.layer):
            each.set_epoch(2 * epoch)
        outs.append(eager(x))
        with torch._dynamo.config.patch(error_on_recompile=epoch > 0):
            assert torch.allclose(compiled(x), outs[-1], atol=1e-5)
        assert torch.equal(captured(x), outs[-1])
    assert len(recorded) == 1
    torch._dynamo.reset()


# -- strength


POLICIES = (
    lambda: ga.RandAugment(2, 20),
    ga.TrivialAugmentWide,
    lambda: ga.AutoAugment("svhn"),
    lambda: ga.AugMix(9),
    lambda: ga.auto_augment("rand-m7-p1"),
    lambda: ga.auto_augment("rand-m7-p1-inc1-mstd0.5"),
    lambda: ga.auto_augment("augmix-m9"),
    lambda: ga.auto_augment("v0"),
)


@pytest.mark.parametrize("make", POLICIES)
def test_a_strength_scales_levels_and_the_chance_of_what_has_none(make: Any) -> None:
    layer: Policy = seeded(make())
    x, strength = X.repeat(4, 1, 1, 1), torch.tensor([0.0, 0.35, 1.0]).repeat(4 * N // 3)
    full, scaled = drawn(layer, x), drawn(layer, x, strength=strength)
    assert torch.equal(full["op"], scaled["op"])
    for key in full:
        assert torch.equal(full[key][strength == 1], scaled[key][strength == 1]), key
    assert not scaled["_code"][strength == 0].any()
    part = strength[:, None].expand_as(full["op"]) == 0.35
    for number, operation in enumerate(layer.space.operations):
        mine = part & (full["op"] == number) & (full["_code"] > 0)
        if operation.name == "Identity" or int(mine.sum()) < 12:
            continue
        taken, n = scaled["_code"][mine] > 0, int(mine.sum())
        from_nothing = {"Posterize": 8, "Solarize": 1, "SolarizeIncreasing": 256, "SolarizeAdd": 0}
        if operation.signed or from_nothing.get(operation.name) == operation.start:
            assert taken.all(), operation.name
            if operation.signed and not operation.whole:  # a line from 0
                assert torch.allclose(scaled["magnitude"][mine], full["magnitude"][mine] * 0.35, atol=1e-5)
        else:
            assert abs(taken.double().mean().item() - 0.35) < 5 * (0.35 * 0.65 / n) ** 0.5, operation.name
            assert torch.equal(scaled["magnitude"][mine], full["magnitude"][mine])


@pytest.mark.parametrize("make", POLICIES)
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_without_strength_pixels_stay_as_they_are(make: Any, dtype: torch.dtype) -> None:
    """White too, which a solarize of the weakest level turns black."""
    x = example(12, (3, 26, 30), dtype)
    x[:, :, :5] = 255 if dtype == torch.uint8 else 1.0
    assert torch.equal(seeded(make())(x, strength=0.0), x)


@pytest.mark.parametrize("change", ["epoch", "set"])
def test_calls_with_a_strength_follow_too(change: str) -> None:
    """What draws for them is a table of its own."""
    layer = ga.Compose([ga.RandAugment(2, ga.Linear(0, 9, over=3)), ga.ColorJitter(ga.Linear(0, 0.6, over=3))], seed=2)
    fixed = ga.Compose([ga.RandAugment(2, 9), ga.ColorJitter(0.6)], seed=2)
    assert not torch.equal(drawn(layer, strength=0.5)["magnitude"], drawn(fixed, strength=0.5)["magnitude"])
    if change == "epoch":
        layer.set_epoch(3)
    else:
        layer[0].set(magnitude=9), layer[1].set(brightness=0.6)
    (now, expected) = (each.sample(X, strength=0.5).values for each in (layer, fixed))
    for name in ("RandAugment", "ColorJitter"):
        assert all(torch.equal(now[name][key], expected[name][key]) for key in expected[name]), name


# -- annotations


def test_augmix_without_geometry_carries_annotations() -> None:
    images = coordinates(6)
    values = {
        "image": images,
        "mask": images[:, 0],
        "boxes": torch.tensor([[[1.0, 2.0, 9.0, 11.0]]]).expand(6, 1, 4),
        "keypoints": torch.tensor([[[[3.0, 4.0]]]]).expand(6, 1, 1, 2),
    }
    for all_ops in (True, False):
        layer = ga.Compose([ga.AugMix(9, all_ops=all_ops, geometric=False)], seed=2)
        assert not {"Rotate", "ShearX", "TranslateY"} & set(layer[0].space.names)
        out = layer(values)
        assert not torch.equal(out["image"], images)
        assert all(torch.equal(out[key], values[key]) for key in ("mask", "boxes", "keypoints"))
    moved = ga.Compose([ga.AugMix(geometric=False), ga.RandomHorizontalFlip(p=1.0)])(values)
    assert torch.equal(moved["mask"], images[:, 0].flip(-1))
    with pytest.raises(TypeError, match=r"AugMix: it shows .* got mask; with geometric=False it moves nothing"):
        ga.AugMix()(values)


# -- files


@pytest.mark.parametrize(
    "make",
    [
        *(maker for maker, _ in MAKERS.values()),
        lambda m: ga.auto_augment("original-mstd0.5", "nearest", 0.25),
        lambda m: ga.auto_augment("3a"),
        lambda m: ga.AugMix(geometric=False),
    ],
)
def test_policies_are_written(make: Any) -> None:
    layer = make(ga.Linear(1, 4, over=6))
    back: Any = ga.from_dict(json.loads(json.dumps(ga.to_dict(layer))))
    assert ga.fingerprint(back) == ga.fingerprint(layer) and repr(back) == repr(layer)
    images = example(4, (3, 26, 30), torch.uint8)
    for epoch in (0, 5):
        for each in (layer, back):
            each.set_epoch(epoch)
        assert torch.equal(seeded(layer)(images), seeded(back)(images))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ga.RandAugment(2, ga.Linear(0, 31, over=3)), "RandAugment: magnitude must be within [0, 30]"),
        (lambda: ga.RandAugment(2, "9"), "RandAugment: magnitude must be a number"),
        (lambda: ga.TrivialAugmentWide(5, magnitude=5), "TrivialAugmentWide: magnitude must be within [0, 4], got 5"),
        (lambda: ga.AugMix(ga.Linear(1, 11, over=2)), "AugMix: severity must be at least 1 and at most 10, got Linear"),
        (lambda: ga.AugMix(2.5), "AugMix: severity must be a whole number, got 2.5"),
        (lambda: ga.AugMix(alpha=ga.Linear(1, 33, over=2)), "AugMix: alpha must be positive, and at most 32 here"),
        (lambda: ga.AugMix(alpha="1"), "AugMix: alpha must be a number, got '1'"),
        (lambda: ga.auto_augment("rand-m9", magnitude=-1), "auto_augment: magnitude must be within [0, inf], got -1"),
        (lambda: ga.auto_augment("v0", magnitude=3), "auto_augment: magnitude must be None for v0"),
        (
            lambda: ga.from_dict(
                {"gpuaug": 1, "pipeline": {"transform": "TimmAutoAugment", "args": {"config": "rand-m9"}}}
            ),
            "auto_augment: config must begin with one of original, originalr, v0, v0r, 3a here, got 'rand-m9'",
        ),
        (
            lambda: ga.from_dict({"gpuaug": 1, "pipeline": {"transform": "TimmRandAugment", "args": {"config": 3}}}),
            "auto_augment: config must be a string",
        ),
    ],
)
def test_refusals(make: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError)) as error:
        make()
    assert message in str(error.value)
