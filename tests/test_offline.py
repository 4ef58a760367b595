"""Offline work over ranks that are told who they are; `test_loops.py` does it with processes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from gpuaug.offline import gather, precompute

DATA = [torch.full((3, 2, 2), float(i)) for i in range(11)]


def means(batch: Tensor, ids: Tensor) -> tuple[Tensor, Tensor]:
    return batch.mean((1, 2, 3)), ids


def test_another_number_of_ranks_goes_on(tmp_path: Path) -> None:
    calls: list[int] = []

    def work(batch: Tensor, ids: Tensor) -> tuple[Tensor, Tensor]:
        calls.extend(ids.tolist())
        return means(batch, ids)

    assert precompute(work, DATA, tmp_path, batch_size=3, rank=1, world=3) == 2  # 4 batches, dealt out to 3
    with pytest.raises(ValueError, match=r"gather: 2 of 4 batches are missing \(2, 3"):
        gather(tmp_path)
    assert calls == [3, 4, 5, 0, 1, 2], "with fewer batches than rounds the sampler begins again"
    assert precompute(work, DATA, tmp_path, batch_size=3) == 2 and calls[6:] == [6, 7, 8, 9, 10]
    found, ids = gather(tmp_path)
    assert found.tolist() == ids.tolist() == list(range(11))
    assert precompute(work, DATA, tmp_path, batch_size=3) == 0 and len(calls) == 11
    assert precompute(work, [], tmp_path / "empty") == 0 and gather(tmp_path / "empty") is None


def test_what_another_rank_has_done_meanwhile_is_left(tmp_path: Path) -> None:
    """Where the sampler begins again two ranks have the same batch; who comes second counts it as not his."""
    calls: list[int] = []

    def work(batch: Tensor, ids: Tensor) -> tuple[Tensor, Tensor]:
        calls.extend(ids.tolist())
        if len(calls) == 4:  # the other rank is quicker
            assert precompute(means, DATA, tmp_path, batch_size=4, rank=0, world=2) == 2
        return means(batch, ids)

    assert precompute(work, DATA, tmp_path, batch_size=4, rank=1, world=2) == 1 and calls == [4, 5, 6, 7]
    assert gather(tmp_path)[0].tolist() == list(range(11))
    with pytest.raises(ValueError, match="1 of 3 batches are missing"):
        (tmp_path / "0000001.pt").unlink()
        gather(tmp_path)


def test_the_environment_says_who_this_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As `torchrun` does for a script that starts no process group."""
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert precompute(means, DATA, tmp_path, batch_size=2) == 3
    assert [path.stem for path in sorted(tmp_path.glob("*.pt"))] == ["0000000", "0000001", "0000003", "0000005"][1:]


def test_a_file_is_whole_or_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(made: Any, path: Path) -> None:
        Path(path).write_bytes(b"half")
        raise OSError("no space left")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="no space"):
        patch.setattr(torch, "save", breaks)
        precompute(means, DATA, tmp_path, batch_size=4)
    assert not list(tmp_path.glob("*.pt"))
    assert precompute(means, DATA, tmp_path, batch_size=4) == 3


def test_files_hold_values_alone(tmp_path: Path) -> None:
    """No graph, and of a view no more than what it shows."""
    weight = torch.ones(3, requires_grad=True)
    large = torch.zeros(100_000)
    made = {"a": torch.empty(0), "b": torch.empty(0)}

    def work(batch: Tensor, ids: Tensor) -> dict[str, Tensor]:
        made["a"], made["b"] = batch.mean((2, 3)) * weight, large[: len(ids)]
        return made

    assert precompute(work, DATA, tmp_path, batch_size=11) == 1
    assert not gather(tmp_path)["a"].requires_grad
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 20_000


def test_what_is_there_is_not_even_read(tmp_path: Path) -> None:
    class Photographs(list[Tensor]):
        read = 0

        def __getitem__(self, i: Any) -> Any:
            self.read += 1
            return super().__getitem__(i)

    data: Any = Photographs(DATA)
    assert precompute(means, data, tmp_path, batch_size=4, rank=0, world=2) == 2 and data.read == 4 + 3
    assert precompute(means, data, tmp_path, batch_size=4) == 1 and data.read == 11


def test_a_collate_and_workers_of_ones_own(tmp_path: Path) -> None:
    class Numbered(torch.utils.data.Dataset[Any]):
        def __len__(self) -> int:
            return 3

        def __getitem__(self, i: int) -> Any:
            info = torch.utils.data.get_worker_info()
            return i, -1 if info is None else info.id

    rows = []

    def collate(samples: list[Any]) -> Tensor:
        return torch.tensor(samples)

    def work(batch: Tensor, ids: Tensor) -> Tensor:
        rows.extend(batch.tolist())
        return batch

    precompute(work, Numbered(), tmp_path, batch_size=2, collate=collate, workers=1)
    assert rows == gather(tmp_path).tolist() == [[0, 0], [1, 0], [2, 0]]


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    precompute(means, DATA, tmp_path, batch_size=3)
    other = tmp_path / "other"
    for data, size in ((DATA, 4), (DATA[:10], 3)):  # blocks of another size, or of other samples
        with pytest.raises(ValueError, match=r"holds batches of {'samples': 11, 'batch_size': 3}, got"):
            precompute(means, data, tmp_path, batch_size=size)
    for wrong, given in (
        (lambda batch, ids: batch.mean(), r"\(\)"),
        (lambda batch, ids: batch[:3], r"\(3, 3, 2, 2\)"),
        (lambda batch, ids: (batch, 1.0), "float"),
    ):
        with pytest.raises(ValueError, match=f"must return tensors of 4 samples, got {given}"):
            precompute(wrong, DATA, other, batch_size=4)
    for rank, world in ((2, 2), (-1, 2)):
        with pytest.raises(ValueError, match=f"rank must be at least 0 and less than world, got {rank} of {world}"):
            precompute(means, DATA, other, batch_size=4, rank=rank, world=world)
    for size in (0, 2.0, True):
        with pytest.raises(ValueError, match=f"batch_size must be a positive integer, got {size}"):
            precompute(means, DATA, other, batch_size=size)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="dataset must have a length, got generator"):
        precompute(means, (x for x in DATA), other)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="must be one that precompute has written"):
        gather(tmp_path / "nothing")
