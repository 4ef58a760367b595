"""Train the demo's net three ways, over three seeds: `python -m benchmarks.digits --out FILE`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torchvision.transforms import v2

from benchmarks.measure import machine
from gpuaug import demo


def torchvision_recipe() -> Callable[[Tensor], Tensor]:
    """Return the recipe of the demo, one call of torchvision per image, on the CPU."""
    transform = v2.Compose(
        [
            v2.ToDtype(torch.float32, scale=True),
            v2.RandomAffine(
                degrees=15,
                translate=(0.1, 0.1),
                scale=(0.85, 1.15),
                shear=10,
                interpolation=v2.InterpolationMode.BILINEAR,
            ),
            v2.ColorJitter(brightness=0.3, contrast=0.3),
            v2.RandomErasing(p=0.25, scale=(0.02, 0.1)),
            v2.Normalize(demo.MEAN, demo.STD),
        ]
    )
    return lambda images: torch.stack([transform(image) for image in images.cpu()]).to(images.device)


def main() -> None:
    """Train, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--out", type=Path, help="JSON file")
    args = parser.parse_args()
    recipes: dict[str, Callable[[int], Callable[[Tensor], Tensor]]] = {
        "no augmentation": lambda seed: demo.recipe(seed).eval(),
        "gpuaug, the batch at once": demo.recipe,
        "torchvision, image by image": lambda seed: torchvision_recipe(),
    }
    report = {"machine": machine(torch.device("cpu")), "steps": args.steps, "rows": {}}
    for name, make in recipes.items():
        results = []
        for seed in range(args.seeds):
            torch.manual_seed(seed)  # torchvision draws from the global generator
            digits = demo.load_digits(200, seed)
            results.append(demo.train(digits, make(seed), demo.recipe(seed).eval(), steps=args.steps, seed=seed))
        row = {
            "accuracy": [round(r.accuracy * 100, 2) for r in results],
            "augment_share": round(sum(r.augment_share for r in results) / len(results), 3),
        }
        report["rows"][name] = row
        print(f"{name:30s} {row}")
    if args.out:
        args.out.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
