"""Parameters kept as plain values, replayed elsewhere, and one sample's as a pipeline of their own."""

from __future__ import annotations

import json
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from cases import CASES, FUNCTIONS, Case
from kernels import images
from test_capture import Tape, recorded  # noqa: F401  # a fixture, used by its name
from torch import Tensor

import gpuaug as ga
from gpuaug.testing import annotated, example
from gpuaug.transforms.layer import Layer


def given_for(layer: Layer, x: Tensor) -> Any:
    return annotated(x, masks=True) if any(node.transform.sees for node in layer.nodes) else x


def image(value: Any) -> Tensor:
    out: Tensor = value["image"] if isinstance(value, dict) else value
    return out


def through_json(data: Any) -> Any:
    return json.loads(json.dumps(data, allow_nan=False))


def through_pickle(thing: Any) -> Any:
    return pickle.loads(pickle.dumps(thing))


def mixes(layer: Layer) -> bool:
    return any(node.transform.mixes for node in layer.nodes)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_parameters_are_exact_in_files(case: Case) -> None:
    """Every tensor with its dtype and shape, bit for bit; what they render; a part of them."""
    layer = case.make()
    layer.reseed(7)
    given = given_for(layer, example(4, case.shape))
    out, params = layer(given, return_params=True)
    back = ga.Params.from_dict(through_json(params.to_dict()))
    assert back.names == params.names and back.geometry == params.geometry and back.canvas == params.canvas
    for name, drawn in params.values.items():
        for key, value in drawn.items():
            read = back.values[name][key]
            assert read.dtype == value.dtype and read.shape == value.shape
            assert torch.equal(read.nan_to_num(7.0), value.nan_to_num(7.0)), (name, key)
    twin = ga.from_dict(through_json(ga.to_dict(layer)), FUNCTIONS)
    for again in (back, through_pickle(params), params.to("cpu")):
        assert torch.equal(image(twin.replay(given, again)), image(out))
    if not mixes(layer):
        rows = [3, 1]
        part = {k: v[rows] for k, v in given.items()} if isinstance(given, dict) else given[rows]
        assert torch.equal(image(twin.replay(part, back[rows])), image(out)[rows])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_sample_as_a_pipeline(case: Case) -> None:
    """On another batch size every image comes out as one at the sample's place; through pickle and a file."""
    layer = case.make()
    layer.reseed(7)
    x = example(4, case.shape)
    out, params = layer(given_for(layer, x), return_params=True)
    if mixes(layer):
        with pytest.raises(ValueError, match="Fixed: what was drawn for one sample must be about that sample alone"):
            layer.fixed(params, 2)
        return
    fixed, batch = layer.fixed(params, 2), x.flip(0)[:3]
    parts = [image(layer.replay(given_for(layer, batch[k : k + 1]), params[2:3])) for k in range(3)]
    atol = 2e-7 if any(node.name.startswith("RandomGamma") for node in layer.nodes) else 0.0  # pow looks at strides
    for same in (fixed, through_pickle(fixed), ga.from_dict(through_json(ga.to_dict(fixed)), FUNCTIONS)):
        assert torch.allclose(same(batch), torch.cat(parts), rtol=0, atol=atol, equal_nan=True)
        assert torch.equal(same.eval()(batch), same(batch))
    assert torch.allclose(fixed(x)[2], image(out)[2], rtol=0, atol=atol)


def pipeline(**settings: Any) -> ga.Compose:
    return ga.Compose(
        [
            ga.RandomChoice([ga.RandomRotation(30), ga.SomeOf([ga.RandomInvert(1.0), ga.RandomAffine(9)], 1)]),
            ga.RandomOrder([ga.ColorJitter(0.3), ga.RandomHorizontalFlip()]),
            ga.RandomApply([ga.GaussianNoise(0.0, 0.2), ga.RandomErasing(p=1.0, value="random")], p=0.7),
            ga.RandomShortestSize([9, 12]),
        ],
        **{"seed": 3, "fill": {"image": 0.5, "mask": 9}, **settings},
    )


