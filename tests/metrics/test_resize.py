from __future__ import annotations

import pytest
import torch

from vdmbench.metrics.resize import resize

STEP = torch.tensor([[0.0, 1.0], [0.0, 1.0]])[None, None]
RAMP = torch.arange(6.0).expand(6, 6)[None, None]


@pytest.mark.parametrize(
    ("image", "size", "rule", "row"),
    [
        (STEP, 4, "legacy", [0, 0.5, 1, 1]),  # reads 0, 1/2, 1, 3/2
        (STEP, 4, "half-pixel", [0, 0.25, 0.75, 1]),  # reads -1/4, 1/4, 3/4, 5/4
        (RAMP, 4, "legacy", [0, 1.5, 3, 4.5]),
        (RAMP, 4, "half-pixel", [0.25, 1.75, 3.25, 4.75]),
        (RAMP, 3, "legacy", [0, 2, 4]),
        (RAMP, 3, "half-pixel", [0.5, 2.5, 4.5]),
    ],
)
def test_reads_where_it_should(image, size, rule, row):
    for picture in (image, image.transpose(-1, -2)):
        out = resize(picture, size, rule)[0, 0]
        out = out if picture is image else out.T
        assert torch.allclose(out, torch.tensor(row, dtype=torch.float32).expand(size, size), atol=1e-6)


@pytest.mark.parametrize("rule", ["legacy", "half-pixel", "antialias"])
def test_the_asked_size_is_left_alone(rule):
    assert resize(RAMP, 6, rule) is RAMP
