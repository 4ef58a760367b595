"""Pipelines that give other samples, or other frames, than they got: which image of the input each of them reads.

Samples stand copy after copy: sample s of B, each given n times, is a copy of sample s % B. Images are not copied: a
plan reads them by an index. Annotations and labels, which are small, are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gpuaug.data.batch import Batch, Write, are_images, open_door
from gpuaug.data.formats.leaves import holds
from gpuaug.data.kept import Met
from gpuaug.data.ragged import Ragged
from gpuaug.render.values import rows_of
from gpuaug.sampling.layout import Draws, Told
from gpuaug.sampling.params import Params
from gpuaug.transforms.keeping import meeting

if TYPE_CHECKING:
    from gpuaug.sampling.state import Stateful
    from gpuaug.transforms.layer import Layer, Node, Values

__all__ = ["Opened", "begin", "check_rows", "copies_from", "held", "reopened", "sampled"]


@dataclass
class Opened:
    """A call whose parameters are drawn."""

    layer: Layer
    """What runs: with drawn sizes, or the preprocessing of `eval()` mode."""
    batch: Batch
    write: Write
    params: Params
    drew: bool
    """Whether something was drawn, so that the clock goes on."""
    met: Met | None = None
    """Where the batch stands among samples of earlier ones."""


def check_rows(nodes: Sequence[Node]) -> None:
    """Raise where samples meet before there are more of them."""
    mixing: str | None = None
    for node in nodes:
        if (node.transform.copies > 1 or node.transform.retimes) and mixing is not None:
            raise ValueError(
                f"{node.name}: it may not follow {mixing}, in which samples meet: whom a copy meets would be another's"
            )
        if node.transform.mixes:
            mixing = node.name


def copies_from(nodes: Sequence[Node]) -> list[int]:
    """Return, for each transform, how many samples there will be of each one before it; and 1 for the output."""
    after = [1]
    for node in reversed(nodes):
        after.append(after[-1] * node.transform.copies)
    return after[::-1]


def held(draws: Draws, samples: int, total: int) -> Draws:
    """Return what was drawn for the first `samples` as what is drawn for all of them."""
    if samples == total:
        return draws
    times = total // samples if samples else 1

    def first(drawn: Tensor) -> Tensor:
        return drawn[:samples].repeat(times, *[1] * (drawn.dim() - 1))

    return {name: {key: first(t) for key, t in drawn.items()} for name, drawn in draws.items()}


def begin(
    layer: Layer,
    inputs: tuple[Any, ...],
    ids: Tensor | None = None,
    copy: int = 0,
    strength: Any = None,
    *,
    drawing: bool = True,
    keep: bool = True,
    clock: Stateful | None = None,
    count: int = 1,
    first: int | None = None,
    name: str = "",
) -> Opened:
    """Read the inputs of a call and draw for it.

    Args:
        layer: what is called.
        inputs: what `forward` takes.
        ids: (B,) ids of the samples.
        copy: tells repeats of the same samples apart.
        strength: as `forward`.
        drawing: whether it augments; else it is the preprocessing of `eval()` mode.
        keep: whether a mix that keeps samples for later batches keeps these.
        clock: whose seed and clock count, where not the layer's own.
        count: how many times each sample is given, before anything.
        first: number of the first copy, for a layer that is one of several views; else it follows from `copy`.
        name: set before names where something is drawn for the batch.
    """
    owner = type(layer).__name__
    batch, write = open_door(inputs, owner, layer.settings)
    clock = layer if clock is None else clock
    running = (
        layer._of_sizes(layer._draw_sizes(batch.image.device, clock, name)) if drawing else layer._evaluation_layer()
    )
    told = running._told(inputs, batch, strength) if drawing else None
    copies = count * copies_from(running.nodes)[0]
    if copies > 1 and told is not None:
        classes = {key: value.repeat(copies) for key, value in told.classes.items()}
        told = Told(classes, None if told.strength is None else told.strength.repeat(copies))
    samples = batch.samples
    first = copy * copies if first is None else first
    drawn = running._draw(batch, ids if drawing else None, first, told, clock, copies)
    frames: Values = {}
    shown: Tensor | None = None
    if any(node.transform.retimes for node in running.nodes):
        frames, shown = _retimed(running, batch, drawn[2], samples * copies)
    if copies > 1 or shown is not None:
        batch, write = _expanded(running, inputs, batch, copies, shown)
    batch, met = meeting(running.nodes, batch, keep)
    params = running._settled(batch, drawn, frames, met)
    params.copies = copies
    return Opened(running, batch, write, params, running._drawing(told), met)


def reopened(layer: Layer, inputs: tuple[Any, ...], batch: Batch, write: Write, params: Params) -> tuple[Batch, Write]:
    """Return the samples that were drawn for, of the inputs of a replay."""
    copies = params.copies if params.copies > 1 else copies_from(layer.nodes)[0]
    timed = [params.values[node.name]["frames"] for node in layer.nodes if node.transform.retimes]
    if (copies == 1 and not timed) or len(params) != batch.samples * copies:
        return batch, write
    return _expanded(layer, inputs, batch, copies, _through(timed) if timed else None)


def sampled(layer: Layer, batch: Batch, copy: int) -> tuple[Batch, Params]:
    """Return the batch of all copies and what is drawn for it, of a batch that was read; for looking, with copies."""
    copies = copies_from(layer.nodes)[0]
    drawn = layer._draw(batch, None, copy * copies, None, layer, copies)
    frames: Values = {}
    shown: Tensor | None = None
    if any(node.transform.retimes for node in layer.nodes):
        frames, shown = _retimed(layer, batch, drawn[2], batch.samples * copies)
    if copies > 1 or shown is not None:
        rows = _rows(batch, copies, shown)

        def taken(value: Any) -> Any:
            if isinstance(value, Ragged):
                return Ragged.pack([value[i] for i in rows.tolist()])
            return rows_of(value, rows) if len(value) == len(batch) else value.repeat(copies)

        made = batch.map(taken)
        made.clips, made.frames = batch.clips, len(rows) // (batch.samples * copies)
        batch = made
    params = layer._settled(batch, drawn, frames)
    params.copies = copies
    return batch, params


def _rows(batch: Batch, copies: int, frames: Tensor | None) -> Tensor:
    """Return which image of a batch each image of all copies is, of the `frames` (N, T) that are shown."""
    samples = torch.arange(batch.samples, device=batch.image.device).repeat(copies)
    if frames is None:
        frames = torch.arange(batch.frames, device=samples.device).expand(len(samples), -1)
    return (samples[:, None] * batch.frames + frames).flatten()


def _retimed(layer: Layer, batch: Batch, draws: Draws, total: int) -> tuple[Values, Tensor]:
    """Return the parameters of all that says which frames are shown, and (N, T) of the input's that are in the end."""
    if batch.frames == 1 and not batch.clips:
        first = next(node.name for node in layer.nodes if node.transform.retimes)
        raise ValueError(f"{first}: images must be clips (B, T, C, H, W), got no frames")
    values: Values = {}
    have = batch.frames
    after = copies_from(layer.nodes)[:-1]
    contexts = layer.contexts(batch, count=total)
    for node, context, more in zip(layer.nodes, contexts, after, strict=True):
        if node.transform.retimes:
            raw, gate = node.raw(held(draws, total // more, total), values)
            values[node.name] = node.transform.settle(raw, gate, replace(context, frames=have))
            have = node.transform.frames_after(have)
    return values, _through([drawn["frames"] for drawn in values.values()])


def _through(frames: Sequence[Tensor]) -> Tensor:
    """Return which frames (N, T) of the input are shown after several choices, each of what is there then."""
    shown = frames[-1]
    for before in reversed(frames[:-1]):
        shown = torch.gather(before, 1, shown)
    return shown


def _expanded(
    layer: Layer, inputs: tuple[Any, ...], batch: Batch, copies: int, frames: Tensor | None
) -> tuple[Batch, Write]:
    """Return the batch of all copies, whose images are read where they are, or are copied where they are looked at."""
    owner = type(layer).__name__
    looks = any(node.transform.mixes or "image" in node.transform.sees for node in layer.nodes)
    expand = _Expansion(owner, layer, batch, copies, frames, isinstance(batch.image, Tensor) and not looks)
    wide, write = open_door(expand.all(inputs), owner, layer.settings)
    if expand.lazy:
        wide.source, wide.rows = batch.image, expand.rows
    return wide, write


class _Expansion:
    """The structure of a batch, with every sample as often as it is given, and the frames that are shown."""

    def __init__(self, owner: str, layer: Layer, batch: Batch, copies: int, frames: Tensor | None, lazy: bool) -> None:
        self.owner, self.copies, self.lazy = owner, copies, lazy
        self.samples, self.clips = batch.samples, batch.clips
        self.format = layer.settings.format
        self.length = batch.frames if frames is None else frames.shape[1]
        self.had = batch.frames
        self.rows = _rows(batch, copies, frames)
        self.image: Any = None
        self.single = False

    def all(self, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return the inputs of all copies."""
        if self.format is not None or (holds(inputs) and self.copies > 1):
            what = "torchvision's tv_tensors" if self.format is None else f"format={self.format!r}"
            raise ValueError(
                f"{self.owner}: a pipeline that gives other samples than it got takes tensors, dicts, tuples and lists"
                f" of images, got {what}"
            )
        if holds(inputs):
            return tuple(self._tv(inputs))
        self.image = _image_of(inputs)
        self.single = isinstance(self.image, Tensor) and self.image.dim() == 3
        return tuple(self._of(value, False) for value in inputs)

    def _of(self, value: Any, sample: bool) -> Any:
        """Return a part of the structure; of clips, `sample` says that it has no frames."""
        if value is self.image and isinstance(value, Tensor):
            return self._images(value)
        if isinstance(value, Tensor):
            return self._tensor(value, sample or value.dim() < 3)
        if isinstance(value, Ragged):
            return Ragged.pack(list(value) * self.copies)
        if isinstance(value, Mapping):
            alone = {"label"} if "boxes" in value else {"label", "labels"}
            kept = {"valid", "labels", "visible"} & set(value) - alone
            return {k: self._tensor(v, False) if k in kept and isinstance(v, Tensor) else self._of(v, k in alone)
                    for k, v in value.items()}  # fmt: skip
        if isinstance(value, list) and len(value) == self.samples and (value is self.image or not _is_structure(value)):
            return value * self.copies
        if isinstance(value, (list, tuple)):
            parts = [self._of(part, sample) for part in value]
            return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
        return value

    def _images(self, value: Tensor) -> Tensor:
        shape = value.shape[2:] if self.clips else value.shape if self.single else value.shape[1:]
        lead = (self.samples * self.copies, self.length) if self.clips else (self.samples * self.copies,)
        if self.lazy:
            return value.new_empty(()).expand(*lead, *shape)
        flat = value.flatten(0, 1) if self.clips else value[None] if self.single else value
        gathered: Tensor = rows_of(flat, self.rows).view(*lead, *shape)
        return gathered

    def _tensor(self, value: Tensor, sample: bool) -> Tensor:
        if self.single:
            return value.expand(self.copies, *value.shape)
        if self.clips and not sample and value.shape[:2] == (self.samples, self.had):
            flat = rows_of(value.flatten(0, 1), self.rows)
            return flat.view(self.samples * self.copies, self.length, *value.shape[2:])
        if value.dim() > 0 and value.shape[0] == self.samples:
            return value.repeat(self.copies, *[1] * (value.dim() - 1))
        return value

    def _tv(self, inputs: Any) -> Any:
        """Return torchvision's clips with the frames that are shown."""
        from torch.utils import _pytree as tree
        from torchvision import tv_tensors as tvt

        leaves, spec = tree.tree_flatten(inputs)
        lead = next(leaf.shape[:-3] for leaf in leaves if isinstance(leaf, tvt.Video))
        self.lazy = False

        def shown(leaf: Any) -> Any:
            if not isinstance(leaf, (tvt.Video, tvt.Mask)):
                return leaf
            plain = leaf.as_subclass(Tensor)
            flat = rows_of(plain.flatten(0, len(lead) - 1), self.rows)
            return tvt.wrap(flat.unflatten(0, (*lead[:-1], self.length)), like=leaf)

        return tree.tree_unflatten([shown(leaf) for leaf in leaves], spec)


def _is_structure(value: list[Any]) -> bool:
    """Tell a list of a batch's parts, as loaders give them, from a list with an item for each sample."""
    first = value[0] if value else None
    return isinstance(first, Tensor) and first.dim() > 3


def _image_of(inputs: Any) -> Any:
    """Return where the images of a structure are: the tensor, or the list."""
    value = inputs
    while isinstance(value, (tuple, list)) and not are_images(value):
        if not value:
            return None
        value = value[0]
    return value.get("image") if isinstance(value, Mapping) else value