def test_every_annotation_follows_and_other_inputs_too() -> None:
    layer = pipeline(roles={"depth": "dense"})
    x = images((3, 23, 17), torch.float32)
    given = {**annotated(x), "depth": x[:, :1] * 5}
    out, params = layer(given, return_params=True)
    for i in range(3):
        fixed = layer.fixed(params, i)
        moved = fixed(given)
        for key, value in out.items():
            assert torch.equal(moved[key][i], value[i]), key
        frames = x[i].expand(5, -1, -1, -1)
        assert torch.equal(fixed(frames), out["image"][i].expand(5, -1, -1, -1))
    frames = torch.stack((x, x.flip(0)), dim=1)  # clips take the same parameters
    assert torch.equal(layer.replay({"image": frames}, params)["image"][:, 0], out["image"])


def test_compiled_captured_and_within_another(recorded: list[Tape]) -> None:  # noqa: F811
    torch._dynamo.reset()
    layer, x = pipeline(), images((3, 23, 17), torch.float32)
    params = layer.sample(x)
    fixed = layer.fixed(params, 1)
    expected = fixed(x)
    assert torch.allclose(torch.compile(fixed, fullgraph=True, backend="eager")(x), expected, atol=1e-5)
    assert torch.equal(fixed.capture(x)(x), expected)
    more = ga.Compose([layer.fixed(params, 1), ga.RandomInvert(p=1.0)], fill=0.5)
    assert torch.allclose(more(x), 1 - expected, atol=1e-5)
    back = ga.from_dict(through_json(ga.to_dict(more)))
    assert torch.equal(back(x), more(x)) and torch.equal(back.eval()(x), more(x))
    layer[3].set(min_size=[5])  # a copy was kept
    assert torch.equal(fixed(x), expected)
    assert fixed(x.to("meta")).device.type == "meta" and torch.equal(layer.fixed(params, 1)(x), expected)
    torch._dynamo.reset()


def test_a_file_holds_all_of_the_parameters() -> None:
    """Sizes, copies and names too, and that they are of some samples only, whom a mix could not serve."""
    x = images((3, 23, 17), torch.float32)
    steps = [ga.Repeat(2), ga.RandAugment(1), ga.RandomShortestSize([9, 12]), ga.MixUp(num_classes=3)]
    layer = ga.Compose(steps, seed=2)
    for params in (layer.sample(x), layer.sample(x)[:2]):
        back = ga.Params.from_dict(through_json(params.to_dict()))
        for name in ("names", "canvas", "geometry", "sizes", "copies", "partial", "labels"):
            assert getattr(back, name) == getattr(params, name), name
        assert list(back) == list(params)
    assert (
        params.partial
        and params.sizes
        and layer.sample(x).copies == 2
        and isinstance(dict(params[0])["RandAugment"]["op"][0], str)
    )


def test_the_last_sample_and_limited_bands() -> None:
    layer = ga.Compose([ga.SelectiveChannelTransform(ga.RandomSolarize(0.4), channels=(1,))], seed=3)
    x = images((3, 11, 15), torch.float32)
    out, params = layer(x, return_params=True)
    gate = params["RandomSolarize"].gate
    assert gate.any() and not gate.all()
    for i in (-1, -2, -3):
        fixed = layer.fixed(params, i)
        assert torch.equal(fixed(x)[i], out[i]) and torch.equal(fixed(x)[:, ::2], x[:, ::2])


