"""The published policies: torchvision's operations and magnitudes, drawn for each sample as often as there."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from content import H, W, coordinates, read_at
from scipy import stats
from torch import Tensor
from torch.nn import functional as F
from torchvision.transforms import InterpolationMode, v2

import gpuaug as ga
from gpuaug.data.batch import Batch
from gpuaug.diagnose import count
from gpuaug.render import backend
from gpuaug.testing import example
from gpuaug.transforms.policy import Policy
from gpuaug.transforms.published import AUTO_AUGMENT

MANY = 100_000
PAIRS: dict[str, tuple[Any, Any]] = {
    "RandAugment": (lambda: ga.RandAugment(1, 9), v2.RandAugment()),
    "strong": (lambda: ga.RandAugment(1, 30), v2.RandAugment()),
    "TrivialAugmentWide": (ga.TrivialAugmentWide, v2.TrivialAugmentWide()),
    **{
        name: (lambda name=name: ga.AutoAugment(name), v2.AutoAugment(v2.AutoAugmentPolicy(name)))
        for name in AUTO_AUGMENT
    },
}
EXACT = {"Identity", "TranslateX", "TranslateY", "Posterize", "Solarize", "Equalize", "Invert"}
TURNED = {"ShearX", "ShearY", "Rotate"}


def fits(observed: Tensor, weights: Tensor | None = None) -> bool:
    expected = torch.ones(len(observed)) if weights is None else weights
    expected = expected.double() / expected.sum() * observed.sum()
    return float(stats.chisquare(observed.numpy(), expected.numpy()).pvalue) > 1e-4


@pytest.fixture
def picture(photos: Tensor) -> Tensor:
    """A photograph of 41 x 57."""
    return F.interpolate(photos[:1].float(), (41, 57), mode="bilinear", antialias=True).round().to(torch.uint8)


@pytest.mark.parametrize("size", [(41, 57), (224, 331), (32, 33), (662, 100)])
@pytest.mark.parametrize("name", list(PAIRS))
def test_magnitudes_are_torchvisions_to_the_last_bit(name: str, size: tuple[int, int]) -> None:
    make, theirs = PAIRS[name]
    space = make().space
    assert set(space.names) == set(theirs._AUGMENTATION_SPACE)
    for bins in {space.bins, 7}:
        level = torch.arange(bins).float()[:, None]
        space.bins = bins
        for number, operation in enumerate(space.names):
            line, signed = theirs._AUGMENTATION_SPACE[operation]
            expected = line(bins, *size)
            for negative in (False, True):
                sign = torch.full_like(level, negative, dtype=torch.bool)
                ours = space.magnitudes(torch.full((bins, 1), number), level, sign, size)[:, 0]
                given = torch.zeros(bins) if expected is None else expected.float()
                given = given.trunc() if operation.startswith("Translate") else given
                assert torch.equal(ours, -given if signed and negative else given), operation


def saturated(image: Tensor, factor: float) -> Tensor:
    """Return what the factor gives in float64, before it becomes whole levels."""
    gray = (image.double() * torch.tensor([0.2989, 0.587, 0.114]).double()[:, None, None]).sum(0)
    return (image.double() * factor + gray * (1 - factor)).clamp(0, 255)


@pytest.mark.parametrize("way", ["batched", "walk"])
@pytest.mark.parametrize("name", list(PAIRS))
def test_each_operation_is_torchvisions(name: str, way: str, picture: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    """One operation of each sample against torchvision's: exact, or one level apart where it cuts and we round.

    Color of a factor below one half may be two levels apart: torchvision cuts the gray to whole levels too. A turned
    pixel is another one only right between two, where float32 decides: what it shows is asked for in float64.
    """
    monkeypatch.setattr(backend, "SMALL", 10**9 if way == "batched" else 0)
    make, theirs = PAIRS[name]
    layer: Policy = make()
    layer.reseed(0)
    images = picture.expand(300, -1, -1, -1).contiguous()
    images[1::2] = 255 - images[1::2].flip(-1)
    params = layer.sample(images)
    drawn = params.values[type(layer).__name__]
    if layer.steps == 2:  # the second step alone
        drawn["_code"][:, 0] = 0
    out = layer.replay(images, params)
    parts = [name for name in params.values if name.endswith("warp")]
    step, seen, turned, between = layer.steps - 1, set(), 0, 0
    if layer.steps == 2:
        params.values[parts[0]]["matrix"] = torch.eye(3, dtype=torch.float64).expand(300, 3, 3)
        for key, value in params.values.items():
            if ".1." in key:
                value.update({k: torch.zeros_like(v) for k, v in value.items() if k in ("code", "gate")})
        out = layer.replay(images, params)
    warps = params.values[parts[-1]]["matrix"].double()
    for i, (image, result) in enumerate(zip(images, out, strict=True)):
        operation = layer.space.names[int(drawn["op"][i, step])] if drawn["_code"][i, step] else "Identity"
        magnitude = float(drawn["magnitude"][i, step])
        expected = theirs._apply_image_or_video_transform(
            image, operation, magnitude, InterpolationMode.NEAREST, theirs._fill
        )
        gap = (result.int() - expected.int()).abs()
        seen.add(operation)
        if operation in TURNED:
            y, x = torch.meshgrid(*(torch.arange(n).double() + 0.5 for n in gap.shape[1:]), indexing="ij")
            there = torch.linalg.inv(warps[i]) @ torch.stack((x, y, torch.ones_like(x))).flatten(1)
            there = there.unflatten(1, gap.shape[1:])[:2]
            tie = ((there - there.round()).abs() < 1e-4).any(0)
            assert not (gap.any(0) & ~tie).any(), (operation, magnitude)
            turned, between = turned + tie.numel(), between + int(tie.sum())
        elif operation == "Color":
            exact = saturated(image, 1 + magnitude)
            assert (result - exact).abs().max() < 0.501  # the nearest level
            assert (expected - exact).abs().max() < 1.001 + abs(magnitude)  # cut twice
            assert gap.max() <= (2 if magnitude < -0.5 else 1)
        else:
            assert gap.max() <= (0 if operation in EXACT else 1), operation
    assert between <= 0.1 * turned  # most pixels are compared
    assert len(seen) > 4


@pytest.mark.parametrize("way", ["batched", "walk"])
def test_bilinear_warps_are_torchvisions(way: str, photos: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    """One level apart at most, where a shear reads some source pixels more than once too: no filter widens."""
    monkeypatch.setattr(backend, "SMALL", 10**9 if way == "batched" else 0)
    image = F.interpolate(photos[:1].float(), (61, 87), mode="bilinear", antialias=True).round().to(torch.uint8)
    layer = ga.TrivialAugmentWide(interpolation="bilinear")
    theirs = v2.TrivialAugmentWide(interpolation=InterpolationMode.BILINEAR)
    layer.reseed(1)
    out, params = layer(image.expand(120, -1, -1, -1).contiguous(), return_params=True)
    drawn, compared = params["TrivialAugmentWide"], 0
    for i, result in enumerate(out):
        operation, magnitude = layer.space.names[int(drawn.op[i, 0])], float(drawn.magnitude[i, 0])
        if operation in TURNED | {"TranslateX", "TranslateY"}:
            expected = theirs._apply_image_or_video_transform(
                image[0], operation, magnitude, InterpolationMode.BILINEAR, theirs._fill
            )
            assert (result.int() - expected.int()).abs().max() <= 1, (operation, magnitude)
            compared += 1
    assert compared > 30


def test_steps_follow_one_another_with_a_rounding_between(picture: Tensor) -> None:
    """Two operations that are exact alone give exactly what torchvision gives for the two."""
    layer, theirs = ga.RandAugment(3, 11), v2.RandAugment()
    layer.reseed(0)
    images = picture.expand(600, -1, -1, -1).contiguous()
    out, params = layer(images, return_params=True)
    drawn, compared = params["RandAugment"], 0
    for i, (image, result) in enumerate(zip(images, out, strict=True)):
        steps = [
            (layer.space.names[n], float(m)) for n, m in zip(drawn.op[i].tolist(), drawn.magnitude[i], strict=True)
        ]
        if not all(name in EXACT | {"Brightness"} for name, _ in steps) or "Brightness" in [
            name for name, _ in steps[:2]
        ]:
            continue
        for name, magnitude in steps:
            image = theirs._apply_image_or_video_transform(
                image, name, magnitude, InterpolationMode.NEAREST, theirs._fill
            )
        assert (result.int() - image.int()).abs().max() <= (steps[-1][0] == "Brightness")
        compared += 1
    assert compared > 40


def without(params: Any, step: int) -> Any:
    """Return parameters of which one step does nothing."""
    made = params.map(torch.clone)
    for name, values in made.values.items():
        if f".{step}." in name:
            for key, value in values.items():
                values[key] = (
                    torch.eye(3, dtype=value.dtype).expand_as(value) if key == "matrix" else torch.zeros_like(value)
                )
    return made


@pytest.mark.parametrize("way", ["batched", "walk"])
def test_the_second_step_takes_the_whole_levels_of_the_first(
    way: str, picture: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both steps give to the bit what the second alone makes of what the first alone has given."""
    monkeypatch.setattr(backend, "SMALL", 10**9 if way == "batched" else 0)
    layer, images = ga.RandAugment(2, 17, interpolation="bilinear"), picture.expand(60, -1, -1, -1).contiguous()
    layer.reseed(0)
    both, params = layer(images, return_params=True)
    first = layer.replay(images, without(params, 2))
    second = layer.replay(first, without(params, 1))
    assert torch.equal(both, second) and not torch.equal(both, first)


