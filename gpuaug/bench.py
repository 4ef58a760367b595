"""The command `gpuaug bench`: how fast a pipeline is here, beside torchvision's loop over the images."""

from __future__ import annotations

import inspect
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torchvision.transforms import v2

import gpuaug as ga
from gpuaug.doctor import processor
from gpuaug.preview import Problem, load_policy
from gpuaug.render.backend import uses_triton
from gpuaug.testing import example
from gpuaug.transforms.compose import Container
from gpuaug.transforms.given import GIVEN
from gpuaug.transforms.layer import Layer

__all__ = ["Timing", "counterpart", "run", "standard"]

LOOP = "torchvision, image by image"
_MOST_ROUNDS = 50


@dataclass(frozen=True)
class Timing:
    """How long a call of a row takes."""

    name: str
    milliseconds: tuple[float, ...]
    images: int

    @property
    def median(self) -> float:
        """Median milliseconds of a call."""
        return statistics.median(self.milliseconds)

    @property
    def per_second(self) -> float:
        """Images in a second."""
        return self.images * 1e3 / self.median


def standard(size: int) -> Layer:
    """Build the pipeline that is timed where none is given: a classification recipe, to 7/8 of the size."""
    return ga.Compose(
        [
            ga.RandomResizedCrop(max(size * 7 // 8, 1)),
            ga.RandomHorizontalFlip(),
            ga.ColorJitter(0.4, 0.4, 0.4, 0.1),
            ga.RandomGrayscale(0.2),
            ga.Normalize(ga.IMAGENET_MEAN, ga.IMAGENET_STD),
        ]
    )


def run(
    policy: Path | str | None = None,
    *,
    batch: int = 32,
    size: int = 256,
    channels: int = 3,
    dtype: str = "uint8",
    device: str = "auto",
    seconds: float = 8.0,
    compile: bool = False,
) -> list[Timing]:
    """Time a pipeline by every backend that there is, and torchvision's, in turn, and print the table.

    Args:
        policy: a Python file that defines the pipeline, see `gpuaug.preview.load_policy`; None takes `standard`.
        batch: images in a call.
        size: their height and width.
        channels: of an image.
        dtype: `uint8` or `float32`.
        device: a torch device, or "auto" for CUDA when there is one.
        seconds: about how long to measure, compiling left out.
        compile: also time `torch.compile(pipeline)`.

    Returns:
        The rows.

    Raises:
        Problem: for a device that is not there, and a pipeline that does not take such images.
    """
    place = torch.device(("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device)
    if place.type == "cuda" and not torch.cuda.is_available():
        raise Problem(f"no CUDA device for --device {device}; gpuaug doctor says why")
    layer = standard(size) if policy is None else load_policy(Path(policy))
    layer = layer.to(place)
    images = example(batch, (channels, size, size), torch.uint8 if dtype == "uint8" else torch.float32).to(place)
    given: tuple[Any, ...] = (images,)
    if any(node.transform.mixes_labels for node in layer.nodes):
        given = (images, torch.arange(batch, device=place) % 2)
    try:
        layer(*given)
    except (TypeError, ValueError) as error:
        raise Problem(f"the pipeline does not take {batch} images {channels}x{size}x{size} {dtype}: {error}") from error
    rows, notes = _rows(layer, given, compile)
    name = (
        torch.cuda.get_device_name(place)
        if place.type == "cuda"
        else f"{processor()}, {torch.get_num_threads()} threads"
    )
    print(f"{batch} images {channels}x{size}x{size} {dtype} on {place} ({name}), torch {torch.__version__}")
    print(f"pipeline: {' > '.join(type(part).__name__ for part in _parts(layer))}\n")
    timings = _race(rows, batch, place, seconds)
    loop = next((t.median for t in timings if t.name == LOOP), None)
    wide = max(len(t.name) for t in timings)
    print(f"{'':{wide}}  {'ms per batch':>13}  {'least':>8}  {'images/s':>10}" + ("  against the loop" if loop else ""))
    for t in timings:
        ratio = f"  {loop / t.median:14.1f} x" if loop else ""
        print(f"{t.name:{wide}}  {t.median:13.2f}  {min(t.milliseconds):8.2f}  {t.per_second:10,.0f}{ratio}")
    print(f"\nmedians of {min(len(t.milliseconds) for t in timings)} rounds or more, all rows in turn within each")
    for note in notes:
        print(note)
    return timings


def _rows(layer: Layer, given: tuple[Any, ...], compile: bool) -> tuple[dict[str, Callable[[], Any]], list[str]]:
    """Return what is timed by name, and what has to be said about it."""
    images: Tensor = given[0]
    on_triton = uses_triton(images, layer.backend)
    rows: dict[str, Callable[[], Any]] = {
        f"gpuaug, {'triton' if on_triton else 'torch'} backend": lambda: layer(*given)
    }
    notes = []
    if images.is_cuda and on_triton:
        plain = (
            ga.Compose(list(layer), backend="torch")
            if isinstance(layer, ga.Compose)
            else ga.Compose([layer], backend="torch")
        )
        rows["gpuaug, torch backend"] = lambda: plain(*given)
    if images.is_cuda:
        try:
            captured = layer.capture(*given)
            rows["gpuaug, captured"] = lambda: captured(*given)
        except (RuntimeError, ValueError) as error:
            notes.append(f"not captured as a CUDA graph: {error}")
    if compile:
        compiled = torch.compile(layer, fullgraph=True)
        rows["gpuaug, compiled"] = lambda: compiled(*given)
    peer, why = counterpart(layer, images.dtype)
    if peer is not None:
        try:
            peer(images[0])
        except Exception as error:  # whatever torchvision objects to: boxes that are missing, an interpolation
            peer, why = None, f"torchvision's does not take an image: {error}"
    if peer is None:
        notes.append(f"no row of torchvision's: {why}")
    else:
        loop = peer
        rows[LOOP] = lambda: torch.stack([loop(image) for image in images])
        rows["torchvision, one draw for the batch"] = lambda: loop(images)
    return rows, notes


def _race(rows: dict[str, Callable[[], Any]], images: int, device: torch.device, seconds: float) -> list[Timing]:
    def spent(call: Callable[[], Any]) -> float:
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        begin = time.perf_counter()
        call()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return (time.perf_counter() - begin) * 1e3

    with torch.no_grad():
        for call in rows.values():  # kernels are compiled, constants move
            spent(call)
            spent(call)
        times: dict[str, list[float]] = {name: [] for name in rows}
        end = time.perf_counter() + seconds
        for number in range(_MOST_ROUNDS):
            if number >= 3 and time.perf_counter() > end:
                break
            for name, call in rows.items():
                times[name].append(spent(call))
    return [Timing(name, tuple(found), images) for name, found in times.items()]


# --- the same in torchvision ---


def _parts(layer: Layer) -> list[Layer]:
    return list(layer) if isinstance(layer, ga.Compose) else [layer]


def counterpart(layer: Layer, dtype: torch.dtype = torch.uint8) -> tuple[Callable[[Tensor], Tensor] | None, str]:
    """Return torchvision's pipeline of the same transforms and arguments, or None and why there is none.

    Args:
        layer: a pipeline.
        dtype: of its input; uint8 becomes float where it is normalised, as torchvision needs it.

    Example:
        >>> peer, _ = counterpart(ga.Compose([ga.RandomHorizontalFlip(0.3), ga.GaussianBlur(5)]))
        >>> [type(t).__module__.split(".")[0] for t in peer.transforms], peer.transforms[0].p
        (['torchvision', 'torchvision'], 0.3)
        >>> counterpart(ga.Compose([ga.GridDistortion()]))[1]
        'torchvision has no GridDistortion'
    """
    found: list[Any] = []
    try:
        for part in _parts(layer):
            if isinstance(part, ga.Normalize) and dtype == torch.uint8:
                found.append(v2.ToDtype(torch.float32, scale=True))
                dtype = torch.float32
            found.append(_translated(part))
            if isinstance(part, ga.Normalize) and part.dtype not in (None, torch.float32):
                found.append(v2.ToDtype(part.dtype))
    except Problem as problem:
        return None, str(problem)
    return v2.Compose(found), ""


def _translated(part: Layer) -> Any:
    name = type(part).__name__
    kind = getattr(v2, name, None)
    if kind is None or not inspect.isclass(kind):
        raise Problem(f"torchvision has no {name}")
    if any(node.transform.mixes for node in part.nodes):
        raise Problem(f"in {name} samples meet, which a loop over images cannot do")
    theirs = inspect.signature(kind.__init__).parameters
    ours = inspect.signature(type(part).__init__).parameters
    arguments: dict[str, Any] = {}
    for key, value in part.__dict__[GIVEN].items():
        if (key in ours and value is ours[key].default) or value == ours[key].default:
            continue
        if key in ("dtype", "memory_format") and isinstance(part, ga.Normalize):
            continue
        if isinstance(part, Container) and key == "transforms":
            value = [_translated(child) for child in part]
        elif key not in theirs or not _is_plain(value):
            raise Problem(f"torchvision's {name} has no {key}={value!r}")
        arguments[key] = value
    if name in ("RandomRotation", "RandomAffine", "RandomPerspective"):
        mode = str(arguments.get("interpolation") or "bilinear")
        arguments["interpolation"] = v2.InterpolationMode(getattr(mode, "value", mode))
    try:
        return kind(**arguments)
    except (TypeError, ValueError) as error:
        raise Problem(f"torchvision's {name} does not take these arguments: {error}") from error


def _is_plain(value: Any) -> bool:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return all(_is_plain(one) for one in value)
    return value is None or isinstance(value, (bool, int, float, str, torch.dtype, v2.InterpolationMode))
