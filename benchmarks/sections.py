"""What is measured, in order of weight, and the process that measures it: `python -m benchmarks.sections NAME`.

A process of its own for each section: what crashes in one, and leaves the device unusable, costs the others nothing.
Its file is written before and after every task, so that whoever waits knows what it died of, and what was done.
"""

from __future__ import annotations

import argparse
import json
import math
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch.utils._pytree import tree_map
from torchvision import models

from benchmarks import pipelines, single
from benchmarks.measure import Row, asked, bytes_of, copier, profile, race, rotation, write

COPY = "copy of as many bytes"
EAGER = ("eager", "captured")
COMPILED = (("compiled",), ("peers compiled",))
"""In tasks of their own: compiling may take longer than all the rest."""


@dataclass(frozen=True)
class Scale:
    """How much is measured: everything on a GPU, next to nothing in a dry run."""

    device: torch.device
    batches: tuple[int, ...] = (256, 32)
    sizes: tuple[int, ...] = (256, 640)
    single: tuple[int, int] = (256, 256)
    model: str = "resnet50"
    training: tuple[int, int, int] = (256, 256, 6)
    """Batch, size of images, steps of a round."""
    rounds: int = 15
    block_ms: float = 4.0
    seconds: float = 0.3
    """About how long a row is timed."""
    compiles: bool = True


def scale_for(device: str, dry: bool) -> Scale:
    """Return what is measured on a device."""
    where = torch.device(device)
    if not dry:
        return Scale(where)
    return Scale(where, (2,), (40,), (1, 160), "mobilenet_v3_small", (2, 48, 1), 1, 0.0, 0.0, compiles=False)


@dataclass(frozen=True)
class Task:
    """One measurement."""

    key: str
    run: Callable[[], Row]


# -- pipelines against peers


def title(name: str, batch: int, size: int, dtype: torch.dtype) -> str:
    """Return the key of a task."""
    return f"{name}, {batch} x 3 x {size} x {size}, {str(dtype).removeprefix('torch.')}"


def figures(
    scale: Scale, name: str, batch: int, size: int, dtype: torch.dtype, ways: tuple[str, ...], out: torch.dtype
) -> Row:
    """Time a pipeline in every library, in turn, beside a copy of as many bytes as it reads and writes."""
    device = scale.device
    if ways in COMPILED:
        torch._dynamo.reset()
    first = pipelines.inputs(name, batch, size, dtype, device)
    sets = [first, *(pipelines.inputs(name, batch, size, dtype, device) for _ in range(rotation(first) - 1))]
    builders = pipelines.contenders(name, first, out, ways)
    if (size, dtype) != (scale.sizes[0], torch.uint8):  # a loop over images costs the same everywhere, and the most
        builders = {row: build for row, build in builders.items() if "image by image" not in row}
    ours = pipelines.contenders(name, first, out)["gpuaug"]()
    moved = bytes_of(first) + bytes_of(ours(first))
    return _timed(scale, builders, sets, moved, batch)


def _timed(scale: Scale, builders: dict[str, Any], sets: list[Any], moved: int, images: int) -> Row:
    device = scale.device
    runs, others = built(builders, device)
    runs = {COPY: copier(moved, device), **runs}
    raced = race(runs, sets, device, scale.rounds, scale.block_ms, scale.seconds)
    rows = {row: others.get(row, {}) | raced.get(row, {}) for row in (*runs, *others)}
    copied = rows[COPY].get("median_ms")
    for row, found in rows.items():
        if found.get("median_ms") is not None:
            found["images_per_s"] = images / found["median_ms"] * 1e3
            found["of_the_copy"] = copied / found["median_ms"] if device.type == "cuda" and copied else None
            try:
                found |= asked(runs[row], sets[0], device)
            except Exception as error:
                found["error after timing"] = failure(error)["error"]
    return {"rows": rows, "moved_mb": moved / 2**20, "input_sets": len(sets)}


