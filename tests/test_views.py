"""Views: every view is the copy of its number, pairs are independent, and the way between two is that of the pixels."""

from __future__ import annotations

import copy
import json
import pickle
from itertools import combinations
from typing import Any

import pytest
import torch
from content import H, W, coordinates, read_at
from scipy import stats
from test_capture import Tape, recorded  # noqa: F401  # a fixture, used by its name
from torch import Tensor, nn

import gpuaug as ga
from gpuaug.testing import annotated, example

B = 3


def large(**settings: Any) -> ga.Compose:
    steps: list[nn.Module] = [
        ga.RandomResizedCrop((24, 30), (0.3, 1.0)),
        ga.RandomHorizontalFlip(),
        ga.ColorJitter(0.4, 0.4),
        ga.GaussianBlur(3, p=0.5),
    ]
    return ga.Compose(steps, **settings)


def small(**settings: Any) -> ga.Compose:
    return ga.Compose([ga.RandomResizedCrop((10, 12), (0.05, 0.3)), ga.RandomSolarize(0.5)], **settings)


def dino(**settings: Any) -> ga.MultiView:
    return ga.MultiView({"global_1": large(), "global_2": large(), "local": (small(), 4)}, **settings)


def equal(a: Any, b: Any) -> bool:
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(a[k], b[k]) for k in a)
    if isinstance(a, (tuple, list)):
        return len(a) == len(b) and all(map(equal, a, b))
    return torch.equal(a, b) if isinstance(a, Tensor) else bool(a == b)


