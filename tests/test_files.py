"""Pipelines as dicts and files: every transform comes back the same, and nothing else is built."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from cases import CASES, FUNCTIONS, Case

import gpuaug as ga
from gpuaug import files
from gpuaug.testing import annotated, example
from gpuaug.transforms.layer import Layer


def same(a: Layer, b: Layer, shape: tuple[int, int, int] = (3, 23, 17)) -> None:
    """Both draw and render alike: uniforms, parameters and pixels bit for bit."""
    a.reseed(5)
    b.reseed(5)
    images = example(3, shape)
    sees = any(node.transform.sees for node in a.nodes)
    given = annotated(images, masks=True) if sees else images
    for _ in range(2):
        (out, params), (again, others) = a(given, return_params=True), b(given, return_params=True)
        assert params.names == others.names
        for name in params.names:
            for key, value in params.values[name].items():
                assert torch.equal(value.nan_to_num(), others.values[name][key].nan_to_num()), (name, key)
        pairs = [(out, again)] if not sees else [(out["image"], again["image"])]
        for x, y in pairs:
            assert torch.equal(x.nan_to_num(), y.nan_to_num())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_transform_comes_back_from_json(case: Case) -> None:
    layer = case.make()
    text = json.dumps(ga.to_dict(layer), allow_nan=False)
    back = ga.from_dict(json.loads(text), FUNCTIONS)
    assert type(back) is type(layer) and repr(back) == repr(layer)
    assert ga.fingerprint(back) == ga.fingerprint(layer)
    same(layer, back, case.shape)


def policy() -> ga.Compose:
    return ga.Compose(
        [
            ga.RandomApply([ga.RandomRotation(ga.Normal(0, 5)), ga.ColorJitter(0.4, hue=0.1)], p=0.5),
            ga.RandomChoice([ga.RandomInvert(), ga.RandomHorizontalFlip()], p=[1, 3]),
            ga.SelectiveChannelTransform(ga.RandomGamma(), channels=(0, 2)),
            ga.Normalize((0.5,) * 3, (0.2,) * 3, dtype=torch.float32, memory_format=torch.channels_last),
        ],
        eval=[ga.CenterCrop(12), ga.ToDtype(torch.float32, scale=True)],
        bbox_params=ga.BboxParams(min_visibility=0.3, max_aspect=20.0),
        keypoint_params=ga.KeypointParams(flip_pairs=((0, 1),)),
        mirror_labels={2: 3},
        fill={"image": 0.5, "mask": 255},
        roles={"depth": "dense"},
        value_range=(0.0, 1.0),
        interpolation="bicubic",
    )


@pytest.mark.parametrize("suffix", [".json", ".yaml"])
def test_a_pipeline_comes_back_from_a_file(tmp_path: Path, suffix: str) -> None:
    ga.save(policy(), tmp_path / f"policy{suffix}")
    back = ga.load(tmp_path / f"policy{suffix}")
    assert isinstance(back, ga.Compose)
    assert back.settings == policy().settings and back.target_fill == {"mask": 255} and back.fill == (0.5,)
    same(policy(), back)
    images = example(2)
    assert torch.equal(back.eval()(images), policy().eval()(images))
    assert back.eval()(images).shape == (2, 3, 12, 12)


def test_slices_and_sums_keep_settings_in_files() -> None:
    whole = policy()
    part = whole[1:3]
    back = ga.from_dict(ga.to_dict(part))
    assert isinstance(back, ga.Compose) and len(back) == 2 and back.settings == whole.settings
    more = whole[:3] + ga.RandomInvert(p=1.0) + ga.Compose([ga.RandomVerticalFlip()], fill=0.25)
    assert isinstance(more, ga.Compose) and len(more) == 5 and more.fill == (0.5,)
    assert ga.fingerprint(ga.from_dict(ga.to_dict(more))) == ga.fingerprint(more)
    both = ga.RandomInvert(p=1.0) + ga.RandomInvert(p=1.0)
    images = example(2)
    assert torch.allclose(both(images), images, atol=1e-6)
    with pytest.raises(TypeError):
        both + 3


def test_a_changed_probability_is_written() -> None:
    layer = ga.RandomInvert(p=0.5)
    layer.p = 0.25
    assert ga.to_dict(layer)["pipeline"]["args"]["p"] == 0.25


def test_every_setting_is_in_the_fingerprint() -> None:
    """And comes back: also a number that JSON has no word for."""
    settings: dict[str, Any] = {
        "eval": [ga.CenterCrop(3)], "seed": 3, "fuse": False, "interpolation": "bicubic", "fill": {"mask": 2},
        "antialias": False, "bbox_params": ga.BboxParams(max_aspect=math.inf), "mirror_labels": {1: 2},
        "keypoint_params": ga.KeypointParams("center"), "roles": {"depth": "dense"}, "pad_to": 30, "pad_divisor": 8,
        "value_range": (0, 9), "format": "detr", "backend": "torch", "rank": 2, "save_state": False,
    }  # fmt: skip
    seen = {ga.fingerprint(ga.Compose([ga.RandomInvert()])), ga.fingerprint(ga.Compose([ga.RandomInvert(0.25)]))}
    for name, value in settings.items():
        layer = ga.Compose([ga.RandomInvert()], **{name: value})
        text = json.dumps(ga.to_dict(layer), allow_nan=False)
        seen.add(ga.fingerprint(layer))
        assert ga.fingerprint(ga.from_dict(json.loads(text))) == ga.fingerprint(layer), name
        if name == "bbox_params":
            assert ga.from_dict(json.loads(text)).settings.bbox == value
    assert len(seen) == len(settings) + 2


def test_the_validation_preprocessing_alone() -> None:
    train = ga.Compose([ga.RandomResizedCrop(12), ga.ColorJitter(0.4), ga.Normalize((0.5,) * 3, (0.2,) * 3)], fill=3)
    serving = train.eval_pipeline()
    images = example(2, (3, 40, 50))
    expected = train.eval()(images)
    assert torch.equal(serving(images), expected)
    back = ga.from_dict(ga.to_dict(serving))
    assert torch.equal(back(images), expected)


GOLDEN = Path(__file__).parent / "golden" / "policy-1.json"


def test_files_of_the_first_version_are_read() -> None:
    """The file was written once and stays: what it draws may not change either."""
    layer = ga.load(GOLDEN)
    assert ga.fingerprint(layer) == "ef51e4850d26ae7f71de2204080ddad67e127739b3332d70d7a2e6a0dcc3bb9d"
    assert [node.name for node in layer.nodes][:2] == ["RandomRotation", "ColorJitter"]
    assert layer.settings.bbox.min_visibility == 0.3


HOSTILE: list[tuple[Any, str]] = [
    ({"pipeline": {}}, "keys gpuaug and pipeline"),
    ([], "keys gpuaug and pipeline"),
    ({"gpuaug": 2, "pipeline": {}}, "version must be 1"),
    ({"gpuaug": True, "pipeline": {}}, "version must be 1"),
    ({"gpuaug": 1, "pipeline": {"transform": "os.system", "args": {}}}, "must name a transform"),
    ({"gpuaug": 1, "pipeline": {"transform": "Path", "args": {}}}, "must name a transform"),
    ({"gpuaug": 1, "pipeline": {"transform": ["Compose"], "args": {}}}, "must name a transform"),
    ({"gpuaug": 1, "pipeline": {"transform": "BboxParams", "args": {}}}, "must name a transform"),
    ({"gpuaug": 1, "pipeline": {"distribution": "Uniform", "args": {"low": 0, "high": 1}}}, "must be a transform"),
    ({"gpuaug": 1, "pipeline": {"transform": "RandomInvert", "args": {"q": 1}}}, r"must have the arguments .*'q'"),
    ({"gpuaug": 1, "pipeline": {"transform": "RandomInvert", "args": {"p": 7}}}, "p must be between 0 and 1"),
    ({"gpuaug": 1, "pipeline": {"transform": "RandomInvert", "args": []}}, "must have the arguments"),
    ({"gpuaug": 1, "pipeline": {"transform": "RandomInvert", "args": {}, "code": "1"}}, "value that to_dict writes"),
    ({"gpuaug": 1, "pipeline": {"transform": "Compose", "args": {"transforms": ["x"]}}}, "gpuaug transform"),
    ({"gpuaug": 1, "pipeline": {"transform": "ToDtype", "args": {"dtype": {"dtype": "load"}}}}, "to_dict writes"),
    ({"gpuaug": 1, "pipeline": {"transform": "RandomInvert", "args": {"p": {"float": "1e3"}}}}, "to_dict writes"),
    ({"gpuaug": 1, "pipeline": {"transform": "RandomInvert", "args": {"p": {"__class__": 1}}}}, "to_dict writes"),
    *(
        ({"gpuaug": 1, "pipeline": {"transform": name, "args": args}}, message)
        for name, args, message in (
            ("__class__", {}, "must name a transform"),
            ("Container", {"transforms": []}, "must name a transform"),
            ("RandomInvert", {"p": {"varying": "Schedule", "args": {}}}, "from_dict: pipeline: "),
            ("ToDtype", {"dtype": {"memory_format": "load"}}, "to_dict writes"),
            ("RandomInvert", {"p": 10**400}, "p must be between 0 and 1"),
            ("RandomInvert", {"p": {"tensor": "x", "dtype": "float32"}}, "to_dict writes"),
            ("Compose", {"transforms": [], "roles": {"dict": [[{"dict": []}, 1]]}}, "to_dict writes"),
            ("RandomRotation", {"degrees": 10**400}, "from_dict: .*degrees must be finite"),
            ("RandomRotation", {"degrees": 1e308}, "from_dict: .*degrees must be finite"),  # in float32 it is not
            ("Normalize", {"mean": [10**400], "std": [1]}, "from_dict: pipeline: "),
            ("RandAugment", {"num_ops": 10**9}, "operations of a sample must be at most 100, got 1000000000"),
            ("TimmRandAugment", {"config": "rand-n99999999999"}, "must be at most 100, got 99999999999"),
            ("AugMix", {"mixture_width": 10**9}, "must be at most 100, got 3000000000"),
            (
                "SomeOf",
                {"transforms": [{"transform": "RandomInvert", "args": {}}], "n": 10**6, "replace": True},
                "SomeOf: n must be at most 100 with replace, got 1000000",
            ),
            *(
                ("Compose", {"transforms": [], key: value}, f"Compose: .*{key}.* must be")
                for key, value in (
                    ("bbox_params", "x"),
                    ("keypoint_params", {"settings": "BboxParams", "args": {}}),
                    ("roles", 3),
                    ("roles", {"dict": [["a", "evil"]]}),
                    ("mirror_labels", [1]),
                    ("mirror_labels", {"dict": [["a", "b"]]}),
                    ("fuse", "no"),
                )
            ),
        )
    ),
]


@pytest.mark.parametrize(("data", "message"), HOSTILE)
def test_hostile_files_are_refused(data: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ga.from_dict(data)


def test_deep_large_and_broken_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nested: Any = {"transform": "RandomInvert", "args": {}}
    for _ in range(100):
        nested = {"transform": "Compose", "args": {"transforms": [nested]}}
    with pytest.raises(ValueError, match="nested at most 64"):
        ga.from_dict({"gpuaug": 1, "pipeline": nested})
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(ValueError, match="must be JSON or YAML"):
        ga.load(tmp_path / "broken.json")
    (tmp_path / "tag.yaml").write_text("gpuaug: !!python/object/apply:os.getcwd []\npipeline: {}\n")
    with pytest.raises(ValueError, match=r"tag.yaml must be JSON or YAML, got: could not determine a constructor"):
        ga.load(tmp_path / "tag.yaml")
    lines = ["  a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"  a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
    (tmp_path / "many.yaml").write_text("\n".join(["gpuaug: 1", "pipeline:", *lines]))
    with monkeypatch.context() as fewer:
        fewer.setattr(files, "LARGEST", 1000)
        with pytest.raises(ValueError, match="pipeline must have at most 1000 values"):
            ga.load(tmp_path / "many.yaml")


def test_what_no_file_can_hold_is_named() -> None:
    class Own(ga.RandomInvert):
        pass

    with pytest.raises(ValueError, match="Own must be given to"):
        ga.to_dict(ga.Compose([Own()]))
    with pytest.raises(ValueError, match="name of its own"):
        ga.register(type("Compose", (ga.Compose,), {}))
    with pytest.raises(TypeError, match="class of transforms"):
        ga.register(int)
