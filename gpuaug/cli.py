"""The command line: `gpuaug demo`, `preview`, `bench` and `doctor`."""

from __future__ import annotations

import argparse
import sys
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from gpuaug import __version__
from gpuaug.preview import Problem

# The modules an extra brings, and the name that pip knows each by.
_EXTRAS = {
    "sklearn": ("scikit-learn", "demo"),
    "skimage": ("scikit-image", "demo"),
    "PIL": ("pillow", "demo"),
}


_ABOUT = """
Batched image augmentation for PyTorch: one nn.Module between the batch and the model.

  gpuaug doctor                                   is everything installed, and does it work here?
  gpuaug preview photo.jpg --policy policy.py     what does my pipeline do to my images?
  gpuaug bench --policy policy.py                 how fast is it on this machine?
  gpuaug demo                                     does augmentation help? a small net on digits

A policy is a Python file that calls a pipeline `augment` (or `policy`):

  import gpuaug as ga
  augment = ga.Compose([ga.RandomResizedCrop(224), ga.RandomHorizontalFlip(), ga.ColorJitter(0.4, 0.4, 0.4)])

gpuaug COMMAND --help says more about each.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    args = _parser().parse_args(argv)
    run: Callable[[argparse.Namespace], int] = args.run
    try:
        return run(args)
    except Problem as problem:
        print(f"gpuaug {args.command}: {problem}", file=sys.stderr)
        return 2
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
    parser = argparse.ArgumentParser(
        prog="gpuaug", description=textwrap.dedent(_ABOUT).strip(), formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--version", action="version", version=f"gpuaug {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    for add in _COMMANDS:
        add(commands)
    return parser


# --- commands: each adds its own parser, and imports what it needs only when it runs ---


def _add_demo(commands: argparse._SubParsersAction[Any]) -> None:
    parser = _command(
        commands,
        "demo",
        "train a small net on digits, without and with augmentation",
        """
        Trains the same small net on scikit-learn's digits twice, from the same weights and on the same images in the
        same order, without and with augmentation; prints held-out accuracy, images per second, and the share of the
        step spent augmenting; and draws a sheet of augmented digits.

          gpuaug demo --seeds 3
        """,
    )
    parser.add_argument("--seed", type=int, default=0, help="first seed: data split, initial weights, order, draws")
    parser.add_argument("--seeds", type=_positive, default=1, metavar="N", help="number of seeds to repeat over")
    parser.add_argument("--steps", type=_positive, default=400, help="training steps of each run")
    parser.add_argument("--images", type=_positive, default=200, help="training images; the rest is held out")
    parser.add_argument("--out", type=Path, default=Path("gpuaug-demo.png"), help="where the contact sheet goes")
    parser.add_argument(
        "--device", type=_device, default="auto", help="auto (CUDA when available), cpu, cuda, cuda:1, ..."
    )
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
    parser = _command(
        commands,
        "preview",
        "draw images beside what a pipeline makes of them",
        """
        Draws a row for each image: the image as it is, then draws of the pipeline, with boxes, masks and keypoints
        moved along where there are annotations.

          gpuaug preview photo.jpg other.jpg --policy policy.py --copies 4 --out sheet.png
          gpuaug preview photo.jpg --policy policy.py --annotations coco.json
        """,
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

    preview.run(
        args.images,
        policy=args.policy,
        out=args.out,
        copies=args.copies,
        seed=args.seed,
        size=args.size,
        annotations=args.annotations,
    )
    return 0


def _add_bench(commands: argparse._SubParsersAction[Any]) -> None:
    parser = _command(
        commands,
        "bench",
        "time a pipeline here, beside torchvision's",
        """
        Times a pipeline on images that are already on the device, by every backend there is, in turn with torchvision's
        transforms of the same names: in a loop over the images, each with its own draws, and with one draw for the
        batch. What torchvision does not have is said, and has no such rows.

          gpuaug bench                                      a classification recipe
          gpuaug bench --policy policy.py --batch 64        your own, as in gpuaug preview
          gpuaug bench --device cpu --compile --seconds 20
        """,
    )
    parser.add_argument(
        "--policy", type=Path, metavar="FILE", help="a Python file whose `augment` or `policy` is timed"
    )
    parser.add_argument("--batch", type=_positive, default=32, metavar="N", help="images in a call")
    parser.add_argument("--size", type=_positive, default=256, metavar="N", help="their height and width")
    parser.add_argument("--channels", type=_positive, default=3, metavar="N", help="of an image")
    parser.add_argument("--dtype", choices=("uint8", "float32"), default="uint8", help="of the images")
    parser.add_argument("--device", type=_device, default="auto", help="auto (CUDA when available), cpu, cuda, ...")
    parser.add_argument("--seconds", type=float, default=8.0, help="about how long to measure")
    parser.add_argument("--compile", action="store_true", help="also time torch.compile of the pipeline")
    parser.set_defaults(run=_run_bench)


def _run_bench(args: argparse.Namespace) -> int:
    from gpuaug import bench

    names = ("policy", "batch", "size", "channels", "dtype", "device", "seconds", "compile")
    bench.run(**{name: getattr(args, name) for name in names})
    return 0


def _add_doctor(commands: argparse._SubParsersAction[Any]) -> None:
    parser = _command(
        commands,
        "doctor",
        "say what is installed and test that it works",
        """
        Prints versions, devices and the backend that renders on each, runs a self-test there (draws, pixels against
        torchvision, passes, annotations), and says which optional packages are missing and how to get them. The exit
        status is 0 if the self-test passes. Put its output into a bug report.
        """,
    )
    parser.add_argument("--device", type=_device, default="auto", help="where to test; auto is every device there is")
    parser.set_defaults(run=_run_doctor)


def _run_doctor(args: argparse.Namespace) -> int:
    from gpuaug import doctor

    if args.device.startswith("cuda") and not torch.cuda.is_available():
        raise Problem(f"no CUDA device for --device {args.device}: {doctor.devices()['cuda'][0]}")
    return 0 if doctor.run(args.device) else 1


class _Help(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Keep the lines of a description, and show defaults."""


def _command(commands: argparse._SubParsersAction[Any], name: str, help: str, text: str) -> argparse.ArgumentParser:
    description = textwrap.dedent(text).strip()
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=help, description=description, formatter_class=_Help
    )
    return parser


def _device(text: str) -> str:
    if text != "auto":
        try:
            torch.device(text)
        except RuntimeError:
            raise argparse.ArgumentTypeError(f"must be auto, cpu, cuda, cuda:1, ..., got {text!r}") from None
    return text


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {value}")
    return value


_COMMANDS = (_add_demo, _add_preview, _add_bench, _add_doctor)


if __name__ == "__main__":
    sys.exit(main())
