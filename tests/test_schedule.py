"""Schedules and changes between calls: the next draw follows, uniforms, graphs and compiled code stay."""

from __future__ import annotations

import copy
import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from kernels import images
from test_capture import Tape, recorded  # noqa: F401  # a fixture, used by its name
from torch import Tensor

import gpuaug as ga
from gpuaug.sampling.distributions import as_distribution

X = images((3, 11, 15), torch.float32)


def angles(layer: Any, x: Tensor = X) -> Tensor:
    drawn: Tensor = layer.sample(x)["RandomRotation"].angle
    return drawn


def test_numbers_at_times() -> None:
    assert [ga.Linear(4, 0, over=4, begin=2).at(t) for t in (0, 2, 3, 6, 9)] == [4, 4, 3, 0, 0]
    assert [ga.Cosine(0, 8, over=4).at(t) for t in (0, 2, 4, 7)] == pytest.approx([0, 4, 8, 8])
    assert ga.Cosine(0, 8, over=4).at(1) == pytest.approx(4 - 4 * 2**-0.5)
    held, even = ga.Piecewise({10: 1.0, 0: 0.0}), ga.Piecewise({2: 1.0, 6: 5.0}, interpolate=True)
    assert [held.at(t) for t in (0, 9, 10, 99)] == [0, 0, 1, 1] and [even.at(t) for t in (0, 3, 6, 9)] == [1, 2, 5, 5]
    ramp = ga.Ramp(1.0, 5.0, over=20, up=4, down=10)
    assert [ramp.at(t) for t in (0, 1, 4, 10, 15, 20, 30)] == [1, 2, 5, 5, 3, 1, 1]
    assert ramp.support() == (1, 5) and held.support() == (0, 1)
    assert ga.Ramp(1.0, 5.0, over=20, down=10).support() == (1, 5)
    assert [ga.Cosine(0, 8, over=4, begin=3).at(t) for t in (0, 3, 5, 7)] == pytest.approx([0, 0, 4, 8])


def test_a_range_follows_the_epoch_and_the_uniforms_stay() -> None:
    """The angle is exactly that of a layer that was built with the numbers of the epoch."""
    layer = ga.Compose([ga.RandomHorizontalFlip(), ga.RandomRotation(ga.Linear(0, 30, over=10))], seed=4)
    assert not angles(layer).any()
    for epoch, d in ((5, 15.0), (10, 30.0), (20, 30.0), (1, 3.0)):
        layer.set_epoch(epoch)
        fixed = ga.Compose([ga.RandomHorizontalFlip(), ga.RandomRotation(d)], seed=4)
        assert torch.equal(angles(layer), angles(fixed)) and angles(layer).abs().max() > 0.1
        flips = [each.sample(X)["RandomHorizontalFlip"].gate for each in (layer, fixed)]
        assert torch.equal(*flips)


MANY = torch.zeros(400, 3, 6, 9)


