"""Check every inverse CDF against scipy, and how range arguments are read."""

import math
import pickle
from typing import Any

import numpy as np
import pytest
import scipy.stats as st
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

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
    as_distribution,
    static_range,
)

HALF_STEP = 2.0**-25
LAST = 1.0 - 2.0**-24


def truncnorm(mean: float, std: float, low: float, high: float) -> Any:
    return st.truncnorm((low - mean) / std, (high - mean) / std, loc=mean, scale=std)


# Distribution, scipy's law, whether the middle of the step of u is taken, tolerance relative to the spread.
CONTINUOUS = [
    (Uniform(-30, 30), st.uniform(-30, 60), False, 1e-6),
    (Uniform(0.125, 0.25), st.uniform(0.125, 0.125), False, 1e-6),
    (LogUniform(0.25, 4), st.loguniform(0.25, 4), False, 1e-6),
    (LogUniform(1e-3, 1e3), st.loguniform(1e-3, 1e3), False, 2e-6),
    (Normal(0, 1), st.norm(0, 1), True, 2e-6),
    (Normal(-2, 5), st.norm(-2, 5), True, 2e-6),
    (TruncatedNormal(0, 1, -2, 2), truncnorm(0, 1, -2, 2), True, 1e-6),
    (TruncatedNormal(0, 1, 4, 9), truncnorm(0, 1, 4, 9), True, 1e-6),
    (TruncatedNormal(1, 0.5, -8, -2), truncnorm(1, 0.5, -8, -2), True, 1e-6),
    (TruncatedNormal(3, 2, -1, 100), truncnorm(3, 2, -1, 100), True, 1e-6),
    *((Beta(a, a), st.beta(a, a), True, 1e-4) for a in (0.1, 0.2, 0.5, 1, 2, 8, 32, 64)),
    *((Beta(a, b), st.beta(a, b), True, 1e-4) for a, b in ((0.1, 32), (32, 0.1), (2, 5), (0.5, 3), (30, 4))),
]
EVERY = [dist for dist, *_ in CONTINUOUS] + [Integers(-3, 4), Categorical((1, 0, 3, 2)), Constant(2.5)]


def table(dist: Distribution) -> list[Tensor]:
    return [torch.tensor(bound, dtype=torch.float32) for bound in dist.bounds]


def draw(dist: Distribution, u: Tensor) -> Tensor:
    return type(dist).icdf(u, *table(dist))


def uniforms(count: int) -> Tensor:
    """Return (count, 1) seeded uniforms that are multiples of 2**-24."""
    return torch.randint(0, 2**24, (count, 1), generator=torch.Generator().manual_seed(1)).float() * 2.0**-24


def edges() -> Tensor:
    steps = torch.tensor([0, 1, 2, 3, 10, 1000, 2**23 - 1, 2**23])
    return torch.cat((steps, 2**24 - 1 - steps[:6]))[:, None].float() * 2.0**-24


@pytest.mark.parametrize(("dist", "law", "centred", "tolerance"), CONTINUOUS, ids=[str(row[0]) for row in CONTINUOUS])
def test_icdf_equals_scipy(dist: Distribution, law: Any, centred: bool, tolerance: float) -> None:
    u = torch.cat((torch.arange(0, 1, 2.0**-10)[:, None], uniforms(1000), edges()))
    drawn = draw(dist, u).double().numpy()
    expected = law.ppf(u.double().numpy() + HALF_STEP * centred)
    scale = 1.0 if isinstance(dist, Beta) else max(map(abs, static_range(dist)))
    np.testing.assert_allclose(drawn, expected, rtol=0, atol=tolerance * scale)


@pytest.mark.parametrize(("dist", "law", "centred", "tolerance"), CONTINUOUS, ids=[str(row[0]) for row in CONTINUOUS])
def test_law(dist: Distribution, law: Any, centred: bool, tolerance: float) -> None:
    drawn = draw(dist, uniforms(4000)).double().numpy()[:, 0]
    # Near 1 float32 is coarse: much of Beta(a, 0.1) rounds to one value, which is counted instead.
    cap = 0.9999 if isinstance(dist, Beta) else math.inf
    below = drawn[drawn < cap]
    assert st.kstest(below, lambda x: law.cdf(x) / law.cdf(cap)).pvalue > 1e-3
    assert st.binomtest(len(below), len(drawn), law.cdf(cap)).pvalue > 1e-3


