"""The views of test-time augmentation: sets that people use by name, and what they are made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from torch import Tensor

from gpuaug.geometry import matrix as mat
from gpuaug.geometry.canvas import Canvas
from gpuaug.render.warp import Kind
from gpuaug.transforms.base import Drawn, Geometric
from gpuaug.transforms.compose import Compose
from gpuaug.transforms.flip import RandomHorizontalFlip, RandomTranspose, RandomVerticalFlip
from gpuaug.transforms.layer import Context, Layer
from gpuaug.transforms.resize import Resize
from gpuaug.transforms.sizes import as_size

__all__ = ["SETS", "View", "five_crop", "multiscale", "product", "ten_crop", "views_of"]

Size = tuple[int, int]
View = Layer | Callable[[Size], Layer]
"""A pipeline, or what makes one for a canvas (height, width)."""

CROP = 7 / 8
"""Share of a canvas that is cropped where no size is given."""


class Cut(Geometric):
    """Cut a rectangle out, at a share of the room that it has: 0 is the top or left, 1 the bottom or right."""

    kind: ClassVar[Kind] = "lattice"
    cuts: ClassVar[bool] = True
    reads: ClassVar[bool] = False

    def __init__(self, size: Size, place: tuple[float, float]) -> None:
        """Remember size and place."""
        super().__init__()
        self.size, self.place = size, place

    def output_canvas(self, canvas: Canvas) -> Canvas:
        """Return the size."""
        return self.size

    def matrix(self, values: Drawn, context: Context) -> Tensor:
        """Return the shift."""
        top, left = (
            round((int(have) - want) * share)
            for have, want, share in zip(context.canvas, self.size, self.place, strict=True)
        )
        return mat.scale_shift(1.0, -float(left), 1.0, -float(top), context.like)


def flipped(horizontally: bool, vertically: bool, transposed: bool = False) -> Layer:
    """Return one of the eight symmetries: axes are exchanged first."""
    steps: list[Any] = [RandomTranspose(p=1.0)] if transposed else []
    steps += [RandomHorizontalFlip(p=1.0)] if horizontally else []
    steps += [RandomVerticalFlip(p=1.0)] if vertically else []
    return Compose(steps)


def multiscale(scales: Sequence[float] = (0.75, 1.0, 1.25), divisor: int = 1) -> list[View]:
    """Return views at several scales of the canvas.

    Args:
        scales: factors, positive; 1 is neutral.
        divisor: heights and widths are rounded to multiples of it, as networks with strides want them.

    Raises:
        ValueError: for scales that are not positive.

    Example:
        >>> from gpuaug import tta
        >>> tta.multiscale((1.0, 0.5))[1]((32, 48)).nodes[0].transform.size
        (16, 24)
    """
    if not scales or min(scales) <= 0:
        raise ValueError(f"multiscale: scales must be positive, got {scales!r}")
    if isinstance(divisor, bool) or not isinstance(divisor, int) or divisor < 1:
        raise ValueError(f"multiscale: divisor must be a positive integer, got {divisor!r}")

    def at(scale: float) -> View:
        def view(canvas: Size) -> Layer:
            size = [max(round(n * scale / divisor), 1) * divisor for n in canvas]
            return Compose([Resize(size)] if tuple(size) != canvas else [])

        return view

    return [at(float(scale)) for scale in scales]


def five_crop(size: Any = None) -> list[View]:
    """Return the four corners and the centre, as torchvision's FiveCrop.

    Args:
        size: (height, width), or a number for a square; None is 7/8 of the canvas.

    Raises:
        ValueError: on a canvas that is smaller.

    Example:
        >>> from gpuaug import tta
        >>> len(tta.five_crop(16))
        5
    """
    given = None if size is None else as_size(size, "five_crop")

    def at(place: tuple[float, float]) -> View:
        def view(canvas: Size) -> Layer:
            want = given or (round(canvas[0] * CROP), round(canvas[1] * CROP))
            if want[0] > canvas[0] or want[1] > canvas[1]:
                raise ValueError(f"five_crop: size must be at most the canvas {canvas}, got {want}")
            return Compose([Cut(want, place)])

        return view

    return [at(place) for place in ((0, 0), (0, 1), (1, 0), (1, 1), (0.5, 0.5))]


def ten_crop(size: Any = None, vertical_flip: bool = False) -> list[View]:
    """Return five crops and their mirror images, as torchvision's TenCrop.

    Args:
        size: (height, width), or a number for a square; None is 7/8 of the canvas.
        vertical_flip: whether they are mirrored top to bottom, not left to right.

    Example:
        >>> from gpuaug import tta
        >>> len(tta.ten_crop(16))
        10
    """
    return product([flipped(False, False), flipped(not vertical_flip, vertical_flip)], five_crop(size))


def product(*sets: Sequence[View] | str) -> list[View]:
    """Return every view of the first set, seen through every one of the next, and so on.

    Args:
        sets: names or lists of views; the first set is applied first, and varies slowest.

    Example:
        >>> from gpuaug import tta
        >>> len(tta.product("multiscale", "hflip"))
        6
    """
    whole: list[View] = [Compose([])]
    for one in sets:
        whole = [_after(first, then) for first in whole for then in _listed(one)]
    return whole


def _after(first: View, then: View) -> View:
    def view(canvas: Size) -> Layer:
        before = made(first, canvas)
        for node in before.nodes:
            canvas = node.transform.output_canvas(canvas)
        return Compose([before, made(then, canvas)])

    return view


def made(view: View, canvas: Size) -> Layer:
    """Return the pipeline of a view for a canvas."""
    return view if isinstance(view, Layer) else view(canvas)


SETS: dict[str, Callable[[], list[View]]] = {
    "none": lambda: [flipped(False, False)],
    "hflip": lambda: [flipped(False, False), flipped(True, False)],
    "vflip": lambda: [flipped(False, False), flipped(False, True)],
    "flips": lambda: [flipped(x, y) for y in (False, True) for x in (False, True)],
    "rot90": lambda: [flipped(k in (2, 3), k in (1, 2), k in (1, 3)) for k in range(4)],
    "d4": lambda: [flipped(x, y, t) for t in (False, True) for y in (False, True) for x in (False, True)],
    "five_crop": five_crop,
    "ten_crop": ten_crop,
    "multiscale": multiscale,
}
"""Sets of views by name; `a*b` is their product."""


def _listed(views: Sequence[View] | str) -> list[View]:
    if not isinstance(views, str):
        return list(views)
    names = [name.strip() for name in views.split("*")]
    for name in names:
        if name not in SETS:
            raise ValueError(f"TTA: views must be of {', '.join(SETS)}, or products ('d4*multiscale'), got {name!r}")
    return SETS[names[0]]() if len(names) == 1 else product(*names)


def views_of(views: Any) -> list[View]:
    """Return a list of views, or raise."""
    if isinstance(views, Layer):
        return [views]
    if not isinstance(views, (str, list, tuple)):
        raise TypeError(f"TTA: views must be a name, a pipeline or a list of pipelines, got {type(views).__name__}")
    found = _listed(views)
    if not found:
        raise ValueError("TTA: views must not be empty")
    for view in found:
        if not isinstance(view, Layer) and not callable(view):
            raise TypeError(f"TTA: each view must be a pipeline, got {type(view).__name__}")
        mixing = [node.name for node in view.nodes if node.transform.mixes] if isinstance(view, Layer) else []
        if mixing:
            raise ValueError(f"TTA: in views no samples may meet, got {', '.join(mixing)}")
    return found
