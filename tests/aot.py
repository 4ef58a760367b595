"""Compile the kernels of pipelines for GPUs that are not there: `python -m aot 80 90`, in a process of its own.

Pipelines are planned and launched as on a device, on tensors of the CPU; a driver that only names its target stands for
the device, and launches end when the kernel is compiled. Prints one line of JSON for each kernel.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
import triton
from torch import Tensor
from triton.backends.compiler import GPUTarget
from triton.runtime import driver

import gpuaug as ga
from gpuaug.data.batch import Batch
from gpuaug.functional._axes import by_kernel
from gpuaug.render import lowering, lowering_pick
from gpuaug.render.plan import Choice
from gpuaug.render.settings import Reading
from gpuaug.sampling import kernels as sampling
from gpuaug.transforms.base import Filter
from gpuaug.transforms.color import choice

HALVES = {"dtype": torch.bfloat16, "memory_format": torch.channels_last}
NORMALIZE = ga.Normalize(ga.IMAGENET_MEAN, ga.IMAGENET_STD, **HALVES)  # type: ignore[arg-type]
CROP = [ga.RandomResizedCrop(64), ga.RandomHorizontalFlip()]
JITTER = [ga.RandomApply([ga.ColorJitter(0.4, 0.4, 0.4, 0.1)], p=0.8), ga.RandomGrayscale(0.2)]
PIPELINES: dict[str, list[Any]] = {
    "basic": [*CROP, NORMALIZE],
    "classification": [
        *CROP,
        *JITTER,
        ga.RandomApply([ga.GaussianBlur(23, (0.1, 2.0))], p=0.5),
        NORMALIZE,
        ga.RandomErasing(p=0.25),
    ],
    "geometry": [
        ga.RandomRotation(15),
        ga.RandomAffine(10, (0.1, 0.1), (0.9, 1.1)),
        ga.RandomPerspective(0.5),
        NORMALIZE,
    ],
    "detection": [
        ga.LetterBox((64, 64), fill=114),
        ga.RandomAffine(5, (0.1, 0.1), (0.5, 1.5)),
        ga.RandomHorizontalFlip(),
        ga.HueSaturationValue(),
    ],
    "mixup": [*CROP, ga.MixUp(), ga.CutMix(), NORMALIZE],
    "mosaic": [ga.Mosaic(p=1.0), ga.RandomAffine(10, (0.1, 0.1), (0.5, 1.5)), ga.CenterCrop(64), NORMALIZE],
    "elastic": [ga.ElasticTransform(), ga.RandomEqualize(), ga.RandomAutocontrast(), ga.RandomAdjustSharpness(2.0)],
}


STANDARD = tuple(PIPELINES)
"""Those that are compiled for every GPU; what follows, for the newest."""


class Motion(Filter):
    """A kernel given for each sample."""

    def choice(self, values: Any, plan: Any, context: Any) -> Choice:
        return choice(ga.functional.filter2d, torch.zeros((context.like.shape[0], 31, 31)))


COLOURS = {"channels": (3, 2, 1)}
PIPELINES["bands"] = [
    *CROP,
    ga.ColorJitter(0.4, 0.4, 0.4, 0.1, **COLOURS),  # type: ignore[arg-type]
    ga.RandomAutocontrast(),
    ga.GaussianBlur(9),
    ga.RandomRotation(10),
    ga.Normalize([0.5] * 6, [0.2] * 6, **HALVES),  # type: ignore[arg-type]
]
PIPELINES["tints"] = [
    ga.RandomResizedCrop(64),
    ga.FancyPCA(),
    ga.CLAHE(),
    ga.HEStain(),
    ga.RandomHSV(),
    ga.RandomToneCurve(per_channel=True),
    NORMALIZE,
]
PIPELINES["codec"] = [*CROP, ga.JPEG((30, 90), p=0.5), ga.JPEG(50, "4:4:4"), NORMALIZE]
PIPELINES["sensor"] = [*CROP, ga.SaltAndPepper(p=1.0), ga.ShotNoise(p=1.0), ga.ISONoise(p=1.0), NORMALIZE]
PIPELINES["weather"] = [
    *CROP,
    ga.Illumination(p=1.0),
    ga.RandomShadow(p=1.0),
    ga.RandomRain(p=1.0),
    ga.RandomSnow(method="texture", p=1.0),
    ga.RandomSunFlare(p=1.0),
    NORMALIZE,
]
PIPELINES["sun"] = [*CROP, ga.RandomFog(p=1.0), ga.RandomSunFlare(method="physics_based", p=1.0), NORMALIZE]
PIPELINES["motion"] = [*CROP, *JITTER[:1], Motion(), NORMALIZE]
PIPELINES["lens"] = [
    *CROP,
    ga.MedianBlur(p=1.0),
    ga.UnsharpMask(p=1.0),
    ga.ZoomBlur(p=1.0),
    ga.GlassBlur(p=1.0),
    ga.ChromaticAberration(p=1.0),
    ga.Downscale(interpolation_pair={"downscale": "area", "upscale": "bilinear"}, p=1.0),
]


class Driver:
    """Names a target."""

    def __init__(self, capability: int) -> None:
        self.capability = capability

    def get_current_target(self) -> GPUTarget:
        return GPUTarget("cuda", self.capability, 32)

    def get_current_device(self) -> int:
        return self.capability

    def get_current_stream(self, device: int) -> int:
        return 0

    def get_active_torch_device(self) -> torch.device:
        return torch.device("cpu")


def usage(kernel: Any) -> dict[str, int]:
    """Return registers and bytes of local memory (the stack, where spills go), read from the compiled object."""
    folder = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"
    with tempfile.TemporaryDirectory() as place:
        cubin = Path(place) / "kernel.cubin"
        if (folder / "cuobjdump").exists():
            cubin.write_bytes(kernel.asm["cubin"])
            command = [folder / "cuobjdump", "-res-usage", cubin]
            found = subprocess.run(command, capture_output=True, text=True, check=True)
            numbers = re.search(r"REG:(\d+) STACK:(\d+).* LOCAL:(\d+)", found.stdout)
            assert numbers, found.stdout
            return {"registers": int(numbers[1]), "local": int(numbers[2]) + int(numbers[3])}
        source = cubin.with_suffix(".ptx")
        source.write_text(kernel.asm["ptx"])
        command = [folder / "ptxas", "-v", f"-arch=sm_{kernel.metadata.target.arch}", source, "-o", cubin]
        found = subprocess.run(command, capture_output=True, text=True, check=True)
        registers = re.search(r"Used (\d+) registers", found.stderr)
        spills = re.search(r"(\d+) bytes stack frame, (\d+) bytes spill stores", found.stderr)
        assert registers and spills, found.stderr
        return {"registers": int(registers[1]), "local": int(spills[1]) + int(spills[2])}


def main(capabilities: list[int]) -> None:
    launch = triton.JITFunction.run
    done: list[tuple[str, Any]] = []

    def compile_only(self: Any, *args: Any, grid: Any, warmup: bool, **options: Any) -> Any:
        kernel = launch(self, *args, grid=grid, warmup=True, **options)
        done.append((self.__name__, kernel))
        return kernel

    triton.JITFunction.run = compile_only
    for capability in capabilities:
        driver.set_active(Driver(capability))
        newest = capability == max(capabilities) >= 90
        for name in PIPELINES if newest else STANDARD:
            done.clear()
            compiled(name, ga.Compose(PIPELINES[name], seed=0), newest)
            for kernel, result in done:
                print(json.dumps({"pipeline": name, "sm": capability, "kernel": kernel, **usage(result)}), flush=True)


def compiled(name: str, layer: Any, newest: bool) -> None:
    """Launch what a pipeline launches; on the newest GPU also from rows of a batch and of a flat buffer."""
    channels = 6 if name == "bands" else 3
    x = torch.zeros((2, channels, 72, 80), dtype=torch.uint8)
    values = layer.sample(x).values
    plan = layer.plan(Batch(x), values)
    out: Tensor = lowering.run(x, plan, plan.finish())
    assert out.shape[:2] == (2, channels)
    if name == "basic":
        state, zero = torch.zeros(2, dtype=torch.int64), torch.zeros(1, dtype=torch.int64)
        sampling.draw_uniform(state, zero.expand(2), zero, zero, zero)
        sampling.draw_noise(zero, 3, 4, 5, True)
        u = torch.zeros(4, 2)
        sampling.draw_beta(u, u[0], u[0], 641, 1 / 32, 10.0, 2.0**-25)
    if name == "tints":
        by_kernel(torch.zeros(2, 3, 3))
    masks = torch.zeros((2, 1, 72, 80), dtype=torch.int64)
    if name in ("basic", "geometry"):
        passes = layer.plan(Batch(masks), values, Reading("nearest", False, (255.0,))).finish()
        lowering_pick.run_pick(masks, passes, 255, (72, 80))
    if newest and name in ("basic", "classification", "geometry"):  # rows by an index, of a batch and a flat buffer
        rows = torch.zeros(2, dtype=torch.int64)
        flat = ga.Ragged.pack([*x])
        sources = [(x, Batch(x)), (flat.flat, Batch(flat))]
        for source, batch in sources[name == "classification" :]:
            plan = layer.plan(batch, values if source is x else layer.sample(flat).values)
            passes = plan.finish()
            passes[0].index = rows
            lowering.run(source, plan, passes)
        if name == "geometry":
            drawn, flat = layer.sample(flat).values, ga.Ragged.pack([*masks])
            passes = layer.plan(Batch(flat), drawn, Reading("nearest", False)).finish()
            passes[0].index = rows
            lowering_pick.run_pick(flat.flat, passes, 255, flat.canvas)


if __name__ == "__main__":
    os.environ.pop("TRITON_INTERPRET", None)
    main([int(c) for c in sys.argv[1:]])
