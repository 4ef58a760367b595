"""Captured calls: what they refuse, and, on a tape that stands for a CUDA graph, what they follow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from cases import classification
from kernels import images
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_leaves

import gpuaug as ga
from gpuaug.testing import annotated
from gpuaug.transforms import capture
from gpuaug.transforms.capture import Captured, check_same


class Tape(TorchDispatchMode):
    """Stands for a CUDA graph: it knows operations and the memory they read and write, and nothing of Python."""

    def __init__(self) -> None:
        super().__init__()
        self.played: list[tuple[Any, Any, Any, list[Tensor]]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        assert "_local_scalar_dense" not in str(func), "a graph cannot read a value"
        out = func(*args, **(kwargs or {}))
        if not func.is_view:
            self.played.append((func, args, kwargs or {}, [t for t in tree_leaves(out) if isinstance(t, Tensor)]))
        return out

    def replay(self) -> None:
        for func, args, kwargs, written in self.played:
            new = [t for t in tree_leaves(func(*args, **kwargs)) if isinstance(t, Tensor)]
            for old, value in zip(written, new, strict=True):
                if old is not value:
                    old.copy_(value)

    def pool(self) -> None:
        return None


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> list[Tape]:
    """Let calls on the CPU be recorded; the tapes, as they are made."""
    tapes: list[Tape] = []

    def record(call: Callable[[], Any], stream: Any, pool: Any, owner: str) -> tuple[Tape, Any]:
        call()
        tapes.append(Tape())
        with tapes[-1]:
            out = call()
        return tapes[-1], out

    monkeypatch.setattr(capture, "record", record)
    monkeypatch.setattr(Captured, "_check_device", lambda self, tensors: None)
    return tapes


def pair(steps: Callable[[], list[Any]], **settings: Any) -> tuple[Any, Any]:
    """Return a layer to record, and the same one to call."""
    return ga.Compose(steps(), seed=1, **settings), ga.Compose(steps(), seed=1, **settings)


def test_draws_go_on_as_in_eager_calls(recorded: list[Tape]) -> None:
    layer, eager = pair(lambda: classification((14, 20), 5))
    x = images((3, 23, 17))
    layer(x), eager(x)
    captured = layer.capture(x)
    before = x.clone()
    for step in range(6):
        if step == 2:
            layer.reseed(5), eager.reseed(5)
        if step == 4:
            saved = eager.state_dict()
            layer.load_state_dict(saved), eager.load_state_dict(saved)
        given = x.flip(0) if step % 2 else x
        assert torch.equal(captured(given), eager(given))
        assert torch.equal(layer.get_extra_state(), eager.get_extra_state())
    assert torch.equal(layer(x), eager(x)) and torch.equal(captured(x), eager(x))  # eager calls in between
    assert torch.equal(x, before) and len(recorded) == 1


def test_bounds_may_change_between_replays(recorded: list[Tape]) -> None:
    """What a schedule writes into the packed table, and tables that were replaced by a move to another device."""
    layer, eager = pair(lambda: [ga.RandomRotation(30), ga.RandomInvert(0.5), ga.GaussianNoise(0.0, (0.0, 0.2))])
    x = images((3, 23, 17), torch.float32)
    captured = layer.capture(x)
    first = layer.sample(x)["RandomRotation"].angle.abs().max()
    layer._layout._table.mul_(0.1), eager._layout._table.mul_(0.1)
    assert layer.sample(x)["RandomRotation"].angle.abs().max() < 0.2 * first
    assert torch.equal(captured(x), eager(x))
    for owner, names in ((layer, ("_state", "_zero")), (layer._layout, ("_blocks", "_columns", "_table"))):
        for name in names:  # what a call on another device, and one back here, leave
            setattr(owner, name, getattr(owner, name).clone())
    layer._layout._table.mul_(0.5), eager._layout._table.mul_(0.5)
    for _ in range(2):
        assert torch.equal(captured(x), eager(x))
        assert torch.equal(layer(x), eager(x))


def test_ids_epochs_and_copies(recorded: list[Tape]) -> None:
    layer, eager = pair(lambda: [ga.RandomRotation(30), ga.RandomSolarize(100)])
    x, ids = images((3, 11, 15)), torch.tensor([4, 9, 2])
    captured = layer.capture(x, ids=ids, copy=3)
    for epoch in (0, 7):
        layer.set_epoch(epoch), eager.set_epoch(epoch)
        for given in (ids, ids + 1):
            assert torch.equal(captured(x, ids=given), eager(x, ids=given, copy=3))
    with pytest.raises(ValueError, match=r"need tensors as the example's, .* got None"):
        captured(x)


def test_what_is_annotated_moves_along_and_labels_pass_through(recorded: list[Tape]) -> None:
    layer, eager = pair(lambda: [ga.RandomHorizontalFlip(), ga.RandomAffine(20), ga.HueSaturationValue(p=1.0)])
    batch = annotated(images((3, 23, 17)))
    captured = layer.capture(batch)
    for step in range(3):
        given = {key: value.flip(0) if step % 2 else value for key, value in batch.items()}
        out, expected = captured(given), eager(given)
        assert out.keys() == expected.keys()
        assert all(torch.equal(out[key], expected[key]) for key in expected)
    x, labels = images((3, 11, 15)), torch.tensor([7, 8, 9])
    captured = ga.Compose([ga.RandomRotation(20)], seed=1).capture(x, labels)
    captured(x, labels)
    assert torch.equal(captured(x, labels + 1)[1], labels + 1)


def test_one_graph_for_each_size_drawn(recorded: list[Tape]) -> None:
    layer, eager = pair(lambda: [ga.RandomShortestSize([9, 11, 14]), ga.RandomRotation(20)])
    x = images((3, 23, 17))
    captured = layer.capture(x)
    shapes = set()
    for step in range(12):
        if step == 6:
            layer.reseed(9), eager.reseed(9)
        out, expected = captured(x), eager(x)
        shapes.add(tuple(out.shape))
        assert torch.equal(out, expected) and layer._mirror == layer._state.tolist()
    assert len(recorded) == len(shapes) == 3


def test_inference_leaves_the_clock_alone(recorded: list[Tape]) -> None:
    layer, eager = pair(lambda: [ga.RandomRotation(20), ga.RandomInvert()])
    x = images((3, 11, 15))
    with torch.inference_mode():
        captured = layer.capture(x)
        assert torch.equal(captured(x), eager(x)) and torch.equal(captured(x), eager(x))
    assert int(layer._state[1]) == 0
    assert torch.equal(captured(x), eager(x)) and int(layer._state[1]) == 1


def test_buffers_can_be_filled_in_place(recorded: list[Tape]) -> None:
    layer, eager = pair(lambda: [ga.RandomRotation(20)])
    x = images((3, 11, 15))
    captured = layer.capture({"image": x})
    (given,) = captured.inputs
    given["image"].copy_(x.flip(0))
    assert torch.equal(captured(given)["image"], eager({"image": x.flip(0)})["image"])
    assert captured.inputs[0]["image"] is given["image"]


def test_evaluation_is_recorded_as_such(recorded: list[Tape]) -> None:
    layer, eager = pair(lambda: classification((14, 20), 5))
    x = images((3, 23, 17))
    captured = layer.eval().capture(x)
    assert torch.equal(captured(x), eager.eval()(x))
    layer.train()
    with pytest.raises(RuntimeError, match=r"captured in eval\(\) mode"):
        captured(x)


def test_capture_needs_a_device() -> None:
    layer = ga.Compose([ga.RandomRotation(20)])
    with pytest.raises(RuntimeError, match="Compose: capture needs inputs on a CUDA device, got cpu"):
        layer.capture(images((3, 5, 8)))
    with pytest.raises(RuntimeError, match="on a CUDA device, got cpu, meta"):
        layer.capture({"image": images((3, 5, 8)), "mask": torch.zeros((3, 5, 8), device="meta")})
    with pytest.raises(TypeError, match="Compose: capture takes tensors"):
        layer.capture({"image": object()})
    with pytest.raises(TypeError, match="Compose: capture takes tensors in tuples, lists and dicts, got Ragged"):
        layer.capture(ga.Ragged.pack([images((3, 5, 8))[0]]), images((3, 5, 8)))


def test_captured_calls_refuse_other_inputs() -> None:
    x = images((3, 5, 8))
    held, spec = tree_flatten((({"image": x, "name": "a"},), None))

    def check(given: Any, ids: Any = None) -> None:
        leaves, other = tree_flatten(((given,), ids))
        check_same(leaves, other, held, spec, "Compose")

    check({"image": x.clone(), "name": "a"})
    for image in (x[:2], x[..., :7], x.float(), x.to("meta")):
        with pytest.raises(ValueError, match=r"need tensors as the example's, \(3, 3, 5, 8\), torch.uint8, cpu, got"):
            check({"image": image, "name": "a"})
    with pytest.raises(ValueError, match="need the example's 'a', got 'b'"):
        check({"image": x, "name": "b"})
    with pytest.raises(ValueError, match="structure"):
        check(x)
    with pytest.raises(ValueError, match="need the example's None, got tensor"):
        check({"image": x, "name": "a"}, torch.arange(3))
    with pytest.raises(ValueError, match="captured calls give no gradients"):
        check({"image": x.float().requires_grad_(), "name": "a"})


def test_a_failed_recording_leaves_the_clock_alone(recorded: list[Tape], monkeypatch: pytest.MonkeyPatch) -> None:
    layer = ga.Compose([ga.RandomRotation(20)], seed=1)
    before = layer.get_extra_state()

    def record(call: Callable[[], Any], *rest: Any) -> None:
        call()
        raise RuntimeError("no graph")

    monkeypatch.setattr(capture, "record", record)
    with pytest.raises(RuntimeError, match="no graph"):
        layer.capture(images((3, 5, 8)))
    assert torch.equal(layer.get_extra_state(), before)
