"""Recipes are the pipelines of their sources: every number and the order, written out from there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

import gpuaug as ga
from gpuaug import recipes

FLIP = ga.RandomHorizontalFlip()
END = ga.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
CIFAR = ga.Normalize((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616))


def either(mixup: float, smoothing: float) -> ga.RandomChoice:
    """MixUp or CutMix, the latter with 1 everywhere."""
    return ga.RandomChoice(
        [
            ga.MixUp(alpha=mixup, num_classes=10, label_smoothing=smoothing),
            ga.CutMix(alpha=1.0, num_classes=10, label_smoothing=smoothing),
        ]
    )


def bicubic(size: int, eval_crop_pct: float = 0.875) -> ga.RandomResizedCrop:
    return ga.RandomResizedCrop(size, (0.08, 1.0), (3 / 4, 4 / 3), interpolation="bicubic", eval_crop_pct=eval_crop_pct)


def weak() -> list[Any]:
    return [ga.RandomHorizontalFlip(), ga.RandomCrop(32, padding=4)]


def strong() -> list[Any]:
    """FixMatch's: two operations, each p=0.5, of a magnitude from the whole range; cutout of half the side, gray."""
    cut = ga.CoarseDropout((1, 1), (0.5, 0.5), (0.5, 0.5), fill=127, p=1.0)
    return [*weak(), ga.auto_augment("rand-m10-n2-p0.5-mstd101-inc1"), cut]


def jitter(b: float, c: float, s: float, h: float) -> ga.RandomApply:
    return ga.RandomApply([ga.ColorJitter(b, c, s, h)], p=0.8)


