"""Pictures show what is annotated, where it is, and nothing else; previews leave the pipeline as it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from drawn import H, W, cell, frame, of_colour, painted
from PIL import Image
from torchvision import tv_tensors as tvt
from torchvision.transforms.v2 import functional as tvf
from torchvision.transforms.v2.functional import pil_to_tensor

import gpuaug as ga
from gpuaug._draw import caption, colour, corners, fill_polygon
from gpuaug.viz import contact_sheet, draw, lay_out, preview, save_png

BLACK = torch.zeros(1, 3, H, W, dtype=torch.uint8)


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
