"""Mosaic: four samples around a point of one canvas."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from gpuaug.data.kept import Kept
from gpuaug.functional.labels import soft_labels
from gpuaug.functional.mosaic import FIT_MODES, TILES, fitted, placed
from gpuaug.geometry.canvas import Canvas, Sizes, exact, following, hosts, spans
from gpuaug.render.mixes import Tiles
from gpuaug.render.plan import Plan
from gpuaug.sampling.distributions import Uniform, as_distribution
from gpuaug.sampling.law import Number, Range
from gpuaug.transforms.base import Drawn, Reader
from gpuaug.transforms.batch_mix import BatchMix
from gpuaug.transforms.crop import Size, as_size
from gpuaug.transforms.layer import Context, Node
from gpuaug.transforms.mixing import Group

__all__ = ["Mosaic"]


class Mosaic(BatchMix, Reader):
    """Put each sample and three others of the batch around a point drawn for it, each with a corner there.

    The sample itself is at the top left, and shows its lower right part, as large as there is room for; the others are
    drawn uniformly from the batch, with replacement, the sample included. Warps that follow join: each output pixel
    is read from the one image whose tile its centre lies in, and the canvas in between is never made. Images do not
    blend across a seam: within a pixel of it the result is that of each image alone.

    YOLO's recipe for images of size s is `Mosaic(target_size=2 * s, cell_shape=s, center_range=(0.25, 0.75))`,
    `RandomAffine` or `RandomPerspective` and `CenterCrop(s)`, in a `Compose(fill=114)`; a sample that `p` leaves out is
    then augmented as without the mosaic.

    With a `buffer`, samples and all that is annotated on them are kept as they come in, on their device: this takes
    the memory of so many samples and of one batch more, for good, and one copy of the batch in each call; nothing
    waits. The first batches meet who is there. It starts anew where shapes, dtypes or the device change (but for the
    number of objects, which grows to the largest, with empty rows) or a batch is larger than the first, with `reseed`,
    and in copies and pickles; it is no part of `state_dict`, and `eval()`, `enabled = False` and inference mode leave
    it as it is. Draws are those of the seed, among whoever is there. `sample` and `return_params=True` copy the buffer
    into the Params, so that these can be replayed.

    Args:
        target_size: (height, width) of the canvas of the mosaic, or a number for a square; None keeps the input's.
        cell_shape: (height, width) that each image is fitted to, or a number for a square; None keeps its size.
        center_range: range of the point's position, as a share of the canvas's width and height, each drawn on its own
            and rounded down to a whole pixel; 0.5 is the middle.
        fit_mode: "contain" makes an image as large as fits into the cell, "cover" as small as covers it; then what is
            beyond the cell is cut off.
        interpolation: "bilinear" (default), "nearest" or "bicubic", where an image changes its size.
        fill: value where no tile is, in the input's unit; black by default.
        num_classes: number of classes, for labels of samples that are integers.
        labels_getter: as in `MixUp`.
        buffer: number of samples of earlier batches, the last ones, that are drawn from too; 0 takes the batch alone.
        p: probability for each sample; 0 is neutral. A sample that is left out is shown whole, fitted to its cell, in
            the middle of the canvas: unchanged with the defaults. `enabled = False` leaves out all, for last epochs.

    Shape:
        (B, C, H, W), or `Ragged` with `target_size`, to (B, C, *target_size).

    Boxes and masks:
        Those of all four images, 4 N rows for N: the sample's own first. They are cut at the tile of their image, and
        rows of which nothing is left are no longer valid. `BboxParams(min_size=2, min_visibility=0.1, max_aspect=100)`
        is YOLO's rule for what remains after the warp; of an object that the mosaic has cut, the visible share counts
        from what it was before. Labels of samples are mixed by the area of the tiles.

    Raises:
        ValueError: for images of several sizes without `target_size`, or with a `buffer`; for clips with a `buffer`;
            for a `buffer` that does not come first; for integer labels without `num_classes`.

    Source: albumentations.Mosaic, whose `fit_mode` is "cover" by default; the geometry is YOLO's.

    Example:
        >>> import torch, gpuaug as ga
        >>> mosaic = ga.Mosaic(target_size=(48, 64), cell_shape=(24, 32), center_range=(0.25, 0.75), p=1.0)
        >>> out = mosaic({"image": torch.zeros(4, 3, 24, 32), "boxes": torch.rand(4, 5, 4) * 20})
        >>> out["image"].shape, out["boxes"].shape
        (torch.Size([4, 3, 48, 64]), torch.Size([4, 20, 4]))
    """

    mixes_labels: ClassVar[bool] = True
    takes_sizes: ClassVar[bool] = True

    def __init__(
        self,
        *,
        target_size: Size | None = None,
        cell_shape: Size | None = None,
        center_range: Range = (0.3, 0.7),
        fit_mode: str = "contain",
        interpolation: Any = None,
        fill: Any = None,
        num_classes: int | None = None,
        labels_getter: Any = "default",
        buffer: int = 0,
        p: Number = 0.5,
    ) -> None:
        """Check the arguments; see the class."""
        BatchMix.__init__(self, p, labels_getter)
        self.read_as(interpolation, fill)
        self.target_size = None if target_size is None else as_size(target_size, "Mosaic", "target_size")
        self.cell_shape = None if cell_shape is None else as_size(cell_shape, "Mosaic", "cell_shape")
        if fit_mode not in FIT_MODES:
            raise ValueError(f"Mosaic: fit_mode must be one of {', '.join(FIT_MODES)}, got {fit_mode!r}")
        self.fit_mode, self.num_classes = fit_mode, num_classes
        if isinstance(buffer, bool) or not isinstance(buffer, int) or buffer < 0:
            raise ValueError(f"Mosaic: buffer must be a whole number of samples, not negative, got {buffer!r}")
        self.kept = Kept(buffer) if buffer else None
        center = as_distribution(center_range, owner="Mosaic", name="center_range", low=0.0, high=1.0)
        self.declare(center=(center, 2), _partner=(Uniform(0.0, 1.0), TILES - 1))

    def active(self, context: Context) -> bool:
        """Tell whether anything is done: where the canvas changes, samples are put on it even if it is switched off."""
        return super().active(context) or self.target_size is not None or self.cell_shape is not None

    def output_canvas(self, canvas: Canvas) -> Canvas:
        """Return the canvas of the mosaic."""
        if self.target_size is None and isinstance(canvas, Sizes):
            raise ValueError("Mosaic: target_size must be given for images of several sizes, got None")
        return canvas if self.target_size is None else self.target_size

    def fitted(self, canvas: Canvas) -> Canvas:
        """Return the size of images fitted to the cell."""
        return fitted(canvas, self.cell_shape, self.fit_mode)

    def settle(self, raw: Drawn, gate: Tensor | None, context: Context) -> Drawn:
        """Return who is in the mosaic, its centre, and where each tile is."""
        like, after = context.like, self.output_canvas(context.canvas)
        count = like.shape[0]
        if not self.enabled:
            gate = torch.zeros_like(like, dtype=torch.bool)
        if context.met is None:
            own = torch.arange(count, device=like.device)
            others = (raw["_partner"] * count).to(torch.int64).clamp(max=max(count - 1, 0))
        else:
            own, others = context.met.slots, context.met.partner(raw["_partner"])
        size = spans(after, like)
        values = {
            "partner": torch.cat((own[:, None], others), dim=1),
            "center": torch.floor(raw["center"] * size),
        }
        if gate is not None:
            values["gate"] = gate
            values["partner"] = torch.where(gate[:, None], values["partner"], own[:, None])
        partner, center, canvas = values["partner"], values["center"], exact(context.canvas)
        found = placed(partner, center, canvas, after, self.cell_shape, self.fit_mode, gate, size)
        values["_matrix"], values["_rectangle"] = found
        return values

    def contribute(self, plan: Plan, values: Drawn, context: Context, node: Node) -> None:
        """Begin a pass."""
        pairs = [(size, self.fitted(size)) for size in hosts(context.canvas)]
        shrink = max([1.0, *(side / new for size, inner in pairs for side, new in zip(size, inner, strict=True))])
        plan.tile(
            Tiles(values["partner"], values["_matrix"], values["_rectangle"]),
            following(context.canvas, self.output_canvas),
            "lattice" if all(size == inner for size, inner in pairs) else "axis",
            self.reading(plan, context),
            shrink,
        )

    def groups(self, values: Drawn, context: Context) -> list[Group]:
        """Return the objects of all four."""
        return [Group(values["partner"], values["_matrix"], values["_rectangle"])]

    def check_labels(self, labels: Tensor) -> None:
        """Raise for labels that cannot be mixed."""
        if labels.dim() == 1 and self.num_classes is None:
            raise ValueError(
                "Mosaic: num_classes must be given for labels that are numbers of classes (labels_getter=None leaves"
                " them alone), got None"
            )
        if labels.dim() == 2 and self.num_classes not in (None, labels.shape[1]):
            raise ValueError(
                f"Mosaic: num_classes must be {labels.shape[1]}, as the labels have, got {self.num_classes}"
            )

    def mix_labels(self, labels: Tensor, values: Drawn, context: Context) -> Tensor:
        """Return soft labels (B, classes): of each image by the share of its tile in what is shown."""
        soft = soft_labels(labels, self.num_classes, owner="Mosaic")
        if not values:  # switched off
            return soft
        x0, y0, x1, y1 = values["_rectangle"].unbind(-1)
        area = (x1 - x0).clamp(min=0) * (y1 - y0).clamp(min=0)
        share = (area / area.sum(1, keepdim=True).clamp(min=1)).to(soft.dtype)
        mixed = [soft.index_select(0, values["partner"][:, k]) * share[:, k : k + 1] for k in range(TILES)]
        return mixed[0] + mixed[1] + mixed[2] + mixed[3]
