"""What was drawn for each sample: tensors that can be kept, indexed, printed, moved and replayed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gpuaug.geometry.matrix import inverse
from gpuaug.sampling.layout import Draws
from gpuaug.sampling.plain import from_plain, to_plain
from gpuaug.sampling.shown import named, plain

__all__ = ["Geometry", "Params", "way"]

_HIDDEN = (
    "matrix",
    "field",
    "cells",
    "cell_shift",
    "key",
    "color_key",
    "gate",
    "window",
    "alpha",
    "mirrored",
    "mask",
    "context",
    "targets",
)


@dataclass(frozen=True)
class Geometry:
    """What is known of the composed map without looking at its numbers."""

    kind: str = "lattice"
    projective: bool = False
    transposes: bool = False
    canvas: tuple[Any, ...] = (0, 0)
    """(height, width) of the output, or one such pair for each sample."""
    inverted: bool = False


@dataclass
class Params:
    """Hold the parameters drawn for a batch, transform by transform.

    Indexing: `params[i]` is the readable list of what is done to sample i, `params[a:b]` or `params[index_tensor]`
    the parameters of some samples, `params["RandomRotation"]` those of one transform: a tensor for each parameter, and
    `gate` (B,), which says to which samples the transform applies (drawn values of the others mean nothing). A second
    transform of a class is "RandomRotation_2"; in the n-th place of a `RandomOrder` it is "RandomRotation@n".

    Example:
        >>> import torch, gpuaug as ga
        >>> augment = ga.Compose([ga.RandomRotation(30), ga.RandomInvert(p=1.0)], seed=0)
        >>> params = augment.sample(torch.zeros(2, 3, 8, 10))
        >>> tuple(params["RandomRotation"].angle.shape), tuple(params.matrix.shape)
        ((2,), (2, 3, 3))
    """

    values: Draws
    canvas: tuple[Any, ...]
    """(height, width) of the images the parameters were drawn for, or one such pair for each sample."""
    state: Tensor
    """A copy of (seed, clock)."""
    ids: Tensor
    names: tuple[str, ...] = field(default=())
    geometry: Geometry = field(default=Geometry())
    sizes: dict[str, Any] = field(default_factory=dict)
    """Sizes of the whole batch that were drawn, set or scheduled, by transform."""
    partial: bool = False
    """Whether they are of some samples only: a mix says whom a sample meets by its place in the whole batch."""
    labels: dict[str, dict[str, tuple[str, ...]]] = field(default_factory=dict)
    """Names of what a parameter counts, by transform and parameter."""
    copies: int = 1
    """How many times every sample was given: those of all samples stand copy after copy."""
    kept: dict[str, dict[str, Tensor]] = field(default_factory=dict)
    """Samples of earlier batches that these meet, a copy: images and annotations, by transform."""

    def inverse(self) -> Params:
        """Return parameters that take what was made in the output's frame back to the input's.

        `augment.replay(prediction, params.inverse())` moves images, masks, boxes, keypoints or dense maps (in a
        dict, as `augment` takes them) back; no colour is changed. Exact where pixels go to pixels; what a crop removed
        is fill.

        Raises:
            ValueError: where the pipeline bends, or shuffles cells: there is no one map back.
        """
        if any("cells" in drawn for drawn in self.values.values()):
            raise ValueError("Params: a shuffle of cells is no one map, got one in the pipeline")
        if any("field" in drawn for drawn in self.values.values()):
            raise ValueError("Params: a displacement field has no exact inverse, got one in the pipeline")
        g = self.geometry
        back = Geometry(g.kind, g.projective, g.transposes, self.canvas, inverted=True)
        values = {"Inverse": {"matrix": inverse(self.matrix)}}
        return Params(values, g.canvas, self.state, self.ids, ("Inverse",), back)

    @property
    def matrix(self) -> Tensor:
        """The (B, 3, 3) map from input to output positions of the whole pipeline (homographies only).

        Where a mix of two stands in it, the map of each sample's own pixels, which such a mix leaves in their place.

        Raises:
            ValueError: where a sample becomes one of several on a larger canvas, or its cells are exchanged.
        """
        total: Tensor | None = None
        for name, drawn in self.values.items():
            if "partner" in drawn and drawn["partner"].dim() > 1:
                raise ValueError(f"Params: a canvas of several samples has no one map from them to it, got {name}")
            if "cell_shift" in drawn:
                raise ValueError(f"Params: a shuffle of cells is no one map, got {name}")
            if "matrix" in drawn:
                total = drawn["matrix"] if total is None else drawn["matrix"] @ total
        if total is None:
            like = self.ids.to(torch.float64)
            return torch.eye(3, dtype=like.dtype, device=like.device).expand(len(self), 3, 3)
        return total

    def between(self, a: int, b: int) -> Tensor:
        """Return the (B, 3, 3) map from positions in copy a of each sample to positions in copy b, of a `Repeat`.

        What was drawn before the repeat counts as well: both come from one image, and the way leads over it.

        Args:
            a: number of a copy, from 0.
            b: likewise.

        Raises:
            IndexError: for a copy that is not there.
            ValueError: where the pipeline bends, or samples become parts of a larger canvas.

        Example:
            >>> import torch, gpuaug as ga
            >>> augment = ga.Compose([ga.Repeat(2), ga.RandomResizedCrop(6)], seed=0)
            >>> augment.sample(torch.zeros(4, 3, 8, 10)).between(0, 1).shape
            torch.Size([4, 3, 3])
        """
        if not (0 <= a < self.copies and 0 <= b < self.copies):
            raise IndexError(f"Params: copies are 0 to {self.copies - 1}, got {a} and {b}")
        return way(self._copy(a), self._copy(b))

    def _copy(self, k: int) -> Params:
        """Return what was drawn for one copy of each sample."""
        n = len(self) // self.copies
        one: Params = self[k * n : (k + 1) * n]
        return one

    def map(self, fn: Callable[[Tensor], Tensor]) -> Params:
        """Return the parameters with `fn` applied to every per-sample tensor."""
        values = {name: {key: fn(t) for key, t in drawn.items()} for name, drawn in self.values.items()}
        return replace(self, values=values, ids=fn(self.ids))

    def to(self, device: torch.device | str) -> Params:
        """Return the parameters on another device."""
        moved = self.map(lambda t: t.to(device))
        moved.state = self.state.to(device)
        moved.kept = {name: {k: t.to(device) for k, t in ring.items()} for name, ring in self.kept.items()}
        return moved

    def to_dict(self) -> dict[str, Any]:
        """Return the parameters as plain values, which JSON holds exactly; `from_dict` reads them.

        Example:
            >>> import json, torch, gpuaug as ga
            >>> augment, images = ga.RandomRotation(30), torch.rand(2, 3, 8, 10)
            >>> out, params = augment(images, return_params=True)
            >>> text = json.dumps(params.to_dict(), allow_nan=False)
            >>> torch.equal(augment.replay(images, ga.Params.from_dict(json.loads(text))), out)
            True
        """
        if self.kept:
            raise ValueError("Params: to_dict holds no images, got those of earlier batches: pickle them")
        values = {name: {k: to_plain(t) for k, t in drawn.items()} for name, drawn in self.values.items()}
        geometry = [_listed(getattr(self.geometry, f.name)) for f in fields(Geometry)]
        made = {"values": values, "state": to_plain(self.state), "ids": to_plain(self.ids), "geometry": geometry}
        return {**made, **{f.name: _listed(getattr(self, f.name)) for f in fields(self) if f.name not in made}}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Params:
        """Return the parameters that `to_dict` wrote.

        Args:
            data: what it returned, or what JSON made of it.

        Raises:
            ValueError: for anything else.
        """
        known = {f.name for f in fields(cls)}
        needed = {"values", "canvas", "state", "ids", "names", "geometry"}
        if not isinstance(data, Mapping) or not needed <= set(data) <= known:
            raise ValueError(f"Params: from_dict takes the keys {sorted(known)}, got {data!r:.80}")
        try:
            made: dict[str, Any] = {
                "values": {
                    str(name): {str(k): from_plain(t, "Params") for k, t in drawn.items()}
                    for name, drawn in data["values"].items()
                },
                "state": from_plain(data["state"], "Params"),
                "ids": from_plain(data["ids"], "Params"),
                "geometry": Geometry(*map(_tupled, data["geometry"])),
            }
            rest = {name: _tupled(value) for name, value in data.items() if name not in made}
            right = _formed(made["geometry"], rest)
        except (AttributeError, TypeError) as error:
            raise ValueError(f"Params: from_dict takes what to_dict returned, got {data!r:.80}") from error
        if not right:
            raise ValueError(f"Params: from_dict takes what to_dict returned, got {rest!r:.200}")
        if any(t.shape[:1] != made["ids"].shape for drawn in made["values"].values() for t in drawn.values()):
            raise ValueError(f"Params: from_dict takes values of as many samples as ids, got {made['ids'].numel()} ids")
        return cls(**made, **rest)

    @staticmethod
    def select(draws: Sequence[Params], index: Tensor) -> Params:
        """Return for each sample one of several draws: the hardest of them, say.

        Args:
            draws: parameters of the same samples, from the same pipeline.
            index: (B,) integers: which of them each sample gets; nothing waits for the device.

        Raises:
            ValueError: for draws of other samples, pipelines or sizes.

        Example:
            >>> import torch, gpuaug as ga
            >>> augment, images = ga.RandomRotation(30), torch.rand(3, 3, 8, 10)
            >>> draws = [augment.sample(images, copy=k) for k in range(4)]
            >>> params = ga.Params.select(draws, torch.tensor([3, 0, 2]))
            >>> torch.equal(params["RandomRotation"].angle[0], draws[3]["RandomRotation"].angle[0])
            True
        """
        if not draws:
            raise ValueError("Params: select takes at least one draw, got none")
        first = draws[0]
        for other in draws[1:]:
            same = [(len(p), p.names, p.canvas, p.sizes, p.geometry) for p in (first, other)]
            if same[0] != same[1]:
                raise ValueError(f"Params: select takes draws of one pipeline for the same images, got {draws!r:.200}")
        if index.shape != (len(first),) or index.is_floating_point():
            raise ValueError(
                f"Params: select takes an integer index ({len(first)},), got {index.dtype} {tuple(index.shape)}"
            )
        place = torch.arange(len(first), device=index.device)
        values = {
            name: {key: torch.stack([p.values[name][key] for p in draws])[index, place] for key in drawn}
            for name, drawn in first.values.items()
        }
        return replace(first, values=values)

    def __len__(self) -> int:
        """Return the number of samples."""
        return int(self.ids.shape[0])

    def __iter__(self) -> Iterator[list[tuple[str, dict[str, Any]]]]:
        """Go over the samples."""
        return (self[i] for i in range(len(self)))

    def __getitem__(self, index: Any) -> Any:
        """Return one transform's parameters (str), one sample's list (int), or some samples' (slice, list, tensor)."""
        if isinstance(index, str):
            if index in self.values:
                return SimpleNamespace(**self.values[index])
            return SimpleNamespace(**self._in_places(index))
        one = isinstance(index, Tensor) and index.dim() == 0 and not index.is_floating_point()
        if isinstance(index, (int, np.integer)) or (one and index.dtype != torch.bool):
            index = int(index)
            if not -len(self) <= index < len(self):
                raise IndexError(f"Params: sample {index} of {len(self)}")
            return self._describe(index)
        if isinstance(index, (list, tuple)):
            index = torch.tensor(list(index), device=self.ids.device, dtype=None if len(index) else torch.int64)
        some = self.map(lambda t: t[index])
        some.canvas, some.partial, some.copies = _some(self.canvas, index), True, 1
        some.geometry = replace(self.geometry, canvas=_some(self.geometry.canvas, index))
        return some

    def _in_places(self, name: str) -> dict[str, Tensor]:
        """Return the parameters of a transform that stands in several places, of which a sample takes one."""
        places = [given for given in self.values if given.partition("@")[0] == name]
        if not places:
            raise KeyError(f"Params: no transform {name!r}; there are {', '.join(self.values) or 'none'}")
        merged = dict(self.values[places[-1]])
        for place in places[:-1]:
            whole = place if "." not in place else place.partition(".")[0] + "@" + place.partition("@")[2]
            gate = self.values[whole]["gate"]
            for key, value in self.values[place].items():
                merged[key] = torch.where(gate.view(-1, *[1] * (value.dim() - 1)), value, merged[key])
        return merged

    def _describe(self, i: int) -> list[tuple[str, dict[str, Any]]]:
        """Read the parameters of sample i back to the host: for people, not for the hot path."""
        done = []
        for name, drawn in self.values.items():
            gate = drawn.get("gate")
            if "." in name or (gate is not None and not bool(gate[i])):  # a part of what stands before it
                continue
            labels = self.labels.get(name, {})
            shown = {
                k: named(t[i].tolist(), labels[k]) if k in labels else plain(t[i])
                for k, t in drawn.items()
                if k not in _HIDDEN and not k.startswith("_")
            }
            done.append((name.partition("@")[0], shown))
        return done

    def __repr__(self) -> str:
        """Show what is done to the first samples."""
        sizes = list(dict.fromkeys(self.canvas)) if _several(self.canvas) else [self.canvas]
        lines = [f"Params({len(self)} samples, canvas {', '.join(f'{h}x{w}' for h, w in sizes[:4])})"]
        if self.ids.device.type == "meta":
            return lines[0]
        for i in range(min(len(self), 4)):
            steps = [f"{n}({', '.join(f'{k}={v}' for k, v in values.items())})" for n, values in self[i]]
            lines.append(f"  {i}: " + (", ".join(steps) if steps else "unchanged"))
        if len(self) > 4:
            lines.append(f"  ... {len(self) - 4} more")
        return "\n".join(lines)


