"""What may change between calls: the time of schedules, probabilities, other arguments, sizes."""

from __future__ import annotations

import weakref
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from gpuaug.sampling.law import START
from gpuaug.sampling.layout import Layout
from gpuaug.sampling.state import Stateful
from gpuaug.sampling.varying import Varying, is_number
from gpuaug.transforms.given import GIVEN, MADE
from gpuaug.transforms.node import Names
from gpuaug.transforms.sizes import has_size, timed

if TYPE_CHECKING:
    from gpuaug.sampling.params import Params
    from gpuaug.transforms.layer import Layer

__all__ = ["Changing", "check_p"]

_users: weakref.WeakKeyDictionary[Any, weakref.WeakSet[Any]] = weakref.WeakKeyDictionary()
"""The layers whose tables hold the numbers of each layer: itself, and those it is a part of."""
_OWN = {
    "_state", "_zero", "_mirror", "_seeded", "_explicit_seed", "_rank", "_save_state", "_times", "_set_sizes",
    "drawn_sizes", "nodes", "_unsized", "_layout", "_strong", "_version", "training",
}  # fmt: skip
"""What a layer keeps when it gets other arguments."""


def check_p(p: Any, owner: str) -> Any:
    """Return a probability, or raise."""
    if isinstance(p, Varying):
        low, high = p.support()
        if p.live() is not None:
            raise ValueError(f"{owner}: p has no gradient and cannot be learned, got {p!r}")
        if low < 0 or high > 1:
            raise ValueError(f"{owner}: p must be between 0 and 1, got {p!r}")
        return p
    if isinstance(p, bool) or not isinstance(p, (int, float)):
        raise TypeError(f"{owner}: p must be a number between 0 and 1, got {p!r}")
    if not 0 <= p <= 1:
        raise ValueError(f"{owner}: p must be between 0 and 1, got {p!r}")
    return float(p)


