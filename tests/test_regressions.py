"""Bugs that others had with geometry: which test holds each row of our list, and the tests of pixels and contracts.

A row is named as in the list: "2.8" is row 8 of the threads, "2b.4" row 4 of Albumentations' tracker, "3.1" the first
of the defects measured there. Rows about mosaics, mixes, workers, colours and dtypes of colours are no geometry. The
tests of points and boxes are in `test_regressions_boxes.py`.
"""

from __future__ import annotations

import ast
import copy
import pickle
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from cases import CASES, Case
from content import H, W, coordinates
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as tv

import gpuaug as ga
from gpuaug.testing import annotated, example

ROWS = {
    "2.8": "test_regressions.test_2_08_what_moves_nothing_or_whole_pixels_is_exact",
    "2.9": "test_targets.test_boxes_equal_torchvision, test_targets.test_boxes_hold_their_moved_masks",
    "2.10": "test_targets.test_the_content_at_a_moved_point_is_where_it_came_from",
    "2.11": "test_targets.test_masks_equal_torchvision_and_gain_no_class",
    "2.12": "test_objects.test_mirrors_exchange_left_and_right",
    "2.16": "test_regressions.test_2_16_no_samples_no_rows_and_none_selected",
    "2.17": "test_contract.test_contract",
    "2.18": "test_contract.test_contract, test_regressions.test_2_18_annotations_in_any_layout",
    "2.20": "test_contract.test_contract, test_regressions.test_2_20_annotations_do_not_know_the_images_dtype",
    "2.21": "test_objects.test_inputs_are_untouched_and_replay_repeats, "
    "test_regressions.test_2_18_annotations_in_any_layout",
    "2.23": "test_gradients.test_points_and_boxes, test_contract.test_contract",
    "2.30": "test_regressions_boxes.test_2b_28_a_sample_without_objects_in_a_batch",
    "2b.1": "test_regressions_boxes.test_2b_01_points_are_resized_as_the_content",
    "2b.2": "test_regressions_boxes.test_2b_02_points_within_the_image_survive_flips",
    "2b.3": "test_targets.test_the_content_at_a_moved_point_is_where_it_came_from, "
    "test_bend.test_the_content_at_a_moved_point_is_where_it_came_from",
    "2b.4": "test_regressions_boxes.test_2b_04_a_centred_box_stays_in_quarter_turns",
    "2b.5": "test_regressions_boxes.test_2b_05_all_targets_turn_the_same_way",
    "2b.6": "test_regressions_boxes.test_2b_06_expanded_quarter_turns_are_rot90",
    "2b.7": "test_regressions_boxes.test_2b_07_a_box_is_the_hull_of_its_corners",
    "2b.8": "test_targets.test_the_content_at_a_moved_point_is_where_it_came_from, "
    "test_regressions_boxes.test_2b_07_a_box_is_the_hull_of_its_corners",
    "2b.9": "test_regressions_boxes.test_2b_07_a_box_is_the_hull_of_its_corners",
    "2b.10": "test_targets.test_the_content_at_a_moved_point_is_where_it_came_from",
    "2b.11": "test_targets.test_the_content_at_a_moved_point_is_where_it_came_from, "
    "test_object_crops.test_the_content_at_a_moved_point",
    "2b.12": "test_bend.test_boxes_hold_their_moved_masks",
    "2b.13": "test_regressions_boxes.test_2b_13_points_through_a_strong_lens",
    "2b.14": "test_regressions_boxes.test_2b_14_points_out_of_view_are_flagged_and_not_clamped",
    "2b.15": "test_occluded_targets.test_annotations_stay_unless_asked",
    "2b.16": "test_regressions_boxes.test_2b_14_points_out_of_view_are_flagged_and_not_clamped",
    "2b.17": "test_regressions.test_2b_17_nothing_is_mirrored_at_the_border",
    "2b.18": "test_regressions.test_2b_17_nothing_is_mirrored_at_the_border",
    "2b.19": "test_boxes.test_rows_stay_together_through_any_chain, test_objects.test_max_objects_keeps_rows_together",
    "2b.20": "test_boxes.test_rows_stay_together_through_any_chain",
    "2b.21": "test_boxes.test_rows_stay_together_through_any_chain",
    "2b.22": "test_regressions_boxes.test_2b_22_visibility_is_judged_before_the_cut",
    "2b.23": "test_objects.test_filters",
    "2b.24": "test_objects.test_filters, test_rotated_boxes.test_visibility_is_the_share_of_the_polygon_in_view",
    "2b.25": "test_object_crops.test_ten_thousand_safe_crops_cut_no_box",
    "2b.26": "test_regressions_boxes.test_2b_26_boxes_lie_in_the_crop_in_every_format",
    "2b.27": "test_regressions_boxes.test_2b_27_a_bad_box_stops_no_batch",
    "2b.28": "test_regressions_boxes.test_2b_28_a_sample_without_objects_in_a_batch",
    "2b.29": "test_regressions.test_2b_29_and_48_every_transform_takes_every_target",
    "2b.30": "test_regressions.test_2b_29_and_48_every_transform_takes_every_target",
    "2b.31": "test_regressions.test_2b_31_how_a_mask_is_read_is_a_setting_of_its_own",
    "2b.32": "test_regressions.test_2b_32_image_and_mask_have_fills_of_their_own",
    "2b.33": "test_sampling.test_every_crop_position_is_drawn_equally, "
    "test_object_crops.test_every_side_of_a_safe_crop_can_occur",
    "2b.36": "test_objects.test_inputs_are_untouched_and_replay_repeats, "
    "test_all_targets.test_replay_alone_equals_the_batch_and_inputs_stay",
    "2b.37": "test_regressions.test_2b_37_replay_puts_things_in_the_same_place",
    "2b.42": "test_rotated_boxes.test_boxes_equal_torchvision, "
    "test_rotated_boxes.test_quarter_turns_and_transposes_are_exact",
    "2b.45": "test_rotated_boxes.test_directions_turn_as_arrows_painted_on_the_image",
    "2b.47": "test_boxes.test_filters_apply_where_nothing_moves, test_objects.test_filters",
    "2b.48": "test_regressions.test_2b_29_and_48_every_transform_takes_every_target",
    "2b.49": "test_objects.test_nothing_is_lost_at_the_edges",
    "3.1": "test_regressions_boxes.test_3_1_what_a_lens_pushes_out_is_gone",
    "3.2": "test_occluded_targets.test_masks_and_points_follow_what_is_erased",
    "3.3": "test_object_crops.test_ten_thousand_safe_crops_cut_no_box",
    "3.4": "test_regressions_boxes.test_3_4_labels_stay_whole_numbers",
    "3.5": "test_regressions.test_2b_17_nothing_is_mirrored_at_the_border",
    "3.6": "test_regressions.test_3_6_copies_filter_as_the_original",
    "3.7": "test_object_crops.test_erosion_lets_a_safe_crop_cut",
}
"""Tests of each row."""


