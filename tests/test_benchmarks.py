"""The benchmarks as far as they go without a GPU: a dry run of every section, and the parts that compute."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks import beside_kornia, gpu, measure, pipelines, report, sanitize, sections, single
from benchmarks.gpu import Section

ROOT = Path(__file__).parent.parent
CPU = torch.device("cpu")
pytestmark = pytest.mark.filterwarnings("ignore")  # peers warn as they like


def rows_of(state: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {key: task["rows"] for key, task in state["tasks"].items()}


@pytest.mark.parametrize("section", ["first figures", "training step", "kernels launched", "all figures"])
def test_dry_run(section: str, tmp_path: Path) -> None:
    """Every contender gives figures; what only a GPU has is None, and is no error."""
    state = sections.work(section, sections.scale_for("cpu", True), tmp_path / "part.json", float("inf"))
    assert json.loads((tmp_path / "part.json").read_text()) == state
    assert state["planned"] == list(state["tasks"]) and state["running"] is None
    for key, rows in rows_of(state).items():
        assert len(rows) >= 3, key
        for name, row in rows.items():
            assert "error" not in row, (key, name, row)
            if "captured" in name:
                assert row == {"median_ms": None}
            elif section == "kernels launched":
                assert row == {"held_mb": None, "kernels": None, "copies": None, "device_ms": None}
            else:
                assert row["median_ms"] > 0 and row["images_per_s"] > 0
    names = {key.split(",")[0] for key in state["tasks"]}
    expected = {
        "first figures": {"basic", "classification"},
        "training step": {"mobilenet_v3_small"},
    }.get(section, set(pipelines.listed()))
    assert names == expected
    text = report.markdown(
        {"machine": measure.machine(CPU), "gpu": False, "sections": {section: {**state, "status": "done"}}}
    )
    assert "not measured" in text and "| gpuaug" in text


def test_each_transform_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = single.names()
    assert set(single.TORCHVISION) | set(single.KORNIA) <= set(names)
    chosen = [names.index(name) for name in ("RandomHorizontalFlip", "RandomIoUCrop", "SelectiveChannelTransform")]
    monkeypatch.setattr(single, "CASES", [single.CASES[i] for i in chosen])
    state = sections.work("each transform alone", sections.scale_for("cpu", True), tmp_path / "p.json", float("inf"))
    assert list(state["tasks"]) == ["1. RandomHorizontalFlip", "2. RandomIoUCrop", "3. SelectiveChannelTransform"]
    for rows in rows_of(state).values():
        assert rows["gpuaug"]["median_ms"] > 0 and not any("error" in row for row in rows.values())


def test_peers_of_single_transforms_run() -> None:
    images = (torch.rand(1, 3, 128, 168) * 255).to(torch.uint8)
    for number, name in enumerate(single.names()):
        given = images[..., :128] if name == "RandomRotate90" else images  # which takes squares
        _, builders = single.contenders(number, given)
        for row, build in builders.items():
            if row != "gpuaug" and "Elastic" not in name:  # whose kernels are large on the CPU
                assert build()(given).shape[0] == 1, (name, row)


def test_what_is_not_there_is_not_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    given = pipelines.inputs("basic", 2, 16, torch.uint8, CPU)
    installed = importlib.util.find_spec("kornia") is not None
    assert ("kornia" in pipelines.contenders("basic", given)) == installed
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert set(pipelines.contenders("basic", given)) == {
        "gpuaug",
        "torchvision, one draw per batch",
        "torchvision, image by image",
    }
    assert set(pipelines.contenders("basic", given, ways=("compiled", "peers compiled"))) == {"gpuaug, compiled"}
    monkeypatch.setattr(pipelines, "ga", object())
    assert "RandAugment" not in pipelines.listed() and "basic" in pipelines.listed()


def test_two_views_are_drawn_independently() -> None:
    images = pipelines.inputs("two views", 2, 40, torch.float32, CPU)
    first, second = pipelines.contenders("two views", images)["gpuaug"]()(images)
    assert first.shape == second.shape == (2, 3, 224, 224) and not torch.equal(first, second)


def test_the_roofline_counts_both_directions() -> None:
    tree = {"image": torch.zeros(2, 3, 4, 5, dtype=torch.uint8), "boxes": [torch.zeros(2, 4)], "name": "a"}
    assert measure.bytes_of(tree) == 120 + 32
    copy = measure.copier(1000, CPU)
    written = copy(None)
    assert written.dtype == torch.uint8 and 2 * written.numel() == 1000
    assert copy(None).data_ptr() != written.data_ptr()  # buffers take turns
    large, small = torch.empty(measure.CACHE, dtype=torch.uint8, device="meta"), torch.empty(8, device="meta")
    assert measure.rotation(large) == 3 and measure.rotation(small) == 16


def test_rows_run_in_turn_on_inputs_in_turn() -> None:
    seen: list[tuple[str, int]] = []

    def failing(x: int) -> None:
        raise ValueError("no such thing")

    rows = {"a": lambda x: seen.append(("a", x)), "bad": failing, "b": lambda x: seen.append(("b", x))}
    result = measure.race(rows, [0, 1, 2], CPU, rounds=4)
    assert result["bad"] == {"error": "ValueError: no such thing"}
    assert seen[6:] == [(name, turn % 3) for turn in range(4) for name in "ab"]
    assert set(result["a"]) == {"median_ms", "min_ms", "max_ms", "calls"}


def test_launches_are_read_from_a_trace() -> None:
    event = {"ph": "X", "dur": 3.0, "cat": "kernel", "name": "render"}
    trace = [event, event, {**event, "cat": "gpu_memcpy"}, {**event, "cat": "cpu_op"}, {**event, "ph": "f"}]
    assert measure.launched(trace) == {
        "kernels": 2,
        "copies": 1,
        "device_ms": 0.009,
        "longest_us": {"render": 6.0},
    }


def figures() -> dict[str, Any]:
    def row(ms: float) -> dict[str, Any]:
        return {"median_ms": ms, "min_ms": ms, "max_ms": ms, "images_per_s": 1.0, "waits": False}

    basic = {report.COPY: row(0.03), "gpuaug, captured": row(0.12), "gpuaug": row(0.5)}
    first = {"tasks": {"basic, 256 x 3": {"rows": basic}, "basic, 256 x 3, compiled": {"rows": {"kornia": row(9)}}}}
    return {
        "machine": measure.machine(CPU),
        "gpu": True,
        "sections": {"first figures": {**first, "status": "done", "seconds": 3.0, "cut": ["classification"]}},
    }


def test_tables_say_what_was_not_measured() -> None:
    text = report.markdown(figures())
    assert "| basic, captured: times the copy of its bytes | 4 | at most 6, aim at 3 |" in text
    assert "| classification: Kornia eager over gpuaug eager | not measured | at least 20 |" in text
    assert "| first figures | done | 3 | 1 |" in text and "| gpuaug, captured | 0.12 (0.12 to 0.12) |" in text
    assert text.count("## basic, 256 x 3") == 1 and "| kornia | 9 (9 to 9) |" in text
    assert [row[1] for row in report.budgets({**figures(), "gpu": False})] == [None] * len(report.BUDGETS)
    heads = text.split("## basic, 256 x 3\n\n")[1].splitlines()
    assert {line.count("|") for line in heads if line} == {len(report.HEADS) + 1}  # every row has every cell


def test_a_command_that_overruns_is_cut(tmp_path: Path) -> None:
    script = "import subprocess, sys, time; p = subprocess.Popen(['sleep', '60']);"
    command = [sys.executable, "-c", f"{script} print(p.pid, flush=True); time.sleep(60)"]
    status, seconds = gpu.run(command, 1.5, tmp_path / "log")
    assert status is None and seconds < 30
    started = Path("/proc") / gpu.tail(tmp_path / "log")[0] / "stat"
    for _ in range(100):  # what it started ends too; a moment later
        if not started.exists() or ") Z" in started.read_text():
            break
        time.sleep(0.05)
    else:
        pytest.fail("what the command had started went on")
    assert gpu.said(status, seconds).startswith("cut after")
    status, _ = gpu.run([sys.executable, "-c", "raise SystemExit(3)"], 60, tmp_path / "log")
    assert gpu.said(status, 1) == "exit status 3"


def worker(plan: list[str], deaths: dict[str, int | None], monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Let processes do what a plan says instead of starting; return which tasks each was told to skip."""
    started: list[list[str]] = []

    def run(command: list[str], seconds: float, log: Path) -> tuple[int | None, float]:
        out, skip = Path(command[command.index("--out") + 1]), json.loads(command[command.index("--skip") + 1])
        started.append(skip)
        log.write_text("some\nlast words\n")
        todo = [key for key in plan if key not in skip]
        state: dict[str, Any] = {"planned": todo, "running": None, "tasks": {}}
        for key in todo:
            state["running"] = key
            if key in deaths:
                out.write_text(json.dumps(state))
                return deaths[key], 1.0
            state["tasks"][key] = {"rows": {}}
        state["running"] = None
        out.write_text(json.dumps(state))
        return 0, 1.0

    monkeypatch.setattr(gpu, "run", run)
    return started