class Changing(Stateful):
    """A layer whose numbers follow schedules, and may be set, between calls.

    They are written into the tables of all layers that the layer is a part of.
    """

    nodes: list[Any]
    _unsized: list[Any]
    """The nodes with the sizes that they were made with."""
    drawn_sizes: dict[str, Any]
    _layout: Layout
    _strong: Layout

    def __init__(self, seed: int | None = None, rank: int | None = None, save_state: bool = True) -> None:
        """Begin at epoch and step 0."""
        super().__init__(seed, rank, save_state)
        self._times = dict(START)
        self._set_sizes: dict[str, Any] = {}
        self._version = 0
        """Counts what captured calls cannot follow."""

    def written(self) -> dict[str, Any]:
        """Return arguments that files give another value than the constructor got."""
        return {}

    # -- probability

    @property
    def p(self) -> Any:
        """The probability with which each sample is transformed; set between calls, it holds from the next one on."""
        try:
            return self.__dict__["_p"]
        except KeyError:
            raise AttributeError("p") from None

    @p.setter
    def p(self, value: Any) -> None:
        built = "nodes" in self.__dict__
        if built and (is_number(value) or isinstance(value, (Varying, bool, str))):
            value = check_p(value, type(self).__name__)
        self.__dict__["_p"] = value
        if built:
            _renew(self)

    # -- arguments

    def set(self, **arguments: Any) -> None:
        """Change arguments of a layer between calls: `augment[0].set(degrees=(-5, 5))`.

        Numbers of ranges and probabilities of the same law reach compiled calls without compiling; anything else may
        compile anew. Captured calls are recorded anew. Draws of other transforms stay as they are.

        Args:
            arguments: of the constructor; the others stay.

        Raises:
            TypeError: for what the constructor does not take.
            ValueError: for what it refuses.

        Example:
            >>> import torch, gpuaug as ga
            >>> augment = ga.Compose([ga.RandomRotation(30)])
            >>> augment[0].set(degrees=(-5, 5))
            >>> bool(augment.sample(torch.zeros(9, 3, 8, 10))["RandomRotation"].angle.abs().max() <= 5)
            True
        """
        given = {**self.__dict__[GIVEN], **self.written()}
        if "transforms" in given:
            given["transforms"] = [child for child in self.children() if isinstance(child, Changing)]
        unknown = sorted(set(arguments) - set(given))
        if unknown:
            raise TypeError(f"{type(self).__name__}: set takes the arguments {sorted(given)}, got {unknown}")
        fresh = type(self)(**{**given, **arguments})
        for name, value in fresh.__dict__.items():
            if name not in _OWN:
                self.__dict__[name] = value
        self.__dict__[MADE] = self.__dict__.get("_p")
        _renew(self, static=True)

    # -- time

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch it is: for schedules, and for calls that give `ids`.

        As DistributedSampler.set_epoch does for the order.

        Args:
            epoch: number of the epoch, from 0.
        """
        super().set_epoch(epoch)
        self._at(epoch=epoch)

    def set_step(self, step: int) -> None:
        """Say which step it is, for schedules with `by="step"`: draws go on from the layer's own clock.

        Args:
            step: number of the step, from 0.
        """
        if isinstance(step, bool) or not isinstance(step, int) or step < 0:
            raise ValueError(f"{type(self).__name__}: step must be an integer >= 0, got {step!r}")
        self._at(step=step)

    def reseed(self, seed: int | None = None) -> None:
        """Start over: at step and epoch 0, with a given seed or a new one from torch's default generator.

        Args:
            seed: any 64-bit integer; None draws one.
        """
        super().reseed(seed)
        self._at(epoch=0, step=0)
        for node in self.nodes:
            if node.transform.kept is not None:
                node.transform.kept.forget()

    def set_extra_state(self, state: Any) -> None:
        """Restore what `get_extra_state` returned, the epoch of schedules too."""
        super().set_extra_state(state)
        if state is not None:
            self._at(epoch=int(state[2]))

    def _at(self, **times: float) -> None:
        self._times.update(times)
        if "nodes" not in self.__dict__:
            return
        for layout in self._layouts():
            layout.write(self._times)
        self._follow_sizes()

    # -- sizes

    def set_size(self, size: int | Sequence[int] | None, name: str | None = None) -> None:
        """Set the size of what comes out between calls, for progressive resizing.

        Compiled calls compile once for each size, captured ones record a graph for each. `eval()` mode keeps the size
        it was built with.

        Args:
            size: as the transform takes it: (height, width), or a number; None goes back to its own.
            name: of the transform, such as "RandomCrop_2"; None is the only one that has a size.

        Raises:
            ValueError: where no transform, or several, could be meant.

        Example:
            >>> import torch, gpuaug as ga
            >>> augment = ga.Compose([ga.RandomResizedCrop(24), ga.RandomHorizontalFlip()])
            >>> augment.set_size((16, 12))
            >>> augment(torch.zeros(2, 3, 32, 40)).shape
            torch.Size([2, 3, 16, 12])
        """
        owner = type(self).__name__
        sized = [node.name for node in self._unsized if has_size(node.transform)]
        if name is None and len(sized) != 1:
            raise ValueError(f"{owner}: set_size needs the name of one of {', '.join(sized) or 'none'}, got None")
        if name is not None and name not in sized:
            raise ValueError(f"{owner}: set_size takes the name of one of {', '.join(sized) or 'none'}, got {name!r}")
        name = sized[0] if name is None else name
        if size is None:
            self._set_sizes.pop(name, None)
        else:
            transform = next(node.transform for node in self._unsized if node.name == name)
            transform.drawn(size)  # which says what is wrong
            self._set_sizes[name] = size if isinstance(size, int) else tuple(size)
        self._follow_sizes()

    def _follow_sizes(self) -> None:
        """Put transforms of the sizes of now in the places of those that have a schedule, or were set."""
        found = ((node.name, timed(node.transform)) for node in self._unsized)
        sizes: dict[str, Any] = {name: size.at(self._times) for name, size in found if size is not None}
        sizes.update(self._set_sizes)
        if sizes != self.drawn_sizes:
            self.drawn_sizes, self.nodes = sizes, self._nodes_of(sizes)

    def _nodes_of(self, sizes: Mapping[str, Any]) -> list[Any]:
        return [
            replace(node, transform=node.transform.drawn(sizes[node.name])) if node.name in sizes else node
            for node in self._unsized
        ]

    def _layouts(self) -> list[Layout]:
        return [self._layout] if self._strong is self._layout else [self._layout, self._strong]

    # -- what was drawn

    def fixed(self, params: Params, index: int = 0) -> Layer:
        """Return a pipeline that does to every sample of any batch what was drawn for one: nothing is drawn any more.

        It can be pickled, compiled, captured and written to a file, and stand in another pipeline.

        Args:
            params: what `sample` returned, or a call with `return_params`.
            index: of the sample. Batches must have images of the size it was drawn for.

        Raises:
            ValueError: for parameters of another pipeline, and for one in which samples meet.

        Example:
            >>> import torch, gpuaug as ga
            >>> augment, images = ga.RandomRotation(30), torch.rand(3, 3, 8, 10)
            >>> out, params = augment(images, return_params=True)
            >>> torch.equal(augment.fixed(params, 2)(images)[2], out[2])
            True
        """
        from gpuaug.transforms.fixed import Fixed

        layer: Any = self
        return Fixed(layer, params, index)

    # -- who is told

    def _enlist(self) -> None:
        """Note that this layer's table holds the numbers of all its parts."""
        for part in self.modules():
            if isinstance(part, Changing):
                _users.setdefault(part, weakref.WeakSet()).add(self)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Be known to its parts where it is copied or unpickled."""
        super().__setstate__(state)  # type: ignore[no-untyped-call]  # torch's has no types
        if "nodes" in self.__dict__:
            self._enlist()

    def __copy__(self) -> Any:
        """Return the same with attributes of its own, not known to its parts: what renders once."""
        made = type(self).__new__(type(self))
        made.__dict__.update(self.__dict__)
        return made


def _renew(changed: Any, static: bool = False) -> None:
    """Write what a layer has become into the tables of all layers that it is a part of."""
    layers: list[Layer] = list(_users.get(changed, ()))
    for layer in layers:
        layer.__dict__.pop("_evaluated", None)
        layer._version += static
        names = Names()
        list(layer.flatten(names, (), None))
        kept = {slot.name for group in layer._layout.groups for slot in group.slots if slot.param == "gate"}
        for declaration in names.declarations:  # a gate stays, so that nothing need be made anew
            if declaration.p is None and declaration.name in kept:
                declaration.p = 1.0
        gated = [declaration.gated() for declaration in names.declarations]
        same = layer._layout.renew(Layout(names.declarations, layer._times), layer._times)
        if same and layer._strong is not layer._layout:
            same = layer._strong.renew(Layout(gated, layer._times), layer._times)
        if not same or (static and _composite(layer)):
            layer._version += 1
            layer._build()


def _composite(layer: Any) -> bool:
    """Tell whether nodes of a layer are made by it, and hold arguments that may have changed."""
    registered = {id(part) for part in layer.modules()}
    return any(id(node.transform) not in registered for node in layer._unsized)
