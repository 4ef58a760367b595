"""Check that a transform keeps the contract: for the library's own tests, and for people who write transforms.

Every check takes a function that makes the transform anew and raises AssertionError with what went wrong.
`check_transform` runs them all.
"""

from __future__ import annotations

import copy
import io
import pickle
from collections.abc import Callable
from functools import partial, wraps
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from gpuaug._examples import annotated, example
from gpuaug.render.backend import render
from gpuaug.sampling.params import Params
from gpuaug.transforms.compose import Container
from gpuaug.transforms.frames import by_frame
from gpuaug.transforms.layer import SETTINGS, Layer
from gpuaug.transforms.rows import begin, copies_from

__all__ = ["CHECKS", "annotated", "check_transform", "example"]

Make = Callable[[], Layer]
Shape = tuple[int, ...]
"""(C, H, W), or (T, C, H, W) of clips."""
Check = Callable[[Make, Shape], None]


def _seeded(make: Make, seed: int = 3) -> Layer:
    layer = make()
    layer.reseed(seed)
    return layer


def _same(a: Tensor, b: Tensor) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and torch.equal(torch.nan_to_num(a), torch.nan_to_num(b))


def _gates(params: Params) -> list[Tensor]:
    return [drawn["gate"] for drawn in params.values.values() if "gate" in drawn]


def check_batch_is_loop(make: Make, shape: Shape) -> None:
    """A batch equals its samples one by one, with sliced parameters: nothing leaks between samples.

    Where samples meet, each depends on itself and on whom it meets alone: all others may be anything.
    """
    for dtype in (torch.float32, torch.uint8):
        layer, images = _seeded(make), example(5, shape, dtype)
        whole, params = layer(images, return_params=True)
        if any(node.transform.mixes for node in layer.nodes):
            for i, met in enumerate(_met(layer, params)):
                strange = 255 - images if dtype == torch.uint8 else torch.full_like(images, torch.nan)
                strange[met] = images[met]
                assert _same(layer.replay(strange, params)[i], whole[i]), f"sample {i} shows more than {met} ({dtype})"
            continue
        for i in range(5):
            one = layer.replay(images[i : i + 1], params[i::5])
            assert _same(one, whole[i::5]), f"sample {i} differs when it is alone in the batch ({dtype})"


def _met(layer: Layer, params: Params) -> list[list[int]]:
    """Return, for each sample, which samples of the batch it may show after all mixes."""
    shown = [{i} for i in range(len(params))]
    for node in layer.nodes:
        drawn = params.values[node.name]
        if not node.transform.mixes or "partner" not in drawn:
            continue
        partner = drawn["partner"].view(len(params), -1).tolist()
        on = drawn["gate"].tolist() if "gate" in drawn else [True] * len(params)
        shown = [
            own.union(*(shown[j] for j in row)) if met else own
            for own, row, met in zip(shown, partner, on, strict=True)
        ]
    return [sorted(rows) for rows in shown]


def check_walk_is_definition(make: Make, shape: Shape) -> None:
    """The CPU's sample-by-sample walk equals the batched definition."""
    for dtype, tolerance in ((torch.float32, 2e-5), (torch.uint8, 1), (torch.float64, 1e-9)):
        layer, images = _seeded(make), example(5, shape, dtype)
        opened = begin(layer, (layer.given(images) if isinstance(layer, _Annotated) else images,))
        batch, values = opened.batch, opened.params.values
        source = batch.image if batch.source is None else batch.source
        values = by_frame(values, batch)
        walked = render(source, layer.plan(batch, values), walking=True)
        batched = render(source, layer.plan(batch, values), walking=False)
        assert walked.dtype == batched.dtype and walked.shape == batched.shape
        gap = (walked.double() - batched.double()).abs()
        # float16-like steps (posterize, solarize, equalize) may fall on the other side for a few pixels.
        far = (gap > tolerance).double().mean().item()
        assert far <= 2e-3, f"{dtype}: {far:.2%} of the values differ by up to {gap.max().item():.3g}"


