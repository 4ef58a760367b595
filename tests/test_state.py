"""Seed and clock: where they are kept, when they move, what they follow."""

from __future__ import annotations

import copy
import io
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import gpuaug as ga
from gpuaug.testing import example

IMAGES = example(4, (3, 9, 13))


def make(**settings: Any) -> ga.Compose:
    return ga.Compose([ga.RandomRotation(30), ga.RandomApply([ga.ColorJitter(0.4)], p=0.5)], **settings)


class Model(nn.Module):
    """A model that contains the layer."""

    def __init__(self, **settings: Any) -> None:
        super().__init__()
        self.augment = make(**settings)
        self.head = nn.Linear(3, 2)


def test_the_state_travels_with_the_module_that_holds_the_layer() -> None:
    model = Model(seed=3)
    for _ in range(3):
        model.augment(IMAGES)
    state = model.state_dict()
    following = model.augment(IMAGES)
    other = Model(seed=8)
    other.load_state_dict(state)
    assert torch.equal(other.augment(IMAGES), following)


def test_the_state_is_no_buffer_and_no_parameter() -> None:
    """DistributedDataParallel broadcasts buffers: every rank would draw the same."""
    model = Model(seed=3)
    assert list(model.augment.buffers()) == [] and list(model.augment.parameters()) == []
    half = copy.deepcopy(model).half()
    assert torch.equal(half.augment(IMAGES), model.augment(IMAGES))


def test_a_checkpoint_without_the_layer_loads() -> None:
    plain = {k: v for k, v in Model(seed=1).state_dict().items() if "augment" not in k}
    Model(seed=2).load_state_dict(plain)
    unsaved = Model(seed=1, save_state=False)
    unsaved.augment(IMAGES)
    assert not any("augment" in key for key in unsaved.state_dict())


def test_only_training_calls_advance_the_clock() -> None:
    layer = make(seed=4)
    expected = [layer(IMAGES) for _ in range(2)][1]
    layer.reseed(4)
    layer(IMAGES)
    layer.sample(IMAGES)
    layer.replay(IMAGES, layer.sample(IMAGES))
    with torch.inference_mode():
        layer(IMAGES)
    layer.eval()
    layer(IMAGES)
    layer.train()
    assert torch.equal(layer(IMAGES), expected)


def test_what_inference_mode_leaves_can_be_used_for_training() -> None:
    """The first call on a device moves state and bounds there, and a reseeding makes a new state."""
    layer = ga.Compose([ga.RandomRotation(20), ga.ThinPlateSpline()], seed=0)
    images = torch.zeros(2, 3, 10, 12, device="meta")
    with torch.inference_mode():
        layer(images)
    layer(images)
    layer(images.requires_grad_()).sum().backward()
    layer = ga.Compose([ga.RandomRotation(20)], seed=0)
    saved = layer.get_extra_state()
    for set_up in (lambda: layer.reseed(3), lambda: layer.set_extra_state(saved)):
        with torch.inference_mode():
            set_up()
        layer(torch.zeros(2, 3, 10, 12))


def test_no_seed_follows_torch_and_a_seed_leaves_it_alone() -> None:
    outs = []
    for seed in (11, 11, 12):
        torch.manual_seed(seed)
        outs.append(make()(IMAGES))
    assert torch.equal(outs[0], outs[1]) and not torch.equal(outs[0], outs[2])
    state = torch.get_rng_state()
    make(seed=1)(IMAGES)
    assert torch.equal(torch.get_rng_state(), state)


def test_reseed_starts_over() -> None:
    layer = make(seed=6)
    first = layer(IMAGES)
    layer(IMAGES)
    layer.set_epoch(9)
    layer.reseed(6)
    assert torch.equal(layer(IMAGES), first)
    layer.reseed(7)
    assert not torch.equal(layer(IMAGES), first)


def test_params_hold_a_copy_of_the_state() -> None:
    layer = make(seed=2)
    params = layer.sample(IMAGES)
    before = params.state.clone()
    layer(IMAGES)
    assert torch.equal(params.state, before)


