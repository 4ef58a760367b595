"""The notebooks run, with fewer steps than what they show was made with, and show pictures."""

from __future__ import annotations

import base64
import importlib
import io
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"
FILES = sorted(NOTEBOOKS.glob("*.ipynb"))
QUICK: dict[str, dict[str, Any]] = {
    "1_training_loop": {"STEPS": 40, "SEEDS": (0,), "IMAGES": 1500},
    "2_detection_and_segmentation": {"COPIES": 1, "STEPS": 30},
    "3_contrastive_pretraining": {"STEPS": 20, "SEEDS": (0,), "LABELS": (20,)},
    "4_test_time_augmentation": {"STEPS": 50, "SEEDS": (0,), "DRAWS": 4, "IMAGES": 1400},
    "5_policies": {"COPIES": 1},
}
"""What replaces the numbers of the cell tagged `parameters`, by notebook."""


@pytest.fixture(scope="module")
def execute() -> Any:
    sys.path.insert(0, str(NOTEBOOKS))
    return importlib.import_module("execute")


def test_the_lesson_of_the_training_loop(execute: Any) -> None:
    space = execute.run(NOTEBOOKS / "1_training_loop.ipynb", QUICK["1_training_loop"])
    last = {name: runs[0][-1][1] for name, runs in space["curves"].items()}
    assert len(space["curves"]["WITH"][0]) == 10 and min(last.values()) > 60, last


def test_the_lesson_of_targets(execute: Any) -> None:
    """What was marked lies on what it names, stays there, is the same in every form, and can be learnt."""
    space = execute.run(NOTEBOOKS / "2_detection_and_segmentation.ipynb", QUICK["2_detection_and_segmentation"])
    number = {name: space["CLASSES"].index(name) for name in ("person", "cat", "rocket", "cup")}
    astronaut, cat, cup, rocket = (space["photos"][i] for i in range(4))
    for sample, label in ((astronaut, "person"), (cat, "cat")):  # pupils are darker than what is around them
        row = sample["labels"].tolist().index(number[label])
        gray = sample["image"].float().mean(0)
        for x, y in sample["keypoints"][row, :2].round().int().tolist():
            assert gray[y - 2 : y + 3, x - 2 : x + 3].mean() < gray[y - 20 : y + 21, x - 20 : x + 21].mean() - 25
            assert sample["masks"][row, y, x]
    for sample, label in ((cup, "cup"), (rocket, "rocket")):  # and a cup and a rocket are brighter
        row = sample["labels"].tolist().index(number[label])
        gray = sample["image"].float().mean(0)
        assert gray[sample["masks"][row]].mean() > gray[sample["mask"] == 0].mean() + 15
    for sample in (astronaut, cat, cup, rocket):
        edges = [mask.nonzero().aminmax(dim=0) for mask in sample["masks"]]
        found = torch.stack([torch.cat((low.flip(0), high.flip(0) + 1)) for low, high in edges])
        beyond = torch.cat((sample["boxes"][:, :2] - found[:, :2], found[:, 2:] - sample["boxes"][:, 2:]), 1)
        assert (beyond <= 1).all() and (beyond[-1] >= -1).all(), "of the last one nothing is hidden by others"
    assert len(space["found"]) == 6
    for form, boxes in space["found"].items():
        assert (boxes - space["found"]["dict"]).abs().max() < 1e-3, form
    assert all(loss.isfinite() for loss in space["detector_losses"].values())
    assert space["losses"][-1] < 0.5 * space["losses"][0] and space["shares"]["cat"] > 0.4, space["shares"]


def test_the_lesson_of_pretraining(execute: Any) -> None:
    space = execute.run(NOTEBOOKS / "3_contrastive_pretraining.ipynb", QUICK["3_contrastive_pretraining"])
    found = {name: runs[0][0] for name, runs in space["accuracies"].items()}
    assert found["WITHOUT"] > 20 and found["PRETRAINED"] > found["WITHOUT"] + 5, found
    assert space["curves"][0][-1] < space["curves"][0][0] - 0.3 and 0 < space["shares"][0] < 1
    one, two = torch.eye(4)[:3], torch.eye(4)[[0, 1, 3]]
    likeness = torch.cat((one, two)) @ torch.cat((one, two)).T / 0.2
    others = [[j for j in range(6) if j != i] for i in range(6)]
    each = [torch.logsumexp(likeness[i, others[i]], 0) - likeness[i, (i + 3) % 6] for i in range(6)]
    assert abs(space["nt_xent"](one, 3 * two) - sum(each) / 6) < 1e-5, "lengths play no part"


