"""Masks of patches beside the images: exactly as many, where the papers put them, and nowhere else."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import Tensor
from ways import drawn_by

import gpuaug as ga
from gpuaug.diagnose import count
from gpuaug.testing import example


def blocks(mask: Tensor) -> list[tuple[int, int, int]]:
    """Return the areas, heights and widths of connected regions."""
    labels, _ = ndimage.label(mask.numpy())
    found = ndimage.find_objects(labels)
    return [(int((labels == n + 1).sum()), s[0].stop - s[0].start, s[1].stop - s[1].start) for n, s in enumerate(found)]


def test_random_masks_are_exact_and_even() -> None:
    """Of all patches, each in as many samples; another draw for each sample."""
    mask = drawn_by(ga.RandomPatchMask((16, 8), 0.75), 2000, 96, 80).mask
    assert mask.shape == (2000, 6, 10) and mask.dtype == torch.bool
    assert (mask.sum((1, 2)) == 45).all() and mask.flatten(1).unique(dim=0).shape[0] > 1990
    share = mask.double().mean(0)
    assert (share - 0.75).abs().max() < 5 * (0.75 * 0.25 / 2000) ** 0.5
    # Without replacement: two patches are both masked a little less often than if they were drawn apart.
    both = (mask[:, 0, 0] & mask[:, 3, 7]).double().mean()
    assert abs(both - 45 / 60 * 44 / 59) < 5 * (0.56 * 0.44 / 2000) ** 0.5


@pytest.mark.parametrize("make", [ga.RandomPatchMask, ga.RandomBlockMask], ids=lambda c: c.__name__)
def test_ratios_are_drawn_for_each_sample(make: Any) -> None:
    drawn = drawn_by(make(8, (0.1, 0.5)), 300, 64, 80)
    assert torch.equal(drawn.mask.sum((1, 2)).float(), torch.round(drawn.ratio * 80))
    assert drawn.ratio.min() < 0.12 and drawn.ratio.max() > 0.48
    for ratio, masked in ((0.0, 0), (1.0, 80), (0.4, 32)):
        assert (drawn_by(make(8, ratio), 9, 64, 80).mask.sum((1, 2)) == masked).all()


def test_block_masks_are_of_rectangles() -> None:
    """Whole, of BEiT's area and aspect; all together leave far fewer regions than single patches."""
    single = drawn_by(ga.RandomBlockMask(8, 12 / 224, (12, 12), (3.0, 3.0)), 200, 112, 128).mask
    assert all(blocks(one) == [(12, 6, 2)] for one in single)
    assert single[:, 0, 0].any() and single[:, -1, -1].any()
    many = drawn_by(ga.RandomBlockMask(16, 0.4), 300, 224, 224).mask
    even = drawn_by(ga.RandomPatchMask(16, 0.4), 300, 224, 224).mask
    assert (many.sum((1, 2)) == round(0.4 * 196)).all()
    assert np.mean([len(blocks(one)) for one in many]) < 3 < 8 < np.mean([len(blocks(one)) for one in even])
    share = many.double().mean(0)
    assert share[5:9, 5:9].mean() > 1.5 * share[0, 0]  # rectangles lie inside
    assert (share - share.flip(0)).abs().mean() < 0.05 and (share - share.flip(1)).abs().mean() < 0.05


def test_what_rectangles_do_not_cover_is_taken_evenly() -> None:
    mask = drawn_by(ga.RandomBlockMask(8, 0.9, (1, 1)), 200, 64, 80).mask
    assert (mask.sum((1, 2)) == 72).all()
    assert (mask.double().mean(0) - 0.9).abs().max() < 5 * (0.09 / 200) ** 0.5


def test_jepa_predicts_rectangles_that_the_context_does_not_hold() -> None:
    drawn = drawn_by(ga.RandomJEPAMask(16), 400, 224, 256)
    targets, context = drawn.targets, drawn.context
    assert targets.shape == (400, 4, 14, 16) and context.shape == (400, 14, 16)
    assert not (targets.any(1) & context).any()
    rows, columns = targets.any(3).sum(2), targets.any(2).sum(2)
    assert torch.equal(rows * columns, targets.sum((2, 3)))  # each a whole rectangle
    assert (rows == rows[:, :1]).all() and (columns == columns[:, :1]).all()  # of one size in a sample
    share, aspect = (rows * columns)[:, 0] / 224, rows[:, 0] / columns[:, 0]
    assert share.min() > 0.11 and share.max() < 0.25 and 0.6 < aspect.min() < 0.85 and 1.3 < aspect.max() < 1.8
    assert not torch.equal(targets[:, 0], targets[:, 1])
    whole = drawn_by(ga.RandomJEPAMask(16, 2, 0.25, 1.0, 1.0, True), 9, 224, 256)
    assert (whole.targets.sum((2, 3)) == 49).all() and (whole.context.sum((1, 2)) == 14 * 15).all()


