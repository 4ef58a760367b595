"""Images of several sizes: each is what it is in a batch of its own size, with everything annotated on it."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms.v2 import functional as tv

import gpuaug as ga
from gpuaug.testing import example

SIZES = [(60, 70), (80, 64), (60, 70), (51, 99)]


def images(dtype: torch.dtype = torch.float32, channels: int = 3) -> list[Tensor]:
    """Distinct images of `SIZES`."""
    return [example(i + 1, (channels, *size), dtype)[i] for i, size in enumerate(SIZES)]


def alone(params: ga.Params, i: int) -> ga.Params:
    """Parameters of sample i for a batch of its size."""
    one = copy.copy(params[i : i + 1])
    one.canvas = one.canvas[0]
    return one


FIXED: dict[str, Any] = {
    "resized crop": lambda: [ga.RandomResizedCrop((40, 50)), ga.RandomHorizontalFlip(), ga.ColorJitter(0.4, 0.4, 0.4)],
    "narrow crop": lambda: [ga.RandomResizedCrop((40, 50), scale=(1, 1), ratio=(3.0, 4.0))],
    "smallest, crop": lambda: [ga.SmallestMaxSize(48), ga.RandomCrop(40), ga.RandomRotation(20)],
    "resize": lambda: [ga.Resize((33, 47)), ga.GaussianBlur(5)],
    "letterbox": lambda: [ga.LetterBox(64), ga.RandomAffine(20, (0.1, 0.1), (0.8, 1.2))],
    "centre": lambda: [ga.RandomAffine(20, (0.1, 0.2)), ga.CenterCrop((70, 55))],
    "padded crop": lambda: [ga.RandomCrop((90, 75), pad_if_needed=True, fill=0.5)],
    "perspective": lambda: [ga.RandomPerspective(p=1.0), ga.Resize((40, 40)), ga.GridDropout()],
    "elastic after": lambda: [ga.Resize((40, 44)), ga.ElasticTransform(20.0, 4.0)],
}
FREE: dict[str, Any] = {
    "detection colours": lambda: [ga.RandomPhotometricDistort(p=1.0), ga.RandomHorizontalFlip()],
    "statistics": lambda: [ga.RandomAutocontrast(p=0.5), ga.RandomEqualize(p=0.5), ga.ColorJitter(contrast=0.5)],
    "erasing": lambda: [ga.RandomErasing(p=1.0, value="random"), ga.CoarseDropout((2, 4)), ga.GridDropout(0.4)],
    "normalize": lambda: [ga.RandomVerticalFlip(), ga.Normalize(ga.IMAGENET_MEAN, ga.IMAGENET_STD)],
    "shorter side": lambda: [ga.Resize(32), ga.RandomHorizontalFlip()],
    "shorter side, bounded": lambda: [ga.Resize(50, max_size=60), ga.GaussianNoise()],
    "pad, longest, transpose": lambda: [ga.Pad(3), ga.LongestMaxSize(60), ga.RandomTranspose(p=1.0)],
    "warp": lambda: [ga.RandomAffine(25), ga.GaussianBlur(5)],
}


@pytest.mark.parametrize("small", [10**9, 0], ids=["batched", "walked"])
@pytest.mark.parametrize("name", [*FIXED, *FREE])
def test_each_image_is_what_it_is_in_a_batch_of_its_size(
    monkeypatch: pytest.MonkeyPatch, name: str, small: int
) -> None:
    """Bit for bit: the draws, too, do not depend on what else is in the batch.

    A vectorised sum may end its rows otherwise in another batch: one rounding of float32 in the batched definition.
    """
    rounding = 1.2e-7 if small else 0.0
    monkeypatch.setattr("gpuaug.render.backend.SMALL", small)
    make = {**FIXED, **FREE}[name]
    for dtype in (torch.float32, torch.uint8):
        given = images(dtype)
        kept = [image.clone() for image in given]
        out, params = ga.Compose(make(), seed=1)(given, return_params=True)
        assert isinstance(out, Tensor if name in FIXED else list) and len(out) == len(SIZES)
        for i, image in enumerate(given):
            layer = ga.Compose(make(), seed=1)
            one, drawn = layer(torch.stack([image] * len(SIZES)), return_params=True)
            assert out[i].dtype == one.dtype
            assert (out[i].double() - one[i].double()).abs().max() <= rounding
            assert torch.equal(layer.replay(image[None], alone(params, i))[0], out[i])
            for step, values in drawn.values.items():
                for key, value in values.items():
                    assert torch.equal(value[i], params.values[step][key][i]), (step, key)
            assert torch.equal(image, kept[i])
        assert torch.equal(
            torch.cat([o.flatten() for o in ga.Compose(make(), seed=1).replay(given, params)]),
            torch.cat([o.flatten() for o in out]),
        )


def test_sizes_of_resizes_equal_torchvision() -> None:
    generator = torch.Generator().manual_seed(0)
    sizes = torch.randint(20, 120, (40, 2), generator=generator).tolist()
    given = [torch.zeros(1, h, w) for h, w in sizes]
    for size, most in ((37, None), (50, 61), (24, 80)):
        out = ga.Compose([ga.Resize(size, max_size=most)])(given)
        assert [o.shape for o in out] == [tv.resize(image, [size], max_size=most).shape for image in given]


def objects() -> dict[str, Any]:
    """Boxes, keypoints, labels and ids on the images of `SIZES`, of ragged numbers."""
    torch.manual_seed(3)
    corners = torch.rand(4, 5, 2) * 25
    boxes = torch.cat((corners, corners + 5 + torch.rand(4, 5, 2) * 20), dim=-1)
    valid = torch.arange(5) < torch.tensor([5, 0, 2, 3])[:, None]
    ids = 2**25 + 1 + torch.arange(20).view(4, 5)
    return {
        "boxes": boxes * valid[..., None],
        "valid": valid,
        "labels": ids % 7,
        "ids": ids,
        "keypoints": torch.rand(4, 5, 3, 2) * 50,
    }


LOOKING: dict[str, Any] = {
    "safe crop": lambda: [ga.BBoxSafeRandomCrop(0.1, size=(40, 50))],
    "crop on an object": lambda: [ga.RandomHorizontalFlip(), ga.AtLeastOneBBoxRandomCrop(30, 40, 0.2)],
    "crop on the mask": lambda: [ga.RandomAffine(10), ga.CropNonEmptyMaskIfExists(30, 40)],
    "crop by overlap": lambda: [ga.RandomIoUCrop(size=(40, 50))],
    "dropout in objects": lambda: [ga.ConstrainedCoarseDropout((1, 3), fill_mask=3, p=1.0, hide_keypoints=True)],
    "zoom out": lambda: [ga.RandomZoomOut(p=1.0)],
    "scale jitter": lambda: [ga.ScaleJitter((50, 60), (0.5, 1.5))],
    "erasing": lambda: [ga.RandomErasing(p=1.0, fill_mask=9, hide_keypoints=True), ga.RandomHorizontalFlip()],
}


@pytest.mark.parametrize("name", ["shorter side", "warp", "resized crop", "letterbox", "centre", *LOOKING])
@pytest.mark.parametrize("format", ["xyxy", "yolo"])
def test_annotations_in_their_own_canvases(name: str, format: str) -> None:
    """Semantic masks, maps, boxes, keypoints and rows: as in a batch of the sample's size."""
    given = images()
    maps = [(image[0] * 5).long() for image in given]
    depth = [image[:1] * 7 for image in given]
    rows = objects()
    if format == "yolo":
        size = torch.tensor(SIZES)[:, None]
        x0, y0, x1, y1 = rows["boxes"].unbind(-1)
        w, h = size[..., 1], size[..., 0]
        rows["boxes"] = torch.stack(((x0 + x1) / 2 / w, (y0 + y1) / 2 / h, (x1 - x0) / w, (y1 - y0) / h), dim=-1)
    settings: dict[str, Any] = {"roles": {"depth": "dense"}, "bbox_params": ga.BboxParams(format=format), "seed": 2}
    make = {**FIXED, **FREE, **LOOKING}[name]
    out, params = ga.Compose(make(), **settings)(
        {"image": given, "mask": maps, "depth": depth, **rows}, return_params=True
    )
    for i, image in enumerate(given):
        one = ga.Compose(make(), **settings).replay(
            {
                "image": image[None],
                "mask": maps[i][None],
                "depth": depth[i][None],
                **{k: v[i : i + 1] for k, v in rows.items()},
            },
            alone(params, i),
        )
        for key, value in one.items():
            assert torch.equal(out[key][i], value[0]), key
    assert torch.equal(out["ids"], rows["ids"]) and out["valid"].sum() <= 10
    if name in LOOKING:  # what is drawn looks at the annotations, and is what it is in a batch of the sample's size
        for i, image in enumerate(given):
            repeated = {
                "image": torch.stack([image] * 4),
                "mask": torch.stack([maps[i]] * 4),
                **{k: v[i : i + 1].expand(4, *v.shape[1:]) for k, v in rows.items()},
            }
            drawn = ga.Compose(make(), **settings).sample(repeated)
            for step, values in drawn.values.items():
                for key, value in values.items():
                    assert torch.equal(value[i], params.values[step][key][i]), (step, key)


