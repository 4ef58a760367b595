"""The page of all transforms, `benchmarks/TRANSFORMS.md`: what follows each, what it equals, what it costs.

`python notebooks/tables.py` writes it; a test checks that it is up to date.
"""

from __future__ import annotations

import ast
import inspect
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cases import CASES, ROWS

from gpuaug.transforms.layer import Layer

HERE = Path(__file__).resolve().parent
BENCHMARKS = HERE.parent / "benchmarks"
PAGE = BENCHMARKS / "TRANSFORMS.md"
PEERS = {"torchvision": "torchvision", "albumentations": "Albumentations", "kornia": "Kornia"}
"""How the names of measured rows begin, and of which library they are."""
WRITTEN = {"torchvision": r"torchvision\.transforms\.v2\.(\w+)", "albumentations": r"albumentations\.(\w+)"}
WRITTEN["kornia"] = r"kornia\.(?:augmentation|enhance|filters)\.(\w+)"
UNMEASURED = "not measured"


def section(layer: type, name: str) -> str:
    """Return a section of a docstring in one line."""
    found = re.search(rf"^{name}:(.*?)(?=^\w[\w ]*:$|^\w[\w ]*: |\Z)", inspect.getdoc(layer) or "", re.M | re.S)
    return " ".join(found[1].split()).replace("|", "\\|") if found else ""


def measured_beside() -> dict[str, dict[str, list[str]]]:
    """Return which classes of torchvision and Kornia each transform is timed beside, as `benchmarks/single.py` says."""
    tree = ast.parse((BENCHMARKS / "single.py").read_text())
    found: dict[str, dict[str, list[str]]] = {}
    for statement in tree.body:
        if not isinstance(statement, ast.AnnAssign) or not isinstance(statement.value, ast.Dict):
            continue
        for key, value in zip(statement.value.keys, statement.value.values, strict=True):
            for node in ast.walk(value):
                if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.attr[0].isupper():
                    peer = {"v2": "torchvision", "K": "kornia"}.get(node.value.id)
                    prepares = node.attr in ("Compose", "ToDtype") and node.attr != key.value
                    if peer and not prepares:
                        found.setdefault(key.value, {}).setdefault(peer, []).append(node.attr)
    return found


def peers(name: str, source: str, beside: dict[str, dict[str, list[str]]]) -> dict[str, list[str]]:
    """Return the classes of each library that do what a transform does: named in its Source, or timed beside it."""
    found = {peer: re.findall(pattern, source) for peer, pattern in WRITTEN.items()}
    for peer, classes in beside.get(name, {}).items():
        found[peer] = [*found[peer], *classes]
    return {peer: list(dict.fromkeys(classes)) for peer, classes in found.items() if classes}


def newest() -> dict[str, Any]:
    """Return the newest report of a CPU that has transforms alone; an empty one where there is none."""
    reports = [json.loads(path.read_text()) for path in sorted((BENCHMARKS / "results").glob("cpu-*.json"))]
    alone = [report for report in reports if report.get("single")]
    return max(alone, key=lambda report: report["machine"]["date"], default={})


def cell(rows: dict[str, Any], peer: str, classes: list[str]) -> str:
    """Return what a library has of a transform: its classes, milliseconds, and how many times ours that is."""
    ours = rows.get("gpuaug", {}).get("median_ms")
    found = [row["median_ms"] for name, row in rows.items() if name.startswith(peer) and "median_ms" in row]
    parts = [", ".join(f"`{name}`" for name in classes)] if classes else []
    if found:
        times = found[0] / ours if ours else 0.0
        parts.append(f"{found[0]:.2f}" + (f" (×{times:.{2 - (times >= 1)}f})" if ours and peer != "gpuaug" else ""))
    elif classes or peer == "gpuaug":
        parts.append(UNMEASURED)
    return ": ".join(parts)


def conditions(report: dict[str, Any]) -> str:
    """Return how the figures were measured."""
    if not report:
        return "No times and no counts have been measured for this version yet."
    machine = report["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items() if version)
    return (
        f"Times: milliseconds for a batch of {report['batch']} images 3x{report['size']}x{report['size']}, uint8, on "
        f"{machine['threads']} threads of an {machine['device']}, medians of up to {report['rounds']} rounds in which "
        f"the rows of a transform take turns ({machine['date']}, commit {machine['commit'][:7]}; {versions}). "
        "Kornia and ours draw for each sample, torchvision once for the batch."
    )


TEXT = """# All transforms

Made by `python notebooks/tables.py` from the classes, their docstrings and the newest file in `results` that has each
transform alone (`python -m benchmarks.run --only single --out benchmarks/results/cpu-DATE-single.json`).

- *annotations*: what boxes, masks and keypoints do, as the docstring says.
- *equals*: the source, and to what tolerance. Where none is given, the result for the same parameters is the same to
  float32 rounding (1e-5 of the value range; warps 1e-4) for float images, and to 1 level for uint8 ones, which are
  rounded once, at the end of a pass.
- *kernels, bytes*: image-sized operations on the Triton backend, and bytes moved over the least possible (the input
  read once, the output written once), counted for 16 uint8 images 3x256x256 with the arguments of the gallery
  (`tests/cases.py`), annotations included where a transform looks at them.
- *gpuaug*, *torchvision*, *Albumentations*, *Kornia*: the classes that do the same, their times, and in brackets how
  many times ours that is.

{conditions}
"""


def page(kind: Callable[[Layer], str]) -> str:
    """Return the page.

    Args:
        kind: gives the word for what a transform does to a pass.
    """
    report, beside = newest(), measured_beside()
    alone = {key.split(". ", 1)[-1]: rows for key, rows in report.get("single", {}).items()}
    counts = report.get("single counts", {})
    heads = ["transform", "kind", "annotations", "equals", "kernels", "bytes", "gpuaug, ms"]
    heads += [f"{title}, ms" for title in PEERS.values()]
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for case in [*CASES, *ROWS]:
        layer = case.make()
        source = section(type(layer), "Source")
        theirs = peers(case.name, source, beside)
        rows, counted = alone.get(case.name, {}), counts.get(case.name, {})
        cells = [f"`{case.name}`", kind(layer), section(type(layer), "Boxes and masks"), source]
        cells += [str(counted.get(key, UNMEASURED)) for key in ("image_sized", "traffic")]
        cells.append(cell(rows, "gpuaug", []))
        cells += [cell(rows, peer, theirs.get(peer, [])) for peer in PEERS]
        lines.append("| " + " | ".join(cells) + " |")
    return TEXT.format(conditions=conditions(report)) + "\n" + "\n".join(lines) + "\n"
