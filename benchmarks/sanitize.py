"""Launch every kernel once or more, on small images: what a memory checker is run on.

`compute-sanitizer --tool memcheck python -m benchmarks.sanitize`. Every tensor is an allocation of its own, so that a
read beside one is found.
"""

from __future__ import annotations

import argparse
import os
import sys
from importlib import import_module
from typing import Any

if __name__ == "__main__":
    os.environ["PYTORCH_NO_CUDA_MEMORY_CACHING"] = "1"  # before torch is imported

import torch

import gpuaug as ga
from gpuaug.render.launch import interpreting
from gpuaug.sampling import kernels as sampling
from gpuaug.testing import example

MODULES = [f"gpuaug.render.kernels.{name}" for name in ("passes", "filter", "pick", "meet")] + [
    "gpuaug.sampling.kernels"
]


class Watched:
    """A kernel that notes that it was launched."""

    def __init__(self, name: str, kernel: Any, launched: set[str]) -> None:
        self.name, self.kernel, self.launched = name, kernel, launched

    def __getitem__(self, grid: Any) -> Any:
        self.launched.add(self.name)
        return self.kernel[grid]


def watch(launched: set[str]) -> dict[str, tuple[Any, Any]]:
    """Let kernels note their launches; return what stands where, by name."""
    interpreting()  # looks at a kernel itself, once
    found = {}
    for path in MODULES:
        module = import_module(path)
        for name in [name for name in vars(module) if name.endswith("_kernel")]:
            found[name] = (module, getattr(module, name))
            setattr(module, name, Watched(name, getattr(module, name), launched))
    return found


def pipelines() -> list[ga.Compose]:
    """Return what launches every kernel: all heads, a long program, statistics, filters, noise."""
    normalize = ga.Normalize(ga.IMAGENET_MEAN, ga.IMAGENET_STD, dtype=torch.bfloat16)
    steps: list[list[Any]] = [
        [ga.RandomResizedCrop((29, 37)), ga.RandomHorizontalFlip(), ga.ColorJitter(0.4, 0.4, 0.4, 0.1), normalize],
        [ga.RandomRotation(30), ga.GaussianBlur(9, (0.1, 2.0)), ga.RandomErasing(p=1.0, value="random")],
        [ga.RandomPerspective(p=1.0), ga.RandomEqualize(p=1.0), ga.RandomAutocontrast(p=1.0)],
        [ga.ElasticTransform(20.0, 3.0), ga.RandomAdjustSharpness(2.0, p=1.0), ga.GaussianNoise()],
        [ga.Resize((17, 90)), ga.RandomCrop((13, 70), padding=3)],
        [ga.MixUp(p=1.0), ga.Mosaic(p=1.0)],
    ]
    return [ga.Compose(s, seed=0, backend="triton", keypoint_params=ga.KeypointParams(flip_pairs=())) for s in steps]


def main(device: str = "cuda") -> set[str]:
    """Launch, and return the kernels that were not."""
    launched: set[str] = set()
    known = watch(launched)
    few = device != "cuda"  # the interpreter takes its time
    try:
        for dtype in (torch.uint8, torch.float32)[: 1 if few else 2]:
            images = example(1 if few else 3, (3, 43, 61), dtype).to(device)
            mask = torch.zeros((len(images), 43, 61), dtype=torch.int64, device=device)
            for layer in pipelines():
                for x in (images, images.contiguous(memory_format=torch.channels_last))[: 1 if few else 2]:
                    layer({"image": x, "mask": mask})
        key = torch.tensor([5, 2**40], device=device)
        state, zero = torch.zeros(2, dtype=torch.int64, device=device), torch.zeros(1, dtype=torch.int64, device=device)
        sampling.draw_uniform(state, key, zero, zero, zero)
        sampling.draw_noise(key, 3, 7, 5, True)
        sampling.draw_beta(
            torch.rand((5, 2), device=device), *torch.rand((2, 2), device=device), 641, 1 / 32, 10.0, 0.0
        )
        if device == "cuda":
            torch.cuda.synchronize()
    finally:
        for name, (module, kernel) in known.items():
            setattr(module, name, kernel)
    print(f"launched: {', '.join(sorted(launched))}")
    return set(known) - launched


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda")
    missing = main(parser.parse_args().device)
    sys.exit(f"not launched: {', '.join(sorted(missing))}" if missing else 0)