@cache
def functions(file: str) -> set[str]:
    """Return the names of the functions of a file of tests."""
    tree = ast.parse((Path(__file__).parent / f"{file}.py").read_text())
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_every_row_has_its_tests() -> None:
    """Each named one exists, and each one here is named."""
    named = {name for names in ROWS.values() for name in names.split(", ")}
    for name in named:
        file, function = name.split(".")
        assert function.startswith("test_") and function in functions(file), name
    for file in ("test_regressions", "test_regressions_boxes"):
        own = {f"{file}.{name}" for name in functions(file) if name.startswith(("test_2", "test_3"))}
        assert own and own <= named, own - named


STILL: dict[str, Any] = {
    "rotation": lambda: ga.RandomRotation((0, 0)),
    "expanded": lambda: ga.RandomRotation((0, 0), expand=True),
    "affine": lambda: ga.RandomAffine((0, 0), scale=(1.0, 1.0), shear=(0, 0)),
    "perspective": lambda: ga.RandomPerspective(0.0, p=1.0),
    "resize": lambda: ga.Resize((24, 18)),
    "letterbox": lambda: ga.LetterBox((24, 18)),
    "centre crop": lambda: ga.CenterCrop((24, 18)),
    "elastic": lambda: ga.ElasticTransform(0.0),
    "chain": lambda: ga.Compose(
        [ga.RandomHorizontalFlip(1.0), ga.RandomAffine((180, 180)), ga.RandomVerticalFlip(1.0)]
    ),
}