@pytest.mark.parametrize("dist", EVERY, ids=str)
def test_draws_stay_within_the_static_range(dist: Distribution) -> None:
    low, high = static_range(dist)
    drawn = draw(dist, torch.cat((uniforms(2000), edges())))
    assert drawn.dtype == torch.float32 and drawn.isfinite().all()
    assert drawn.min() >= np.float32(low) and drawn.max() <= np.float32(high)


@pytest.mark.parametrize("dist", EVERY, ids=str)
def test_icdf_never_falls(dist: Distribution) -> None:
    u = torch.cat((uniforms(3000), edges())).sort(0).values
    drawn = draw(dist, u)
    slack = 1e-6 * max(map(abs, static_range(dist)))
    assert (drawn.diff(dim=0) >= -slack).all()


@pytest.mark.parametrize("dist", EVERY, ids=str)
def test_one_call_equals_separate_calls(dist: Distribution) -> None:
    u = uniforms(70).view(14, 5)
    # Five distributions of one class: bounds of shape (), (5,) and (14, 5) mean the same.
    bounds = table(dist)
    together = type(dist).icdf(u, *bounds)
    assert torch.equal(type(dist).icdf(u, *(bound.expand(5).clone() for bound in bounds)), together)
    assert torch.equal(type(dist).icdf(u, *(bound.expand(14, 5).clone() for bound in bounds)), together)
    for i in range(5):
        assert torch.equal(type(dist).icdf(u[:, i : i + 1], *bounds)[:, 0], together[:, i])
    for row in (0, 13):
        assert torch.equal(type(dist).icdf(u[row : row + 1], *bounds)[0], together[row])


def test_columns_have_their_own_bounds() -> None:
    u = uniforms(60).view(20, 3)
    for dists in (
        [Uniform(0, 1), Uniform(5, 7), Uniform(-1, -1)],
        [Beta(0.2, 0.2), Beta(8, 2), Beta(1, 1)],
        [TruncatedNormal(0, 1, 2, 3), TruncatedNormal(0, 1, -3, -2), TruncatedNormal(9, 2, 0, 20)],
        [Categorical((1, 1)), Categorical((0, 2)), Categorical((9, 1))],
        [Constant(1), Constant(2), Constant(3)],
    ):
        bounds = torch.tensor([dist.bounds for dist in dists]).unbind(1)
        together = type(dists[0]).icdf(u, *bounds)
        for i, dist in enumerate(dists):
            assert torch.equal(together[:, i : i + 1], draw(dist, u[:, i : i + 1]))


@pytest.mark.parametrize("dist", [Uniform(0.1, 0.1), LogUniform(0.3, 0.3), Constant(0.7), Normal(0.7, 0)], ids=str)
def test_degenerate_is_exact(dist: Distribution) -> None:
    drawn = draw(dist, torch.cat((uniforms(500), edges())))
    assert torch.equal(drawn, torch.full_like(drawn, dist.bounds[0]))


def test_uniform_never_passes_high() -> None:
    source = torch.Generator().manual_seed(3)
    low = -torch.rand(1, 20000, generator=source) * 1e-3
    high = torch.rand(1, 20000, generator=source)
    for u in (LAST, 1.0):  # 1 is never drawn, but may be asked for as a quantile
        drawn = Uniform.icdf(torch.full((1, 1), u), low, high)
        assert (drawn <= high).all() and (drawn >= low).all()


def test_integers_are_equally_likely_and_reach_both_ends() -> None:
    drawn = draw(Integers(-3, 4), uniforms(8000))[:, 0]
    values, counts = drawn.unique(return_counts=True)
    assert values.tolist() == list(range(-3, 5))
    assert st.chisquare(counts.numpy()).pvalue > 1e-3
    for high in (1, 2, 9, 1_000_003, 2**24 - 1):
        ends = draw(Integers(0, high), torch.tensor([[0.0, LAST, 1.0]]))
        assert ends.tolist() == [[0.0, float(high), float(high)]]
    exact = torch.arange(0, 2**24, 997)[:, None]
    expected = st.randint(-3, 5).ppf((exact.double().numpy() + 0.5) * 2.0**-24)
    np.testing.assert_array_equal(draw(Integers(-3, 4), exact.float() * 2.0**-24), expected)


