from __future__ import annotations

import math

import pytest
import torch

from gancli.metrics import class_shares, kl_divergence

UNIFORM = torch.full((10,), 0.1, dtype=torch.float64)


def test_shares_count_every_class() -> None:
    shares = class_shares(torch.tensor([0, 0, 2, 3]), 5)
    assert shares.tolist() == [0.5, 0, 0.25, 0.25, 0]


def test_equal_shares_have_no_divergence() -> None:
    shares = torch.tensor([0.2, 0.3, 0.5]).double()
    assert 0 <= float(kl_divergence(shares, shares)) < 1e-15


@pytest.mark.parametrize("kept", [1, 2, 5, 9])
def test_dropped_classes_have_a_closed_form(kept: int) -> None:
    shares = torch.zeros(10).double()
    shares[:kept] = 1 / kept
    assert float(kl_divergence(shares, UNIFORM)) == pytest.approx(math.log(10 / kept))


def test_it_is_the_reverse_divergence() -> None:
    fakes, wanted = torch.tensor([0.9, 0.1]).double(), torch.tensor([0.5, 0.5]).double()
    expected = 0.9 * math.log(1.8) + 0.1 * math.log(0.2)
    assert float(kl_divergence(fakes, wanted)) == pytest.approx(expected)
    assert float(kl_divergence(wanted, fakes)) != pytest.approx(expected, rel=0.1)


def test_rows_are_taken_one_by_one() -> None:
    rows = torch.eye(10).double()
    torch.testing.assert_close(
        kl_divergence(rows, UNIFORM), torch.full((10,), math.log(10)).double()
    )
