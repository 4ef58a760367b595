"""One of two processes of `torchrun` (gloo): DDP, FSDP, an empty batch, offline work, the README's script.

`test_loops.py` starts it and looks at what it writes.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict, set_model_state_dict
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel

import gpuaug as ga
from gpuaug.offline import precompute

IMAGES = torch.rand(12, 3, 8, 11, generator=torch.Generator().manual_seed(5))
STEPS = 4


class Model(nn.Module):
    """The layer in front of a net, as one module."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.augment = ga.Compose(
            [ga.RandomAffine(20, (0.1, 0.1)), ga.RandomHorizontalFlip(), ga.ColorJitter(0.4)], seed=7
        )
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 11, 4))
        self.register_buffer("steps", torch.zeros(1))  # what DDP broadcasts from rank 0 at every step
        self.seen: list[Tensor] = []

    def forward(self, images: Tensor, ids: Tensor | None) -> Tensor:
        images = self.augment(images, ids=ids)
        self.seen.append(images.detach())
        out: Tensor = self.net(images)
        return out


def steps(model: nn.Module, rank: int, world: int, mode: str, first: int = 0, last: int = STEPS) -> None:
    """Train; in mode `empty` rank 1 has nothing in step 1."""
    optimiser = torch.optim.SGD(model.parameters(), lr=0.002)
    for step in range(first, last):
        ids = torch.arange(12).roll(step)[rank::world]
        if mode == "empty" and rank == 1 and step == 1:
            ids = ids[:0]
        out = model(IMAGES[ids], ids if mode == "ids" else None)
        loss = out.square().sum() / (12 / world)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


def distributed(rank: int, folder: Path) -> dict[str, Any]:
    """Run everything; return what the test looks at."""
    found: dict[str, Any] = {}
    for mode in ("ids", "positions", "empty"):
        model = DistributedDataParallel(Model())
        steps(model, rank, 2, mode, last=2)
        middle = {key: value.clone() for key, value in model.state_dict().items()}
        steps(model, rank, 2, mode, first=2)
        found[mode] = {"seen": model.module.seen, "weights": model.module.net[1].weight.detach()}
        if mode == "positions":
            resumed = DistributedDataParallel(Model())
            resumed.load_state_dict(middle)
            steps(resumed, rank, 2, mode, first=2)
            found["resumed"] = {"seen": resumed.module.seen, "weights": resumed.module.net[1].weight.detach()}

    mesh = init_device_mesh("cpu", (2,))

    def sharded() -> Model:
        model = Model()
        for module in (model.net, model):
            whole: Any = fully_shard(module, mesh=mesh)
            whole.set_force_sum_reduction_for_comms(True)  # gloo of torch 2.8 sums where it is asked for averages
        return model

    model = sharded()
    steps(model, rank, 2, "positions", last=2)
    dcp.save({"model": get_model_state_dict(model)}, checkpoint_id=folder / "fsdp")
    steps(model, rank, 2, "positions", first=2)
    other = sharded()
    other.augment.reseed(99)
    state = {"model": get_model_state_dict(other)}
    dcp.load(state, checkpoint_id=folder / "fsdp")
    set_model_state_dict(other, state["model"])
    steps(other, rank, 2, "positions", first=2)
    for name, one in (("fsdp", model), ("fsdp resumed", other)):
        whole = get_model_state_dict(one, options=StateDictOptions(full_state_dict=True, cpu_offload=True))
        found[name] = {"seen": one.seen, "weights": whole.get("net.1.weight")}
    return found


class Stop(Exception):
    """A machine that goes away."""


def offline(folder: Path) -> list[int]:
    """Predict the data set, stopped in the middle, and go on; return how much each call has done."""
    data = list(zip(IMAGES, range(12), strict=True))
    augment = ga.Compose([ga.RandomAffine(20), ga.ColorJitter(0.4)], seed=3)
    tta = ga.TTA(lambda x: torch.stack((x[..., :5].mean((1, 2, 3)), x.amax((1, 2, 3))), 1), "hflip")
    calls = []

    def work(batch: Any, ids: Tensor) -> Any:
        if len(calls) == 1:
            raise Stop
        calls.append(ids)
        return {"label": tta(batch[0]), "view": augment(batch[0], ids=ids), "id": ids}

    done = []
    for _ in range(2):
        try:
            done.append(precompute(work, data, folder, batch_size=2))
        except Stop:
            done.append(len(calls))
            calls = [None, None]  # type: ignore[list-item]
    return done


def readme() -> dict[str, Any]:
    """Run the README's script for `torchrun` as it is printed; return what it has made of the last batch."""
    text = (Path(__file__).parent.parent / "README.md").read_text()
    (code,) = re.findall(r"```python torchrun\n(.*?)```", text, re.DOTALL)
    space: dict[str, Any] = {}
    exec(compile(code, "README.md", "exec"), space)
    weights = torch.cat([p.detach().flatten() for p in space["model"].parameters()])
    return {key: space[key].detach() for key in ("ids", "batch", "shown")} | {"weights": weights}


if __name__ == "__main__":
    torch.set_num_threads(1)
    where = Path(sys.argv[1])
    results: dict[str, Any] = {key: os.environ[key] for key in ("TORCHELASTIC_RUN_ID", "LOCAL_RANK", "WORLD_SIZE")}
    results["readme"] = readme()  # which starts and ends its process group
    number = int(os.environ.pop("RANK"))  # from here on torch.distributed alone says it
    os.environ.pop("WORLD_SIZE")
    # A second group of one process needs a store of its own: torchrun's keeps the addresses of the first.
    dist.init_process_group("gloo", init_method=f"file://{where}/store", rank=number, world_size=2)
    results |= distributed(number, where)
    results["offline"] = offline(where / "offline")
    layer = ga.Compose([ga.RandomRotation(30), ga.ColorJitter(0.4)], seed=0)
    drawn = [layer(IMAGES[:3], return_params=True)[1] for _ in range(2)]
    results["angles"] = [params["RandomRotation"].angle for params in drawn]
    torch.save(results, where / f"found{number}.pt")
    dist.barrier()
    dist.destroy_process_group()
