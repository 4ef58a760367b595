"""Whether a validation pipeline is stochastic, and which part of it draws."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from gpuaug.sampling.distributions import Constant, Distribution, Uniform
from gpuaug.transforms.layer import Layer, Names

__all__ = ["Leak", "draws_of", "leak_check"]


@dataclass(frozen=True)
class Leak:
    """What draws in a pipeline; true where something does: `assert not leak_check(pipeline)`."""

    draws: tuple[tuple[str, str], ...]
    """(where it stands, what it draws) of every part that was found to draw."""
    differs: bool | None
    """Whether two runs on the same images gave different results; None where none were given."""

    def __bool__(self) -> bool:
        """Tell whether anything draws."""
        return bool(self.draws) or bool(self.differs)

    def __str__(self) -> str:
        """Say what draws, and what to do."""
        if not self:
            runs = "" if self.differs is None else ", and all runs gave the same"
            return f"nothing draws{runs}"
        lines = [f"{where}: {what}" for where, what in self.draws]
        if self.differs and not self.draws:
            lines.append("two runs differ, but no module of the pipeline was seen to draw: look at its functions")
        if self.differs is False:
            lines.append("(all runs gave the same: a draw that is the same each time, or one that was not taken)")
        if any("not in eval() mode" in what for _, what in self.draws):
            lines.append("call .eval() on the pipeline, or validate with pipeline.eval_pipeline()")
        return "\n".join(lines)


def leak_check(pipeline: Any, *images: Any, runs: int = 4) -> Leak:
    """Find out whether a pipeline gives something else every time, and which part of it does.

    Transforms of this library are looked at as they would run now: in `eval()` mode as the validation preprocessing.
    With images the pipeline is also run several times, and a module that gives different results for the same input
    is named: random transforms of other libraries, which take no notice of `eval()`, or dropout in training mode.

    Args:
        pipeline: a transform, or any module or function that prepares images.
        images: what it takes; without any it is not run.
        runs: how often to run it.

    Returns:
        What draws; it is true where something does. Seeds and clocks of the layers, and torch's generator, are left as
        they were.

    Raises:
        ValueError: for fewer than two runs.

    Example:
        >>> import gpuaug as ga
        >>> from gpuaug.diagnose import leak_check
        >>> augment = ga.Compose([ga.RandomRotation(15), ga.Normalize(ga.IMAGENET_MEAN, ga.IMAGENET_STD)])
        >>> print(leak_check(augment))
        Compose > RandomRotation: draws angle from Uniform(low=-15.0, high=15.0); not in eval() mode
        call .eval() on the pipeline, or validate with pipeline.eval_pipeline()
        >>> print(leak_check(augment.eval()))
        nothing draws
    """
    if isinstance(runs, bool) or not isinstance(runs, int) or runs < 2:
        raise ValueError(f"leak_check: runs must be an integer of at least 2, got {runs!r}")
    draws = []
    for path, layer in _outermost(pipeline):
        active = layer if layer.training else layer.eval_pipeline()
        way = "not in eval() mode" if layer.training else "in eval() mode too"
        draws += [(f"{path} > {name}", f"{what}; {way}") for name, what in draws_of(active)]
    differs = None
    if images:
        differs, seen = _run(pipeline, images, runs)
        draws += [(name, "gives different results for the same input") for name in seen]
    return Leak(tuple(draws), differs)


def draws_of(layer: Layer) -> list[tuple[str, str]]:
    """Return the transforms of a layer that draw in training mode, by name, and what they draw."""
    names = Names()
    nodes = list(layer.flatten(names, (), None))
    sized = {node.name for node in nodes if node.transform.draws_size}
    found = []
    for declaration in names.declarations:
        laws = [(name, law) for name, (law, _) in declaration.random.items() if not _is_constant(law)]
        named = [f"{name} from {law}" for name, law in laws if not name.startswith("_")]
        what = [f"draws {', '.join(named)}"] if named else ["draws"] if laws else []
        if declaration.p is not None:
            what.append(f"applied with p={declaration.p:g}")
        if declaration.name in sized:
            what.append("draws a size for the batch")
        if what:
            found.append((declaration.name, ", ".join(what)))
    return found


def _is_constant(law: Distribution) -> bool:
    return isinstance(law, Constant) or (isinstance(law, Uniform) and law.low == law.high)


def _outermost(pipeline: Any) -> Iterator[tuple[str, Layer]]:
    """Go over the layers of this library that stand in no other one, with their places."""
    if isinstance(pipeline, Layer):
        yield type(pipeline).__name__, pipeline
    elif isinstance(pipeline, nn.Module):
        for name, child in pipeline.named_children():
            for path, layer in _outermost(child):
                yield f"{name}.{path}" if not isinstance(child, Layer) else f"{name} ({path})", layer


def _same(a: Any, b: Any) -> bool:
    left = [leaf for leaf in tree_leaves(a) if isinstance(leaf, Tensor)]
    right = [leaf for leaf in tree_leaves(b) if isinstance(leaf, Tensor)]
    return len(left) == len(right) and all(
        x.shape == y.shape and x.dtype == y.dtype and bool(torch.equal(x, y)) for x, y in zip(left, right, strict=True)
    )


def _run(pipeline: Any, images: tuple[Any, ...], runs: int) -> tuple[bool, list[str]]:
    """Run it; return whether results differ, and the modules of others that gave different ones for the same."""
    calls: dict[str, list[tuple[Any, Any]]] = {}
    hooks = []
    states = [(layer, layer._state.clone(), layer._seeded, layer._explicit_seed) for _, layer in _outermost(pipeline)]
    for name, module in _parts(pipeline):

        def note(module: nn.Module, given: Any, out: Any, name: str = name) -> None:
            calls[name].append((given, out))

        calls[name] = []
        hooks.append(module.register_forward_hook(note))
    outs = []
    devices = sorted({t.device.index for t in tree_leaves(images) if isinstance(t, Tensor) and t.is_cuda})
    try:
        with torch.random.fork_rng(devices=devices), torch.no_grad():
            for _ in range(runs):
                outs.append(pipeline(*images))
    finally:
        for hook in hooks:
            hook.remove()
        for layer, state, seeded, explicit in states:
            layer._state, layer._seeded, layer._explicit_seed, layer._mirror = state, seeded, explicit, None
    drawing = []
    for name, found in calls.items():
        pairs = [(a, b) for i, a in enumerate(found) for b in found[i + 1 :]]
        if any(_same(a[0], b[0]) and not _same(a[1], b[1]) for a, b in pairs):
            drawing.append(name)
    return any(not _same(outs[0], out) for out in outs[1:]), drawing


def _parts(pipeline: Any, name: str = "") -> Iterator[tuple[str, nn.Module]]:
    """Go over the modules without parts of their own, layers of this library left out."""
    if not isinstance(pipeline, nn.Module) or isinstance(pipeline, Layer):
        return
    children = list(pipeline.named_children())
    if not children:
        yield f"{name} ({type(pipeline).__name__})" if name else type(pipeline).__name__, pipeline
    for key, child in children:
        yield from _parts(child, f"{name}.{key}" if name else key)