def test_torchvisions_lists_of_several_sizes() -> None:
    """Boxes and masks of objects, through a flip and a colour, as torchvision's functions give them."""
    given = images(torch.uint8)
    torch.manual_seed(0)
    targets = []
    for i, (h, w) in enumerate(SIZES):
        n = (2, 0, 1, 3)[i]
        low = torch.rand(n, 2) * 20
        targets.append(
            {
                "boxes": torch.cat((low, low + 20), dim=1),
                "labels": torch.arange(n) + i,
                "masks": torch.rand(n, h, w) < 0.5,
            }
        )
    layer = ga.Compose([ga.RandomHorizontalFlip(p=1.0)])
    out, found = layer(given, targets)
    for before, after, image, result in zip(targets, found, given, out, strict=True):
        w = image.shape[2]
        assert torch.equal(result, image.flip(-1)) and torch.equal(after["masks"], before["masks"].flip(-1))
        assert torch.allclose(
            after["boxes"][:, [2, 1, 0, 3]],
            torch.tensor([w, 0.0, w, 0.0]) + before["boxes"] * torch.tensor([-1, 1, -1, 1]),
        )
        assert torch.equal(after["labels"], before["labels"])
    out, found = ga.Compose([ga.Resize((40, 48))], bbox_params=ga.BboxParams(max_objects=2))(given, targets)
    assert [o.shape for o in out] == [(3, 40, 48)] * 4
    assert [f["masks"].shape for f in found] == [(2, 40, 48), (0, 40, 48), (1, 40, 48), (2, 40, 48)]
    few, found = ga.Compose([ga.Resize(40)], bbox_params=ga.BboxParams(max_objects=2))(given, targets)
    for image, target in zip(few, found, strict=True):
        assert target["masks"].shape[1:] == image.shape[1:] and len(target["masks"]) == len(target["boxes"]) <= 2


