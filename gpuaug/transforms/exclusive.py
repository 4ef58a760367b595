"""Mixes of which each sample takes one: they meet samples as these are before any of them, in one pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from gpuaug.geometry import matrix as mat
from gpuaug.geometry.canvas import rectangle
from gpuaug.render.mixes import Blend
from gpuaug.render.plan import Plan
from gpuaug.transforms.base import Drawn, Transform
from gpuaug.transforms.batch_mix import BatchMix
from gpuaug.transforms.cutmix import Pasting
from gpuaug.transforms.layer import Context, Node
from gpuaug.transforms.mix import Mixing
from gpuaug.transforms.mixing import Group

__all__ = ["Exclusive", "together"]

ALIKE = ("mode", "num_classes", "label_smoothing", "multi_label", "return_pairs", "class_counts")
"""What mixes to choose from must have in common: their labels are mixed as one, and modes share the choice."""


class Offered(Transform):
    """A mix to choose: what it draws; `Exclusive` applies it."""

    mute = True

    def __init__(self, mix: Mixing) -> None:
        """Remember whose draws."""
        super().__init__()
        self.mix, self.sees = mix, mix.sees

    def active(self, context: Context) -> bool:
        """Tell whether the mix is switched on."""
        return self.mix.active(context)

    def settle(self, raw: Drawn, gate: Tensor | None, context: Context) -> Drawn:
        """Return what the mix draws."""
        return self.mix.settle(raw, gate, context)

    def contribute(self, plan: Plan, values: Drawn, context: Context, node: Node) -> None:
        """Do nothing."""


class Exclusive(BatchMix):
    """The one of some mixes that each sample has taken: one image over each, by the taken one's share and place."""

    mixes_labels: ClassVar[bool] = True

    def __init__(self, mixes: Sequence[Mixing], names: Sequence[str]) -> None:
        """Take over what the mixes say of labels."""
        super().__init__(1.0, mixes[0].labels_getter)
        self.offered, self.names, self.return_pairs = list(mixes), tuple(names), mixes[0].return_pairs

    def active(self, context: Context) -> bool:
        """Tell whether one of the mixes is switched on."""
        return any(mix.active(context) for mix in self.offered)

    def settle(self, raw: Drawn, gate: Tensor | None, context: Context) -> Drawn:
        """Return `partner`, `lam`, `share` and `box` of what was taken; where nothing was, no share is another's."""
        like = context.like
        out: Drawn = {}
        for name, mix in zip(self.names, self.offered, strict=True):
            values = {key[len(name) + 1 :]: value for key, value in raw.items() if key.startswith(f"{name}.")}
            if not values:  # switched off
                continue
            blend, taken = mix.blend(values, context), values["gate"]
            found = {"partner": blend.index, "lam": values["lam"], "share": blend.share, "gate": taken}
            everywhere = rectangle(context.canvas, like).expand(like.shape[0], 4)
            found["box"] = everywhere if blend.rectangle is None else blend.rectangle.to(like.dtype)
            found["_pasted"] = taken & isinstance(mix, Pasting)
            if self._moved:
                identity = mat.scale_shift(1.0, 0.0, 1.0, 0.0, like)
                found["_matrix"] = identity if blend.matrix is None else blend.matrix
            if not out:
                out = found
                continue
            gates = {key: out[key] | found[key] for key in ("gate", "_pasted")}
            kept = {
                key: torch.where(taken.view(-1, *[1] * (old.dim() - 1)), found[key], old)
                for key, old in out.items()
                if key not in gates
            }
            out = {**kept, **gates}
        return out

    @property
    def _moved(self) -> bool:
        """Whether one of the mixes moves the other image."""
        return any(mix.shrinks for mix in self.offered)

    def contribute(self, plan: Plan, values: Drawn, context: Context, node: Node) -> None:
        """Begin a pass."""
        matrix = values.get("_matrix")
        whole = all(isinstance(mix, Pasting) for mix in self.offered)
        blend = Blend(values["partner"], values["share"], values["box"], matrix, whole=whole)
        if matrix is not None:
            shrink = max(mix.most_shrunk(context) for mix in self.offered)
            blend = replace(blend, kind="axis", shrink=shrink)
        plan.blend(blend)

    def groups(self, values: Drawn, context: Context) -> list[Group]:
        """Return a sample's objects outside what was pasted, and the other's where it is seen."""
        box, pasted = values["box"], values["_pasted"]
        seen = (values["share"] > 0)[:, None] * box
        below = values["lam"] >= 0.5  # nothing of a sample's own is left where another was pasted
        return [
            Group(hole=pasted[:, None] * box),
            Group(values["partner"], values.get("_matrix"), within=seen, below=below),
        ]

    def check_labels(self, labels: Tensor) -> None:
        """Raise for labels that cannot be mixed."""
        for mix in self.offered:
            mix.check_labels(labels)

    def mix_labels(self, labels: Tensor, values: Drawn, context: Context) -> Any:
        """Return soft labels by the share of what was taken, or both labels and the share of the first."""
        return self.offered[0].mix_labels(labels, values, context)

    def smooth_labels(self, labels: Tensor) -> Tensor:
        """Return soft labels drawn to all classes alike."""
        return self.offered[0].smooth_labels(labels)


def together(name: str, branches: Sequence[Sequence[Node]]) -> list[list[Node]]:
    """Return the nodes of branches, of which a sample takes one: mixes that begin several of them become one.

    What decides within a branch stays before it.
    """
    places = [_place(nodes) for nodes in branches]
    found = [branch for branch, place in enumerate(places) if place is not None]
    if len(found) < 2:
        return [list(nodes) for nodes in branches]
    rest: list[list[Node]] = []
    before: list[Node] = []
    offered: list[Node] = []
    for nodes, place in zip(branches, places, strict=True):
        if place is None:
            rest.append(list(nodes))
            continue
        for node in nodes[: place + 1]:
            if isinstance(node.transform, Mixing):
                node = replace(node, transform=Offered(node.transform))
            if isinstance(node.transform, Offered):
                offered.append(node)
            elif not isinstance(node.transform, Exclusive):
                before.append(node)
        rest.append(list(nodes[place + 1 :]))
    mixes: list[Any] = [node.transform.mix for node in offered]
    for key in ALIKE:
        values = [getattr(mix, key, None) for mix in mixes]
        if any(value != values[0] for value in values):
            raise ValueError(f"{name.split('_')[0]}: mixes to choose from must agree in {key}, got {values}")
    names = tuple(node.name for node in offered)
    one = Node(f"{name}.mix", Exclusive(mixes, names), of=names)
    return [[*before, *offered, one], *rest]


def _place(nodes: Sequence[Node]) -> int | None:
    """Return where a branch has the mix that it begins with; None where it begins with something else."""
    for place, node in enumerate(nodes):
        if isinstance(node.transform, (Mixing, Exclusive)):
            return place
        if not node.transform.mute:
            return None
    return None
