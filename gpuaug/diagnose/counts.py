"""Count what a call asks of a device, without one: operations, synchronisations, copies, bytes, memory.

A tensor on the `meta` device stands for one on a GPU: every operation is dispatched, none is computed.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

__all__ = ["Counts", "count"]

# What makes the host wait for the device: reading a value, or a shape that depends on values.
_SYNCHRONISING = (
    "_local_scalar_dense",
    "item",
    "nonzero",
    "masked_select",
    "_unique2",
    "unique_dim",
    "unique_consecutive",
    "is_nonzero",
    "equal",
    "bincount",
    "repeat_interleave.Tensor",
    "linalg_eigvals",
)
_COPYING = ("_to_copy", "copy_", "_copy_from", "_pin_memory")
_FREE = ("empty", "empty_strided", "new_empty", "empty_like", "detach", "lift_fresh", "alias", "_unsafe_view")


@dataclass
class Counts:
    """What a call dispatched."""

    operations: int = 0
    """Operations that compute: views and allocations are left out."""
    image_sized: int = 0
    """Operations that read or write a tensor of at least half the elements of the smaller of input and output."""
    host_operations: int = 0
    """Operations on tensors of the host while the batch is elsewhere."""
    synchronising: int = 0
    host_to_device: int = 0
    bytes_moved: int = 0
    """Bytes of the tensors read and written by all operations."""
    minimal_bytes: int = 0
    """Bytes of the batch read once and of the result written once."""
    peak_temporary: int = 0
    """Most bytes alive at once that the call allocated, the result included."""
    output_bytes: int = 0
    names: dict[str, int] = field(default_factory=dict)

    @property
    def traffic(self) -> float:
        """Bytes moved over the least possible."""
        return self.bytes_moved / max(self.minimal_bytes, 1)

    @property
    def peak(self) -> float:
        """Peak of temporary memory over the bytes of the result."""
        return self.peak_temporary / max(self.output_bytes, 1)


def _bytes(tensor: Tensor) -> int:
    """Return the bytes that a tensor shows, counting repeated (expanded) elements once."""
    elements = 1
    for size, stride in zip(tensor.shape, tensor.stride(), strict=True):
        elements *= size if stride != 0 or size == 0 else 1
    return elements * tensor.element_size()


class _Counter(TorchDispatchMode):
    def __init__(self, device: torch.device, large: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.device = device
        self.large = large
        self.counts = Counts()
        self.known: dict[int, int] = {}
        self.alive = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        read = [t for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor)]
        written = [t for t in tree_leaves(out) if isinstance(t, Tensor)]
        for tensor in written:
            self._watch(tensor)
        name = str(func).removeprefix("aten.")
        short = name.split(".")[0]
        if func.is_view or short in _FREE:
            return out
        counts = self.counts
        tensors = read + written
        here = [t for t in tensors if t.device == self.device]
        if tensors and not here and self.device.type != "cpu":
            counts.host_operations += 1
            return out
        if short in _SYNCHRONISING or name in _SYNCHRONISING or _reads_mask(short, args):
            counts.synchronising += 1
        if short in _COPYING and len({t.device for t in tensors}) > 1:
            if written and written[0].device == self.device:
                counts.host_to_device += 1
            else:
                counts.synchronising += 1
        counts.operations += 1
        counts.names[name] = counts.names.get(name, 0) + 1
        counts.image_sized += any(t.numel() >= self.large for t in here)
        counts.bytes_moved += sum(_bytes(t) for t in here)
        return out

    def _watch(self, tensor: Tensor) -> None:
        if tensor.device != self.device:
            return
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self.known:
            return
        size = storage.nbytes()
        self.known[key] = size
        self.alive += size
        self.counts.peak_temporary = max(self.counts.peak_temporary, self.alive)
        weakref.finalize(storage, self._forget, key)

    def _forget(self, key: int) -> None:
        self.alive -= self.known.pop(key, 0)


def _reads_mask(name: str, args: Any) -> bool:
    """Tell whether an operation indexes with a boolean mask, whose result has as many rows as it has hits."""
    if name not in ("index", "index_put", "index_put_", "_index_put_impl_"):
        return False
    return any(isinstance(i, Tensor) and i.dtype == torch.bool for i in args[1] if i is not None)


def count(call: Callable[..., Any], *inputs: Tensor) -> Counts:
    """Count what `call(*inputs)` dispatches.

    Args:
        call: a layer, or any function of tensors; call it once before, so that constants are on the device.
        inputs: the batch first: its device is the one that counts.

    Returns:
        The counts.

    Example:
        >>> import torch
        >>> from gpuaug.diagnose import count
        >>> counts = count(lambda x: x * 2 + 1, torch.zeros(8, 3, 32, 32, device="meta"))
        >>> counts.operations, counts.synchronising, counts.traffic
        (2, 0, 2.0)
    """
    batch = inputs[0]
    counter = _Counter(batch.device, 0)
    held = {t.untyped_storage()._cdata for t in inputs}
    counter.known = dict.fromkeys(held, 0)
    counter.large = batch.numel() // 2
    with counter:
        out = call(*inputs)
    result = [t for t in tree_leaves(out) if isinstance(t, Tensor)]
    counts = counter.counts
    counts.output_bytes = sum(_bytes(t) for t in result)
    counts.minimal_bytes = sum(_bytes(t) for t in inputs) + counts.output_bytes
    return counts