def test_padding_to_one_canvas() -> None:
    given = images(torch.uint8)
    maps = [(image[:1] // 64).long() for image in given]
    layer = ga.Compose([ga.RandomHorizontalFlip(p=1.0)], pad_divisor=32, fill={"image": 9, "mask": 255})
    out = layer({"image": given, "mask": maps, **objects()})
    assert out["image"].shape == (4, 3, 96, 128) and out["mask"].shape == (4, 1, 96, 128)
    assert out["sizes"].tolist() == [list(size) for size in SIZES]
    for i, (h, w) in enumerate(SIZES):
        inside = torch.zeros(96, 128, dtype=torch.bool)
        inside[:h, :w] = True
        assert torch.equal(out["padding_mask"][i], ~inside)
        assert torch.equal(out["image"][i, :, :h, :w], given[i].flip(-1)) and (out["image"][i][:, ~inside] == 9).all()
        assert torch.equal(out["mask"][i, :, :h, :w], maps[i].flip(-1)) and (out["mask"][i][:, ~inside] == 255).all()
    padded, label = ga.Compose([], pad_to=(99, 100))(given, "label")
    assert label == "label" and padded.images.shape == (4, 3, 99, 100) and padded.padding_mask.shape == (4, 99, 100)
    fractions = ga.Compose([], pad_to=100, bbox_params=ga.BboxParams(format="yolo"))
    boxes = torch.tensor([[0.5, 0.5, 1.0, 1.0]]).repeat(4, 1, 1)
    moved = fractions({"image": given, "boxes": boxes})["boxes"]
    assert torch.allclose(moved[:, 0, 2:], torch.tensor([(w / 100, h / 100) for h, w in SIZES]))
    (first, mask, sizes), targets = ga.Compose([], pad_divisor=50)(given, [{"boxes": torch.zeros(0, 4)}] * 4)
    assert first.shape == (4, 3, 100, 100) and mask.shape == (4, 100, 100) and len(targets) == 4 == len(sizes)
    dense = ga.Compose([], pad_to=(70, 80))({"image": torch.ones(2, 3, 60, 70)})
    assert dense["image"].shape == (2, 3, 70, 80) and dense["image"].sum() == 2 * 3 * 60 * 70
    assert dense["padding_mask"].sum() == 2 * (70 * 80 - 60 * 70)
    with pytest.raises(ValueError, match="Compose: pad_to must hold every image, up to 80x99 here, got 64x99"):
        ga.Compose([], pad_to=(64, 99))(given)


def test_back_to_images_of_several_sizes() -> None:
    """What a model says of letterboxed images goes back to the images as they were."""
    given, rows = images(torch.float64), objects()
    layer = ga.Compose([ga.LetterBox((64, 96)), ga.RandomHorizontalFlip()], seed=0)
    out, params = layer({"image": given, **rows}, return_params=True)
    back = layer.replay({"image": out["image"], "boxes": out["boxes"], "valid": out["valid"]}, params.inverse())
    assert [tuple(image.shape[1:]) for image in back["image"]] == SIZES
    kept = rows["valid"]
    assert torch.allclose(back["boxes"][kept], rows["boxes"][kept], atol=1e-4)
    for image, again in zip(given, back["image"], strict=True):
        assert (image - again)[:, 4:-4, 4:-4].abs().mean() < 0.12


class Photographs(Dataset[Any]):
    """Samples of several sizes, as a data set gives them."""

    def __init__(self, kind: str) -> None:
        """Remember what a sample looks like."""
        self.kind = kind

    def __len__(self) -> int:
        """Return their number."""
        return len(SIZES)

    def __getitem__(self, i: int) -> Any:
        """Return an image, a pair or a dict."""
        image = images(torch.uint8)[i]
        target = {
            "boxes": torch.ones(i, 4) * i,
            "labels": torch.full((i,), i),
            "masks": torch.ones(i, *SIZES[i]),
            "image_id": i,
            "depth": image[0].float(),
        }
        return {
            "image": image,
            "pair": (image, i),
            "detection": (image, target),
            "dict": {"image": image, "mask": image[0].long(), **target, "name": str(i)},
        }[self.kind]


@pytest.mark.parametrize("kind", ["image", "pair", "detection", "dict"])
def test_collate_in_a_loader(kind: str) -> None:
    batch = next(iter(DataLoader(Photographs(kind), 4, collate_fn=ga.collate, num_workers=1)))
    ragged = batch if kind == "image" else batch[0] if kind == "pair" else batch["image"]
    assert isinstance(ragged, ga.Ragged) and all(map(torch.equal, ragged, images(torch.uint8)))
    if kind == "pair":
        assert batch[1].tolist() == [0, 1, 2, 3]
        out, labels = ga.Compose([ga.RandomResizedCrop(24)])(*batch)
        assert out.shape == (4, 3, 24, 24) and labels is batch[1]
        assert isinstance(ga.Compose([ga.RandomHorizontalFlip()])(*batch)[0], ga.Ragged)
    if kind in ("detection", "dict"):
        assert batch["valid"].tolist() == (torch.arange(3) < torch.arange(4)[:, None]).tolist()
        assert batch["boxes"][2].tolist() == [[2.0] * 4, [2.0] * 4, [0.0] * 4] and batch["image_id"].tolist() == [
            0,
            1,
            2,
            3,
        ]
        layer = ga.Compose([ga.RandomHorizontalFlip(p=1.0)], roles={"depth": "dense"})
        out = layer(batch)
        for i, image in enumerate(images(torch.uint8)):
            assert torch.equal(out["image"][i], image.flip(-1)) and out["masks"][i].shape == (3, *SIZES[i])
            assert torch.equal(out["depth"][i][0], image[0].float().flip(-1))
            if kind == "dict":
                assert torch.equal(out["mask"][i][0], image[0].long().flip(-1))
        if kind == "dict":  # a class for each pixel is (B, H, W) from then on, as from samples of one size
            assert out["mask"].planar and not out["image"].planar and not out["masks"].planar
            for again in (batch, out):
                assert ga.Compose([ga.Resize((9, 7))])(again)["mask"].shape == (4, 9, 7)
            assert ga.Compose([ga.RandomHorizontalFlip()], pad_to=100)(batch)["mask"].shape == (4, 100, 100)
    same = ga.collate([torch.zeros(3, 8, 9)] * 2)
    assert same.shape == (2, 3, 8, 9)
    with pytest.raises(TypeError, match="collate: samples must be an image"):
        ga.collate([("text", 1)])


@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16, torch.float32, torch.float64], ids=str)
def test_the_buffer(dtype: torch.dtype) -> None:
    given = [image.to(dtype) for image in images(torch.uint8)[:3]]
    ragged = ga.Ragged.pack(given)
    assert ragged.sizes.tolist() == [list(size) for size in SIZES[:3]] and ragged.values.dtype == dtype
    for i, image in enumerate(given):
        flat = ragged.values[int(ragged.offsets[i]) :][: image.numel()]
        assert torch.equal(flat.view(image.shape), image) and torch.equal(ragged[i], image)
    moved = ragged.to("meta")
    assert moved.device.type == "meta" and len(moved) == 3 and moved.host == ragged.host
    again = pickle.loads(pickle.dumps(ragged))
    assert all(map(torch.equal, again, given))