def drawn_by_many(layer: Policy) -> Any:
    layer.reseed(3)
    return layer.sample(torch.zeros(1, 3, 30, 40).expand(MANY, -1, -1, -1))[type(layer).__name__]


def test_randaugment_draws_as_torchvision() -> None:
    drawn = drawn_by_many(ga.RandAugment(2, 9))
    pairs = (drawn.op[:, 0] * 14 + drawn.op[:, 1]).bincount(minlength=196)
    assert fits(pairs)  # each as likely, and independent of each other
    signed = (drawn.op > 0) & (drawn.op < 10)
    assert fits((drawn.magnitude[signed] > 0).long().bincount())
    assert (drawn.magnitude[drawn.op == 10] == 7).all() and (drawn.magnitude[~signed] >= 0).all()
    assert (drawn.op != drawn.op[:1]).any()


def test_trivial_augment_draws_as_torchvision() -> None:
    layer = ga.TrivialAugmentWide()
    drawn = drawn_by_many(layer)
    assert fits(drawn.op[:, 0].bincount(minlength=14))
    rotated = drawn.magnitude[drawn.op == layer.space.names.index("Rotate")]
    bins = (rotated.abs() / 4.5).round().long()
    assert fits(bins.bincount(minlength=31)) and fits((rotated[bins > 0] > 0).long().bincount())


