"""Several views of each sample: pairs, global and local crops, weak and strong ones, all from one source."""

from __future__ import annotations

from collections.abc import Callable, ItemsView, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gpuaug.sampling.params import Params, way
from gpuaug.sampling.state import Stateful, only_inferring
from gpuaug.transforms.apply import carry
from gpuaug.transforms.given import recording
from gpuaug.transforms.keeping import carrying
from gpuaug.transforms.layer import Layer
from gpuaug.transforms.node import Node
from gpuaug.transforms.rows import Opened, begin, copies_from

__all__ = ["MultiView", "TwoViews", "ViewParams"]

View = int | str | tuple[str, int]
"""A view: its number among all, its name, or a name with the number of one of its copies."""


@dataclass
class ViewParams:
    """Hold what was drawn for several views of the same samples: `params["local"]` is the `Params` of a name.

    Example:
        >>> import torch, gpuaug as ga
        >>> crop = ga.RandomResizedCrop(6)
        >>> views = ga.MultiView({"global": (crop, 2), "local": (ga.RandomResizedCrop(4), 3)}, seed=0)
        >>> params = views.sample(torch.zeros(4, 3, 8, 10))
        >>> len(params["local"]), params.between("global", ("local", 2)).shape
        (12, torch.Size([4, 3, 3]))
    """

    views: dict[str, Params]

    def __getitem__(self, name: str) -> Params:
        """Return the parameters of all copies of a named view."""
        if name not in self.views:
            raise KeyError(f"ViewParams: no view {name!r}; there are {', '.join(self.views)}")
        return self.views[name]

    def __iter__(self) -> Iterator[str]:
        """Go over the names."""
        return iter(self.views)

    def __len__(self) -> int:
        """Return the number of names."""
        return len(self.views)

    def items(self) -> ItemsView[str, Params]:
        """Return names and parameters."""
        return self.views.items()

    def of(self, view: View) -> Params:
        """Return what was drawn for one view of each sample.

        Args:
            view: its number among all views, its name (of the first copy), or a name and the number of a copy.

        Raises:
            KeyError: for a name that is not there.
            IndexError: for a number that is not there.
        """
        if isinstance(view, int):
            places = [(name, k) for name, params in self.views.items() for k in range(params.copies)]
            if not 0 <= view < len(places):
                raise IndexError(f"ViewParams: views are 0 to {len(places) - 1}, got {view}")
            view = places[view]
        name, k = (view, 0) if isinstance(view, str) else view
        params = self[name]
        if not 0 <= k < params.copies:
            raise IndexError(f"ViewParams: copies of {name!r} are 0 to {params.copies - 1}, got {k}")
        return params._copy(k)

    def between(self, a: View, b: View) -> Tensor:
        """Return the (B, 3, 3) map from positions in view a of each sample to positions in view b.

        Positions count from the corner of the image: the middle of a view's first pixel is (0.5, 0.5).

        Args:
            a: as `of` takes it.
            b: likewise.

        Raises:
            ValueError: where a pipeline bends, or samples become parts of a larger canvas.
        """
        return way(self.of(a), self.of(b))

    def map(self, fn: Callable[[Tensor], Tensor]) -> ViewParams:
        """Return the parameters with a function applied to every tensor with a row for each sample."""
        return ViewParams({name: params.map(fn) for name, params in self.views.items()})

    def to(self, device: torch.device | str) -> ViewParams:
        """Return the parameters on another device."""
        return ViewParams({name: params.to(device) for name, params in self.views.items()})

    def to_dict(self) -> dict[str, Any]:
        """Return the parameters as plain values, which JSON holds exactly; `from_dict` reads them."""
        return {name: params.to_dict() for name, params in self.views.items()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ViewParams:
        """Return the parameters that `to_dict` wrote.

        Args:
            data: what it returned, or what JSON made of it.
        """
        return cls({name: Params.from_dict(params) for name, params in data.items()})


class MultiView(Stateful):
    """Give several views of each sample, each view of each sample with draws of its own.

    Seed and clock are this module's, whatever those of the pipelines are. Images are read where they are: no view is
    made from a copy of them.

    Args:
        views: a pipeline for each name, or (pipeline, number of copies); what the names stand for may have other sizes.
        seed: seed of the draws; None draws one from torch's default generator at first use.
        rank: overrides the distributed rank that separates the draws of processes.
        save_state: False keeps seed and clock out of `state_dict`.

    Shape:
        (B, C, H, W) to a dict by name of (n * B, C, h, w): all samples, then all samples again.
        `out["local"].unflatten(0, (n, -1))` has the views in front. In `eval()` mode every pipeline is its own
        preprocessing for validation.

    Boxes and masks:
        Each view has the structure that came in: of (images, labels) a pair, of a dict a dict, in which everything that
        has a row for each sample has one for each copy.

    Raises:
        TypeError: for anything but pipelines of this library.
        ValueError: without views, and for numbers of copies below 1.

    Source: the multi-crop of Caron et al. 2020 (SwAV).

    Example:
        >>> import torch, gpuaug as ga
        >>> large, small = ga.RandomResizedCrop(6, (0.4, 1.0)), ga.RandomResizedCrop(4, (0.05, 0.4))
        >>> views = ga.MultiView({"global": (large, 2), "local": (small, 8)})
        >>> {name: tuple(view.shape) for name, view in views(torch.zeros(2, 3, 8, 10)).items()}
        {'global': (4, 3, 6, 6), 'local': (16, 3, 4, 4)}
    """

    @recording
    def __init__(
        self,
        views: Mapping[str, Any],
        *,
        seed: int | None = None,
        rank: int | None = None,
        save_state: bool = True,
    ) -> None:
        """See the class."""
        super().__init__(seed, rank, save_state)
        owner = type(self).__name__
        self.counts: dict[str, int] = {}
        self._version = 0
        if not isinstance(views, Mapping) or not views:
            raise ValueError(f"{owner}: views must be a dict of pipelines by name, got {views!r}")
        for name, given in views.items():
            layer, count = given if isinstance(given, tuple) and len(given) == 2 else (given, 1)
            if not isinstance(layer, Layer):
                raise TypeError(f"{owner}: view {name!r} must be a gpuaug transform, got {type(layer).__name__}")
            if isinstance(count, bool) or not isinstance(count, int) or count < 1:
                raise ValueError(f"{owner}: the number of copies of {name!r} must be at least 1, got {count!r}")
            if not isinstance(name, str) or "." in name or hasattr(self, name):
                raise ValueError(f"{owner}: views must have names without dots that are free, got {name!r}")
            self.add_module(name, layer)
            self.counts[name] = count

    def written(self) -> dict[str, Any]:
        """Return arguments that files give another value than the constructor got: none."""
        return {}

    @property
    def views(self) -> dict[str, Layer]:
        """The pipelines by name."""
        return {name: getattr(self, name) for name in self.counts}

    def sample(
        self, *inputs: Any, ids: Tensor | None = None, copy: int = 0, strength: Tensor | float | None = None
    ) -> ViewParams:
        """Draw the parameters of all views of a batch without applying them, and without advancing the clock.

        Args:
            inputs: what `forward` takes.
            ids: (B,) integer ids of the samples (dataset indices); None counts positions.
            copy: tells repeats of the same samples apart.
            strength: as `forward`.
        """
        return self._drawn(self._open(inputs, ids, copy, strength, True, False))

    def replay(self, *inputs: Any) -> Any:
        """Apply given parameters: `replay(images, params)`, a pure function.

        Args:
            inputs: what `forward` takes, then the `ViewParams` of as many samples, drawn for the same canvas.
        """
        *given, params = inputs
        if not isinstance(params, ViewParams) or set(params) != set(self.counts):
            raise TypeError(f"{type(self).__name__}: replay takes the batch, then its ViewParams, got {params!r:.80}")
        return self._shaped({name: layer.replay(*given, params[name]) for name, layer in self.views.items()})

    def forward(
        self,
        *inputs: Any,
        ids: Tensor | None = None,
        copy: int = 0,
        strength: Tensor | float | None = None,
        return_params: bool = False,
    ) -> Any:
        """Give the views of a batch.

        Args:
            inputs: what the pipelines take: images, images and labels, or a dict.
            ids: (B,) integer ids of the samples; the draws then depend on (seed, epoch, id) alone.
            copy: tells repeats of the same samples apart.
            strength: (B,) from 0, where nothing happens, to 1, or one number: as pipelines take it.
            return_params: also return the `ViewParams`.

        Returns:
            The views by name; with `return_params`, a pair of them and the ViewParams.
        """
        opened = self._open(inputs, ids, copy, strength, self.training, not only_inferring())
        if self.training and any(one.drew for one in opened.values()) and not only_inferring():
            self._advance()
        made = {name: one.write(carry(one.layer, one.batch, one.params.values)) for name, one in opened.items()}
        out = self._shaped(made)
        return (out, self._drawn(opened)) if return_params else out

    def _open(
        self, inputs: tuple[Any, ...], ids: Tensor | None, copy: int, strength: Any, drawing: bool, keep: bool
    ) -> dict[str, Opened]:
        """Draw for every view: copies count through all of them."""
        each = [self.counts[name] * copies_from(layer.nodes)[0] for name, layer in self.views.items()]
        first, opened = copy * sum(each), {}
        for (name, layer), copies in zip(self.views.items(), each, strict=True):
            opened[name] = begin(
                layer,
                inputs,
                ids,
                strength=strength,
                drawing=drawing,
                keep=keep,
                clock=self,
                count=self.counts[name],
                first=first,
                name=f"{name}.",
            )
            first += copies
        return opened

    def _drawn(self, opened: dict[str, Opened]) -> ViewParams:
        """Return what was drawn for every view."""
        params = {name: carrying(one.layer.nodes, one.params, one.batch, one.met) for name, one in opened.items()}
        return ViewParams(params)

    def _shaped(self, made: dict[str, Any]) -> Any:
        """Return the views as `forward` gives them."""
        return made

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch it is: for schedules, and for calls that give `ids`.

        Args:
            epoch: number of the epoch, from 0.
        """
        super().set_epoch(epoch)
        for layer in self.views.values():
            layer._at(epoch=epoch)

    def set_step(self, step: int) -> None:
        """Say which step it is, for schedules with `by="step"`.

        Args:
            step: number of the step, from 0.
        """
        for layer in self.views.values():
            layer.set_step(step)

    def reseed(self, seed: int | None = None) -> None:
        """Start over: at step and epoch 0, with a given seed or a new one from torch's default generator.

        Args:
            seed: any 64-bit integer; None draws one.
        """
        super().reseed(seed)
        for layer in self.views.values():
            layer._at(epoch=0, step=0)

    def set_extra_state(self, state: Any) -> None:
        """Restore what `get_extra_state` returned, the epoch of schedules too."""
        super().set_extra_state(state)
        if state is not None:
            for layer in self.views.values():
                layer._at(epoch=int(state[2]))

    def capture(
        self, *inputs: Any, ids: Tensor | None = None, copy: int = 0, strength: Tensor | float | None = None
    ) -> Any:
        """Record a call as a CUDA graph, as `Compose.capture` does: all views in one launch.

        Args:
            inputs: an example of what `forward` takes, on a CUDA device.
            ids: an example of the ids, where calls will give them.
            copy: tells repeats of the same samples apart.
            strength: an example, where calls will give it.

        Raises:
            RuntimeError: where the inputs are not on a CUDA device.
            ValueError: where a view has sizes that are drawn, or follow a schedule.
        """
        from gpuaug.transforms.capture import Captured

        return Captured(self, inputs, ids, copy, strength)

    # What a recording asks of a layer.

    @property
    def nodes(self) -> list[Node]:
        """The transforms of all views."""
        return [node for layer in self.views.values() for node in layer.nodes]

    def _draw_sizes(self, device: torch.device) -> dict[str, Any]:
        """Return what a recording depends on: what captured calls of the views cannot follow."""
        for name, layer in self.views.items():
            if layer.drawn_sizes or any(node.transform.draws_size for node in layer.nodes):
                raise ValueError(
                    f"{type(self).__name__}: capture takes views of fixed sizes, got one that is drawn in {name!r}"
                )
        return {name: layer._version for name, layer in self.views.items()}

    def _of_sizes(self, sizes: dict[str, Any]) -> MultiView:
        return self

    def _recorded(self) -> list[Any]:
        """Return the modules whose tensors a recording reads."""
        return [self, *(part for layer in self.views.values() for part in layer._recorded())]

    def extra_repr(self) -> str:
        """Show the numbers of copies."""
        return ", ".join(f"{name}: {count}" for name, count in self.counts.items() if count > 1)


class TwoViews(MultiView):
    """Give two views of each sample: of one pipeline, or of a first and a second one.

    Args:
        first: the pipeline of both views, or of the first one: the weak one of a weak and a strong pair.
        second: the pipeline of the second view; None is that of the first.
        seed: seed of the draws; None draws one from torch's default generator at first use.
        rank: overrides the distributed rank that separates the draws of processes.
        save_state: False keeps seed and clock out of `state_dict`.

    Shape:
        (B, C, H, W) to a pair of (B, C, h, w), which have draws of their own. `MultiView({"both": (augment, 2)})` gives
        one tensor (2 * B, C, h, w).

    Boxes and masks:
        Each view has the structure that came in: of (images, labels) a pair of pairs.

    Raises:
        TypeError: for anything but pipelines of this library.

    Source: the pairs of Chen et al. 2020 (SimCLR) and Grill et al. 2020 (BYOL); weak and strong ones of Sohn et al.
    2020 (FixMatch) and Xie et al. 2020 (UDA).

    Example:
        >>> import torch, gpuaug as ga
        >>> one, two = ga.TwoViews(ga.RandomResizedCrop(6))(torch.zeros(4, 3, 8, 10))
        >>> one.shape, two.shape
        (torch.Size([4, 3, 6, 6]), torch.Size([4, 3, 6, 6]))
    """

    @recording
    def __init__(
        self,
        first: Layer,
        second: Layer | None = None,
        *,
        seed: int | None = None,
        rank: int | None = None,
        save_state: bool = True,
    ) -> None:
        """See the class."""
        views = {"view_1": first, "view_2": first if second is None else second}
        super().__init__(views, seed=seed, rank=rank, save_state=save_state)

    def _shaped(self, made: dict[str, Any]) -> Any:
        """Return the pair."""
        return made["view_1"], made["view_2"]
