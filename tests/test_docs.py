"""The documentation is true: tables are made from the code, examples run, docstrings say what they must."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

import gpuaug as ga

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
MODULES = [importlib.import_module(m.name) for m in pkgutil.walk_packages(ga.__path__, "gpuaug.")]
CLASSES = [getattr(ga, name) for name in ga.__all__ if inspect.isclass(getattr(ga, name))]
TRANSFORMS = [c for c in CLASSES if issubclass(c, importlib.import_module("gpuaug.transforms.layer").Layer)]
FUNCTIONS = [getattr(ga.functional, name) for name in ga.functional.__all__]


def test_the_tables_of_the_readme_are_up_to_date() -> None:
    sys.path.insert(0, str(ROOT / "notebooks"))
    tables = importlib.import_module("tables")
    assert tables.filled(README) == README, "run python notebooks/tables.py"


def test_the_page_of_all_transforms_is_up_to_date(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every public transform has a row with every cell, and figures stand beside their peers as they were measured."""
    monkeypatch.syspath_prepend(ROOT / "notebooks")
    tables, made = importlib.import_module("tables"), importlib.import_module("page")
    text = made.PAGE.read_text()
    assert made.page(tables.kind) == text, "run python notebooks/tables.py"
    rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in text.splitlines() if line.startswith("|")]
    assert {len(row) for row in rows} == {10}
    assert sorted(row[0].strip(" `") for row in rows[2:]) == sorted(cls.__name__ for cls in TRANSFORMS)
    assert all(row[2].strip() and row[3].strip() for row in rows[2:])

    as_kornia = importlib.import_module("benchmarks.single").AS_KORNIA
    times = {"gpuaug": 2.0, "torchvision, one draw per batch": 5.0, as_kornia: 3.0, "kornia": 9.0}
    machine = {"date": "2100-01-01", "commit": "0123456789", "device": "X", "threads": 3, "versions": {"torch": "9"}}
    alone = {"7. RandomAffine": {name: {"median_ms": ms} for name, ms in times.items()}}
    counts = {"RandomAffine": {"image_sized": 1, "traffic": 1.25}}
    report = {"machine": machine, "batch": 4, "size": 8, "rounds": 6, "single": alone, "single counts": counts}
    monkeypatch.setattr(made, "newest", lambda: report)
    text = made.page(tables.kind)
    row = next(line for line in text.splitlines() if line.startswith("| `RandomAffine`"))
    assert "| 1 | 1.25 | 2.00 | `RandomAffine`: 5.00 (×2.5) | `Affine`: not measured | `RandomAffine`, " in row
    assert row.endswith(": 9.00 (×3.0) |")
    assert "on 3 threads of an X, medians of up to 6 rounds" in text and "commit 0123456;" in text


BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize("code", BLOCKS, ids=range(len(BLOCKS)))
def test_the_code_of_the_readme_runs(code: str) -> None:
    exec(compile(code, "README.md", "exec"), {})


def test_the_right_side_of_the_migration_tables_is_code() -> None:
    """Whatever begins with `ga.` there can be called as it stands."""
    cells = [
        row.split(" | ")[1]
        for part in README.split("### Coming from ")[1:]
        for row in part.split("\n#")[0].splitlines()
        if row.startswith("| ") and " | " in row
    ]
    code = [span for cell in cells for span in re.findall(r"`(ga\.[^`]+)`", cell)]
    assert len(code) > 30
    files = [span for span in code if "policy.json" in span]
    for span in code:
        if span not in files:
            assert eval(span, {"ga": ga, "torch": torch, "model": torch.nn.Identity()}) is not None, span


def test_links_of_the_readme_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / target).exists(), target
    headings = {re.sub(r"[^a-z0-9 -]", "", h.lower()).replace(" ", "-") for h in re.findall(r"^#+ (.+)$", README, re.M)}
    for anchor in re.findall(r"\]\(#([^)]+)\)", README):
        assert anchor in headings, anchor


