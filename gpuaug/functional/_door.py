"""The door of the functional interface: any image dtype in, working floats inside, the same dtype out."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any, Generic, ParamSpec, cast

import numpy as np
import torch
from torch import Tensor

__all__ = [
    "CHUNK",
    "Pixels",
    "Pixelwise",
    "each",
    "join",
    "pixelwise",
    "planar",
    "put",
    "row",
    "split",
    "store",
    "translate",
]

Pixels = Tensor | list[Tensor]
"""Images: (B, C, H, W), or, where a compiler is to make one kernel of it all, C planes (B, H, W)."""

CHUNK = 4
"""Samples of 8 bits that the CPU's walk treats at once as floats: more leave the cache."""

P = ParamSpec("P")
_IN_THE_IMAGES_UNIT = {"addition", "threshold", "fill", "values", "paste_image"}
"""Arguments that are values of pixels: 0..255 for uint8, as in torchvision."""
_DTYPES = (torch.uint8, torch.float16, torch.bfloat16, torch.float32, torch.float64)


class Pixelwise(Generic[P]):
    """A public function on images of any dtype, with its definition on working floats as `working`."""

    working: Callable[..., Any]
    __name__: str

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Tensor:
        """Apply the function."""
        raise NotImplementedError  # pragma: no cover  (only the type of what `pixelwise` returns)


def pixelwise(function: Callable[P, Tensor]) -> Pixelwise[P]:
    """Let a function of working floats (B, C, H, W), black 0 and white 1, take images of any dtype.

    Numbers given where a parameter for each sample is meant are spread over the batch; uint8 results are rounded once.
    """
    name = function.__name__
    valued = _IN_THE_IMAGES_UNIT & set(inspect.signature(function).parameters)
    arguments = list(inspect.signature(function).parameters.values())[1:]
    names = [a.name for a in arguments]
    sampled = {a.name for a in arguments if "Tensor" in str(a.annotation)}
    levelled = any(a.name == "levels" for a in arguments)

    @wraps(function)
    def public(image: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        if not isinstance(image, Tensor):
            raise TypeError(f"{name}: image must be a tensor (B, C, H, W), got {type(image).__name__}")
        if image.dtype not in _DTYPES:
            raise TypeError(f"{name}: image must be uint8 or a floating point tensor, got {image.dtype}")
        if image.dim() != 4:
            raise ValueError(f"{name}: image must have shape (B, C, H, W), got {tuple(image.shape)}")
        work = torch.float64 if image.dtype == torch.float64 else torch.float32
        x = image.to(work) / 255 if image.dtype == torch.uint8 else image.to(work)
        if len(args) > len(names):
            raise TypeError(f"{name}: takes at most {len(names)} arguments after image, got {len(args)}")
        given = dict(zip(names[: len(args)], args, strict=True), **kwargs)
        for key in sampled & given.keys():
            value = given[key]
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                given[key] = torch.full((image.shape[0],), float(value), dtype=work, device=image.device)
            elif isinstance(value, Tensor) and value.dim() == 1 and value.shape[0] != image.shape[0]:
                raise ValueError(
                    f"{name}: {key} must have one value for each of the {image.shape[0]} samples, got {value.shape[0]}"
                )
            elif isinstance(value, (tuple, list)):
                given[key] = torch.tensor(value, dtype=work, device=image.device)
        if image.dtype == torch.uint8:
            given.update({key: given[key] / 255 for key in valued & given.keys()})
        if levelled and image.dtype == torch.uint8:
            given.setdefault("levels", 255)
        out = cast(Any, function)(x, **given)
        if image.dtype == torch.uint8 and not name.startswith("normalize"):
            return torch.round(out.clamp(0, 1) * 255).to(torch.uint8)
        return cast(Tensor, out.to(image.dtype if image.dtype.is_floating_point else torch.float32))

    public.working = function  # type: ignore[attr-defined]
    return cast("Pixelwise[P]", public)


def each(image: Pixels, function: Callable[..., Tensor], *operands: Any) -> Any:
    """Apply a function of values to all channels, with operands laid beside them.

    An operand (B,) is for each sample, (B, C) for each channel, (B, H, W) for each pixel, (B, C, H, W) for each value.
    """
    if isinstance(image, list):
        return [function(plane, *(_beside_plane(o, plane, c) for o in operands)) for c, plane in enumerate(image)]
    return function(image, *(_beside_image(o, image) for o in operands))


def _like(operand: Tensor, values: Tensor) -> Tensor:
    return operand.to(values.dtype) if operand.dtype.is_floating_point else operand


def _beside_image(operand: Tensor, image: Tensor) -> Tensor:
    value = _like(operand, image)
    shapes = {1: (-1, 1, 1, 1), 2: (*value.shape, 1, 1), 3: (value.shape[0], 1, *value.shape[1:])}
    return value.view(shapes[value.dim()]) if value.dim() in shapes else value


def _beside_plane(operand: Tensor, plane: Tensor, channel: int) -> Tensor:
    value = _like(operand, plane)
    if value.dim() in (2, 4):
        value = value[:, channel if value.shape[1] > 1 else 0]
    return value if value.dim() == 3 else value.view(-1, 1, 1)


def planar(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Mark a function of working values as one that takes planes too."""
    function.planar = True  # type: ignore[attr-defined]
    return function


def split(image: Pixels) -> list[Tensor]:
    """Return the channels (B, H, W)."""
    return image if isinstance(image, list) else list(image.unbind(dim=1))


def join(planes: list[Tensor], image: Pixels) -> Any:
    """Return channels in the form that `image` has."""
    return planes if isinstance(image, list) else torch.stack(planes, dim=1)


def row(image: Pixels, values: tuple[float, ...]) -> Tensor:
    """Return one value for all channels or one for each, (1, C, 1, 1), without a copy from the host."""
    plane = split(image)[0]
    numbers = [torch.full((), value, dtype=plane.dtype, device=plane.device) for value in values]
    return torch.stack(numbers).view(1, -1, 1, 1)


def store(out: Tensor, image: Tensor) -> None:
    """Copy an image on the CPU; floats that are whole become bytes by NumPy, six times as fast as by torch."""
    if out.dtype == torch.uint8 and image.dtype.is_floating_point:
        np.copyto(out.numpy(), image.detach().numpy(), casting="unsafe")
    else:
        out.copy_(image)


def put(out: Tensor, image: Tensor, unit: float) -> None:
    """Write an image on the CPU in working values, of one in units of its own where white is `unit`."""
    if image.dtype == out.dtype and unit != 1:
        torch.mul(image, 1 / unit, out=out)
        return
    out.copy_(image)
    if unit != 1:
        out.mul_(1 / unit)


def translate(out: Tensor, image: Tensor, table: Tensor) -> None:
    """Write what a table (256,) of bytes has for each byte of an image on the CPU.

    Python's own way of exchanging bytes takes half the time of torch's of taking from a table.
    """
    made = bytearray(image.numpy()).translate(table.numpy().tobytes())
    out.copy_(torch.from_numpy(np.frombuffer(made, np.uint8)).view(image.shape))


def beside(operand: Tensor, plane: Tensor) -> Tensor:
    """Return (B,) parameters as (B, 1, 1) in the values' dtype."""
    return operand.to(plane.dtype).view(-1, 1, 1)
