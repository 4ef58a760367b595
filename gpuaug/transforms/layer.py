"""What every transform and container is when it is called: draw, plan, render."""

from __future__ import annotations

import copy as copying
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from gpuaug.data.batch import Batch, Settings, open_door
from gpuaug.data.kept import Met
from gpuaug.data.told import read_told
from gpuaug.geometry.canvas import following, numbers
from gpuaug.geometry.matrix import matrix_dtype
from gpuaug.render.plan import Plan
from gpuaug.render.settings import Reading
from gpuaug.render.values import UNIT, default_range
from gpuaug.sampling.layout import Draws, Layout, Told
from gpuaug.sampling.params import Params
from gpuaug.sampling.state import Stateful, only_inferring
from gpuaug.transforms.apply import carry
from gpuaug.transforms.changing import Changing
from gpuaug.transforms.given import GIVEN, recording
from gpuaug.transforms.keeping import as_drawn, carrying, check_kept
from gpuaug.transforms.node import Context, Gate, Names, Node
from gpuaug.transforms.objects import seeing
from gpuaug.transforms.rows import begin, check_rows, copies_from, held, reopened
from gpuaug.transforms.track import count_of, geometry_of, moves
from gpuaug.transforms.unmoved import warn_of_unmoved

__all__ = ["SETTINGS", "Context", "Gate", "Layer", "Names", "Node"]

Values = dict[str, dict[str, Tensor]]
"""What was drawn, by transform and parameter."""

Drawn = tuple[Tensor, Tensor, Draws]
"""Seed and clock, ids, and what was drawn before it is settled."""
SETTINGS = ("fuse", "interpolation", "fill", "antialias", "settings", "target_fill", "target_interpolation", "backend")
"""What a pipeline says for all its transforms."""


