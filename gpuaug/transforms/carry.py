"""What a call does to a batch: the image is rendered, and everything annotated on it moves along."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gpuaug.data.batch import Batch
from gpuaug.data.instances import BboxParams, Instances, KeypointParams
from gpuaug.render.backend import render
from gpuaug.render.pick import pick
from gpuaug.render.plan import Reading
from gpuaug.transforms.track import move, moves, track

if TYPE_CHECKING:
    from gpuaug.transforms.layer import Context, Layer, Node, Values

__all__ = ["carry", "seeing"]


def carry(layer: Layer, batch: Batch, values: Values) -> Batch:
    """Return the batch with everything in it transformed."""
    out = Batch(render(batch.image, layer.plan(batch, values)))
    moving = any(moves(values[node.name]) for node in layer.nodes)
    if not (moving or any(_fills(node) or node.transform.hide_keypoints for node in layer.nodes)):
        out.mask, out.instances, out.extra = batch.mask, batch.instances, dict(batch.extra)
        for key, (role, value) in batch.extra.items():
            if role == "image":
                out.extra[key] = (role, render(value, layer.plan(Batch(value), values)))
        return out
    if batch.mask is not None:
        out.mask = _picked(layer, batch.mask, values, "mask")
    for key, (role, value) in batch.extra.items():
        out.extra[key] = (role, _further(layer, value, values, key, role))
    if batch.instances is not None:
        out.instances = _objects(layer, batch, batch.instances, values)
    return out


def _objects(layer: Layer, batch: Batch, rows: Instances, values: Values) -> Instances:
    if rows.masks is not None:
        rows = rows.with_(masks=_picked(layer, rows.masks, values, "masks"))
    contexts, s = layer.contexts(batch), layer.settings
    path = track(layer.nodes, contexts, values)
    way = path
    if rows.keypoints is not None and any(node.transform.hide_keypoints for node in layer.nodes):
        way = track(layer.nodes, contexts, values, hiding=True)
    if way is None:
        return rows
    if path is None:  # keypoints are hidden, and nothing moves
        return move(rows.with_(boxes=None), way, BboxParams(), KeypointParams(), None).with_(boxes=rows.boxes)
    return move(rows, path, s.bbox, s.keypoint, dict(s.mirror_labels), way)


def _fills(node: Node) -> bool:
    return node.transform.fill_mask is not None


def seeing(layer: Layer, place: int, batch: Batch, values: Values) -> Context:
    """Return the context of the transform at a place, with the annotations that it sees, as they are there."""
    before, sees = layer.nodes[:place], layer.nodes[place].transform.sees
    contexts = layer.contexts(batch)
    rows, mask = batch.instances, batch.mask
    moved = any(moves(values[node.name]) for node in before)
    if rows is not None and "objects" in sees and moved:
        path = track(before, contexts, values)
        assert path is not None
        rows = move(rows, path, BboxParams(rotate_method=layer.settings.bbox.rotate_method), KeypointParams(), None)
    if mask is not None and "mask" in sees and (moved or any(map(_fills, before))):
        mask = _picked(layer, mask, values, "mask", before)
    return replace(
        contexts[place],
        objects=rows if "objects" in sees else None,
        mask=mask if "mask" in sees else None,
    )


def _picked(layer: Layer, mask: Tensor, values: Values, target: str, nodes: Sequence[Node] | None = None) -> Tensor:
    """Return a mask after all nodes: moved at once between the places where it is filled."""
    nodes = layer.nodes if nodes is None else nodes
    start = 0
    for i, node in enumerate(nodes):
        fill = node.transform.fill_mask
        if fill is None:
            continue
        mask = _moved(layer, mask, values, target, nodes[start:i])
        where = node.transform.occluded(values[node.name], (mask.shape[2], mask.shape[3]))[:, None]
        fill = 0 if target == "masks" else fill  # objects are cleared; the fill is a class of the semantic mask
        mask = torch.where(where, torch.full((), fill, dtype=mask.dtype, device=mask.device), mask)
        start = i + 1
    return _moved(layer, mask, values, target, nodes[start:])


def _moved(layer: Layer, mask: Tensor, values: Values, target: str, nodes: Sequence[Node]) -> Tensor:
    if not any(moves(values[node.name]) for node in nodes):
        return mask
    fill = layer.target_fill.get(target, 0)
    plan = layer.plan(Batch(mask), values, Reading("nearest", False, (float(fill),)), nodes)
    return pick(mask, plan.finish(), fill)


def _further(layer: Layer, value: Tensor, values: Values, key: str, role: str) -> Tensor:
    if role == "mask":
        return _picked(layer, value, values, key)
    if role == "image":
        return render(value, layer.plan(Batch(value), values))
    interpolation = layer.target_interpolation.get(key, "bilinear")
    unit = 255.0 if value.dtype == torch.uint8 else 1.0
    fill = float(layer.target_fill.get(key, 0)) / unit
    return render(value, layer.plan(Batch(value), values, Reading(interpolation, True, (fill,))))
