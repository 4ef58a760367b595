"""What a call does to a batch: the image is rendered, and everything annotated on it moves along."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gpuaug.data.batch import PADDING, Batch, Images
from gpuaug.data.instances import ROTATED, BboxParams, Instances, KeypointParams
from gpuaug.data.pad import pad
from gpuaug.data.ragged import Ragged
from gpuaug.geometry.canvas import Canvas, Sizes, following, largest
from gpuaug.geometry.matrix import matrix_dtype
from gpuaug.render.backend import render
from gpuaug.render.pick import pick
from gpuaug.render.plan import Plan, Reading
from gpuaug.render.values import default_range
from gpuaug.transforms.move import move
from gpuaug.transforms.track import moves, still, track

if TYPE_CHECKING:
    from gpuaug.transforms.layer import Context, Layer, Node, Values

__all__ = ["carry", "seeing"]

_NO_PAIRS = (
    "{}: {} mirrors keypoints, and nobody says which are the left and right of each other: give"
    " Compose(keypoint_params=KeypointParams(flip_pairs=[(0, 1), ...])), or flip_pairs=() where they have no sides"
)
"""Shown once, as Python does with a warning of one place."""


def carry(layer: Layer, batch: Batch, values: Values) -> Batch:
    """Return the batch with everything in it transformed."""
    out = _carried(layer, batch, _by_frame(values, batch))
    s = layer.settings
    if s.pad_to is None and s.pad_divisor is None:
        return out
    ranged = any(node.transform.normalizes or node.transform.changes_dtype for node in layer.nodes)
    black = (0.0,) if ranged or s.value_range is None else s.value_range.black
    fill = {"image": black if layer.fill is None else layer.fill, **layer.target_fill}
    return pad(out, s.pad_to, s.pad_divisor or 1, fill, type(layer).__name__)


def _refuse_blending(layer: Layer, batch: Batch) -> None:
    """Raise where annotations come with a transform after which they have no place."""
    blending = [node.name for node in layer.nodes if node.transform.blends]
    held = [key for key, (role, _) in batch.extra.items() if role != "image" and key != PADDING]
    held += ["mask"] if batch.mask is not None else []
    held += ["boxes, masks or keypoints"] if batch.instances is not None else []
    if blending and held:
        raise TypeError(
            f"{blending[0].partition('.')[0]}: it shows an image in several places at once, and takes images and "
            f"labels only, got {held[0]}"
        )


def _carried(layer: Layer, batch: Batch, values: Values) -> Batch:
    s = layer.settings
    _refuse_blending(layer, batch)
    converted = [node.transform.box_format for node in layer.nodes if node.transform.box_format is not None]
    box_format = agreeing(batch, converted[-1] if converted else batch.box_format, s.bbox, type(layer).__name__)
    out = Batch(_rendered(batch.image, layer.plan(batch, values)), box_format=box_format)
    moving = any(moves(values[node.name]) for node in layer.nodes)
    touching = any(_fills(node) or node.transform.hide_keypoints for node in layer.nodes)
    judged = s.bbox.filters or any(
        node.transform.treats_boxes and node.transform.box_format is None for node in layer.nodes
    )
    if not (moving or touching or (batch.instances is not None and judged)):
        out.mask, out.instances, out.extra = batch.mask, batch.instances, dict(batch.extra)
        for key, (role, value) in batch.extra.items():
            if role == "image" or any(key in (node.transform.keys or ()) for node in layer.nodes):
                out.extra[key] = (role, _further(layer, value, values, key, role, batch.canvas))
        return out
    if batch.mask is not None:
        out.mask = _picked(layer, batch.mask, values, "mask", batch.canvas)
    for key, (role, value) in batch.extra.items():
        out.extra[key] = (role, _further(layer, value, values, key, role, batch.canvas))
    if batch.instances is not None:
        out.instances = _objects(layer, batch, batch.instances, values, box_format, judged)
    return out


def _objects(layer: Layer, batch: Batch, rows: Instances, values: Values, box_format: str, judged: bool) -> Instances:
    contexts, s = layer.contexts(batch), layer.settings
    if rows.keypoints is not None and s.keypoint.flip_pairs is None and not torch.compiler.is_compiling():
        mirrors = [node.name for node in layer.nodes if node.transform.mirrors]
        if mirrors:
            warnings.warn(_NO_PAIRS.format(type(layer).__name__, mirrors[0]), stacklevel=2)
    masks = None if rows.masks is None else _picked(layer, rows.masks, values, "masks", batch.canvas)
    like = torch.zeros(len(batch), dtype=matrix_dtype(batch.image.device), device=batch.image.device)
    path = track(layer.nodes, contexts, values)
    way = path
    if rows.keypoints is not None and any(node.transform.hide_keypoints for node in layer.nodes):
        way = track(layer.nodes, contexts, values, hiding=True)
    if path is None and not judged:  # nothing moves: boxes stay as they are, whatever hides keypoints or fills masks
        out = rows if masks is None else rows.with_(masks=masks)
        if way is None:
            return out
        hidden = move(rows.with_(boxes=None, masks=None), way, BboxParams(), KeypointParams(), None)
        return out.with_(keypoints=hidden.keypoints, visible=hidden.visible)
    rest = still(batch.canvas, like)
    labels = dict(s.mirror_labels)
    return move(
        rows, path or rest, s.bbox, s.keypoint, labels, masks, box_format, batch.canvas, way=way or path or rest
    )


def _fills(node: Node) -> bool:
    return node.transform.fill_mask is not None


def _by_frame(values: Values, batch: Batch) -> Values:
    """Return parameters for every frame: a clip's own, but noise of its own for each frame."""
    if batch.frames == 1:
        return values
    frame = torch.arange(batch.frames, device=batch.image.device).repeat(batch.samples)
    by_frame = {
        name: {key: value.repeat_interleave(batch.frames, 0) for key, value in drawn.items()}
        for name, drawn in values.items()
    }
    for drawn in by_frame.values():
        if "key" in drawn:
            drawn["key"] = drawn["key"] + frame
    return by_frame


