"""Time the pipelines against the peers, in turn within one run: `python -m benchmarks.run`.

`--only single` times each transform alone. What only a GPU has is measured by `benchmarks/gpu.sh`.
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
    parser.add_argument("--threads", type=int, help="threads of torch; all cores unless given")
    parser.add_argument("--only", choices=(*pipelines.NAMES, *pipelines.POLICIES, "single"), action="append")
    parser.add_argument("--compile", action="store_true", help="also compile ours")
    parser.add_argument("--single", action="store_true", help="also each transform alone; nothing else: --only single")
    parser.add_argument("--transform", action="append", help="of the transforms alone only this one; may be repeated")
    parser.add_argument("--seconds", type=float, default=20.0, help="most that a row of a transform alone takes, about")
    parser.add_argument("--out", type=Path, help="JSON file")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    device = torch.device(args.device)
    torch.manual_seed(0)
    if args.threads:
        torch.set_num_threads(args.threads)
    floats = torch.rand((args.batch, 3, args.size, args.size), device=device)
    report: dict[str, Any] = {"machine": machine(device), "batch": args.batch, "size": args.size, "rounds": args.rounds}
    print(json.dumps(report["machine"]))
    wanted = args.only or (*pipelines.NAMES, *pipelines.POLICIES)
    listed = [name for name in wanted if name != "single"]
    if listed:
        pipelines_of(report, listed, floats, args)
    images = (floats * 255).to(torch.uint8)
    if listed:
        strengths = {f"p x {s}": pipelines.gpuaug_pipeline("classification", s) for s in (1.0, 0.5, 0.0)}
        report["cost against p"] = race(strengths, [images], device, args.rounds)
        show("classification, all probabilities scaled", report["cost against p"], "p x 1.0", args.batch)
    if args.single or "single" in wanted:
        singles_of(report, images, args)
    if listed:
        report["counters"] = counters()
        print("\ncounted on meta tensors (16 x 3 x 256 x 256, uint8), for a device: ours on the Triton backend")
        for name, row in report["counters"].items():
            print(f"  {name:38s} {row}")
    write(report, args.out)


def pipelines_of(report: dict[str, Any], names: list[str], floats: Tensor, args: argparse.Namespace) -> None:
    """Time pipelines into the report."""
    report["pipelines"] = {}
    for name in names:
        for images in ((floats * 255).to(torch.uint8), floats):
            rows = {row: build() for row, build in pipelines.contenders(name, images).items()}
            if args.compile and name in ("basic", "classification without blur"):
                rows["gpuaug, compiled"] = torch.compile(pipelines.gpuaug_pipeline(name), fullgraph=True)
                ours = pipelines.gpuaug_pipeline(name)
                rows["gpuaug, whole batches, not compiled"] = lambda x, ours=ours: in_whole_batches(ours, x)
            kind = str(images.dtype).removeprefix("torch.")
            result = race(rows, [images], floats.device, args.rounds)
            title = f"{name}, {kind}, {args.batch} x 3 x {args.size} x {args.size}, {floats.device}"
            show(title, result, "gpuaug", args.batch)
            report["pipelines"][f"{name}, {kind}"] = result
            write(report, args.out)


def singles_of(report: dict[str, Any], images: Tensor, args: argparse.Namespace) -> None:
    """Time each transform alone into the report, and count what it asks of a device."""
    unknown = set(args.transform or ()) - set(single.names())
    if unknown:
        raise SystemExit(f"--transform must name transforms of tests/cases.py, got {', '.join(sorted(unknown))}")
    report["single"], report["single counts"] = {}, {}
    for number, name in enumerate(single.names()):
        if args.transform and name not in args.transform:
            continue
        given, builders = single.contenders(number, images)
        rows = {row: build() for row, build in builders.items()}
        result = race(rows, [given], images.device, args.rounds, seconds=args.seconds)
        report["single"][f"{number + 1}. {name}"] = result
        report["single counts"][name] = counts_of(number)
        show(f"{name} alone: {report['single counts'][name]}", result, "gpuaug", args.batch)
        write(report, args.out)


def counts_of(number: int) -> dict[str, float]:
    """Count what the Triton backend does with a transform alone; nothing where it reads values, as drawn sizes."""
    images = torch.empty((16, 3, 256, 256), dtype=torch.uint8, device="meta")
    if not TRITON:
        return {}
    try:
        given, builders = single.contenders(number, images)
        layer: Any = builders["gpuaug"]()
        layer.backend = "triton"
        layer(given)
        if isinstance(given, dict):
            found = count(lambda x: layer({**given, "image": x}), given["image"])
        else:
            found = count(layer, given)
    except (NotImplementedError, RuntimeError, ValueError):  # a value that a meta tensor lacks; a refusal of the images
        return {}
    return {"image_sized": found.image_sized, "traffic": round(found.traffic, 2)}


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
