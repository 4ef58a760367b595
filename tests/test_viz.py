"""Pictures show what is annotated, where it is, and nothing else; previews leave the pipeline as it was."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torchvision import tv_tensors as tvt
from torchvision.transforms.v2 import functional as tvf
from torchvision.transforms.v2.functional import pil_to_tensor

import gpuaug as ga
from gpuaug import cli
from gpuaug._draw import caption, colour, corners, fill_polygon
from gpuaug.preview import read_coco, run
from gpuaug.viz import contact_sheet, draw, lay_out, preview, save_png

H, W = 30, 44
BLACK = torch.zeros(1, 3, H, W, dtype=torch.uint8)


def painted(picture: torch.Tensor) -> torch.Tensor:
    """Return which pixels are not black."""
    return (picture != 0).any(0)


def of_colour(picture: torch.Tensor, number: int) -> torch.Tensor:
    return (picture == torch.tensor(colour(number), dtype=torch.uint8)[:, None, None]).all(0)


def frame(x0: int, y0: int, x1: int, y1: int, width: int = 1, size: tuple[int, int] = (H, W)) -> torch.Tensor:
    """Return the pixels inside a box that are at most `width` from its edge."""
    box = torch.zeros(size, dtype=torch.bool)
    box[y0:y1, x0:x1] = True
    box[y0 + width : y1 - width, x0 + width : x1 - width] = False
    return box


# --- boxes ---


@pytest.mark.parametrize("width", [1, 2, 3])
def test_a_box_is_its_edge_and_nothing_inside(width: int) -> None:
    batch = {"image": BLACK, "boxes": torch.tensor([[[5.0, 8.0, 31.0, 20.0]]])}
    (picture,) = draw(batch, line_width=width)
    assert torch.equal(of_colour(picture, 0), frame(5, 8, 31, 20, width))
    assert torch.equal(painted(picture), frame(5, 8, 31, 20, width))


@pytest.mark.parametrize(
    ("name", "numbers"),
    [
        ("coco", (6, 10, 20, 8)),
        ("cxcywh", (16, 14, 20, 8)),
        ("yolo", (16 / W, 14 / H, 20 / W, 8 / H)),
        ("albumentations", (6 / W, 10 / H, 26 / W, 18 / H)),
        ("pascal_voc", (6, 10, 26, 18)),
    ],
)
def test_boxes_in_every_format(name: str, numbers: tuple[float, ...]) -> None:
    batch = {"image": BLACK, "boxes": torch.tensor([[numbers]], dtype=torch.float32)}
    (picture,) = draw(batch, bbox_params=ga.BboxParams(format=name), scale=2, line_width=1)
    assert torch.equal(painted(picture), frame(12, 20, 52, 36, size=(2 * H, 2 * W)))


def test_rows_that_are_not_there_are_not_drawn() -> None:
    """Invalid rows, and those with NaN; the colour of a row does not depend on the others."""
    boxes = torch.tensor([[[1.0, 1, 9, 9], [12, 2, 20, 22], [float("nan")] * 4, [25, 3, 40, 28]]])
    batch = {
        "image": BLACK,
        "boxes": boxes,
        "labels": torch.arange(4)[None],
        "masks": torch.ones(1, 4, H, W, dtype=torch.bool),
        "keypoints": torch.full((1, 4, 1, 2), 5.0),
        "valid": torch.tensor([[False, False, True, False]]),
    }
    batch["keypoints"][0, 2] = float("nan")
    batch["masks"][0, 2] = False
    assert not painted(draw(batch)[0]).any()
    batch["valid"] = torch.tensor([[False, False, False, True]])
    del batch["labels"], batch["masks"], batch["keypoints"]
    (picture,) = draw(batch)
    assert torch.equal(painted(picture), frame(25, 3, 40, 28)) and of_colour(picture, 3)[3, 25]


def test_thin_and_outer_boxes_are_seen_as_far_as_they_are_in_the_picture() -> None:
    boxes = torch.tensor([[[10.2, 4.0, 10.4, 20.0], [-50.0, 12.0, 1e9, 25.0]]])
    (picture,) = draw({"image": BLACK, "boxes": boxes})
    assert of_colour(picture, 0)[5:11, 9:11].any(dim=1).all()
    assert of_colour(picture, 1)[[12, 24]].sum() >= 2 * W - 4 and not of_colour(picture, 1)[13:24].any()


def test_rotated_boxes_are_polygons_as_torchvision_has_them() -> None:
    turned = torch.tensor([[22.0, 15.0, 20.0, 8.0, 30.0], [14.0, 15.0, 6.0, 18.0, -70.0]])
    given = tvt.BoundingBoxes(turned, format="CXCYWHR", canvas_size=(H, W))
    quads = tvf.convert_bounding_box_format(given, new_format="XYXYXYXY").as_subclass(torch.Tensor)
    torch.testing.assert_close(corners(turned).flatten(-2), quads, atol=1e-4, rtol=0)
    for boxes, params in (
        (turned[:1], None),
        (quads[:1], None),
        (turned[:1], ga.BboxParams(format="cxcywhr")),
        (quads[:1], ga.BboxParams(format="xyxyxyxy")),
    ):
        (picture,) = draw({"image": BLACK, "boxes": boxes[None]}, scale=4, line_width=2, bbox_params=params)
        inside = fill_polygon(quads[0].view(4, 2) * 4, 4 * H, 4 * W)
        middle = torch.tensor([22.0, 15.0])
        core = fill_polygon(((quads[0].view(4, 2) - middle) * 0.6 + middle) * 4, 4 * H, 4 * W)
        seen = painted(picture)
        assert not seen[core].any() and (seen & ~inside).sum() <= 4, "inside the edge, and nowhere else"
        for k in range(4):  # half-way along each side, a pixel inwards
            x, y = (quads[0].view(4, 2)[k] + quads[0].view(4, 2)[(k + 1) % 4]) / 2 * 4 * 1.0
            step = middle * 4 - torch.stack((x, y))
            x, y = torch.stack((x, y)) + step / step.norm()
            assert seen[int(y), int(x)]


def test_names_of_classes() -> None:
    batch = {"image": BLACK, "boxes": torch.tensor([[[12.0, 14, 40, 28]]]), "labels": torch.tensor([[1]])}
    (named,) = draw(batch, class_names=["cat", "dog"])
    (other,) = draw(batch, class_names={1: "cat"})
    (number,) = draw(batch)
    (missing,) = draw(batch, class_names={2: "cat"})
    assert not torch.equal(named, other) and torch.equal(missing, number)
    ground = of_colour(named, 0) & ~frame(12, 14, 40, 28)
    rows, columns = ground.nonzero().unbind(1)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (7, 13, 12, 12 + 4 * 3)
    ink = caption("dog", 2 * 13)[0, ::2, ::2] == 0
    assert torch.equal(ink, ~of_colour(named, 0)[7:14, 12:25])
    top = draw({**batch, "boxes": torch.tensor([[[40.0, 0, 44, 28]]])}, class_names=["cat", "dog"])[0]
    assert of_colour(top, 0)[0, W - 13 : W].all(), "moved into the picture"


# --- masks ---


def test_a_tint_is_exactly_on_the_mask() -> None:
    image = torch.randint(0, 256, (2, 3, H, W), dtype=torch.uint8)
    mask = torch.zeros(2, H, W, dtype=torch.int64)
    mask[0, 4:9, 3:30], mask[0, 20:, 40:], mask[1, 2:5, :7], mask[1, 9, 9] = 1, 2, 255, -1
    pictures = draw({"image": image, "mask": mask}, opacity=0.25)
    inks = {1: colour(0), 2: colour(1), 255: (128, 128, 128), -1: (128, 128, 128)}
    expected = image.clone()
    for number, ink in inks.items():
        blend = (0.75 * image.double() + 0.25 * torch.tensor(ink).view(3, 1, 1)).round().to(torch.uint8)
        expected = torch.where(mask[:, None] == number, blend, expected)
    difference = torch.stack(pictures).int() - expected.int()
    assert difference.abs().max() <= 1 and (difference * (mask == 0)[:, None] == 0).all()
    assert (draw({"image": image, "mask": mask}, opacity=1.0)[0][:, 5, 5] == torch.tensor(colour(0))).all()


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.float32])
def test_masks_of_objects(dtype: torch.dtype) -> None:
    masks = torch.zeros(1, 2, H, W, dtype=torch.bool)
    masks[0, 0, 3:12, 4:20], masks[0, 1, 15:, 30:] = True, True
    (picture,) = draw({"image": BLACK, "masks": masks.to(dtype)}, opacity=1.0, scale=2)
    large = masks[0].repeat_interleave(2, 1).repeat_interleave(2, 2)
    assert torch.equal(of_colour(picture, 0), large[0]) and torch.equal(of_colour(picture, 1), large[1])
    assert torch.equal(painted(picture), large.any(0))


def test_index_maps_of_another_resolution() -> None:
    index = torch.zeros(1, H // 2, W // 2, dtype=torch.uint8)
    index[0, 2:6, 3:9], index[0, 8:, 15:] = 1, 2
    boxes = torch.tensor([[[0.0, 0, 3, 3], [0.0, 0, 3, 3]]])
    batch = {"image": BLACK, "boxes": boxes, "masks": index, "valid": torch.tensor([[False, True]])}
    (picture,) = draw(batch, opacity=1.0)
    picture[:, :3, :3] = 0
    assert torch.equal(of_colour(picture, 1), (index[0] == 2).repeat_interleave(2, 0).repeat_interleave(2, 1))
    assert not of_colour(picture, 0).any()


def test_polygons_are_filled_where_pixels_have_their_centre_inside() -> None:
    assert torch.equal(fill_polygon(torch.tensor([[3.0, 2], [9, 2], [9, 7], [3, 7]]), H, W), frame(3, 2, 9, 7, 9))
    assert torch.equal(fill_polygon(torch.tensor([[2.6, 2], [9.4, 2], [9.4, 7], [2.6, 7]]), H, W), frame(3, 2, 9, 7, 9))
    assert torch.equal(fill_polygon(torch.tensor([[-5.0, 2], [99, 2], [99, 7], [-5, 7]]), H, W), frame(0, 2, W, 7, 9))
    angle = torch.arange(300) / 300 * 6.283185307
    circle = torch.stack((20.3 + 9 * angle.cos(), 14.6 + 9 * angle.sin()), dim=-1)
    y, x = torch.meshgrid(torch.arange(H) + 0.5, torch.arange(W) + 0.5, indexing="ij")
    distance = torch.hypot(x - 20.3, y - 14.6)
    found = fill_polygon(circle, H, W)
    assert found[distance < 8.98].all() and not found[distance > 9].any()


# --- keypoints ---


def test_keypoints_are_discs_rings_or_nothing() -> None:
    points = torch.tensor([[[[10.5, 9.5], [30.5, 8.5], [20.5, 20.5]]]])
    batch = {"image": BLACK + 200, "keypoints": points, "visible": torch.tensor([[[2, 1, 0]]])}
    (picture,) = draw(batch, line_width=1)
    y, x = torch.meshgrid(torch.arange(H) + 0.5, torch.arange(W) + 0.5, indexing="ij")
    first, second = (torch.hypot(x - px, y - py) for px, py in ((10.5, 9.5), (30.5, 8.5)))
    assert torch.equal(of_colour(picture, 0), first <= 2.5)
    assert torch.equal(of_colour(picture, 1), (second <= 2.5) & (second >= 1.5)), "hidden: a ring"
    changed = (picture != 200).any(0)
    assert torch.equal(changed, (first <= 3.5) | ((second <= 3.5) & (second >= 0.5))), (
        "and a rim; the third is not there"
    )


def test_keypoints_alone_and_at_pixel_centres() -> None:
    batch = {"image": BLACK, "keypoints": torch.tensor([[[10.0, 9.0], [float("nan"), 3.0]]])}
    (picture,) = draw(batch, keypoint_params=ga.KeypointParams(origin="center"), line_width=1, scale=3)
    rows, columns = of_colour(picture, 0).nonzero().unbind(1)
    centre = (rows.double().mean() + 0.5, columns.double().mean() + 0.5)
    assert centre == (9.5 * 3, 10.5 * 3) and not of_colour(picture, 1).any()


def test_skeletons_join_what_is_visible() -> None:
    points = torch.tensor([[[[4.5, 10.5], [24.5, 10.5], [24.5, 26.5]]]])
    batch = {"image": BLACK, "keypoints": points, "visible": torch.tensor([[[2, 1, 0]]])}
    (picture,) = draw(batch, skeleton=[(0, 1), (1, 2)], line_width=1)
    line = of_colour(picture, 0)[10, 9:20]
    assert line.all() and not painted(picture)[15:].any() and not painted(picture)[[9, 11], 9:20].any()
    with pytest.raises(ValueError, match=r"skeleton must be pairs of numbers below 3, got \(1, 3\)"):
        draw(batch, skeleton=[(1, 3)])


# --- structures ---


def test_structures_of_torchvision_and_yolox() -> None:
    box = torch.tensor([[6.0, 10.0, 26.0, 18.0]])
    expected = frame(6, 10, 26, 18)
    targets = [{"boxes": box}, {"boxes": torch.zeros(0, 4)}]
    pictures = draw([BLACK[0], BLACK[0]], targets)
    assert torch.equal(painted(pictures[0]), expected) and not painted(pictures[1]).any()
    sample = {"img": tvt.Image(BLACK[0]), "b": tvt.BoundingBoxes(box, format="XYXY", canvas_size=(H, W))}
    assert torch.equal(painted(draw(sample)[0]), expected)
    rows = torch.tensor([[[3.0, 16.0, 14.0, 20.0, 8.0], [0, 0, 0, 0, 0]]])
    (picture,) = draw(BLACK, rows, format="yolox", class_names={3: ""})
    assert torch.equal(of_colour(picture, 0)[12:], expected[12:])


def test_images_of_several_sizes() -> None:
    images = [BLACK[0], BLACK[0, :, :20, :25]]
    boxes = torch.tensor([[[6.0, 10.0, 26.0, 18.0]], [[2.0, 3.0, 9.0, 11.0]]])
    masks = [torch.zeros(1, *image.shape[1:]) for image in images]
    masks[1][0, 15:, 20:] = 1
    given = {"image": images, "boxes": boxes, "masks": ga.Ragged.pack(masks)}
    first, second = draw(given, opacity=1.0)
    assert torch.equal(painted(first), frame(6, 10, 26, 18))
    expected = frame(2, 3, 9, 11, size=(20, 25))
    expected[15:, 20:] = True
    assert torch.equal(painted(second), expected)
    sheet = preview(ga.RandomHorizontalFlip(p=1.0), given, copies=1, opacity=1.0)
    assert sheet.shape == (3, 2 * (H + 2) + 2, 2 * (W + 2) + 2)
    assert torch.equal(painted(cell(sheet, 1, 1, H, W))[5:25, 9:34], expected.flip(-1))


def test_clips_are_drawn_frame_by_frame() -> None:
    boxes = torch.tensor([[[[2.0, 2, 9, 9]], [[12.0, 2, 19, 9]]]])
    first, second = draw({"image": BLACK[None].expand(1, 2, -1, -1, -1), "boxes": boxes})
    assert torch.equal(painted(first), frame(2, 2, 9, 9)) and torch.equal(painted(second), frame(12, 2, 19, 9))


def test_what_is_given_stays_as_it_is() -> None:
    batch = {"image": BLACK.clone(), "boxes": torch.tensor([[[2.0, 2, 9, 9]]]), "mask": torch.ones(1, H, W)}
    before = {key: value.clone() for key, value in batch.items()}
    draw(batch)
    assert all(torch.equal(batch[key], before[key]) for key in batch)


# --- values ---

MEAN, STD = (0.1, 0.5, 0.9), (0.2, 0.3, 0.4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16])
def test_normalized_images_look_as_before(photos: torch.Tensor, dtype: torch.dtype) -> None:
    photos = photos[:, :, ::2, ::2]
    normalized = ga.Normalize(MEAN, STD, dtype=dtype)(photos)
    shown = torch.stack(draw(normalized, mean=MEAN, std=STD))
    assert (shown.int() - photos.cpu().int()).abs().max() <= 1
    guessed = torch.stack(draw(normalized)).double()
    for before, after in zip(photos.cpu().double(), guessed, strict=True):
        for channel in range(3):
            both = torch.stack((before[channel].flatten(), after[channel].flatten()))
            assert torch.corrcoef(both)[0, 1] > 0.97
    assert guessed.min() == 0 and guessed.max() == 255


def test_every_dtype_means_the_same(photos: torch.Tensor) -> None:
    photos = photos[:, :, ::2, ::2].cpu()
    wide = photos.to(torch.int32)
    scaled: list[tuple[torch.Tensor, Any]] = [
        (photos, None),
        (photos.float() / 255, None),
        (photos.double() / 255, None),
        ((wide * 257).to(torch.uint16), None),
        ((wide * 8 - 1000).to(torch.int16), (-1000, 1040)),
        (photos.float() * 3 - 5, ((-5, -5, -5), (760, 760, 760))),
    ]
    for images, values in scaled:
        shown = torch.stack(draw(images, value_range=values))
        assert (shown.int() - wide).abs().max() <= 1, images.dtype
    for images in (photos.half() / 255, photos.bfloat16() / 255):
        assert (torch.stack(draw(images)).int() - wide).abs().max() <= 1


def test_unusual_values_are_stretched() -> None:
    ramp = torch.linspace(-1000, 3000, H * W).view(1, 1, H, W)
    for image in (ramp.to(torch.int16), ramp):
        (picture,) = draw(image)
        assert picture.min() == 0 and picture.max() == 255
        assert abs(int(picture[0].float().median()) - 127) <= 1
        assert (picture.float().diff(dim=2) >= 0).all()
    ramp[0, 0, 0, :3] = torch.tensor([float("nan"), float("inf"), 1e30])
    assert draw(ramp)[0][:, 0, :3].tolist() == [[0, 255, 255]] * 3, "a few outliers do not change the scale"
    assert abs(int(draw(ramp)[0][0].float().median()) - 127) <= 1
    assert draw(torch.full((1, 1, 2, 3), 7.0))[0].eq(0).all() and draw(torch.full((1, 1, 2, 3), float("nan")))


@pytest.mark.parametrize(
    ("channels", "kept"), [(1, [0, 0, 0]), (2, [0, 0, 0]), (3, [0, 1, 2]), (4, [0, 1, 2]), (7, [0, 1, 2])]
)
def test_channels(channels: int, kept: list[int]) -> None:
    images = torch.randint(0, 256, (2, channels, 5, 6), dtype=torch.uint8)
    assert torch.equal(torch.stack(draw(images)), images[:, kept])
    mean, std = [0.1 * c for c in range(channels)], [0.5 + 0.1 * c for c in range(channels)]
    normalized = (images / 255 - torch.tensor(mean).view(-1, 1, 1)) / torch.tensor(std).view(-1, 1, 1)
    assert torch.equal(torch.stack(draw(normalized, mean=mean, std=std)), images[:, kept])


# --- layout ---


def test_a_sheet_places_and_enlarges() -> None:
    images = torch.arange(5, dtype=torch.uint8).view(5, 1, 1, 1).expand(5, 1, 4, 6) * 10
    sheet = contact_sheet(images, columns=3, scale=2)
    assert sheet.shape == (3, 2 * (8 + 2) + 2, 3 * (12 + 2) + 2) and sheet.dtype == torch.uint8
    assert (sheet[:, 2:10, 2:14] == 0).all() and (sheet[:, 2:10, 16:28] == 10).all()
    assert (sheet[:, 12:20, 2:14] == 30).all()
    assert (sheet[:, 12:20, 30:] == 255).all(), "the tile that is missing stays paper"


def test_captions() -> None:
    sheet = contact_sheet(torch.zeros(2, 3, 8, 40), columns=1, captions=["Ab 1", "a caption too long for its tile"])
    assert sheet.shape == (3, 2 * (8 + 14 + 2) + 2, 44)
    assert (sheet[:, 10:24] == 0).any() and (sheet[:, 10:24] == 255).any()


def test_tiles_of_several_sizes_stand_in_the_middle() -> None:
    tiles = [torch.zeros(3, 4, 10, dtype=torch.uint8), torch.zeros(3, 8, 2, dtype=torch.uint8)]
    sheet = lay_out(tiles, 2)
    assert sheet.shape == (3, 8 + 4, 2 * 12 + 2)
    black = torch.zeros(12, 26, dtype=torch.bool)
    black[4:8, 2:12], black[2:10, 18:20] = True, True
    assert torch.equal(sheet[0] == 0, black)


def test_large_pictures_are_made_smaller_with_what_is_on_them() -> None:
    image = torch.zeros(1, 3, 100, 200)
    mask = torch.zeros(1, 100, 200)
    mask[0, 40:80, 100:140] = 1
    mask[0, 2, 46] = 1  # the nearest to the centre of a pixel that is left
    batch = {"image": image, "boxes": torch.tensor([[[20.0, 30, 180, 90]]]), "mask": mask}
    (picture,) = draw(batch, max_size=50, opacity=1.0, line_width=1)
    assert picture.shape == (3, 25, 50)
    filled = torch.zeros(25, 50, dtype=torch.bool)
    filled[10:20, 25:35] = True
    filled[0, 11] = True
    edge = torch.zeros(25, 50, dtype=torch.bool)
    edge[8:22, 5:45] = True
    edge[9:21, 6:44] = False
    assert torch.equal(painted(picture), filled | edge), "30 / 4 and 90 / 4 go to the even neighbour"


@pytest.mark.parametrize(
    ("images", "arguments", "message"),
    [
        (torch.zeros(4, 4), {}, "images must have shape"),
        (torch.zeros(0, 3, 4, 4), {}, "at least one image"),
        (torch.zeros(1, 3, 4, 4, dtype=torch.int32), {}, "images must have one of the dtypes"),
        (torch.zeros(1, 3, 4, 4), {"columns": 0}, "columns must be at least 1"),
        (torch.zeros(1, 3, 4, 4), {"scale": 0}, "scale and max_size must be at least 1"),
        (torch.zeros(1, 3, 4, 4), {"max_size": 0}, "scale and max_size must be at least 1"),
        (torch.zeros(1, 3, 4, 4), {"opacity": 1.5}, "opacity must be between 0 and 1, got 1.5"),
        (torch.zeros(1, 3, 4, 4), {"line_width": 0}, "line_width must be at least 1"),
        (torch.zeros(1, 3, 4, 4), {"captions": []}, "one per image"),
        (torch.zeros(1, 3, 4, 4), {"mean": (0.5,)}, "given together"),
        (torch.zeros(1, 3, 4, 4), {"mean": (0.5,) * 2, "std": (0.5,) * 2}, "mean must have 1 or 3 numbers"),
        (torch.zeros(1, 3, 4, 4, dtype=torch.uint8), {"mean": (0.5,), "std": (0.5,)}, "normalized float images"),
        (torch.zeros(1, 3, 4, 4), {"value_range": (1, 0)}, "black below white"),
    ],
)
def test_sheets_refuse(images: torch.Tensor, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        contact_sheet(images, **arguments)


def test_save_png_keeps_every_pixel(tmp_path: Path) -> None:
    picture = torch.randint(0, 256, (3, 7, 5), dtype=torch.uint8)
    save_png(picture, tmp_path / "new folder" / "picture.png")
    assert torch.equal(pil_to_tensor(Image.open(tmp_path / "new folder" / "picture.png")), picture)


# --- previews of a pipeline ---


def cell(sheet: torch.Tensor, row: int, column: int, height: int, width: int, strip: int = 0) -> torch.Tensor:
    top, left = 2 + row * (height + strip + 2), 2 + column * (width + 2)
    return sheet[:, top : top + height, left : left + width]


def test_a_preview_shows_originals_beside_the_next_draws(photos: torch.Tensor) -> None:
    photos = photos[:, :, ::3, ::3].cpu()
    height, width = photos.shape[2:]
    augment = ga.Compose(
        [ga.RandomAffine(20, (0.1, 0.1)), ga.ColorJitter(0.5), ga.Normalize(MEAN, STD)],
        seed=3,
        bbox_params=ga.BboxParams(format="coco"),
    )
    batch = {"image": photos, "boxes": torch.tensor([[[10.0, 20.0, 30.0, 15.0]]] * 4)}
    sheet = preview(augment, batch, copies=2)
    assert sheet.shape == (3, 4 * (height + 2) + 2, 3 * (width + 2) + 2)
    assert torch.equal(sheet, preview(augment, batch, copies=2)), "the clock is where it was"
    augment.eval()
    assert torch.equal(sheet, preview(augment, batch, copies=2))
    augment.train()
    out = augment(batch)
    drawn = draw(out, mean=MEAN, std=STD, bbox_params=ga.BboxParams(format="coco"))
    originals = draw(batch, bbox_params=ga.BboxParams(format="coco"))
    for row in range(4):
        assert torch.equal(cell(sheet, row, 0, height, width), originals[row])
        assert torch.equal(cell(sheet, row, 1, height, width), drawn[row]), "the first copy is the next call's"
        assert not torch.equal(cell(sheet, row, 2, height, width), drawn[row])
    assert (originals[0][:, 20, 10:40].T == torch.tensor(colour(0))).all()


def test_a_preview_of_changed_sizes_value_ranges_and_clips() -> None:
    augment = ga.Compose([ga.CenterCrop((10, 12))], value_range=(-1000, 1000))
    image = torch.randint(-1000, 1001, (2, 1, 14, 20), dtype=torch.int16)
    sheet = preview(augment, image, copies=1, captions=["a", "b"])
    assert sheet.shape == (3, 2 * (14 + 14 + 2) + 2, 2 * 22 + 2)
    expected = ((image[1, 0].double() + 1000) / 2000 * 255).round().to(torch.uint8)
    assert torch.equal(cell(sheet, 1, 0, 14, 20, 14)[0], expected)
    small = cell(sheet, 1, 1, 14, 20, 14)[:, 2:12, 4:16]
    assert torch.equal(small[0], expected[2:12, 4:16])
    clip = torch.rand(1, 3, 3, 8, 10)
    assert preview(ga.RandomHorizontalFlip(), clip, copies=1).shape == (3, 3 * 10 + 2, 2 * 12 + 2)


def test_a_preview_of_rotated_and_converted_boxes() -> None:
    turned = torch.tensor([[[16.0, 13.0, 20.0, 8.0, 30.0]]])
    flip = ga.RandomHorizontalFlip(p=1.0)
    augment = ga.Compose([flip], bbox_params=ga.BboxParams(format="cxcywhr"))
    sheet = preview(augment, {"image": BLACK, "boxes": turned}, copies=1)
    mirrored = torch.tensor([[[W - 16.0, 13.0, 20.0, 8.0, -30.0]]])
    seen, expected = (painted(x) for x in (cell(sheet, 0, 1, H, W), draw({"image": BLACK, "boxes": mirrored})[0]))
    assert expected.sum() > 40 and (seen ^ expected).sum() <= 4, "rounding apart"
    converted = ga.Compose([flip, ga.ConvertBoundingBoxFormat("CXCYWH")])
    sheet = preview(converted, {"image": BLACK, "boxes": torch.tensor([[[6.0, 10, 26, 18]]])}, copies=1)
    assert torch.equal(painted(cell(sheet, 0, 1, H, W)), frame(W - 26, 10, W - 6, 18))


def test_previews_refuse() -> None:
    images = torch.zeros(2, 3, 4, 5)
    with pytest.raises(TypeError, match="augment must be a gpuaug transform, got Identity"):
        preview(torch.nn.Identity(), images)
    with pytest.raises(ValueError, match="copies must be at least 1, got 0"):
        preview(ga.RandomHorizontalFlip(), images, copies=0)
    with pytest.raises(ValueError, match=r"captions must be one per sample \(2\), got 1"):
        preview(ga.RandomHorizontalFlip(), images, captions=["a"])


# --- the command ---

POLICY = "import gpuaug as ga\naugment = ga.Compose([ga.RandomHorizontalFlip(p=1.0)], seed=0)\n"


@pytest.fixture
def files(tmp_path: Path, photos: torch.Tensor) -> Path:
    """A folder with two photographs of different sizes, a pipeline and a COCO file."""
    save_png(photos[0], tmp_path / "one.png")
    save_png(photos[1, :, :100, :90], tmp_path / "two.png")
    (tmp_path / "policy.py").write_text(POLICY)
    box = {"image_id": 7, "category_id": 5, "bbox": [20, 30, 50, 40], "iscrowd": 0}
    things = [
        {**box, "segmentation": [[20, 30, 70, 30, 70, 70, 20, 70]], "keypoints": [25, 50, 2, 60, 50, 1, 0, 0, 0]},
        {**box, "bbox": [100, 10, 20, 20], "segmentation": {"counts": [0], "size": [1, 1]}},
        {**box, "bbox": [0, 0, 160, 120], "iscrowd": 1},
    ]
    coco = {
        "images": [
            {"id": 7, "file_name": "train/one.png", "height": 120, "width": 160},
            {"id": 8, "file_name": "two.png"},
        ],
        "annotations": things,
        "categories": [{"id": 5, "name": "cat", "skeleton": [[1, 2]]}],
    }
    (tmp_path / "coco.json").write_text(json.dumps(coco))
    return tmp_path


def test_the_command_writes_a_sheet(files: Path, photos: torch.Tensor, capsys: pytest.CaptureFixture[str]) -> None:
    out = files / "new" / "sheet.png"
    argv = ["preview", str(files / "one.png"), str(files / "two.png"), "--policy", str(files / "policy.py")]
    assert cli.main([*argv, "--copies", "2", "--out", str(out)]) == 0
    assert capsys.readouterr().out.strip() == str(out.resolve())
    sheet = pil_to_tensor(Image.open(out))
    assert sheet.shape == (3, 2 * (120 + 14 + 2) + 2, 3 * (160 + 2) + 2)
    one, two = photos.cpu()[0], photos.cpu()[1, :, :100, :90]
    assert torch.equal(cell(sheet, 0, 0, 120, 160, 14), one)
    assert torch.equal(cell(sheet, 0, 2, 120, 160, 14), one.flip(-1))
    assert torch.equal(cell(sheet, 1, 1, 120, 160, 14)[:, 10:110, 35:125], two.flip(-1))
    assert (sheet[:, 122:136, 2:162] == 0).any() and (sheet[:, 122:136, 164:] == 255).all(), "the name of the file"


def test_the_command_draws_annotations(files: Path, photos: torch.Tensor) -> None:
    sheet = run(
        [files / "one.png", files / "two.png"],
        policy=files / "policy.py",
        out=files / "sheet.png",
        copies=1,
        annotations=files / "coco.json",
    )
    known = read_coco(files / "coco.json")
    masks = torch.zeros(1, 2, 120, 160)
    masks[0, 0, 30:70, 20:70] = 1
    batch = {
        "image": photos[:1].cpu(),
        "boxes": torch.tensor([[[20.0, 30, 70, 70], [100, 10, 120, 30]]]),
        "labels": torch.tensor([[5, 5]]),
        "masks": masks,
        "keypoints": torch.tensor([[[[25.0, 50], [60, 50], [0, 0]], [[0, 0]] * 3]]),
        "visible": torch.tensor([[[2, 1, 0], [0, 0, 0]]]),
    }
    assert known.class_names == {5: "cat"} and known.skeleton == ((0, 1),)
    names = {"class_names": known.class_names, "skeleton": known.skeleton}
    assert torch.equal(cell(sheet, 0, 0, 120, 160, 14), draw(batch, **names)[0])
    mirrored = ga.RandomHorizontalFlip(p=1.0)(batch)
    assert torch.equal(cell(sheet, 0, 1, 120, 160, 14), draw(mirrored, **names)[0])
    assert torch.equal(cell(sheet, 1, 0, 120, 160, 14)[:, 10:110, 35:125], photos[1, :, :100, :90].cpu()), "no objects"


def test_the_command_takes_a_seed_a_size_and_functions(files: Path) -> None:
    (files / "helper.py").write_text("from gpuaug import RandomAffine\n")
    (files / "policy.py").write_text(
        "from helper import RandomAffine\ndef policy(degrees=40):\n    return RandomAffine(degrees, (0.2, 0.2))\n"
    )
    before = list(sys.path)

    def sheet(seed: int) -> torch.Tensor:
        images = [files / "one.png", files / "one.png"]
        return run(images, policy=files / "policy.py", out=files / "s.png", copies=2, seed=seed, size=80)

    first = sheet(1)
    assert sys.path == before
    assert first.shape == (3, 2 * (60 + 14 + 2) + 2, 3 * 82 + 2)
    assert torch.equal(first, sheet(1)) and not torch.equal(first, sheet(2))
    shown = [cell(first, row, column, 60, 80, 14) for row in range(2) for column in (1, 2)]
    assert all(not torch.equal(a, b) for i, a in enumerate(shown) for b in shown[:i]), "each draw is another"


def test_the_command_reads_gray_turned_and_transparent_images(files: Path) -> None:
    wide = torch.arange(6 * 8, dtype=torch.int32).view(6, 8) * 1000
    Image.fromarray(wide.to(torch.uint16).numpy()).save(files / "deep.png")
    sheet = run([files / "deep.png"], policy=files / "policy.py", out=files / "s.png", copies=1)
    assert torch.equal(cell(sheet, 0, 1, 6, 8, 14)[0].int(), (wide / 257).round().int().flip(-1))
    Image.fromarray(torch.full((6, 8), 99, dtype=torch.uint8).numpy()).convert("RGBA").save(files / "clear.png")
    sheet = run([files / "clear.png"], policy=files / "policy.py", out=files / "s.png", copies=1)
    assert (cell(sheet, 0, 0, 6, 8, 14) == 99).all()
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    Image.fromarray(torch.zeros(6, 8, 3, dtype=torch.uint8).numpy()).save(files / "turned.png", exif=exif)
    sheet = run([files / "turned.png"], policy=files / "policy.py", out=files / "s.png", copies=1)
    assert sheet.shape == (3, 8 + 14 + 4, 2 * (6 + 2) + 2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"one.png": None}, "one.png: no such file"),
        ({"one.png": "no image"}, "one.png: not an image that can be read"),
        ({"policy.py": None}, "policy.py: no such file"),
        ({"policy.py": "transform = 1"}, "policy.py: must define a pipeline named augment or policy, got neither"),
        ({"policy.py": "augment = 1"}, "augment must be a gpuaug transform, got int"),
        ({"policy.py": "def policy(size): pass"}, "policy() must take no arguments, got size"),
        ({"policy.py": "def policy(): pass"}, "policy must be a gpuaug transform, got NoneType"),
        ({"policy.py": "import gpuaug\naugment = gpuaug.RandomCrop(500)"}, "does not take"),
        ({"coco.json": None}, "coco.json: no such file"),
        ({"coco.json": "[1"}, "coco.json: not a JSON file"),
        ({"coco.json": "[1]"}, "coco.json: not a COCO file"),
        ({"coco.json": '{"images": [{"id": 1}], "annotations": []}'}, "not a COCO file (KeyError: 'file_name')"),
        ({"coco.json": '{"images": [], "annotations": []}'}, "must have one image one.png, got none"),
        (
            {"coco.json": '{"images": [{"id": 1, "file_name": "one.png", "width": 9}], "annotations": []}'},
            "one.png is 9xNone there, but the file is 160x120",
        ),
        (
            {
                "coco.json": '{"images": [{"id": 1, "file_name": "one.png"}],'
                ' "annotations": [{"image_id": 1, "category_id": 1}]}'
            },
            "annotations of one.png cannot be read",
        ),
        ({"sheet.png/": ""}, "sheet.png: cannot be written"),
    ],
)
def test_the_command_says_what_is_wrong(
    files: Path, change: dict[str, str | None], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, text in change.items():
        if name.endswith("/"):
            (files / name).mkdir()
        elif text is None:
            (files / name).unlink()
        else:
            (files / name).write_text(text)
    argv = ["preview", str(files / "one.png"), "--policy", str(files / "policy.py")]
    argv += ["--annotations", str(files / "coco.json"), "--out", str(files / "sheet.png")]
    assert cli.main(argv) == 2
    error = capsys.readouterr().err
    assert error.startswith("gpuaug preview: ") and message in error and "Traceback" not in error


def test_the_command_as_a_process(files: Path) -> None:
    command = [sys.executable, "-m", "gpuaug.cli", "preview", "one.png", "--policy", "policy.py", "--copies", "1"]
    done = subprocess.run([*command, "--out", "sheet.png"], cwd=files, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert pil_to_tensor(Image.open(files / "sheet.png")).shape == (3, 120 + 14 + 4, 2 * 162 + 2)
