"""Each transform that Kornia has too, beside Kornia's with the same arguments: `python -m benchmarks.beside_kornia`.

One thread, calls in turn, every sample changed; CPU seconds of the process and the quickest call, so that others on the
machine count little.
Kornia takes floats, so a batch of uint8 is given to it as floats in 0..1; it does not antialias, so ours does not here.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

import gpuaug as ga
from benchmarks.measure import Run
from benchmarks.pipelines import MEAN, STD, as_float

BLUR = 7


@dataclass(frozen=True)
class Pair:
    """What Kornia calls it, ours, theirs of the same arguments: of Kornia's augmentations, and the canvas."""

    theirs: str
    make: Callable[[], Any]
    build: Callable[[Any, tuple[int, int]], Any]

    @property
    def ours(self) -> str:
        """Name of our class."""
        return type(self.make()).__name__


def _fisheye(K: Any) -> Any:
    return K.RandomFisheye(*(torch.tensor(ends) for ends in ((-0.3, 0.3), (-0.3, 0.3), (0.9, 1.1))), p=1.0)


PAIRS = [
    Pair("RandomHorizontalFlip", lambda: ga.RandomHorizontalFlip(p=1.0), lambda K, _: K.RandomHorizontalFlip(p=1.0)),
    Pair("RandomVerticalFlip", lambda: ga.RandomVerticalFlip(p=1.0), lambda K, _: K.RandomVerticalFlip(p=1.0)),
    Pair("RandomRotation90", lambda: ga.RandomRotate90(p=1.0), lambda K, _: K.RandomRotation90((0, 3), p=1.0)),
    Pair("RandomRotation", lambda: ga.RandomRotation(30, antialias=False), lambda K, _: K.RandomRotation(30.0, p=1.0)),
    Pair(
        "RandomAffine",
        lambda: ga.RandomAffine(15, (0.1, 0.2), (0.7, 1.3), (-10, 10, -5, 5), antialias=False),
        lambda K, _: K.RandomAffine(15, (0.1, 0.2), (0.7, 1.3), (-10.0, 10.0, -5.0, 5.0), p=1.0),
    ),
    Pair(
        "RandomShear",
        lambda: ga.RandomAffine(0, shear=(-10, 10, -5, 5), antialias=False),
        lambda K, _: K.RandomShear((-10.0, 10.0, -5.0, 5.0), p=1.0),
    ),
    Pair(
        "RandomTranslate",
        lambda: ga.RandomAffine(0, (0.1, 0.2), antialias=False),
        lambda K, _: K.RandomTranslate((-0.1, 0.1), (-0.2, 0.2), p=1.0),
    ),
    Pair(
        "RandomPerspective",
        lambda: ga.RandomPerspective(0.4, p=1.0, antialias=False),
        lambda K, _: K.RandomPerspective(0.4, p=1.0),
    ),
    Pair(
        "RandomElasticTransform",
        lambda: ga.ElasticTransform(50.0, 8.0, antialias=False),
        lambda K, _: K.RandomElasticTransform((65, 65), (8.0, 8.0), p=1.0),
    ),
    Pair(
        "RandomThinPlateSpline",
        lambda: ga.ThinPlateSpline((0.2, 0.2), 3, p=1.0, antialias=False),
        lambda K, _: K.RandomThinPlateSpline(0.2, p=1.0),
    ),
    Pair("RandomFisheye", lambda: ga.OpticalDistortion((-0.1, 0.1), p=1.0, antialias=False), lambda K, _: _fisheye(K)),
    Pair("RandomCrop", lambda: ga.RandomCrop((90, 120)), lambda K, _: K.RandomCrop((90, 120))),
    Pair("CenterCrop", lambda: ga.CenterCrop((90, 120)), lambda K, _: K.CenterCrop((90, 120))),
    Pair("PadTo", lambda: ga.PadIfNeeded(300, 320), lambda K, _: K.PadTo((300, 320))),
    Pair("Resize", lambda: ga.Resize((90, 120), antialias=False), lambda K, _: K.Resize((90, 120))),
    Pair("LongestMaxSize", lambda: ga.LongestMaxSize(120), lambda K, _: K.LongestMaxSize(120)),
    Pair("SmallestMaxSize", lambda: ga.SmallestMaxSize(120), lambda K, _: K.SmallestMaxSize(120)),
    Pair(
        "RandomResizedCrop",
        lambda: ga.RandomResizedCrop(224, antialias=False),
        lambda K, _: K.RandomResizedCrop((224, 224)),
    ),
    Pair("RandomMixUpV2", lambda: ga.MixUp(), lambda K, _: K.RandomMixUpV2()),
    Pair("RandomCutMixV2", lambda: ga.CutMix(), lambda K, _: K.RandomCutMixV2(use_correct_lambda=True)),
    Pair("RandomMosaic", lambda: ga.Mosaic(p=1.0), lambda K, canvas: K.RandomMosaic(canvas, p=1.0)),
    Pair("ColorJitter", lambda: ga.ColorJitter(0.4, 0.4, 0.4, 0.1), lambda K, _: K.ColorJitter(0.4, 0.4, 0.4, 0.1)),
    Pair("ColorJiggle", lambda: ga.ColorJitter(0.4, 0.4, 0.4, 0.1), lambda K, _: K.ColorJiggle(0.4, 0.4, 0.4, 0.1)),
    Pair("RandomBrightness", lambda: ga.RandShiftIntensity(0.3, p=1.0), lambda K, _: K.RandomBrightness((0.7, 1.3))),
    Pair("RandomContrast", lambda: ga.RandScaleIntensity(0.3, p=1.0), lambda K, _: K.RandomContrast((0.7, 1.3))),
    Pair("RandomSaturation", lambda: ga.ColorJitter(saturation=0.4), lambda K, _: K.RandomSaturation((0.6, 1.4))),
    Pair("RandomHue", lambda: ga.ColorJitter(hue=0.2), lambda K, _: K.RandomHue((-0.2, 0.2))),
    Pair("RandomGrayscale", lambda: ga.RandomGrayscale(1.0), lambda K, _: K.RandomGrayscale(p=1.0)),
    Pair("RandomGamma", lambda: ga.RandomGamma((80, 120), p=1.0), lambda K, _: K.RandomGamma((0.8, 1.2))),
    Pair("RandomInvert", lambda: ga.RandomInvert(p=1.0), lambda K, _: K.RandomInvert(p=1.0)),
    Pair(
        "RandomSolarize", lambda: ga.RandomSolarize((0.4, 0.6), p=1.0), lambda K, _: K.RandomSolarize(0.1, 0.0, p=1.0)
    ),
    Pair(
        "RandomPosterize",
        lambda: ga.RandomPosterize(ga.Integers(3, 8), p=1.0),
        lambda K, _: K.RandomPosterize(3, p=1.0),
    ),
    Pair("RandomAutoContrast", lambda: ga.RandomAutocontrast(p=1.0), lambda K, _: K.RandomAutoContrast(p=1.0)),
    Pair("RandomEqualize", lambda: ga.RandomEqualize(p=1.0), lambda K, _: K.RandomEqualize(p=1.0)),
    Pair("RandomClahe", lambda: ga.CLAHE((4.0, 4.0), p=1.0), lambda K, _: K.RandomClahe((4.0, 4.0), p=1.0)),
    Pair("RandomRGBShift", lambda: ga.RGBShift(0.5, 0.5, 0.5, p=1.0), lambda K, _: K.RandomRGBShift(p=1.0)),
    Pair("RandomPlanckianJitter", lambda: ga.PlanckianJitter(p=1.0), lambda K, _: K.RandomPlanckianJitter(p=1.0)),
    Pair("RandomChannelDropout", lambda: ga.ChannelDropout(p=1.0), lambda K, _: K.RandomChannelDropout(p=1.0)),
    Pair("RandomChannelShuffle", lambda: ga.RandomChannelPermutation(), lambda K, _: K.RandomChannelShuffle(p=1.0)),
    Pair(
        "RandomGaussianIllumination",
        lambda: ga.Illumination("gaussian", (0.01, 0.15), p=1.0),
        lambda K, _: K.RandomGaussianIllumination(p=1.0),
    ),
    Pair(
        "RandomLinearIllumination",
        lambda: ga.Illumination("linear", p=1.0),
        lambda K, _: K.RandomLinearIllumination(p=1.0),
    ),
    Pair(
        "RandomLinearCornerIllumination",
        lambda: ga.Illumination("corner", p=1.0),
        lambda K, _: K.RandomLinearCornerIllumination(p=1.0),
    ),
    Pair(
        "RandomPlasmaBrightness",
        lambda: ga.PlasmaBrightnessContrast((0.0, 0.5), 0.0, p=1.0),
        lambda K, _: K.RandomPlasmaBrightness((0.5, 0.5), (0.0, 0.5), p=1.0),
    ),
    Pair(
        "RandomPlasmaContrast",
        lambda: ga.PlasmaBrightnessContrast(0.0, (-0.5, 0.5), p=1.0),
        lambda K, _: K.RandomPlasmaContrast((0.5, 0.5), p=1.0),
    ),
    Pair("RandomPlasmaShadow", lambda: ga.PlasmaShadow(p=1.0), lambda K, _: K.RandomPlasmaShadow((0.5, 0.5), p=1.0)),
    Pair(
        "RandomRain",
        lambda: ga.RandomRain((-5, 5), 12, 1, 200, 1, 1.0, "torrential", p=1.0),
        lambda K, _: K.RandomRain((400, 500), (5, 20), (-5, 5), p=1.0),
    ),
    Pair("RandomSnow", lambda: ga.RandomSnow(2.0, (0.5, 0.5), p=1.0), lambda K, _: K.RandomSnow(p=1.0)),
    Pair(
        "RandomGaussianBlur",
        lambda: ga.GaussianBlur(23, (1.0, 3.0)),
        lambda K, _: K.RandomGaussianBlur((23, 23), (1.0, 3.0), p=1.0),
    ),
    Pair("RandomBoxBlur", lambda: ga.Blur((BLUR, BLUR), p=1.0), lambda K, _: K.RandomBoxBlur((BLUR, BLUR), p=1.0)),
    Pair(
        "RandomMotionBlur",
        lambda: ga.MotionBlur((BLUR, BLUR), p=1.0),
        lambda K, _: K.RandomMotionBlur(BLUR, (0.0, 360.0), (-1.0, 1.0), p=1.0),
    ),
    Pair("RandomMedianBlur", lambda: ga.MedianBlur((3, 3), p=1.0), lambda K, _: K.RandomMedianBlur((3, 3), p=1.0)),
    Pair(
        "RandomSharpness",
        lambda: ga.RandomAdjustSharpness((0.0, 2.0), p=1.0),
        lambda K, _: K.RandomSharpness((0.0, 2.0), p=1.0),
    ),
    Pair(
        "filters.UnsharpMask",
        lambda: ga.UnsharpMask((BLUR, BLUR), 1.5, threshold=0, p=1.0),
        lambda K, _: _module("filters").UnsharpMask((BLUR, BLUR), (1.5, 1.5)),
    ),
    Pair("color.Sepia", lambda: ga.ToSepia(p=1.0), lambda K, _: _module("color").Sepia(rescale=False)),
    Pair(
        "RandomGaussianNoise", lambda: ga.GaussianNoise(0.0, 0.1), lambda K, _: K.RandomGaussianNoise(0.0, 0.1, p=1.0)
    ),
    Pair("RandomSaltAndPepperNoise", lambda: ga.SaltAndPepper(p=1.0), lambda K, _: K.RandomSaltAndPepperNoise(p=1.0)),
    Pair("RandomJPEG", lambda: ga.JPEG((50, 50)), lambda K, _: K.RandomJPEG(50.0)),
    Pair("RandomErasing", lambda: ga.RandomErasing(p=1.0), lambda K, _: K.RandomErasing(p=1.0)),
    Pair("Normalize", lambda: ga.Normalize(MEAN, STD), lambda K, _: K.Normalize(torch.tensor(MEAN), torch.tensor(STD))),
]
"""Of all 2D ones that Kornia 0.9 has, but those of `WITHOUT`."""
WITHOUT = {
    "Denormalize": "Normalize with other numbers",
    "PatchMix": "no transform of ours mixes patches in places drawn one by one",
    "RandomDissolving": "runs a diffusion model",
    "RandomJigsaw": "no transform of ours",
    "RandomTransplantation": "CopyPaste pastes objects, not classes of a map",
}
"""What stands beside none of ours, and why."""


