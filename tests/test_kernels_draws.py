"""Kernels that turn uniforms into draws, in Triton's interpreter."""

from __future__ import annotations

import pytest
import torch
from scipy import stats

from gpuaug.sampling.generator import HALF_STEP, _beta_kernel


@pytest.mark.parametrize("shapes", [(0.2, 0.2), (1.0, 1.0), (0.05, 40.0), (5.0, 2.0)])
def test_beta(shapes: tuple[float, float]) -> None:
    generator = torch.Generator().manual_seed(0)
    u = torch.randint(0, 2**24, (9, 2), generator=generator).float() * 2.0**-24
    u[0] = torch.tensor([0.0, 1 - 2.0**-24])
    a, b = (torch.tensor([shape, 3.0]) for shape in shapes)
    found = _beta_kernel(u, a, b)
    for column in (0, 1):
        expected = stats.beta.ppf(u[:, column].double().numpy() + HALF_STEP, float(a[column]), float(b[column]))
        torch.testing.assert_close(found[:, column].double(), torch.from_numpy(expected), rtol=0, atol=1e-4)


def test_beta_of_one_law_for_all_columns() -> None:
    u = torch.tensor([[0.1, 0.6, 0.9]])
    found = _beta_kernel(u, torch.tensor(2.0), torch.tensor(0.5))
    expected = stats.beta.ppf(u.double().numpy() + HALF_STEP, 2.0, 0.5)
    torch.testing.assert_close(found.double(), torch.from_numpy(expected), rtol=0, atol=1e-4)
    assert _beta_kernel(u[:0], torch.tensor(2.0), torch.tensor(0.5)).shape == (0, 3)
