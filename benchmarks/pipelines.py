"""The same pipelines in every library, and the ways in which each is run."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torchvision import tv_tensors
from torchvision.transforms import InterpolationMode, v2

import gpuaug as ga
from benchmarks.measure import Run

MEAN, STD = ga.IMAGENET_MEAN, ga.IMAGENET_STD
NAMES = ("basic", "classification", "classification without blur", "geometry")
"""Of the CPU's tables."""
POLICIES = ("RandAugment alone", "TrivialAugmentWide alone", "AugMix alone")
"""Of the CPU's tables too: a published policy, nothing else. Kornia has no AugMix, and Albumentations none of them."""
FUSED = "triton-augment's recipe"
GPU_NAMES = ("basic", "classification", "two views", "detection", "RandAugment", FUSED)
"""Of the GPU's, in order of weight; those that this version does not have are left out: see `listed`."""
OBJECTS, POINTS = 50, 17
BILINEAR = InterpolationMode.BILINEAR


def listed() -> tuple[str, ...]:
    """Return the pipelines of the GPU's tables that this version has."""
    return tuple(name for name in GPU_NAMES if name != "RandAugment" or hasattr(ga, name))


def letterboxed(size: int) -> tuple[int, int]:
    """Return the canvas of *detection* for square images: they are padded at the sides."""
    return size * 3 // 4, size


def gpuaug_pipeline(
    name: str,
    strength: float = 1.0,
    antialias: bool = True,
    dtype: torch.dtype = torch.float32,
    size: int = 256,
    memory_format: torch.memory_format | None = None,
) -> ga.Compose:
    """Build ours; `strength` scales every probability, `antialias` is about warps."""
    p = strength
    end = ga.Normalize(MEAN, STD, dtype=dtype, memory_format=memory_format)
    crop = [ga.RandomResizedCrop(224), ga.RandomHorizontalFlip(0.5 * p)]
    colour = [ga.RandomApply([ga.ColorJitter(0.4, 0.4, 0.4, 0.1)], p=0.8 * p), ga.RandomGrayscale(0.2 * p)]
    strong = [ga.RandomApply([ga.ColorJitter(0.8, 0.8, 0.8, 0.2)], p=0.8 * p), ga.RandomGrayscale(0.2 * p)]
    blur = [ga.RandomApply([ga.GaussianBlur(23, (0.1, 2.0))], p=0.5 * p)]
    steps: dict[str, Callable[[], list[nn.Module]]] = {
        "basic": lambda: [*crop, end],
        "classification": lambda: [*crop, *colour, *blur, end],
        "classification without blur": lambda: [*crop, *colour, end],
        "two views": lambda: [*crop, *strong, *blur, end],
        "RandAugment": lambda: [*crop, getattr(ga, "RandAugment")(), end],  # noqa: B009
        "RandAugment alone": lambda: [ga.RandAugment()],
        "TrivialAugmentWide alone": lambda: [ga.TrivialAugmentWide()],
        "AugMix alone": lambda: [ga.AugMix()],
        FUSED: lambda: [
            ga.RandomAffine(15, (0.1, 0.1), (0.9, 1.1)),
            ga.RandomCrop(224, pad_if_needed=True),
            ga.RandomHorizontalFlip(0.5 * p),
            ga.ColorJitter(0.2, 0.2, 0.2),
            ga.RandomGrayscale(0.1 * p),
            end,
        ],
        "detection": lambda: [
            ga.LetterBox(letterboxed(size)),
            ga.RandomAffine(5, (0.1, 0.1), (0.5, 1.5)),
            ga.RandomHorizontalFlip(0.5 * p),
            ga.HueSaturationValue((-5, 5), (-60, 60), (-40, 40), p=p),
        ],
        "geometry": lambda: [
            ga.RandomRotation(15, p=p),
            ga.RandomAffine(10, (0.1, 0.1), (0.9, 1.1), p=p),
            ga.RandomPerspective(0.5, p=0.5 * p),
        ],
    }
    pairs = ga.KeypointParams(flip_pairs=[(1, 2), (3, 4)])
    return ga.Compose(steps[name](), seed=0, antialias=antialias, keypoint_params=pairs)


