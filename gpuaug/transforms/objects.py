"""What a call does to objects: boxes, keypoints, labels, and masks of objects; and what transforms see of them."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch

from gpuaug.data.batch import Batch
from gpuaug.data.instances import ROTATED, BboxParams, Instances, KeypointParams
from gpuaug.data.ragged import Ragged
from gpuaug.geometry.canvas import Canvas, following, largest
from gpuaug.geometry.matrix import matrix_dtype
from gpuaug.transforms.carry import fills, further, picked, rendered
from gpuaug.transforms.frames import by_frame
from gpuaug.transforms.mixing import Group, grouped, measured_again, merged, placed, uncovered
from gpuaug.transforms.move import move
from gpuaug.transforms.pieces import masks_in_pieces, pieces
from gpuaug.transforms.track import count_of, moves, still, track

if TYPE_CHECKING:
    from gpuaug.transforms.layer import Context, Layer, Node, Values

__all__ = ["agreeing", "objects", "seeing"]

_NO_PAIRS = (
    "{}: {} mirrors keypoints, and nobody says which are the left and right of each other: give"
    " Compose(keypoint_params=KeypointParams(flip_pairs=[(0, 1), ...])), or flip_pairs=() where they have no sides"
)
"""Shown once, as Python does with a warning of one place."""


@dataclass
class _Rules:
    """What is said of objects."""

    bbox: BboxParams
    keypoint: KeypointParams
    labels: dict[int, int]
    box_format: str
    judged: bool
    """Whether boxes are looked at although nothing moves."""

    def meanwhile(self) -> _Rules:
        """Return the rules before the end of a pipeline: nothing is dropped."""
        return replace(self, bbox=BboxParams(rotate_method=self.bbox.rotate_method), judged=False)


@dataclass
class _Planes:
    """Masks of objects on their way: what they were, and what of a pipeline they have not been through yet."""

    parts: list[Any]
    """One for each group of the last mix."""
    ways: list[list[Node]]
    groups: list[Group]
    canvas: Canvas
    rows: int
    """Of each part."""

    def after(self, layer: Layer, values: Values, nodes: Sequence[Node]) -> Any:
        """Return the masks after some nodes."""
        found = [
            picked(layer, part, values, "masks", self.canvas, [*way, *nodes])
            for part, way in zip(self.parts, self.ways, strict=True)
        ]
        return found[0] if len(found) == 1 else merged(found, self.groups, self.rows)


def objects(layer: Layer, batch: Batch, rows: Instances, values: Values, box_format: str, judged: bool) -> Instances:
    """Return the objects of a batch after the pipeline of a layer."""
    s = layer.settings
    if rows.keypoints is not None and s.keypoint.flip_pairs is None and not torch.compiler.is_compiling():
        mirrors = [node.name for node in layer.nodes if node.transform.mirrors]
        if mirrors:
            warnings.warn(_NO_PAIRS.format(type(layer).__name__, mirrors[0]), stacklevel=2)
    rules = _Rules(s.bbox, s.keypoint, dict(s.mirror_labels), box_format, judged)
    return _through(layer, batch, rows, values, layer.nodes, rules)


def _through(
    layer: Layer, batch: Batch, rows: Instances, values: Values, nodes: Sequence[Node], rules: _Rules
) -> Instances:
    """Return objects after the first nodes of a pipeline: from one mix to the next."""
    contexts = layer.contexts(batch, count=count_of(values, len(batch)))
    canvas, start = batch.canvas, 0
    planes = None if rows.masks is None else _Planes([rows.masks], [[]], [Group()], canvas, rows.valid.shape[1])
    for i, node in enumerate(nodes):
        parting = node.transform.regroups and rows.boxes is not None
        if not ((node.transform.mixes or parting) and moves(node, values)):
            continue
        part = slice(start, i)
        rows = _segment(layer, rows, planes, values, nodes[part], contexts[part], canvas, rules.meanwhile())
        canvas = contexts[i].canvas
        mixed = _parted if parting else _mixed
        rows, planes = mixed(layer, rows, values, node, contexts[i], rules)
        canvas, start = following(canvas, node.transform.output_canvas), i + 1
    return _segment(layer, rows, planes, values, nodes[start:], contexts[start:], canvas, rules)


def _mixed(
    layer: Layer, rows: Instances, values: Values, node: Node, context: Context, rules: _Rules
) -> tuple[Instances, _Planes | None]:
    """Return objects after a mix; their masks may still be on their way."""
    mix: Any = node.transform
    groups = mix.groups(values[node.name], context)
    after = following(context.canvas, mix.output_canvas)
    count = rows.valid.shape[1]
    out = grouped(rows, groups, after, rules.keypoint, rules.labels, context.like, rules.bbox.min_visibility > 0)
    if rows.masks is None:
        return out, None
    groups = [one for group in groups for one in group.each()]
    if (
        all(g.hole is None and g.hidden is None and g.chosen is None for g in groups)
        and rules.bbox.rotate_method != "mask"
    ):
        ways = [[replace(node, transform=mix.branch(group, after))] for group in groups]
        planes = _Planes([rows.masks] * len(groups), ways, groups, context.canvas, count)
        return out.with_(masks=rows.masks), planes
    # What is not there does not come along, whatever its mask holds.
    groups = [
        group
        if group.chosen is None or group.index is None
        else replace(group, chosen=group.chosen & rows.valid.index_select(0, group.index))
        for group in groups
    ]
    whole = [placed(rows.masks, group, context.canvas, after, layer.backend) for group in groups]
    parts = [uncovered(one, group, after) for one, group in zip(whole, groups, strict=True)]
    masks = merged(parts, groups, count)
    out = measured_again(out, whole, parts, groups, after).with_(masks=masks)
    return out, _Planes([masks], [[]], [Group()], after, count * len(groups))


def _parted(
    layer: Layer, rows: Instances, values: Values, node: Node, context: Context, rules: _Rules
) -> tuple[Instances, _Planes | None]:
    """Return objects after cells exchanged their places, in parts, with masks of these."""
    cells = node.transform.exchange(values[node.name], context.canvas)
    out, place = pieces(rows, cells, rules.bbox.min_visibility > 0)
    if rows.masks is None:
        return out, None
    whole = picked(layer, rows.masks, values, "masks", context.canvas, [node])
    masks = masks_in_pieces(whole, cells, place)
    return out.with_(masks=masks), _Planes([masks], [[]], [Group()], context.canvas, out.valid.shape[1])


def _segment(
    layer: Layer,
    rows: Instances,
    planes: _Planes | None,
    values: Values,
    nodes: Sequence[Node],
    contexts: Sequence[Context],
    canvas: Canvas,
    rules: _Rules,
) -> Instances:
    """Return objects after some nodes that mix nothing, from a canvas on."""
    masks = None if planes is None else planes.after(layer, values, nodes)
    device = rows.valid.device
    for node in nodes:
        if "taken_out" in values[node.name]:
            rows = rows.with_(valid=rows.valid & ~values[node.name]["taken_out"])
    path = track(nodes, contexts, values)
    way = path
    if rows.keypoints is not None and any(node.transform.hide_keypoints for node in nodes):
        way = track(nodes, contexts, values, hiding=True)
    if path is None and not rules.judged:  # nothing moves: boxes stay, whatever hides keypoints or fills masks
        out = rows if masks is None else rows.with_(masks=masks)
        if way is None:
            return out
        hidden = move(rows.with_(boxes=None, masks=None), way, BboxParams(), KeypointParams(), None)
        return out.with_(keypoints=hidden.keypoints, visible=hidden.visible)
    path = path or still(canvas, torch.zeros(rows.valid.shape[0], dtype=matrix_dtype(device), device=device))
    return move(
        rows,
        path,
        rules.bbox,
        rules.keypoint,
        rules.labels,
        masks,
        rules.box_format,
        canvas,
        way=way or path,
    )


def seeing(layer: Layer, place: int, batch: Batch, values: Values, context: Context) -> Context:
    """Return the context of the transform at a place, with what it sees of images and annotations, as they are there.

    Of a clip it sees those of all frames: a crop that keeps every box keeps it in every frame. A mix sees the objects
    frame by frame, and the first image.
    """
    values = by_frame(values, batch)
    before, sees, dense = layer.nodes[:place], layer.nodes[place].transform.sees, None
    contexts = layer.contexts(batch)
    rows, mask, image = batch.instances, batch.mask if "mask" in sees else None, None
    moved = any(moves(node, values) or "taken_out" in values[node.name] for node in before)
    if rows is not None and ("objects" in sees or "masks" in sees) and (moved or any(map(fills, before))):
        method = layer.settings.bbox.rotate_method
        if "masks" not in sees and (method != "mask" or rows.masks is None):
            rows, method = rows.with_(masks=None), "largest_box"
        rows = _through(
            layer,
            batch,
            rows,
            values,
            before,
            _Rules(BboxParams(rotate_method=method), KeypointParams(), {}, batch.box_format, False),
        )
    if mask is not None and (moved or any(map(fills, before))):
        mask = picked(layer, mask, values, "mask", batch.canvas, before)
    if "image" in sees:
        image = rendered(batch.image, layer.plan(batch, values, nodes=before))
        bands = layer.nodes[place].channels
        if bands is not None and isinstance(image, torch.Tensor):
            image = torch.stack([image[:, band] for band in bands], dim=1)
    if "dense" in sees:
        dense = _dense(layer, place, batch, values)
    if batch.frames > 1:
        if rows is not None and not layer.nodes[place].transform.mixes:
            rows = rows.map(lambda t: t.unflatten(0, (batch.samples, batch.frames)).flatten(1, 2))
        mask = None if mask is None else mask.unflatten(0, (batch.samples, batch.frames)).flatten(1, 2)
        image = None if image is None else image.unflatten(0, (batch.samples, batch.frames))[:, 0]
    if isinstance(mask, Ragged):
        mask = mask.padded(largest(contexts[place].canvas))
    return replace(
        context,
        objects=rows if "objects" in sees or "masks" in sees else None,
        mask=mask,
        image=image,
        dense=dense,
        frames=batch.frames,
    )


def _dense(layer: Layer, place: int, batch: Batch, values: Values) -> Any:
    """Return the further input that a transform sees, (B, H, W), of clips (B, T, H, W), as it is there."""
    node = layer.nodes[place]
    key = str(node.transform.dense)
    if key not in batch.extra:
        found = ", ".join(("image", *batch.extra))
        raise ValueError(f"{node.name}: it needs the input {key!r}, given in a dict with a role, got {found}")
    role, value = batch.extra[key]
    value = further(layer, value, values, key, role, batch.canvas, layer.nodes[:place])
    if not isinstance(value, torch.Tensor):
        return value
    if value.shape[1] != 1:
        raise ValueError(f"{node.name}: {key} must have one channel, got {value.shape[1]}")
    return value[:, 0] if batch.frames == 1 else value[:, 0].unflatten(0, (batch.samples, batch.frames))


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
