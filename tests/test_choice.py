"""Choices for each sample: what is applied is what was chosen, as often as it should be, in as few passes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from content import H, W, coordinates, read_at
from scipy import stats
from torch import Tensor
from torchvision.transforms.v2 import functional as TF

import gpuaug as ga
from gpuaug.data.batch import Batch
from gpuaug.diagnose import count
from gpuaug.render import backend
from gpuaug.testing import example
from gpuaug.transforms.layer import Layer

MANY = 20000


def fits(observed: Tensor, weights: list[float]) -> bool:
    """Tell whether counts are those of a law, by chi-square at one in ten thousand."""
    expected = torch.tensor(weights, dtype=torch.float64) / sum(weights) * observed.sum()
    drawn = expected > 0
    assert not observed[~drawn].any()
    return float(stats.chisquare(observed[drawn].numpy(), expected[drawn].numpy()).pvalue) > 1e-4


def drawn_by_many(layer: Layer, n: int = MANY) -> Any:
    layer.reseed(1)
    return layer.sample(torch.zeros(1, 3, 8, 10).expand(n, -1, -1, -1))


@pytest.fixture(params=["batched", "walk"], autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend, "SMALL", 10**9 if request.param == "batched" else 0)


FIXED: list[tuple[Any, Any]] = [
    (ga.RandomHorizontalFlip(p=1.0), TF.horizontal_flip),
    (ga.RandomInvert(p=1.0), TF.invert),
    (ga.GaussianBlur(3, 0.8), lambda x: TF.gaussian_blur(x, [3, 3], [0.8, 0.8])),
    (ga.RandomPosterize(2, p=1.0), lambda x: TF.posterize(x, 2)),
    (ga.RandomVerticalFlip(p=1.0), TF.vertical_flip),
]


def test_each_sample_gets_what_was_chosen_for_it() -> None:
    layer = ga.RandomChoice([ours for ours, _ in FIXED])
    layer.reseed(0)
    images = example(40, (3, 13, 18), torch.uint8)
    out, params = layer(images, return_params=True)
    index = params["RandomChoice"].index
    assert set(index.tolist()) == set(range(5))
    for image, result, i in zip(images, out, index.tolist(), strict=True):
        assert (result.int() - FIXED[i][1](image).int()).abs().max() <= 1


def test_weights_of_a_choice() -> None:
    weights = [3.0, 0.0, 1.0, 2.0]
    layer = ga.RandomChoice([ga.RandomInvert(p=0.5) for _ in weights], p=weights)
    params = drawn_by_many(layer)
    assert fits(params["RandomChoice"].index.bincount(minlength=4), weights)
    for i, name in enumerate(["RandomInvert", "RandomInvert_2", "RandomInvert_3", "RandomInvert_4"]):
        chosen, gate = params["RandomChoice"].index == i, params[name].gate
        assert not gate[~chosen].any()  # a chosen child still has its own p
        if chosen.any():
            assert abs(gate[chosen].double().mean() - 0.5) < 0.05


def test_one_of_weighs_by_p_and_always_applies_what_it_chose() -> None:
    inner = ga.RandomApply([ga.RandomSolarize(0.5, p=1.0)], p=0.4)
    layer = ga.OneOf(
        [ga.RandomInvert(p=0.1), ga.RandomHorizontalFlip(p=0.5), inner, ga.Compose([ga.ColorJitter(0.1)])], 0.6
    )
    params = drawn_by_many(layer)
    gate, index = params["OneOf"].gate, params["OneOf"].index
    assert fits(index.bincount(minlength=4), [0.1, 0.5, 0.4, 1.0])
    assert abs(gate.double().mean() - 0.6) < 0.02
    for i, name in enumerate(["RandomInvert", "RandomHorizontalFlip", "RandomSolarize", "ColorJitter"]):
        assert torch.equal(params[name].gate, gate & (index == i))


def test_what_is_not_the_containers_own_p_is_left() -> None:
    """A Compose weighs 1, and what is in it keeps its p."""
    layer = ga.OneOf([ga.Compose([ga.RandomInvert(p=0.25)]), ga.SomeOf([ga.RandomInvert(p=1.0)], 0)], 1.0)
    assert abs(drawn_by_many(layer)["RandomInvert"].gate.double().mean() - 0.125) < 0.02


def test_some_of_takes_every_subset_as_often() -> None:
    layer = ga.SomeOf([ga.RandomInvert(p=1.0) for _ in range(4)], n=2)
    chosen = drawn_by_many(layer)["SomeOf"].chosen
    assert (chosen.sum(1) == 2).all()
    code = (chosen.long() * torch.tensor([1, 2, 4, 8])).sum(1)
    assert fits(code.bincount(minlength=16), [float(bin(c).count("1") == 2) for c in range(16)])
    assert ga.SomeOf([ga.RandomInvert(p=1.0)], n=5).most == 1
    drawn = drawn_by_many(ga.SomeOf([ga.RandomInvert(p=1.0) for _ in range(3)], n=(0, 2)))["SomeOf"]
    assert fits(drawn.chosen.sum(1).bincount(minlength=4), [1.0, 1.0, 1.0, 0.0])


def test_some_of_applies_in_the_order_of_the_list() -> None:
    steps = [(ga.RandomGamma((200, 200), p=1.0), lambda x: TF.adjust_gamma(x, 2.0)), *FIXED[:3]]
    layer = ga.SomeOf([ours for ours, _ in steps], n=3)
    layer.reseed(0)
    images = example(24, (3, 13, 18))
    out, params = layer(images, return_params=True)
    for image, result, chosen in zip(images, out, params["SomeOf"].chosen.tolist(), strict=True):
        for on, (_, theirs) in zip(chosen, steps, strict=True):
            image = theirs(image) if on else image
        assert (result - image).abs().max() < 1e-5


def test_some_of_with_replacement() -> None:
    """What is taken twice is applied twice, with draws of its own."""
    layer = ga.SomeOf([ga.RandomInvert(p=1.0), ga.RandomBrightnessContrast((0.05, 0.1), 0.0, p=1.0)], n=3, replace=True)
    times = drawn_by_many(layer)["SomeOf"].times
    assert fits(times[:, 0].bincount(minlength=4), [1.0, 3.0, 3.0, 1.0]) and (times.sum(1) == 3).all()
    layer.reseed(2)
    images = example(24, (3, 13, 18)) * 0.5
    out, params = layer(images, return_params=True)
    names = ["RandomBrightnessContrast", "RandomBrightnessContrast_2", "RandomBrightnessContrast_3"]
    shifts = torch.stack([params[name].brightness for name in names], dim=1)
    assert (shifts[:, 0] != shifts[:, 1]).all()
    for image, result, n, shift in zip(images, out, params["SomeOf"].times.tolist(), shifts, strict=True):
        expected = 1 - image if n[0] % 2 else image
        for value in shift[: n[1]]:
            expected = (expected + value).clamp(0, 1)
        assert (result - expected).abs().max() < 1e-5


def ordered(ours: list[Any], theirs: list[Any], images: Tensor, tolerance: float) -> set[tuple[int, ...]]:
    layer = ga.RandomOrder(ours)
    layer.reseed(0)
    out, params = layer(images, return_params=True)
    order = params["RandomOrder"].order
    for image, result, numbers in zip(images, out, order.tolist(), strict=True):
        for i in numbers:
            image = theirs[i](image)
        assert (result - image).abs().max() < tolerance
    return {tuple(row) for row in order.tolist()}


def test_random_order_of_pixel_operations_is_one_place_of_the_program() -> None:
    ours = [ga.RandomGamma((200, 200), p=1.0), ga.RandomInvert(p=1.0), ga.RandomSolarize(0.3, p=1.0)]
    theirs = [lambda x: TF.adjust_gamma(x, 2.0), TF.invert, lambda x: TF.solarize(x, 0.3)]
    images = example(40, (3, 13, 18))
    images[(images - 0.3).abs() < 1e-3] = 0.5
    assert len(ordered(ours, theirs, images, 1e-5)) == 6
    layer = ga.RandomOrder(ours)
    steps = layer.plan(Batch(images), layer.sample(images).values).finish()
    assert len(steps) == 1 and len(steps[0].program) == 1 and steps[0].program[0].order is not None


def test_random_order_of_anything() -> None:
    """Warps with a fill, pixel operations and filters; a child that is itself a sequence with a choice."""
    ours = [
        ga.RandomAffine((0, 0), (0, 0), (0.61, 0.61), interpolation="nearest", fill=0.25),
        ga.RandomInvert(p=1.0),
        ga.GaussianBlur(3, 0.8),
        ga.Compose([ga.RandomHorizontalFlip(p=1.0), ga.RandomChoice([ga.RandomGamma((200, 200), p=1.0)])]),
    ]

    def shrink(x: Tensor) -> Tensor:
        return TF.affine(x, 0, [0, 0], 0.61, [0, 0], interpolation=TF.InterpolationMode.NEAREST, fill=[0.25] * 3)

    theirs = [
        shrink,
        TF.invert,
        lambda x: TF.gaussian_blur(x, [3, 3], [0.8, 0.8]),
        lambda x: TF.adjust_gamma(TF.horizontal_flip(x), 2.0),
    ]
    assert len(ordered(ours, theirs, example(60, (3, 12, 20)), 1e-5)) > 15


def test_orders_are_equally_likely_and_children_keep_their_draws() -> None:
    layer = ga.RandomOrder([ga.RandomRotation(20), ga.RandomInvert(p=0.5), ga.RandomAffine(10)])
    params = drawn_by_many(layer)
    code = (params["RandomOrder"].order * torch.tensor([9, 3, 1])).sum(1)
    assert fits(code.unique(return_counts=True)[1], [1.0] * 6)
    angles = [params[f"RandomRotation@{place}"] for place in (1, 2, 3)]
    assert torch.equal(angles[0].angle, angles[1].angle) and torch.equal(angles[0].angle, angles[2].angle)
    assert (sum(a.gate.long() for a in angles) == 1).all()
    assert params["RandomRotation"].gate.all() and abs(params["RandomInvert"].gate.double().mean() - 0.5) < 0.02
    # As alone in a pipeline: columns are named by class and occurrence.
    alone = drawn_by_many(ga.Compose([ga.RandomRotation(20), ga.RandomAffine(10)]))
    assert torch.equal(alone["RandomRotation"].angle, params["RandomRotation"].angle)
    assert torch.equal(alone["RandomAffine"].matrix, params["RandomAffine"].matrix)
    assert sorted(name for name, _ in params[0])[-1] == "RandomRotation"


FLIPPED = (ga.RandomHorizontalFlip(), ga.RandomRotation(20))
NESTED: dict[str, Any] = {
    "choice": lambda: ga.RandomChoice([ga.RandomRotation(30), ga.RandomAffine(0, (0.2, 0.1)), ga.RandomInvert(p=1.0)]),
    "nested": lambda: ga.RandomApply([ga.OneOf([ga.RandomOrder(FLIPPED), ga.RandomPerspective(0.3)], p=1.0)], 0.7),
    "some": lambda: ga.SomeOf([ga.RandomRotation(20), ga.RandomAffine(5, (0.1, 0.1)), ga.GaussianBlur(3)], 2, True),
    "order": lambda: ga.RandomOrder([ga.RandomVerticalFlip(), ga.RandomAffine(9, (0.1, 0.1)), ga.RandomSolarize(0.9)]),
}


@pytest.mark.parametrize("name", list(NESTED))
def test_points_lie_on_their_content(name: str) -> None:
    """Keypoints, boxes and the image agree, whatever was chosen; pixel operations are kept off the coordinates."""
    layer = ga.Compose([NESTED[name]()], seed=4, keypoint_params=ga.KeypointParams(flip_pairs=()))
    batch = 24
    points = torch.rand(batch, 12, 2, generator=torch.Generator().manual_seed(1)).double() * torch.tensor([W, H])
    values = {"image": coordinates(batch), "where": coordinates(batch), "keypoints": points}
    layer = ga.Compose([layer], seed=4, roles={"where": "dense"}, keypoint_params=ga.KeypointParams(flip_pairs=()))
    out, params = layer(values, return_params=True)
    checked = 0
    for b in range(batch):
        found, ok = read_at(out["where"][b], out["keypoints"][b])
        ok = ok & out["visible"][b].bool()
        far = (found * 100 - points[b]).norm(dim=1)[ok]
        checked += len(far)
        assert far.numel() == 0 or far.max() < 0.25
    assert checked > batch * 6
    moved = (params.matrix - torch.eye(3)).abs().flatten(1).amax(1) > 1e-9
    assert moved.any() and not torch.equal(out["keypoints"], points)


def test_what_is_chosen_among_shares_passes() -> None:
    images = example(8, (3, 23, 17))

    def passes(layer: Layer) -> list[Any]:
        layer.reseed(0)
        return layer.plan(Batch(images), layer.sample(images).values).finish()

    steps = passes(ga.RandomChoice([ga.ColorJitter(0.4), ga.RandomRotation(20), ga.RandomInvert(), ga.RandomAffine(9)]))
    assert len(steps) == 1 and steps[0].warp is not None and len(steps[0].program) == 2
    steps = passes(ga.RandomChoice([ga.RandomGamma(), ga.RandomInvert(), ga.RandomSolarize(0.5)]))
    assert len(steps) == 1 and len(steps[0].program) == 1 and len(steps[0].program[0].choices) == 3
    blurred = [
        ga.RandomRotation(9),
        ga.GaussianBlur(3),
        ga.RandomInvert(),
        ga.Compose([ga.RandomAffine(9), ga.ColorJitter(0.1)]),
    ]
    steps = passes(ga.RandomChoice(blurred))
    assert [step.filter is not None for step in steps] == [False, True]
    # A group of one place stays together beside what it is chosen among.
    grouped = [ga.ColorJitter(0.1), ga.RandomOrder([ga.RandomGamma(p=1.0), ga.RandomInvert(p=1.0)])]
    program = passes(ga.RandomChoice(grouped))[0].program
    names = {slot.order is None: [choice.name for choice in slot.choices] for slot in program}
    assert names == {True: ["adjust_brightness"], False: ["adjust_gamma", "invert"]}


def test_nothing_waits_and_nothing_is_copied() -> None:
    layer = ga.Compose([make() for make in NESTED.values()], seed=0)
    images = torch.empty((16, 3, 32, 40), dtype=torch.uint8, device="meta")
    layer(images)
    counts = count(layer, images)
    assert (counts.synchronising, counts.host_to_device, counts.host_operations) == (0, 0, 0), counts.names


def test_evaluation() -> None:
    images = example(3, (3, 13, 18))
    gray = ga.Grayscale(3)
    for layer in (
        ga.RandomChoice([gray, ga.Grayscale(3)]),
        ga.OneOf([gray], p=0.5),
        ga.SomeOf([gray, ga.RandomInvert()], 1),
        ga.SomeOf([gray, ga.RandomInvert()], 2, p=0.5),
    ):
        assert layer.eval()(images) is images
    for layer in (
        ga.RandomChoice([gray]),
        ga.OneOf([gray], p=1.0),
        ga.SomeOf([gray, ga.RandomInvert()], 2),
        ga.RandomOrder([ga.RandomInvert(), gray]),
    ):
        assert torch.equal(layer.eval()(images), gray(images))


def test_a_replay_of_some_samples() -> None:
    layer = ga.Compose([make() for make in NESTED.values()], seed=0)
    images = example(6, (3, 23, 17))
    out, params = layer(images, return_params=True)
    some = torch.tensor([4, 1, 1])
    assert torch.equal(layer.replay(images[some], params[some]), out[some])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ga.RandomChoice([]), "RandomChoice: transforms must be at least one, got none"),
        (lambda: ga.RandomChoice([ga.RandomInvert()], p=[1, 2]), "RandomChoice: p must have one weight for each of 1"),
        (lambda: ga.RandomChoice([ga.RandomInvert()], p=[0]), "not negative and not all zero, got"),
        (lambda: ga.RandomChoice([ga.RandomInvert()], p=0.5), "RandomChoice: p must be a list of weights"),
        (lambda: ga.RandomChoice([ga.CenterCrop(4)]), "RandomChoice: a transform that changes size"),
        (lambda: ga.OneOf([ga.RandomInvert(p=0.0)]), "OneOf: transforms must not all have p=0"),
        (lambda: ga.OneOf([ga.RandomInvert()], p=2), "OneOf: p must be between 0 and 1, got 2"),
        (lambda: ga.SomeOf([ga.RandomInvert()], n=-1), "SomeOf: n must be integers with 0 <= low <= high, got -1"),
        (lambda: ga.RandomOrder([ga.Resize(4)]), "RandomOrder: a transform that changes size"),
    ],
)
def test_refusals(make: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError)) as error:
        make()
    assert message in str(error.value)


def test_an_order_within_a_gate() -> None:
    """Operations that share a place: samples that the outer container leaves out stay as they are."""
    images = example(40, (3, 5, 7))
    inner = ga.RandomOrder([ga.RandomInvert(p=1.0), ga.RandomGamma((150, 200), p=1.0)])
    layer = ga.RandomApply([inner], p=0.5)
    layer.reseed(0)
    out, params = layer(images, return_params=True)
    off = ~params["RandomOrder"].gate
    assert 8 < int(off.sum()) < 32 and torch.equal(out[off], images[off])
    assert not (out[~off] == images[~off]).flatten(1).all(1).any()