@pytest.mark.parametrize(
    ("make", "fixed"),
    [
        (lambda s: ga.RandomAffine(ga.Uniform(s, 9.0), (s, 0.5)), lambda v: ga.RandomAffine((v, 9.0), (v, 0.5))),
        (lambda s: ga.ColorJitter(s, hue=(0.0, s)), lambda v: ga.ColorJitter(v, hue=(0.0, v))),
        (lambda s: ga.RandomPerspective(s), lambda v: ga.RandomPerspective(v)),
        (lambda s: ga.RandomGamma(ga.LogUniform(s, 9.0)), lambda v: ga.RandomGamma(ga.LogUniform(v, 9.0))),
        (lambda s: ga.RandomErasing(scale=(0.1, s)), lambda v: ga.RandomErasing(scale=(0.1, v))),
        (lambda s: ga.GaussianNoise(s, (0.0, s)), lambda v: ga.GaussianNoise(v, (0.0, v))),
        (lambda s: ga.RandomPhotometricDistort(p=s), lambda v: ga.RandomPhotometricDistort(p=v)),
        (
            lambda s: ga.RandomApply([ga.RandomInvert(p=1.0)], p=s),
            lambda v: ga.RandomApply([ga.RandomInvert(p=1.0)], v),
        ),
        (lambda s: ga.SomeOf([ga.RandomInvert(p=1.0)], p=s), lambda v: ga.SomeOf([ga.RandomInvert(p=1.0)], p=v)),
        (
            lambda s: ga.RandomChoice([ga.RandomInvert(1.0), ga.RandomGamma(p=1.0)], [s, 1.0]),
            lambda v: ga.RandomChoice([ga.RandomInvert(1.0), ga.RandomGamma(p=1.0)], [v, 1.0]),
        ),
        (
            lambda s: ga.OneOf([ga.RandomInvert(s), ga.RandomGamma(p=1.0)], s),
            lambda v: ga.OneOf([ga.RandomInvert(v), ga.RandomGamma(p=1.0)], v),
        ),
        (lambda s: ga.RandomPosterize((ga.Linear(2, 6, 8), 7)), lambda v: ga.RandomPosterize((4, 7))),
        (
            lambda s: ga.CoarseDropout((1, 2), (0.1, 0.1), (0.1, s)),
            lambda v: ga.CoarseDropout((1, 2), (0.1, 0.1), (0.1, v)),
        ),
    ],
)
def test_every_kind_of_argument(make: Any, fixed: Any) -> None:
    layer, other = (ga.Compose([one], seed=2) for one in (make(ga.Linear(0.2, 0.4, over=8)), fixed(0.4 - 0.1)))
    before = layer.sample(MANY)
    layer.set_epoch(4)
    now, expected = layer.sample(MANY), other.sample(MANY)
    differs = False
    for name, drawn in expected.values.items():
        for key, value in drawn.items():
            assert torch.allclose(now.values[name][key].double(), value.double(), atol=1e-6), (name, key)
            differs |= not torch.equal(before.values[name][key], value)
    assert differs


def test_mosaic_off_at_the_end() -> None:
    layer = ga.Compose([ga.RandomInvert(p=ga.Piecewise({0: 1.0, 90: 0.0}))], seed=0)
    assert torch.allclose(layer(X), 1 - X)
    layer.set_epoch(89)
    assert torch.allclose(layer(X), 1 - X)
    layer.set_epoch(90)
    assert torch.equal(layer(X), X)


def test_steps_leave_the_clock_alone_and_state_keeps_the_epoch() -> None:
    def make() -> ga.Compose:
        return ga.Compose(
            [ga.RandomRotation(ga.Linear(0, 8, over=8, by="step")), ga.RandomInvert(ga.Linear(0, 1, over=4))], seed=1
        )

    layer = make()
    state = layer.get_extra_state()
    layer.set_step(4)
    assert torch.equal(layer.get_extra_state(), state)
    assert torch.equal(angles(layer), angles(ga.Compose([ga.RandomRotation(4.0)], seed=1)))
    layer.set_epoch(4)
    assert layer.sample(X)["RandomInvert"].gate.all()
    resumed = make()
    resumed.load_state_dict(layer.state_dict())
    assert resumed.sample(X)["RandomInvert"].gate.all()
    layer.reseed(1)
    assert not layer.sample(X)["RandomInvert"].gate.any() and not angles(layer).any()
    with pytest.raises(ValueError, match="Compose: step must be an integer >= 0, got -1"):
        layer.set_step(-1)


def test_parameters_that_were_drawn_do_not_follow() -> None:
    layer = ga.Compose([ga.GaussianNoise(ga.Linear(0.0, 0.5, over=1), 0.1)], seed=1)
    params = layer.sample(X)
    out = layer.replay(X, params)
    layer.set_epoch(1)
    assert torch.equal(layer.replay(X, params), out) and not torch.equal(layer(X), out)


