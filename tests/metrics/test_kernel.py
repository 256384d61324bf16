from __future__ import annotations

import pytest
import torch

from vdmbench.metrics import kernel
from vdmbench.metrics.frechet import TooFewClips
from vdmbench.metrics.kernel import jedi_distance, kernel_distance


def direct(x: torch.Tensor, y: torch.Tensor) -> float:
    """The U-statistic pair by pair."""

    def k(a, b):
        return float((a @ b / len(a) + 1) ** 3)

    n, m = len(x), len(y)
    within = sum(k(x[i], x[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    without = sum(k(y[i], y[j]) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    return within + without - 2 * sum(k(a, b) for a in x for b in y) / (n * m)


def test_equals_the_sum_over_pairs_in_blocks(monkeypatch):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(9, 5, generator=generator, dtype=torch.float64)
    y = torch.randn(7, 5, generator=generator, dtype=torch.float64) + 0.5
    expected = direct(x, y)
    assert float(kernel_distance(x, y)) == pytest.approx(expected, rel=1e-10)
    monkeypatch.setattr(kernel, "BLOCK", 4)
    assert float(kernel_distance(x, y)) == pytest.approx(expected, rel=1e-10)


def test_is_unbiased_where_the_fréchet_distance_is_not():
    generator = torch.Generator().manual_seed(0)
    values = torch.stack([kernel_distance(*torch.randn(2, 16, 20, generator=generator)) for _ in range(200)])
    assert abs(float(values.mean())) < 3 * float(values.std()) / 200**0.5
    assert (values < 0).any()


def test_jedi_is_the_biased_form_of_degree_two():
    x, y = torch.tensor([[0.0, 2.0], [2.0, 0.0]]), torch.tensor([[0.0, 0.0], [0.0, 0.0]])
    # Kernel values: within x 4, 0, 0, 4; within y and across 0.
    assert float(jedi_distance(x, y)) == pytest.approx(100 * 2)
    assert float(jedi_distance(x, x)) == 0


def test_one_clip_is_refused():
    with pytest.raises(TooFewClips, match="got 1 and 3"):
        kernel_distance(torch.zeros(1, 4), torch.zeros(3, 4))