def check_rows_differ(make: Make, shape: Shape) -> None:
    """Every sample draws its own parameters."""
    layer = _seeded(make)
    params = layer.sample(example(1, shape).expand(64, *shape))
    for node in layer.nodes:
        drawn = params.values[node.name]
        varied = any(bool((t != t[:1]).any()) for t in drawn.values())
        assert varied or node.transform.deterministic, f"{node.name}: 64 samples drew the same {sorted(drawn)}"


def check_inputs_untouched(make: Make, shape: Shape) -> None:
    """Inputs are never modified, expanded ones either."""
    layer = _seeded(make)
    for images in (
        example(4, shape),
        example(1, shape).expand(4, *shape),
        example(4, shape, torch.uint8),
    ):
        before, version = images.clone(), images._version
        layer(images)
        assert images._version == version and torch.equal(images, before), "the input was modified"


def check_gate(make: Make, shape: Shape) -> None:
    """Samples that a gate leaves out come out bit-identical, NaN included, with gradient one."""
    layer = _seeded(make)
    probe = layer.sample(example(2, shape))
    if len(probe.values) != 1 or not _gates(probe):
        return
    images = example(32, shape)
    images[:, :, 0, 0] = torch.nan
    out, params = layer(images, return_params=True)
    off = ~_gates(params)[0]
    assert 0 < int(off.sum()) < 32, "32 samples were all treated alike: give the transform a p near one half"
    assert torch.equal(torch.nan_to_num(out[off], 9.0), torch.nan_to_num(images[off], 9.0)), "a left-out sample changed"
    images = example(32, shape).requires_grad_()
    params = layer.sample(images)
    off = ~_gates(params)[0]
    (grad,) = torch.autograd.grad(layer.replay(images, params)[off].sum(), images)
    assert torch.equal(grad[off], torch.ones_like(grad[off])), "the gradient of a left-out sample is not one"


def check_probability(make: Make, shape: Shape) -> None:
    """The share of samples that are treated is p, within five standard deviations."""
    layer = _seeded(make)
    images = torch.zeros(1, *shape).expand(4000, *shape)
    params = layer.sample(images)
    for node in layer.nodes:
        name, p, drawn = node.name, node.transform.p, params.values[node.name]
        if "gate" not in drawn or node.gates or node.of is not None:
            continue
        share = drawn["gate"].double().mean().item()
        sigma = (p * (1 - p) / 4000) ** 0.5
        assert abs(share - p) <= 5 * sigma + 1e-12, f"{name}: {share:.3f} of the samples for p={p}"


def check_replay(make: Make, shape: Shape) -> None:
    """Replay is a pure function of batch and parameters, and draws nothing."""
    layer, images = _seeded(make), example(4, shape)
    out, params = layer(images, return_params=True)
    state = torch.get_rng_state()
    clock = layer.get_extra_state()
    torch.manual_seed(99)
    assert _same(layer.replay(images, params), out), "replay differs from the call that drew the parameters"
    after = torch.get_rng_state()
    torch.manual_seed(99)
    assert torch.equal(after, torch.get_rng_state()), "replay used torch's generator"
    assert torch.equal(clock, layer.get_extra_state()), "replay advanced the clock"
    torch.set_rng_state(state)


def check_seed(make: Make, shape: Shape) -> None:
    """A seed decides everything and leaves torch's generator alone; without one torch.manual_seed decides."""
    images = example(4, shape)
    before = torch.get_rng_state()
    a, b = _seeded(make, 5), _seeded(make, 5)
    assert _same(a(images), b(images)) and _same(a(images), b(images)), "equal seeds, unequal results"
    assert torch.equal(before, torch.get_rng_state()), "a seeded layer used torch's generator"
    torch.manual_seed(11)
    first = make()(images)
    torch.manual_seed(11)
    assert _same(first, make()(images)), "torch.manual_seed does not decide the draws of an unseeded layer"