def seeing(layer: Layer, place: int, batch: Batch, values: Values, context: Context) -> Context:
    """Return the context of the transform at a place, with the annotations that it sees, as they are there.

    Of a clip it sees those of all frames: a crop that keeps every box keeps it in every frame.
    """
    values = _by_frame(values, batch)
    before, sees = layer.nodes[:place], layer.nodes[place].transform.sees
    contexts = layer.contexts(batch)
    rows, mask = batch.instances, batch.mask
    moved = any(moves(values[node.name]) for node in before)
    if rows is not None and "objects" in sees and moved:
        path = track(before, contexts, values)
        assert path is not None
        method = layer.settings.bbox.rotate_method
        boxed = method == "mask" and rows.masks is not None
        masks = _picked(layer, rows.masks, values, "masks", batch.canvas, before) if boxed else None
        rows = move(rows, path, BboxParams(rotate_method=method), KeypointParams(), None, masks, source=batch.canvas)
    if mask is not None and "mask" in sees and (moved or any(map(_fills, before))):
        mask = _picked(layer, mask, values, "mask", batch.canvas, before)
    if batch.frames > 1:
        rows = None if rows is None else rows.map(lambda t: t.unflatten(0, (batch.samples, batch.frames)).flatten(1, 2))
        mask = None if mask is None else mask.unflatten(0, (batch.samples, batch.frames)).flatten(1, 2)
    if isinstance(mask, Ragged):
        mask = mask.padded(largest(contexts[place].canvas))
    return replace(
        context,
        objects=rows if "objects" in sees else None,
        mask=mask if "mask" in sees else None,
    )


def _rendered(image: Images, plan: Plan) -> Any:
    return _by_size(image, plan, render)


def _by_size(image: Images, plan: Plan, run: Callable[[Tensor, Plan], Tensor]) -> Any:
    """Return images after a plan; where sizes differ, before or after it, one at a time.

    What differs in size on the way out is packed again.
    """
    passes = plan.finish()
    if isinstance(image, Tensor) and not any(isinstance(step.canvas, Sizes) for step in passes):
        return run(image, plan)
    if isinstance(image, Ragged) and not passes and plan.out_dtype == image.dtype:
        return image
    done = [run(one[None], plan.of(b))[0] for b, one in enumerate(image)]
    return Ragged.pack(done) if isinstance(plan.canvas, Sizes) else torch.stack(done)


