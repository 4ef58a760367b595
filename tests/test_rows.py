"""Pipelines after which there are other samples or other frames: repeats, clips."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import torch
from scipy import stats
from test_capture import Tape, recorded  # noqa: F401  # a fixture, used by its name
from torch import Tensor
from torchvision import tv_tensors as tvt
from torchvision.transforms import v2

import gpuaug as ga
from gpuaug.data.batch import open_door
from gpuaug.testing import annotated, example
from gpuaug.transforms.rows import sampled

B, H, W = 4, 40, 53
AFTER = [ga.RandomAffine(20, (0.1, 0.1)), ga.RandomResizedCrop((20, 26)), ga.ColorJitter(0.4, 0.4), ga.GaussianNoise()]


def repeated(**settings: Any) -> ga.Compose:
    return ga.Compose([ga.RandomHorizontalFlip(), ga.Repeat(3), *AFTER], seed=5, **settings)


def same(a: Any, b: Any) -> bool:
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    return torch.equal(a, b) if isinstance(a, Tensor) else bool(a == b)


@pytest.mark.parametrize("small", [10**9, 0], ids=["batched", "walked"])
@pytest.mark.parametrize("ids", [None, torch.tensor([7, 3, 90, 4])], ids=["positions", "ids"])
def test_each_repeat_is_the_copy_of_its_number(ids: Any, small: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """What follows is drawn as `copy=k` draws it, what stands before as the first copy."""
    monkeypatch.setattr("gpuaug.render.backend.SMALL", small)
    images = example(B, (3, H, W), torch.uint8)
    layer, plain = repeated(), ga.Compose([ga.RandomHorizontalFlip(), *AFTER], seed=5)
    out, params = layer(images, ids=ids, return_params=True)
    assert out.shape == (3 * B, 3, 20, 26) and len(params) == 3 * B and params.copies == 3
    first = plain.sample(images, ids=ids)
    for k in range(3):
        part, expected = params[k * B : (k + 1) * B], plain.sample(images, ids=ids, copy=k)
        expected.values["RandomHorizontalFlip"] = first.values["RandomHorizontalFlip"]
        for name, drawn in expected.values.items():
            assert same(drawn, part.values[name]), name
        assert torch.equal(plain.replay(images, expected), out[k * B : (k + 1) * B])
    assert len({tuple(m.flatten().tolist()) for m in params.matrix}) == 3 * B
    assert torch.equal(layer.replay(images, params), out)
    assert not torch.equal(layer(images, ids=None if ids is None else ids + 1), out)


def test_repeats_of_repeats_and_other_copies() -> None:
    """Copy after copy: what stands between is shared by the later copies; a call's own copy draws all anew."""
    images = example(2, (3, H, W))
    layer = ga.Compose([ga.Repeat(2), ga.RandomRotation(30), ga.Repeat(3), ga.RandomInvert()], seed=1)
    params = layer.sample(images)
    angle = params["RandomRotation"].angle.view(3, 2, 2)
    assert torch.equal(angle[0], angle[1]) and torch.equal(angle[0], angle[2]) and len(angle.unique()) == 4
    gates = params["RandomInvert"].gate
    many = layer.sample(example(1, (1, 4, 5)).expand(300, -1, -1, -1))["RandomInvert"].gate.view(6, 300).double()
    assert torch.corrcoef(many).triu(1).abs().max() < 0.25 and gates.shape == (12,)
    other = layer.sample(images, copy=1)
    assert not set(other["RandomRotation"].angle.tolist()) & set(params["RandomRotation"].angle.tolist())


def test_repeats_are_independent() -> None:
    """Every pair of copies of one sample, by correlation and by the law of differences."""
    layer = ga.Compose([ga.Repeat(4), ga.RandomRotation(1)], seed=2)
    angle = layer.sample(torch.zeros(1, 1, 4, 5).expand(2500, -1, -1, -1))["RandomRotation"].angle.view(4, 2500)
    assert (torch.corrcoef(angle) - torch.eye(4)).abs().max() < 5 / 50
    for i in range(4):
        assert stats.kstest(angle[i].numpy(), stats.uniform(-1, 2).cdf).pvalue > 1e-4
        for j in range(i):
            assert stats.kstest((angle[i] - angle[j]).numpy(), stats.triang(0.5, -2, 4).cdf).pvalue > 1e-4


