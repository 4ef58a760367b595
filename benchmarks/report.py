"""The tables of a GPU run in Markdown: what was not measured says so."""

from __future__ import annotations

from typing import Any

Row = dict[str, Any]
NOT = "not measured"
COPY = "copy of as many bytes"
BUDGETS = (
    ("basic, captured: times the copy of its bytes", "basic", "gpuaug, captured", COPY, "at most 6, aim at 3"),
    ("basic, captured, buffers filled: times the copy", "basic", "gpuaug, captured, buffers filled", COPY, "as above"),
    ("classification: Kornia eager over gpuaug eager", "classification", "kornia", "gpuaug", "at least 20"),
    (
        "classification: Kornia eager over gpuaug captured",
        "classification",
        "kornia",
        "gpuaug, captured",
        "at least 20",
    ),
    ("classification: Kornia compiled over gpuaug eager", "classification", "kornia, compiled", "gpuaug", "at least 5"),
)
"""What it is about, the pipeline, two rows whose times are divided, the budget."""


def shown(value: Any, digits: int = 3) -> str:
    """Return a figure as text.

    Example:
        >>> shown(None), shown(0.01234), shown(1234.5), shown(True)
        ('not measured', '0.0123', '1,234', 'yes')
    """
    if value is None:
        return NOT
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value.replace("|", "/").replace("\n", " ")[:160]
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.{digits}g}"


def table(heads: list[str], rows: list[list[Any]]) -> str:
    """Return a Markdown table; None is `not measured`."""
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    lines += ["| " + " | ".join(shown(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def tasks(report: Row, *sections: str) -> Row:
    """Return the tasks of some sections, what was compiled beside what was not."""
    merged: Row = {}
    for section in sections:
        for key, task in report.get("sections", {}).get(section, {}).get("tasks", {}).items():
            base = key.removesuffix(", peers compiled").removesuffix(", compiled")
            into = merged.setdefault(base, {"rows": {}})
            into.update({k: v for k, v in task.items() if k not in ("rows", "moved_mb") or k not in into})
            for row, found in task.get("rows", {}).items():
                into["rows"].setdefault(row, found)
    return merged


def _rows(task: Row, counts: Row) -> list[list[Any]]:
    lines = []
    for name, row in task["rows"].items():
        kernels = counts.get(name, {})
        if row.get("median_ms") is None:
            figures = [row.get("error"), *[None] * 6]
            lines.append([name, *figures, *[kernels.get(key) for key in ("kernels", "copies", "device_ms")]])
            continue
        span = f"{shown(row['median_ms'])} ({shown(row['min_ms'])} to {shown(row['max_ms'])})"
        figures = [row.get(key) for key in SHOWN]
        lines.append([name, span, *figures, *[kernels.get(key) for key in ("kernels", "copies", "device_ms")]])
    return lines


SHOWN = ("images_per_s", "of_the_copy", "host_ms", "waits", "peak_mb", "held_mb")
HEADS = [
    "",
    "ms of a call: median (least to most)",
    "images/s",
    "share of the copy's speed",
    "host ms",
    "waits for the device",
    "peak MB of a call",
    "MB held",
    "kernels",
    "copies",
    "device ms, profiled",
]


def budgets(report: Row) -> list[list[Any]]:
    """Return what design budgets came to: their name, the figure, the budget."""
    found = tasks(report, "first figures")
    lines: list[list[Any]] = []
    for title, pipeline, above, below, wanted in BUDGETS:
        rows = next((t["rows"] for key, t in found.items() if key.startswith(f"{pipeline},")), {})
        times = [rows.get(name, {}).get("median_ms") for name in (above, below)]
        measured = report.get("gpu") and None not in times
        lines.append([title, times[0] / times[1] if measured else None, wanted])
    for key, task in tasks(report, "training step").items():
        for name in ("gpuaug", "gpuaug, captured"):
            share = task["rows"].get(name, {}).get("share_of_step")
            lines.append([f"share of a step of {key}: {name}", share, "under 0.02"])
    return lines


def markdown(report: Row) -> str:
    """Return the whole report."""
    machine = report["machine"]
    versions = ", ".join(f"{k} {v}" for k, v in machine["versions"].items() if v)
    parts = [
        f"# {machine['device']}, {machine['date']}",
        f"Commit {machine['commit']}; Python {machine['python']}, CUDA {machine['cuda']}; {versions}. Written by"
        " `benchmarks/gpu.sh`. The copy reads and writes as many bytes as input and output have: its speed is the"
        " roofline. Rows of a table ran in turn; inputs took turns, so that none lay in the cache.",
        "## Sections",
        table(
            ["section", "what became of it", "seconds", "cut"],
            [
                [name, s.get("status"), s.get("seconds"), len(s.get("cut", []))]
                for name, s in report["sections"].items()
            ],
        ),
        "## Budgets",
        table(["", "measured", "budget"], budgets(report)),
    ]
    counts = {key: task["rows"] for key, task in tasks(report, "kernels launched").items()}
    timed = tasks(report, "first figures", "all figures")
    for key, rows in counts.items():
        timed.setdefault(key, {"rows": {name: {} for name in rows}})
    for key, task in timed.items():
        error = f"\n\n{shown(task['error'])}" if "error" in task else ""
        parts += [f"## {key}{error}", table(HEADS, _rows(task, counts.get(key, {})))]
    for key, task in tasks(report, "training step").items():
        lines = [
            [name, row.get("error", row.get("step_ms")), row.get("images_per_s"), row.get("share_of_step")]
            for name, row in task["rows"].items()
        ]
        parts += [f"## {key}", table(["before the network", "ms of a step", "images/s", "the layer's share"], lines)]
    singles = tasks(report, "each transform alone")
    if singles:
        names = [
            "gpuaug",
            "gpuaug, captured",
            "torchvision, one draw per batch",
            "gpuaug, arguments as Kornia's",
            "kornia",
            COPY,
        ]
        lines = []
        for key, task in singles.items():
            found = [task["rows"].get(name) for name in names]
            lines.append([key, *["-" if row is None else row.get("median_ms", "error") for row in found]])
        parts += ["## Each transform alone, ms of a call", table(["", *names], lines)]
    return "\n\n".join(parts) + "\n"
