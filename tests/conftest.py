"""What every test shares: the device, the photographs, one thread per worker."""

from __future__ import annotations

import gc
import importlib.util
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

_WORKER = "PYTEST_XDIST_WORKER" in os.environ
if _WORKER:  # before torch is imported, and for the processes that a test starts
    os.environ.setdefault("OMP_NUM_THREADS", "1")
else:
    # Dynamo writes a stack trace for every operation that it traces. Without columns Python underlines nothing in it,
    # which was an eighth of the tracing. It is read when an interpreter starts: the workers'.
    os.environ.setdefault("PYTHONNODEBUGRANGES", "1")

import pytest  # noqa: E402

if TYPE_CHECKING:  # who only hands out the tests needs no torch
    import torch

# Photographs inside scikit-image's wheel (others of its images are downloaded on first use).
PHOTOS = ("astronaut", "chelsea", "coffee", "rocket")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--device", default="cpu", help="the device that the tests run on (default: cpu)")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Collect what is about a CUDA device only where one is asked for."""
    if collection_path.name == "test_cuda.py" and not config.getoption("--device").startswith("cuda"):
        return True
    return None


def pytest_configure(config: pytest.Config) -> None:
    os.environ["GPUAUG_TEST_DEVICE"] = config.getoption("--device")  # of the tests of the kernels
    if not config.getoption("--device").startswith("cuda"):
        os.environ["TRITON_INTERPRET"] = "1"  # before Triton is imported
    if _WORKER:
        import torch

        torch.set_num_threads(1)


def pytest_collection_finish() -> None:
    """Let kernels be interpreted quickly, and the garbage collector pass over what stays: torch, thousands of tests."""
    if "torch" in sys.modules and os.environ.get("TRITON_INTERPRET") == "1" and importlib.util.find_spec("triton"):
        from interpreter import quicken

        quicken()
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def device(request: pytest.FixtureRequest) -> torch.device:
    """The device of ``--device``."""
    import torch

    device = torch.device(request.config.getoption("--device"))
    if device.type == "cuda" and not torch.cuda.is_available():
        pytest.exit("--device cuda, but torch finds no CUDA device", returncode=4)
    return device


@pytest.fixture(scope="session")
def _photos() -> torch.Tensor:
    import torch
    from skimage import data
    from torch.nn import functional as F

    height, width = 120, 160
    photos = []
    for name in PHOTOS:
        photo = torch.from_numpy(getattr(data, name)()).permute(2, 0, 1)[None].float()
        h, w = photo.shape[-2:]
        crop_h, crop_w = min(h, w * height // width), min(w, h * width // height)
        top, left = (h - crop_h) // 2, (w - crop_w) // 2
        photo = photo[..., top : top + crop_h, left : left + crop_w]
        photo = F.interpolate(photo, (height, width), mode="bilinear", antialias=True)
        photos.append(photo.round().clamp(0, 255).to(torch.uint8))
    return torch.cat(photos)


@pytest.fixture
def photos(_photos: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Four photographs, uint8 (4, 3, 120, 160), on the device; the test may write to them."""
    return _photos.clone().to(device)


@pytest.fixture(params=[1 << 30, 0], ids=["whole", "walked"])
def ways(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Render the batch in one go, and sample by sample, however small it is."""
    monkeypatch.setattr("gpuaug.render.backend.SMALL", request.param)
