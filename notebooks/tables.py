"""Write the generated tables into the README, and the page of all transforms: `python notebooks/tables.py`.

A test checks that they are up to date.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "tests"), str(HERE)]
from cases import CASES, ROWS  # noqa: E402
from page import PAGE, page  # noqa: E402

from gpuaug.transforms.base import Filter, Geometric, Photometric  # noqa: E402
from gpuaug.transforms.choice import Choosing  # noqa: E402
from gpuaug.transforms.compose import Container  # noqa: E402
from gpuaug.transforms.layer import Layer  # noqa: E402
from gpuaug.transforms.policy import Policy  # noqa: E402

README = HERE.parent / "README.md"
RESULTS = HERE.parent / "benchmarks" / "results"


def kind(layer: Layer) -> str:
    """Return what a transform does to a pass."""
    if isinstance(layer, Container):
        return "container"
    if getattr(layer, "treats_boxes", False):
        return "boxes"
    if getattr(layer, "copies", 1) > 1:
        return "more samples"
    if getattr(layer, "retimes", False):
        return "frames"
    if getattr(layer, "mixes", False):
        return "samples that meet"
    names = {Geometric: "geometry", Photometric: "values", Filter: "neighbourhood"}
    return next((name for base, name in names.items() if isinstance(layer, base)), "output")


def evaluation(layer: Layer) -> str:
    """Return what a transform is in `eval()` mode."""
    if isinstance(layer, (Choosing, Policy)) and layer.evaluation() is None:
        return "identity"
    if isinstance(layer, Container):
        return "its children, each as here" + (" (identity where p < 1)" if hasattr(layer, "p") else "")
    found = layer.evaluation()
    if found is None:
        return "identity"
    if found is layer:
        return "the same"
    parts = list(found) if isinstance(found, Container) else [found]
    return " + ".join(type(part).__name__ for part in parts)


def transforms() -> str:
    """Return the table of transforms: what each does, its kind, and what it is in `eval()` mode."""
    rows = ["| transform | what it does | kind | in `eval()` mode |", "|---|---|---|---|"]
    for case in [*CASES, *ROWS]:
        layer = case.make()
        first = (type(layer).__doc__ or "").split("\n\n")[0]
        sentence = " ".join(first.split()).rstrip(".")
        rows.append(f"| `{case.name}` | {sentence} | {kind(layer)} | {evaluation(layer)} |")
    return "\n".join(rows)


def figures() -> str:
    """Return the measured figures of the newest CPU run."""
    reports = [json.loads(path.read_text()) for path in sorted(RESULTS.glob("cpu-*.json"))]
    whole = [report for report in reports if report.get("pipelines")]
    report = max(whole, key=lambda report: report["machine"]["date"])
    machine = report["machine"]
    versions = machine["versions"]
    lines = [
        f"Median time of a batch of {report['batch']} images 3x{report['size']}x{report['size']}, uint8, on "
        f"{machine['threads']} threads of an {machine['device']} (torch {versions['torch']}, torchvision "
        f"{versions['torchvision']}, kornia {versions['kornia']}, albumentations {versions['albumentations']}, "
        f"{machine['date']}), all rows in turn within one run; images per second in brackets. The row "
        '"whole batches, not compiled" is what the '
        "compiler is given, run operation by operation: what the layer does with gradients, and on other devices.",
        "",
    ]
    names = [name for name in report["pipelines"] if name.endswith("uint8")]
    rows: list[str] = []
    for name in names:
        rows += [row for row in report["pipelines"][name] if row not in rows]
    lines.append("| | " + " | ".join(name.removesuffix(", uint8") for name in names) + " |")
    lines.append("|---|" + "---|" * len(names))
    for row in rows:
        cells = []
        for name in names:
            found = report["pipelines"][name].get(row)
            if found is None:
                cells.append("")
            else:
                ms = found["median_ms"]
                cells.append(f"{ms:.0f} ms ({report['batch'] / ms * 1e3:,.0f})")
        lines.append(f"| {row} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def digits() -> str:
    """Return what the demo's training reaches."""
    report = json.loads((RESULTS / "digits.json").read_text())
    lines = ["| | held-out accuracy, by seed | mean | share of the step spent augmenting |", "|---|---|---|---|"]
    for name, row in report["rows"].items():
        values = row["accuracy"]
        shown = ", ".join(f"{v:.1f}" for v in values)
        share = f"{row['augment_share']:.0%}"
        lines.append(f"| {name} | {shown} % | {sum(values) / len(values):.1f} % | {share} |")
    return "\n".join(lines)


TABLES = {"figures": figures, "digits": digits, "transforms": transforms}


def filled(text: str) -> str:
    """Return the README with its tables made anew."""
    for name, make in TABLES.items():
        pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end of {name} -->)", re.DOTALL)
        if not pattern.search(text):
            raise ValueError(f"README.md has no place for the table {name!r}")
        text = pattern.sub(lambda m, make=make: m[1] + "\n" + make() + "\n\n" + m[2], text)
    return text


if __name__ == "__main__":
    README.write_text(filled(README.read_text()))
    PAGE.write_text(page(kind))