def test_a_task_that_kills_its_process_costs_the_others_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = worker(list("abcd"), {"b": -11, "d": 1}, monkeypatch)
    found = gpu.of_tasks(Section("first figures", 60), 60, tmp_path, "cpu", True)
    assert started == [[], ["a", "b"], ["a", "b", "c", "d"]]
    assert found["tasks"]["b"] == {"error": "exit status -11: some / last words"} and found["cut"] == []
    assert found["tasks"]["c"] == {"rows": {}} and found["status"] == "some tasks ended their process"


def test_a_section_that_overruns_keeps_what_it_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    worker(list("abcd"), {"c": None}, monkeypatch)
    found = gpu.of_tasks(Section("first figures", 60), 60, tmp_path, "cpu", True)
    assert list(found["tasks"]) == ["a", "b"] and found["cut"] == ["c", "d"] and found["status"] == "cut after 60 s"


def test_time_that_is_saved_goes_to_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    shares: list[float] = []
    monkeypatch.setattr(
        gpu, "of_command", lambda section, seconds, folder: shares.append(seconds) or {"status": "done", "seconds": 0.0}
    )
    planned = [Section("a", 100, ["x"]), Section("b", 50, ["x"]), Section("c", 8, ["x"])]
    saved: list[int] = []
    found: dict[str, Any] = {"sections": {}}
    gpu.conduct(planned, 158.0, found, lambda r: saved.append(len(r["sections"])))
    assert shares == pytest.approx([95, 145, 153], abs=1) and saved == [1, 2, 3]
    gpu.conduct(planned[2:], 8.0, found, lambda r: None)
    assert found["sections"]["c"]["status"] == "cut: no time was left"
    assert sum(section.seconds for section in gpu.sections()) <= 515