def test_ids_need_a_seed() -> None:
    with pytest.raises(ValueError, match=r"Compose: ids need an explicit seed.*seed=None"):
        make()(IMAGES, ids=torch.arange(4))


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (torch.arange(3), r"ids must be an integer tensor of shape \(4,\), got torch.int64 \(3,\)"),
        (torch.zeros(4), r"ids must be an integer tensor of shape \(4,\), got torch.float32 \(4,\)"),
    ],
)
def test_wrong_ids_are_refused(ids: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(seed=0)(IMAGES, ids=ids)


@pytest.mark.parametrize("epoch", [-1, 1.0, True])
def test_wrong_epochs_are_refused(epoch: Any) -> None:
    with pytest.raises(ValueError, match="Compose: epoch must be an integer >= 0, got"):
        make(seed=0).set_epoch(epoch)


@pytest.mark.parametrize("name", ["seed", "rank"])
def test_wrong_seeds_are_refused(name: str) -> None:
    for value in (1.5, "7", True):
        with pytest.raises(TypeError, match=f"Compose: {name} must be an integer or None"):
            make(**{name: value})


# -- Params


def test_params_can_be_indexed_printed_pickled_and_replayed() -> None:
    import pickle

    layer = make(seed=5)
    out, params = layer(IMAGES, return_params=True)
    angle, gate = params["RandomRotation"].angle, params["ColorJitter"].gate
    for i in range(4):
        done = dict(params[i])
        assert done["RandomRotation"]["angle"] == pytest.approx(angle[i].item(), rel=1e-4)
        assert ("ColorJitter" in done) == bool(gate[i])
        assert f"{done['RandomRotation']['angle']}" in repr(params)
    for index, rows in ((slice(1, 3), [1, 2]), (torch.tensor([3, 0]), [3, 0]), ([2], [2])):
        part = params[index]
        assert len(part) == len(rows)
        assert torch.equal(layer.replay(IMAGES[rows], part), out[rows])
    assert torch.equal(layer.replay(IMAGES, pickle.loads(pickle.dumps(params))), out)
    assert torch.equal(layer.replay(IMAGES, params.to("cpu")), out)
    file = io.BytesIO()
    torch.save(params, file)
    file.seek(0)
    assert torch.equal(layer.replay(IMAGES, torch.load(file)), out)
    assert len(list(params)) == 4
    with pytest.raises(KeyError, match="no transform 'RandomCrop'; there are RandomRotation, ColorJitter"):
        params["RandomCrop"]
    with pytest.raises(IndexError, match="sample 4 of 4"):
        params[4]


def test_the_matrix_says_where_points_go() -> None:
    """The coordinate image: what is read at the transformed point is where the point came from."""
    h, w = 40, 56
    y, x = torch.meshgrid(torch.arange(h) + 0.5, torch.arange(w) + 0.5, indexing="ij")
    images = torch.stack((x, y)).double().expand(6, -1, -1, -1) / 100
    layer = ga.Compose(
        [
            ga.RandomHorizontalFlip(),
            ga.RandomResizedCrop((48, 36), scale=(0.6, 1.0)),
            ga.RandomAffine(25, (0.1, 0.1), (0.9, 1.3), 8),
            ga.RandomPerspective(0.2, p=1.0),
        ],
        seed=1,
    )
    out, params = layer(images, return_params=True)
    points = torch.tensor([[20.3, 11.7], [30.0, 21.2], [27.7, 30.4]], dtype=torch.float64)
    homogeneous = torch.cat((points, torch.ones(3, 1, dtype=torch.float64)), dim=1)
    moved = torch.einsum("bij,nj->bni", params.matrix.double(), homogeneous)
    moved = moved[..., :2] / moved[..., 2:]
    seen = 0
    for b in range(6):
        for point, (px, py) in zip(points, moved[b].tolist(), strict=True):
            if not (3 < px < 33 and 3 < py < 45):
                continue
            j, i = int(px - 0.5), int(py - 0.5)
            fx, fy = px - 0.5 - j, py - 0.5 - i
            patch = out[b, :, i : i + 2, j : j + 2]
            value = (patch * torch.tensor([[(1 - fx) * (1 - fy), fx * (1 - fy)], [(1 - fx) * fy, fx * fy]])).sum((1, 2))
            if (patch == 0).any():
                continue
            seen += 1
            assert (value * 100 - point).norm() < 0.25
    assert seen >= 6
