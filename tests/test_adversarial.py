"""What small wrong changes to the library left unseen, and what they were found beside."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from ways import both

import gpuaug as ga
from gpuaug.geometry import bend
from gpuaug.render.values import ValueRange, to_unit
from gpuaug.testing import example

H, W = 48, 66


def erased(batch: int, **more: Any) -> tuple[ga.Compose, Tensor]:
    """A pipeline that erases and flips, and where (B, H, W) it does so before the flip."""
    drop = ga.CoarseDropout((4, 6), (3, 9), (3, 9), fill_mask=9, p=1.0)
    alone = ga.Compose([drop], seed=4)(torch.ones(batch, 1, H, W))[:, 0] == 0
    return ga.Compose([drop, ga.RandomHorizontalFlip(p=1.0)], seed=4, **more), alone


@pytest.mark.parametrize("step", [1, 2, 3])
@pytest.mark.parametrize("index", [False, True], ids=["rows", "index map"])
def test_masks_at_a_fraction_are_filled_at_their_centres(step: int, index: bool) -> None:
    """A pixel of a mask is filled where the pixel of the image at its centre, or right below it, is replaced."""
    layer, where = erased(3)
    at = where[:, step // 2 :: step, step // 2 :: step]
    planes = torch.arange(3 * (H // step) * (W // step)).view(3, H // step, W // step) % 5 + 1
    masks = planes if index else torch.stack((planes, planes + 7), dim=1)
    boxes = torch.tensor([4.0, 4.0, 30.0, 30.0]).expand(3, 5 if index else 2, 4)
    given = {"image": torch.ones(3, 1, H, W), "mask": planes, "masks": masks, "boxes": boxes}
    out = layer(given)
    assert torch.equal(out["mask"], torch.where(at, 9, planes).flip(-1))
    assert torch.equal(out["masks"], (masks * ~(at if index else at[:, None])).flip(-1)) and at.any()


def test_what_is_erased_is_no_padding() -> None:
    layer, _ = erased(2, roles={"padding_mask": "mask"})
    padding = torch.zeros(2, H, W, dtype=torch.bool)
    padding[:, 40:, :50] = True
    out = layer({"image": torch.ones(2, 1, H, W), "padding_mask": padding, "mask": padding.long()})
    assert torch.equal(out["padding_mask"], padding.flip(-1)) and (out["mask"] == 9).any()


def test_a_crop_keeps_the_boxes_of_all_frames_of_its_clip() -> None:
    """After a flip of some clips; each frame has a box at another place, and clips have other ones."""
    x = torch.tensor([[2.0, 10, 20], [30, 33, 36], [40, 50, 60], [5, 25, 45]])
    boxes = torch.stack((x, x / 2 + 2, x + 4, x / 2 + 9), dim=-1)[:, :, None]  # (4, 3, 1, 4)
    layer = ga.Compose([ga.RandomHorizontalFlip(), ga.BBoxSafeRandomCrop(0.0)], seed=1)
    for _ in range(6):
        out, params = layer({"image": torch.zeros(4, 3, 1, H, W), "boxes": boxes}, return_params=True)
        assert out["valid"].all()
        size = (boxes[..., 2:] - boxes[..., :2]) * params.matrix[:, [0, 1], [0, 1]].abs()[:, None, None]
        assert ((out["boxes"][..., 2:] - out["boxes"][..., :2]) - size).abs().max() < 1e-2  # nothing is cut off


def test_a_crop_on_the_mask_sees_every_frame_of_its_clip() -> None:
    """One frame of each clip has one region, which the crop must meet, after a flip of some clips."""
    mask = torch.zeros(4, 3, H, W, dtype=torch.int64)
    for b in range(4):
        mask[b, (b * 2) % 3, 10 * b + 2 : 10 * b + 5, 15 * b + 2 : 15 * b + 5] = 1
    layer = ga.Compose([ga.RandomHorizontalFlip(), ga.CropNonEmptyMaskIfExists(8, 9)], seed=0)
    for _ in range(6):
        out = layer({"image": torch.zeros(4, 3, 1, H, W), "mask": mask})["mask"]
        assert (out == 1).flatten(1).any(1).all()


def test_a_crop_sees_the_boxes_of_moved_masks() -> None:
    """With rotate_method="mask": the object is a corner of its box, and the crop keeps all of what its mask is."""
    masks = torch.zeros(40, 1, H, W, dtype=torch.uint8)
    masks[:, :, 6:12, 8:14] = 1
    given = {
        "image": torch.zeros(40, 1, H, W),
        "masks": masks,
        "boxes": torch.tensor([8.0, 6, 14, 12]).expand(40, 1, 4),
    }
    layer = ga.Compose(
        [ga.RandomHorizontalFlip(p=1.0), ga.BBoxSafeRandomCrop(0.0)],
        bbox_params=ga.BboxParams(rotate_method="mask"),
        seed=1,
    )
    out, params = layer(given, return_params=True)
    scale = params.matrix[:, [0, 1], [0, 1]].abs()
    size = out["boxes"][:, 0, 2:] - out["boxes"][:, 0, :2]
    assert (size >= 6 * scale - 1.01).all() and out["valid"].all()


def test_padding_keeps_fractions_and_index_maps() -> None:
    planes = torch.arange(2 * 24 * 33).view(2, 24, 33) % 3
    boxes = torch.tensor([8.0, 8, 24, 24]).expand(2, 3, 4)
    given = {"image": example(2, (3, H, W)), "boxes": boxes, "mask": planes}
    for masks in (planes, torch.stack((planes, planes, planes + 1), dim=1)):
        out = ga.Compose([], pad_to=(60, 80), fill={"mask": 255})({**given, "masks": masks})
        assert out["masks"].shape == (*masks.shape[:-2], 30, 40) and out["mask"].shape == (2, 30, 40)
        assert torch.equal(out["masks"][..., :24, :33], masks) and torch.equal(out["mask"][:, :24, :33], planes)
        assert out["masks"].sum() == masks.sum() and (out["mask"][:, 24:] == 255).all()
    full = torch.ones(2, H, W, dtype=torch.int64)
    index = ga.Compose([], pad_to=(60, 80))({**given, "masks": full})["masks"]
    assert index.shape == (2, 60, 80) and index.sum() == full.sum()


def test_padding_takes_a_fill_for_each_channel_and_black_where_none_is_said() -> None:
    images = example(2, (3, H, W)) * 2 - 1
    several = [images[0], images[1, :, :40, :50]]
    for given in (images, several):
        padded = ga.Compose([], pad_to=(60, 80), fill=(0.1, 0.2, 0.3))(given).images
        assert torch.equal(padded[:, :, -1, -1], torch.tensor([0.1, 0.2, 0.3]).expand(2, 3))
        assert torch.equal(padded[1, :, :40, :50], images[1, :, :40, :50])
        with pytest.raises(ValueError, match=r"Compose: fill must be one number or 3 numbers, got \(1.0, 2.0\)"):
            ga.Compose([], pad_to=(60, 80), fill=(1, 2))(given)
        black = ga.Compose([], pad_to=(60, 80), value_range=((-1, -2, -3), (1, 1, 1)))(given).images
        assert torch.equal(black[:, :, -1, -1], torch.tensor([-1.0, -2.0, -3.0]).expand(2, 3))
    normal = ga.Compose([ga.Normalize((0.4,) * 3, (0.2,) * 3)], pad_to=(60, 80), value_range=(-1, 1))(images).images
    assert (normal[:, :, -1, -1] == 0).all()
    second = ga.Compose([], pad_to=(60, 80), value_range=(-1, 1), roles={"nir": "image", "depth": "dense"})
    out = second({"image": images, "nir": images, "depth": images[:, 0]})
    assert (out["nir"][:, :, -1, -1] == -1).all() and (out["depth"][:, -1, -1] == 0).all()


def test_padding_beside_clips_and_single_images_has_their_shape() -> None:
    padded = ga.Compose([], pad_to=(60, 80))(torch.zeros(2, 3, 1, H, W))
    assert padded.padding_mask.shape == (2, 3, 60, 80) and padded.sizes.tolist() == [[[H, W]] * 3] * 2
    padded = ga.Compose([], pad_to=(60, 80))(torch.zeros(3, H, W))
    assert padded.padding_mask.shape == (60, 80) and padded.sizes.tolist() == [H, W]


def test_padding_grows_about_padding_that_was_there() -> None:
    """As a key of role mask, and in DETR's pair."""
    before = torch.zeros(2, H, W, dtype=torch.bool)
    before[:, 40:] = True
    expected = torch.ones(2, 60, 80, dtype=torch.bool)
    expected[:, :40, :W] = False
    images = torch.ones(2, 1, H, W)
    named = ga.Compose([], pad_to=(60, 80), roles={"padding_mask": "mask"})
    assert torch.equal(named({"image": images, "padding_mask": before})["padding_mask"], expected)
    detr = ga.Compose([], pad_to=(60, 80), format="detr")
    (_, mask), targets = detr((images, before), [{"boxes": torch.tensor([[0.5, 0.5, 0.2, 0.2]])}] * 2)
    assert torch.equal(mask, expected)
    assert torch.allclose(targets[0]["boxes"], torch.tensor([[0.5, 0.5, 0.2, 0.2]]))  # of the image, as before


