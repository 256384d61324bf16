"""Scan orders: each a permutation of the clip's tokens, undone exactly, in the order that its name says."""

from __future__ import annotations

import re

import pytest
import torch

from vdmbench.networks.scan_orders import ScanOrder

NAMES = ["h", "v", "t", "z", "b2x2", "b2x3", "b1x1", "b9x9", "site", "frame"]
GRIDS = [(3, 4, 6), (2, 3, 5), (1, 1, 1), (4, 1, 2)]


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("name", NAMES)
def test_every_order_is_a_permutation_and_is_undone_exactly(name: str, grid: tuple[int, int, int]) -> None:
    order = ScanOrder(name)
    x = torch.randn(2, *grid, 5)
    sequences = order.arrange(x)
    indices = order.indices(*grid)
    assert sorted(indices.flatten().tolist()) == list(range(indices.numel()))
    assert torch.equal(sequences, x.flatten(1, 3)[:, indices].flatten(0, 1))
    assert torch.equal(order.restore(sequences, *grid), x)


@pytest.mark.parametrize(
    ("name", "sequences"),
    [  # of a grid of 2 frames, 2 rows, 3 columns: frame 0 is [[0, 1, 2], [3, 4, 5]], frame 1 [[6, 7, 8], [9, 10, 11]]
        ("h", [[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]]),
        ("v", [[0, 3, 1, 4, 2, 5, 6, 9, 7, 10, 8, 11]]),
        ("t", [[0, 6, 1, 7, 2, 8, 3, 9, 4, 10, 5, 11]]),
        ("z", [[0, 1, 2, 5, 4, 3, 9, 10, 11, 8, 7, 6]]),
        ("b2x2", [[0, 1, 3, 4, 2, 5, 6, 7, 9, 10, 8, 11]]),
        ("b1x2", [[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]]),
        ("site", [[0, 6], [1, 7], [2, 8], [3, 9], [4, 10], [5, 11]]),
        ("frame", [[0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 10, 11]]),
    ],
)
def test_orders_are_as_documented(name: str, sequences: list[list[int]]) -> None:
    assert ScanOrder(name).indices(2, 2, 3).tolist() == sequences


@pytest.mark.parametrize("grid", GRIDS)
def test_there_and_back_steps_to_a_neighbour_every_time(grid: tuple[int, int, int]) -> None:
    _, height, width = grid
    (path,) = ScanOrder("z").indices(*grid)
    places = torch.stack([path // (height * width), path // width % height, path % width], 1)
    assert (places.diff(dim=0).abs().sum(1) == 1).all()


def test_only_orders_within_frames_cross_none() -> None:
    assert [name for name in NAMES if not ScanOrder(name).crosses_frames] == ["frame"]


@pytest.mark.parametrize("name", ["x", "b2", "b0x2", "h2", "hv", "frames", ""])
def test_an_unknown_order_is_told_the_known_ones(name: str) -> None:
    with pytest.raises(ValueError, match=re.escape("h, v, t, z, site, frame, or blocks of rows and columns such as b4x8")):
        ScanOrder(name)