def check_eval(make: Make, shape: Shape) -> None:
    """In eval mode the result is deterministic, and the very same object where the transform is the identity."""
    layer, images = make().eval(), example(3, shape)
    out = layer(images)
    if layer.evaluation() is None:
        assert out is images, "a random transform in eval() mode must return the batch itself"
    assert _same(layer(images), out), "eval() mode is not deterministic"


def check_sizes(make: Make, shape: Shape) -> None:
    """One instance takes batches of any size, the empty one included, and a single image."""
    layer = _seeded(make)
    sizes = {layer(example(n, shape)).shape[1:] for n in (6, 4, 1, 7)}
    assert len(sizes) == 1
    empty = layer(example(2, shape)[:0])
    assert empty.shape == (0, *sizes.pop()), f"an empty batch gave {tuple(empty.shape)}"
    if len(shape) == 3 and shape[0] in (1, 3, 4):
        one, copies = layer(example(1, shape)[0]), copies_from(layer.nodes)[0]
        assert one.dim() == (3 if copies == 1 else 4), "a single image must come back as one, or as its copies"
        assert copies == 1 or len(one) == copies


def check_dtypes(make: Make, shape: Shape) -> None:
    """The dtype is kept, whatever p, in any memory format, with and without autocast."""
    expected: dict[torch.dtype, torch.dtype] = {}
    for dtype in (torch.uint8, torch.float16, torch.bfloat16, torch.float32, torch.float64):
        layer, images = _seeded(make), example(4, shape, dtype)
        out, params = layer(images, return_params=True)
        expected[dtype] = out.dtype
        fixed = any(node.transform.normalizes or node.transform.changes_dtype for node in layer.nodes)
        assert out.dtype == dtype or fixed, f"{dtype} became {out.dtype}"
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert _same(layer.replay(images, params), out), f"autocast changes the result for {dtype}"
        flat = images.flatten(0, -4).contiguous(memory_format=torch.channels_last)
        other = layer.replay(flat.view_as(images) if len(shape) == 4 else flat, params)
        assert torch.equal(torch.nan_to_num(other), torch.nan_to_num(out)), "channels_last changes the values"
        if len(shape) == 3 and shape[0] > 1 and other.shape[1] > 1:
            assert other.is_contiguous(memory_format=torch.channels_last), "channels_last was lost"
        strided = torch.stack((images, images), dim=-1)[..., 0]
        assert _same(layer.replay(strided, params), out), "a strided input changes the values"


def check_finite(make: Make, shape: Shape) -> None:
    """Constant, black, white and out-of-range images give finite values and gradients."""
    layer = _seeded(make)
    rows = [torch.full(shape, v) for v in (0.0, 1.0, 0.5, -0.1, 1.1)]
    hot = torch.zeros(shape)
    hot[0] = 1.0
    images = torch.stack([*rows, hot, example(1, shape)[0] * 1.2 - 0.1, hot.flip(0)])
    for dtype in (torch.float16, torch.bfloat16, torch.float32):
        given = images.to(dtype)
        params = layer.sample(given)
        assert torch.isfinite(layer.replay(given, params)).all(), f"values are not finite for {dtype}"
        leaf = given.clone().requires_grad_()
        out = layer.replay(leaf, params)
        if out.requires_grad:
            (grad,) = torch.autograd.grad(out.sum(), leaf, allow_unused=True)
            assert grad is None or torch.isfinite(grad).all(), f"gradients are not finite for {dtype}"


def check_copies(make: Make, shape: Shape) -> None:
    """Pickle, deepcopy and state_dict work before and after a call, and the copy continues the same stream."""
    images = example(4, shape)
    for calls in (0, 2):
        layer = _seeded(make)
        for _ in range(calls):
            layer(images)
        restored = make()
        file = io.BytesIO()
        torch.save(layer.state_dict(), file)
        file.seek(0)
        restored.load_state_dict(torch.load(file))
        copies = [copy.deepcopy(layer), pickle.loads(pickle.dumps(layer)), restored]
        following = layer(images)
        for other in copies:
            assert _same(other(images), following), f"a copy made after {calls} calls continues otherwise"
    params = pickle.loads(pickle.dumps(layer.sample(images)))
    assert _same(layer.replay(images, params), layer.replay(images, layer.sample(images)))