# Steps, and settings of the Compose. Sources stand in the docstrings of the recipes.
WRITTEN: dict[str, tuple[Callable[[], Any], list[Any], dict[str, Any]]] = {
    # torchvision, references/classification: presets.py, and its README for IMAGENET1K_V2
    "imagenet, jitter": (
        lambda: recipes.imagenet(jitter=0.4),
        [ga.RandomResizedCrop(224, (0.08, 1.0), (3 / 4, 4 / 3)), FLIP, ga.ColorJitter(0.4, 0.4, 0.4), END],
        {},
    ),
    "torchvision_v2": (
        lambda: recipes.torchvision_v2(num_classes=10),
        [
            ga.RandomResizedCrop(176),
            FLIP,
            ga.TrivialAugmentWide(interpolation="bilinear"),
            END,
            ga.RandomErasing(p=0.1),
            either(0.2, 0.1),
        ],
        {},
    ),
    # Wightman et al. 2021, table 2; the operations read as the crop does (timm, transforms_factory.py)
    "timm_a1": (
        lambda: recipes.timm_a1(num_classes=10),
        [bicubic(224, 0.95), FLIP, ga.auto_augment("rand-m7-mstd0.5-inc1", "bicubic"), END, either(0.2, 0.1)],
        {},
    ),
    "timm_a2": (
        lambda: recipes.timm_a2(num_classes=10),
        [bicubic(224, 0.95), FLIP, ga.auto_augment("rand-m7-mstd0.5-inc1", "bicubic"), END, either(0.1, 0.0)],
        {},
    ),
    "timm_a3": (
        lambda: recipes.timm_a3(num_classes=10),
        [bicubic(160, 0.95), FLIP, ga.auto_augment("rand-m6-mstd0.5-inc1", "bicubic"), END, either(0.1, 0.0)],
        {},
    ),
    # facebookresearch/deit, main.py and datasets.py; README_revenge.md and augment.py
    "deit": (
        lambda: recipes.deit(num_classes=10),
        [
            bicubic(224),
            FLIP,
            ga.auto_augment("rand-m9-mstd0.5-inc1", "bicubic"),
            END,
            ga.RandomErasing(0.25, (0.02, 1 / 3), (0.3, 1 / 0.3), value="random"),
            either(0.8, 0.1),
        ],
        {},
    ),
    "deit_3": (
        lambda: recipes.deit_3(num_classes=10),
        [bicubic(224), FLIP, ga.ThreeAugment(0.3), END, either(0.8, 0.0)],
        {},
    ),
    "deit_3, simple crop": (
        lambda: recipes.deit_3(simple_crop=True, num_classes=None),
        [ga.Resize(224, interpolation="bicubic"), ga.RandomCrop(224, padding=4), FLIP, ga.ThreeAugment(0.3), END],
        {},
    ),
    "cifar": (
        lambda: recipes.cifar(policy=True),
        [ga.RandomCrop(32, padding=4), FLIP, ga.TrivialAugmentWide(), CIFAR],
        {},
    ),
    # facebookresearch/mae, main_pretrain.py
    "mae": (lambda: recipes.mae(), [ga.RandomResizedCrop(224, (0.2, 1.0), interpolation="bicubic"), FLIP, END], {}),
    # ultralytics/cfg/default.yaml and data/augment.py
    "yolo": (
        lambda: recipes.yolo(320),
        [
            ga.Mosaic(target_size=640, cell_shape=320, center_range=(0.25, 0.75), p=1.0),
            ga.RandomAffine(0, (0.05, 0.05), (0.5, 1.5)),
            ga.CenterCrop(320),
            ga.RandomHSV(0.015, 0.7, 0.4),
            FLIP,
        ],
        {
            "fill": {"image": 114, "mask": 255},
            "bbox_params": ga.BboxParams(min_size=2, min_visibility=0.1, max_aspect=100),
        },
    ),
    # torchvision, references/detection/presets.py
    "ssd": (
        lambda: recipes.ssd(),
        [
            ga.RandomPhotometricDistort((0.875, 1.125), (0.5, 1.5), (0.5, 1.5), (-0.05, 0.05), p=0.5),
            ga.RandomZoomOut([123.0, 117.0, 104.0], (1.0, 4.0), p=0.5),
            ga.RandomIoUCrop(size=300),
            FLIP,
            ga.SanitizeBoundingBoxes(),
        ],
        {},
    ),
    # facebookresearch/detr, datasets/coco.py
    "detr": (
        lambda: recipes.detr(),
        [
            FLIP,
            ga.RandomScale((0.0, 0.56), p=0.5),
            ga.RandomShortestSize([480, 512, 544, 576, 608, 640, 672, 704, 736, 768, 800], 1333),
            END,
        ],
        {},
    ),
    "segmentation": (
        lambda: recipes.segmentation(),
        [
            ga.RandomScale((-0.5, 1.0), p=1.0),
            ga.RandomCrop(512, pad_if_needed=True),
            FLIP,
            ga.RandomPhotometricDistort(),
            END,
        ],
        {"fill": {"mask": 255}},
    ),
    # leoxiaobin/deep-high-resolution-net.pytorch: JointsDataset.py, coco.py, w32_256x192_adam_lr1e-3.yaml
    "keypoints": (
        lambda: recipes.keypoints(),
        [
            FLIP,
            ga.RandomAffine(0, scale=ga.TruncatedNormal(1.0, 0.35, 0.65, 1.35)),
            ga.RandomRotation(ga.TruncatedNormal(0.0, 45.0, -90.0, 90.0), p=0.6),
            END,
        ],
        {"keypoint_params": ga.KeypointParams(flip_pairs=tuple((k, k + 1) for k in range(1, 16, 2)))},
    ),
    # Isensee et al. 2021, supplementary 4
    "medical": (
        lambda: recipes.medical(),
        [
            ga.RandomAffine(180.0, p=0.2),
            ga.RandomAffine(0, scale=(0.7, 1.4), p=0.2),
            FLIP,
            ga.RandomVerticalFlip(),
            ga.GaussianNoise(sigma=(0.0, 0.1), p=0.1),
            ga.GaussianBlur(7, (0.5, 1.0), p=0.2),
            ga.RandomBrightnessContrast((-0.25, 0.25), (0.0, 0.0), p=0.15),
            ga.RandomBrightnessContrast((0.0, 0.0), (-0.25, 0.25), p=0.15),
            ga.RandomGamma((70, 150), p=0.3),
        ],
        {},
    ),
    "satellite": (
        lambda: recipes.satellite(),
        [
            ga.RandomResizedCrop(224, (0.2, 1.0)),
            ga.SquareSymmetry(),
            ga.RandomBrightnessContrast((-0.4, 0.4), (-0.4, 0.4), p=0.8, per_channel=True),
            ga.GaussianBlur(9, (0.1, 2.0), p=0.5),
        ],
        {},
    ),
    # Chen et al. 2020, appendix B.9: half the strength for CIFAR
    "simclr, half": (
        lambda: recipes.simclr(32, 0.5).views["view_2"],
        [
            ga.RandomResizedCrop(32, (0.08, 1.0), interpolation="bilinear"),
            FLIP,
            jitter(0.4, 0.4, 0.4, 0.1),
            ga.RandomGrayscale(0.2),
            ga.GaussianBlur(3, (0.1, 2.0), p=0.5),
            END,
        ],
        {},
    ),
    # facebookresearch/moco-v3, main_moco.py and CONFIG.md: --crop-min=.2 for ResNet-50
    "moco_v3, ResNet": (
        lambda: recipes.moco_v3(224, 0.2).views["view_2"],
        [
            ga.RandomResizedCrop(224, (0.2, 1.0), interpolation="bilinear"),
            FLIP,
            jitter(0.4, 0.4, 0.2, 0.1),
            ga.RandomGrayscale(0.2),
            ga.GaussianBlur(23, (0.1, 2.0), p=0.1),
            ga.RandomSolarize(128, p=0.2),
            END,
        ],
        {},
    ),
    "fixmatch, weak": (lambda: recipes.fixmatch().views["view_1"], [*weak(), CIFAR], {}),
    "fixmatch, strong": (lambda: recipes.fixmatch().views["view_2"], [*strong(), CIFAR], {}),
    "uda, weak": (lambda: recipes.uda().views["view_1"], [*weak(), CIFAR], {}),
}  # fmt: skip