@pytest.mark.parametrize("name", list(AUTO_AUGMENT))
def test_auto_augment_draws_as_torchvision(name: str) -> None:
    layer = ga.AutoAugment(v2.AutoAugmentPolicy(name))
    theirs = v2.AutoAugment(v2.AutoAugmentPolicy(name))
    assert [tuple((n, p, m or 0) for n, p, m in policy) for policy in theirs._policies] == list(layer.policies)
    drawn = drawn_by_many(layer)
    assert fits(drawn.policy.bincount(minlength=25))
    for i, policy in enumerate(theirs._policies):
        mine = drawn.policy == i
        for step, (operation, p, level) in enumerate(policy):
            assert (drawn.op[mine, step] == layer.space.names.index(operation)).all()
            share, n = drawn.applied[mine, step].double().mean(), mine.sum()
            assert abs(share - p) <= 5 * (p * (1 - p) / n) ** 0.5
            line, _ = theirs._AUGMENTATION_SPACE[operation]
            strength = line(10, 30, 40)
            if strength is not None:
                expected = float(strength[level].float().trunc() if "Translate" in operation else strength[level])
                assert (drawn.magnitude[mine, step].abs() == expected).all()


@pytest.mark.parametrize("make", [lambda: ga.RandAugment(2, 9), ga.TrivialAugmentWide, lambda: ga.AutoAugment("svhn")])
def test_points_lie_on_their_content(make: Any) -> None:
    batch = 40
    points = torch.rand(batch, 12, 2, generator=torch.Generator().manual_seed(1)).double() * torch.tensor([W, H])
    boxes = torch.cat((points[:, :6] - 3, points[:, :6] + 3), dim=-1)
    values = {
        "image": coordinates(batch),
        "where": coordinates(batch),
        "boxes": boxes,
        "mask": coordinates(batch)[:, 0],
    }
    layer = ga.Compose([make()], seed=4, roles={"where": "dense"})
    out, params = layer(values, return_params=True)
    keypoints = layer.replay({"image": coordinates(batch), "keypoints": points}, params)
    checked = 0
    for b in range(batch):
        found, ok = read_at(out["where"][b], keypoints["keypoints"][b])
        ok = ok & keypoints["visible"][b].bool()
        far = (found * 100 - points[b]).norm(dim=1)[ok]
        checked += len(far)
        assert far.numel() == 0 or far.max() < 0.25
    assert checked > batch * 5
    moved = (params.matrix - torch.eye(3)).abs().flatten(1).amax(1) > 1e-9
    still = ~moved & out["valid"].all(1)
    assert moved.any()
    inside = boxes[still].clamp(min=0).minimum(torch.tensor([W, H] * 2))
    assert (out["boxes"][still] - inside).abs().max() < 1e-6
    # A mask shows what the nearest pixel shows, once through all steps.
    shown = (out["where"][:, 0] - out["mask"]).abs()[out["where"][:, 2] > 0.999]
    assert shown.max() < 0.012


