"""Time the pipelines against the peers, in turn within one run: `python -m benchmarks.run`."""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import time
import warnings
from collections.abc import Callable
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks import pipelines
from gpuaug.data.batch import Batch
from gpuaug.diagnose import count
from gpuaug.render.backend import render
from gpuaug.sampling.generator import TRITON


def machine(device: torch.device) -> dict[str, Any]:
    """Describe where and with what this was measured."""
    versions = {}
    for package in ("torch", "torchvision", "kornia", "albumentations", "triton", "numpy"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = None
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()
    changed = subprocess.run(["git", "status", "--porcelain", "gpuaug"], capture_output=True, text=True, check=False)
    return {
        "date": date.today().isoformat(),
        "commit": commit + ("-changed" if changed.stdout.strip() else ""),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else _processor(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "versions": versions,
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def timed(run: Callable[[Tensor], Any], images: Tensor) -> float:
    """Return milliseconds of one call."""
    if images.device.type == "cuda":
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        torch.cuda.synchronize()
        start.record()
        run(images)
        end.record()
        torch.cuda.synchronize()
        return float(start.elapsed_time(end))
    begin = time.perf_counter()
    run(images)
    return (time.perf_counter() - begin) * 1e3


def race(rows: dict[str, Callable[[Tensor], Any]], images: Tensor, rounds: int) -> dict[str, dict[str, float]]:
    """Time every row once per round, in turn, so that a slow minute of the machine falls on all."""
    times: dict[str, list[float]] = {name: [] for name in rows}
    for number in range(rounds + 2):
        for name, run in rows.items():
            spent = timed(run, images)
            if number >= 2:
                times[name].append(spent)
    return {name: {"median_ms": statistics.median(t), "min_ms": min(t), "max_ms": max(t)} for name, t in times.items()}


def in_whole_batches(layer: Any, images: Tensor) -> Tensor:
    """Run the batched definition, which is what a compiler is given, operation by operation."""
    batch = Batch(images)
    return render(images, layer.plan(batch, layer.sample(images).values), walking=False)


def on_a_gpu(name: str, images: Tensor) -> dict[str, Callable[[Tensor], Any]]:
    """Return the rows that only a GPU has: the bytes alone, one captured graph, and the torch backend."""
    ours = pipelines.gpuaug_pipeline(name)
    out = ours(images)
    moved = images.numel() * images.element_size() + out.numel() * out.element_size()
    source = torch.empty(moved // 2, dtype=torch.uint8, device=images.device)  # a copy reads and writes it
    into = torch.empty_like(source)
    plain: Any = pipelines.gpuaug_pipeline(name)
    plain.backend = "torch"
    return {
        "copy of as many bytes": lambda x: into.copy_(source),
        "gpuaug, captured": pipelines.gpuaug_pipeline(name).capture(images),
        "gpuaug, torch backend": plain,
    }


def show(title: str, result: dict[str, dict[str, float]], base: str, batch: int) -> None:
    """Print one table."""
    print(f"\n{title}")
    for name, row in result.items():
        ratio = row["median_ms"] / result[base]["median_ms"]
        print(
            f"  {name:38s} {row['median_ms']:9.2f} ms ({row['min_ms']:.2f} to {row['max_ms']:.2f})"
            f"  {batch / row['median_ms'] * 1e3:9.0f} images/s   time / {base}'s: {ratio:5.2f}"
        )


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--only", choices=pipelines.NAMES, action="append")
    parser.add_argument("--compile", action="store_true", help="also compile ours")
    parser.add_argument("--single", action="store_true", help="also each transform alone")
    parser.add_argument("--out", type=Path, help="JSON file")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    device = torch.device(args.device)
    torch.manual_seed(0)
    floats = torch.rand((args.batch, 3, args.size, args.size), device=device)
    report: dict[str, Any] = {"machine": machine(device), "batch": args.batch, "size": args.size, "pipelines": {}}
    print(json.dumps(report["machine"]))
    for name in args.only or pipelines.NAMES:
        for images in ((floats * 255).to(torch.uint8), floats):
            rows = pipelines.contenders(name, images)
            if device.type == "cuda":
                rows |= on_a_gpu(name, images)
            if args.compile and name in ("basic", "classification without blur"):
                rows["gpuaug, compiled"] = torch.compile(pipelines.gpuaug_pipeline(name), fullgraph=True)
                ours = pipelines.gpuaug_pipeline(name)
                rows["gpuaug, whole batches, not compiled"] = lambda x, ours=ours: in_whole_batches(ours, x)
            kind = str(images.dtype).removeprefix("torch.")
            result = race(rows, images, args.rounds)
            show(
                f"{name}, {kind}, {args.batch} x 3 x {args.size} x {args.size}, {device}", result, "gpuaug", args.batch
            )
            report["pipelines"][f"{name}, {kind}"] = result
            write(report, args.out)
    images = (floats * 255).to(torch.uint8)
    strengths = {f"p x {s}": pipelines.gpuaug_pipeline("classification", s) for s in (1.0, 0.5, 0.0)}
    report["cost against p"] = race(strengths, images, args.rounds)
    show("classification, all probabilities scaled", report["cost against p"], "p x 1.0", args.batch)
    if args.single:
        report["single"] = race(pipelines.single_transforms(), images, args.rounds)
        show("each transform alone", report["single"], "RandomHorizontalFlip", args.batch)
    report["counters"] = counters()
    print("\ncounted on meta tensors (16 x 3 x 256 x 256, uint8), which stand for a device: ours on the Triton backend")
    for name, row in report["counters"].items():
        print(f"  {name:38s} {row}")
    write(report, args.out)


def write(report: dict[str, Any], out: Path | None) -> None:
    """Write what is there so far, so that a run cut short is not lost."""
    if out:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(report, indent=1) + "\n")


def counters() -> dict[str, dict[str, float]]:
    """Count what a device would be asked for."""
    found = {}
    for name in pipelines.NAMES:
        layer: Any = pipelines.gpuaug_pipeline(name)
        layer.backend = "triton" if TRITON else "torch"
        images = torch.empty((16, 3, 256, 256), dtype=torch.uint8, device="meta")
        layer(images)
        c = count(layer, images)
        found[name] = {
            "operations": c.operations,
            "image_sized": c.image_sized,
            "host_operations": c.host_operations,
            "synchronising": c.synchronising,
            "host_to_device": c.host_to_device,
            "traffic": round(c.traffic, 2),
            "peak": round(c.peak, 2),
        }
    return found


if __name__ == "__main__":
    main()
