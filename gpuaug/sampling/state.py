"""The two numbers that the randomness of a pipeline depends on: the seed and the clock."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from gpuaug.sampling.generator import column_words, draw_seed, philox4x32

__all__ = ["Stateful", "moved", "only_inferring"]

_RANK_BITS = 20  # positions in a batch: up to a million
_WORKER_BITS = 16  # copies of a sample: up to 65,536
_WORD = 0xFFFFFFFF
_OF_BATCHES = 3 << 30  # the copy word of what is drawn for a batch: two high bits, which no sample's has


def _constant(function: Callable[[], int]) -> Callable[[], int]:
    """Let a compiler take what the function returns as it is: it cannot look into it.

    What `torch.compiler.assume_constant_result` does, which imports Dynamo: seconds in every process.
    """
    function._dynamo_marked_constant = True  # type: ignore[attr-defined]
    return function


def moved(tensor: Tensor, device: torch.device) -> Tensor:
    """Return a tensor on a device, to be kept: what inference mode makes could not be written to, or used, later."""
    if torch.compiler.is_compiling() or not torch.is_inference_mode_enabled():
        return tensor.to(device)
    with torch.inference_mode(False):
        return tensor.to(device)


@_constant
def _rank() -> int:
    """Return this process's distributed rank."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank()
    return int(os.environ.get("RANK", "0"))


@_constant
def _worker() -> int:
    """Return the number of this loader worker, from 1, or 0 in the main process."""
    info = torch.utils.data.get_worker_info()
    return 0 if info is None else info.id + 1


def only_inferring() -> bool:
    """Tell whether this is inference, which leaves the clock alone (a compiler cannot ask)."""
    return not torch.compiler.is_compiling() and torch.is_inference_mode_enabled()


