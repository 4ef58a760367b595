"""The whole pipeline under torch.compile with the real code generator: one graph, any draw, no recompilation."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import gpuaug as ga
from gpuaug.testing import example


def classification() -> list[torch.nn.Module]:
    return [
        ga.RandomResizedCrop((20, 28)),
        ga.RandomHorizontalFlip(),
        ga.RandomApply([ga.ColorJitter(0.4, 0.4, 0.4, 0.1)], p=0.8),
        ga.RandomGrayscale(0.2),
        ga.RandomSolarize(0.5, p=0.2),
        ga.Normalize(ga.IMAGENET_MEAN, ga.IMAGENET_STD),
        ga.RandomErasing(p=0.25),
    ]


def test_ten_draws_of_one_graph() -> None:
    torch._dynamo.reset()
    layer = ga.Compose(classification(), seed=0)
    images = example(6, (3, 37, 41), torch.uint8)
    compiled = torch.compile(layer, fullgraph=True)
    compiled(images)
    eager = ga.Compose(classification())
    eager.load_state_dict(layer.state_dict())
    outs = []
    with torch._dynamo.config.patch(error_on_recompile=True):
        for _ in range(10):
            out, expected = compiled(images), eager(images)
            assert out.shape == (6, 3, 20, 28) and out.dtype == torch.float32
            far = ((out - expected).abs() > 2e-4).double().mean().item()
            assert far < 2e-3, f"{far:.2%} of the values differ from the eager ones"
            outs.append(out)
    assert len({out.sum().item() for out in outs}) == 10, "every call must draw anew"


def test_the_seed_may_be_drawn_by_the_first_compiled_call() -> None:
    """One recompilation, when the seed is there; none after."""
    torch._dynamo.reset()
    images = example(4, (3, 9, 13))
    seeds = set()
    for _ in range(2):
        torch.manual_seed(3)
        for _ in range(3):
            layer = ga.Compose([ga.RandomRotation(30)])
            compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
            compiled(images)
            compiled(images)
            with torch._dynamo.config.patch(error_on_recompile=True):
                outs = {compiled(images).sum().item() for _ in range(6)}
            assert len(outs) == 6
            seeds.add(int(layer._state[0]))
    assert len(seeds) == 3, "three layers draw three seeds, and the same again after manual_seed"


class _Counted(Exception):
    """What ends the compilation when the fused graph is known: no code is needed to count it."""


def test_compiled_operations_on_a_device_are_few() -> None:
    """What is launched for the classification recipe: fused loops, and operators of ours and of torch."""
    from torch._inductor import config, ir

    counts: list[int] = []

    def counted(nodes: list[Any]) -> list[Any]:
        launched = [node for node in nodes if not isinstance(node.node, ir.MultiOutput)]
        launched = [node for node in launched if "Nop" not in type(node).__name__]
        counts.append(len(launched))
        raise _Counted

    torch._dynamo.reset()
    blur = ga.RandomApply([ga.GaussianBlur(23, (0.1, 2.0))], p=0.5)
    steps = [step for step in classification() if not isinstance(step, ga.RandomSolarize)]
    layer = ga.Compose([*steps[:4], blur, *steps[4:]], seed=0, backend="triton")  # of the design's section 11
    with config.patch(_post_fusion_custom_pass=counted, fx_graph_cache=False):
        with pytest.raises(Exception, match="_Counted"):
            torch.compile(layer, fullgraph=True)(example(16, (3, 37, 41), torch.uint8))
    assert 3 < counts[0] <= 20