def test_every_row_of_the_differences_has_a_test() -> None:
    table = README.split("## Deliberate differences")[1].split("## Limits")[0]
    rows = [row.split("|")[1].strip() for row in table.splitlines() if row.startswith("| ") and "what | " not in row]
    tests = "".join(path.read_text() for path in (ROOT / "tests").glob("test_*.py"))
    assert len(rows) == 19 + 15
    for name in (
        "test_one_rounding_for_a_uint8_chain",
        "test_saturation_is_rounded_once",
        "test_bilinear_is_the_default",
        "test_shrinking_warps_do_not_alias",
        "test_fill_is_blended_by_coverage",
        "test_shifts_are_not_rounded_to_pixels",
        "test_nearest_is_symmetric",
        "test_expand_has_one_canvas_for_the_batch_and_loses_nothing",
        "test_to_dtype_keeps_black_and_white",
        "test_to_dtype_rounds",
        "test_bicubic_crops_do_not_wrap_around",
        "test_tv_tensors_in_any_tree",
        "test_masks_equal_torchvision_and_gain_no_class",
        "test_differences_to_torchvision",
        "test_zoom_out_is_torchvisions_and_a_resize",
        "test_options_are_drawn_as_torchvisions",
        "test_scale_jitter_is_torchvisions_resize_cut_and_padded",
        "test_crop_and_pad_is_torchvisions_crop_pad_and_resize",
        "test_a_safe_rotation_holds_the_image_and_touches_all_sides",
        "test_equals_the_codec",
        "test_colours_differ_from_8_bit_ones_by_their_rounding_alone",
        "test_iso_noise_is_opencvs_hls",
        "test_plasma_brightness_contrast",
        "test_plasma_is_fractal",
        "test_linear_illumination",
        "test_sharpen_by_a_gaussian",
        "test_fancy_pca",
        "test_distributions_of_the_others_in_the_batch",
        "test_spectra",
        "test_glass_is_blur_scattering_blur",
        "test_salt_and_pepper_has_its_shares",
    ):
        assert f"def {name}" in tests


@pytest.mark.parametrize("module", MODULES, ids=[m.__name__ for m in MODULES])
def test_examples_run(module: ModuleType) -> None:
    failed, _ = doctest.testmod(module, optionflags=doctest.ELLIPSIS, raise_on_error=False)
    assert failed == 0


@pytest.mark.parametrize("function", FUNCTIONS, ids=[f.__name__ for f in FUNCTIONS])
def test_examples_of_functions_run(function: Any) -> None:
    """`testmod` does not see them: what is public is a wrapper made in another module."""
    examples = doctest.DocTestFinder().find(inspect.unwrap(function), function.__name__)
    assert sum(len(example.examples) for example in examples) >= 2
    for example in examples:
        assert doctest.DocTestRunner().run(example).failed == 0


def sections(thing: object) -> list[str]:
    text = inspect.getdoc(thing) or ""
    return re.findall(r"^(Args|Shape|Boxes and masks|Raises|Source|Example):", text, re.MULTILINE)


@pytest.mark.parametrize("cls", TRANSFORMS, ids=[c.__name__ for c in TRANSFORMS])
def test_docstrings_of_transforms_are_whole(cls: type) -> None:
    order = ["Args", "Shape", "Boxes and masks", "Raises", "Source", "Example"]
    found = sections(cls)
    assert found == [name for name in order if name in found], "sections are out of order"
    assert {"Args", "Shape", "Boxes and masks", "Source", "Example"} <= {*found, *optional(cls)}
    text = inspect.getdoc(cls) or ""
    for name in list(inspect.signature(cls).parameters):
        assert re.search(rf"^    {name}: ", text, re.MULTILINE), f"{cls.__name__}: no word on {name}"


def optional(cls: type) -> list[str]:
    """A transform without arguments has nothing to say about them."""
    return [] if inspect.signature(cls).parameters else ["Args"]


@pytest.mark.parametrize("function", FUNCTIONS, ids=[f.__name__ for f in FUNCTIONS])
def test_docstrings_of_functions_are_whole(function: object) -> None:
    found = sections(function)
    assert found == [name for name in ("Args", "Shape", "Raises", "Source", "Example") if name in found]
    assert {"Args", "Shape", "Source", "Example"} <= set(found)
    for name in inspect.signature(function).parameters:  # type: ignore[arg-type]
        assert re.search(rf"^    {name}: ", inspect.getdoc(function) or "", re.MULTILINE), name


def test_public_names_are_documented_and_sorted() -> None:
    for cls in CLASSES:
        assert inspect.getdoc(cls), cls
    for names in (ga.__all__, ga.functional.__all__):
        assert list(names) == sorted(names, key=lambda n: (not n.isupper(), n))
