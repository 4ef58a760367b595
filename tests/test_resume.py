"""A training script that is stopped in the middle of an epoch and started again goes on with the same augmentations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from processes import run

SCRIPT = """
import sys, torch, torch.distributed as dist
import gpuaug as ga
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset

IDS, IMAGES = torch.arange(24), torch.rand(24, 3, 9, 13, generator=torch.Generator().manual_seed(5))


class Model(torch.nn.Module):
    def __init__(self, seed):
        super().__init__()
        self.augment = ga.Compose(
            [
                ga.RandomRotation(ga.Linear(5, 40, over=2)),
                ga.RandomHorizontalFlip(ga.Piecewise({0: 0.2, 1: 0.8})),
                ga.GaussianNoise(0.0, ga.Linear(0.0, 0.3, over=8, by="step")),
                ga.RandomResizedCrop(8),
            ],
            seed=seed,
        )
        self.head = torch.nn.Linear(3 * 64, 2)


def train(mode, rank, world, stop=None, saved=None):
    torch.manual_seed(100 + rank)  # as training scripts do
    sampler = DistributedSampler(IDS, world, rank, shuffle=True, seed=3)
    loader = DataLoader(TensorDataset(IDS), batch_size=6 // world, sampler=sampler)
    model = Model(7 if mode == "ids" else None)
    optimiser = torch.optim.SGD(model.head.parameters(), lr=0.1)
    seen, step, first, skip = [], 0, 0, 0
    if saved is not None:
        model.load_state_dict(saved["model"])
        seen, step, first, skip = saved["seen"], saved["step"], saved["epoch"], saved["done"]
    for epoch in range(first, 3):
        sampler.set_epoch(epoch)
        model.augment.set_epoch(epoch)
        for number, (batch,) in enumerate(loader):
            if number < skip:
                continue
            model.augment.set_step(step)
            out = model.augment(IMAGES[batch], **({"ids": batch} if mode == "ids" else {}))
            loss = model.head(out.flatten(1)).square().mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            seen.append((epoch, batch, out))
            step += 1
            if step == stop:
                done = number + 1
                return {"model": model.state_dict(), "seen": seen, "step": step, "epoch": epoch, "done": done}
        skip = 0
    return {"model": model.state_dict(), "seen": seen}


if __name__ == "__main__":
    part, rank, folder = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    dist.init_process_group("gloo", init_method=f"file://{folder}/{part}", rank=rank, world_size=2)
    for mode in ("ids", "steps"):
        name = f"{folder}/{mode}{rank}"
        if part == "first":
            torch.save(train(mode, rank, 2), name + ".whole")
            torch.save(train(mode, rank, 2, stop=6), name + ".stopped")
        else:
            torch.save(train(mode, rank, 2, saved=torch.load(name + ".stopped")), name + ".resumed")
    dist.destroy_process_group()
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two processes train, and stop in the middle of the second of three epochs; two new ones go on from there."""
    folder = tmp_path_factory.mktemp("training")
    (folder / "train.py").write_text(SCRIPT)
    for part in ("first", "second"):
        run(*((folder / "train.py", part, str(rank), folder) for rank in (0, 1)))
    return folder


def kept(folder: Path, mode: str, how: str) -> list[Any]:
    return [torch.load(folder / f"{mode}{rank}.{how}") for rank in (0, 1)]


@pytest.mark.parametrize("mode", ["ids", "steps"])
def test_two_processes_go_on_where_they_stopped(folder: Path, mode: str) -> None:
    """Images and weights are those of one run, with ids, and with draws by position and step."""
    for whole, stopped, resumed in zip(
        *(kept(folder, mode, how) for how in ("whole", "stopped", "resumed")), strict=True
    ):
        assert len(whole["seen"]) == len(resumed["seen"]) == 12 and len(stopped["seen"]) == 6
        for (epoch, ids, images), (other_epoch, other_ids, others) in zip(whole["seen"], resumed["seen"], strict=True):
            assert epoch == other_epoch and torch.equal(ids, other_ids) and torch.equal(images, others)
        assert all(torch.equal(value, resumed["model"][key]) for key, value in whole["model"].items())
    ranks = kept(folder, mode, "whole")
    assert not torch.equal(ranks[0]["seen"][0][2], ranks[1]["seen"][0][2])


def test_one_process_does_what_two_do(folder: Path) -> None:
    """With ids every sample of an epoch is the same image, in whatever batch and process."""
    space: dict[str, Any] = {"__name__": "training"}
    exec(compile(SCRIPT, "train.py", "exec"), space)

    def by_sample(runs: list[Any]) -> dict[tuple[int, int], torch.Tensor]:
        return {
            (epoch, int(i)): image
            for run in runs
            for epoch, ids, images in run["seen"]
            for i, image in zip(ids, images, strict=True)
        }

    one, two = by_sample([space["train"]("ids", 0, 1)]), by_sample(kept(folder, "ids", "resumed"))
    assert one.keys() == two.keys() and len(one) == 72
    assert all(torch.equal(one[key], two[key]) for key in one)
    assert not torch.equal(one[0, 3], one[1, 3])