def test_categorical_follows_its_weights() -> None:
    dist = Categorical([1, 0, 3, 2, 0])  # type: ignore[arg-type]
    values, counts = draw(dist, uniforms(6000)).unique(return_counts=True)
    assert values.tolist() == [0, 2, 3]
    assert st.chisquare(counts.numpy(), [1000, 3000, 2000]).pvalue > 1e-3
    assert static_range(dist) == (0.0, 3.0)
    assert draw(Categorical((0, 1, 0)), torch.tensor([[0.0, LAST]])).tolist() == [[1, 1]]
    assert draw(Categorical((5,)), torch.tensor([[0.0, LAST]])).tolist() == [[0, 0]]
    assert Categorical((0.1,) * 10).bounds[-1] == 1.0


def test_beta_is_symmetric() -> None:
    u = torch.cat((uniforms(500), edges()))
    mirror = LAST - u
    for a, b in ((0.2, 0.2), (1, 1), (8, 8), (32, 32), (0.1, 20)):
        np.testing.assert_allclose(draw(Beta(a, b), u), 1.0 - draw(Beta(b, a), mirror), rtol=0, atol=1e-7)


@pytest.mark.parametrize("dist", [Uniform(2, 3), LogUniform(2, 3), Normal(2, 3), TruncatedNormal(0, 1, -1, 2)], ids=str)
def test_gradient_equals_finite_difference(dist: Distribution) -> None:
    u = uniforms(40)
    bounds = [bound.double().requires_grad_() for bound in table(dist)]
    grads = torch.autograd.grad(type(dist).icdf(u.double(), *bounds).sum(), bounds)
    for i, grad in enumerate(grads):
        down, up = (
            type(dist).icdf(u.double(), *(b.detach() + step * (j == i) for j, b in enumerate(bounds))).sum()
            for step in (-1e-5, 1e-5)
        )
        assert grad.item() == pytest.approx(((up - down) / 2e-5).item(), rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("cls", [Uniform, LogUniform])
def test_gradient_of_a_degenerate_range_is_whole(cls: type[Distribution]) -> None:
    low, high = (torch.tensor(1.0, requires_grad=True) for _ in range(2))
    cls.icdf(torch.tensor([[0.25]]), low, high).backward()
    assert low.grad is not None and high.grad is not None
    assert (low.grad.item(), high.grad.item()) == pytest.approx((0.75, 0.25))


def test_truncated_normal_far_out_is_finite() -> None:
    bounds = [torch.tensor(v, requires_grad=True) for v in (0.0, 1.0, 50.0, 60.0)]
    drawn = TruncatedNormal.icdf(edges(), *bounds)
    drawn.sum().backward()
    assert ((drawn >= 50) & (drawn <= 60)).all()
    assert all(bound.grad is not None and bound.grad.isfinite() for bound in bounds)


def test_constant_is_not_a_view_of_the_table() -> None:
    value = torch.tensor(1.0)
    drawn = Constant.icdf(torch.zeros(2, 1), value)
    value.fill_(2.0)
    assert drawn.tolist() == [[1.0], [1.0]]


@pytest.mark.parametrize("dist", EVERY[::3] + EVERY[-3:], ids=str)
def test_meta_fake_and_compiled(dist: Distribution) -> None:
    torch._dynamo.reset()
    u, bounds = uniforms(12).view(4, 3), table(dist)
    icdf = type(dist).icdf
    assert icdf(u.to("meta"), *(bound.to("meta") for bound in bounds)).shape == (4, 3)
    with FakeTensorMode() as mode:
        fake = icdf(mode.from_tensor(u), *map(mode.from_tensor, bounds))
    assert fake.shape == (4, 3) and fake.dtype == torch.float32
    compiled = torch.compile(lambda *args: icdf(*args), fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(u, *bounds), icdf(u, *bounds), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("dist", EVERY, ids=str)
def test_pickle_hash_and_repr(dist: Distribution) -> None:
    assert pickle.loads(pickle.dumps(dist)) == dist
    assert hash(dist) == hash(eval(repr(dist))) and eval(repr(dist)) == dist
    assert all(type(bound) is float for bound in dist.bounds)
    with pytest.raises(AttributeError):
        dist.low = 3  # type: ignore[attr-defined]


def test_static_range() -> None:
    assert static_range(Normal(1, 2)) == (-11.0, 13.0)
    assert static_range(TruncatedNormal(0, 1, -2, 3)) == (-2.0, 3.0)
    assert static_range(Constant(4)) == (4.0, 4.0)
    assert static_range(Beta(2, 3)) == (0.0, 1.0)
    assert static_range(Integers(1, 6)) == (1.0, 6.0)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Uniform(3, 1), r"Uniform: \(low, high\) must have low <= high, got \(3, 1\)"),
        (lambda: Uniform(0, math.inf), "Uniform: high must be finite, got inf"),
        (lambda: LogUniform(0, 1), "LogUniform: low must be > 0, got 0"),
        (lambda: Normal(0, -1), "Normal: std must be >= 0, got -1"),
        (lambda: Normal(math.nan, 1), "Normal: mean must be finite, got nan"),
        (lambda: TruncatedNormal(0, 0, -1, 1), "TruncatedNormal: std must be > 0, got 0"),
        (lambda: TruncatedNormal(0, 1, 1, -1), r"TruncatedNormal: \(low, high\) must have low <= high"),
        (lambda: Integers(0, 1.5), "Integers: high must be a whole number"),  # type: ignore[arg-type]
        (lambda: Integers(0, 2**24), "Integers: high must be a whole number below"),
        (lambda: Integers(-(2**23), 2**23), "Integers: high - low must be a whole number below"),
        (lambda: Categorical(()), "Categorical: weights must be >= 0 and not all zero, got"),
        (lambda: Categorical((0, 0)), "Categorical: weights must be >= 0 and not all zero, got"),
        (lambda: Categorical((2, -1)), "Categorical: weights must be >= 0 and not all zero, got"),
        (lambda: Categorical((2, math.nan)), r"Categorical: weights\[1\] must be finite, got nan"),
        (lambda: Beta(0, 1), "Beta: a must be > 0, got 0"),
        (lambda: Beta(1, 65), r"Beta: \(a, b\) must be at most 64, got \(1, 65\)"),
        (lambda: Constant(math.nan), "Constant: value must be finite, got nan"),
    ],
)
def test_bad_distributions_are_refused(build: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        build()


def test_bad_types_are_refused() -> None:
    for value in (True, "1", None, torch.tensor(1.0)):
        with pytest.raises(TypeError, match=r"^Constant: value must be a number, got"):
            Constant(value)  # type: ignore[arg-type]


def read(value: Any, **options: Any) -> Distribution:
    return as_distribution(value, owner="RandomRotation", name="degrees", **options)


def test_as_distribution_reads_ranges() -> None:
    assert read((-10, 20)) == Uniform(-10.0, 20.0) == read([-10, 20])
    assert read((5, 5)) == Uniform(5.0, 5.0)
    assert read(30, symmetric_about=0.0) == Uniform(-30.0, 30.0)
    assert read(0.25, symmetric_about=1.0, low=0.0) == Uniform(0.75, 1.25)
    assert read(np.float32(0.5)) == Constant(0.5)
    assert read(-3) == Constant(-3.0)
    assert read((0, 1), low=0.0, high=1.0) == Uniform(0.0, 1.0)
    given = Normal(0, 5)
    assert read(given, symmetric_about=0.0, low=-30.0, high=30.0) is given


@pytest.mark.parametrize(
    ("value", "options", "message"),
    [
        ((30, -30), {}, "must be (low, high) with low <= high, got (30, -30)"),
        ((1, 2, 3), {}, "must be (low, high), got (1, 2, 3)"),
        ((), {}, "must be (low, high), got ()"),
        ((0, math.inf), {}, "must be finite, got (0, inf)"),
        (math.nan, {"symmetric_about": 0.0}, "must be finite, got nan"),
        (-1, {"symmetric_about": 0.0}, "must be >= 0 as a single number, got -1"),
        ((0, 2), {"low": 0.0, "high": 1.0}, "must be within [0, 1], got (0, 2)"),
        ((-1, 2), {"low": 0.0}, "must be within [0, inf], got (-1, 2)"),
        (2, {"high": 1.0}, "must be within [-inf, 1], got 2"),
        (1.5, {"symmetric_about": 1.0, "low": 0.0}, "must be within [0, inf], got 1.5"),
        (
            Normal(0, 1),
            {"low": -5.0},
            "must be within [-5, inf], got Normal(mean=0, std=1); TruncatedNormal has bounds",
        ),
    ],
)
def test_as_distribution_refuses_bad_values(value: Any, options: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError) as caught:
        read(value, **options)
    assert str(caught.value) == f"RandomRotation: degrees {message}"


@pytest.mark.parametrize("value", [True, "30", None, (True, 2), ("a", "b"), {1, 2}, torch.tensor([0.0, 1.0])])
def test_as_distribution_refuses_bad_types(value: Any) -> None:
    with pytest.raises(TypeError, match=r"^RandomRotation: degrees must be a number, a"):
        read(value, symmetric_about=0.0)
