"""Look at a batch, or at what a pipeline does to it: contact sheets and PNG files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

import torch
from torch import Tensor

from gpuaug._chart import chart
from gpuaug._draw import PAPER, caption, corners
from gpuaug._picture import Names, as_pictures, draw_classes, draw_keypoints, draw_objects, sample_of, sized
from gpuaug.data.batch import Batch, Settings, open_door
from gpuaug.data.instances import BboxParams, KeypointParams
from gpuaug.render.values import as_value_range
from gpuaug.transforms.apply import carry
from gpuaug.transforms.ends import Normalize
from gpuaug.transforms.layer import Layer
from gpuaug.transforms.rows import sampled

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["Look", "chart", "contact_sheet", "draw", "lay_out", "preview", "save_png"]

_GAP = 2  # pixels between two tiles


class Look(TypedDict, total=False):
    """How pictures are drawn: the arguments of `draw`, which the others take too."""

    scale: int
    max_size: int | None
    mean: Sequence[float] | None
    std: Sequence[float] | None
    value_range: Any
    class_names: Names | None
    skeleton: Sequence[tuple[int, int]]
    opacity: float
    line_width: int | None
    bbox_params: BboxParams | None
    keypoint_params: KeypointParams | None
    format: str | None


def draw(
    *inputs: Any,
    scale: int = 1,
    max_size: int | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    value_range: Any = None,
    class_names: Names | None = None,
    skeleton: Sequence[tuple[int, int]] = (),
    opacity: float = 0.4,
    line_width: int | None = None,
    bbox_params: BboxParams | None = None,
    keypoint_params: KeypointParams | None = None,
    format: str | None = None,
) -> list[Tensor]:
    """Draw a picture of each sample, with everything annotated on it.

    Classes of a mask and the masks of objects are blended over the image, each in a colour of its own; class 0 is left
    as it is, 255 and negative ones are gray. Boxes, rotated ones too, are drawn on the pixels inside their edge,
    with the name of their class; keypoints as discs with a black rim, and as rings where they are
    hidden (1). What is not visible (0) or
    not valid is not drawn. The colour of a box and its mask tells the object, that of a keypoint which one it is.

    Args:
        inputs: what a pipeline takes or gives. In a dict, boxes of five numbers are cx, cy, w, h and angle, and of
            eight the corners, unless `bbox_params` says otherwise.
        scale: how many times larger to draw each pixel (nearest neighbour).
        max_size: longer side in pixels above which a picture is made smaller; None keeps its size.
        mean: the mean per channel that `Normalize` subtracted; goes with `std`.
        std: the standard deviation per channel that `Normalize` divided by.
        value_range: (black, white); None takes those of an unsigned dtype, 0 and 1 for floats, and for what does not
            keep to them, as normalized images, the 0.5 % and 99.5 % quantiles of the batch.
        class_names: names of classes, by number; without one the number is shown.
        skeleton: pairs of keypoints between which a line is drawn.
        opacity: of masks, 0 to 1.
        line_width: in pixels of the picture; None takes one for every 200 pixels of its shorter side.
        bbox_params: the format of the boxes, as in `Compose`.
        keypoint_params: the origin of the keypoints, as in `Compose`.
        format: of structures whose type does not say what they are, as in `Compose`.

    Shape:
        (B, C, H, W) -> B pictures, uint8 (3, H', W') on the CPU: the first three channels, or the first of fewer.

    Raises:
        TypeError: for inputs that a pipeline does not take.
        ValueError: an argument does not fit.

    Example:
        >>> boxes = torch.tensor([[[2.0, 3.0, 12.0, 7.0]]])
        >>> picture, = draw({"image": torch.zeros(1, 3, 10, 16), "boxes": boxes}, scale=2)
        >>> picture.shape, picture[:, 6, 4].tolist()
        (torch.Size([3, 20, 32]), [86, 180, 233])
    """
    if scale < 1 or (max_size is not None and max_size < 1):
        raise ValueError(f"draw: scale and max_size must be at least 1, got {scale} and {max_size}")
    if not 0 <= opacity <= 1:
        raise ValueError(f"draw: opacity must be between 0 and 1, got {opacity!r}")
    if line_width is not None and line_width < 1:
        raise ValueError(f"draw: line_width must be at least 1, got {line_width!r}")
    settings = Settings(bbox_params or BboxParams(), keypoint_params or KeypointParams(), format=format)
    batch = _read(inputs, settings)
    pictures = as_pictures(batch, mean, std, as_value_range(value_range, "draw"))
    drawn = []
    for i, picture in enumerate(pictures):
        picture, factor = sized(picture, scale, max_size)
        width = line_width or max(1, round(min(picture.shape[1:]) / 200))
        if batch.mask is not None:
            draw_classes(picture, batch.mask[i], opacity)
        if batch.instances is not None:
            rows = sample_of(batch.instances, i)
            draw_objects(picture, rows, factor, width, opacity, class_names)
            draw_keypoints(picture, rows, factor, width, skeleton)
        drawn.append(picture)
    return drawn


def contact_sheet(
    *inputs: Any, columns: int = 8, captions: Sequence[str] | None = None, **look: Unpack[Look]
) -> Tensor:
    """Lay a batch out as one picture, left to right and top to bottom, with what is annotated drawn on.

    Args:
        inputs: what a pipeline takes or gives.
        columns: tiles per row.
        captions: one per image, written below it and cut where the tile ends.
        look: the arguments of `draw`.

    Shape:
        (B, C, H, W) -> uint8 (3, H', W') on the CPU.

    Raises:
        TypeError: for inputs that a pipeline does not take.
        ValueError: an argument does not fit.

    Example:
        >>> contact_sheet(torch.zeros(5, 1, 8, 8), columns=3, scale=2).shape
        torch.Size([3, 38, 56])
    """
    return lay_out(draw(*inputs, **look), columns, captions)


def preview(
    augment: Layer, *inputs: Any, copies: int = 5, captions: Sequence[str] | None = None, **look: Unpack[Look]
) -> Tensor:
    """Lay out each sample beside what a pipeline makes of it, with what is annotated drawn on both.

    The first copy is what the next training call gives. The clock is not advanced, and `eval()` plays no part.
    Mean and standard deviation of a `Normalize` in the pipeline are undone, and the formats of annotations are those of
    the pipeline.

    Args:
        augment: a transform or container.
        inputs: what it takes.
        copies: how many draws to show of each sample.
        captions: one per sample, written below the original and cut where the tile ends.
        look: the arguments of `draw`; all but `bbox_params`, `keypoint_params` and `format`.

    Shape:
        (B, C, H, W) -> uint8 (3, H', W') on the CPU: a row for each sample, or for each frame of a clip.

    Raises:
        TypeError: for anything but a transform of this library, or inputs that it does not take.
        ValueError: an argument does not fit.

    Example:
        >>> import gpuaug as ga
        >>> preview(ga.RandomHorizontalFlip(), torch.zeros(2, 3, 8, 10), copies=3).shape
        torch.Size([3, 22, 50])
    """
    if not isinstance(augment, Layer):
        raise TypeError(f"preview: augment must be a gpuaug transform, got {type(augment).__name__}")
    batch, _ = open_door(inputs, type(augment).__name__, augment.settings)
    return lay_out(*row_tiles(augment, batch, copies, captions=captions, **look))


def row_tiles(
    augment: Layer,
    batch: Batch,
    copies: int,
    first: int = 0,
    captions: Sequence[str] | None = None,
    **look: Unpack[Look],
) -> tuple[list[Tensor], int, list[str] | None]:
    """Return the tiles of a preview row by row, the number of columns, and the captions.

    Args:
        augment: a transform or container.
        batch: samples.
        copies: how many draws of each.
        first: number of the first draw.
        captions: one per sample.
        look: the arguments of `draw`.
    """
    if copies < 1:
        raise ValueError(f"preview: copies must be at least 1, got {copies}")
    if captions is not None and len(captions) != len(batch.image):
        raise ValueError(f"preview: captions must be one per sample ({len(batch.image)}), got {len(captions)}")
    given = augment.settings.value_range
    before, after = look.copy(), look.copy()
    before.pop("mean", None)
    before.pop("std", None)
    if given is not None and look.get("value_range") is None:
        before["value_range"] = (given.black, given.white)
    columns = [draw(batch, **before)]
    normalizers = [node for node in augment.nodes if node.transform.normalizes]
    if len(normalizers) == 1 and "mean" not in look:
        norm = normalizers[0]
        if isinstance(norm.transform, Normalize) and norm.transform.mean and norm.channels is None:
            after["mean"], after["std"] = norm.transform.mean, norm.transform.std
    for copy in range(first, first + copies):
        with torch.no_grad():
            given_to, params = sampled(augment, batch, copy)
            out = carry(augment, given_to, params.values)
        if len(out) != len(batch) * params.copies:
            raise ValueError(f"preview: a row is one frame and what becomes of it, got {len(out)} of {len(batch)}")
        if out.image.dtype == batch.image.dtype and not normalizers and "value_range" in before:
            after["value_range"] = before["value_range"]
        drawn = draw(out, **after)
        columns.extend(drawn[k : k + len(batch)] for k in range(0, len(drawn), len(batch)))
    tiles = [tile for row in zip(*columns, strict=True) for tile in row]
    texts = None if captions is None else [text for one in captions for text in (one, *[""] * (len(columns) - 1))]
    return tiles, len(columns), texts


def lay_out(tiles: Sequence[Tensor], columns: int, captions: Sequence[str] | None = None) -> Tensor:
    """Lay pictures out as one, each in the middle of a cell as large as the largest of them.

    Args:
        tiles: uint8, (3, H, W) of any sizes.
        columns: tiles per row.
        captions: one per tile, written below it and cut where the cell ends.

    Shape:
        -> uint8 (3, H', W').

    Raises:
        ValueError: an argument does not fit.

    Example:
        >>> lay_out([torch.zeros(3, 8, 4, dtype=torch.uint8), torch.zeros(3, 6, 10, dtype=torch.uint8)], 2).shape
        torch.Size([3, 12, 26])
    """
    if not tiles:
        raise ValueError("contact_sheet: images must hold at least one image, got none")
    if columns < 1:
        raise ValueError(f"contact_sheet: columns must be at least 1, got {columns}")
    if captions is not None and len(captions) != len(tiles):
        raise ValueError(f"contact_sheet: captions must be one per image ({len(tiles)}), got {len(captions)}")
    height, width = (max(tile.shape[side] for tile in tiles) for side in (1, 2))
    strip = 0 if captions is None else caption("", width).shape[1]
    columns = min(columns, len(tiles))
    rows = -(-len(tiles) // columns)
    step_y, step_x = height + strip + _GAP, width + _GAP
    sheet = torch.full((3, rows * step_y + _GAP, columns * step_x + _GAP), PAPER, dtype=torch.uint8)
    for i, tile in enumerate(tiles):
        top, left = _GAP + i // columns * step_y, _GAP + i % columns * step_x
        if captions is not None:
            sheet[:, top + height : top + height + strip, left : left + width] = caption(captions[i], width)
        h, w = tile.shape[1:]
        top, left = top + (height - h) // 2, left + (width - w) // 2
        sheet[:, top : top + h, left : left + w] = tile
    return sheet


def save_png(image: Tensor, path: Path | str) -> None:
    """Write a picture as a PNG, and the folder it goes into if there is none.

    Args:
        image: uint8, (3, H, W).
        path: the file to write.
    """
    from PIL import Image  # an optional dependency: only pictures for people need it

    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image.detach().cpu().permute(1, 2, 0).contiguous().numpy()).save(path, format="PNG", optimize=True)


# --- reading ---


def _read(inputs: tuple[Any, ...], settings: Settings) -> Batch:
    if len(inputs) == 1 and isinstance(inputs[0], Batch):
        return inputs[0]
    data = inputs[0] if len(inputs) == 1 else None
    boxes = data.get("boxes") if isinstance(data, dict) else None
    turned = isinstance(boxes, Tensor) and boxes.shape[-1:] in ((5,), (8,)) and settings.bbox == BboxParams()
    if not turned:
        return open_door(inputs, "draw", settings)[0]
    # Rotated boxes that nobody has named: the door sees rows of four numbers in their place.
    assert isinstance(data, dict) and isinstance(boxes, Tensor)
    batch, _ = open_door(({**data, "boxes": boxes.new_zeros(*boxes.shape[:-1], 4)},), "draw", settings)
    assert batch.instances is not None
    quads = corners(boxes.float()).flatten(-2)
    batch.instances = batch.instances.with_(boxes=quads.view(*batch.instances.valid.shape, 8))
    return batch
