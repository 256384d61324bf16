from __future__ import annotations

import pytest
import torch

from vdmbench.metrics.video import InvalidVideo, quantise


@pytest.mark.parametrize(("value_range", "low"), [("unit", 0.0), ("symmetric", -1.0)])
def test_declared_floats_become_the_nearest_level(value_range, low):
    levels = torch.arange(256, dtype=torch.uint8)
    floats = levels.double() / 255 * (1 - low) + low
    assert torch.equal(quantise(floats, value_range), levels)
    assert torch.equal(quantise(floats.float() + 1e-4 * (1 - low), value_range), levels)


@pytest.mark.parametrize(
    ("videos", "value_range", "message"),
    [
        (torch.full((2, 2), 0.5), "uint8", "declare 'unit'"),
        (torch.full((2, 2), 127.0), "unit", "clip or rescale"),
        (torch.full((2, 2), -0.25), "unit", "clip or rescale"),
        (torch.tensor([0.0, float("nan")]), "unit", "diverged"),
        (torch.tensor([0.0, float("inf")]), "symmetric", "diverged"),
        (torch.zeros(2, dtype=torch.uint8), "unit", "only floats"),
    ],
)
def test_a_range_is_never_guessed(videos, value_range, message):
    with pytest.raises(InvalidVideo, match=message):
        quantise(videos, value_range)
