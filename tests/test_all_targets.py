"""Transforms that look at annotations or treat them, in one pipeline with all targets."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

import gpuaug as ga
from gpuaug.testing import annotated, example


def everything(device: str = "cpu", batch: int = 5) -> dict[str, Tensor]:
    data = annotated(example(batch, (3, 40, 56)).to(device))
    row = torch.rand((batch, 4, 2, 2), generator=torch.Generator().manual_seed(0)) * 40
    masks = torch.ones(batch, 4, 40, 56, dtype=torch.uint8, device=device)
    return {**data, "keypoints": row.to(device), "masks": masks}


def pipeline(**settings: Any) -> ga.Compose:
    steps = [
        ga.RandomZoomOut(p=0.5, side_range=(1.0, 2.0)),
        ga.RandomIoUCrop(),
        ga.ConstrainedCoarseDropout((1, 3), (0.2, 0.6), (0.2, 0.6), fill_mask=5, p=0.5, hide_keypoints=True),
        ga.ConstrainedCoarseDropout(mask_indices=[1, 2], fill_mask=0, p=0.5),
        ga.RandomRotation(10),
        ga.BBoxSafeRandomCrop(0.2, p=0.5),
        ga.ScaleJitter((44, 60), (0.5, 2.0)),
        ga.AtLeastOneBBoxRandomCrop(36, 50, 0.5),
        ga.CropNonEmptyMaskIfExists(30, 40),
        ga.RandomErasing(p=0.5, fill_mask=7, hide_keypoints=True),
        ga.GridDropout(p=0.5, fill_mask=8, hide_keypoints=True),
    ]
    return ga.Compose(steps, **settings)


def test_nothing_synchronises_and_it_compiles_with_all_targets() -> None:
    from gpuaug.diagnose import count

    layer, meta = pipeline(seed=0), everything("meta")
    layer(meta)
    counts = count(lambda image: layer({**meta, "image": image})["image"], meta["image"])
    assert (counts.synchronising, counts.host_to_device, counts.host_operations) == (0, 0, 0), counts.names
    torch._dynamo.reset()
    eager, real = pipeline(seed=0)[2:5], everything()  # the others are compiled by the contract
    compiled = torch.compile(pipeline(seed=0)[2:5], fullgraph=True, backend="eager")
    compiled(real)
    eager(real)
    with torch._dynamo.config.patch(error_on_recompile=True):
        for _ in range(2):
            out, expected = compiled(real), eager(real)
            for key in expected:
                far = (out[key].double() - expected[key].double()).abs() > 1e-3
                assert far.double().mean() < 2e-3, key


def test_replay_alone_equals_the_batch_and_inputs_stay() -> None:
    data = everything()
    kept, versions = {k: v.clone() for k, v in data.items()}, {k: v._version for k, v in data.items()}
    layer = pipeline(seed=3)
    out, params = layer(data, return_params=True)
    again = layer.replay(data, params)
    assert all(torch.equal(out[k], again[k]) for k in out)
    assert all(torch.equal(data[k], kept[k]) and data[k]._version == versions[k] for k in data)
    single = layer.replay({k: v[1] for k, v in data.items()}, params[1:2])
    assert all(torch.equal(single[k], out[k][1]) for k in out)
    ids = torch.arange(5)
    whole, alone = pipeline(seed=3), pipeline(seed=3)
    part = {k: v[2:4] for k, v in data.items()}
    wide = {
        k: torch.cat((v, torch.zeros_like(v[:, :1])), 1) if k in ("boxes", "labels", "valid") else v
        for k, v in part.items()
    }
    wide = {k: v for k, v in wide.items() if k not in ("masks", "keypoints")}
    expected = whole(data, ids=ids)
    found = alone(wide, ids=ids[2:4])  # in another batch, with another number of rows
    for key in ("image", "mask"):
        assert torch.equal(found[key], expected[key][2:4]), key
    assert torch.equal(found["boxes"][:, :4], expected["boxes"][2:4])


def test_empty_batches_and_rows() -> None:
    data = everything()
    none = {k: v[:0] for k, v in data.items()}
    out = pipeline(seed=0)(none)
    assert out["image"].shape == (0, 3, 30, 40) and out["boxes"].shape == (0, 4, 4)
    rowless = {**{k: v[:, :0] for k, v in data.items() if k not in ("image", "mask")}, "image": data["image"]}
    out = pipeline(seed=0)({**rowless, "mask": data["mask"]})
    assert out["boxes"].shape == (5, 0, 4) and out["masks"].shape == (5, 0, 30, 40)
