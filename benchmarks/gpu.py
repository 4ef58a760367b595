"""Everything that needs a GPU, in one run with a time limit: `python -m benchmarks.gpu`.

Sections run in processes of their own, the most important first. Each has its share of the time, and what those before
it left; results are written after each, so that a run that is stopped loses nothing.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import torch

from benchmarks.measure import Row, machine, write
from benchmarks.report import markdown

ROOT = Path(__file__).resolve().parent.parent
GRACE = 5.0
"""Seconds that a process has to stop after it was asked to."""
TESTS = ["test_cuda.py", "test_kernels_cases.py", "test_kernels_heads.py"]


@dataclass(frozen=True)
class Section:
    """What runs in a process of its own."""

    name: str
    seconds: float
    """Its share of the time."""
    command: list[str] | None = None
    """None for the tasks of `benchmarks.sections`."""


def sections() -> list[Section]:
    """Return what runs, in order of weight."""
    tests = [sys.executable, "-m", "pytest", "-o", "addopts=", "-o", "filterwarnings=", "-q", "--tb=short", "-rfE"]
    tests += ["-p", "no:cacheprovider", "--device", "cuda"]
    if importlib.util.find_spec("xdist"):  # most of their time is compiling
        tests += ["-n", str(min(max((os.cpu_count() or 2) - 2, 1), 12)), "--dist", "worksteal"]
    return [
        Section("tests", 140, [*tests, *(f"tests/{name}" for name in TESTS)]),
        Section("first figures", 90),
        Section("training step", 50),
        Section("kernels launched", 35),
        Section("memory checker", 50, sanitizer()),
        Section("all figures", 90),
        Section("each transform alone", 55),
    ]


def sanitizer() -> list[str]:
    """Return the command that runs every kernel under the memory checker; where there is none, one that says so."""
    tool = shutil.which("compute-sanitizer")
    if tool is None:
        return [sys.executable, "-c", "print('compute-sanitizer is not on PATH: not measured')"]
    script = [sys.executable, "-m", "benchmarks.sanitize"]
    options = ["--tool", "memcheck", "--report-api-errors", "no", "--error-exitcode", "9", "--print-limit", "20"]
    return [tool, *options, *script]


def run(command: list[str], seconds: float, log: Path) -> tuple[int | None, float]:
    """Run a command for at most `seconds`; return its exit status, None where it was stopped, and how long it took."""
    begin = time.monotonic()
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with log.open("w") as file:
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=file, stderr=subprocess.STDOUT, env=environment, start_new_session=True
        )
        status: int | None = None
        try:
            status = process.wait(timeout=max(seconds, 0.1))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)  # pytest then still says what it found
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=GRACE)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # it, and what it started
            process.wait()
    return status, time.monotonic() - begin


def tail(log: Path, lines: int = 25) -> list[str]:
    """Return the last lines of a log."""
    return log.read_text(errors="replace").splitlines()[-lines:]


def said(status: int | None, seconds: float) -> str:
    """Return what became of a process."""
    if status is None:
        return f"cut after {seconds:.0f} s"
    return "done" if status == 0 else f"exit status {status}"


def of_command(section: Section, seconds: float, folder: Path) -> Row:
    """Run a section that is a command."""
    assert section.command is not None
    log = folder / f"{section.name.replace(' ', '-')}.log"
    status, spent = run(section.command, seconds, log)
    return {"status": said(status, spent), "seconds": spent, "tail": tail(log, 25 if status == 0 else 600)}


def of_tasks(section: Section, seconds: float, folder: Path, device: str, dry: bool) -> Row:
    """Run a section of tasks; where the process dies of one, go on with the next in a new process."""
    begin = time.monotonic()
    found: Row = {"status": "done", "tasks": {}, "cut": []}
    part, log = folder / "tasks.json", folder / f"{section.name.replace(' ', '-')}.log"
    while True:
        left = seconds - (time.monotonic() - begin)
        part.unlink(missing_ok=True)
        command = [sys.executable, "-m", "benchmarks.sections", section.name, "--device", device, "--out", str(part)]
        command += ["--until", str(time.time() + left - 2 * GRACE), "--skip", json.dumps(list(found["tasks"]))]
        status, _ = run([*command, "--dry"] if dry else command, left, log)
        state = json.loads(part.read_text()) if part.exists() else {"tasks": {}, "running": None, "planned": []}
        found["tasks"] |= state["tasks"]
        found["cut"] = [key for key in state["planned"] if key not in found["tasks"]]
        if status == 0:
            break
        died = state["running"]
        if died is not None and status is not None:
            error = f"{said(status, seconds)}: " + " / ".join(tail(log, 3))
            found["tasks"].setdefault(died, {})["error"] = error
        if status is None or died is None:
            found["status"], found["tail"] = said(status, seconds), tail(log)
            break
        found["status"] = "some tasks ended their process"
    if found["cut"] and status is not None:
        found["status"] = f"{found['status']}, cut after {seconds:.0f} s"
    return found | {"seconds": time.monotonic() - begin}


def conduct(
    planned: list[Section],
    seconds: float,
    report: Row,
    save: Callable[[Row], None],
    device: str = "cuda",
    dry: bool = False,
) -> None:
    """Run sections within `seconds` in all: each may take its share and what those before it left."""
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        for number, section in enumerate(planned):
            later = sum(other.seconds for other in planned[number + 1 :])
            share = seconds - (time.monotonic() - begin) - later
            if share < 2 * GRACE:
                found: Row = {"status": "cut: no time was left", "seconds": 0.0}
            elif section.command is None:
                found = of_tasks(section, share - GRACE, Path(folder), device, dry)
            else:
                found = of_command(section, share - GRACE, Path(folder))
            report["sections"][section.name] = found
            print(f"{section.name}: {found['status']} ({found['seconds']:.0f} s)", flush=True)
            save(report)


def main() -> int:
    """Run everything; the exit status is 0 where the tests passed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--seconds", type=float, default=515.0, help="for everything")
    parser.add_argument("--only", action="append", help="a section, which may then take all the time")
    parser.add_argument("--dry", action="store_true", help="next to nothing of everything, for machines without a GPU")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results", help="folder")
    args = parser.parse_args()
    planned = [section for section in sections() if args.only is None or section.name in args.only]
    device = torch.device(args.device)
    about = machine(device)
    name = about["device"].lower().replace(" ", "-") if device.type == "cuda" else "dry"
    out = args.out / f"{name}-{date.today().isoformat()}.json"
    report: Row = {"machine": about, "gpu": device.type == "cuda", "sections": {}}

    def save(report: Row) -> None:
        write(report, out)
        out.with_suffix(".md").write_text(markdown(report))

    save(report)
    conduct(planned, args.seconds, report, save, args.device, args.dry)
    tests = report["sections"].get("tests", {"status": "done", "tail": []})
    print("\n".join(tests["tail"][-25:]))
    print(out.with_suffix(".md").read_text()[:8000])
    print(f"tests: {tests['status']}; figures: {out}")
    return 0 if tests["status"] == "done" else 1


if __name__ == "__main__":
    sys.exit(main())
