"""Functions of the user's own in a pipeline."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from kernels import images
from test_capture import Tape, recorded  # noqa: F401  # a fixture, used by its name
from torch import Tensor
from torchvision.transforms import v2

import gpuaug as ga
from gpuaug.testing import annotated, check_transform

X = images((3, 11, 15), torch.float32)


def squared(x: Tensor) -> Tensor:
    return x * x


def overwritten(x: Tensor) -> Tensor:
    return x.mul_(0.5)


def test_it_is_torchvisions() -> None:
    assert torch.equal(ga.Lambda(squared)(X), v2.Lambda(squared)(X))
    assert torch.equal(ga.Lambda(squared).eval()(X), X * X)
    x = images((3, 11, 15))
    assert torch.equal(ga.Lambda(squared)(x), (((x / 255) ** 2) * 255).round().to(torch.uint8))
    wide = ga.Compose([ga.Lambda(squared)], value_range=(0, 4095))(x.to(torch.int16) * 16)
    assert torch.allclose(wide.double(), (x.double() * 16 / 4095) ** 2 * 4095, atol=0.51)


def test_the_contract() -> None:
    check_transform(lambda: ga.Lambda(squared))
    check_transform(lambda: ga.RandomApply([ga.Lambda(squared)], p=0.5))


def test_inputs_stay_and_annotations_too() -> None:
    before = X.clone()
    assert torch.equal(ga.Lambda(overwritten)(X), before / 2) and torch.equal(X, before)
    given = annotated(X)
    out = ga.Compose([ga.Lambda(overwritten), ga.RandomHorizontalFlip(p=0.0)])(given)
    assert torch.equal(given["image"], before) and torch.equal(out["mask"], given["mask"])


def test_some_samples_bands_and_places(recorded: list[Tape]) -> None:  # noqa: F811
    steps: list[Any] = [
        ga.RandomRotation(20),
        ga.RandomChoice([ga.Lambda(squared), ga.RandomInvert(p=1.0)]),
        ga.Normalize((0.5,) * 3, (0.2,) * 3),
        ga.Lambda(lambda x: -x, channels=(1,)),
    ]
    layer = ga.Compose(steps, seed=3)
    out, params = layer(X, return_params=True)
    turned = ga.RandomRotation(20).replay(X, params_of(params, "RandomRotation"))
    index = params["RandomChoice"].index[:, None, None, None]
    expected = (torch.where(index == 0, turned**2, 1 - turned) - 0.5) / 0.2
    expected[:, 1] *= -1
    assert torch.allclose(out, expected, atol=1e-5)
    eager = ga.Compose(steps, seed=3)
    eager._advance()
    assert torch.equal(layer.capture(X)(X), eager(X)) and len(recorded) == 1
    ragged = ga.Compose([ga.Lambda(squared)])([X[0], X[1][:, :7]])
    assert torch.equal(ragged[1], X[1][:, :7] ** 2)


def params_of(params: ga.Params, name: str) -> ga.Params:
    return ga.Params({name: params.values[name]}, params.canvas, params.state, params.ids)


def test_files_hold_names(tmp_path: Path) -> None:
    layer = ga.Compose([ga.Lambda(squared, name="squared"), ga.RandomHorizontalFlip()], seed=2)
    data = json.loads(json.dumps(ga.to_dict(layer)))
    back = ga.from_dict(data, functions={"squared": squared})
    assert torch.equal(back(X), layer(X)) and ga.fingerprint(back) == ga.fingerprint(layer)
    assert torch.equal(pickle.loads(pickle.dumps(layer))(X), layer(X))
    ga.save(layer, tmp_path / "policy.json")
    assert ga.fingerprint(ga.load(tmp_path / "policy.json", {"squared": squared})) == ga.fingerprint(layer)
    with pytest.raises(ValueError, match=r"from_dict: Lambda at .* needs functions=\{'squared': ...\}, got \[\]"):
        ga.from_dict(data)
    with pytest.raises(ValueError, match="to_dict: Lambda must have a name= to be written, got a function without one"):
        ga.to_dict(ga.Lambda(squared))


def test_refusals() -> None:
    with pytest.raises(TypeError, match="Lambda: function must be callable, got 3"):
        ga.Lambda(3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="Lambda: name must be a string or None, got 3"):
        ga.Lambda(squared, name=3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"Lambda: function must return images of the same shape \(3, 3, 11, 15\)"):
        ga.Lambda(lambda x: x[:, :1])(X)
    with pytest.raises(ValueError, match="got NoneType"):
        ga.Lambda(lambda x: None)(X)  # type: ignore[arg-type,return-value]


def test_a_function_may_need_gradients_of_its_own() -> None:
    kept = []

    def against(image: Tensor) -> Tensor:
        image.requires_grad_()
        (slope,) = torch.autograd.grad((image**2).sum(), image)
        kept.append(slope)
        return image.detach() - 0.1 * slope

    out = ga.Compose([ga.RandomHorizontalFlip(p=0.0), ga.Lambda(against)])(X)
    torch.testing.assert_close(out, 0.8 * X)
    weight = torch.ones((), requires_grad=True)
    (weight * out + weight * kept[0].sum()).sum().backward()
    assert not out.is_inference() and weight.grad is not None