def way(a: Params, b: Params) -> Tensor:
    """Return the (B, 3, 3) map from positions in what a gives to positions in what b gives, of the same images."""
    for params in (a, b):
        if any("cells" in drawn for drawn in params.values.values()):
            raise ValueError("Params: a shuffle of cells is no matrix, got one in the pipeline of a view")
        if any("field" in drawn for drawn in params.values.values()):
            raise ValueError("Params: a displacement field is no matrix, got one in the pipeline of a view")
    return b.matrix @ inverse(a.matrix)


def _listed(value: Any) -> Any:
    """Return tuples as lists, as JSON does."""
    if isinstance(value, dict):
        return {key: _listed(v) for key, v in value.items()}
    return [_listed(v) for v in value] if isinstance(value, (tuple, list)) else value


def _tupled(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _tupled(v) for key, v in value.items()}
    return tuple(_tupled(v) for v in value) if isinstance(value, (tuple, list)) else value


def _formed(geometry: Geometry, rest: Mapping[str, Any]) -> bool:
    """Tell whether what was read of a file, besides tensors, is of the kinds that parameters have."""
    flags = (geometry.projective, geometry.transposes, geometry.inverted, rest.get("partial", False))
    copies, labels = rest.get("copies", 1), rest.get("labels", {})
    return (
        isinstance(geometry.kind, str)
        and all(isinstance(flag, bool) for flag in flags)
        and _is_canvas(geometry.canvas)
        and _is_canvas(rest["canvas"])
        and _are_names(rest["names"])
        and isinstance(rest.get("sizes", {}), dict)
        and not rest.get("kept", {})
        and isinstance(copies, int)
        and copies >= 1
        and all(_are_names(names) for counted in labels.values() for names in counted.values())
    )


def _is_canvas(value: Any) -> bool:
    sizes = value if value == () or (isinstance(value, tuple) and _several(value)) else (value,)
    return all(
        isinstance(size, tuple) and len(size) == 2 and all(isinstance(n, int) and n >= 0 for n in size)
        for size in sizes
    )


def _are_names(value: Any) -> bool:
    return isinstance(value, tuple) and all(isinstance(name, str) for name in value)


def _several(canvas: tuple[Any, ...]) -> bool:
    return bool(canvas) and isinstance(canvas[0], tuple)


def _some(canvas: tuple[Any, ...], index: Any) -> tuple[Any, ...]:
    """Return the sizes of some samples; one size of all stays."""
    if not _several(canvas):
        return canvas
    if isinstance(index, slice):
        return canvas[index]
    return tuple(canvas[i] for i in torch.arange(len(canvas))[index.cpu()].tolist())


# So that torch.load reads what torch.save wrote, with its default weights_only=True.
torch.serialization.add_safe_globals([Params, Geometry])
