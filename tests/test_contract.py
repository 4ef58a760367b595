"""Every transform keeps every point of the contract; there is no list of exemptions."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from cases import CASES, ROWS, Case

import gpuaug as ga
from gpuaug.render import backend
from gpuaug.testing import CHECKS
from gpuaug.transforms.base import Filter, Geometric, Photometric, Transform
from gpuaug.transforms.compose import Container

IDS = [case.name for case in CASES]
COMPANY = 16
"""Transforms that are traced together: most of a trace is what all of them share."""


def in_company(case: Case) -> bool:
    """Tell whether a transform can stand anywhere in a pipeline, on the canvas and the channels that it is given."""
    layer = case.make()
    if not isinstance(layer, Photometric | Filter | Geometric) or layer.sees or layer.normalizes:
        return False
    kind = type(layer)
    if (layer.p == 1 and isinstance(layer, Geometric)) or kind.__module__.endswith(".bend"):
        return False  # a displacement field ends a pass: nothing is shared
    keeps = kind.output_canvas is Transform.output_canvas and kind.output_channels is Transform.output_channels
    return keeps and not layer.draws_size and not layer.changes_dtype


# In this order each can stand behind the one before, which leaves it images and annotations to work on.
TOGETHER = (
    ("RandomTranspose", "RandomRotate90", "SquareSymmetry"),
    ("RandomRotation", "RandomAffine"),
    ("ElasticTransform", "GridDistortion", "OpticalDistortion", "ThinPlateSpline"),
    ("RandomSizedCrop", "RandomZoomOut", "ScaleJitter", "RandomResizedCrop"),
    (
        "Pad", "RandomCrop", "CenterCrop", "Resize", "LongestMaxSize", "SmallestMaxSize", "LetterBox", "CropAndPad",
        "PadIfNeeded",
    ),
    ("RandomShortestSize", "RandomResize"),
    ("RandomIoUCrop", "BBoxSafeRandomCrop", "AtLeastOneBBoxRandomCrop"),
    (
        "ConstrainedCoarseDropout", "MaskDropout", "SanitizeBoundingBoxes", "ClampBoundingBoxes",
        "ConvertBoundingBoxFormat", "CropNonEmptyMaskIfExists",
    ),
    ("RandomApply", "RandomChoice", "OneOf", "SomeOf", "RandomOrder"),
    ("RandomPatchMask", "RandomBlockMask", "RandomJEPAMask"),
    ("FDA", "HistogramMatching", "PixelDistributionAdaptation"),
)  # fmt: skip
READ_ONCE = ("OpticalDistortion", "RandomAffine", "RandomResizedCrop", "Resize", "RandomZoomOut")
"""Traced alone too, with the blending reading of moved fields, crops and sizes: most of a trace, and the same for all.

In company what moves the image picks the nearest pixel.
"""
ONE_CHANNEL = ("OpticalDistortion", "RandomZoomOut", "RandomResizedCrop", "Mosaic", "RandomGridShuffle", "ResizeMix")
"""Traced alone with one channel: a reading is traced channel by channel, with three in RandomAffine and Resize."""
QUICKER = {"AugMix": lambda: ga.AugMix(5, mixture_width=2, chain_depth=2, all_ops=False)}
"""Traced alone with fewer operations: its others are those of RandAugment."""
NAMED = {case.name: case for case in CASES}


def companies() -> Iterator[list[Case]]:
    """Yield cases of one shape in groups."""
    yield from ([NAMED[name] for name in names] for names in TOGETHER)
    named = {name for names in TOGETHER for name in names}
    some = [case for case in CASES if in_company(case) and case.name not in named]
    for shape in sorted({case.shape for case in some}):
        members = [case for case in some if case.shape == shape]
        yield from (members[at : at + COMPANY] for at in range(0, len(members), COMPANY))


COMPANIES = list(companies())
ACCOMPANIED = {case.name for cases in COMPANIES for case in cases}
ALONE = [case for case in CASES if case.name not in ACCOMPANIED or case.name in READ_ONCE]


@pytest.mark.parametrize("check", [name for name in CHECKS if name != "compile"])
@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_contract(case: Case, check: str) -> None:
    CHECKS[check](case.make, case.shape)


@pytest.mark.parametrize("case", ALONE, ids=[case.name for case in ALONE])
def test_contract_compile(case: Case) -> None:
    shape = (1, *case.shape[1:]) if case.name in ONE_CHANNEL else case.shape
    CHECKS["compile"](QUICKER.get(case.name, case.make), shape)


@pytest.mark.parametrize("cases", COMPANIES, ids=lambda cases: "-".join(case.name for case in cases))
def test_contract_compile_in_company(cases: list[Case]) -> None:
    """What can stand anywhere is traced in pipelines; where one fails, each is tried alone to find which it is."""
    try:
        CHECKS["compile"](lambda: ga.Compose([case.make() for case in cases], interpolation="nearest"), cases[0].shape)
    except Exception:
        for case in cases:
            CHECKS["compile"](case.make, case.shape)
        raise


@pytest.mark.parametrize("check", [name for name in CHECKS if name != "compile"])
@pytest.mark.parametrize("case", ROWS, ids=[case.name for case in ROWS])
def test_contract_of_rows(case: Case, check: str) -> None:
    """With other samples, or other frames, than before."""
    CHECKS[check](case.make, case.shape)


@pytest.mark.parametrize("dims", [3, 4], ids=["samples", "frames"])
def test_contract_compile_of_rows(dims: int) -> None:
    """One after another: each takes what another makes of it."""
    cases = [case for case in ROWS if len(case.shape) == dims and case.name != "FiveCrop"]
    CHECKS["compile"](lambda: ga.Compose([case.make() for case in cases]), cases[0].shape)


PIXELS = ("batch_is_loop", "inputs_untouched", "gate", "replay", "seed", "eval", "sizes", "dtypes", "finite", "copies")


@pytest.mark.parametrize("check", PIXELS)
@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_contract_walking(case: Case, check: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same, with small images walked sample by sample as large ones are."""
    monkeypatch.setattr(backend, "SMALL", 0)
    CHECKS[check](case.make, case.shape)


def test_every_public_transform_has_a_case() -> None:
    public = {
        name
        for name in ga.__all__
        if isinstance(getattr(ga, name), type) and issubclass(getattr(ga, name), Transform | Container)
    }
    assert public == {case.name for case in [*CASES, *ROWS]}
