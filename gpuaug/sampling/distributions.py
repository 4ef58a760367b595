"""Turn uniforms into draws by inverse CDF: elementwise, with bounds that may change without recompiling."""

import math
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Any, ClassVar

import torch
from torch import Tensor

from gpuaug.sampling.generator import HALF_STEP, invert_beta
from gpuaug.sampling.law import Distribution, Number
from gpuaug.sampling.varying import PerClass, Times, Varying, is_finite, is_number, least, mapped, most, now, parts

__all__ = [
    "Beta", "Categorical", "Constant", "Distribution", "Integers", "LogUniform", "Normal", "TruncatedNormal", "Uniform",
    "as_distribution", "static_range", "within",
]  # fmt: skip

_NORMAL_REACH = 6.0  # the quantile of the half step is 5.42 standard deviations
_MAX_INTEGERS = 1 << 24
_BETA_LARGEST = 64.0


def _clamp(x: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Clamp to [low, high]; at a tie the gradient goes through x whole, where `minimum` would halve it."""
    x = torch.where(x < low, low, x)
    return torch.where(x > high, high, x)


@dataclass(frozen=True)
class Uniform(Distribution):
    """Draw evenly between two numbers.

    Args:
        low: least value; `low == high` gives exactly that value.
        high: greatest value, never exceeded.

    Example:
        >>> Uniform.icdf(torch.tensor([[0.0, 0.5]]), torch.tensor(2.0), torch.tensor(4.0)).tolist()
        [[2.0, 3.0]]
    """

    low: Number
    high: Number

    @classmethod
    def icdf(cls, u: Tensor, *bounds: Tensor) -> Tensor:
        """Map uniforms to draws; differentiable in low and high."""
        low, high = bounds
        x = low + u * (high - low)
        return torch.where(x > high, high, x)  # rounding may pass high by a step


@dataclass(frozen=True)
class LogUniform(Distribution):
    """Draw between two positive numbers, evenly in the logarithm.

    Args:
        low: least value, above zero.
        high: greatest value.

    Example:
        >>> LogUniform.icdf(torch.tensor([[0.5]]), torch.tensor(0.5), torch.tensor(2.0)).shape
        torch.Size([1, 1])
    """

    _positive: ClassVar[tuple[str, ...]] = ("low",)
    low: Number
    high: Number

    @classmethod
    def icdf(cls, u: Tensor, *bounds: Tensor) -> Tensor:
        """Map uniforms to draws; differentiable in low and high."""
        low, high = bounds
        log_low = torch.log(low)
        return _clamp(torch.exp(log_low + u * (torch.log(high) - log_low)), low, high)


@dataclass(frozen=True)
class Normal(Distribution):
    """Draw from a Gaussian; the farthest draw is 5.42 standard deviations out.

    Args:
        mean: mean.
        std: standard deviation; 0 gives exactly the mean.

    Example:
        >>> round(Normal.icdf(torch.tensor([[0.5]]), torch.tensor(3.0), torch.tensor(2.0)).item(), 5)
        3.0
    """

    mean: Number
    std: Number

    @classmethod
    def icdf(cls, u: Tensor, *bounds: Tensor) -> Tensor:
        """Map uniforms to draws; differentiable in mean and std."""
        mean, std = bounds
        # From the nearer end: above one half, u + half a step is not a float32, but 1 - u - half a step is.
        upper = u >= 0.5
        tail = torch.where(upper, 1.0 - u - HALF_STEP, u + HALF_STEP).clamp(min=HALF_STEP)
        z = torch.special.ndtri(tail)
        return mean + std * torch.where(upper, -z, z)

    def support(self) -> tuple[float, float]:
        """Return the mean minus and plus six standard deviations."""
        reach = _NORMAL_REACH * most(self.std)
        return least(self.mean) - reach, most(self.mean) + reach


@dataclass(frozen=True)
class TruncatedNormal(Distribution):
    """Draw from a Gaussian conditioned on an interval.

    Args:
        mean: mean before truncation; may lie outside the interval.
        std: standard deviation before truncation, above zero.
        low: least value.
        high: greatest value.

    Example:
        >>> TruncatedNormal(0, 1, -2, 2).bounds
        (0.0, 1.0, -2.0, 2.0)
    """

    _positive: ClassVar[tuple[str, ...]] = ("std",)
    mean: Number
    std: Number
    low: Number
    high: Number

    @classmethod
    def icdf(cls, u: Tensor, *bounds: Tensor) -> Tensor:
        """Map uniforms to draws; differentiable in all four bounds."""
        mean, std, low, high = (bound.double() for bound in bounds)
        # An interval above the mean is mirrored below it: probabilities keep their digits near 0, not near 1.
        mirrored = low + high > mean + mean
        start = torch.where(mirrored, mean - high, low - mean) / std
        end = torch.where(mirrored, mean - low, high - mean) / std
        p_start, p_end = torch.special.ndtr(start), torch.special.ndtr(end)
        centred = u.double() + HALF_STEP
        fraction = torch.where(mirrored, 1.0 - centred, centred)
        # The floor keeps ndtri and its gradient finite for an interval beyond 37 standard deviations.
        z = torch.special.ndtri((p_start + fraction * (p_end - p_start)).clamp(min=1e-300))
        x = mean + std * torch.where(mirrored, -z, z)
        return _clamp(x, low, high).to(u.dtype)


@dataclass(frozen=True)
class Integers(Distribution):
    """Draw a whole number, both ends included, each equally likely.

    Args:
        low: least integer.
        high: greatest integer.

    Example:
        >>> Integers.icdf(torch.tensor([[0.0, 0.99]]), torch.tensor(1.0), torch.tensor(3.0)).tolist()
        [[1.0, 3.0]]
    """

    low: Number
    high: Number

    def _check(self, values: dict[str, Any]) -> None:
        """Check the numbers."""
        super()._check(values)
        low, high = values["low"], values["high"]
        for name, value in (("low", low), ("high", high), ("high - low", high - low)):
            if value != int(value) or abs(value) >= _MAX_INTEGERS:
                self._refuse(name, "be a whole number below 2**24", value)

    def _now(self, value: Any, times: Times, label: int | None) -> Any:
        return round(now(value, times, label))

    def support(self) -> tuple[float, float]:
        """Return the ends: of numbers that vary the nearest whole ones."""
        return float(round(least(self.low))), float(round(most(self.high)))

    @classmethod
    def icdf(cls, u: Tensor, *bounds: Tensor) -> Tensor:
        """Map uniforms to whole numbers, as float32."""
        low, high = bounds
        # u = 1 is never drawn, but may be asked for as a quantile.
        return torch.minimum(torch.floor(u * (high - low + 1.0)) + low, high)


@dataclass(frozen=True)
class Categorical(Distribution):
    """Draw an index, each in proportion to its weight.

    Args:
        weights: one weight per index, not negative, not all zero.

    Example:
        >>> Categorical((1, 0, 3)).bounds
        (0.25, 0.25, 1.0)
    """

    weights: tuple[Number, ...]

    def __post_init__(self) -> None:
        """Freeze the weights into a tuple and check them."""
        object.__setattr__(self, "weights", tuple(self.weights))
        super().__post_init__()

    def numbers(self) -> dict[str, Any]:
        """Return the weights, by name."""
        return {f"weights[{i}]": weight for i, weight in enumerate(self.weights)}

    def _check(self, values: dict[str, Any]) -> None:
        weights = list(values.values())
        if not any(weights) or min(weights) < 0:
            self._refuse("weights", "be >= 0 and not all zero", self.weights)

    def _bounds(self) -> tuple[float, ...]:
        """Return the cumulative weights, normalised: the last is exactly 1."""
        cumulative = [math.fsum(least(w) for w in self.weights[: i + 1]) for i in range(len(self.weights))]
        return tuple(value / cumulative[-1] for value in cumulative)

    @classmethod
    def icdf(cls, u: Tensor, *bounds: Tensor) -> Tensor:
        """Map uniforms to indices, as float32."""
        if len(bounds) == 1:
            return torch.zeros_like(u)
        # The last bound is 1, above every u. `>=` steps over an index of weight zero.
        cumulative = torch.stack([bound.expand_as(u) for bound in bounds[:-1]])
        return (u >= cumulative).sum(0).to(u.dtype)

    def support(self) -> tuple[float, float]:
        """Return the first and the last index of positive weight."""
        drawn = [float(index) for index, weight in enumerate(self.weights) if most(weight) > 0]
        return drawn[0], drawn[-1]


@dataclass(frozen=True)
class Beta(Distribution):
    """Draw from a Beta law on [0, 1]: the mixing weight of MixUp.

    Args:
        a: first shape, above zero and at most 64.
        b: second shape, the same.

    Source:
        Equals `scipy.stats.beta.ppf` to 1e-4; not differentiable in a and b.

    Example:
        >>> round(Beta.icdf(torch.tensor([[0.5]]), torch.tensor(0.2), torch.tensor(0.2)).item(), 4)
        0.5
    """

    _positive: ClassVar[tuple[str, ...]] = ("a", "b")
    a: Number
    b: Number

    def _check(self, values: dict[str, Any]) -> None:
        """Check the shapes."""
        super()._check(values)
        if max(values.values()) > _BETA_LARGEST:
            self._refuse("(a, b)", f"be at most {_BETA_LARGEST:g}", (self.a, self.b))

    @classmethod
    def icdf(cls, u: Tensor, *bounds: Tensor) -> Tensor:
        """Map uniforms to draws."""
        return invert_beta(u, *bounds)

    def support(self) -> tuple[float, float]:
        """Return (0, 1)."""
        return 0.0, 1.0


@dataclass(frozen=True)
class Constant(Distribution):
    """Draw always the same number.

    Args:
        value: the number.

    Example:
        >>> Constant.icdf(torch.tensor([[0.1, 0.9]]), torch.tensor(3.0)).tolist()
        [[3.0, 3.0]]
    """

    value: Number

    @classmethod
    def icdf(cls, u: Tensor, *bounds: Tensor) -> Tensor:
        """Repeat the value, in fresh memory: a view would follow later changes of the table."""
        return torch.zeros_like(u) + bounds[0]


def static_range(dist: Distribution) -> tuple[float, float]:
    """Return the least and the greatest value a distribution draws; a normal law spans six deviations.

    Example:
        >>> static_range(Normal(0, 5))
        (-30.0, 30.0)
    """
    return dist.support()


def as_distribution(
    value: Any,
    *,
    owner: str,
    name: str,
    symmetric_about: float | None = None,
    low: float | None = None,
    high: float | None = None,
    cut: float = -math.inf,
) -> Distribution:
    """Read a range argument: a number, a (low, high) pair or a distribution; or one of them for each class.

    Args:
        value: a pair becomes `Uniform`; a number v `Constant(v)`, or `Uniform(c - v, c + v)` about c. A number may be a
            schedule.
        owner: class named in errors.
        name: argument named in errors.
        symmetric_about: the centre, if a bare number means a range about it.
        low: least value allowed.
        high: greatest value allowed.
        cut: where the range about the centre begins at least.

    Raises:
        TypeError: value is none of the three; booleans and strings are not numbers.
        ValueError: a value is not finite, out of order or outside [low, high].

    Example:
        >>> as_distribution(30, owner="RandomRotation", name="degrees", symmetric_about=0.0)
        Uniform(low=-30.0, high=30.0)
    """
    subject = f"{owner}: {name} must"
    if isinstance(value, PerClass):

        def read(one: Any) -> Distribution:
            return as_distribution(
                one, owner=owner, name=name, symmetric_about=symmetric_about, low=low, high=high, cut=cut
            )

        return _by_class(value.map(read), subject)
    pair = isinstance(value, (tuple, list))
    ends = tuple(value) if pair else (value,)
    dist: Distribution
    if isinstance(value, Distribution):
        dist = value
    elif pair and len(ends) != 2:
        raise ValueError(f"{subject} be (low, high), got {value!r}")
    elif not all(is_number(end) or isinstance(end, Varying) for end in ends):
        raise TypeError(f"{subject} be a number, a (low, high) pair or a Distribution, got {value!r}")
    elif not all(map(is_finite, ends)):
        raise ValueError(f"{subject} be finite, got {value!r}")
    elif pair:
        if not parts(ends) and ends[0] > ends[1]:
            raise ValueError(f"{subject} be (low, high) with low <= high, got {value!r}")
        try:
            dist = Uniform(*(end if isinstance(end, Varying) else float(end) for end in ends))
        except ValueError as error:
            raise ValueError(f"{subject} be (low, high) with low <= high at any time, got {value!r}") from error
    elif symmetric_about is None:
        dist = Constant(value if isinstance(value, Varying) else float(value))
    elif least(value) < 0:
        raise ValueError(f"{subject} be >= 0 as a single number, got {value!r}")
    else:
        about = float(symmetric_about)
        dist = Uniform(mapped(value, -1.0, about, cut), mapped(value, 1.0, about))

    reached = static_range(dist)
    floor, ceiling = -math.inf if low is None else low, math.inf if high is None else high
    if reached[0] < floor or reached[1] > ceiling:
        hint = "; TruncatedNormal has bounds" if isinstance(dist, Normal) else ""
        raise ValueError(f"{subject} be within [{floor:g}, {ceiling:g}], got {value!r}{hint}")
    return dist


def _by_class(laws: PerClass, subject: str) -> Distribution:
    """Return the distribution whose numbers are those of each class."""
    kinds: set[type[Distribution]] = {type(law) for law in laws.inner()}
    if len(kinds) == 2 and Constant in kinds and kinds <= {Constant, Uniform, LogUniform}:
        wide: Any = (kinds - {Constant}).pop()
        laws = laws.map(lambda law: wide(law.value, law.value) if isinstance(law, Constant) else law)
        kinds = {wide}
    if len(kinds) > 1 or Categorical in kinds:
        raise ValueError(f"{subject} have one law of numbers for all classes, got {laws!r}")
    kind = kinds.pop()
    return kind(**{field.name: laws.map(attrgetter(field.name)) for field in fields(kind)})


def within(law: Distribution) -> Integers:
    """Return the whole numbers between the ends of a uniform law; of ends that vary the nearest at any time."""
    low, high = (getattr(law, name) for name in ("low", "high"))
    if parts((low, high)):
        return Integers(low, high)
    return Integers(math.ceil(low), math.floor(high))