def built(builders: dict[str, Any], device: torch.device) -> tuple[dict[str, Any], Row]:
    """Build contenders; return those that run, and rows: errors, what only a GPU can run, what a contender holds."""
    runs: dict[str, Any] = {}
    others: Row = {}
    for row, build in builders.items():
        before = torch.cuda.memory_allocated() if device.type == "cuda" else 0
        if "captured" in row and device.type != "cuda":
            others[row] = {"median_ms": None}
            continue
        try:
            runs[row] = build()
        except Exception as error:
            others[row] = failure(error)
        else:
            held = (torch.cuda.memory_allocated() - before) / 2**20 if device.type == "cuda" else None
            others[row] = {"held_mb": held}
    return runs, others


def failure(error: Exception) -> Row:
    """Return the row of what failed."""
    return {"error": f"{type(error).__name__}: {str(error)[:300]}"}


def counted(scale: Scale, name: str, batch: int, size: int, dtype: torch.dtype, out: torch.dtype) -> Row:
    """Count what each contender launches."""
    given = pipelines.inputs(name, batch, size, dtype, scale.device)
    builders = pipelines.contenders(name, given, out, EAGER)
    runs, rows = built({row: build for row, build in builders.items() if "image by image" not in row}, scale.device)
    for row, run in runs.items():
        try:
            rows[row] |= profile(run, given, scale.device)
        except Exception as error:
            rows[row] = failure(error)
    return {"rows": rows}


def _figures(scale: Scale, combinations: list[tuple[Any, ...]]) -> Iterator[Task]:
    for name, batch, size, dtype, ways in combinations:
        if ways in COMPILED and not scale.compiles:
            continue

        def run(name: str = name, batch: int = batch, size: int = size, dtype: Any = dtype, ways: Any = ways) -> Row:
            return figures(scale, name, batch, size, dtype, ways, torch.bfloat16)

        yield Task(title(name, batch, size, dtype) + (f", {ways[0]}" if ways in COMPILED else ""), run)


def _first(scale: Scale) -> list[tuple[Any, ...]]:
    batch, size = scale.batches[0], scale.sizes[0]
    return [(name, batch, size, torch.uint8, w) for w in (EAGER, *COMPILED) for name in ("basic", "classification")]


def first_figures(scale: Scale) -> Iterator[Task]:
    """Measure what the budgets are about."""
    return _figures(scale, _first(scale))


def all_figures(scale: Scale) -> Iterator[Task]:
    """Measure every pipeline at every size, as far as the time goes; what is compiled comes last."""
    shapes = [(b, s, d) for d in (torch.uint8, torch.float32) for s in scale.sizes for b in scale.batches]
    first = _first(scale)
    every = [(name, *shape, ways) for ways in (EAGER, *COMPILED) for shape in shapes for name in pipelines.listed()]
    return _figures(scale, [combination for combination in every if combination not in first])


def launches(scale: Scale) -> Iterator[Task]:
    """Count the kernels of every pipeline."""
    batch, size = scale.batches[0], scale.sizes[0]
    for name in pipelines.listed():

        def run(name: str = name) -> Row:
            return counted(scale, name, batch, size, torch.uint8, torch.bfloat16)

        yield Task(title(name, batch, size, torch.uint8), run)


# -- each transform alone


def alone(scale: Scale) -> Iterator[Task]:
    """Measure each transform of `tests/cases.py`, recorded too, beside its peers."""
    for number, name in enumerate(single.names()):

        def run(number: int = number) -> Row:
            batch, size = scale.single
            images = pipelines.inputs("", batch, size, torch.uint8, scale.device)
            given, builders = single.contenders(number, images)
            ours = builders["gpuaug"]()
            builders["gpuaug, captured"] = lambda: ours.capture(given)
            sets = [given, *(tree_map(torch.clone, given) for _ in range(rotation(given) - 1))]
            short = replace(scale, rounds=min(scale.rounds, 7), seconds=min(scale.seconds, 0.08))
            return _timed(short, builders, sets, bytes_of(given) + bytes_of(ours(given)), batch)

        yield Task(f"{number + 1}. {name}", run)


# -- end to end