class Stateful(nn.Module):
    """Keep seed, step and epoch in one int64 tensor that travels with `state_dict` without being a buffer.

    A buffer would be broadcast from rank 0 by DistributedDataParallel, and every rank would then draw the same.
    """

    def __init__(self, seed: int | None = None, rank: int | None = None, save_state: bool = True) -> None:
        """Remember the seed; None draws one from torch's default generator at first use."""
        super().__init__()
        for name, value in (("seed", seed), ("rank", rank)):
            if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
                raise TypeError(f"{type(self).__name__}: {name} must be an integer or None, got {value!r}")
        self._explicit_seed = seed is not None
        self._seeded = seed is not None
        self._rank = rank
        self._save_state = save_state
        self._state = torch.tensor([0 if seed is None else seed, 0, 0], dtype=torch.int64)
        self._zero = torch.zeros(1, dtype=torch.int64)
        self._mirror: list[int] | None = None
        """The state on the host, for what is drawn there; None until it is needed."""

    def reseed(self, seed: int | None = None) -> None:
        """Start over: at step and epoch 0, with a given seed or a new one from torch's default generator.

        Args:
            seed: any 64-bit integer; None draws one.
        """
        value = int(draw_seed(torch.empty(0))) if seed is None else seed
        self._explicit_seed = seed is not None
        self._seeded = True
        with torch.inference_mode(False):
            self._state = torch.tensor([value, 0, 0], dtype=torch.int64, device=self._state.device)
        self._mirror = None

    def set_epoch(self, epoch: int) -> None:
        """Set the clock of calls that give `ids`, as DistributedSampler.set_epoch does for the order.

        Args:
            epoch: number of the epoch, from 0.
        """
        if isinstance(epoch, bool) or not isinstance(epoch, int) or epoch < 0:
            raise ValueError(f"{type(self).__name__}: epoch must be an integer >= 0, got {epoch!r}")
        self._state[2] = epoch

    def _clock(
        self, batch: int, device: torch.device, ids: Tensor | None, copy: int, copies: int = 1
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return (seed and clock, ids, copy), on the batch's device, for one call: of `copies` one after another."""
        if not self._seeded:
            self._seed_from_torch()
        if self._state.device != device:
            self._state, self._zero = moved(self._state, device), moved(self._zero, device)
        if ids is not None:
            if not self._explicit_seed:
                raise ValueError(
                    f"{type(self).__name__}: ids need an explicit seed, because training scripts seed each rank"
                    " differently, got seed=None"
                )
            if not isinstance(ids, Tensor):
                raise TypeError(f"{type(self).__name__}: ids must be an integer tensor (B,), got {type(ids).__name__}")
            if ids.shape != (batch,) or ids.dtype not in (torch.int64, torch.int32):
                raise ValueError(
                    f"{type(self).__name__}: ids must be an integer tensor of shape ({batch},), got "
                    f"{ids.dtype} {tuple(ids.shape)}"
                )
            if ids.device != device:
                raise ValueError(f"{type(self).__name__}: ids must be on {device}, got {ids.device}")
            return self._state[::2], ids.to(torch.int64).repeat(copies), self._numbered(copy, batch, copies)
        rank = _rank() if self._rank is None else self._rank
        first = rank << _RANK_BITS
        stream = copy + (_worker() << _WORKER_BITS)
        positions = torch.arange(first, first + batch, device=device)
        # Positional draws and draws by id are kept apart by the highest bit of the copy word.
        ids = positions if copies == 1 else positions.repeat(copies)
        return self._state[:2], ids, self._numbered(stream | 1 << 31, batch, copies)

    def _numbered(self, first: int, batch: int, copies: int) -> Tensor:
        """Return the numbers of copies that begin with one: (1,), or (B * copies,)."""
        if copies == 1:
            return self._zero + first
        return torch.arange(first, first + copies, device=self._zero.device).repeat_interleave(batch)

    def _seed_from_torch(self) -> None:
        self._state[0] = draw_seed(self._state)
        self._seeded = True

    def _advance(self) -> None:
        self._state[1].add_(1)
        if self._mirror is not None:
            self._mirror[1] += 1

    def _draw_on_host(self, name: str, device: torch.device) -> float:
        """Return a number from [0, 1) by seed and step alone: the same on every rank."""
        if not self._seeded:
            self._seed_from_torch()
        if self._state.device != device:  # once: what draws for samples is a copy of this module
            self._state, self._zero = moved(self._state, device), moved(self._zero, device)
        if self._mirror is None:
            self._mirror = self._state.tolist()  # waits for the device once
        (word, *_), (lane, *_) = column_words(name, 1)
        seed, clock = self._mirror[:2]
        philox: Any = philox4x32  # the same arithmetic on Python's integers
        words = philox(clock & _WORD, 0, _OF_BATCHES, word & _WORD, seed & _WORD, (seed >> 32) & _WORD)
        return float((words[lane] >> 8) * 2.0**-24)

    # The state is saved as extra state: it moves with checkpoints and is nobody's parameter.

    def get_extra_state(self) -> Any:
        """Return seed, step and epoch, or None before the first use."""
        return self._state.detach().cpu().clone() if self._seeded else None

    def set_extra_state(self, state: Any) -> None:
        """Restore what `get_extra_state` returned."""
        if state is not None:
            if not isinstance(state, Tensor) or state.shape != (3,) or state.dtype != torch.int64:
                raise ValueError(
                    f"{type(self).__name__}: the saved state must be int64 (seed, step, epoch), got {state!r}"
                )
            with torch.inference_mode(False):
                self._state = state.to(device=self._state.device, dtype=torch.int64).clone()
            self._seeded = True
            self._mirror = None

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        key = prefix + "_extra_state"
        if key in destination and (destination[key] is None or not self._save_state):
            del destination[key]

    def _load_from_state_dict(
        self,
        state_dict: dict[str, Any],
        prefix: str,
        local_metadata: dict[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        super()._load_from_state_dict(
            state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
        )
        key = prefix + "_extra_state"
        if key in missing_keys:  # a checkpoint made without the layer loads all the same
            missing_keys.remove(key)
