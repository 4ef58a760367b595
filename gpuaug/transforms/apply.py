"""What a call does to a batch: the image is rendered, and everything annotated on it moves along."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gpuaug.data.batch import PADDING, Batch
from gpuaug.data.pad import pad
from gpuaug.transforms.carry import fills, further, picked, rendered
from gpuaug.transforms.frames import by_frame
from gpuaug.transforms.objects import agreeing, objects
from gpuaug.transforms.track import count_of, moves

if TYPE_CHECKING:
    from gpuaug.transforms.layer import Layer, Values

__all__ = ["carry"]


def carry(layer: Layer, batch: Batch, values: Values) -> Batch:
    """Return the batch with everything in it transformed."""
    _check_labels(layer, batch)
    out = _carried(layer, batch, by_frame(values, batch))
    out.label = _labelled(layer, batch, values)
    for node in layer.nodes:
        out.added.update({key: values[node.name][name] for name, key in node.transform.outputs.items()})
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
        name = blending[0].partition(".")[0]
        hint = "; with geometric=False it moves nothing" if name.startswith("AugMix") else ""
        raise TypeError(
            f"{name}: it shows an image in several places at once, and takes images and "
            f"labels only, got {held[0]}{hint}"
        )


def _carried(layer: Layer, batch: Batch, values: Values) -> Batch:
    s = layer.settings
    _refuse_blending(layer, batch)
    converted = [node.transform.box_format for node in layer.nodes if node.transform.box_format is not None]
    box_format = agreeing(batch, converted[-1] if converted else batch.box_format, s.bbox, type(layer).__name__)
    source = batch.image if batch.source is None else batch.source
    out = Batch(rendered(source, layer.plan(batch, values)), box_format=box_format)
    moving = any(moves(node, values) for node in layer.nodes)
    touching = any(
        fills(node) or node.transform.hide_keypoints or "taken_out" in values[node.name] for node in layer.nodes
    )
    judged = s.bbox.filters or any(
        node.transform.treats_boxes and node.transform.box_format is None for node in layer.nodes
    )
    if not (moving or touching or (batch.instances is not None and judged)):
        out.mask, out.instances, out.extra = batch.mask, batch.instances, dict(batch.extra)
        for key, (role, value) in batch.extra.items():
            if role == "image" or any(key in (node.transform.keys or ()) for node in layer.nodes):
                out.extra[key] = (role, further(layer, value, values, key, role, batch.canvas))
        return out
    if batch.mask is not None:
        out.mask = picked(layer, batch.mask, values, "mask", batch.canvas)
    for key, (role, value) in batch.extra.items():
        out.extra[key] = (role, further(layer, value, values, key, role, batch.canvas))
    if batch.instances is not None:
        out.instances = objects(layer, batch, batch.instances, values, box_format, judged)
    return out


def _labelled(layer: Layer, batch: Batch, values: Values) -> Any:
    """Return the samples' labels after every mix."""
    label = batch.label
    if label is None:
        return None
    first: Any = None
    for node, context in zip(layer.nodes, layer.contexts(batch, count=count_of(values, batch.samples)), strict=True):
        if node.transform.mixes:
            mix: Any = node.transform
            label = mix.mix_labels(label, values[node.name], context)
            first = first or (mix if mix.mixes_labels else None)
    # Smoothing is linear: once, after all mixes, is the same as once before.
    return label if first is None or isinstance(label, tuple) else first.smooth_labels(label)


def _check_labels(layer: Layer, batch: Batch) -> None:
    """Raise for labels that cannot be mixed, before anything is rendered."""
    if batch.label is None:
        return
    mixes: list[Any] = [node.transform for node in layer.nodes if node.transform.mixes and node.transform.mixes_labels]
    for mix in mixes:
        mix.check_labels(batch.label)
        if mix.return_pairs and len(mixes) > 1:
            raise ValueError(
                f"{type(mix).__name__}: return_pairs names two samples, and those of {len(mixes)} mixes can be more:"
                " use one mix, or soft labels"
            )
