"""A call recorded as a CUDA graph: one launch for the whole pipeline."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten, tree_unflatten

if TYPE_CHECKING:
    from gpuaug.transforms.layer import Layer

__all__ = ["Captured"]

_WARM_UP = 3


class Captured(nn.Module):
    """Replay one recorded call of a layer, on inputs of the same shapes.

    What is returned lies in buffers that the next call overwrites: clone what must last. Draws go on where the layer's
    clock stands, which advances on the device; `reseed`, `set_epoch` and `load_state_dict` of the layer are followed.

    Args:
        layer: what is recorded, in its present mode.
        inputs: an example of what `forward` takes, on a CUDA device.
        ids: an example of the ids, where calls give them.
        copy: tells repeats of the same samples apart.

    Raises:
        RuntimeError: where the inputs are not on a CUDA device.
        TypeError: for inputs that are not tensors in tuples, lists and dicts.
    """

    layer: Any

    def __init__(self, layer: Layer, inputs: tuple[Any, ...], ids: Tensor | None = None, copy: int = 0) -> None:
        """Record a call; see the class."""
        super().__init__()
        self._owner = type(layer).__name__
        leaves, self._spec = tree_flatten((inputs, ids))
        self._check_leaves(leaves)
        # Buffers are the recording's own: inputs of the caller are never written to.
        self._given = [leaf.clone() if isinstance(leaf, Tensor) else leaf for leaf in leaves]
        self.__dict__["layer"] = layer  # not a submodule: whoever holds the layer saves its state
        self._mode = layer.training
        given, static_ids = tree_unflatten(self._given, self._spec)
        before = self._warm_up(given, static_ids, copy)
        self._graph = torch.cuda.CUDAGraph()
        with torch.no_grad(), torch.cuda.graph(self._graph):
            self._out = layer(*given, ids=static_ids, copy=copy)
        self._state = layer._state
        self._state.copy_(before)

    def _check_leaves(self, leaves: list[Any]) -> None:
        tensors = [leaf for leaf in leaves if isinstance(leaf, Tensor)]
        if not tensors:
            raise TypeError(f"{self._owner}: capture takes tensors in tuples, lists and dicts, got none")
        for leaf in leaves:
            if not isinstance(leaf, (Tensor, int, float, str, type(None))):
                raise TypeError(
                    f"{self._owner}: capture takes tensors in tuples, lists and dicts, got {type(leaf).__name__}"
                )
        found = sorted({leaf.device.type for leaf in tensors})
        if found != ["cuda"]:
            raise RuntimeError(f"{self._owner}: capture needs inputs on a CUDA device, got {', '.join(found)}")

    def _warm_up(self, given: Any, ids: Tensor | None, copy: int) -> Tensor:
        """Run a few calls, in which kernels are compiled and constants move; return the state before them."""
        layer: Layer = self.layer
        if not layer._seeded:
            layer._seed_from_torch()
        device = next(leaf.device for leaf in self._given if isinstance(leaf, Tensor))
        before: Tensor = layer._state.to(device, copy=True)
        stream = torch.cuda.Stream(device)
        stream.wait_stream(torch.cuda.current_stream(device))
        with torch.no_grad(), torch.cuda.stream(stream):
            for _ in range(_WARM_UP):
                layer(*given, ids=ids, copy=copy)
        torch.cuda.current_stream(device).wait_stream(stream)
        return before

    def forward(self, *inputs: Any, ids: Tensor | None = None) -> Any:
        """Augment a batch by the recorded call.

        Args:
            inputs: as the example's: the same structure, shapes, dtypes and device.
            ids: likewise.

        Returns:
            What the layer returns, in buffers that the next call overwrites.
        """
        leaves, spec = tree_flatten((inputs, ids))
        check_same(leaves, spec, self._given, self._spec, self._owner)
        layer: Layer = self.layer
        if layer.training != self._mode:
            mode = "train" if self._mode else "eval"
            raise RuntimeError(
                f"{self._owner}: this call was captured in {mode}() mode; capture again after changing it"
            )
        if layer._state is not self._state:  # it was given another: the recording goes on from there
            self._state.copy_(layer._state)
            layer._state = self._state
        for static, leaf in zip(self._given, leaves, strict=True):
            if isinstance(static, Tensor):
                static.copy_(leaf, non_blocking=True)
        self._graph.replay()
        return self._out

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
        wanted = (tuple(static.shape), static.dtype, static.device)
        if not isinstance(leaf, Tensor) or (tuple(leaf.shape), leaf.dtype, leaf.device) != wanted:
            got = f"{tuple(leaf.shape)}, {leaf.dtype}, {leaf.device}" if isinstance(leaf, Tensor) else repr(leaf)
            raise ValueError(
                f"{owner}: captured calls need tensors as the example's, {wanted[0]}, {wanted[1]}, {wanted[2]}, "
                f"got {got}"
            )
