"""What NumPy draws on the CPU is bit for bit what torch's operations draw."""

from __future__ import annotations

import pickle
from collections.abc import Callable

import numpy as np
import pytest
import torch

import gpuaug as ga
from gpuaug.sampling import layout as layouts
from gpuaug.sampling.distributions import (
    Beta,
    Categorical,
    Constant,
    Distribution,
    Integers,
    LogUniform,
    Normal,
    TruncatedNormal,
    Uniform,
)
from gpuaug.sampling.generator import uniform
from gpuaug.sampling.host import law_on_host
from gpuaug.sampling.layout import Declaration, Draws, Layout
from gpuaug.sampling.unit import Unit

LAWS: dict[str, tuple[Distribution, int]] = {
    "wide": (Uniform(-3.0e38, 3.0e38), 1),
    "narrow": (Uniform(0.1, 0.1 + 1e-8), 1),
    "passing": (Uniform(-0.3, 0.7), 2),
    "plain": (Uniform(2.0, 5.0), 1),
    "whole": (Integers(-3, 4), 3),
    "large": (Integers(-(2**23), 2**23 - 1), 1),
    "choice": (Categorical((1, 0, 3, 2)), 2),
    "one": (Categorical((5,)), 1),
    "unit": (Unit(), 1),
    "fixed": (Constant(0.3), 1),
    "log": (LogUniform(0.5, 2.0), 1),
    "normal": (Normal(1.0, 2.0), 1),
    "cut": (TruncatedNormal(0.0, 1.0, -1.0, 2.0), 1),
    "beta": (Beta(0.4, 0.6), 1),
}


def drawn(layout: Layout, clock: int, batch: int = 37) -> Draws:
    return layout.draw(torch.tensor([2**40 + 7, clock]), torch.arange(batch), torch.tensor([1 << 31]))


def assert_same(a: Draws, b: Draws) -> None:
    assert a.keys() == b.keys()
    for name, params in a.items():
        assert params.keys() == b[name].keys()
        for key, value in params.items():
            other = b[name][key]
            assert value.dtype == other.dtype and value.shape == other.shape and torch.equal(value, other), (name, key)


def test_numpy_draws_the_bits_of_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    declarations = [Declaration("A", LAWS, 0.3), Declaration("B", {"x": (Uniform(1.0, 2.0), 1)}, 0.7)]
    here = drawn(Layout(declarations), 4, 301)
    monkeypatch.setattr(layouts, "is_plain", lambda *tensors: False)
    assert_same(here, drawn(Layout(declarations), 4, 301))


def test_laws_that_could_pass_their_bound_are_left_to_torch() -> None:
    """NumPy leaves the comparison with the upper end out: it is asked whether the largest uniform passes it."""
    ends = [np.array([v], dtype=np.float32) for v in (2.0, 5.0)]
    for law in (Uniform, Integers):
        assert layouts.law_on_host(law, ends) is not None
        assert layouts.law_on_host(law, ends[::-1]) is None
    huge = [np.array([v], dtype=np.float32) for v in (-3e38, 3e38)]
    assert layouts.law_on_host(Uniform, huge) is None and layouts.law_on_host(Normal, ends) is None


def test_what_is_drawn_ahead_is_what_would_be_drawn() -> None:
    """One call after another, with jumps, other samples between, and numbers that change."""
    laws = {name: law for name, law in LAWS.items() if name != "beta"}  # the slowest
    declarations = [Declaration("A", laws, ga.Linear(0.1, 0.9, 6, begin=2, by="step"))]
    layout = Layout(declarations)
    for clock in (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 3, 4, 5, 40, 41, 39):
        times = {"epoch": 0, "step": clock}
        layout.write(times)
        assert_same(drawn(layout, clock), drawn(Layout(declarations, times), clock))
        if clock == 6:
            assert_same(drawn(layout, clock, 5), drawn(Layout(declarations, times), clock, 5))
    words, columns = layout._blocks, layout._columns
    u = uniform(torch.tensor([2**40 + 7, 39]), torch.arange(37), torch.tensor([1 << 31]), words, columns)
    assert layout._ahead is not None
    assert torch.equal(torch.from_numpy(layout._ahead.at(torch.tensor([2**40 + 7, 39]), *SAMPLES)), u)


SAMPLES = (torch.arange(37), torch.tensor([1 << 31]))


def test_parameters_are_nobodys_else() -> None:
    """Writing into what a call returned changes no later call; what is remembered is not saved."""
    layer, images = ga.Compose([ga.RandomPosterize(4), ga.RandomRotation(30)], seed=3), torch.zeros(4, 3, 8, 10)
    before = [layer.sample(images) for _ in range(2)]
    for name, params in before[0].values.items():
        assert all(torch.equal(value, before[1].values[name][key]) for key, value in params.items())
        for value in params.values():
            value.zero_()
    again = layer.sample(images)
    for name, params in before[1].values.items():
        assert all(torch.equal(value, again.values[name][key]) for key, value in params.items())
    kept = pickle.loads(pickle.dumps(layer))._layout
    assert kept._ahead is None and kept._laws is None


@pytest.mark.parametrize(
    "make",
    [
        lambda: ga.Compose([ga.RandomResizedCrop((9, 7), scale=(0.01, 2.0)), ga.RandomHorizontalFlip()], seed=3),
        lambda: ga.Compose([ga.RandAugment(), ga.TrivialAugmentWide(), ga.RandomRotation(40)], seed=3),
        lambda: ga.Compose([ga.RandomAffine(10, (0.1, 0.2), (0.8, 1.2), 5, p=0.5)], seed=3),
    ],
)
def test_parameters_by_numpy_are_those_by_torch(
    make: Callable[[], ga.Compose], monkeypatch: pytest.MonkeyPatch
) -> None:
    images = torch.zeros(64, 3, 23, 31)
    here = make().sample(images, strength=0.7)
    for place in ("gpuaug._compiling", "gpuaug._arrays", "gpuaug.sampling.host"):
        monkeypatch.setattr(f"{place}.in_memory", lambda tensor: False)
    assert_same(here.values, make().sample(images, strength=0.7).values)


@pytest.mark.parametrize("law", [Uniform(-3.0, 5.0), Integers(-3, 4), Categorical((1, 0, 3, 4)), Unit()])
def test_laws_of_the_host_at_the_ends_of_their_steps(law: Distribution) -> None:
    eighths = np.arange(8, dtype=np.float32) / 8  # where a step of the last three begins
    u = np.concatenate((eighths, np.nextafter(eighths[1:], np.float32(0)), [np.float32(1 - 2**-24)]))[:, None]
    bounds = [np.full(1, value, np.float32) for value in law.numbers().values()]
    host = law_on_host(type(law), bounds)
    assert host is not None
    expected = type(law).icdf(torch.from_numpy(u), *map(torch.from_numpy, bounds))
    assert torch.equal(torch.from_numpy(host(u)), expected)