@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="Triton is not installed: torch serves")
def test_every_kernel_is_launched_for_the_memory_checker(monkeypatch: pytest.MonkeyPatch) -> None:
    assert sanitize.main("cpu") == set()
    monkeypatch.setattr(gpu.shutil, "which", lambda name: None)
    said = subprocess.run(gpu.sanitizer(), capture_output=True, text=True, check=True).stdout
    assert "compute-sanitizer is not on PATH: not measured" in said


def test_the_script_passes_on_what_it_is_given(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\necho "$@"\n')
    python.chmod(0o755)
    command = ["bash", str(ROOT / "benchmarks" / "gpu.sh"), "--only", "first figures"]
    environment = {"PATH": "/usr/bin:/bin", "PYTHON": str(python), "OUT": str(tmp_path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.splitlines()[-1] == f"-m benchmarks.gpu --out {tmp_path} --only first figures"


def test_all_that_kornia_has_stands_beside_ours() -> None:
    """Every 2D augmentation of Kornia has a counterpart here, or a reason why it has none."""
    augmentation = pytest.importorskip("kornia.augmentation")
    known = {pair.theirs for pair in beside_kornia.PAIRS} | set(beside_kornia.WITHOUT)
    kinds = (augmentation.AugmentationBase2D, augmentation.MixAugmentationBaseV2)
    has = {name for name, kind in vars(augmentation).items() if isinstance(kind, type) and issubclass(kind, kinds)}
    assert {name for name in has if "Base" not in name and not name.endswith("3D")} <= known


def test_beside_kornia_measures(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("kornia")
    monkeypatch.setattr(sys, "argv", ["x", "--only", "RGBShift", "--batch", "1", "--size", "16", "--calls", "1"])
    threads = torch.get_num_threads()
    beside_kornia.main()
    torch.set_num_threads(threads)
    line = capsys.readouterr().out.splitlines()[-1].split()
    assert line[:2] == ["RandomRGBShift", "RGBShift"] and len(line) == 8 and min(float(v) for v in line[2:]) > 0