def test_nothing_waits_and_the_kernels_are_few() -> None:
    for dtype in (torch.uint8, torch.float32):
        images = torch.empty((64, 3, 224, 224), dtype=dtype, device="meta")  # the filter's scratch is counted too
        layer = ga.Compose([ga.RandAugment(2, 9)], backend="triton", seed=0)
        layer(images)
        counts = count(layer, images)
        assert (counts.synchronising, counts.host_to_device, counts.host_operations) == (0, 0, 0)
        assert counts.image_sized <= 8 and counts.traffic <= 6, (counts.image_sized, counts.traffic)
    for make in (ga.TrivialAugmentWide, ga.AutoAugment):
        layer = ga.Compose([make()], seed=0)
        layer(images)
        counts = count(layer, images)
        assert (counts.synchronising, counts.host_to_device, counts.host_operations) == (0, 0, 0)


def test_a_step_is_a_warp_a_place_and_a_filter() -> None:
    layer, images = ga.RandAugment(2, 9), example(4, (3, 23, 17), torch.uint8)
    steps = layer.plan(Batch(images), layer.sample(images).values).finish()
    assert [(s.warp is not None, len(s.program), s.filter is not None, s.rounds) for s in steps] == [
        (True, 1, False, False), (False, 0, True, True), (True, 1, False, False), (False, 0, True, False)
    ]  # fmt: skip