def torchvision_pipeline(name: str, dtype: torch.dtype = torch.float32, size: int = 256) -> nn.Module:
    """Build torchvision's: one draw for whatever it is given."""
    ends = [v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD), v2.ToDtype(dtype)]
    crop = [v2.RandomResizedCrop(224, antialias=True), v2.RandomHorizontalFlip()]
    colour = [v2.RandomApply([v2.ColorJitter(0.4, 0.4, 0.4, 0.1)], p=0.8), v2.RandomGrayscale(0.2)]
    strong = [v2.RandomApply([v2.ColorJitter(0.8, 0.8, 0.8, 0.2)], p=0.8), v2.RandomGrayscale(0.2)]
    blur = [v2.RandomApply([v2.GaussianBlur(23, (0.1, 2.0))], p=0.5)]
    height, width = letterboxed(size)
    steps: dict[str, list[nn.Module]] = {
        "basic": [*crop, *ends],
        "classification": [*crop, *colour, *blur, *ends],
        "classification without blur": [*crop, *colour, *ends],
        "two views": [*crop, *strong, *blur, *ends],
        "RandAugment": [*crop, v2.RandAugment(), *ends],
        "RandAugment alone": [v2.RandAugment()],
        "TrivialAugmentWide alone": [v2.TrivialAugmentWide()],
        "AugMix alone": [v2.AugMix()],
        FUSED: [
            v2.RandomAffine(15, (0.1, 0.1), (0.9, 1.1), interpolation=BILINEAR),
            v2.RandomCrop(224, pad_if_needed=True),
            v2.RandomHorizontalFlip(),
            v2.ColorJitter(0.2, 0.2, 0.2),
            v2.RandomGrayscale(0.1),
            *ends,
        ],
        "detection": [
            v2.Resize((height, height), antialias=True),
            v2.Pad(((width - height) // 2, 0, width - height - (width - height) // 2, 0)),
            v2.RandomAffine(5, (0.1, 0.1), (0.5, 1.5), interpolation=BILINEAR),
            v2.RandomHorizontalFlip(),
            v2.ColorJitter(0.4, 0.0, 0.4, 0.014),
        ],
        "geometry": [
            v2.RandomRotation(15, interpolation=BILINEAR),
            v2.RandomAffine(10, (0.1, 0.1), (0.9, 1.1), interpolation=BILINEAR),
            v2.RandomPerspective(0.5, p=0.5),
        ],
    }
    return v2.Compose(steps[name])


def kornia_pipeline(name: str, size: int = 256) -> nn.Module:
    """Build Kornia's, which takes floats."""
    import kornia.augmentation as K

    normalize = K.Normalize(torch.tensor(MEAN), torch.tensor(STD))
    crop = [K.RandomResizedCrop((224, 224)), K.RandomHorizontalFlip()]
    colour = [K.ColorJitter(0.4, 0.4, 0.4, 0.1, p=0.8), K.RandomGrayscale(p=0.2)]
    strong = [K.ColorJitter(0.8, 0.8, 0.8, 0.2, p=0.8), K.RandomGrayscale(p=0.2)]
    blur = [K.RandomGaussianBlur((23, 23), (0.1, 2.0), p=0.5)]
    height, width = letterboxed(size)
    steps: dict[str, Callable[[], list[Any]]] = {
        "basic": lambda: [*crop, normalize],
        "classification": lambda: [*crop, *colour, *blur, normalize],
        "classification without blur": lambda: [*crop, *colour, normalize],
        "two views": lambda: [*crop, *strong, *blur, normalize],
        "RandAugment": lambda: [*crop, K.auto.RandAugment(n=2, m=9), normalize],
        "RandAugment alone": lambda: [K.auto.RandAugment(n=2, m=9)],
        "TrivialAugmentWide alone": lambda: [K.auto.TrivialAugment()],
        FUSED: lambda: [
            K.RandomAffine(15, (0.1, 0.1), (0.9, 1.1), p=1.0),
            K.RandomCrop((224, 224), pad_if_needed=True),
            K.RandomHorizontalFlip(),
            K.ColorJitter(0.2, 0.2, 0.2, p=1.0),
            K.RandomGrayscale(p=0.1),
            normalize,
        ],
        "detection": lambda: [
            K.LongestMaxSize(height),
            K.PadTo((height, width)),
            K.RandomAffine(5, (0.1, 0.1), (0.5, 1.5), p=1.0),
            K.RandomHorizontalFlip(),
            K.ColorJitter(0.4, 0.0, 0.4, 0.014, p=1.0),
        ],
        "geometry": lambda: [
            K.RandomRotation(15.0, p=1.0),
            K.RandomAffine(10, (0.1, 0.1), (0.9, 1.1), p=1.0),
            K.RandomPerspective(0.5, p=0.5),
        ],
    }
    if name == "detection":
        return K.AugmentationSequential(*steps[name](), data_keys=["input", "mask", "bbox_xyxy", "keypoints"])
    return nn.Sequential(*steps[name]())


def albumentations_pipeline(name: str) -> Callable[[np.ndarray], np.ndarray]:
    """Build Albumentations', which takes one (H, W, C) uint8 array."""
    import albumentations as A

    normalize = A.Normalize(MEAN, STD)
    crop = [A.RandomResizedCrop((224, 224)), A.HorizontalFlip()]
    colour = [A.ColorJitter((0.6, 1.4), (0.6, 1.4), (0.6, 1.4), (-0.1, 0.1), p=0.8), A.ToGray(p=0.2)]
    blur = [A.GaussianBlur((23, 23), (0.1, 2.0), p=0.5)]
    steps: dict[str, list[Any]] = {
        "basic": [*crop, normalize],
        "classification": [*crop, *colour, *blur, normalize],
        "classification without blur": [*crop, *colour, normalize],
        "geometry": [
            A.Rotate(15, p=1.0),
            A.Affine(rotate=(-10, 10), translate_percent={"x": (-0.1, 0.1), "y": (-0.1, 0.1)}, scale=(0.9, 1.1), p=1.0),
            A.Perspective(p=0.5),
        ],
    }
    pipeline = A.Compose(steps[name], seed=0)
    return lambda image: pipeline(image=image)["image"]


def fused_pipeline() -> nn.Module:
    """Build triton-augment's, on the recipe that its one kernel has; it takes floats."""
    import triton_augment

    return triton_augment.TritonFusedAugment(
        crop_size=224,
        horizontal_flip_p=0.5,
        degrees=15,
        translate=(0.1, 0.1),
        scale=(0.9, 1.1),
        interpolation=BILINEAR,
        brightness=0.2,
        contrast=0.2,
        saturation=0.2,
        grayscale_p=0.1,
        mean=MEAN,
        std=STD,
    )


def inputs(name: str, batch: int, size: int, dtype: torch.dtype, device: torch.device) -> Any:
    """Return a batch of random images, for *detection* with a mask, boxes and their keypoints."""
    images = torch.rand((batch, 3, size, size), device=device)
    images = (images * 255).to(dtype) if dtype == torch.uint8 else images.to(dtype)
    if name != "detection":
        return images
    corners = torch.rand((batch, OBJECTS, 2, 2), device=device).sort(dim=2).values * size
    low, high = corners[:, :, :1], corners[:, :, 1:]
    return {
        "image": images,
        "mask": torch.randint(5, (batch, size, size), dtype=torch.uint8, device=device),
        "boxes": corners.flatten(2),
        "keypoints": low + torch.rand((batch, OBJECTS, POINTS, 2), device=device) * (high - low),
    }


def contenders(
    name: str, given: Any, dtype: torch.dtype = torch.float32, ways: tuple[str, ...] = ("eager",)
) -> dict[str, Callable[[], Run]]:
    """Return how to build what runs the pipeline on a batch, by the name of the row.

    Args:
        name: of the pipeline.
        given: an example of its input, as `inputs` makes it.
        dtype: of what comes out, where the pipeline ends in a normalisation.
        ways: of "eager", "captured", "compiled", "peers compiled".
    """
    image = given["image"] if isinstance(given, dict) else given
    size, device = image.shape[-1], image.device
    copies = 2 if name == "two views" else 1
    build = partial(gpuaug_pipeline, name, dtype=dtype, size=size)
    rows: dict[str, Callable[[], Run]] = {}
    if "eager" in ways:
        rows["gpuaug"] = lambda: viewing(lambda c: partial(build(), copy=c), copies)
        if name == "geometry":  # the peers read warps without antialiasing
            rows["gpuaug, antialias=False, as the peers"] = lambda: build(antialias=False)
    if "captured" in ways:
        rows["gpuaug, captured"] = lambda: viewing(lambda c: build().capture(given, copy=c), copies)
        rows["gpuaug, captured, buffers filled"] = lambda: viewing(
            lambda c: in_place(build().capture(given, copy=c)), copies
        )
    if "compiled" in ways:
        rows["gpuaug, compiled"] = lambda: viewing(
            lambda c: partial(torch.compile(build(), fullgraph=True, dynamic=False), copy=c), copies
        )
    if importlib.util.find_spec("kornia") and name != "AugMix alone":
        theirs = partial(_kornia_run, name, size, dtype, device)
        if "eager" in ways:
            rows["kornia"] = lambda: viewing(lambda c: theirs(False), copies)
        if "peers compiled" in ways:
            rows["kornia, compiled"] = lambda: viewing(lambda c: theirs(True), copies)
    if "eager" not in ways:
        return rows
    whole = torchvision_pipeline(name, dtype, size)
    rows["torchvision, one draw per batch"] = lambda: viewing(lambda c: lambda x: whole(as_tv(x)), copies)
    rows["torchvision, image by image"] = lambda: viewing(lambda c: partial(_loop, whole), copies)
    if name == FUSED and importlib.util.find_spec("triton_augment"):
        fused = fused_pipeline
        rows["triton-augment"] = lambda: _then(dtype, fused().to(device))
    if name in NAMES and importlib.util.find_spec("albumentations") and device.type == "cpu":
        if image.dtype == torch.uint8:
            rows["albumentations, image by image"] = lambda: partial(_array_loop, albumentations_pipeline(name))
    return rows


def viewing(make: Callable[[int], Run], copies: int) -> Run:
    """Return what gives a batch once, or in several independently drawn views."""
    runs = [make(copy) for copy in range(copies)]
    return runs[0] if copies == 1 else lambda x: tuple(run(x) for run in runs)


def in_place(captured: Any) -> Run:
    """Return a recorded call whose buffers the loader fills: the batch is not copied into them."""
    given = captured.inputs
    return lambda x: captured(*given)


def as_float(images: Tensor) -> Tensor:
    """Return images in 0..1."""
    return images if images.dtype.is_floating_point else images.float() / 255


def as_tv(x: Any) -> Any:
    """Return a batch, or a sample of it, as torchvision takes it."""
    if not isinstance(x, dict):
        return x
    size = (x["image"].shape[-2], x["image"].shape[-1])
    return {
        "image": tv_tensors.Image(x["image"]),
        "mask": tv_tensors.Mask(x["mask"]),
        "boxes": tv_tensors.BoundingBoxes(x["boxes"].reshape(-1, 4), format="XYXY", canvas_size=size),
        "keypoints": tv_tensors.KeyPoints(x["keypoints"].reshape(-1, 2), canvas_size=size),
    }


def _loop(whole: nn.Module, x: Any) -> Any:
    if not isinstance(x, dict):
        return torch.stack([whole(image) for image in x])
    done = [whole(as_tv({key: value[i] for key, value in x.items()})) for i in range(len(x["image"]))]
    return {key: torch.stack([one[key] for one in done]) for key in x}


def _array_loop(single: Callable[[np.ndarray], np.ndarray], x: Tensor) -> Tensor:
    arrays = [single(np.ascontiguousarray(image)) for image in x.permute(0, 2, 3, 1).numpy()]
    return torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2)


def _then(dtype: torch.dtype, module: Run) -> Run:
    return lambda x: module(as_float(x)).to(dtype)


def _kornia_run(name: str, size: int, dtype: torch.dtype, device: torch.device, compiled: bool) -> Run:
    module = kornia_pipeline(name, size).to(device)
    call: Any = torch.compile(module, dynamic=False) if compiled else module
    if name != "detection":
        return _then(dtype, call)
    return lambda x: call(as_float(x["image"]), x["mask"][:, None].float(), x["boxes"], x["keypoints"].flatten(1, 2))