def test_everything_that_belongs_to_a_sample_is_repeated() -> None:
    data = annotated(example(B, (3, H, W)), masks=True)
    data |= {
        "keypoints": data["boxes"].unflatten(-1, (2, 2)),
        "depth": example(B, (1, H, W)),
        "score": torch.rand(B, 4),
    }
    data |= {
        "label": torch.arange(B),
        "file": ["a", "b", "c", "d"],
        "set": "train",
        "half": data.pop("mask")[:, ::2, ::2],
    }
    kept = {key: value.clone() if isinstance(value, Tensor) else value for key, value in data.items()}
    layer = repeated(roles={"depth": "dense", "half": "mask"})
    out, params = layer(data, return_params=True)
    plain = ga.Compose([ga.RandomHorizontalFlip(), *AFTER], roles={"depth": "dense", "half": "mask"})
    for k in range(3):
        part = plain.replay(data, params[k * B : (k + 1) * B])
        assert part.keys() == out.keys()
        for key, value in part.items():
            shown = out[key] if key == "set" else out[key][k * B : (k + 1) * B]
            assert same(shown, value), key
    assert same(data, kept) and out["file"] == ["a", "b", "c", "d"] * 3 and out["label"].tolist() == [0, 1, 2, 3] * 3
    assert same(layer.replay(data, params), out)


def test_structures() -> None:
    """Tuples, lists as loaders give them, several sizes, one image."""
    images, labels = example(2, (3, H, W)), torch.tensor([4, 9])
    layer = repeated()
    expected, params = layer(images, return_params=True)
    for given in ((images, labels), [images, labels]):
        out = layer.replay(given, params)
        assert type(out) is type(given) and torch.equal(out[0], expected) and out[1].tolist() == [4, 9] * 3
    out = layer.replay(images, labels, ["x", "y"], params)
    assert torch.equal(out[0], expected) and out[2] == ["x", "y"] * 3
    sizes = [images[0], images[1][:, :30, :50]]
    out, several = layer(sizes, return_params=True)
    assert out.shape == (6, 3, 20, 26) and several.canvas == ((H, W), (30, 50)) * 3
    packed, beside = layer.replay(ga.Ragged.pack(sizes), ga.Ragged.pack(sizes), several)
    assert torch.equal(packed, out) and [tuple(part.shape[1:]) for part in beside] == [(H, W), (30, 50)] * 3
    alone = ga.Compose([ga.RandomHorizontalFlip(), *AFTER]).replay([sizes[1]], several[[1, 3, 5]][:1])
    assert (out[1] - alone[0]).abs().max() < 1e-5
    targets = [{"boxes": torch.tensor([[0.0, 0.0, 53.0, 40.0]]), "labels": torch.tensor([n])} for n in (3, 8)]
    found, found_targets = layer(list(images), targets)
    assert len(found) == 6 and [int(t["labels"][0]) for t in found_targets] == [3, 8] * 3
    plain = ga.Compose([ga.RandomHorizontalFlip()], format="yolox", seed=0)  # of which nothing has to be repeated
    given = images, torch.tensor([[[1.0, 10.0, 12.0, 8.0, 6.0]]]).expand(2, -1, -1)
    (shown, moved), drawn = plain(*given, return_params=True)
    again = plain.replay(*given, drawn)
    assert torch.equal(again[0], shown) and torch.equal(again[1], moved)
    one = layer(images[0])
    assert one.shape == (3, 3, 20, 26) and not torch.equal(one[0], one[1])
    one_more = layer({"image": images[0], "boxes": targets[0]["boxes"]})
    assert one_more["boxes"].shape == (3, 1, 4) and one_more["valid"].shape == (3, 1)


def test_nothing_is_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    gather: Callable[..., Tensor] = Tensor.index_select
    monkeypatch.setattr(Tensor, "index_select", lambda *a: seen.append(1) or gather(*a))
    images = example(2, (3, 120, 160), torch.uint8)
    layer = ga.Compose([ga.Repeat(3), ga.RandomResizedCrop(64)], seed=0)
    layer(images)
    assert not seen
    last = images.contiguous(memory_format=torch.channels_last)
    assert layer(last).is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("backend", ["torch", "triton"])
def test_backends_agree(backend: str) -> None:
    images = example(2, (3, 20, 24), torch.uint8)
    layer = ga.Compose([ga.Repeat(2), ga.RandomResizedCrop((9, 12)), ga.RandomInvert()], seed=3, backend=backend)
    out, params = layer(images, return_params=True)
    plain = ga.Compose([ga.RandomResizedCrop((9, 12)), ga.RandomInvert()])
    params.copies, params.names = 1, params.names[1:]
    del params.values["Repeat"]
    assert (out.int() - plain.replay(images.repeat(2, 1, 1, 1), params).int()).abs().max() <= 1
    clip = example(4, (3, 20, 24)).view(2, 2, 3, 20, 24)
    timed = ga.Compose([ga.UniformTemporalSubsample(3), ga.RandomHorizontalFlip(p=1.0)], backend=backend)
    assert torch.equal(timed(clip), clip[:, [0, 0, 1]].flip(-1))