def test_a_policy_in_other_containers() -> None:
    """Gated off, chosen against or placed: a sample that does not take it is left as it is."""
    images = example(40, (3, 23, 17), torch.uint8)
    policy = ga.TrivialAugmentWide()
    for layer, name in (
        (ga.RandomApply([policy], p=0.5), "TrivialAugmentWide"),
        (ga.RandomChoice([policy, ga.RandomInvert(p=0.0)]), "TrivialAugmentWide"),
        (ga.SomeOf([policy, ga.RandomInvert(p=0.0)], 1), "TrivialAugmentWide"),
    ):
        layer.reseed(0)
        out, params = layer(images, return_params=True)
        off = ~params[name].gate
        assert 5 < off.sum() < 35 and torch.equal(out[off], images[off]) and not torch.equal(out[~off], images[~off])
    layer = ga.RandomOrder([policy, ga.RandomInvert(p=1.0)])
    layer.reseed(0)
    out, params = layer(images, return_params=True)
    after = params["RandomOrder"].order[:, 0] == 1
    alone = policy.replay(255 - images, policy_params(policy, images, params))
    assert (out[after].int() - alone[after].int()).abs().max() <= 1


def policy_params(policy: Policy, images: Tensor, params: Any) -> Any:
    """Return the parameters that a policy had in a RandomOrder, for the policy alone."""
    alone = policy.sample(images)
    for name in alone.values:
        alone.values[name] = vars(params[name])
    return alone


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ga.RandAugment(-1), "RandAugment: num_ops must be at least 0, got -1"),
        (lambda: ga.RandAugment(2, 31), "RandAugment: magnitude must be within [0, 30], got 31"),
        (lambda: ga.RandAugment(2.5), "RandAugment: num_ops must be a whole number, got 2.5"),
        (lambda: ga.TrivialAugmentWide(1), "TrivialAugmentWide: num_magnitude_bins must be at least 2, got 1"),
        (lambda: ga.AutoAugment("coco"), "AutoAugment: policy must be one of imagenet, cifar10, svhn, got 'coco'"),
        (lambda: ga.RandAugment(interpolation="area"), "RandAugment: interpolation must be one of"),
        (lambda: ga.RandAugment()(torch.zeros(2, 5, 8, 9)), "RandAugment: images must have 1 or 3 channels, got 5"),
    ],
)
def test_refusals(make: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError)) as error:
        make()
    assert message in str(error.value)


POLICIES = (ga.RandAugment, ga.TrivialAugmentWide, ga.AutoAugment, ga.AugMix)


@pytest.mark.parametrize(
    "make", [*POLICIES, *(lambda s=s, **k: ga.auto_augment(s, **k) for s in ("rand", "augmix", "v0"))]
)
def test_each_reads_and_fills_as_it_is_told(make: Any) -> None:
    layer = make(interpolation="bicubic", fill=(3, 4, 5))
    images = torch.zeros(2, 3, 30, 40)
    nodes = layer.plan(Batch(images), layer.sample(images).values).finish()
    steps = [step for one in nodes for step in (one.mix.chains if one.mix is not None else [[one]])]
    warps = [one.warp for chain in steps for one in chain if one.warp is not None]
    assert warps and layer.interpolation == "bicubic" and layer.fill == (3, 4, 5)


def test_ragged_images_are_shifted_by_a_share_of_their_own_size() -> None:
    sizes = [(40, 60), (120, 30), (60, 200)]
    layer = ga.RandAugment(1, 30)
    layer.reseed(0)
    params = layer.sample([torch.zeros(3, *size) for size in sizes * 40])
    drawn, seen = params["RandAugment"], set()
    for op, magnitude, (h, w) in zip(drawn.op[:, 0].tolist(), drawn.magnitude[:, 0].tolist(), sizes * 40, strict=True):
        name = layer.space.names[op]
        if name.startswith("Translate"):
            assert abs(magnitude) == int(150 / 331 * (w if name == "TranslateX" else h)), name
            seen.add((name, h))
    assert len(seen) == 6


def test_no_operations_change_nothing() -> None:
    images = example(3, (3, 23, 17))
    assert ga.RandAugment(0)(images) is images
