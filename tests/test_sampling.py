"""Who draws what: ids, epochs, copies, ranks, workers, steps and columns never share draws; nothing else matters."""

from __future__ import annotations

import math
from collections import Counter
from itertools import combinations, permutations
from typing import Any

import pytest
import scipy.stats
import torch
from processes import STARTING
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

import gpuaug as ga
from gpuaug.sampling.params import Params

SHAPE = (3, 9, 13)


def pipeline(**settings: Any) -> ga.Compose:
    return ga.Compose(
        [
            ga.RandomResizedCrop((6, 8)),
            ga.RandomHorizontalFlip(),
            ga.RandomApply([ga.ColorJitter(0.4, 0.4, 0.4, 0.1)], p=0.8),
            ga.RandomErasing(p=0.5, value="random"),
        ],
        **{"seed": 5, **settings},
    )


def rows(params: Params) -> list[Tensor]:
    """Return what was drawn for each sample, as one row of float64."""
    tensors = [t for drawn in params.values.values() for t in drawn.values()]
    return list(torch.cat([t.double().flatten(1) if t.dim() > 1 else t.double()[:, None] for t in tensors], dim=1))


def draws(layer: ga.Compose, ids: list[int] | None = None, n: int = 4, **call: Any) -> list[Tensor]:
    n = n if ids is None else len(ids)
    given = None if ids is None else torch.tensor(ids)
    return rows(layer.sample(torch.zeros(n, *SHAPE), ids=given, **call))


def test_a_sample_is_a_function_of_seed_epoch_and_id() -> None:
    """Bit for bit, in another batch, order, batch size, rank and process state (regressions 2.5)."""
    reference = dict(enumerate(draws(pipeline(), list(range(12)))))
    for ids in ([3, 1, 7], [11], [5, 4, 3, 2, 1, 0], [7, 7]):
        for rank in (None, 3):
            layer = pipeline(rank=rank)
            layer(torch.zeros(2, *SHAPE))  # the step does not matter
            for i, row in zip(ids, draws(layer, ids), strict=True):
                assert torch.equal(row, reference[i])
    layer = pipeline()
    layer.set_epoch(1)
    for i, row in enumerate(draws(layer, list(range(12)))):
        assert not torch.isclose(row, reference[i]).all()
    layer.set_epoch(0)
    for i, row in enumerate(draws(layer, list(range(12)))):
        assert torch.equal(row, reference[i])