# -- clips

T = 9
CLIPS: dict[str, Callable[[], Any]] = {
    "subsample": lambda: ga.UniformTemporalSubsample(5),
    "crop": lambda: ga.RandomTemporalCrop(4, 2),
    "speed": lambda: ga.RandomSpeed(5, (0.5, 3.0)),
    "drop": lambda: ga.RandomFrameDrop((0.2, 0.6), p=0.7),
}


def clips() -> dict[str, Any]:
    """Frames that carry their number, with annotations for each."""
    image = example(B * T, (3, 20, 24)).view(B, T, 3, 20, 24)
    number = torch.arange(B * T).view(B, T)
    boxes = torch.tensor([2.0, 3.0, 14.0, 15.0]) + (torch.arange(T) % 5)[:, None, None]
    return {
        "image": image,
        "mask": number[..., None, None].expand(B, T, 20, 24).contiguous(),
        "boxes": boxes.expand(B, T, 2, 4).contiguous(),
        "labels": number[..., None].expand(B, T, 2).contiguous(),
        "valid": (number % 3 > 0)[..., None].expand(B, T, 2).contiguous(),
        "label": torch.arange(B) * 10,
        "file": list("abcd"),
    }


@pytest.mark.parametrize("small", [10**9, 0], ids=["batched", "walked"])
@pytest.mark.parametrize("name", CLIPS)
def test_frames_and_what_belongs_to_them(name: str, small: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a gather of the frames gives, through the rest of the pipeline with the same parameters."""
    monkeypatch.setattr("gpuaug.render.backend.SMALL", small)
    data = clips()
    rest = [ga.RandomAffine(10, (0.05, 0.05)), ga.RandomInvert()]
    layer = ga.Compose([rest[0], CLIPS[name](), rest[1]], seed=4)
    out, params = layer(data, return_params=True)
    shown = next(drawn["frames"] for drawn in params.values.values() if "frames" in drawn)
    assert shown.shape == (B, out["image"].shape[1]) and (shown[:, 1:] >= shown[:, :-1]).all()
    assert name == "subsample" or len({tuple(row) for row in shown.tolist()}) > 1
    gathered = {
        key: torch.stack([value[b][shown[b]] for b in range(B)])
        if isinstance(value, Tensor) and value.dim() > 1
        else value
        for key, value in data.items()
    }
    expected = ga.Compose(rest).replay(gathered, params)
    assert out.keys() == expected.keys() and all(same(out[key], expected[key]) for key in expected)
    assert same(layer.replay(data, params), out)
    assert torch.equal(
        ga.Compose([CLIPS[name]()])(data["image"])[0, 0], data["image"][0, int(shown[0, 0])]
    ) or name in (
        "crop",
        "speed",
    )


def test_places_of_frames() -> None:
    """torchvision's positions; every start of a crop; the step of a speed; frames that are lost."""
    clip = torch.arange(1, 12).view(1, 11, 1, 1, 1).to(torch.uint8).expand(800, -1, 1, 1, 1)
    for n in (1, 4, 7, 20):
        assert torch.equal(ga.UniformTemporalSubsample(n)(clip), v2.functional.uniform_temporal_subsample(clip, n))
    crop = ga.RandomTemporalCrop(3, 2)
    crop.reseed(1)
    frames = crop.sample(clip)["RandomTemporalCrop"].frames
    assert (frames.diff(dim=1) == 2).all()
    counts = torch.bincount(frames[:, 0], minlength=7)
    assert len(counts) == 7 and stats.chisquare(counts.tolist()).pvalue > 1e-3
    assert crop.eval()(clip)[0].flatten().tolist() == [4, 6, 8]
    assert ga.CenterTemporalCrop(4)(clip)[0].flatten().tolist() == [4, 5, 6, 7]
    assert ga.CenterTemporalCrop(3, 9)(clip)[0].flatten().tolist() == [1, 6, 11]  # spread where it does not fit
    speed = ga.Compose([ga.RandomSpeed(4, (0.5, 3.0), p=0.8)], seed=2)
    drawn = speed.sample(clip)["RandomSpeed"]
    wanted = torch.where(drawn.gate, drawn.speed * 3, 3.0)
    assert ((drawn.frames[:, -1] - drawn.frames[:, 0]) - wanted).abs().max() <= 1
    assert (drawn.frames[:, 0] == 0).any() and (drawn.frames[:, -1] == 10).any()
    assert stats.kstest(drawn.speed.numpy(), stats.uniform(0.5, 2.5).cdf).pvalue > 1e-3
    still = ga.Compose([ga.RandomSpeed(4, (1.0, 1.0))], seed=2).sample(clip)["RandomSpeed"].frames
    counts = torch.bincount(still[:, 0], minlength=8)
    assert (still.diff(dim=1) == 1).all() and stats.chisquare(counts.tolist()).pvalue > 1e-3
    lost = ga.Compose([ga.RandomFrameDrop(0.3, p=1.0)], seed=3).sample(clip)["RandomFrameDrop"].frames
    place = torch.arange(11)
    assert (lost <= place).all() and (lost[:, 0] == 0).all()
    share = (lost != place)[:, 1:].double().mean()
    assert abs(share - 0.3) < 5 * (0.21 / 8000) ** 0.5
    kept = torch.where(lost == place, place, 0).cummax(1).values
    assert torch.equal(kept, lost)


def test_clips_twice_and_repeated() -> None:
    clip = clips()["image"]
    layer = ga.Compose(
        [ga.UniformTemporalSubsample(6), ga.Repeat(2), ga.RandomTemporalCrop(3), ga.RandomInvert()], seed=2
    )
    out, params = layer(clip, return_params=True)
    assert out.shape == (2 * B, 3, 3, 20, 24)
    first = torch.linspace(0, T - 1, 6).long()
    for s in range(2 * B):
        frames = first[params["RandomTemporalCrop"].frames[s]]
        expected = clip[s % B][frames]
        assert torch.equal(out[s], 1 - expected if params["RandomInvert"].gate[s] else expected)
    starts = params["RandomTemporalCrop"].frames[:, 0]
    assert not torch.equal(starts[:B], starts[B:])
    thrice, drawn = ga.Compose([ga.RandomTemporalCrop(7), ga.RandomTemporalCrop(5), ga.RandomFrameDrop(0.4)], seed=3)(
        clip, return_params=True
    )
    for s, choices in enumerate(zip(*(values["frames"] for values in drawn.values.values()), strict=True)):
        expected = clip[s]
        for frames in choices:
            expected = expected[frames]
        assert torch.equal(thrice[s], expected)


def test_torchvisions_video() -> None:
    video = tvt.Video((example(T, (3, 20, 24)) * 255).to(torch.uint8))
    mask = tvt.Mask(torch.arange(T)[:, None, None].expand(T, 20, 24))
    out, moved, label = ga.UniformTemporalSubsample(4)(video, mask, 7)
    assert torch.equal(out, v2.UniformTemporalSubsample(4)(video)) and isinstance(out, tvt.Video) and label == 7
    assert moved[:, 0, 0].tolist() == [0, 2, 5, 8] and isinstance(moved, tvt.Mask)


# -- everything else that a pipeline can do


@pytest.mark.parametrize("kind", ["samples", "frames"])
def test_plain_values_capture_and_look(kind: str, recorded: list[Tape]) -> None:  # noqa: F811
    if kind == "samples":
        data = annotated(example(B, (3, 30, 37)))
        make = lambda: ga.Compose([ga.Repeat(2), ga.RandomCrop((20, 21))], seed=1)  # noqa: E731
    else:
        data = {key: value for key, value in clips().items() if key in ("image", "mask")}
        make = lambda: ga.Compose([ga.RandomSpeed(3), ga.RandomFrameDrop(0.5), ga.RandomInvert()], seed=1)  # noqa: E731
    eager = make()
    out, params = eager(data, return_params=True)
    restored = ga.Params.from_dict(json.loads(json.dumps(params.to_dict(), allow_nan=False)))
    assert same(make().replay(data, restored), out) and restored.copies == params.copies
    eager = ga.from_dict(json.loads(json.dumps(ga.to_dict(make()))))
    captured = make().capture(data)
    for _ in range(2):
        expected, held = eager(data), captured(data)
        assert all(torch.equal(held[key], expected[key]) for key in expected)
    assert len(recorded) == 1 and "pass 1" in eager.explain(data)


def test_preview_and_strength() -> None:
    from gpuaug.viz import preview

    images = example(2, (3, 12, 15))
    layer = ga.Compose([ga.Repeat(3), ga.RandomRotation(40)], seed=0)
    one = preview(ga.RandomRotation(40), images, copies=3)
    assert preview(layer, images, copies=1).shape == one.shape
    for copy in range(2):  # what is looked at is what will be drawn
        _, shown = sampled(layer, open_door((images,), "preview", layer.settings)[0], copy)
        assert torch.equal(
            shown.values["RandomRotation"]["angle"], layer.sample(images, copy=copy)["RandomRotation"].angle
        )
    strength = torch.tensor([0.0, 1.0])
    out = layer(images, strength=strength).view(3, 2, 3, 12, 15)
    assert (out[:, 0] - images[0]).abs().max() < 1e-6 and (out[:, 1] - images[1]).abs().amax((1, 2, 3)).min() > 0.1
    labels = torch.tensor([3, 5])
    classes = ga.Compose([ga.Repeat(2), ga.RandomRotation(ga.PerClass({3: 0}, default=(20, 30)))], seed=0)
    angle = classes.sample(images, labels)["RandomRotation"].angle.view(2, 2)
    assert (angle[:, 0] == 0).all() and (angle[:, 1] >= 20).all()


def test_mixes_after_a_repeat() -> None:
    """Copies meet like samples; the images are there to be looked at."""
    images, labels = example(4, (3, H, W)), torch.arange(4)
    layer = ga.Compose([ga.Repeat(2), ga.RandomHorizontalFlip(), ga.MixUp(num_classes=4)], seed=2)
    out, soft = layer(images, labels)
    assert out.shape == (8, 3, H, W) and soft.shape == (8, 4) and torch.allclose(soft.sum(1), torch.ones(8))
    objects = ga.Compose([ga.Repeat(2), ga.BBoxSafeRandomCrop(p=1.0)], seed=2)(annotated(images))
    assert objects["image"].shape[0] == 8
    spots = torch.tensor([[8, 10], [30, 12], [9, 40], [28, 44]])  # what stands out: the only thing there is
    seen = torch.zeros(4, 3, H, W)
    for image, (y, x) in zip(seen, spots.tolist(), strict=True):
        image[:, y - 3 : y + 3, x - 3 : x + 3] = images[0, :, :6, :6]
    drawn = ga.Compose([ga.Repeat(2), ga.SaliencyMix(num_classes=4)], seed=2).sample(seen, labels)["SaliencyMix"]
    x0, y0, x1, y1 = drawn.box.unbind(1)
    y, x = spots[drawn.partner % 4].unbind(1)
    assert ((x0 < x) & (x < x1) & (y0 < y) & (y < y1)).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ga.Repeat(0), "Repeat: n must be at least 1"),
        (lambda: ga.RandomApply([ga.Repeat(2)]), "RandomApply: a transform that changes .* number of samples"),
        (lambda: ga.OneOf([ga.FiveCrop(4), ga.RandomInvert()]), "number of samples"),
        (lambda: ga.RandomApply([ga.RandomFrameDrop()]), "number of samples or frames"),
        (lambda: ga.Compose([ga.MixUp(num_classes=3), ga.Repeat(2)]), "Repeat: it may not follow MixUp"),
        (lambda: ga.FiveCrop(9)(torch.zeros(1, 3, 8, 10)), "FiveCrop: size must not be larger than the image"),
        (lambda: ga.RandomSpeed(2)(torch.zeros(1, 3, 8, 10)), "RandomSpeed: images must be clips"),
        (lambda: ga.RandomFrameDrop(1.5), "RandomFrameDrop: rate must be within"),
        (lambda: ga.Repeat(2)(tvt.Image(torch.zeros(3, 8, 9))), "takes tensors, dicts, tuples and lists"),
        (lambda: ga.Compose([ga.Repeat(2)], format="yolox")(torch.zeros(1, 3, 8, 9), torch.zeros(1, 2, 5)), "format="),
    ],
)
def test_refusals(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_what_was_drawn_for_one_copy_is_not_fixed() -> None:
    layer = ga.Compose([ga.Repeat(2), ga.RandomInvert()], seed=0)
    with pytest.raises(ValueError, match="Fixed: what was drawn for one sample"):
        layer.fixed(layer.sample(torch.zeros(1, 3, 4, 5)))
    with pytest.raises(ValueError, match="params were drawn for 4 samples"):
        layer.replay(torch.zeros(3, 3, 4, 5), layer.sample(torch.zeros(2, 3, 4, 5)))
