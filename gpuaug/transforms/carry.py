"""What a call does to pixels: images are rendered, and classes are picked along the same way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gpuaug.data.batch import PADDING, Batch, Images
from gpuaug.data.ragged import Ragged
from gpuaug.geometry.canvas import Canvas, Sizes, following, largest
from gpuaug.render.backend import render, render_at_once
from gpuaug.render.flat import Flat
from gpuaug.render.meet import parted
from gpuaug.render.packed import Packed
from gpuaug.render.pick import pick, pick_at_once
from gpuaug.render.plan import Plan
from gpuaug.render.settings import Reading
from gpuaug.render.values import default_range, movable
from gpuaug.transforms.track import moves

if TYPE_CHECKING:
    from gpuaug.transforms.layer import Layer, Node, Values

__all__ = ["fills", "further", "picked", "rendered"]


def fills(node: Node) -> bool:
    """Tell whether a transform fills masks."""
    return node.transform.fill_mask is not None


def rendered(image: Images, plan: Plan) -> Any:
    """Return images after a plan."""
    return _by_size(image, plan, render, render_at_once)


def _by_size(
    image: Images,
    plan: Plan,
    run: Callable[[Any, Plan], Tensor],
    at_once: Callable[[Tensor | Flat, Plan], Tensor | None],
) -> Any:
    """Return images after a plan; where sizes differ, before or after it, `at_once`, or else one at a time.

    What differs in size on the way out is packed again.
    """
    passes = plan.finish()
    if isinstance(image, Ragged) and any(step.mixes for step in passes):
        return _meeting(image, plan, run, at_once)
    if isinstance(image, Tensor) and not any(isinstance(step.canvas, Sizes) for step in passes):
        return run(image, plan)
    if isinstance(image, Ragged) and not passes and plan.out_dtype == image.dtype:
        return image
    out = at_once(image.flat if isinstance(image, Ragged) else image, plan)
    canvas = plan.canvas
    if out is not None:
        return Ragged(out, canvas.host, plan.out_channels, plan.out_dtype) if isinstance(canvas, Sizes) else out
    meeting = [i for i, step in enumerate(passes) if step.mixes]
    if meeting and meeting[0] > 0:  # samples meet after they have one size
        before, after = parted(plan, image.dtype, meeting[0])
        return run(_by_size(image, before, run, at_once), after)
    index, images = passes[0].index if passes else None, list(image)
    rows = range(len(images)) if index is None else index.tolist()
    done = [run(images[row][None], _alone(plan, b))[0] for b, row in enumerate(rows)]
    return Ragged.pack(done) if isinstance(canvas, Sizes) else torch.stack(done)


def _alone(plan: Plan, sample: int) -> Plan:
    """Return the plan of one sample, for a source that is its own."""
    one = plan.of(sample)
    one.passes = [replace(step, index=None) for step in one.passes]
    return one


def _meeting(
    image: Ragged,
    plan: Plan,
    run: Callable[[Any, Plan], Tensor],
    at_once: Callable[[Tensor | Flat, Plan], Tensor | None],
) -> Any:
    """Return images of several sizes after a plan in which they meet: on one canvas, which is then the batch's."""
    place = [step.mixes for step in plan.passes].index(True)
    given: Any = image
    if place > 0:
        first, plan = parted(plan, image.dtype, place)
        given = _by_size(image, first, run, at_once)
    if isinstance(given, Ragged):
        if plan.passes[0].blend is not None:
            raise ValueError("Compose: images of several sizes cannot be blended; bring them to one size before")
        out = at_once(given.flat, plan)
        if out is not None:
            return out
        height, width, start = given.table.unbind(1)
        given = Packed(given.values, start, height, width, given.channels, list(given))
    return run(given, plan)


def picked(
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
        return Ragged.pack([_where(w, fill, one) for one, w in zip(mask, shown, strict=True)])
    if where.shape[1:] != mask.shape[-2:]:
        where = torch.nn.functional.interpolate(where[:, None].float(), mask.shape[-2:], mode="nearest-exact")[:, 0] > 0
    return _where(where if mask.dim() == 3 else where[:, None], fill, mask)


def _where(where: Tensor, fill: float, mask: Tensor) -> Tensor:
    out = torch.where(where, movable(mask.new_full((), fill)), movable(mask))
    return out if out.dtype == mask.dtype else out.view(mask.dtype)


def _moved(layer: Layer, mask: Any, values: Values, target: str, canvas: Canvas, nodes: Sequence[Node]) -> Any:
    """Return classes (B, C, h, w), or an index map (B, h, w), of any resolution, in the output."""
    if not any(moves(node, values) for node in nodes):
        return mask
    fill = layer.target_fill.get(target, 1 if target == PADDING else 0)
    planes = mask[:, None] if isinstance(mask, Tensor) and mask.dim() == 3 else mask
    shown = planes
    if isinstance(planes, Tensor) and planes.shape[2:] != canvas:  # a plan knows the image's canvas alone
        shown = planes.new_zeros(()).expand(*planes.shape[:2], *canvas)
    plan = layer.plan(Batch(shown), values, Reading("nearest", False, (float(fill),)), nodes)

    def run(one: Any, given: Plan) -> Tensor:
        source = canvas if isinstance(mask, Tensor) or isinstance(one, Packed) else (one.shape[2], one.shape[3])
        return pick(one, given.finish(), fill, source, given.backend)

    def at_once(all_: Tensor | Flat, given: Plan) -> Tensor | None:
        return pick_at_once(all_, given.finish(), fill, given.source, given.backend)

    out = _by_size(planes, plan, run, at_once)
    return out if planes is mask else out[:, 0]


def further(
    layer: Layer,
    value: Any,
    values: Values,
    key: str,
    role: str,
    canvas: Canvas,
    nodes: Sequence[Node] | None = None,
) -> Any:
    """Return a further input after a pipeline, or after some nodes, the first ones, by its role."""
    if role == "mask":
        return picked(layer, value, values, key, canvas, nodes)
    if role == "image":
        return rendered(value, layer.plan(Batch(value), values, nodes=nodes, key=key))
    interpolation = layer.target_interpolation.get(key, "bilinear")
    fill = default_range(value.dtype).one(float(layer.target_fill.get(key, 0)), key)
    return rendered(value, layer.plan(Batch(value), values, Reading(interpolation, True, (fill,)), nodes, key))