def test_channels_are_those_of_the_inputs_that_keys_name() -> None:
    images = example(2, (3, H, W))
    given = {"image": images, "nir": images[:, :1]}
    ranges: dict[str, Any] = {"roles": {"nir": "image"}}
    out = ga.Compose([ga.RandomInvert(p=1.0, keys=("image",), channels=(1, 2))], **ranges)(given)
    assert torch.equal(out["nir"], images[:, :1]) and torch.equal(out["image"][:, :1], images[:, :1])
    assert torch.allclose(out["image"][:, 1:], 1 - images[:, 1:], atol=1e-6)


RANGES = ((-1.0, -2.0, 0.0), (1.0, 2.0, 5.0))


@pytest.mark.parametrize("channels", [None, (2, 0)])
def test_each_channel_has_its_black_and_white(
    monkeypatch: pytest.MonkeyPatch, channels: tuple[int, ...] | None
) -> None:
    """Colour, a filter that clamps, and erasing, limited to channels or not: as scaled by hand."""
    black, white = (torch.tensor(side).view(3, 1, 1) for side in RANGES)
    unit = example(3, (3, H, W))
    images = unit * (white - black) + black
    for make in (
        lambda: ga.RandomGamma((60, 150), p=1.0, channels=channels),
        lambda: ga.RandomBrightnessContrast(p=1.0, channels=channels),
        lambda: ga.RandomInvert(p=1.0, channels=channels),
        lambda: ga.RandomAdjustSharpness(4.0, p=1.0, channels=channels),
    ):
        layer = ga.Compose([make()], value_range=RANGES, seed=1)
        params = layer.sample(images)
        expected = ga.Compose([make()], seed=1).replay(unit, params) * (white - black) + black
        for out in both(monkeypatch, layer, images, params):
            assert (out - expected).abs().max() < 1e-4
    value = (0.5, 1.0, 2.0)[: 3 if channels is None else 2]
    erase = ga.Compose([ga.RandomErasing(p=1.0, value=value, channels=channels)], value_range=RANGES, seed=1)
    params = erase.sample(images)
    for out in both(monkeypatch, erase, images, params):
        for i, c in enumerate(channels or (0, 1, 2)):
            changed = (out[:, c] - images[:, c]).abs() > 1e-4
            assert changed.any() and (out[:, c][changed] - value[i]).abs().max() < 1e-5
    one = ga.Compose([ga.RandomErasing(p=1.0, value=(0.5, -0.5, 0.0))], value_range=(-1, 1), seed=1)
    for out in both(monkeypatch, one, images, one.sample(images)):
        for c, number in enumerate((0.5, -0.5, 0.0)):
            changed = (out[:, c] - images[:, c]).abs() > 1e-4
            assert changed.any() and (out[:, c][changed] - number).abs().max() < 1e-5