@pytest.mark.parametrize("small", [0, 10**9], ids=["walk", "definition"])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.bfloat16, torch.float32], ids=str)
def test_2_08_what_moves_nothing_or_whole_pixels_is_exact(
    dtype: torch.dtype, small: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bit for bit, of images with sides of both parities."""
    monkeypatch.setattr("gpuaug.render.backend.SMALL", small)
    images = example(3, (3, 24, 18), dtype)
    for name, make in STILL.items():
        assert torch.equal(make()(images), images), name
    for size in ((24, 18), (23, 17), (19, 19)):
        images = example(3, (3, *size), dtype)
        assert torch.equal(ga.RandomRotation((180, 180))(images), images.flip(2, 3))
        for quarters in (1, 2, 3):
            turned = torch.rot90(images, quarters, (2, 3))
            degrees = (90 * quarters, 90 * quarters)
            assert torch.equal(ga.RandomRotation(degrees, expand=True)(images), turned)
            cut = tv.center_crop(turned, list(size))  # sides that differ by an even number: pixels meet pixels
            assert torch.equal(ga.RandomRotation(degrees)(images), cut)
            assert torch.equal(ga.RandomAffine((-degrees[0], -degrees[0]))(images), cut)


def test_2_16_no_samples_no_rows_and_none_selected() -> None:
    """An empty batch, rows of which there are none, and gates that let nothing through."""
    steps = [ga.RandomAffine(20, p=0.0), ga.RandomHorizontalFlip(0.0), ga.RandomApply([ga.RandomRotation(9)], p=0.0)]
    given = {**annotated(example(3, (3, 20, 26))), "keypoints": torch.rand(3, 4, 2, 2) * 20}
    out = ga.Compose(steps, seed=0)(given)
    assert all(torch.equal(out[key], given[key]) for key in given)
    for rows in (slice(0), slice(None)):
        some = {k: v if k in ("image", "mask") else v[:, rows] for k, v in given.items()}
        for batch in (slice(0), slice(1), slice(None)):
            part = {k: v[batch] for k, v in some.items()}
            out = ga.Compose([ga.RandomAffine(20, p=0.5), ga.RandomResizedCrop((8, 11))], seed=0)(part)
            n, m = part["boxes"].shape[:2]
            assert out["image"].shape == (n, 3, 8, 11) and out["mask"].shape == (n, 8, 11)
            assert out["boxes"].shape == (n, m, 4) and out["keypoints"].shape == (n, m, 2, 2)
            assert out["labels"].shape == out["valid"].shape == (n, m)


def test_2_18_annotations_in_any_layout() -> None:
    """Strided, permuted and expanded targets give what contiguous ones give, and stay as they are."""
    plain = {
        **annotated(example(4, (3, 20, 26))),
        "keypoints": torch.rand((4, 4, 3, 2), generator=torch.Generator().manual_seed(0)) * 20,
        "masks": (example(4, (4, 20, 26)) > 0.5).to(torch.uint8),
    }
    layer = ga.Compose([ga.RandomAffine(30, (0.1, 0.1), (0.7, 1.2)), ga.RandomResizedCrop((14, 21))], seed=0)
    params = layer.sample(plain)
    expected = layer.replay(plain, params)
    strided = {k: torch.stack((v, v), dim=-1)[..., 0] for k, v in plain.items()}
    reversed_ = {k: v.permute(*reversed(range(v.dim()))).contiguous().permute(*reversed(range(v.dim())))
                 for k, v in plain.items()}  # fmt: skip
    for given in (strided, reversed_):
        assert not given["boxes"].is_contiguous() and not given["mask"].is_contiguous()
        out = layer.replay(given, params)
        assert all(torch.equal(out[k], expected[k]) for k in expected)
    same = {k: v[:1].expand(4, *v.shape[1:]) for k, v in plain.items()}
    versions = {k: v._version for k, v in same.items()}
    kept = {k: v.clone() for k, v in same.items()}
    out, whole = layer.replay(same, params), layer.replay(kept, params)
    assert all(torch.equal(out[k], whole[k]) for k in whole)
    assert all(torch.equal(same[k], kept[k]) and same[k]._version == versions[k] for k in same)


def test_2_20_annotations_do_not_know_the_images_dtype() -> None:
    """Neither half precision of the image nor autocast moves a box or a point by a bit; matrices are float32."""
    generator = torch.Generator().manual_seed(0)
    points = torch.rand((3, 10, 2), generator=generator) * torch.tensor([60.0, 40.0])
    boxes = torch.cat((points, points + 5), dim=-1)
    steps = [ga.RandomAffine(30, (0.1, 0.1), (0.7, 1.2)), ga.RandomPerspective(0.3, p=0.5), ga.RandomHorizontalFlip()]
    layer = ga.Compose(steps, seed=0)
    found = []
    for dtype in (torch.float32, torch.uint8, torch.bfloat16, torch.float16):
        given = {"image": torch.zeros(3, 1, 40, 60).to(dtype), "boxes": boxes, "keypoints": points[:, :, None]}
        layer.reseed(1)
        out, params = layer(given, return_params=True)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            again = layer.replay(given, params)
            drawn = layer.sample(given).matrix
        assert params.matrix.dtype in (torch.float32, torch.float64) and drawn.dtype == params.matrix.dtype
        assert out["boxes"].dtype == torch.float32 and out["image"].dtype == dtype
        assert all(torch.equal(again[k], out[k]) for k in ("boxes", "keypoints", "visible", "valid"))
        found.append(out)
    for key in ("boxes", "keypoints", "visible", "valid"):
        assert all(torch.equal(out[key], found[0][key]) for out in found)


@pytest.mark.parametrize("mode", ["reflect", "symmetric", "edge"])
def test_2b_17_nothing_is_mirrored_at_the_border(mode: str) -> None:
    """Copies in a border would have no boxes and points (2b.18), or more rows than went in: it is refused."""
    for make in (lambda: ga.Pad(3, padding_mode=mode), lambda: ga.RandomCrop(8, 3, padding_mode=mode)):
        with pytest.raises(ValueError, match=f"padding_mode must be 'constant', got '{mode}'"):
            make()
    given = {"image": coordinates(2), "keypoints": torch.rand(2, 30, 1, 2) * 40, "boxes": torch.ones(2, 30, 4) * 5}
    out = ga.Compose([ga.RandomRotation((45, 45)), ga.Pad(9), ga.RandomCrop(20)], seed=0)(given)
    assert out["keypoints"].shape == (2, 30, 1, 2) and out["boxes"].shape == (2, 30, 4)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_2b_29_and_48_every_transform_takes_every_target(case: Case) -> None:
    """All targets at once; no class that was not there, in the mask, in further ones and in those of objects."""
    images = example(5, case.shape)
    labels = torch.tensor([0, 7, 255], dtype=torch.uint8)
    blocks = torch.randint(0, 3, (5, *case.shape[1:]), generator=torch.Generator().manual_seed(0))
    mask = labels[blocks]
    given = {
        **annotated(images),
        "mask": mask,
        "other": mask.long() + 2**25,
        "masks": torch.stack([mask] * 4, dim=1),
        "keypoints": torch.rand((5, 4, 2, 2), generator=torch.Generator().manual_seed(1)) * 16,
        "area": torch.arange(20).view(5, 4),
    }
    layer = ga.Compose([case.make()], seed=2, roles={"other": "mask"})
    if case.name == "AugMix":  # shows an object in several places
        with pytest.raises(TypeError, match="takes images and labels only"):
            layer(given)
        return
    out, params = layer(given, return_params=True)
    whose = torch.arange(5)[:, None]  # a mix appends the rows of those that a sample meets
    for drawn in params.values.values():
        if "cells" in drawn:  # rows for as many parts of each object
            whose = whose.repeat(1, drawn["cells"].shape[1])
        if "partner" in drawn:
            met = drawn["partner"]
            whose = torch.cat((whose, met[:, None]), dim=1) if met.dim() == 1 else met
    groups = [{key: given[key][index] for key in ("area", "labels", "valid")} for index in whose.unbind(1)]
    before = {key: torch.cat([group[key] for group in groups], dim=1) for key in groups[0]}
    added = [key for node in layer.nodes for key in node.transform.outputs.values()]
    assert given.keys() <= out.keys() and out.keys() - given.keys() <= {"visible", *added}
    size, rows = tuple(out["image"].shape[2:]), before["valid"].shape[1]
    assert out["mask"].shape == out["other"].shape == (5, *size) and out["masks"].shape == (5, rows, *size)
    assert {0, 7, 255} >= set(out["mask"].unique().tolist()) > {0}
    assert {0, 7, 255} >= set(out["masks"].unique().tolist()) > {0}
    fills = {0, 7}  # one of the cases fills masks with 7
    assert fills | set((labels.long() + 2**25).tolist()) >= set(out["other"].unique().tolist())
    assert torch.equal(out["other"] % 2**25, out["mask"].long())
    assert torch.equal(out["area"], before["area"]) and torch.equal(out["labels"], before["labels"])
    assert not (out["valid"] & ~before["valid"]).any() and out["boxes"].isfinite().all()


def test_2b_31_how_a_mask_is_read_is_a_setting_of_its_own() -> None:
    """A heat map is blended, classes are not, in one pipeline; a "nearest" image does not make the heat map so."""
    heat, classes = coordinates(2)[:, :1].float(), (coordinates(2)[:, 1] * 100).long()
    images, size = example(2, (3, H, W)), [71, 50]
    given = {"image": images, "mask": classes, "heat": heat}
    expected = tv.resize(heat, size, InterpolationMode.BILINEAR, antialias=True)
    nearest = InterpolationMode.NEAREST_EXACT
    ways: list[tuple[Any, Any, Any]] = [
        (None, tv.resize(images, size, antialias=True), expected),
        ("nearest", tv.resize(images, size, nearest), expected),
        ({"image": "nearest", "heat": "nearest", "mask": "nearest"}, tv.resize(images, size, nearest), None),
    ]
    for interpolation, image, blended in ways:
        layer = ga.Compose([ga.Resize(tuple(size))], interpolation=interpolation, roles={"heat": "dense"})
        out = layer(given)
        assert (out["image"] - image).abs().max() < 1e-5
        assert torch.equal(out["mask"], tv.resize(classes, size, nearest))
        assert (out["heat"] - (tv.resize(heat, size, nearest) if blended is None else blended)).abs().max() < 1e-5
    for wrong in ({"mask": "bilinear"}, {"masks": "bicubic"}, {"ids": "bilinear"}):
        with pytest.raises(ValueError, match=r"Compose: interpolation of '\w+' must be 'nearest', got 'bi"):
            ga.Compose([], interpolation=wrong, roles={"ids": "mask"})
    with pytest.raises(ValueError, match="Compose: interpolation must be one of"):
        ga.Compose([], interpolation={"heat": "linear"}, roles={"heat": "dense"})


def test_2b_32_image_and_mask_have_fills_of_their_own() -> None:
    """Wherever a border appears: in a crop larger than the image, a padded crop, a letterbox, a zoom, a rotation."""
    given = {"image": torch.full((4, 2, 20, 30), 0.5), "mask": torch.ones(4, 20, 30, dtype=torch.int64)}
    steps: list[Any] = [
        ga.CenterCrop((26, 36)),
        ga.Pad((1, 2)),
        ga.RandomCrop((24, 34), padding=6),
        ga.RandomCrop((24, 34), pad_if_needed=True),
        ga.LetterBox((30, 30)),
        ga.RandomZoomOut(side_range=(1.5, 2.0), p=1.0),
        ga.ScaleJitter((30, 40), (0.5, 0.6)),
        ga.RandomRotation((90, 90)),
    ]
    for step in steps:
        name = type(step).__name__
        out = ga.Compose([step], seed=0, fill={"image": 0.25, "mask": 255}, interpolation="nearest")(given)
        assert set(out["mask"].unique().tolist()) == {1, 255}, name
        border = out["mask"] == 255
        assert torch.equal(out["image"][:, 0] == 0.25, border) and (out["image"][:, 0][~border] == 0.5).all(), name
    wide = ga.Compose([ga.CenterCrop((26, 36))], fill={"image": 0.25, "mask": 255})(given)
    assert torch.equal(wide["mask"], tv.pad(given["mask"], [3, 3, 3, 3], fill=255))


def test_2b_37_replay_puts_things_in_the_same_place() -> None:
    """Drawn borders too: the same parameters, pickled, on other images of the size."""
    steps = [
        ga.RandomZoomOut(side_range=(1.1, 1.8), p=0.8),
        ga.RandomCrop((50, 70), padding=7, pad_if_needed=True),
        ga.ScaleJitter((60, 80), (0.6, 1.4)),
        ga.CoarseDropout((1, 3), p=1.0),
    ]
    layer = ga.Compose(steps, seed=0)
    given = {**annotated(torch.ones(6, 1, H, W)), "keypoints": torch.rand(6, 4, 2, 2) * 40}
    out, params = layer(given, return_params=True)
    assert len({tuple(b.flatten().tolist()) for b in params.matrix}) == 6
    torch.manual_seed(5)
    again = layer.replay({**given, "image": given["image"] * 0.5}, pickle.loads(pickle.dumps(params)))
    assert all(torch.equal(again[k], out[k]) for k in out if k != "image")
    assert torch.equal(again["image"] == 0, out["image"] == 0) and (out["image"] == 0).any()


def test_3_6_copies_filter_as_the_original() -> None:
    """What is said of boxes and keypoints survives pickle and deepcopy."""
    layer = ga.Compose(
        [ga.RandomHorizontalFlip(1.0)],
        seed=0,
        bbox_params=ga.BboxParams(format="coco", min_area=50, max_objects=2),
        keypoint_params=ga.KeypointParams(origin="center", flip_pairs=[(0, 1)]),
        mirror_labels={1: 2},
    )
    given: dict[str, Tensor] = {
        "image": torch.zeros(1, 1, 20, 30),
        "boxes": torch.tensor([[[1.0, 2, 5, 5], [2, 3, 10, 8], [5, 5, 20, 10]]]),
        "labels": torch.tensor([[0, 1, 2]]),
        "keypoints": torch.tensor([[[3.0, 4], [10, 5]]]).expand(1, 3, 2, 2),
    }
    for one in (layer, copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        out = one(given)
        assert out["boxes"].tolist() == [[[18, 3, 10, 8], [5, 5, 20, 10]]] and out["labels"].tolist() == [[2, 1]]
        assert out["keypoints"].tolist() == [[[[19, 5], [26, 4]]] * 2]