def training(scale: Scale) -> Iterator[Task]:
    """Time steps of a network in bfloat16 and channels_last, with and without the layer before it."""
    dtype = "bfloat16" if scale.device.type == "cuda" else "float32"
    yield Task(f"{scale.model}, {scale.training[0]} images, {dtype}, channels_last", lambda: _training(scale))


def _training(scale: Scale) -> Row:
    device, (batch, size, steps) = scale.device, scale.training
    torch.manual_seed(0)
    torch.backends.cudnn.benchmark = True
    last, half = torch.channels_last, torch.bfloat16 if device.type == "cuda" else torch.float32
    model = models.get_model(scale.model, weights=None).to(device, dtype=half, memory_format=last).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)
    labels = torch.randint(1000, (batch,), device=device)
    sources = [pipelines.inputs("classification", batch, size, torch.uint8, device) for _ in range(3)]

    def layer() -> Any:
        return pipelines.gpuaug_pipeline("classification", dtype=half, memory_format=last)

    ready = layer()(sources[0])
    augments: dict[str, Callable[[], Any]] = {
        "without a layer": lambda: lambda x: ready,
        "gpuaug": layer,
        "gpuaug, captured": lambda: layer().capture(sources[0]),
    }
    kornia = pipelines.contenders("classification", sources[0], half).get("kornia")
    if kornia:
        augments["kornia"] = lambda: _in_format(kornia())

    def training_step(augment: Any) -> Any:
        def step(x: torch.Tensor) -> None:
            optimizer.zero_grad(set_to_none=True)
            loss = torch.nn.functional.cross_entropy(model(augment(x)).float(), labels)
            loss.backward()
            optimizer.step()

        return lambda x: [step(x) for _ in range(steps)]

    layers, rows = built(augments, device)
    timed = race({name: training_step(run) for name, run in layers.items()}, sources, device, min(scale.rounds, 5))
    without = timed["without a layer"].get("median_ms", math.nan)
    for found in timed.values():
        if "median_ms" in found:
            step_ms = found["median_ms"] / steps
            found |= {"step_ms": step_ms, "images_per_s": batch / step_ms * 1e3}
            found["share_of_step"] = 1 - without / found["median_ms"] if device.type == "cuda" else None
    return {"rows": {name: rows[name] | timed.get(name, {}) for name in rows}}


def _in_format(run: Any) -> Any:
    return lambda x: run(x).contiguous(memory_format=torch.channels_last)


SECTIONS: dict[str, Callable[[Scale], Iterator[Task]]] = {
    "first figures": first_figures,
    "training step": training,
    "kernels launched": launches,
    "all figures": all_figures,
    "each transform alone": alone,
}


def work(section: str, scale: Scale, out: Path, until: float, skipped: tuple[str, ...] = ()) -> Row:
    """Do the tasks of a section that are not `skipped`, one after another; begin none after `until` (Unix time)."""
    planned = [task for task in SECTIONS[section](scale) if task.key not in skipped]
    state: Row = {"planned": [task.key for task in planned], "running": None, "tasks": {}}
    for task in planned:
        if time.time() > until:
            break
        state["running"] = task.key
        write(state, out)
        try:
            state["tasks"][task.key] = task.run()
        except Exception as error:
            state["tasks"][task.key] = failure(error)
        write(state, out)
        if scale.device.type == "cuda":
            _free()
        state["running"] = None
    write(state, out)
    return state


def _free() -> None:
    """Give memory back; raise where the device is unusable, so that the process ends with a task that says so."""
    torch.cuda.synchronize()
    torch.cuda.empty_cache()


def main() -> None:
    """Do one section."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("section", choices=list(SECTIONS))
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--dry", action="store_true", help="next to nothing of everything")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--until", type=float, default=math.inf, help="Unix time after which no task begins")
    parser.add_argument("--skip", default="[]", help="JSON list of tasks that are done")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    work(args.section, scale_for(args.device, args.dry), args.out, args.until, tuple(json.loads(args.skip)))


if __name__ == "__main__":
    main()