@pytest.mark.parametrize("name", WRITTEN)
def test_recipes_are_what_their_sources_write(name: str) -> None:
    make, steps, settings = WRITTEN[name]
    found, wanted = (parts(layer) for layer in (make(), ga.Compose(steps, **settings)))
    assert [step["transform"] for step in found["transforms"]] == [step["transform"] for step in wanted["transforms"]]
    assert found == wanted


def parts(layer: ga.Compose) -> dict[str, Any]:
    """What a file has of a pipeline, where how probable an operation is stands in one way."""
    args: dict[str, Any] = ga.to_dict(layer)["pipeline"]["args"]
    for step in args["transforms"]:
        if "config" in step["args"]:
            step["args"]["config"] = step["args"]["config"].replace("-p0.5", "")
    return args


def test_what_is_ours() -> None:
    """Recipes without a source keep what their docstrings say of them."""
    shown: dict[tuple[str, str], list[Any]] = {}
    for name, size in (("small_images", 64), ("medium_images", 64), ("large_images", 64)):
        for level in ("weak", "medium", "strong", "very_strong"):
            shown[name, level] = parts(getattr(recipes, name)(size, level))["transforms"]
    crops = {key: steps[0]["args"] for key, steps in shown.items()}
    assert all(crops["small_images", level]["padding"] == 8 for level in ("weak", "very_strong"))
    assert [crops["medium_images", level]["scale"][0] for level in ("weak", "medium")] == [0.35, 0.08]
    assert [crops["large_images", level]["scale"][0] for level in ("weak", "strong")] == [0.5, 0.25]
    assert crops["large_images", "weak"]["interpolation"] == "bicubic"
    amounts = {level: shown["small_images", level][2]["args"] for level in ("medium", "strong", "very_strong")}
    colours = {level: found["transforms"][0]["args"] for level, found in amounts.items()}
    assert [colours[level]["brightness"] for level in amounts] == [0.2, 0.4, 0.4]
    assert [colours[level]["hue"] for level in amounts] == [0.05, 0.1, 0.1] and amounts["strong"]["p"] == 0.8
    erased = [shown["small_images", level][-1]["args"]["p"] for level in ("strong", "very_strong")]
    assert erased == [0.25, 0.5]
    assert [step["args"].get("p") for step in shown["small_images", "strong"][3:5]] == [0.1, 0.2]
    grown = {level: {step["transform"] for step in shown["small_images", level]} for level in amounts}
    assert grown["very_strong"] - grown["strong"] == {"RandAugment"}
    assert grown["strong"] - grown["medium"] == {"RandomGrayscale", "GaussianBlur", "RandomErasing"}


def test_paper_stays_white_and_parts_lie_as_they_are() -> None:
    """Outside a page there is paper; parts are turned only where they may lie any way round."""
    page = torch.full((6, 3, 40, 52), 255, dtype=torch.uint8)
    moved = ga.Compose(list(recipes.document())[:2], fill=parts(recipes.document())["fill"], seed=1)
    assert (moved(page) >= 254).all()
    for name in ("document", "industrial"):
        assert not {"RandomHorizontalFlip", "RandomVerticalFlip", "SquareSymmetry"} & {
            type(step).__name__ for step in getattr(recipes, name)()
        }
    assert type(recipes.industrial(symmetric=True)[0]).__name__ == "SquareSymmetry"
    assert parts(recipes.document())["fill"] == 255 and parts(recipes.document(white=1.0))["fill"] == 1.0
    gray = recipes.yolo(64, white=1.0)
    assert abs(parts(gray)["fill"]["dict"][0][1] - 114 / 255) < 1e-12