def test_refusals() -> None:
    layer, x = pipeline(), images((3, 23, 17), torch.float32)
    params = layer.sample(x)
    with pytest.raises(IndexError, match="Fixed: sample 3 of 3"):
        layer.fixed(params, 3)
    with pytest.raises(ValueError, match="Fixed: params must be of the pipeline"):
        ga.RandomInvert().fixed(params)
    with pytest.raises(ValueError, match=r"Fixed: images must be \(23, 17\), as those drawn for, got \(17, 23\)"):
        layer.fixed(params)(x.mT.contiguous())
    twice = ga.Compose([ga.Repeat(2), ga.RandomInvert()], seed=3)
    with pytest.raises(ValueError, match="Fixed: what was drawn for one sample gives one sample of its frames, got Re"):
        twice.fixed(twice.sample(x))
    with pytest.raises(ValueError, match="Fixed: it applies to all samples"):
        ga.RandomApply([ga.RandomInvert().fixed(ga.RandomInvert().sample(x))], p=0.5)
    with pytest.raises(
        ValueError, match="params must be of this pipeline, RandomSolarize, got RandomChoice, SomeOf, R"
    ):
        ga.RandomSolarize(0.5).replay(x, params)
    data = params.to_dict()
    wrong: dict[str, tuple[Any, ...]] = {
        "values": ([], {"a": "x"}),
        "ids": (
            {"dtype": "load", "shape": [], "data": []},
            {"dtype": "int64", "shape": [-1], "data": [0, 1, 2]},
            {"dtype": "int64", "shape": [3], "data": [0, 1, 2], "more": 1},
        ),
        "geometry": (None, [1], ["a"] * 9, ["lattice", 1, False, [23, 17], False]),
        "canvas": ("abc", [1, 2, 3], [-1, 2], [[1, 2], 3]),
        "names": (3, [3]),
        "partial": ("x",),
        "sizes": (3,),
        "kept": ({"a": 1},),
        "copies": ("x", 0),
        "labels": ([1], {"a": {"b": [1]}}),
    }
    hostile = [{**data, key: value} for key, values in wrong.items() for value in values]
    for broken in ({}, {**data, "more": 1}, [], *hostile):
        with pytest.raises(ValueError, match="Params: "):
            ga.Params.from_dict(broken)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="Params: from_dict takes values of as many samples as ids"):
        ga.Params.from_dict({**data, "ids": {"dtype": "int64", "shape": [2], "data": [0, 1]}})


def test_ragged_parameters_are_kept() -> None:
    layer = ga.Compose([ga.RandomRotation(30), ga.GaussianNoise(0.0, 0.1)], seed=1)
    x = [torch.rand(3, 9, 14), torch.rand(3, 12, 8)]
    out, params = layer(x, return_params=True)
    back = ga.Params.from_dict(through_json(params.to_dict()))
    assert back.canvas == params.canvas
    for a, b in zip(layer.replay(x, back), out, strict=True):
        assert torch.equal(a, b)
    assert torch.equal(layer.fixed(back, 1)(x[1][None])[0], out[1])


def test_draws_are_selected_for_each_sample() -> None:
    layer = pipeline()
    layer = ga.Compose(list(layer)[:3], seed=3)
    x = images((3, 23, 17), torch.float32)
    draws = [layer.sample(x, copy=k) for k in range(3)]
    index = torch.tensor([2, 0, 1])
    out = layer.replay(x, ga.Params.select(draws, index))
    for i, k in enumerate(index.tolist()):
        assert torch.equal(out[i], layer.replay(x, draws[k])[i])
    with pytest.raises(ValueError, match=r"Params: select takes an integer index \(3,\), got torch.float32"):
        ga.Params.select(draws, index * 1.0)
    with pytest.raises(ValueError, match="Params: select takes draws of one pipeline"):
        ga.Params.select([draws[0], layer.sample(x[:2])], index)
    assert draws[0].to("meta").state.device.type == "meta"
    sized = ga.Compose([ga.RandomResizedCrop(9)], seed=3)
    one = sized.sample(x)
    sized.set_size(8)
    with pytest.raises(ValueError, match="Params: select takes draws of one pipeline"):
        ga.Params.select([one, sized.sample(x)], index - index)
    with pytest.raises(ValueError, match="Params: select takes at least one draw"):
        ga.Params.select([], index)


def test_params_of_samples_by_any_kind_of_number() -> None:
    given = example(4, (3, 21, 17))
    layer = ga.Compose([ga.RandomRotation(30)], seed=2)
    out, params = layer(given, return_params=True)
    for number in (torch.tensor(2), np.int64(2), torch.tensor(2, dtype=torch.int32)):
        assert params[number] == params[2]
    with pytest.raises(IndexError, match="Params: sample 4 of 4"):
        params[torch.tensor(4)]
    for some in ([3, 1], (3, 1), torch.tensor([3, 1]), np.array([3, 1])):
        assert torch.equal(layer.replay(given[[3, 1]], params[some]), out[[3, 1]])
    assert len(params[[]]) == 0