def test_parameters_and_refusals() -> None:
    layer = ga.Compose([ga.RandomHorizontalFlip(), ga.Resize(20)], seed=0)
    given = images()
    _, params = layer(given, return_params=True)
    assert "60x70, 80x64, 51x99" in repr(params) and params[[3, 0]].canvas == (SIZES[3], SIZES[0])
    assert params.geometry.canvas == ((20, 23), (25, 20), (20, 23), (20, 38))
    assert [o.shape for o in layer.replay([given[3], given[0]], params[[3, 0]])] == [(3, 20, 38), (3, 20, 23)]
    with pytest.raises(ValueError, match="params were drawn for 4 samples"):
        layer.replay(given[:2], params)
    assert pickle.loads(pickle.dumps(params)).canvas == params.canvas
    assert "their own sizes" in layer.explain(given)
    for transform, message in (
        (ga.RandomRotate90(), "the canvas must be square"),
        (ga.RandomRotation(10, expand=True), "expand needs images of one size"),
        (ga.ElasticTransform(), "ElasticTransform: images must have one size"),
        (ga.RandomCrop(62), r"the padded image must be at least \(62, 62\)"),
        (ga.GaussianBlur(121), "images must be larger than half the kernel"),
    ):
        with pytest.raises(ValueError, match=message):
            transform(given)
    with pytest.raises(ValueError, match="Compose: mask must be a list or a Ragged of the sizes of the images"):
        layer({"image": given, "mask": [torch.zeros(4, 4)] * 4})
    evaluated = ga.Compose([ga.RandomHorizontalFlip()]).eval()
    assert all(map(torch.equal, evaluated(given), given))


@pytest.mark.parametrize(
    "judge", [lambda: ga.CopyPaste(p=1.0), lambda: ga.BBoxSafeRandomCrop(p=1.0), lambda: ga.RandomIoUCrop()]
)
def test_masks_of_larger_images_beside_what_looks_at_objects(judge: Any) -> None:
    """What looks at objects on a canvas smaller than an image has no use for the mask, which is not there yet."""
    sizes = [(72, 96), (80, 60)]
    samples = [
        {
            "image": torch.randint(256, (3, h, w), dtype=torch.uint8),
            "mask": torch.full((h, w), 3, dtype=torch.uint8),
            "boxes": torch.tensor([[10.0, 12.0, 40.0, 50.0]]),
            "masks": torch.ones((1, h, w), dtype=torch.uint8),
        }
        for h, w in sizes
    ]
    out = ga.Compose([ga.LetterBox((48, 52)), judge(), ga.Resize((40, 44))], seed=0)(ga.collate(samples))
    assert out["image"].shape == (2, 3, 40, 44) and out["mask"].shape == (2, 40, 44)
    assert (out["mask"] == 3).any()