@pytest.mark.parametrize("way", ["batched", "walked"])
@pytest.mark.parametrize("ids", [None, torch.tensor([17, 4, 230])], ids=["positions", "ids"])
def test_each_view_is_the_copy_of_its_number(ids: Any, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gpuaug.render.backend.SMALL", 0 if way == "walked" else 10**9)
    images = example(B, (3, H, W), torch.uint8)
    views = ga.MultiView({"a": small(), "b": (small(), 2), "c": small()}, seed=9)
    alone = small(seed=9)
    out = views(images, ids=ids)
    assert {name: view.shape for name, view in out.items()} == {
        "a": (B, 3, 10, 12), "b": (2 * B, 3, 10, 12), "c": (B, 3, 10, 12)
    }  # fmt: skip
    flat = torch.cat(list(out.values())).view(4, B, 3, 10, 12)
    for k in range(4):
        assert torch.equal(flat[k], alone.replay(images, alone.sample(images, ids=ids, copy=k)))
    again = views(images, ids=ids, copy=1)
    alone(images, ids=ids)  # the clocks of both go on
    assert torch.equal(again["a"], alone.replay(images, alone.sample(images, ids=ids, copy=4)))
    assert torch.equal(views(images, ids=ids)["a"], out["a"]) == (ids is not None)


def test_every_pair_of_views_is_independent() -> None:
    """Angles of six views of 2000 samples: correlations, and the law of differences."""
    turn = lambda: ga.RandomRotation(1)  # noqa: E731
    views = ga.MultiView({"a": turn(), "b": turn(), "c": (turn(), 3), "d": ga.Compose([turn()])}, seed=3)
    params = views.sample(torch.zeros(1, 1, 4, 5).expand(2000, -1, -1, -1))
    angles = [params.of(k)["RandomRotation"].angle for k in range(6)]
    for a, b in combinations(angles, 2):
        assert abs(torch.corrcoef(torch.stack((a, b)))[0, 1]) < 5 / 2000**0.5
        assert stats.kstest((a - b).numpy(), stats.triang(0.5, -2, 4).cdf).pvalue > 1e-4
    gates = ga.TwoViews(ga.RandomInvert(p=0.5), seed=1).sample(torch.zeros(1, 1, 4, 5).expand(4000, -1, -1, -1))
    both = torch.stack([gates.of(k)["RandomInvert"].gate for k in (0, 1)]).double()
    assert abs(both.prod(0).mean() - 0.25) < 5 * (0.25 * 0.75 / 4000) ** 0.5


def test_the_way_between_views_is_that_of_the_pixels() -> None:
    """Images of their own coordinates: what a view shows at a point is what the other shows where the point goes."""
    affine = ga.RandomAffine(40, (0.1, 0.1), (0.8, 1.3), 15)
    turned = [ga.RandomPerspective(0.3, p=0.7), affine, ga.CenterCrop((44, 60))]
    crop = ga.RandomResizedCrop((40, 50), (0.3, 0.8), antialias=False)
    views = ga.MultiView(
        {
            "turned": ga.Compose(turned, antialias=False),
            "crops": (ga.Compose([crop, ga.RandomHorizontalFlip()]), 2),
            "repeated": ga.Compose([ga.RandomVerticalFlip(), ga.Repeat(2), ga.RandomCrop((30, 41))]),
        },
        seed=2,
    )
    given = coordinates(4)
    out, params = views(given, return_params=True)
    flat = [out["turned"], *out["crops"].chunk(2), *out["repeated"].chunk(2)]
    named = ["turned", "crops", ("crops", 1), "repeated", ("repeated", 1)]
    y, x = torch.meshgrid(torch.arange(3.3, 40, 2.5), torch.arange(3.6, 50, 2.5), indexing="ij")
    points = torch.stack((x, y), dim=-1).flatten(0, 1).double()
    far, seen = 0.0, 0
    for i, a in enumerate(named):
        for j, b in enumerate(named):
            m = params.between(a, b)
            assert torch.equal(m, params.between(i, j)) and m.shape == (4, 3, 3)
            for n in range(4):
                moved = torch.cat((points, torch.ones(len(points), 1)), dim=1) @ m[n].T
                moved = moved[:, :2] / moved[:, 2:]
                (u, ok_u), (v, ok_v) = read_at(flat[i][n], points), read_at(flat[j][n], moved)
                sizes = [torch.tensor([f.shape[3], f.shape[2]]) for f in (flat[i], flat[j])]
                ok = ok_u & ok_v  # a crop ends what is read: not at its border
                for place, size in zip((points, moved), sizes, strict=True):
                    ok &= ((place > 3) & (place < size - 3)).all(1)
                if ok.any():
                    far, seen = max(far, float((u - v)[ok].abs().max() * 100)), seen + int(ok.sum())
    assert far < 0.01 and seen > 4000  # a perspective's image of a ramp is not quite read by bilinear taps
    assert torch.allclose(params.between(1, 1), torch.eye(3, dtype=torch.float64).expand(4, 3, 3), atol=1e-12)
    repeated = params["repeated"].between(0, 1)
    assert torch.equal(repeated, params.between(("repeated", 0), ("repeated", 1)))
    with pytest.raises(IndexError, match="views are 0 to 4, got 5"):
        params.of(5)
    with pytest.raises(IndexError, match="copies of 'crops' are 0 to 1, got 2"):
        params.between("turned", ("crops", 2))
    with pytest.raises(KeyError, match="no view 'local'"):
        params.of("local")
    bent = ga.TwoViews(ga.ElasticTransform(20.0, 3.0)).sample(given)
    with pytest.raises(ValueError, match="a displacement field is no matrix"):
        bent.between(0, 1)


def test_annotations_and_labels_of_views() -> None:
    data = annotated(example(B, (3, H, W)), masks=True) | {"label": torch.arange(B), "depth": example(B, (1, H, W))}
    data |= {"keypoints": data["boxes"].unflatten(-1, (2, 2)), "name": ["a", "b", "c"]}
    roles = {"depth": "dense"}
    views = ga.MultiView({"large": large(roles=roles), "small": (small(roles=roles), 2)}, seed=1)
    out, params = views(data, return_params=True)
    assert equal(views.replay(data, params), out)
    restored = ga.ViewParams.from_dict(json.loads(json.dumps(params.to_dict(), allow_nan=False)))
    assert equal(views.replay(data, restored), out)
    assert equal(params.to("cpu").map(lambda t: t.clone()).to_dict(), params.to_dict())
    for k in range(2):
        part = views.small.replay(data, params.of(("small", k)))
        for key, value in part.items():
            assert equal(out["small"][key][k * B : (k + 1) * B], value), key
    (one, labels), (two, others) = ga.TwoViews(large(), small())(data["image"], data["label"])
    assert one.shape[2:] == (24, 30) and two.shape[2:] == (10, 12) and labels is others
    single = ga.TwoViews(large())(data["image"][0])
    assert single[0].shape == (3, 24, 30)


def test_state_epochs_and_eval() -> None:
    images, ids = example(B, (3, H, W)), torch.tensor([5, 1, 8])
    views = dino(seed=4)
    out = views(images)
    for other in (copy.deepcopy(views), pickle.loads(pickle.dumps(views))):
        assert equal(other(images), (following := copy.deepcopy(views)(images)))
    assert not torch.equal(following["local"], out["local"])
    restored = dino()
    restored.load_state_dict(views.state_dict())
    assert equal(restored(images), following)
    first = views(images, ids=ids)
    views.set_epoch(1)
    assert not equal(views(images, ids=ids), first)
    views.set_epoch(0)
    shuffled = views(images[[2, 0, 1]], ids=ids[[2, 0, 1]])["local"].view(4, B, 3, 10, 12)
    assert equal(shuffled[:, [1, 2, 0]].flatten(0, 1), first["local"])
    views.reseed(4)
    assert equal(views(images), out)
    torch.manual_seed(3)
    unseeded = dino()(images)
    torch.manual_seed(3)
    assert equal(dino()(images), unseeded)
    ranks = [dino(seed=4, rank=rank)(images)["local"] for rank in (0, 1)]
    assert torch.equal(ranks[0], out["local"]) and not torch.equal(*ranks)
    held = dino(seed=4).eval()
    shown = held(images)
    assert torch.equal(shown["global_1"], large().eval()(images)) and shown["local"].shape == (4 * B, 3, 10, 12)
    assert torch.equal(shown["local"][:B], shown["local"][B : 2 * B]) and equal(held(images), shown)
    ramp = ga.TwoViews(ga.RandomRotation(ga.Linear(0, 30, 2)), seed=1)
    assert not ramp.sample(images).of(0)["RandomRotation"].angle.any()
    ramp.set_epoch(2)
    assert ramp.sample(images).of(1)["RandomRotation"].angle.abs().max() > 1


def test_clocks_of_schedules_and_of_inference() -> None:
    """Views of one pipeline and of two: started over, restored, by step; `sample` draws in `eval()` mode too."""
    images = example(B, (3, H, W))

    def angles(views: ga.TwoViews) -> list[Tensor]:
        params = views.sample(images)
        return [params.of(k)["RandomRotation"].angle for k in (0, 1)]

    def ramp(by: str) -> ga.TwoViews:
        return ga.TwoViews(*(ga.RandomRotation(ga.Linear(0, 30, 2, by=by)) for _ in range(2)), seed=1)

    epochs, steps = ramp("epoch"), ramp("step")
    epochs.set_epoch(2)
    steps.set_step(2)
    assert all(angle.abs().max() > 1 for angle in angles(epochs) + angles(steps))
    restored = ramp("epoch")
    restored.load_state_dict(epochs.state_dict())
    assert equal(angles(restored), angles(epochs)) and equal(angles(epochs.eval()), angles(epochs.train()))
    for views in (epochs, steps):
        views.reseed(1)
        assert not any(angle.any() for angle in angles(views))
    plain = ga.TwoViews(ga.RandomRotation(30), seed=1)
    with torch.inference_mode():
        first = plain(images)
        assert equal(plain(images), first), "inference leaves the clock alone"
    assert equal(plain(images), first) and not equal(plain(images), first)
    views, fresh = (ga.MultiView({"a": ga.Mosaic(target_size=(24, 30), buffer=4)}, seed=0) for _ in range(2))
    with torch.inference_mode():
        views(images[:2])
    assert equal(views(images[1:]), fresh(images[1:])), "and keeps nobody for later batches"
    drawing = ga.TwoViews(ga.Compose([ga.RandomInvert()], eval=[ga.RandomRotation(30)]), seed=1).eval()
    assert equal(drawing(images), drawing(images)), "and so does evaluation that draws"
    assert equal(drawing(images, ids=torch.arange(B) + 5), drawing(images)), "which no ids are asked for"
    params = plain.sample(images)
    assert params.to("meta").of(1)["RandomRotation"].angle.is_meta
    with pytest.raises(IndexError, match="views are 0 to 1, got -1"):
        params.of(-1)


def test_sizes_drawn_for_a_batch_are_those_of_the_view() -> None:
    resize = lambda: ga.RandomResize(10, 40)  # noqa: E731
    views = ga.MultiView({"a": resize(), "b": resize()}, seed=0)
    images = example(2, (3, H, W))
    seen = [(o["a"].shape[2], o["b"].shape[2]) for o in (views(images) for _ in range(8))]
    assert len({a for a, _ in seen}) > 4 and any(a != b for a, b in seen)
    out, params = views(images, return_params=True)
    assert equal(views.replay(images, params), out)


def test_compiled_captured_and_without_values(recorded: list[Tape]) -> None:  # noqa: F811
    torch._dynamo.reset()
    data = {"image": example(B, (3, 26, 31)), "mask": torch.ones(B, 26, 31, dtype=torch.uint8)}
    make = lambda: ga.MultiView({"one": ga.RandomCrop((20, 24)), "two": (ga.RandomCrop(9), 3)}, seed=6)  # noqa: E731
    compiled, eager = torch.compile(make(), fullgraph=True, backend="eager"), make()
    captured = make().capture(data)
    for call in range(2):
        with torch._dynamo.config.patch(error_on_recompile=call > 0):
            out = compiled(data["image"])
        expected = eager(data)
        assert all(torch.equal(out[name], expected[name]["image"]) for name in expected)
        assert equal(captured(data), expected)
    assert len(recorded) == 1
    meta = make()(data["image"].to("meta"))
    assert meta["two"].shape == (3 * B, 3, 9, 9) and make()(data["image"][:0])["two"].shape == (0, 3, 9, 9)
    with pytest.raises(ValueError, match="capture takes views of fixed sizes, got one that is drawn in 'a'"):
        ga.MultiView({"a": ga.RandomResize(10, 40)}).capture(data)


def test_strength_and_gradients_of_views() -> None:
    images = example(B, (3, H, W)).requires_grad_()
    views = ga.TwoViews(ga.RandomRotation(30), seed=0)
    one, two = views(images, strength=torch.tensor([0.0, 1.0, 1.0]))
    assert (one[0] - images[0]).abs().max() < 1e-6 and (one[1] - two[1]).abs().max() > 0.05
    (grad,) = torch.autograd.grad(one.sum() + two.sum(), images)
    assert torch.isfinite(grad).all() and (grad[0] - 2).abs().max() < 1e-4


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ga.MultiView({}), "MultiView: views must be a dict of pipelines by name"),
        (lambda: ga.MultiView({"a": nn.Identity()}), "MultiView: view 'a' must be a gpuaug transform, got Identity"),
        (lambda: ga.MultiView({"a": (ga.RandomInvert(), 0)}), "number of copies of 'a' must be at least 1, got 0"),
        (lambda: ga.MultiView({"training": ga.RandomInvert()}), "views must have names without dots that are free"),
        (lambda: ga.TwoViews(None), "TwoViews: view 'view_1' must be a gpuaug transform, got NoneType"),  # type: ignore[arg-type]
        (
            lambda: dino().replay(torch.zeros(1, 3, 8, 9), None),
            "MultiView: replay takes the batch, then its ViewParams",
        ),
    ],
)
def test_refusals(make: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        make()