def check_fake(make: Make, shape: Shape) -> None:
    """Nothing reads a value: the layer runs on fake tensors and on the meta device."""
    real = _seeded(make)(example(3, shape, torch.uint8))
    with FakeTensorMode(allow_non_fake_inputs=True):
        fake = _seeded(make)(torch.empty((3, *shape), dtype=torch.uint8))
        assert (fake.shape, fake.dtype) == (real.shape, real.dtype), "fake tensors give another shape or dtype"
    meta = _seeded(make)(torch.empty((3, *shape), dtype=torch.uint8, device="meta"))
    assert (meta.shape, meta.dtype) == (real.shape, real.dtype), "the meta device gives another shape or dtype"


def check_compile(make: Make, shape: Shape) -> None:
    """One graph, without breaks, for any draw: ten calls compile once."""
    torch._dynamo.reset()
    layer, images = _seeded(make), example(3, shape)
    eager = _seeded(make)
    compiled = torch.compile(layer, fullgraph=True, backend="eager")
    compiled(images)
    eager(images)
    with torch._dynamo.config.patch(error_on_recompile=True):
        for _ in range(3):
            out, expected = compiled(images), eager(images)
            far = ((out - expected).abs() > 1e-4).double().mean().item()
            assert far <= 2e-3, f"compiled and eager differ in {far:.2%} of the values"


class _Annotated(Container):
    """A transform that sees annotations, called with images alone: each sample has some of its own."""

    def __init__(self, layer: Layer) -> None:
        super().__init__([layer])
        self._build()
        for setting in SETTINGS:
            setattr(self, setting, getattr(layer, setting))

    def forward(self, *inputs: Any, **options: Any) -> Any:
        """Annotate the images, and return what becomes of them."""
        out = super().forward(self.given(inputs[0]), **options)
        return (out[0]["image"], out[1]) if isinstance(out, tuple) else out["image"]

    def sample(self, *inputs: Any, **options: Any) -> Params:
        """Annotate the images, and draw."""
        return super().sample(self.given(inputs[0]), **options)

    def given(self, images: Tensor) -> dict[str, Tensor]:
        """Annotate the images."""
        return annotated(images, any("masks" in node.transform.sees for node in self.nodes))

    def evaluation(self) -> Layer | None:
        """Return what the transform is."""
        return self._children()[0].evaluation()


def _annotating(check: Check) -> Check:
    """Let a check give annotations to transforms that look at them."""

    def make_annotated(make: Make) -> Layer:
        layer = make()
        return _Annotated(layer) if any(node.transform.sees for node in layer.nodes) else layer

    @wraps(check)
    def checked(make: Make, shape: Shape) -> None:
        check(partial(make_annotated, make), shape)

    return checked


CHECKS: dict[str, Check] = {
    check.__name__.removeprefix("check_"): _annotating(check)
    for check in (
        check_batch_is_loop,
        check_walk_is_definition,
        check_rows_differ,
        check_inputs_untouched,
        check_gate,
        check_probability,
        check_replay,
        check_seed,
        check_eval,
        check_sizes,
        check_dtypes,
        check_finite,
        check_copies,
        check_fake,
        check_compile,
    )
}


def check_transform(make: Make, shape: Shape = (3, 23, 17)) -> None:
    """Run every check of the contract on a transform.

    Args:
        make: makes the transform anew, such as `lambda: MyTransform(p=0.5)`.
        shape: (C, H, W) of the images it is tried on; H and W should differ where it allows.

    Raises:
        AssertionError: naming the check that failed.

    Example:
        >>> import gpuaug as ga
        >>> from gpuaug.testing import check_transform
        >>> check_transform(lambda: ga.RandomInvert(p=0.5))
    """
    for name, check in CHECKS.items():
        try:
            check(make, shape)
        except AssertionError as error:
            raise AssertionError(f"{name}: {error}") from error
