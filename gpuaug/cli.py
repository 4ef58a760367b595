"""The command line: ``gpuaug demo`` and its siblings."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from gpuaug import __version__

# The modules an extra brings, and the name that pip knows each by.
_EXTRAS = {
    "sklearn": ("scikit-learn", "demo"),
    "skimage": ("scikit-image", "demo"),
    "PIL": ("pillow", "demo"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    args = _parser().parse_args(argv)
    run: Callable[[argparse.Namespace], int] = args.run
    try:
        return run(args)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in _EXTRAS:
            raise
        package, extra = _EXTRAS[missing]
        print(
            f"gpuaug {args.command} needs {package}, which is not installed. "
            f'It comes with: pip install "gpuaug[{extra}]"',
            file=sys.stderr,
        )
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="gpuaug", description="Batched image augmentation for PyTorch.")
    parser.add_argument("--version", action="version", version=f"gpuaug {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    for add in _COMMANDS:
        add(commands)
    return parser


# --- commands: each adds its own parser, and imports what it needs only when it runs ---


def _add_demo(commands: argparse._SubParsersAction[Any]) -> None:
    parser = commands.add_parser(
        "demo",
        help="train a small net on digits, without and with augmentation",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--seed", type=int, default=0, help="first seed: data split, initial weights, order, draws")
    parser.add_argument("--seeds", type=_positive, default=1, metavar="N", help="number of seeds to repeat over")
    parser.add_argument("--steps", type=_positive, default=400, help="training steps of each run")
    parser.add_argument("--images", type=_positive, default=200, help="training images; the rest is held out")
    parser.add_argument("--out", type=Path, default=Path("gpuaug-demo.png"), help="where the contact sheet goes")
    parser.add_argument("--device", default="auto", help="auto (CUDA when available), cpu, cuda, cuda:1, ...")
    parser.set_defaults(run=_run_demo)


def _run_demo(args: argparse.Namespace) -> int:
    from gpuaug import demo

    demo.run(
        seeds=range(args.seed, args.seed + args.seeds),
        steps=args.steps,
        images=args.images,
        out=args.out,
        device=args.device,
    )
    return 0


def _add_preview(commands: argparse._SubParsersAction[Any]) -> None:
    parser = commands.add_parser(
        "preview",
        help="draw images beside what a pipeline makes of them",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("images", nargs="+", type=Path, metavar="IMAGE", help="files of images")
    parser.add_argument(
        "--policy",
        type=Path,
        required=True,
        metavar="FILE",
        help="a Python file whose `augment` or `policy` is the pipeline, or a function that returns it",
    )
    parser.add_argument("--out", type=Path, default=Path("gpuaug-preview.png"), help="where the sheet goes")
    parser.add_argument("--copies", type=_positive, default=5, metavar="N", help="draws of each image")
    parser.add_argument("--seed", type=int, help="seed of the draws, in place of the pipeline's")
    parser.add_argument("--size", type=_positive, default=320, metavar="N", help="longest side of a tile, in pixels")
    parser.add_argument(
        "--annotations", type=Path, metavar="FILE", help="a COCO file: boxes, polygons and keypoints of the images"
    )
    parser.set_defaults(run=_run_preview)


def _run_preview(args: argparse.Namespace) -> int:
    from gpuaug import preview

    try:
        preview.run(
            args.images,
            policy=args.policy,
            out=args.out,
            copies=args.copies,
            seed=args.seed,
            size=args.size,
            annotations=args.annotations,
        )
    except preview.Problem as problem:
        print(f"gpuaug preview: {problem}", file=sys.stderr)
        return 2
    return 0


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {value}")
    return value


_COMMANDS = (_add_demo, _add_preview)


if __name__ == "__main__":
    sys.exit(main())