@pytest.mark.slow
def test_the_lesson_of_pretraining_in_full(execute: Any) -> None:
    """As printed, about two minutes: better for every seed and every number of labels."""
    space = execute.run(NOTEBOOKS / "3_contrastive_pretraining.ipynb")
    without, pretrained = (torch.tensor(space["accuracies"][name]) for name in ("WITHOUT", "PRETRAINED"))
    assert without.shape == (3, 3) and (pretrained - without).min() > 8, (without, pretrained)


def test_the_readme_has_the_figures_of_the_notebook() -> None:
    """Those with 20 labels for each photograph, by seed, and the share of the step."""
    notebook = json.loads((NOTEBOOKS / "3_contrastive_pretraining.ipynb").read_text())
    outputs = [output for cell in notebook["cells"] for output in cell.get("outputs", [])]
    printed = "".join(line for output in outputs for line in output.get("text", []))
    readme = " ".join((NOTEBOOKS.parent / "README.md").read_text().split())
    kept = re.findall(r"20 labels, (?:without|pretrained) +(.*?) % ", printed)
    share = re.findall(r"spent augmenting: (\d+) %", printed)
    assert len(kept) == 2 and len(share) == 1
    assert f"{kept[1]} % of" in readme and f"{kept[0]} % without" in readme and f"{share[0]} % of the step" in readme
    pairs = [tuple(float(v) for v in line.split(", ")) for line in kept]
    assert [len(pair) for pair in pairs] == [3, 3] and all(b > a + 8 for a, b in zip(*pairs, strict=True))


def test_the_lesson_of_test_time_augmentation(execute: Any) -> None:
    space = execute.run(NOTEBOOKS / "4_test_time_augmentation.ipynb", QUICK["4_test_time_augmentation"])
    table = space["table"]
    assert table["one view"][0] > 60 and table["small warps"][0] > table["one view"][0] - 3, table
    assert all(wrong > right for right, wrong in space["spreads"]), "views disagree where the answer is wrong"


def test_the_lesson_of_policies(execute: Any) -> None:
    space = execute.run(NOTEBOOKS / "5_policies.ipynb", QUICK["5_policies"])
    assert [round(angle / 6) for _, angle in space["spread"]] == list(range(11)), "60 degrees at epoch 10"


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_notebooks_keep_what_they_show(path: Path) -> None:
    notebook = json.loads(path.read_text())
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1)), "run notebooks/execute.py"
    pictures = [
        output["data"][kind]
        for cell in cells
        for output in cell["outputs"]
        for kind in ("image/png", "image/jpeg")
        if kind in output.get("data", {})
    ]
    assert pictures and path.stat().st_size < 400_000
    for picture in pictures:
        Image.open(io.BytesIO(base64.b64decode(picture))).verify()


def test_a_cell_shows_its_last_line_and_a_setting_is_known(execute: Any, tmp_path: Path) -> None:
    space: dict[str, Any] = {}
    assert execute.execute("a = 3\nprint(a)\na + 1", space, "x") == ("3\n", 4) and space["a"] == 3
    assert execute.execute("b = a", space, "x") == ("", None)
    cells = [
        {"cell_type": "code", "metadata": {"tags": ["parameters"]}, "source": ["N = 3"]},
        {"cell_type": "markdown", "metadata": {}, "source": ["text"]},
        {"cell_type": "code", "metadata": {}, "source": ["print(N)\n", "N * 2"]},
    ]
    path = tmp_path / "n.ipynb"
    path.write_text(json.dumps({"cells": cells}))
    execute.run(path, {"N": 5}, write=True)
    written = json.loads(path.read_text())["cells"]
    assert written[2]["outputs"][0]["text"] == ["5\n"] and written[2]["outputs"][1]["data"]["text/plain"] == ["10"]
    with pytest.raises(KeyError, match="no settings M"):
        execute.run(path, {"M": 5})
