"""Transforms that bend: each sample has a displacement field."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn.functional import pad

from gpuaug._compiling import exact
from gpuaug.geometry.canvas import Sizes
from gpuaug.render.plan import Plan
from gpuaug.sampling.distributions import Distribution, Uniform, as_distribution, static_range
from gpuaug.sampling.law import Number, Range
from gpuaug.sampling.noise import uniform_noise
from gpuaug.sampling.state import moved
from gpuaug.sampling.varying import PerClass
from gpuaug.transforms.base import Drawn, Geometric, Transform
from gpuaug.transforms.layer import Context, Node
from gpuaug.transforms.noise import KEY, as_key

__all__ = ["ElasticTransform", "GridDistortion", "OpticalDistortion", "ThinPlateSpline"]


class Bending(Geometric):
    """A transform that gives a displacement for each pixel: output pixel q shows source position q + D(q)."""

    def field(self, values: Drawn, context: Context) -> Tensor:
        """Return D (B, 2, h, w), x and y in pixels."""
        raise NotImplementedError  # pragma: no cover

    def settle(self, raw: Drawn, gate: Tensor | None, context: Context) -> Drawn:
        """Compute the field; samples that the gate leaves out get none."""
        if isinstance(context.canvas, Sizes):
            raise ValueError(
                f"{type(self).__name__}: images must have one size, got {len(context.canvas.host)} of several; "
                "resize or crop first"
            )
        values = Transform.settle(self, raw, gate, context)
        field = self.field(values, context)
        if gate is not None:
            field = torch.where(gate[:, None, None, None], field, torch.zeros_like(field))
        values["field"] = field
        return values

    def contribute(self, plan: Plan, values: Drawn, context: Context, node: Node) -> None:
        """Begin a pass with the field."""
        plan.bend(values["field"], self.reading(plan, context))


def _axis(n: int, context: Context) -> Tensor:
    """Return the centres of pixels in -1..1."""
    return (torch.arange(n, device=context.like.device, dtype=torch.float32) + 0.5) * (2 / n) - 1


class ElasticTransform(Bending):
    """Move each pixel of each sample by smooth noise.

    Args:
        alpha: size of the displacements, as torchvision's: a number or distribution for both axes, or one for each,
            (x, y); 0 is neutral.
        sigma: smoothness of the noise in pixels, likewise; from about alpha / 10 on nothing folds.
        interpolation: "bilinear" (default), "nearest" or "bicubic".
        fill: value outside the image, in the input's unit.
        antialias: whether the filter widens where the image shrinks (default), or reads as the peers do.
        p: probability for each sample.

    Shape:
        (B, C, H, W) to the same.

    Boxes and masks:
        Moved with the image; a point in a fold of the field, which has no one place, is no longer visible.

    Raises:
        ValueError: for a negative alpha, or a sigma that is not positive.

    Source: torchvision.transforms.v2.ElasticTransform.

    Example:
        >>> import torch, gpuaug as ga
        >>> ga.ElasticTransform()(torch.zeros(2, 3, 40, 50)).shape
        torch.Size([2, 3, 40, 50])
    """

    neutral: ClassVar[Mapping[str, float]] = {"alpha": 0.0, "alpha_x": 0.0, "alpha_y": 0.0}

    def __init__(
        self,
        alpha: Range = 50.0,
        sigma: Range = 5.0,
        interpolation: Any = None,
        fill: Any = None,
        *,
        antialias: bool | None = None,
        p: Number = 1.0,
    ) -> None:
        """See the class."""
        super().__init__(p, interpolation, fill, antialias)
        laws = {**_of_axes(alpha, "alpha"), **_of_axes(sigma, "sigma")}
        smooth = [law for name, law in laws.items() if name.startswith("sigma")]
        if min(static_range(law)[0] for law in smooth) <= 0:
            raise ValueError(f"ElasticTransform: sigma must be positive, got {sigma!r}")
        self.taps = [int(8 * static_range(law)[1] + 1) | 1 for law in (smooth[0], smooth[-1])]
        self.declare(_key=KEY, **laws)

    def parameters_for(self, raw: Drawn, context: Context) -> Drawn:
        """Make the key of the noise; both axes have numbers of their own, which may be the same."""
        axes = [(name, axis) for name in ("alpha", "sigma") for axis in "xy"]
        of_axis = {f"{name}_{axis}": raw.get(f"{name}_{axis}", raw.get(name)) for name, axis in axes}
        return {"key": as_key(raw["_key"]), **{name: value for name, value in of_axis.items() if value is not None}}

    def field(self, values: Drawn, context: Context) -> Tensor:
        """Return blurred noise times alpha / 2: torchvision's alpha is in halves of the image, over its size."""
        h, w = context.canvas
        noise = uniform_noise(values["key"], 2, h, w) * 2 - 1
        sigmas = [values[f"sigma_{axis}"] for axis in "xy"]
        if sigmas[0] is sigmas[1] and self.taps[0] == self.taps[1]:
            smooth = _blurred(noise, sigmas[0], self.taps[0])
        else:
            parts = [_blurred(noise[:, i : i + 1], sigmas[i], self.taps[i]) for i in (0, 1)]
            smooth = torch.cat(parts, dim=1)
        alpha = torch.stack([values[f"alpha_{axis}"] for axis in "xy"], dim=1)
        return smooth * (alpha / 2)[:, :, None, None]


