"""Work through a data set once, over several processes, and go on after a stop: predictions, precomputed views."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sized
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_map, tree_unflatten
from torch.utils.data import DataLoader, Dataset, DistributedSampler

from gpuaug.data.collate import collate as default_collate

__all__ = ["gather", "precompute"]

_PLAN = "plan.json"


def precompute(
    function: Callable[[Any, Tensor], Any],
    dataset: Dataset[Any],
    folder: Path | str,
    *,
    batch_size: int = 64,
    collate: Callable[[list[Any]], Any] = default_collate,
    workers: int = 0,
    rank: int | None = None,
    world: int | None = None,
) -> int:
    """Call a function on every batch of a data set, and write what it returns: a file for each batch.

    Batches are blocks of the data set in its order. They are dealt out over the ranks by torch's DistributedSampler;
    those whose file is there are passed over, so that the same call goes on after a stop, with any number of ranks.
    Under `torchrun` rank and world size are those of `torch.distributed`, or of the environment where that is not
    initialised.

    Args:
        function: takes a batch and the indices of its samples (B,), and returns tensors whose first dimension is the
            samples', in any tree of dicts and tuples. Draws by index are the same whoever makes them:
            `lambda batch, ids: augment(batch[0].to(device), ids=ids.to(device))`.
        dataset: what can be indexed, with a length.
        folder: where the files go; one for each function.
        batch_size: samples in a batch.
        collate: makes a batch of samples.
        workers: processes that load samples.
        rank: of this process.
        world: number of processes.

    Returns:
        How many batches this call has computed.

    Raises:
        ValueError: where the folder holds batches of another size, or of another data set's length.

    Example:
        >>> import tempfile, torch, gpuaug as ga
        >>> from gpuaug.offline import gather, precompute
        >>> data = [(torch.full((3, 4, 4), float(i)), i) for i in range(10)]
        >>> folder = tempfile.mkdtemp()
        >>> precompute(lambda batch, ids: {"mean": batch[0].mean((1, 2, 3)), "id": ids}, data, folder, batch_size=4)
        3
        >>> precompute(lambda batch, ids: {}, data, folder, batch_size=4)  # all is there
        0
        >>> gather(folder)["mean"].tolist() == list(range(10))
        True
    """
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise ValueError(f"precompute: batch_size must be a positive integer, got {batch_size!r}")
    if not isinstance(dataset, Sized):
        raise TypeError(f"precompute: dataset must have a length, got {type(dataset).__name__}")
    place, count = Path(folder), len(dataset)
    blocks = [list(range(first, min(first + batch_size, count))) for first in range(0, count, batch_size)]
    _agree(place, {"samples": count, "batch_size": batch_size})
    mine = blocks
    rank, world = _who(rank, world)
    if blocks:
        sampler: DistributedSampler[Any] = DistributedSampler(range(len(blocks)), world, rank, shuffle=False)  # type: ignore[arg-type]
        mine = [blocks[i] for i in sampler]
    left = [block for block in mine if not _file(place, block[0] // batch_size).exists()]
    loader = DataLoader(dataset, batch_sampler=left, collate_fn=collate, num_workers=workers)
    done = 0
    for block, batch in zip(left, loader, strict=True):
        path = _file(place, block[0] // batch_size)
        if path.exists():  # another rank has done it, where there are fewer batches than ranks
            continue
        made = function(batch, torch.tensor(block))
        for leaf in tree_flatten(made)[0]:
            if not isinstance(leaf, Tensor) or leaf.dim() == 0 or len(leaf) != len(block):
                given = tuple(leaf.shape) if isinstance(leaf, Tensor) else type(leaf).__name__
                raise ValueError(f"precompute: function must return tensors of {len(block)} samples, got {given}")
        _write(path, tree_map(lambda leaf: leaf.detach().cpu().clone(), made))
        done += 1
    return done


def gather(folder: Path | str) -> Any:
    """Read what `precompute` has written: each tensor of all samples, in the order of the data set.

    Args:
        folder: where the files are.

    Raises:
        ValueError: where batches are missing, by number.
    """
    place = Path(folder)
    if not (place / _PLAN).exists():
        raise ValueError(f"gather: folder must be one that precompute has written, got {place}")
    plan = json.loads((place / _PLAN).read_text())
    files = [_file(place, i) for i in range(-(-plan["samples"] // plan["batch_size"]))]
    missing = [str(i) for i, file in enumerate(files) if not file.exists()]
    if missing:
        raise ValueError(f"gather: {len(missing)} of {len(files)} batches are missing ({', '.join(missing[:8])}, ...)")
    if not files:
        return None
    leaves, specs = zip(*(tree_flatten(torch.load(file, weights_only=True)) for file in files), strict=True)
    return tree_unflatten([torch.cat(column) for column in zip(*leaves, strict=True)], specs[0])


def _who(rank: int | None, world: int | None) -> tuple[int, int]:
    """Return rank and number of processes."""
    there = torch.distributed.is_available() and torch.distributed.is_initialized()
    if rank is None:
        rank = torch.distributed.get_rank() if there else int(os.environ.get("RANK", "0"))
    if world is None:
        world = torch.distributed.get_world_size() if there else int(os.environ.get("WORLD_SIZE", "1"))
    if not 0 <= rank < world:
        raise ValueError(f"precompute: rank must be at least 0 and less than world, got {rank} of {world}")
    return rank, world


def _agree(place: Path, plan: dict[str, int]) -> None:
    """Note how the work is divided, or raise where it was divided otherwise."""
    place.mkdir(parents=True, exist_ok=True)
    path = place / _PLAN
    if not path.exists():
        unfinished = place / f"{_PLAN}.{os.getpid()}"
        unfinished.write_text(json.dumps(plan))
        unfinished.replace(path)
    found = json.loads(path.read_text())
    if found != plan:
        raise ValueError(f"precompute: folder holds batches of {found}, got {plan}; take another folder, or empty it")


def _file(place: Path, block: int) -> Path:
    return place / f"{block:07d}.pt"


def _write(path: Path, made: Any) -> None:
    """Write a file that is either whole or not there."""
    unfinished = path.with_suffix(f".{os.getpid()}")
    torch.save(made, unfinished)
    unfinished.replace(path)
