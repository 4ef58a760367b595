"""Run notebooks in plain Python and write down what they print and show: `python notebooks/execute.py [FILE ...]`.

Without Jupyter, so that the tests can do it; in Jupyter they run as any other.
"""

from __future__ import annotations

import ast
import base64
import contextlib
import io
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


def run(path: Path, settings: Mapping[str, Any] | None = None, write: bool = False) -> dict[str, Any]:
    """Run the cells of a notebook in one namespace and in its folder, and return the namespace.

    Args:
        path: the notebook.
        settings: variables that replace those of the cell tagged `parameters`, as papermill does.
        write: whether to write outputs into the notebook.
    """
    path, before = path.resolve(), Path.cwd()
    os.chdir(path.parent)
    try:
        return _run(path, settings or {}, write)
    finally:
        os.chdir(before)


def _run(path: Path, settings: Mapping[str, Any], write: bool) -> dict[str, Any]:
    notebook = json.loads(path.read_text())
    space: dict[str, Any] = {"__name__": "__main__"}
    count = 0
    for cell in notebook["cells"]:
        if cell["cell_type"] != "code":
            continue
        count += 1
        printed, shown = execute("".join(cell["source"]), space, f"{path.name}, cell {count}")
        if "parameters" in cell["metadata"].get("tags", []):
            unknown = set(settings) - set(space)
            if unknown:
                raise KeyError(f"{path.name}: no settings {', '.join(unknown)}")
            space.update(settings)
        outputs: list[dict[str, Any]] = []
        if printed:
            outputs.append({"output_type": "stream", "name": "stdout", "text": printed.splitlines(keepends=True)})
        if shown is not None:
            outputs.append(
                {"output_type": "execute_result", "execution_count": count, "metadata": {}, "data": data_of(shown)}
            )
        cell["outputs"], cell["execution_count"] = outputs, count
    if write:
        path.write_text(json.dumps(notebook, indent=1) + "\n")
    return space


def execute(source: str, space: dict[str, Any], name: str) -> tuple[str, Any]:
    """Run a cell; return what it prints, and the value of its last line where that is an expression."""
    tree = ast.parse(source, name)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile(tree, name, "exec"), space)
        value = eval(compile(ast.Expression(last.value), name, "eval"), space) if last is not None else None
    return printed.getvalue(), value


def data_of(value: Any) -> dict[str, Any]:
    """Return a value as notebooks keep it: a picture where it is one, else its text."""
    data: dict[str, Any] = {"text/plain": repr(value).splitlines(keepends=True)}
    for kind in ("png", "jpeg"):
        if hasattr(value, f"_repr_{kind}_"):
            shown = getattr(value, f"_repr_{kind}_")()
            return {"text/plain": ["<picture>"], f"image/{kind}": base64.b64encode(shown).decode()}
    return data


if __name__ == "__main__":
    for file in [Path(name) for name in sys.argv[1:]] or sorted(HERE.glob("*.ipynb")):
        run(file, write=True)
        print(f"{file}: {file.stat().st_size / 1024:.0f} kB")
