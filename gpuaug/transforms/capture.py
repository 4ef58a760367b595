"""A call recorded as a CUDA graph: one launch for the whole pipeline."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten, tree_unflatten

from gpuaug.sampling.layout import TENSORS

if TYPE_CHECKING:
    from gpuaug.transforms.layer import Layer

__all__ = ["Captured"]

_WARM_UP = 3
_MOVED = {
    "": ("_state", "_zero"),
    **dict.fromkeys(("_layout", "_strong"), TENSORS),
}
"""What a layer, and its layout, keep on the device of the batch, and replace where the device changes."""


@dataclass
class _Recording:
    """A graph with what it writes, and the tensors it reads that belong to the layer."""

    graph: Any
    out: Any
    followed: list[tuple[Any, str, Tensor]]
    """(owner, attribute, tensor): the graph knows the tensor's memory, whatever the owner has now."""
    held: list[Tensor]
    """What must stay in memory, since the graph reads it."""

    def follow(self) -> None:
        """Let the graph see what the layer has become: its seed, clock and bounds."""
        for owner, name, tensor in self.followed:
            now = getattr(owner, name)
            if now is not tensor:  # it was given another, or went to another device: the recording's goes on from there
                tensor.copy_(now)
                setattr(owner, name, tensor)


def record(call: Callable[[], Any], stream: Any, pool: Any, owner: str) -> tuple[Any, Any]:
    """Make a call a few times, in which kernels are compiled and constants move, and then once into a graph.

    Args:
        call: what is recorded.
        stream: of the device, not the current one.
        pool: memory of earlier graphs of the same layer, or None.
        owner: class named in errors.

    Returns:
        The graph, and what the call returned: buffers that a replay writes.

    Raises:
        RuntimeError: where the call waits for the device or copies to it, which a graph cannot.
    """
    current = torch.cuda.current_stream(stream.device)
    stream.wait_stream(current)
    mode = torch.cuda.get_sync_debug_mode()
    with torch.cuda.device(stream.device), torch.cuda.stream(stream):
        for _ in range(_WARM_UP - 1):
            call()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's, that it may not find every wait
            torch.cuda.set_sync_debug_mode("error")
        try:
            call()
        except RuntimeError as error:
            if "synchroniz" not in str(error):
                raise
            raise RuntimeError(
                f"{owner}: capture takes calls that never wait for the device; lists of images or of targets, and"
                " formats whose rows are removed, do: give tensors of one shape"
            ) from error
        finally:
            torch.cuda.set_sync_debug_mode(mode)
        graph = torch.cuda.CUDAGraph()
        # Other threads (a loader's, that pins memory) may use the device meanwhile.
        with torch.cuda.graph(graph, pool=pool, stream=stream, capture_error_mode="thread_local"):
            out = call()
    current.wait_stream(stream)
    return graph, out


