"""What containers that choose decide for each sample, and where their children stand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor

from gpuaug.render.plan import Plan
from gpuaug.transforms.base import Drawn, Filter, Photometric, Transform
from gpuaug.transforms.bend import Bending
from gpuaug.transforms.layer import Context, Gate, Node
from gpuaug.transforms.node import TAKEN

__all__ = ["Decision", "merged", "placed", "shares_a_place"]


class Decision(Transform):
    """What a container chooses for each sample; it stands before the children and changes nothing itself."""

    mute = True
    selectable = True

    def __init__(self, decide: Callable[[Drawn], Drawn], grouped: int = 0, p: Any = 1.0) -> None:
        """Take over the rule; the next `grouped` operations share a place of the program."""
        super().__init__(p)
        self.decide, self.grouped = decide, grouped

    @property
    def deterministic(self) -> bool:
        """It never is."""
        return False

    def settle(self, raw: Drawn, gate: Tensor | None, context: Context) -> Drawn:
        """Decide; samples that the gate leaves out take no branch."""
        values = self.decide(raw)
        if gate is not None:
            values[TAKEN] = values[TAKEN] & gate[:, None]
            values["gate"] = gate
        return values

    def contribute(self, plan: Plan, values: Drawn, context: Context, node: Node) -> None:
        """Announce the operations that share a place."""
        if self.grouped:
            plan.group(self.grouped, values.get("order"))


def shares_a_place(nodes: Sequence[Node]) -> bool:
    """Tell whether a branch is one pixel operation on all images."""
    if len(nodes) != 1:
        return False
    transform = nodes[0].transform
    return isinstance(transform, Photometric) and transform.single and transform.keys is None


def _rank(node: Node) -> int:
    transform = node.transform
    if isinstance(transform, Filter):
        return 4
    if isinstance(transform, Photometric) or (isinstance(transform, Decision) and transform.grouped):
        return 3
    if isinstance(transform, Bending):
        return 2
    return 0 if transform.mixes or transform.regroups or transform.mute else 1


def merged(branches: Sequence[Sequence[Node]]) -> list[Node]:
    """Return the nodes of branches, of which a sample takes one: those that can share a pass side by side.

    Mixes come first: what samples meet is as it was before the choice. So do shuffles of cells, which maps join.
    """
    queues, out = [list(nodes) for nodes in branches], []
    while any(queues):
        for rank in range(5):
            for queue in queues:
                while queue and _rank(queue[0]) == rank:
                    out.append(queue.pop(0))
    return out


def placed(nodes: Sequence[Node], place: int, gate: Gate) -> list[Node]:
    """Return the nodes of a child for one of several places in which it stands, with the same draws in each."""
    own = {node.name: f"{node.name}@{place}" for node in nodes}

    def there(given: Gate) -> Gate:
        return replace(given, container=own.get(given.container, given.container))

    return [
        replace(
            node,
            name=own[node.name],
            gates=(gate, *map(there, node.gates)),
            drawn=node.drawn or node.name,
            of=tuple(own[name] for name in node.of) if isinstance(node.of, tuple) else own.get(node.of or "", node.of),
        )
        for node in nodes
    ]
