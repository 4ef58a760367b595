"""The command `gpuaug doctor`: what is installed, on what it runs, whether it is right, and what is missing."""

from __future__ import annotations

import importlib.metadata as metadata
import os
import platform
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

import gpuaug as ga
from gpuaug.render.backend import uses_triton
from gpuaug.testing import example

__all__ = ["CHECKS", "devices", "extras", "processor", "run"]

_SEED = 7


def run(device: str = "auto") -> bool:
    """Print versions, devices, the outcome of the self-test, and the state of the optional packages.

    Args:
        device: where the self-test runs: a torch device, or "auto" for every kind there is.

    Returns:
        Whether the self-test passed.
    """
    print(f"gpuaug {ga.__version__} in {Path(ga.__file__).parent}")
    print(f"python {platform.python_version()} on {platform.system()} {platform.machine()}")
    print(
        ", ".join(f"{name} {_version(name) or 'not installed'}" for name in ("torch", "torchvision", "numpy", "triton"))
    )
    print("\nDevices")
    found = devices()
    for name, (what, backend) in found.items():
        print(f"  {name:8} {what}" + (f"; backend {backend}" if backend else ""))
    whole = True
    for place in [name for name, (_, backend) in found.items() if backend] if device == "auto" else [device]:
        print(f"\nSelf-test on {place}")
        whole &= _tested(torch.device(place))
    print("\nOptional packages")
    for line in extras():
        print(f"  {line}")
    if shutil.which("g++") is None and shutil.which("clang++") is None:
        print("  torch.compile on a CPU needs a C++ compiler (g++ or clang++): none on PATH")
    print("\nEverything works." if whole else "\nSomething is wrong: please report the lines that say FAILED.")
    return whole


def devices() -> dict[str, tuple[str, str]]:
    """Return what torch can run on by name: a description, and the backend that renders there ("" for none)."""
    found = {"cpu": (f"{processor()}, {torch.get_num_threads()} threads", _backend(torch.device("cpu")))}
    for i in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        props = torch.cuda.get_device_properties(i)
        what = f"{props.name}, {props.total_memory / 2**30:.0f} GiB, sm_{props.major}{props.minor}"
        found[f"cuda:{i}"] = (what, _backend(torch.device("cuda", i)))
    if "cuda:0" not in found:
        found["cuda"] = (_why_no_cuda(), "")
    if torch.backends.mps.is_available():
        found["mps"] = ("Apple GPU", "torch")
    return found


def _why_no_cuda() -> str:
    if torch.version.cuda is None:
        return "none: this torch is built without CUDA; https://pytorch.org/get-started/locally names the one that is"
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return "none: CUDA_VISIBLE_DEVICES hides them"
    return f"none: torch is built for CUDA {torch.version.cuda}, but finds no device; does `nvidia-smi` list one?"


def _backend(device: torch.device) -> str:
    return "triton" if uses_triton(torch.empty((0, 1, 1, 1), device=device), None) else "torch"


