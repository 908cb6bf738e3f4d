from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.kid import KernelInceptionDistance

from gancli.metrics.frechet import Gaussian, frechet_distance
from gancli.metrics.kernel import kernel_distance, kernel_distances, subset_size


class Identity(nn.Module):
    """Hands features through, as torchmetrics wants a network."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.num_features = features

    def forward(self, rows: Tensor) -> Tensor:
        return rows


def clouds(n: int = 400, d: int = 16) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(n, d, generator=generator, dtype=torch.float64) for _ in range(2))
    return a, 1.3 * b + 0.4


def by_torchmetrics(metric: nn.Module, real: Tensor, fake: Tensor) -> list[float]:
    metric.update(real, real=True)  # type: ignore[operator]
    metric.update(fake, real=False)  # type: ignore[operator]
    found = metric.compute()  # type: ignore[operator]
    return [float(value) for value in (found if isinstance(found, tuple) else (found,))]


@pytest.mark.filterwarnings("ignore:.*Metric `Kernel Inception Distance`.*")
def test_the_kernel_distance_is_that_of_torchmetrics() -> None:
    a, b = clouds()
    metric = KernelInceptionDistance(feature=Identity(16), subsets=1, subset_size=400).set_dtype(
        torch.float64
    )
    (expected, _) = by_torchmetrics(metric, a, b)
    assert kernel_distance(a, b) == pytest.approx(expected, rel=1e-4)


def test_the_frechet_distance_is_that_of_torchmetrics() -> None:
    a, b = clouds()
    metric = FrechetInceptionDistance(feature=Identity(16), input_img_size=(16,)).set_dtype(
        torch.float64
    )
    (expected,) = by_torchmetrics(metric, a, b)
    assert frechet_distance(Gaussian.of(a), Gaussian.of(b)) == pytest.approx(expected, rel=1e-4)


def test_two_points_each_by_hand() -> None:
    """Of one feature: k(x, y) = (xy + 1)^3."""
    a = torch.tensor([[0.0], [1.0]], dtype=torch.float64)
    b = torch.tensor([[2.0], [3.0]], dtype=torch.float64)
    assert kernel_distance(a, b) == pytest.approx(1 + 343 - 2 * (1 + 1 + 27 + 64) / 4)


def test_it_is_symmetric_and_knows_no_order() -> None:
    a, b = clouds(200)
    assert kernel_distance(a, b) == pytest.approx(kernel_distance(b, a), rel=1e-12)
    assert kernel_distance(a.flip(0), b) == pytest.approx(kernel_distance(a, b), rel=1e-9)


def test_it_is_unbiased_where_the_frechet_distance_is_not() -> None:
    generator = torch.Generator().manual_seed(1)
    pairs = [torch.randn(2, 40, 8, generator=generator, dtype=torch.float64) for _ in range(400)]
    kernel = torch.tensor([kernel_distance(a, b) for a, b in pairs])
    assert abs(float(kernel.mean())) < 3 * float(kernel.std()) / 20
    assert kernel.min() < 0 < kernel.max()
    frechet = [frechet_distance(Gaussian.of(a), Gaussian.of(b)) for a, b in pairs[:50]]
    assert min(frechet) > 0.3


def test_subsets_scatter_around_the_distance_of_all() -> None:
    a, b = clouds()
    drawn = kernel_distances(a, b, torch.Generator().manual_seed(0))
    assert drawn.shape == (100,)
    error = float(drawn.std()) / 10
    assert abs(float(drawn.mean()) - kernel_distance(a, b)) < 4 * error
    again = kernel_distances(a, b, torch.Generator().manual_seed(0))
    assert torch.equal(drawn, again)


@pytest.mark.parametrize(("count", "size"), [(4, 2), (900, 450), (2_000, 1_000), (10_000, 1_000)])
def test_a_subset_is_half_of_the_images_and_a_thousand_at_most(count: int, size: int) -> None:
    assert subset_size(count) == size