class Captured(nn.Module):
    """Replay one recorded call of a layer, on inputs of the same shapes.

    What is returned lies in buffers that the next call overwrites, in the example's memory format: clone what must
    last. Draws go on where the layer's clock stands, which advances on the device; `reseed`, `set_epoch`,
    `load_state_dict` and changed bounds of the layer are followed. Where sizes are drawn for the batch, a graph is
    recorded for each size when it is first drawn. No gradients flow through.

    Args:
        layer: what is recorded, in its present mode.
        inputs: an example of what `forward` takes, on a CUDA device.
        ids: an example of the ids, where calls give them.
        copy: tells repeats of the same samples apart.
        strength: an example of the strength, where calls give it.

    Raises:
        RuntimeError: where the inputs are not on a CUDA device, or the call waits for it.
        TypeError: for inputs that are not tensors in tuples, lists and dicts.
    """

    layer: Any

    def __init__(
        self, layer: Any, inputs: tuple[Any, ...], ids: Tensor | None = None, copy: int = 0, strength: Any = None
    ) -> None:
        """Record a call; see the class."""
        super().__init__()
        self._owner = type(layer).__name__
        if any(node.transform.kept is not None for node in layer.nodes):
            raise ValueError(f"{self._owner}: capture cannot record a buffer of earlier batches: compile it")
        leaves, self._spec = tree_flatten((inputs, ids, strength))
        self._check_leaves(leaves)
        self.__dict__["layer"] = layer  # not a submodule: whoever holds the layer saves its state
        self._mode, self._copy = layer.training, copy
        self._device = next(leaf.device for leaf in leaves if isinstance(leaf, Tensor))
        self._stream: Any = torch.cuda.Stream(self._device) if self._device.type == "cuda" else None
        self._recordings: dict[tuple[Any, ...], _Recording] = {}
        with torch.inference_mode(False), torch.no_grad():
            # Buffers are the recording's own: inputs of the caller are never written to.
            self._given = [leaf.detach().clone() if isinstance(leaf, Tensor) else leaf for leaf in leaves]
            self._recording(self._sizes())

    @property
    def inputs(self) -> tuple[Any, ...]:
        """The buffers that the graph reads: filled by the loader and given to `forward`, they are not copied again."""
        given: tuple[Any, ...] = tree_unflatten(self._given, self._spec)[0]
        return given

    def _check_leaves(self, leaves: list[Any]) -> None:
        tensors = [leaf for leaf in leaves if isinstance(leaf, Tensor)]
        if not tensors:
            raise TypeError(f"{self._owner}: capture takes tensors in tuples, lists and dicts, got none")
        for leaf in leaves:
            if not isinstance(leaf, (Tensor, int, float, str, type(None))):
                raise TypeError(
                    f"{self._owner}: capture takes tensors in tuples, lists and dicts, got {type(leaf).__name__}"
                )
        self._check_device(tensors)

    def _check_device(self, tensors: list[Tensor]) -> None:
        found = sorted({str(leaf.device) for leaf in tensors})
        if len(found) > 1 or not found[0].startswith("cuda"):
            raise RuntimeError(f"{self._owner}: capture needs inputs on a CUDA device, got {', '.join(found)}")

    def _sizes(self) -> dict[str, Any]:
        """Return the sizes that the next call draws, on the host."""
        layer: Layer = self.layer
        return layer._draw_sizes(self._device) if self._mode else {}

    def _recording(self, sizes: dict[str, Any]) -> _Recording:
        """Return the recording for some sizes, made now if there is none; the layer's state stays as it is."""
        key = (self.layer._version, *sizes.items())
        if key in self._recordings:
            return self._recordings[key]
        layer: Layer = self.layer
        if self._mode and not layer._seeded:
            layer._seed_from_torch()
        given, ids, strength = tree_unflatten(self._given, self._spec)
        sized = layer._of_sizes(sizes)
        before = layer._state.to(self._device, copy=True)
        mirror = None if layer._mirror is None else list(layer._mirror)
        pool = next((made.graph.pool() for made in self._recordings.values()), None)
        try:
            graph, out = record(
                lambda: sized(*given, ids=ids, copy=self._copy, strength=strength), self._stream, pool, self._owner
            )
        finally:
            layer._state, layer._zero, layer._mirror = sized._state, sized._zero, mirror
            layer._state.copy_(before)
        parts = layer._recorded()
        followed = [
            (owner, name, getattr(owner, name))
            for part in parts
            for place, names in _MOVED.items()
            for owner in [getattr(part, place, None) if place else part]
            if owner is not None
            for name in names
        ]
        held = [
            value
            for part in parts
            for module in part.modules()
            for value in vars(module).values()
            if isinstance(value, Tensor)
        ]
        self._recordings[key] = _Recording(graph, out, followed, held)
        return self._recordings[key]

    def forward(self, *inputs: Any, ids: Tensor | None = None, strength: Tensor | float | None = None) -> Any:
        """Augment a batch by the recorded call.

        Args:
            inputs: as the example's: the same structure, shapes, dtypes and device; or `inputs`, the buffers.
            ids: likewise.
            strength: likewise.

        Returns:
            What the layer returns, in buffers that the next call overwrites.
        """
        leaves, spec = tree_flatten((inputs, ids, strength))
        check_same(leaves, spec, self._given, self._spec, self._owner)
        layer: Layer = self.layer
        if layer.training != self._mode:
            mode = "train" if self._mode else "eval"
            raise RuntimeError(
                f"{self._owner}: this call was captured in {mode}() mode; capture again after changing it"
            )
        inferring = torch.is_inference_mode_enabled()
        with torch.inference_mode(False), torch.no_grad():
            recording = self._recording(self._sizes())
            recording.follow()
            before = layer._state.clone() if inferring else None
            for static, leaf in zip(self._given, leaves, strict=True):
                if isinstance(static, Tensor) and leaf is not static:
                    static.copy_(leaf, non_blocking=True)
            recording.graph.replay()
            if before is not None:  # the graph advances the clock, which inference leaves alone
                layer._state.copy_(before)
            elif self._mode and layer._mirror is not None:
                layer._mirror[1] += 1
        return recording.out

    def extra_repr(self) -> str:
        """Show what was recorded."""
        shapes = [f"{tuple(t.shape)} {t.dtype}" for t in self._given if isinstance(t, Tensor)]
        return f"{self._owner}, {', '.join(shapes)}"


def check_same(leaves: list[Any], spec: Any, expected: list[Any], expected_spec: Any, owner: str) -> None:
    """Raise where inputs differ from those of a recorded call in more than their values."""
    if spec != expected_spec:
        raise ValueError(f"{owner}: captured calls need inputs of the example's structure {expected_spec}, got {spec}")
    for leaf, static in zip(leaves, expected, strict=True):
        if not isinstance(static, Tensor):
            if leaf != static:
                raise ValueError(f"{owner}: captured calls need the example's {static!r}, got {leaf!r}")
            continue
        if isinstance(leaf, Tensor) and leaf.requires_grad and torch.is_grad_enabled():
            raise ValueError(f"{owner}: captured calls give no gradients: detach the inputs, or call the layer itself")
        wanted = (tuple(static.shape), static.dtype, static.device)
        if not isinstance(leaf, Tensor) or (tuple(leaf.shape), leaf.dtype, leaf.device) != wanted:
            got = f"{tuple(leaf.shape)}, {leaf.dtype}, {leaf.device}" if isinstance(leaf, Tensor) else repr(leaf)
            raise ValueError(
                f"{owner}: captured calls need tensors as the example's, {wanted[0]}, {wanted[1]}, {wanted[2]}, "
                f"got {got}"
            )
