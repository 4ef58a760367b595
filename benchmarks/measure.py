"""Measure: times in turn, what a call asks of a device, the bytes that must move. What has no GPU is None."""

from __future__ import annotations

import json
import math
import os
import platform
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

Run = Callable[[Any], Any]
Row = dict[str, Any]
PACKAGES = ("torch", "torchvision", "kornia", "albumentations", "triton", "triton-augment", "numpy")
CACHE = 64 << 20
"""Bytes of the largest cache that inputs must not stay in."""


def machine(device: torch.device) -> Row:
    """Describe where and with what this was measured."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = None
    commit = _git("rev-parse", "HEAD")
    changed = "-changed" if commit and _git("status", "--porcelain", "gpuaug") else ""
    return {
        "date": date.today().isoformat(),
        "commit": (commit or os.environ.get("COMMIT") or "unknown") + changed,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else _processor(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "cuda": torch.version.cuda,
        "versions": versions,
    }


def _git(*command: str) -> str:
    """Return what git says; nothing where there is no git or no repository."""
    if shutil.which("git") is None:
        return ""
    here = Path(__file__).parent.parent
    return subprocess.run(["git", *command], cwd=here, capture_output=True, text=True, check=False).stdout.strip()


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def bytes_of(tree: Any) -> int:
    """Return the bytes of all tensors in a structure."""
    return sum(t.numel() * t.element_size() for t in tree_leaves(tree) if isinstance(t, Tensor))


def rotation(given: Any) -> int:
    """Return how many inputs must take turns so that together they are three times the cache, 2 to 16."""
    return min(max(math.ceil(3 * CACHE / max(bytes_of(given), 1)), 2), 16)


def copier(moved: int, device: torch.device) -> Run:
    """Return the roofline: a copy that reads and writes `moved` bytes in all, from memory that is not in the cache."""
    half = max(moved // 2, 1)
    count = min(max(math.ceil(3 * CACHE / max(moved, 1)), 2), 64) if device.type == "cuda" else 2
    sources = [torch.randint(255, (half,), dtype=torch.uint8, device=device) for _ in range(count)]
    targets = [torch.empty_like(source) for source in sources]
    turn = 0

    def run(_: Any) -> Tensor:
        nonlocal turn
        turn = (turn + 1) % count
        return targets[turn].copy_(sources[turn])

    return run


def spent(run: Run, sets: Sequence[Any], calls: int, device: torch.device, first: int = 0) -> float:
    """Return milliseconds of one call, of several in a row on inputs that take turns."""
    given = [sets[(first + i) % len(sets)] for i in range(calls)]
    if device.type == "cuda":
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        torch.cuda.synchronize()
        start.record()
        for x in given:
            run(x)
        end.record()
        torch.cuda.synchronize()
        return float(start.elapsed_time(end)) / calls
    begin = time.perf_counter()
    for x in given:
        run(x)
    return (time.perf_counter() - begin) * 1e3 / calls


def race(
    rows: dict[str, Run],
    sets: Sequence[Any],
    device: torch.device,
    rounds: int = 9,
    block_ms: float = 0.0,
    seconds: float = math.inf,
) -> dict[str, Row]:
    """Time every row once per round, in turn, so that a slow minute of the machine falls on all.

    Args:
        rows: what is timed, by name.
        sets: inputs that take turns.
        device: where they run.
        rounds: most rounds of a row.
        block_ms: what is timed in one go lasts at least this long: as many calls in a row as that takes, 100 at most.
        seconds: about how long a row may take in all, three rounds at least.

    Returns:
        Median, least and greatest milliseconds of a call by row, or the error that ended it.
    """
    result: dict[str, Row] = {}
    times: dict[str, list[float]] = {}
    calls, turns = {}, {}
    for name, run in rows.items():
        try:
            spent(run, sets, 2, device)  # kernels are compiled, constants move
            once = spent(run, sets, 1, device, 1)
        except Exception as error:
            result[name] = {"error": f"{type(error).__name__}: {str(error)[:300]}"}
            continue
        calls[name] = min(max(math.ceil(block_ms / max(once, 1e-3)), 1), 100)
        turns[name] = rounds
        if seconds < math.inf:
            turns[name] = min(max(int(seconds * 1e3 / max(once * calls[name], 1e-3)), 3), rounds)
        times[name] = []
    for number in range(max(turns.values(), default=0)):
        for name, count in turns.items():
            if number < count:
                times[name].append(spent(rows[name], sets, calls[name], device, number * calls[name]))
    for name, t in times.items():
        result[name] = {"median_ms": statistics.median(t), "min_ms": min(t), "max_ms": max(t), "calls": calls[name]}
    return result


def asked(run: Run, given: Any, device: torch.device) -> Row:
    """Return what a call asks of the host and the device: its time there, waits, memory beyond what is held."""
    if device.type != "cuda":
        return {"host_ms": None, "waits": None, "peak_mb": None}
    hosts: list[float] = []
    while len(hosts) < 5 and sum(hosts) < 50:
        torch.cuda.synchronize()
        begin = time.perf_counter()
        run(given)
        hosts.append((time.perf_counter() - begin) * 1e3)
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    run(given)
    torch.cuda.synchronize()
    peak = (torch.cuda.max_memory_allocated() - before) / 2**20
    return {"host_ms": statistics.median(hosts), "waits": waits(run, given), "peak_mb": peak}


def waits(run: Run, given: Any) -> bool:
    """Tell whether a call makes the host wait for the device."""
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        run(given)
    except RuntimeError as error:
        if "synchroniz" not in str(error):
            raise
        return True
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return False


def profile(run: Run, given: Any, device: torch.device) -> Row:
    """Return how many kernels and copies a call launches, and how long the device works on them."""
    if device.type != "cuda":
        return {"kernels": None, "copies": None, "device_ms": None}
    from torch.profiler import ProfilerActivity

    for _ in range(2):
        run(given)
    torch.cuda.synchronize()
    with torch.profiler.profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as profiler:
        run(given)
        torch.cuda.synchronize()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"
        profiler.export_chrome_trace(str(path))
        return launched(json.loads(path.read_text())["traceEvents"])


def launched(events: list[Row]) -> Row:
    """Count the kernels and copies of a trace, and sum their time; name the longest."""
    work = [e for e in events if e.get("ph") == "X" and e.get("cat") in ("kernel", "gpu_memcpy", "gpu_memset")]
    kernels = [e for e in work if e["cat"] == "kernel"]
    longest: dict[str, float] = {}
    for event in kernels:
        longest[event["name"]] = longest.get(event["name"], 0.0) + event["dur"]
    top = sorted(longest.items(), key=lambda item: -item[1])[:4]
    return {
        "kernels": len(kernels),
        "copies": len(work) - len(kernels),
        "device_ms": sum(e["dur"] for e in work) / 1e3,
        "longest_us": {name[:60]: round(spent, 1) for name, spent in top},
    }


def write(report: Row, out: Path | None) -> None:
    """Write what is there so far, so that a run cut short is not lost."""
    if out:
        out.parent.mkdir(parents=True, exist_ok=True)
        unfinished = out.with_suffix(".part")
        unfinished.write_text(json.dumps(report, indent=1) + "\n")
        unfinished.replace(out)