class Layer(Changing):
    """An augmentation that can be called on a batch: a transform used alone, or a container.

    In `train()` mode every call draws anew and advances the clock; in `eval()` mode only what is deterministic
    runs (see the table "In eval() mode" of the documentation).
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Let every layer note what it is made with, for files."""
        super().__init_subclass__(**kwargs)
        if "__init__" in cls.__dict__:
            cls.__init__ = recording(cls.__init__)  # type: ignore[method-assign]

    def __init__(self, seed: int | None = None, rank: int | None = None, save_state: bool = True) -> None:
        """Set up the state; subclasses call `_build` when their parts are known."""
        super().__init__(seed, rank, save_state)
        self.fuse = True
        self.drawn_sizes: dict[str, Any] = {}
        self.interpolation: str | None = None
        self.fill: Any = None
        self.antialias: bool | None = None
        self.backend: str | None = None
        self.settings = Settings()
        self.target_fill: dict[str, Any] = {}
        self.target_interpolation: dict[str, Any] = {}
        """What is not the image's, by target."""

    # -- parts

    def flatten(self, names: Names, gates: tuple[Gate, ...], channels: tuple[int, ...] | None) -> Iterator[Node]:
        """Go over the transforms of this layer in order, naming them."""
        raise NotImplementedError  # pragma: no cover  (Transform and the containers define it)

    def evaluation(self) -> Layer | None:
        """Return what this layer is in `eval()` mode: None for the identity."""
        raise NotImplementedError  # pragma: no cover

    def _build(self) -> None:
        names = Names()
        self.nodes = self._unsized = list(self.flatten(names, (), None))
        self.drawn_sizes = {}
        self._layout = self._strong = Layout(names.declarations, self._times)
        gated = [declaration.gated() for declaration in names.declarations]
        if gated != names.declarations:
            self._strong = Layout(gated, self._times)
        check_kept(self.nodes)
        self._enlist()
        self._follow_sizes()
        drawn = any(d.random or d.p is not None for d in names.declarations)
        check_rows(self.nodes)
        self._random = drawn or any(node.transform.draws_size for node in self.nodes)
        getters: list[Any] = [node.transform.labels_getter for node in self.nodes if node.transform.mixes_labels]
        if getters:
            self.settings = replace(self.settings, labels_getter=getters[0])

    def eval_pipeline(self) -> Layer:
        """Return the validation preprocessing alone: the very object that `eval()` mode runs, for serving."""
        return self._evaluation_layer()

    def __add__(self, other: Layer) -> Layer:
        """Return a pipeline of this one and then another, with the settings of this one."""
        from gpuaug.transforms.compose import joined

        return joined(self, other) if isinstance(other, Layer) else NotImplemented

    # -- calls

    def sample(
        self, *inputs: Any, ids: Tensor | None = None, copy: int = 0, strength: Tensor | float | None = None
    ) -> Params:
        """Draw the parameters for a batch without applying them, and without advancing the clock.

        Args:
            inputs: what `forward` takes.
            ids: (B,) integer ids of the samples (dataset indices); None counts positions.
            copy: tells repeats of the same samples apart.
            strength: as `forward`.
        """
        opened = begin(self, inputs, ids, copy, strength, keep=False)
        return carrying(opened.layer.nodes, opened.params, opened.batch, opened.met)

    def replay(self, *inputs: Any) -> Any:
        """Apply given parameters: `replay(images, params)`, a pure function.

        Args:
            inputs: what `forward` takes, then the `Params` of as many samples, drawn for the same canvas.
        """
        *given, params = inputs
        owner = type(self).__name__
        if not isinstance(params, Params):
            raise TypeError(f"{owner}: replay takes the batch and then Params, got {type(params).__name__} last")
        batch, write = open_door(tuple(given), owner, self.settings)
        layer: Layer = self
        if not params.geometry.inverted:
            layer = self._of_sizes(params.sizes)
            batch, write = reopened(layer, tuple(given), batch, write, params)
        canvas = numbers(batch.canvas)
        if params.partial and any("partner" in drawn for drawn in params.values.values()):
            raise ValueError(
                f"{owner}: params of a mix say whom each sample of a whole batch meets: replay them all and take the"
                f" samples then, got those of {len(params)} samples"
            )
        if len(params) != batch.samples or params.canvas != canvas:
            raise ValueError(
                f"{owner}: params were drawn for {len(params)} samples of {params.canvas}, got "
                f"{batch.samples} samples of {canvas}"
            )
        if params.geometry.inverted:
            from gpuaug.transforms.fixed import undoing

            layer = undoing(self, params)
        elif any(node.name not in params.values for node in layer.nodes):
            wanted = ", ".join(node.name for node in layer.nodes)
            raise ValueError(f"{owner}: params must be of this pipeline, {wanted}, got {', '.join(params.values)}")
        return write(carry(layer, as_drawn(batch, params), params.values))

    def forward(
        self,
        *inputs: Any,
        ids: Tensor | None = None,
        copy: int = 0,
        strength: Tensor | float | None = None,
        return_params: bool = False,
    ) -> Any:
        """Augment a batch.

        Args:
            inputs: images (B, C, H, W), or one image (C, H, W), uint8 (0..255) or float (0..1); labels that follow
                come back as they are.
            ids: (B,) integer ids of the samples; the draws then depend on (seed, epoch, id) alone.
            copy: tells repeats of the same samples apart.
            strength: (B,) from 0, where nothing happens, to 1, or one number. Every drawn value v with a neutral value
                n (an angle's 0, a factor's 1) becomes n + strength * (v - n), whole numbers rounded. A transform
                without neutral values (flips, inversion, erasing, mixes) is applied with probability strength * p.
                Published policies scale their levels; an operation that does something at level 0 too, as equalize
                does, is applied with probability strength. Containers keep what they draw, and crops to a size their
                places.
            return_params: also return the `Params`.

        Returns:
            What came in, augmented, in the same structure; with `return_params`, a pair of it and the Params.
        """
        opened = begin(self, inputs, ids, copy, strength, drawing=self.training, keep=not only_inferring())
        if self.training and opened.drew and not only_inferring():
            self._advance()
        warn_of_unmoved(self, inputs, opened)
        out = opened.write(carry(opened.layer, opened.batch, opened.params.values))
        return (out, carrying(opened.layer.nodes, opened.params, opened.batch, opened.met)) if return_params else out

    def capture(
        self, *inputs: Any, ids: Tensor | None = None, copy: int = 0, strength: Tensor | float | None = None
    ) -> Any:
        """Record a call as a CUDA graph: a module that replays it on inputs of the same shapes, in one launch.

        Args:
            inputs: an example of what `forward` takes, on a CUDA device.
            ids: an example of the ids, where calls will give them.
            copy: tells repeats of the same samples apart.
            strength: an example, where calls will give it.

        Returns:
            A module; what it returns lies in buffers that its next call overwrites.

        Raises:
            RuntimeError: where the inputs are not on a CUDA device.
        """
        from gpuaug.transforms.capture import Captured

        return Captured(self, inputs, ids, copy, strength)

    def _recorded(self) -> list[Layer]:
        """Return the modules whose tensors a recording of a call reads."""
        return [self] if self.training else [self, self._evaluation_layer()]

    def train(self, mode: bool = True) -> Layer:
        """Switch between augmenting (True) and the validation preprocessing (False)."""
        super().train(mode)
        if not mode:
            self._evaluation_layer()
        return self

    def _evaluation_layer(self) -> Layer:
        if "_evaluated" not in self.__dict__:
            from gpuaug.transforms.compose import Compose

            layer = self.evaluation()
            layer = layer if layer is not None else Compose([])
            for setting in SETTINGS:
                setattr(layer, setting, getattr(self, setting))
            if isinstance(self, Compose):
                layer.__dict__[GIVEN] = {**self.__dict__[GIVEN], "eval": None, "seed": None}
            self.__dict__["_evaluated"] = layer  # not a submodule: its state is nobody's
        evaluated: Layer = self.__dict__["_evaluated"]
        return evaluated

    # -- steps

    def _draw_sizes(self, device: torch.device, clock: Stateful | None = None, name: str = "") -> dict[str, Any]:
        """Return the sizes of a batch, drawn, set or scheduled, by transform."""
        sizes = self.drawn_sizes
        for node in self.nodes:
            if node.transform.draws_size:
                u = (clock or self)._draw_on_host(name + node.name, device)
                sizes = {**sizes, node.name: node.transform.pick(u, self._times)}
        return sizes

    def _of_sizes(self, sizes: dict[str, Any]) -> Layer:
        if sizes == self.drawn_sizes:
            return self
        layer = copying.copy(self)
        layer.drawn_sizes, layer.nodes = sizes, self._nodes_of(sizes)
        return layer

    def _told(self, inputs: tuple[Any, ...], batch: Batch, strength: Any) -> Told:
        keys = [key for key, _, _ in self._layout.keys]
        return read_told(inputs, batch, keys, strength, type(self).__name__)

    def _drawing(self, told: Told | None) -> bool:
        """Tell whether something is drawn: a gate of what always applies is, where a strength scales it."""
        return self._random or (told is not None and told.strength is not None and self._strong is not self._layout)

    def _draw(
        self, batch: Batch, ids: Tensor | None, copy: int, told: Told | None, clock: Stateful, copies: int
    ) -> Drawn:
        """Return seed and clock, ids and draws for samples given `copies` times, the first as the copy `copy`."""
        samples, device = batch.samples, batch.image.device
        layout = self._layout if told is None or told.strength is None else self._strong
        if self._drawing(told):
            state, ids, numbered = clock._clock(samples, device, ids, copy, copies)
            return state.clone(), ids, layout.draw(state, ids, numbered, told)
        ids = torch.arange(samples, device=device).repeat(copies)
        return self._zero, ids, layout.draw(self._zero, ids, self._zero, told) if layout.groups else {}

    def _settled(self, batch: Batch, drawn: Drawn, frames: Values, met: Met | None = None) -> Params:
        """Return parameters for what was drawn; which `frames` are shown is known."""
        (state, ids, draws), image = drawn, batch.image
        if image.dtype == torch.int16 and self.settings.value_range is None:
            raise ValueError(
                f"{type(self).__name__}: int16 images need Compose(..., value_range=(black, white)), got none"
            )
        n = batch.samples if met is None else met.slots.shape[0]
        values: Values = {}
        contexts = self.contexts(batch, count=n)
        for i, (node, context) in enumerate(zip(self.nodes, contexts, strict=True)):
            if node.name in frames:
                values[node.name] = frames[node.name]
                continue
            if node.given is not None:
                values[node.name] = node.given.of(context.canvas, n, image.device, type(self).__name__)
                continue
            raw, gate = node.raw(held(draws, context.before, n), values)
            if node.transform.sees:
                context = seeing(self, i, batch, values, context)
            if node.transform.kept is not None:
                context = replace(context, met=met)
            active = node.transform.active(context)
            values[node.name] = node.transform.settle(raw, gate, context) if active else {}
        names = tuple(node.name for node in self.nodes)
        geometry = geometry_of(self.nodes, values, batch.canvas)
        labels = {node.name: dict(node.transform.labels) for node in self.nodes if node.transform.labels}
        return Params(values, numbers(batch.canvas), state, ids, names, geometry, self.drawn_sizes, labels=labels)

    def contexts(
        self,
        batch: Batch,
        nodes: Sequence[Node] | None = None,
        bands: bool = True,
        count: int | None = None,
        key: str | None = None,
    ) -> list[Context]:
        """Return what each transform may know of a batch, or each of `nodes`, from whose canvas it is.

        Without `bands` it is a mask or a map, on which no transform is limited to bands; with `count` it is of as many
        samples instead of frames; a transform that is limited to other inputs than `key` sees all bands.
        """
        image, canvas, channels = batch.image, batch.canvas, batch.channels
        nodes = self.nodes if nodes is None else nodes
        count = len(batch) if count is None else count
        asked = (count, bands, None if all(node.transform.keys is None for node in nodes) else key)
        if batch.contexts is not None and batch.contexts[0] is nodes and batch.contexts[1] == asked:
            return batch.contexts[2]
        like = torch.zeros(count, dtype=matrix_dtype(image.device), device=image.device)
        values = self.settings.value_range or default_range(image.dtype)
        contexts: list[Context] = []
        for node, more in zip(nodes, copies_from(nodes)[:-1], strict=True):
            keys = node.transform.keys
            limited = bands and (key is None or keys is None or key in keys)
            seen = self._seen_channels(node, channels) if limited else channels
            contexts.append(
                Context(canvas, seen, like, values.of(node.channels if limited else None), before=len(like) // more)
            )
            canvas = following(canvas, node.transform.output_canvas)
            channels = node.transform.output_channels(channels)
            values = UNIT if node.transform.normalizes or node.transform.changes_dtype else values
        batch.contexts = (nodes, asked, contexts)
        return contexts

    def _seen_channels(self, node: Node, channels: int) -> int:
        """Return how many channels a transform sees: all, or those it is limited to."""
        if node.channels is None:
            return channels
        if max(node.channels) >= channels:
            raise ValueError(
                f"{node.name}: channels must be indices below {channels}, as the images have, got {node.channels}"
            )
        return len(node.channels)

    def plan(
        self,
        batch: Batch,
        values: Values,
        reading: Reading | None = None,
        nodes: Sequence[Node] | None = None,
        key: str = "image",
    ) -> Plan:
        """Return the passes of the input `key`, or of some `nodes` in a row; with `reading` of the geometry only.

        A transform that is limited to other inputs is left out, one that is limited to this one is not.
        """
        nodes = self.nodes if nodes is None else nodes
        contexts = self.contexts(batch, nodes, reading is None, count_of(values, len(batch)), key)
        image = batch.image
        plan = Plan(batch.canvas, batch.channels, image.dtype)
        plan.reading = reading
        if reading is None and self.settings.value_range is not None:
            plan.own_range(self.settings.value_range)
        plan.interpolation, plan.fill, plan.antialias = self.interpolation, self.fill, self.antialias is not False
        if batch.rows is not None:
            plan.index(batch.rows)
            image = batch.source
        last = torch.channels_last
        if isinstance(image, Tensor) and image.is_contiguous(memory_format=last) and not image.is_contiguous():
            plan.layout = last
        plan.rounds, plan.backend = not self.fuse, self.backend
        for node, context in zip(nodes, contexts, strict=True):
            keys = node.transform.keys
            if not moves(node, values) and (reading is not None if keys is None else key not in keys):
                continue
            if node.transform.mixes and not moves(node, values):  # switched off
                continue
            node.transform.contribute(plan, values[node.name], context, node)
            if not node.transform.mute:
                plan.joined(node.name)
            if not self.fuse:
                plan.close("fuse=False")
        return plan

    def explain(self, *inputs: Any) -> str:
        """Describe the passes of a call on such inputs: what joins each, why it ends, what it reads and writes.

        Args:
            inputs: an example of what `forward` takes; nothing is drawn and nothing is computed for it.
        """
        from gpuaug.transforms.explain import explained

        return explained(self, inputs)