def agreeing(batch: Batch, box_format: str, bbox: BboxParams, owner: str) -> str:
    """Return the format of the boxes that come out, or raise where boxes and settings do not go together."""
    rows = batch.instances
    if rows is None or rows.boxes is None:
        return box_format
    if (box_format in ROTATED) != (rows.boxes.shape[-1] == 8):
        raise ValueError(
            f"{owner}: boxes must be written as what they are, rotated or not: {batch.box_format} cannot become "
            f"{box_format}"
        )
    if bbox.rotate_method != "largest_box" and rows.boxes.shape[-1] == 8:
        raise ValueError(f"{owner}: rotate_method={bbox.rotate_method!r} needs boxes that are not rotated")
    if bbox.rotate_method == "mask" and rows.masks is None:
        raise ValueError(f"{owner}: rotate_method='mask' needs `masks` beside `boxes`, got none")
    if bbox.rotate_method == "mask" and bbox.min_visibility > 0 and isinstance(rows.masks, Ragged):
        raise ValueError(f"{owner}: rotate_method='mask' with min_visibility needs images of one size")
    return box_format


def _picked(
    layer: Layer, mask: Any, values: Values, target: str, canvas: Canvas, nodes: Sequence[Node] | None = None
) -> Any:
    """Return a mask after some nodes, the first ones: moved at once between the places where it is filled."""
    nodes = layer.nodes if nodes is None else nodes
    start = 0
    for i, node in enumerate(nodes):
        if node.transform.fill_mask is None or target == PADDING:
            continue
        mask = _moved(layer, mask, values, target, canvas, nodes[start:i])
        for before in nodes[start:i]:
            canvas = following(canvas, before.transform.output_canvas)
        where = node.transform.occluded(values[node.name], largest(canvas))
        # Objects are cleared; the fill is a class of the semantic mask.
        mask = _filled(mask, where, 0 if target == "masks" else node.transform.fill_mask)
        start = i
    return _moved(layer, mask, values, target, canvas, nodes[start:])


def _filled(mask: Any, where: Tensor, fill: float) -> Any:
    """Return classes (B, C, h, w), or an index map (B, h, w), of any resolution, filled `where` (B, H, W)."""
    if isinstance(mask, Ragged):
        shown = [w[: one.shape[1], : one.shape[2]] for one, w in zip(mask, where, strict=True)]
        return Ragged.pack([torch.where(w, one.new_full((), fill), one) for one, w in zip(mask, shown, strict=True)])
    if where.shape[1:] != mask.shape[-2:]:
        where = torch.nn.functional.interpolate(where[:, None].float(), mask.shape[-2:], mode="nearest-exact")[:, 0] > 0
    return torch.where(where if mask.dim() == 3 else where[:, None], mask.new_full((), fill), mask)


def _moved(layer: Layer, mask: Any, values: Values, target: str, canvas: Canvas, nodes: Sequence[Node]) -> Any:
    """Return classes (B, C, h, w), or an index map (B, h, w), of any resolution, in the output."""
    if not any(moves(values[node.name]) for node in nodes):
        return mask
    fill = layer.target_fill.get(target, 1 if target == PADDING else 0)
    planes = mask[:, None] if isinstance(mask, Tensor) and mask.dim() == 3 else mask
    shown = planes
    if isinstance(planes, Tensor) and planes.shape[2:] != canvas:  # a plan knows the image's canvas alone
        shown = planes.new_zeros(()).expand(*planes.shape[:2], *canvas)
    plan = layer.plan(Batch(shown), values, Reading("nearest", False, (float(fill),)), nodes)

    def run(one: Tensor, given: Plan) -> Tensor:
        source = canvas if isinstance(mask, Tensor) else (one.shape[2], one.shape[3])
        return pick(one, given.finish(), fill, source, given.backend)

    out = _by_size(planes, plan, run)
    return out if planes is mask else out[:, 0]


def _further(layer: Layer, value: Any, values: Values, key: str, role: str, canvas: Canvas) -> Any:
    if role == "mask":
        return _picked(layer, value, values, key, canvas)
    if role == "image":
        return _rendered(value, layer.plan(Batch(value), values, key=key))
    interpolation = layer.target_interpolation.get(key, "bilinear")
    fill = default_range(value.dtype).one(float(layer.target_fill.get(key, 0)), key)
    return _rendered(value, layer.plan(Batch(value), values, Reading(interpolation, True, (fill,)), key=key))