def steps() -> list[Any]:
    return [
        ga.RandomAffine(ga.Linear(0, 30, over=10), scale=(0.8, ga.Linear(0.9, 1.5, over=10))),
        ga.ColorJitter(ga.Cosine(0, 0.5, over=10), p=ga.Ramp(0.2, 0.9, over=20, up=5, down=5)),
        ga.RandomInvert(ga.Piecewise({0: 1.0, 4: 0.3})),
    ]


def test_compiled_calls_are_not_compiled_again() -> None:
    torch._dynamo.reset()
    layer, eager = ga.Compose(steps(), seed=1), ga.Compose(steps(), seed=1)
    compiled = torch.compile(layer, fullgraph=True, backend="eager")
    seen = []
    for step in range(4):
        with torch._dynamo.config.patch(error_on_recompile=step > 0):
            seen.append(compiled(X))
        assert torch.allclose(seen[-1], eager(X), atol=1e-5)
        layer.set_epoch(3 * step), eager.set_epoch(3 * step)
        layer[2].p = eager[2].p = 0.1 * (step + 1)
        layer[0].set(degrees=5.0 + step), eager[0].set(degrees=5.0 + step)
    torch._dynamo.reset()


def test_captured_calls_follow(recorded: list[Tape]) -> None:  # noqa: F811
    layer, eager = ga.Compose(steps(), seed=1), ga.Compose(steps(), seed=1)
    captured, table = layer.capture(X), layer._layout._table
    for epoch in (0, 5, 10):
        layer.set_epoch(epoch), eager.set_epoch(epoch)
        assert layer._layout._table is table  # written in place
        assert torch.equal(captured(X), eager(X))
    for p in (0.9, 1.0):  # a gate stays where it was, so that no recording is
        layer[2].p = eager[2].p = p
        assert torch.equal(captured(X), eager(X)) and len(recorded) == 1
    layer[0].set(scale=(0.2, 0.4)), eager[0].set(scale=(0.2, 0.4))  # the readings of a pixel are static
    assert torch.equal(captured(X), eager(X)) and len(recorded) == 2


def test_plain_changes_reach_every_table() -> None:
    inner = ga.RandomApply([ga.RandomInvert(p=0.5)], p=1.0)
    layer = ga.Compose([inner, ga.RandomRotation(20, p=1.0)], seed=3)
    half = layer.sample(MANY)
    inner[0].p = 1.0
    assert layer.sample(MANY)["RandomInvert"].gate.all() and inner.sample(MANY)["RandomInvert"].gate.all()
    inner.p = 0.0
    assert not layer.sample(MANY)["RandomInvert"].gate.any()
    inner.p, inner[0].p = 1.0, 0.5
    assert torch.equal(layer.sample(MANY)["RandomInvert"].gate, half["RandomInvert"].gate)
    assert "gate" not in half.values["RandomRotation"]
    layer[1].p = 0.25  # a gate that was not there
    assert 60 < int(layer.sample(MANY)["RandomRotation"].gate.sum()) < 140
    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        twin[1].p = 0.0
        assert not twin.sample(MANY)["RandomRotation"].gate.any() and layer.sample(MANY)["RandomRotation"].gate.any()
    layer[1].set(degrees=(3.0, 4.0))
    drawn = angles(layer, MANY)
    assert (
        3 <= drawn.min()
        and drawn.max() <= 4
        and ga.to_dict(layer)["pipeline"]["args"]["transforms"][1]["args"]["degrees"] == [3.0, 4.0]
    )
    with pytest.raises(ValueError, match="RandomRotation: p must be between 0 and 1, got 2"):
        layer[1].p = 2
    with pytest.raises(TypeError, match=r"RandomRotation: set takes the arguments .*, got \['angle'\]"):
        layer[1].set(angle=3)


