"""The demo: a small net on 8x8 digits, trained without and with augmentation."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, RandomSampler, TensorDataset

import gpuaug as ga
from gpuaug.viz import contact_sheet, save_png

MEAN, STD = (0.5,), (0.5,)
BATCH_SIZE = 64
_WARMUP = 10  # steps that the clock does not count


@dataclass(frozen=True)
class Digits:
    """A split of the digits: uint8 images (N, 1, 16, 16) and their classes (N,)."""

    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor


@dataclass(frozen=True)
class Result:
    """What one training run gave."""

    accuracy: float
    """Share of the held-out images that are classified correctly, in [0, 1]."""
    images_per_second: float
    """Training images per second, loader included."""
    augment_share: float
    """Share of the step (upload, augment, forward, backward, update) spent augmenting, in [0, 1]."""


def load_digits(images: int, seed: int) -> Digits:
    """Load scikit-learn's 1797 digits and split them at random.

    Args:
        images: number of training images; all others are held out.
        seed: seed of the split.
    """
    from sklearn import datasets

    bunch = datasets.load_digits()
    labels = torch.as_tensor(bunch.target, dtype=torch.int64)
    if not 1 <= images < len(labels):
        raise ValueError(f"load_digits: images must be in [1, {len(labels) - 1}], got {images}")
    gray = torch.as_tensor(bunch.images, dtype=torch.float32)[:, None] * (255 / 16)
    pixels = F.interpolate(gray, size=(16, 16), mode="bilinear", align_corners=False).round().to(torch.uint8)
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    train, test = order[:images], order[images:]
    return Digits(pixels[train], labels[train], pixels[test], labels[test])


def recipe(seed: int) -> nn.Module:
    """Build the augmentation of the demo; in eval mode it only normalizes."""
    return ga.Compose(
        [
            ga.RandomAffine(degrees=15, translate=(0.1, 0.1), scale=(0.85, 1.15), shear=10),
            ga.ColorJitter(brightness=0.3, contrast=0.3),
            ga.RandomErasing(p=0.25, scale=(0.02, 0.1)),
            ga.Normalize(MEAN, STD),
        ],
        seed=seed,
    )


def train(
    digits: Digits,
    augment: Callable[[Tensor], Tensor],
    prepare: Callable[[Tensor], Tensor],
    *,
    steps: int,
    seed: int,
    device: torch.device | str = "cpu",
    label: str = "",
) -> Result:
    """Train the net with ``augment`` between the loader and the model, then score it on the held-out images.

    Two calls with the same ``digits``, ``steps`` and ``seed`` start from the same weights and see the same
    images in the same order: only ``augment`` differs.

    Args:
        digits: the split to train and score on.
        augment: what a training batch goes through: uint8 (B, 1, H, W) on ``device`` to normalized float.
        prepare: what a held-out batch goes through.
        steps: number of optimizer steps.
        seed: seed of the initial weights and of the order of the images.
        device: where to train.
        label: name of the progress bar; without one there is no bar.
    """
    device = torch.device(device)
    model = _net(seed).to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps)
    warmup = min(_WARMUP, steps - 1)
    clock = _Clock(device)
    bar = _Bar(label, steps) if label else None

    for step, (images, labels) in enumerate(_loader(digits, steps, seed)):
        if step == warmup:
            clock.start()
        clock.mark()
        images, labels = images.to(device, non_blocking=True), labels.to(device, non_blocking=True)
        clock.mark()
        inputs = augment(images)
        clock.mark()
        loss = F.cross_entropy(model(inputs), labels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
        clock.mark()
        if bar is not None:
            bar.update(step + 1)

    seconds, laps = clock.stop(per_step=4)
    if bar is not None:
        bar.close()
    step_seconds = sum(d - a for a, _, _, d in laps)
    augment_seconds = sum(c - b for _, b, c, _ in laps)
    return Result(
        accuracy=_accuracy(model, digits, prepare, device),
        images_per_second=(steps - warmup) * BATCH_SIZE / seconds,
        augment_share=augment_seconds / step_seconds,
    )


def run(
    seeds: Sequence[int] = (0,),
    *,
    steps: int = 400,
    images: int = 200,
    out: Path | str = "gpuaug-demo.png",
    device: str = "auto",
) -> list[tuple[Result, Result]]:
    """Train without and with augmentation once per seed, print the comparison, write the contact sheet.

    Args:
        seeds: the seeds to repeat over.
        steps: training steps of each run.
        images: number of training images.
        out: path of the contact sheet, a PNG.
        device: a torch device, or "auto" for CUDA when there is one.

    Returns:
        Per seed, the result without and the result with augmentation.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    splits = [load_digits(images, seed) for seed in seeds]
    held_out = len(splits[0].test_labels)
    print(f"digits 16x16, {images} to train on, {held_out} held out, {steps} steps of {BATCH_SIZE}, {device}")

    results = []
    for seed, digits in zip(seeds, splits, strict=True):
        prepare = recipe(seed).to(device).eval()
        pair = []
        for name, layer in (("without", prepare), ("with", recipe(seed).to(device))):
            label = f"{name} augmentation, seed {seed}"
            pair.append(train(digits, layer, prepare, steps=steps, seed=seed, device=device, label=label))
        results.append((pair[0], pair[1]))

    _print_table(seeds, results)
    save_png(_samples(splits[0], recipe(seeds[0]), columns=10, rows=8), out)
    print(f"\nTop row: ten training digits. Below: seven augmentations of each.\n{Path(out).resolve()}")
    return results