def _module(name: str) -> Any:
    import importlib

    return importlib.import_module(f"kornia.{name}")


def ours(pair: Pair) -> Run:
    """Return what runs ours."""
    layer: Run = pair.make()
    layer.reseed(0)  # type: ignore[attr-defined]
    return layer


def theirs(pair: Pair, canvas: tuple[int, int], device: torch.device) -> Run:
    """Return what runs Kornia's on images of a canvas."""
    import kornia.augmentation as K

    module = pair.build(K, canvas).to(device)
    return lambda x: module(as_float(x))


def measure(pair: Pair, images: Tensor, calls: int, seconds: float) -> tuple[float, float]:
    """Return the CPU milliseconds of the quickest call, ours and theirs, called in turn."""
    runs = (ours(pair), theirs(pair, (images.shape[2], images.shape[3]), images.device))
    times: list[list[float]] = [[], []]
    for run in runs:
        run(images)
    begin = time.perf_counter()
    while len(times[0]) < calls and (len(times[0]) < 3 or time.perf_counter() - begin < seconds):
        for run, spent in zip(runs, times, strict=True):
            start = time.process_time()
            run(images)
            spent.append((time.process_time() - start) * 1e3)
    return min(times[0]), min(times[1])


def main() -> None:
    """Print how many times faster ours is, for uint8 and float32."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--calls", type=int, default=15)
    parser.add_argument("--seconds", type=float, default=20.0, help="about how long a pair may take")
    parser.add_argument("--only", nargs="*", help="names of Kornia's or of ours")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    torch.manual_seed(0)
    floats = torch.rand(args.batch, 3, args.size, args.size)
    print(f"{'Kornia':32s} {'gpuaug':26s} {'uint8: ms, ms, times faster':>30s} {'float32':>30s}")
    for pair in PAIRS:
        if args.only and not {pair.theirs, pair.ours} & set(args.only):
            continue
        line = f"{pair.theirs:32s} {pair.ours:26s}"
        for images in ((floats * 255).to(torch.uint8), floats):
            ours, theirs = measure(pair, images, args.calls, args.seconds)
            line += f" {ours:11.2f} {theirs:11.2f} {theirs / ours:6.2f}"
        print(line, flush=True)


if __name__ == "__main__":
    main()