def test_a_change_leaves_the_time() -> None:
    layer = ga.Compose([ga.RandomRotation(ga.Linear(0, 30, over=9)), ga.RandomInvert(0.5)], seed=4)
    layer.set_epoch(9)
    layer[1].p = 0.75
    assert torch.equal(angles(layer), angles(ga.Compose([ga.RandomRotation(30)], seed=4)))


def test_containers_and_what_was_not_drawn_may_be_set() -> None:
    layer = ga.Compose([ga.RandomChoice([ga.RandomInvert(1.0), ga.RandomGamma(p=1.0)]), ga.ColorJitter(0.2)], seed=3)
    layer[0].set(p=[0.0, 1.0])
    assert (layer.sample(MANY)["RandomChoice"].index == 1).all()
    brightness = layer.sample(MANY)["ColorJitter"].brightness
    layer[1].set(hue=0.1)
    drawn = layer.sample(MANY)["ColorJitter"]
    assert torch.equal(drawn.brightness, brightness) and drawn.hue.abs().max() <= 0.1
    assert layer(X).shape == X.shape


def test_static_bounds_are_those_of_all_times() -> None:
    shrinking = ga.RandomAffine(0, scale=(ga.Linear(1.0, 0.25, over=3), 1.0))
    assert shrinking.shrink((9, 12)) == pytest.approx(4)
    turning = ga.RandomRotation(ga.Linear(0, 45, over=3), expand=True)
    assert turning.output_canvas((30, 40)) == ga.RandomRotation(45, expand=True).output_canvas((30, 40))
    both = ga.Normal(ga.Linear(0, 2, 3), ga.Linear(3, 1, 3))
    assert both.support() == (-18, 20)


@pytest.mark.parametrize("suffix", [".json", ".yaml"])
def test_schedules_are_written(tmp_path: Path, suffix: str) -> None:
    layer = ga.Compose(steps(), seed=1)
    ga.save(layer, tmp_path / f"policy{suffix}")
    back = ga.load(tmp_path / f"policy{suffix}")
    assert ga.fingerprint(back) == ga.fingerprint(layer) and repr(back) == repr(layer)
    for epoch in (0, 7):
        layer.set_epoch(epoch), back.set_epoch(epoch)
        assert torch.equal(layer(X), back(X))
    hostile = json.loads(json.dumps(ga.to_dict(layer)))
    hostile["pipeline"]["args"]["transforms"][0]["args"]["degrees"]["args"]["over"] = -1
    with pytest.raises(ValueError, match="Linear: over must be > 0"):
        ga.from_dict(hostile)


# -- sizes


def test_drawn_sizes_follow() -> None:
    layer = ga.Compose([ga.RandomResize(ga.Linear(8, 16, over=4), ga.Linear(10, 24, over=4))], seed=0)
    for epoch, sizes in ((0, {8, 9}), (2, {*range(12, 17)}), (9, {*range(16, 24)})):
        layer.set_epoch(epoch)
        assert {layer(X, return_params=True)[1].sizes["RandomResize"] for _ in range(120)} == sizes
    shortest = ga.Compose([ga.RandomShortestSize([ga.Piecewise({0: 6, 3: 9}), 12])], seed=0)
    shortest.set_epoch(3)
    assert {shortest(X).shape[2] for _ in range(30)} == {9, 12} and shortest.eval()(X).shape[2] == 12


def test_progressive_resizing(recorded: list[Tape]) -> None:  # noqa: F811
    def make() -> ga.Compose:
        return ga.Compose([ga.RandomResizedCrop(ga.Linear(6, 12, over=3)), ga.RandomHorizontalFlip()], seed=5)

    layer, eager = make(), make()
    captured = layer.capture(X)
    kept: list[tuple[Tensor, Any]] = []
    for epoch in range(5):
        layer.set_epoch(epoch), eager.set_epoch(epoch)
        side = min(6 + 2 * epoch, 12)
        out, params = eager(X, return_params=True)
        fixed = ga.Compose([ga.RandomResizedCrop(side), ga.RandomHorizontalFlip()], seed=5)
        assert out.shape == (3, 3, side, side) and torch.equal(captured(X), out)
        assert torch.equal(fixed.replay(X, fixed.sample(X)), eager.replay(X, params)) or epoch
        kept.append((out, params))
    assert len(recorded) == 4
    for out, params in kept:  # also after the size has changed
        assert torch.equal(eager.replay(X, params), out)
    assert eager.eval()(X).shape[2:] == (12, 12)