def _samples(digits: Digits, augment: nn.Module, columns: int, rows: int) -> Tensor:
    """Draw a sheet whose top row is untouched and whose other rows are augmentations of it."""
    first = torch.stack([(digits.train_labels == k).to(torch.int8).argmax() for k in range(columns)])
    originals = digits.train_images[first]
    augmented: Tensor = augment.train()(originals.repeat(rows - 1, 1, 1, 1))
    untouched: Tensor = augment.eval()(originals)
    return contact_sheet(torch.cat([untouched, augmented]), columns=columns, scale=4, mean=MEAN, std=STD)


def _print_table(seeds: Sequence[int], results: Sequence[tuple[Result, Result]]) -> None:
    print(f"\n{'':22}{'held-out accuracy':>18}{'images/s':>11}{'share of the step spent augmenting':>37}")

    def line(name: str, runs: Sequence[Result]) -> None:
        accuracy, speed, share = (
            sum(getattr(r, field) for r in runs) / len(runs)
            for field in ("accuracy", "images_per_second", "augment_share")
        )
        print(f"{name:22}{100 * accuracy:16.2f} %{speed:11,.0f}{100 * share:35.0f} %")

    if len(seeds) > 1:
        for seed, (without, with_) in zip(seeds, results, strict=True):
            line(f"seed {seed} without", [without])
            line(f"seed {seed} with", [with_])
        print(f"mean of {len(seeds)} seeds")
    line("without augmentation", [without for without, _ in results])
    line("with augmentation", [with_ for _, with_ in results])


def _net(seed: int) -> nn.Module:
    """Four 3x3 convolutions, whose initial weights depend on the seed alone."""

    def block(channels_in: int, channels_out: int) -> list[nn.Module]:
        convolution = nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False)
        return [convolution, nn.BatchNorm2d(channels_out), nn.ReLU()]

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(
            *block(1, 16),
            *block(16, 32),
            nn.MaxPool2d(2),
            *block(32, 32),
            nn.MaxPool2d(2),
            *block(32, 64),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(64, 10),
        )


def _loader(digits: Digits, steps: int, seed: int) -> DataLoader[tuple[Tensor, ...]]:
    dataset = TensorDataset(digits.train_images, digits.train_labels)
    generator = torch.Generator().manual_seed(seed)
    sampler = RandomSampler(dataset, replacement=True, num_samples=steps * BATCH_SIZE, generator=generator)
    return DataLoader(dataset, batch_size=BATCH_SIZE, sampler=sampler)


@torch.no_grad()
def _accuracy(model: nn.Module, digits: Digits, prepare: Callable[[Tensor], Tensor], device: torch.device) -> float:
    model.eval()
    correct = 0
    for images, labels in zip(digits.test_images.split(256), digits.test_labels.split(256), strict=True):
        predicted = model(prepare(images.to(device))).argmax(dim=1)
        correct += int((predicted == labels.to(device)).sum())
    return correct / len(digits.test_labels)


class _Clock:
    """Times the parts of a step: by CUDA events, so as not to wait for the device, or by the wall clock."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._events: list[torch.cuda.Event] = []
        self._moments: list[float] = []
        self._begin = time.perf_counter()

    def start(self) -> None:
        """Forget all that was timed so far."""
        self._synchronize()
        self._events.clear()
        self._moments.clear()
        self._begin = time.perf_counter()

    def mark(self) -> None:
        """Note the present moment."""
        if self._device.type == "cuda":
            event = torch.cuda.Event(enable_timing=True)
            event.record(torch.cuda.current_stream(self._device))
            self._events.append(event)
        else:
            self._moments.append(time.perf_counter())

    def stop(self, per_step: int) -> tuple[float, list[list[float]]]:
        """Return the seconds since the start, and per step the moments of its marks in seconds."""
        self._synchronize()
        total = time.perf_counter() - self._begin
        moments = self._moments + [self._events[0].elapsed_time(event) / 1e3 for event in self._events]
        return total, [moments[i : i + per_step] for i in range(0, len(moments), per_step)]

    def _synchronize(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)


class _Bar:
    """A progress bar on stderr; where that is no terminal, one closing line."""

    def __init__(self, label: str, total: int) -> None:
        self._label, self._total = label, total
        self._live = sys.stderr.isatty()
        self._begin = time.perf_counter()
        self._shown = -1

    def update(self, done: int) -> None:
        """Show that ``done`` steps are done."""
        filled = 30 * done // self._total
        if self._live and filled != self._shown:
            self._shown = filled
            print(f"\r{self._label:34}[{'#' * filled:30}]", end="", file=sys.stderr, flush=True)

    def close(self) -> None:
        """Replace the bar by a line that says how long it took."""
        seconds = time.perf_counter() - self._begin
        line = f"{self._label}: {self._total} steps in {seconds:.1f} s"
        print(f"\r{line:66}" if self._live else line, file=sys.stderr, flush=True)
