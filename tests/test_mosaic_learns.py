"""A network learns more from mosaics and mixes: run by `pytest -m slow tests/test_mosaic_learns.py`, about two minutes.

The pictures and the same numbers are in notebooks/mosaic.ipynb.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import gpuaug as ga

SEEDS, STEPS = (0, 1, 2), 200


def canvases() -> Any:
    sys.path.insert(0, str(Path(__file__).parent.parent / "notebooks"))
    return importlib.import_module("canvases")


@pytest.mark.slow
def test_mosaic_and_mixup_beat_training_without() -> None:
    """On canvases of digits that it has not seen, for every seed: where is which? The same steps, order and weights."""
    found = canvases()
    scores: dict[bool, list[float]] = {False: [], True: []}
    for seed in SEEDS:
        learnt, held_out = found.data(100, seed)
        for mixing in (False, True):
            augment = found.recipe(mixing, seed)
            model = found.fit(learnt, augment, STEPS, seed)
            scores[mixing].append(found.score(model, augment.eval(), held_out))
    print(scores)
    assert all(b > a for a, b in zip(scores[False], scores[True], strict=True)), scores


def test_what_the_net_is_told_is_what_the_canvas_shows() -> None:
    """Each valid box holds the pixels of a digit, and its middle's cell is the one of its class; nothing else is."""
    found = canvases()
    learnt, _ = found.data(6, 0)
    assert learnt["image"].shape == (6, 1, 48, 48) and 0 < int(learnt["valid"].sum()) < 24
    told = found.target(learnt)
    assert int(told.sum()) == int(learnt["valid"].sum())
    for b, n in learnt["valid"].nonzero().tolist():
        x0, y0, x1, y1 = learnt["boxes"][b, n].int().tolist()
        assert learnt["image"][b, 0, y0:y1, x0:x1].float().mean() > 20
        assert told[b, learnt["labels"][b, n], (y0 + y1) // 12, (x0 + x1) // 12] == 1
    outside = learnt["image"].clone()
    for b, n in learnt["valid"].nonzero().tolist():
        x0, y0, x1, y1 = learnt["boxes"][b, n].int().tolist()
        outside[b, 0, y0:y1, x0:x1] = 0
    assert not outside.any()
    mixed = found.recipe(True, 0)(learnt)
    assert isinstance(found.recipe(True, 0)[0], ga.Mosaic) and mixed["boxes"].shape[1] == 32
    assert torch.equal(found.target(mixed).amax((1, 2, 3)).bool(), mixed["valid"].any(1))