@pytest.mark.parametrize("dtype", [torch.int16, torch.uint16], ids=str)
def test_overshoot_ends_at_the_limits_of_the_dtype(monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype) -> None:
    """Bicubic goes beyond an edge from the least to the largest value; integers must not wrap around."""
    limits = torch.iinfo(dtype)
    exact = torch.full((1, 1, H, W), limits.min, dtype=torch.int32)
    exact[:, :, :, W // 2 :] = limits.max
    images = exact.to(dtype)
    layer = ga.Compose([ga.Resize((2 * H, 2 * W), interpolation="bicubic")], value_range=(0, 1000))
    for out in both(monkeypatch, layer, images, layer.sample(images)):
        wide = out.to(torch.int32)
        assert (wide[..., : W - 4] == limits.min).all() and (wide[..., W + 4 :] == limits.max).all()
        assert (wide.diff(dim=-1)[..., W - 6 : W + 6] >= -(2**14)).all()


def test_a_field_goes_on_beyond_the_outermost_centres() -> None:
    y, x = torch.meshgrid(torch.arange(20) + 0.5, torch.arange(30) + 0.5, indexing="ij")
    field = torch.stack((0.1 * x + 0.03 * y, 0.2 * y - 0.05 * x))[None].double()
    points = torch.tensor([[[0.0, 0.0], [30.0, 20.0], [0.2, 19.9], [15.3, 7.7]]]).double()
    px, py = points.unbind(-1)
    value, jacobian = bend.sample(field, points)
    assert torch.allclose(value, torch.stack((0.1 * px + 0.03 * py, 0.2 * py - 0.05 * px), -1), atol=1e-6)
    assert torch.allclose(jacobian, torch.tensor([[0.1, 0.03], [-0.05, 0.2]]).double().expand_as(jacobian), atol=1e-6)


def test_elastic_takes_alpha_and_sigma_as_x_and_y() -> None:
    layer = ga.ElasticTransform((40.0, 0.0), (3.0, 2.0))
    field = layer.sample(torch.empty(2, 1, 40, 56))["ElasticTransform"].field
    assert field[:, 0].std() > 1 and (field[:, 1] == 0).all()
    layer = ga.ElasticTransform(40.0, (2.0, 8.0))
    field = layer.sample(torch.empty(4, 1, 80, 96))["ElasticTransform"].field
    assert field[:, 0].std() > 2 * field[:, 1].std()


def test_collate_of_one_size_keeps_the_shape_of_maps() -> None:
    samples = [
        {"image": torch.zeros(3, H, W), "mask": torch.full((H, W), i), "boxes": torch.ones(i, 4)} for i in range(3)
    ]
    batch = ga.collate(samples)
    assert batch["mask"].shape == (3, H, W) and batch["mask"][:, 0, 0].tolist() == [0, 1, 2]
    assert batch["boxes"].shape == (3, 2, 4) and batch["valid"].sum(1).tolist() == [0, 1, 2]


def test_planes_and_one_tensor_take_the_same_range() -> None:
    """What compiled pipelines compute plane by plane."""
    images = example(2, (3, 5, 6)) * 4
    black, white = (torch.tensor(side).view(3, 1, 1) for side in RANGES)
    planes = to_unit([images[:, c : c + 1] for c in range(3)], values=ValueRange(*RANGES))
    assert isinstance(planes, list)
    expected = (images - black) / (white - black)
    assert torch.allclose(torch.cat(planes, dim=1), expected, atol=1e-6)
    assert torch.allclose(torch.as_tensor(to_unit(images, values=ValueRange(*RANGES))), expected, atol=1e-6)
