"""Lightning and Accelerate, in a process of their own: `test_loops.py` runs it and looks at the file."""

from __future__ import annotations

import logging
import sys
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import gpuaug as ga

IMAGES = (torch.rand(12, 3, 8, 11, generator=torch.Generator().manual_seed(5)) * 255).to(torch.uint8)
LABELS = torch.arange(12) % 4
DATA = TensorDataset(IMAGES, LABELS)


def recipe() -> ga.Compose:
    """Build a pipeline without a seed: torch.manual_seed governs it."""
    return ga.Compose([ga.RandomAffine(20), ga.RandomHorizontalFlip(), ga.Normalize((0.5,) * 3, (0.25,) * 3)])


def lightning(folder: Path) -> dict[str, Any]:
    """Train two epochs with validation; and one, and from its checkpoint the second."""
    import lightning as L

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)

    class Module(L.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.augment = recipe()
            self.net = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 11, 4))
            self.seen: dict[str, list[Tensor]] = {"train": [], "val": []}

        def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
            images, labels = batch
            return self.augment(images), labels  # in validation the layer is in eval() mode

        def training_step(self, batch: Any, index: int) -> Tensor:
            self.seen["train"].append(batch[0])
            return nn.functional.cross_entropy(self.net(batch[0]), batch[1])

        def validation_step(self, batch: Any, index: int) -> None:
            self.seen["val"].append(batch[0])

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.net.parameters(), lr=0.1)

    def fit(epochs: int, resume: Path | None = None) -> tuple[L.Trainer, Module]:
        torch.manual_seed(0 if resume is None else 5)  # the seed of the layer comes with the checkpoint
        module = Module()
        trainer = L.Trainer(
            max_epochs=epochs,
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=1,
            default_root_dir=folder,
        )
        loader = DataLoader(DATA, batch_size=6)
        trainer.fit(module, loader, loader, ckpt_path=resume)
        return trainer, module

    _, whole = fit(2)
    trainer, _ = fit(1)
    trainer.save_checkpoint(folder / "one.ckpt")
    _, rest = fit(2, folder / "one.ckpt")
    return {"whole": whole.seen, "rest": rest.seen, "weights": [m.net[1].weight.detach() for m in (whole, rest)]}


def accelerate(folder: Path) -> dict[str, Any]:
    """Train three steps; and one, a checkpoint, and from it the other two."""
    from accelerate import Accelerator

    def train(steps: int, save: bool = False, load: bool = False) -> dict[str, Any]:
        torch.manual_seed(0)
        accelerator = Accelerator(cpu=True)
        augment = recipe()
        net: Any = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 11, 4))
        optimiser = torch.optim.SGD(net.parameters(), lr=0.1)
        net, optimiser, loader = accelerator.prepare(net, optimiser, DataLoader(DATA, batch_size=4))
        accelerator.register_for_checkpointing(augment)
        first = 0
        if load:
            torch.manual_seed(5)
            augment.reseed(9)
            accelerator.load_state(folder / "accelerate")
            first = 1
        seen = []
        for number, (images, labels) in enumerate(loader):
            if not first <= number < steps:
                continue
            shown = augment(images)
            seen.append(shown)
            accelerator.backward(nn.functional.cross_entropy(net(shown), labels))
            optimiser.step()
            optimiser.zero_grad()
        if save:
            accelerator.save_state(folder / "accelerate")
        return {"seen": seen, "weights": net[1].weight.detach()}

    whole = train(3)
    train(1, save=True)
    return {"whole": whole, "rest": train(3, load=True)}


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # of the libraries, about the number of workers
    torch.set_num_threads(1)
    where = Path(sys.argv[1])
    torch.save({"lightning": lightning(where), "accelerate": accelerate(where)}, where / "libraries.pt")
