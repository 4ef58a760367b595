"""Every transform keeps every point of the contract; there is no list of exemptions."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from cases import CASES, ROWS, Case

import gpuaug as ga
from gpuaug.render import backend
from gpuaug.testing import CHECKS
from gpuaug.transforms.base import Transform
from gpuaug.transforms.compose import Container


@pytest.mark.parametrize("check", CHECKS.values(), ids=list(CHECKS))
@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_contract(case: Case, check: Callable[..., None]) -> None:
    check(case.make, case.shape)


@pytest.mark.parametrize("check", CHECKS.values(), ids=list(CHECKS))
@pytest.mark.parametrize("case", ROWS, ids=[case.name for case in ROWS])
def test_contract_of_rows(case: Case, check: Callable[..., None]) -> None:
    """With other samples, or other frames, than before."""
    check(case.make, case.shape)


PIXELS = ("batch_is_loop", "inputs_untouched", "gate", "replay", "seed", "eval", "sizes", "dtypes", "finite", "copies")


@pytest.mark.parametrize("check", PIXELS)
@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
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
