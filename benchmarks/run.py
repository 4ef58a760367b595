"""Time the pipelines against the peers, in turn within one run: `python -m benchmarks.run`.

What only a GPU has is measured by `benchmarks/gpu.sh`.
"""

from __future__ import annotations

import argparse
import json
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks import pipelines, single
from benchmarks.measure import machine, race, write
from gpuaug.data.batch import Batch
from gpuaug.diagnose import count
from gpuaug.render.backend import render
from gpuaug.sampling.generator import TRITON


def in_whole_batches(layer: Any, images: Tensor) -> Tensor:
    """Run the batched definition, which is what a compiler is given, operation by operation."""
    batch = Batch(images)
    return render(images, layer.plan(batch, layer.sample(images).values), walking=False)


def show(title: str, result: dict[str, dict[str, float]], base: str, batch: int) -> None:
    """Print one table."""
    print(f"\n{title}")
    for name, row in result.items():
        if "error" in row:
            print(f"  {name:38s} {row['error']}")
            continue
        ratio = row["median_ms"] / result[base].get("median_ms", float("nan"))
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
    parser.add_argument("--only", choices=(*pipelines.NAMES, *pipelines.POLICIES), action="append")
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
    for name in args.only or (*pipelines.NAMES, *pipelines.POLICIES):
        for images in ((floats * 255).to(torch.uint8), floats):
            rows = {row: build() for row, build in pipelines.contenders(name, images).items()}
            if args.compile and name in ("basic", "classification without blur"):
                rows["gpuaug, compiled"] = torch.compile(pipelines.gpuaug_pipeline(name), fullgraph=True)
                ours = pipelines.gpuaug_pipeline(name)
                rows["gpuaug, whole batches, not compiled"] = lambda x, ours=ours: in_whole_batches(ours, x)
            kind = str(images.dtype).removeprefix("torch.")
            result = race(rows, [images], device, args.rounds)
            show(
                f"{name}, {kind}, {args.batch} x 3 x {args.size} x {args.size}, {device}", result, "gpuaug", args.batch
            )
            report["pipelines"][f"{name}, {kind}"] = result
            write(report, args.out)
    images = (floats * 255).to(torch.uint8)
    strengths = {f"p x {s}": pipelines.gpuaug_pipeline("classification", s) for s in (1.0, 0.5, 0.0)}
    report["cost against p"] = race(strengths, [images], device, args.rounds)
    show("classification, all probabilities scaled", report["cost against p"], "p x 1.0", args.batch)
    if args.single:
        report["single"] = {}
        for number, name in enumerate(single.names()):
            given, builders = single.contenders(number, images)
            result = race({row: build() for row, build in builders.items()}, [given], device, args.rounds)
            report["single"][f"{number + 1}. {name}"] = result
            show(f"{name} alone", result, "gpuaug", args.batch)
    report["counters"] = counters()
    print("\ncounted on meta tensors (16 x 3 x 256 x 256, uint8), which stand for a device: ours on the Triton backend")
    for name, row in report["counters"].items():
        print(f"  {name:38s} {row}")
    write(report, args.out)


def counters() -> dict[str, dict[str, float]]:
    """Count what a device would be asked for."""
    found = {}
    for name in (*pipelines.NAMES, *pipelines.POLICIES):
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