def test_masks_come_out_beside_a_dict() -> None:
    x = example(4, (3, 32, 48))
    layer = ga.Compose([ga.RandomHorizontalFlip(), ga.RandomPatchMask(8, 0.5, p=0.5, mask_key="hidden")], seed=0)
    out, params = layer({"image": x, "name": "a"}, return_params=True)
    assert set(out) == {"image", "name", "hidden"}
    assert torch.equal(out["hidden"], params["RandomPatchMask"].mask)
    gate = params["RandomPatchMask"].gate
    assert torch.equal(out["hidden"].sum((1, 2)), gate * 12) and 0 < gate.sum() < 4
    assert torch.equal(layer.replay({"image": x}, params)["hidden"], out["hidden"])
    assert layer({"image": x[0]})["hidden"].shape == (4, 6)
    assert layer({"image": example(6, (3, 32, 48)).view(2, 3, 3, 32, 48)})["hidden"].shape == (2, 4, 6)  # of clips
    images, given = layer(x, return_params=True)
    assert isinstance(images, Tensor) and given["RandomPatchMask"].mask.shape == (4, 4, 6)
    assert "hidden" not in layer.eval()({"image": x})
    two = ga.Compose([ga.RandomPatchMask(8), ga.RandomJEPAMask(8), ga.RandomBlockMask(8, mask_key="block")], seed=0)
    assert set(two({"image": x})) == {"image", "patch_mask", "context_mask", "target_masks", "block"}
    crop = ga.Compose([ga.RandomResizedCrop((16, 24)), ga.RandomPatchMask(8)])
    assert crop({"image": x})["patch_mask"].shape == (4, 2, 3)


def test_the_draw_depends_on_the_sample_alone() -> None:
    """Of a seed and an id, whatever the batch; nothing waits for the device."""
    layer = ga.Compose([ga.RandomBlockMask(8)], seed=3)
    ids = torch.arange(6)
    whole = layer.sample(torch.zeros(6, 3, 32, 48), ids=ids)["RandomBlockMask"].mask
    some = layer.sample(torch.zeros(2, 3, 32, 48), ids=ids[[4, 1]])["RandomBlockMask"].mask
    assert torch.equal(some, whole[[4, 1]])
    images = torch.empty((16, 3, 64, 80), device="meta")
    for step in (ga.RandomPatchMask(8), ga.RandomBlockMask(8), ga.RandomJEPAMask(8)):
        layer = ga.Compose([step], seed=0)
        layer({"image": images})
        counts = count(lambda x, layer=layer: layer({"image": x}), images)
        assert (counts.synchronising, counts.host_to_device, counts.host_operations) == (0, 0, 0), counts.names
        assert counts.image_sized == 0


def test_refusals() -> None:
    for wrong, message in (
        (lambda: ga.RandomPatchMask(0), "RandomPatchMask: patch_size must be at least 1"),
        (lambda: ga.RandomPatchMask(8, 1.5), "RandomPatchMask: ratio must be"),
        (lambda: ga.RandomBlockMask(8, 0.4, (5, 3)), "RandomBlockMask: num_patches_range must be integers"),
        (lambda: ga.RandomJEPAMask(8, 0), "RandomJEPAMask: num_targets must be an integer of at least 1"),
        (lambda: ga.RandomPatchMask(7)(torch.zeros(1, 3, 8, 14)), "must be of whole patches of 7x7 pixels, got 8x14"),
        (
            lambda: ga.RandomPatchMask(4)(ga.Ragged.pack([torch.zeros(3, 8, 8), torch.zeros(3, 8, 12)])),
            "RandomPatchMask: images must have one size, got several",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            wrong()
    with pytest.raises(TypeError, match="RandomPatchMask: mask_key must be the key of an output, got ''"):
        ga.RandomPatchMask(8, mask_key="")