def test_copies_are_told_apart() -> None:
    layer = pipeline()
    for ids in ([1, 2, 3], None):
        first, second, again = (draws(layer, ids, copy=c) for c in (0, 1, 1))
        assert all(torch.equal(a, b) for a, b in zip(second, again, strict=True))
        assert not any(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_steps_and_ranks_are_told_apart() -> None:
    """Same seed on two ranks, over three steps: 24 different rows (regressions 2.4)."""
    seen = []
    for rank in (0, 1):
        layer = pipeline(rank=rank)
        for _ in range(3):
            _, params = layer(torch.zeros(4, *SHAPE), return_params=True)
            seen += rows(params)
    assert len({tuple(row.tolist()) for row in seen}) == 24


def test_positions_and_ids_are_told_apart() -> None:
    layer = pipeline(rank=0)
    by_position, by_id = draws(layer, None), draws(layer, [0, 1, 2, 3])
    assert not any(torch.equal(a, b) for a, b in zip(by_position, by_id, strict=True))


def test_taking_a_transform_out_leaves_the_draws_of_the_others() -> None:
    """Paired ablations, in nested containers too."""

    def steps() -> list[Any]:
        return [
            ga.RandomHorizontalFlip(),
            ga.RandomRotation(20),
            ga.RandomApply([ga.ColorJitter(0.4), ga.RandomGamma(p=0.5)], p=0.7),
            ga.RandomSolarize(0.5),
        ]

    images = torch.zeros(6, *SHAPE)
    whole = ga.Compose(steps(), seed=1).sample(images)
    for out in range(4):
        kept = [step for i, step in enumerate(steps()) if i != out]
        part = ga.Compose(kept, seed=1).sample(images)
        for name, drawn in part.values.items():
            for key, value in drawn.items():
                assert torch.equal(value, whole.values[name][key]), (name, key)
    inner = ga.Compose([*steps()[:2], ga.RandomApply([ga.RandomGamma(p=0.5)], p=0.7), steps()[3]], seed=1)
    part = inner.sample(images)
    assert torch.equal(part["RandomGamma"].gate, whole["RandomGamma"].gate)
    assert torch.equal(part["RandomGamma"].gamma, whole["RandomGamma"].gamma)


class _Loaded(Dataset):
    """Augments in the worker: what a user does who keeps the CPU loader."""

    def __init__(self, layer: ga.Compose) -> None:
        self.layer = layer

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> Tensor:
        _, params = self.layer(torch.zeros(1, *SHAPE), return_params=True)
        return rows(params)[0]


@pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")  # of a machine with one core
@pytest.mark.parametrize("persistent", [True, False])
def test_loader_workers_and_epochs_never_share(persistent: bool) -> None:
    """Two spawned workers over two epochs, as regressions 2.3 and Albumentations' X #266.

    A worker that is started anew each epoch knows nothing of the last one: `set_epoch`, or the step, is the caller's.
    """
    layer = pipeline()
    loader = DataLoader(
        _Loaded(layer),
        batch_size=2,
        num_workers=2,
        multiprocessing_context=STARTING if persistent else "fork",
        persistent_workers=persistent,
    )
    seen = []
    for _ in range(2):
        seen += [tuple(row.tolist()) for batch in loader for row in batch]
        if not persistent:
            layer._advance()
            layer._state[1] += 8
    assert len(set(seen)) == 16


# -- laws, against torchvision's own draws


def test_every_crop_position_is_drawn_equally() -> None:
    """The last position too (regressions, Albumentations A #555; kornia #4730)."""
    layer = ga.RandomCrop((7, 9))
    layer.reseed(3)
    images = torch.zeros(6000, 1, 10, 11)
    drawn = layer.sample(images)["RandomCrop"]
    for values, places in ((drawn.top, 4), (drawn.left, 3)):
        counts = Counter(int(v) for v in values)
        assert sorted(counts) == list(range(places))
        assert scipy.stats.chisquare([counts[i] for i in range(places)]).pvalue > 1e-4


def test_resized_crops_follow_torchvision() -> None:
    n, (h, w) = 3000, (120, 90)
    layer = ga.RandomResizedCrop(16)
    layer.reseed(4)
    ours = layer.sample(torch.empty(n, 1, h, w))["RandomResizedCrop"]
    torch.manual_seed(0)
    image = torch.empty(1, h, w)
    crop = v2.RandomResizedCrop(16)
    theirs = torch.tensor([list(crop.make_params([image]).values()) for _ in range(n)]).double()
    top, left, height, width = theirs.unbind(1)
    pairs = {
        "top": (ours.top, top),
        "left": (ours.left, left),
        "height": (ours.height, height),
        "width": (ours.width, width),
        "area": (ours.height * ours.width, height * width),
        "aspect": (ours.width / ours.height, width / height),
    }
    for name, (a, b) in pairs.items():
        assert scipy.stats.ks_2samp(a.double().numpy(), b.numpy()).pvalue > 1e-4, name


def test_erased_rectangles_follow_torchvision() -> None:
    n, (h, w) = 3000, (60, 45)
    layer = ga.RandomErasing(p=1.0)
    layer.reseed(5)
    boxes = layer.sample(torch.empty(n, 3, h, w))["RandomErasing"].boxes[:, 0].double()
    torch.manual_seed(0)
    image, theirs = torch.empty(3, h, w), v2.RandomErasing(p=1.0)
    drawn = [theirs.make_params([image]) for _ in range(n)]
    expected = torch.tensor([[d["i"], d["j"], d["h"], d["w"]] for d in drawn]).double()
    for k, name in enumerate(("top", "left", "height", "width")):
        assert scipy.stats.ks_2samp(boxes[:, k].numpy(), expected[:, k].numpy()).pvalue > 1e-4, name


def test_jitter_takes_every_order_equally() -> None:
    """Read from pixels: each of the six orders of three operations leaves its own value."""
    factors = {"brightness": 1.6, "saturation": 2.5, "contrast": 1.9}
    image = torch.rand((1, 3, 3, 4), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    operations = {
        "brightness": ga.functional.adjust_brightness,
        "saturation": ga.functional.adjust_saturation,
        "contrast": ga.functional.adjust_contrast,
    }
    outcomes = []
    for order in permutations(factors):
        x = image
        for name in order:
            x = operations[name](x, factors[name])
        outcomes.append(x)
    assert min((a - b).abs().max() for a, b in combinations(outcomes, 2)) > 1e-3
    layer = ga.ColorJitter(**{name: (f, f) for name, f in factors.items()})
    layer.reseed(6)
    n = 1200
    out = layer(image.expand(n, -1, -1, -1))
    gaps = torch.stack([(out - outcome).abs().amax(dim=(1, 2, 3)) for outcome in outcomes])
    assert gaps.min(0).values.max() < 1e-6, "some result is none of the six"
    counts = torch.bincount(gaps.argmin(0), minlength=6)
    assert scipy.stats.chisquare(counts.numpy()).pvalue > 1e-4


def test_eight_copies_of_one_image_come_out_differently(photos: Tensor) -> None:
    """Regressions 2.1: one draw for each sample, not for the batch."""
    out = pipeline()(photos[:1].expand(8, -1, -1, -1))
    for i in range(8):
        for j in range(i):
            assert not torch.equal(out[i], out[j])


def test_probabilities_hold() -> None:
    """Within five standard deviations, alone and nested: p is applied once (regressions 2.7)."""
    n = 4000
    layer = ga.Compose([ga.RandomApply([ga.RandomInvert(p=0.5)], p=0.6), ga.RandomHorizontalFlip(p=0.3)], seed=7)
    params = layer.sample(torch.zeros(n, 1, 2, 3))
    for gate, p in ((params["RandomInvert"].gate, 0.3), (params["RandomHorizontalFlip"].gate, 0.3)):
        assert abs(int(gate.sum()) - n * p) < 5 * math.sqrt(n * p * (1 - p))


def test_kept_parameters_do_not_follow_the_bounds() -> None:
    """What a schedule writes into the table later changes later draws alone, of constants too."""
    layer = ga.Compose([ga.RandomRotation(ga.Constant(30)), ga.RandomSolarize((0.2, 0.9))], seed=0)
    images = torch.rand(3, 3, 10, 12)
    params = layer.sample(images)
    layer._layout._table.mul_(0.5)
    assert params["RandomRotation"].angle.tolist() == [30.0] * 3
    assert layer.sample(images)["RandomRotation"].angle.tolist() == [15.0] * 3