def processor() -> str:
    """Return the name of the processor."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


# --- the self-test ---


def _tested(device: torch.device) -> bool:
    whole = True
    for name, check in CHECKS.items():
        begin = time.perf_counter()
        try:
            said = check(device)
            outcome = "ok"
        except Exception as error:  # whatever goes wrong is what a doctor reports
            said, outcome, whole = f"{type(error).__name__}: {error}", "FAILED", False
        milliseconds = (time.perf_counter() - begin) * 1e3
        print(f"  {outcome:6} {name}: {said} ({milliseconds:.0f} ms)")
    return whole


def _near(a: Tensor, b: Tensor, tolerance: float) -> float:
    gap = float((a.double().cpu() - b.double().cpu()).abs().max())
    if not gap <= tolerance:
        raise AssertionError(f"differs by up to {gap:.3g}, allowed are {tolerance:g}")
    return gap


def _draws(device: torch.device) -> str:
    """Draws are bits of a counter-based generator: the same wherever they are made."""
    layer = ga.Compose([ga.RandomRotation(30), ga.ColorJitter(0.4), ga.RandomErasing()], seed=_SEED)
    images = example(64, (3, 8, 10))
    here = layer.sample(images.to(device))["RandomRotation"].angle
    there = layer.sample(images)["RandomRotation"].angle
    if not torch.equal(here.cpu(), there) or len(set(there.tolist())) != 64:
        raise AssertionError("64 samples do not draw 64 angles, or others than on the CPU")
    return "64 samples draw 64 angles, the same as on the CPU"


def _pixels(device: torch.device) -> str:
    """What torchvision has too is what torchvision gives."""
    from torchvision.transforms.v2 import functional as tv

    images = example(8, (3, 41, 58)).to(device)
    layer = ga.Compose([ga.RandomHorizontalFlip(), ga.ColorJitter(brightness=0.4)], seed=_SEED)
    out, params = layer(images, return_params=True)
    gates = params["RandomHorizontalFlip"].gate.tolist()
    factors = params["ColorJitter"].brightness.tolist()
    expected = [
        tv.adjust_brightness(tv.horizontal_flip(image) if gate else image, factor)
        for image, gate, factor in zip(images, gates, factors, strict=True)
    ]
    gap = _near(out, torch.stack(expected), 1e-5)
    return f"equal to torchvision, image by image, to {gap:.0e}"


def _fused(device: torch.device) -> str:
    """One pass does what one transform after another does."""
    recipe = [ga.RandomHorizontalFlip(), ga.ColorJitter(0.4, 0.4, 0.4, 0.1), ga.Normalize((0.5,) * 3, (0.25,) * 3)]
    images = example(8, (3, 64, 80)).to(device)
    one = ga.Compose(recipe, seed=_SEED)
    params = one.sample(images)
    several = ga.Compose(recipe, seed=_SEED, fuse=False)
    gap = _near(one.replay(images, params), several.replay(images, params), 1e-3)
    return f"{_backend(device)} backend, fused, equals transforms one by one to {gap:.0e}"


def _reference(device: torch.device) -> str:
    """The device renders what plain tensor operations do on the CPU."""
    images = example(8, (3, 64, 80))
    recipe = [ga.RandomResizedCrop(48), ga.RandomAffine(15), ga.GaussianBlur(5, (0.5, 1.0)), ga.RandomErasing()]
    layer = ga.Compose(recipe, seed=_SEED)
    out = layer.replay(images.to(device), layer.sample(images.to(device)))
    plain = ga.Compose(recipe, seed=_SEED, backend="torch")
    params = plain.sample(images)
    expected = plain.replay(images.requires_grad_(), params).detach()  # with gradients: the whole batch at once
    far = ((out.cpu() - expected).abs() > 1 / 255).float().mean().item()
    if far > 1e-3:
        raise AssertionError(f"{far:.2%} of the values differ by more than 1/255")
    return "crop, warp, blur and erasing are what plain tensor operations make"


def _annotations(device: torch.device) -> str:
    """A box stays around what it was drawn around."""
    images = torch.zeros(6, 3, 40, 56, device=device)
    images[:, :, 10:18, 20:34] = 1.0
    boxes = torch.tensor([[[20.0, 10.0, 34.0, 18.0]]] * 6).to(device)
    layer = ga.Compose([ga.RandomHorizontalFlip(), ga.RandomVerticalFlip(), ga.RandomCrop((36, 50))], seed=_SEED)
    out = layer({"image": images, "boxes": boxes})
    for image, box in zip(out["image"].cpu(), out["boxes"].cpu(), strict=True):
        rows, columns = (image[0] > 0.5).nonzero().unbind(1)
        seen = torch.stack((columns.min(), rows.min(), columns.max() + 1, rows.max() + 1))
        _near(box[0], seen, 1e-3)
    return "boxes lie around what they were drawn around"


CHECKS: dict[str, Callable[[torch.device], str]] = {
    "draws": _draws,
    "pixels": _pixels,
    "passes": _fused,
    "device": _reference,
    "annotations": _annotations,
}
"""What the self-test looks at."""


# --- optional packages ---


def extras() -> list[str]:
    """Return a line for each group of optional packages: what is there, or what is missing and how to get it."""
    try:
        needed = metadata.requires("gpuaug") or []
    except metadata.PackageNotFoundError:
        return ["gpuaug runs from its source and is not installed: pip install -e . makes its extras known"]
    groups: dict[str, list[str]] = {}
    for line in needed:
        found = re.match(r"([\w.-]+).*;.*extra\s*==\s*['\"]([\w-]+)['\"]", line)
        if found and found[1].lower() != "gpuaug":
            groups.setdefault(found[2], []).append(found[1])
    lines = []
    for extra, packages in groups.items():
        missing = [package for package in packages if _version(package) is None]
        said = f'missing {", ".join(missing)}: pip install "gpuaug[{extra}]"' if missing else "all there"
        lines.append(f"{extra:10} {said}")
    return lines