def test_sizes_are_set() -> None:
    layer = ga.Compose([ga.Resize(20), ga.RandomCrop(10)], seed=5)
    with pytest.raises(ValueError, match="set_size needs the name of one of Resize, RandomCrop, got None"):
        layer.set_size(8)
    with pytest.raises(ValueError, match="set_size takes the name of one of Resize, RandomCrop, got 'Crop'"):
        layer.set_size(8, "Crop")
    with pytest.raises(ValueError, match="RandomCrop: size must be at least 1, got 0"):
        layer.set_size(0, "RandomCrop")
    layer.set_size((7, 9), "RandomCrop")
    out, params = layer(X, return_params=True)
    assert out.shape == (3, 3, 7, 9) and layer.eval()(X).shape == (3, 3, 10, 10)
    layer.train().set_size(None, "RandomCrop")
    assert layer(X).shape == (3, 3, 10, 10) and torch.equal(layer.replay(X, params), out)
    jitter = ga.ScaleJitter(16)
    jitter.set_size((8, 12))
    assert jitter(X).shape == (3, 3, 8, 12)


def test_a_set_size_compiles_once() -> None:
    torch._dynamo.reset()
    layer = ga.Compose([ga.RandomResizedCrop(12)], seed=5)
    compiled = torch.compile(layer, fullgraph=True, backend="eager")
    for size in (12, 8):
        layer.set_size(size)
        assert compiled(X).shape[2] == size
        with torch._dynamo.config.patch(error_on_recompile=True):
            assert compiled(X).shape[2] == size
    torch._dynamo.reset()


# -- refusals


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ga.Linear(0, 1, over=0), "Linear: over must be > 0, got 0"),
        (lambda: ga.Linear(0, 1, over=5, by="batch"), "Linear: by must be 'epoch' or 'step', got 'batch'"),
        (lambda: ga.Linear(0, float("nan"), over=5), "Linear: end must be finite, got nan"),
        (lambda: ga.Piecewise({}), "Piecewise: values must be a dict of numbers by time"),
        (lambda: ga.Ramp(0, 1, over=10, up=6, down=6), "Ramp: up and down must be >= 0 and together at most over"),
        (lambda: ga.RandomInvert(ga.Linear(0, 2, over=5)), "RandomInvert: p must be between 0 and 1, got Linear"),
        (lambda: ga.ColorJitter(hue=ga.Linear(0, 1, over=5)), r"ColorJitter: hue must be within \[-0.5, 0.5\]"),
        (  # between the times of its steps
            lambda: ga.Uniform(ga.Linear(0, 8, over=10), ga.Piecewise({0: 3, 10: 9})),
            r"Uniform: \(low, high\) must have low <= high, got \(4",
        ),
        (lambda: ga.Uniform(ga.Linear(0, 9, over=5), 5), r"Uniform: \(low, high\) must have low <= high, got \(9"),
        (
            lambda: as_distribution((ga.Linear(0, 9, over=5), 5), owner="A", name="b"),
            r"A: b must be \(low, high\) with low <= high at any time",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_what_is_no_number_is_refused() -> None:
    with pytest.raises(TypeError, match="Linear: start must be a number, got '0'"):
        ga.Linear("0", 1, over=3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="CenterCrop: size must be an integer"):
        ga.CenterCrop(ga.PerClass({1: 3}, 4))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="Compose: pad_to must be an integer"):
        ga.Compose([], pad_to=ga.Linear(8, 9, over=3))  # type: ignore[arg-type]
