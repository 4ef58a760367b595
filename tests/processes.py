"""Scripts in processes of their own, forked from one that has imported torch once for all of them."""

from __future__ import annotations

import multiprocessing
import runpy
import sys
from pathlib import Path

STARTING = multiprocessing.get_context("forkserver")
STARTING.set_forkserver_preload(["gpuaug"])  # where it is not found, each process imports it for itself


def _main(script: str, arguments: tuple[str, ...]) -> None:
    sys.argv = [script, *arguments]
    runpy.run_path(script, run_name="__main__")


def run(*commands: tuple[Path | str, ...]) -> None:
    """Run scripts with their arguments, all at the same time, and hold them to success."""
    processes = [STARTING.Process(target=_main, args=(str(one[0]), tuple(map(str, one[1:])))) for one in commands]
    for process in processes:
        process.start()
    for process in processes:
        process.join(300)
    codes = [process.exitcode for process in processes]
    for process in processes:
        process.kill()
    assert codes == [0] * len(codes), codes