def _blurred(planes: Tensor, sigma: Tensor, size: int) -> Tensor:
    """Blur planes (B, N, h, w) as torchvision does, by products of matrices: its kernels have too many taps to add."""
    h, w = planes.shape[2:]
    rows, columns = (min(size // 2, n - 1) for n in (h, w))  # the reflected border has to lie inside the image
    padded = pad(planes, (columns, columns, rows, rows), mode="reflect")
    with exact(planes.device):
        return _band(sigma, h, rows) @ padded @ _band(sigma, w, columns).transpose(2, 3)


def _band(sigma: Tensor, n: int, reach: int) -> Tensor:
    """Return (B, 1, n, n + 2 * reach), a Gaussian of each sample's width about each of n places, of sum one."""
    k = torch.arange(reach + 2, device=sigma.device, dtype=sigma.dtype)
    weights = torch.exp(-0.5 * (k / sigma[:, None]).square()) * (k <= reach)
    weights = weights / (2 * weights.sum(1, keepdim=True) - weights[:, :1])
    place = torch.arange(n + 2 * reach, device=sigma.device) - torch.arange(n, device=sigma.device)[:, None]
    index = (place - reach).abs().clamp(max=reach + 1).flatten()
    return weights.index_select(1, index).view(-1, 1, n, n + 2 * reach)


def _of_axes(value: Any, name: str) -> dict[str, Distribution]:
    """Return the law of both axes, or of each, by name."""

    def law(one: Any, named: str) -> Distribution:
        return as_distribution(one, owner="ElasticTransform", name=named, low=0.0)

    def sides(one: Any) -> tuple[Any, Any]:
        given = tuple(one) if isinstance(one, (tuple, list)) else (one,)
        if len(given) not in (1, 2) or any(isinstance(v, (tuple, list)) for v in given):
            raise TypeError(f"ElasticTransform: {name} must be a number, a distribution or (x, y) of them, got {one!r}")
        return given[0], given[-1]

    if isinstance(value, PerClass) and any(isinstance(v, (tuple, list)) for v in value.inner()):
        x, y = value.map(lambda v: sides(v)[0]), value.map(lambda v: sides(v)[1])
        return {f"{name}_x": law(x, name), f"{name}_y": law(y, name)}
    if isinstance(value, (tuple, list)) and len(value) != 1:
        return {f"{name}_{axis}": law(one, name) for axis, one in zip("xy", sides(value), strict=True)}
    return {name: law(sides(value)[0], name)}


class OpticalDistortion(Bending):
    """Bend each sample like a lens: barrel or pincushion, by an amount drawn for it.

    Args:
        distort_limit: range of the coefficient of the squared distance from the middle (1 at half the longer side);
            0 is neutral, negative shows more of the border, positive less.
        interpolation: "bilinear" (default), "nearest" or "bicubic".
        fill: value outside the image, in the input's unit.
        antialias: whether the filter widens where the image shrinks (default), or reads as the peers do.
        p: probability for each sample.

    Shape:
        (B, C, H, W) to the same.

    Boxes and masks:
        Moved with the image.

    Raises:
        ValueError: for a range beyond -0.3..2. Below -1/6 the outermost corners fold: points there lose `visible`.

    Source: albumentations.OpticalDistortion, with one coefficient k: source = middle + (q - middle)(1 + k r^2).

    Example:
        >>> import torch, gpuaug as ga
        >>> ga.OpticalDistortion(0.2, p=1.0)(torch.zeros(2, 3, 40, 50)).shape
        torch.Size([2, 3, 40, 50])
    """

    neutral: ClassVar[Mapping[str, float]] = {"k": 0.0}

    def __init__(
        self,
        distort_limit: Range = (-0.05, 0.05),
        interpolation: Any = None,
        fill: Any = None,
        *,
        antialias: bool | None = None,
        p: Number = 0.5,
    ) -> None:
        """See the class."""
        super().__init__(p, interpolation, fill, antialias)
        law = as_distribution(
            distort_limit, owner="OpticalDistortion", name="distort_limit", symmetric_about=0.0, low=-0.3, high=2.0
        )
        self.declare(k=law)

    def field(self, values: Drawn, context: Context) -> Tensor:
        """Return (q - middle) k r^2."""
        h, w = context.canvas
        half = max(h, w) / 2
        x, y = _axis(w, context) * (w / 2), (_axis(h, context) * (h / 2))[:, None]
        r2 = (x * x + y * y) / (half * half)
        k = values["k"].to(torch.float32)[:, None, None]
        return torch.stack((k * (x * r2), k * (y * r2)), dim=1)


class GridDistortion(Bending):
    """Move the lines of a grid in each sample by amounts drawn for it, and what lies between along with them.

    Args:
        num_steps: number of cells along each axis.
        distort_limit: range of the change of a cell's width, as a share of it, within -1..1; 0 is neutral.
        interpolation: "bilinear" (default), "nearest" or "bicubic".
        fill: value outside the image, in the input's unit.
        antialias: whether the filter widens where the image shrinks (default), or reads as the peers do.
        p: probability for each sample.

    Shape:
        (B, C, H, W) to the same.

    Boxes and masks:
        Moved with the image.

    Raises:
        ValueError: for a limit outside -1..1, or less than one step.

    Source: albumentations.GridDistortion with normalized=True: the border stays where it is.

    Example:
        >>> import torch, gpuaug as ga
        >>> ga.GridDistortion(p=1.0)(torch.zeros(2, 3, 40, 50)).shape
        torch.Size([2, 3, 40, 50])
    """

    neutral: ClassVar[Mapping[str, float]] = {"steps_x": 0.0, "steps_y": 0.0}

    def __init__(
        self,
        num_steps: int = 5,
        distort_limit: Range = (-0.3, 0.3),
        interpolation: Any = None,
        fill: Any = None,
        *,
        antialias: bool | None = None,
        p: Number = 0.5,
    ) -> None:
        """See the class."""
        super().__init__(p, interpolation, fill, antialias)
        if isinstance(num_steps, bool) or not isinstance(num_steps, int) or num_steps < 1:
            raise ValueError(f"GridDistortion: num_steps must be an integer >= 1, got {num_steps!r}")
        self.num_steps = num_steps
        law = as_distribution(
            distort_limit, owner="GridDistortion", name="distort_limit", symmetric_about=0.0, low=-0.99, high=0.99
        )
        self.declare(steps_x=(law, num_steps), steps_y=(law, num_steps))

    def field(self, values: Drawn, context: Context) -> Tensor:
        """Return the piecewise linear map of each axis: cells of the output show cells of other widths."""
        h, w = context.canvas
        moved = []
        for n, name in ((w, "steps_x"), (h, "steps_y")):
            width = 1 + values[name].to(torch.float32)
            width = width if width.dim() == 2 else width[:, None]
            edges = torch.cat((torch.zeros_like(width[:, :1]), width.cumsum(1)), dim=1)
            edges = edges * (n / edges[:, -1:])
            place = (_axis(n, context) + 1) * (self.num_steps / 2)  # in cells
            cell = place.floor().clamp(max=self.num_steps - 1)
            low = cell.to(torch.int64).expand(edges.shape[0], -1)
            start, end = edges.gather(1, low), edges.gather(1, low + 1)
            moved.append(start + (end - start) * (place - cell) - place * (n / self.num_steps))
        x, y = moved
        return torch.stack((x[:, None, :].expand(-1, h, -1), y[:, :, None].expand(-1, -1, w)), dim=1)


class ThinPlateSpline(Bending):
    """Bend each sample like a thin plate that is held at a grid of points, moved by amounts drawn for it.

    Args:
        scale_range: range of the standard deviation of the points' shifts, as a fraction of the image; 0 is neutral.
        num_control_points: points along each axis, 2 to 8.
        interpolation: "bilinear" (default), "nearest" or "bicubic".
        fill: value outside the image, in the input's unit.
        antialias: whether the filter widens where the image shrinks (default), or reads as the peers do.
        p: probability for each sample.

    Shape:
        (B, C, H, W) to the same.

    Boxes and masks:
        Moved with the image; a point in a fold of the plate is no longer visible.

    Raises:
        ValueError: for a negative range, or another number of points.

    Source: albumentations.ThinPlateSpline.

    Example:
        >>> import torch, gpuaug as ga
        >>> ga.ThinPlateSpline((0.02, 0.05), p=1.0)(torch.zeros(2, 3, 40, 50)).shape
        torch.Size([2, 3, 40, 50])
    """

    neutral: ClassVar[Mapping[str, float]] = {"scale": 0.0}

    def __init__(
        self,
        scale_range: Range = (0.0, 0.05),
        num_control_points: int = 4,
        interpolation: Any = None,
        fill: Any = None,
        *,
        antialias: bool | None = None,
        p: Number = 0.5,
    ) -> None:
        """See the class."""
        super().__init__(p, interpolation, fill, antialias)
        if num_control_points not in range(2, 9):
            raise ValueError(f"ThinPlateSpline: num_control_points must be 2 to 8, got {num_control_points!r}")
        self.num_control_points = num_control_points
        law = as_distribution(scale_range, owner="ThinPlateSpline", name="scale_range", low=0.0, high=1.0)
        count = num_control_points**2 * 2
        self.declare(scale=law, shifts=(Uniform(0.0, 1.0), count))
        # The spline through n points is linear in their shifts: its weights are solved for once.
        axis = torch.linspace(-1, 1, num_control_points, dtype=torch.float64)
        self._points = torch.cartesian_prod(axis, axis)  # (n, 2) y, x
        n = self._points.shape[0]
        system = torch.zeros((n + 3, n + 3), dtype=torch.float64)
        system[:n, :n] = _plate(torch.cdist(self._points, self._points))
        system[:n, n] = system[n, :n] = 1
        system[:n, n + 1 :], system[n + 1 :, :n] = self._points, self._points.T
        self._solve = torch.linalg.inv(system)[:, :n].to(torch.float32)
        self._points = self._points.to(torch.float32)

    def field(self, values: Drawn, context: Context) -> Tensor:
        """Return the spline of normal shifts."""
        device = context.like.device
        if self._solve.device != device:
            self._solve, self._points = moved(self._solve, device), moved(self._points, device)
        h, w = context.canvas
        normal = math.sqrt(2) * torch.erfinv((values["shifts"].to(torch.float32) * 2 - 1).clamp(-0.9999, 0.9999))
        shifts = normal.unflatten(1, (-1, 2)) * values["scale"].to(torch.float32)[:, None, None]  # fractions
        y, x = _axis(h, context), _axis(w, context)
        grid = torch.stack((y[:, None].expand(h, w), x.expand(h, w)), dim=-1).view(-1, 2)
        kernel = _plate((grid[:, None] - self._points).square().sum(-1).sqrt())
        basis = torch.cat((kernel, torch.ones_like(grid[:, :1]), grid), dim=1)  # (h * w, n + 3)
        with exact(device):
            spline = (basis @ self._solve) @ shifts  # (B, h * w, 2)
        px = spline[..., 0].unflatten(1, (h, w)) * w
        py = spline[..., 1].unflatten(1, (h, w)) * h
        return torch.stack((px, py), dim=1)


def _plate(r: Tensor) -> Tensor:
    """Return r^2 log r, 0 at 0."""
    return r * r * torch.log(r.clamp(min=1e-9))
