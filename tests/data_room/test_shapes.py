from __future__ import annotations

import numpy as np
import pytest

from vdmbench.data.procedural.shapes import Shapes
from vdmbench.data.source import DataError


def test_a_clip_has_two_colours_and_the_corners_are_ground() -> None:
    source = Shapes(split="train", frames=50, size=64)
    for index in range(8):
        video = source.clip(index, 0, 50).astype(int)
        ground = video[0, 0, 0]
        corners = video[:, [0, 0, -1, -1], [0, -1, 0, -1]]
        assert (corners == ground).all()
        inside = video[np.abs(video - ground).sum(-1) > 0]
        colours, counts = np.unique(inside, axis=0, return_counts=True)
        shape = colours[counts.argmax()]
        # What is neither is the soft edge, between the two.
        between = (inside - ground) @ (shape - ground) / ((shape - ground) @ (shape - ground))
        assert ((between > 0) & (between < 1.01)).all()
        np.testing.assert_allclose(ground + between[:, None] * (shape - ground), inside, atol=1)


def test_it_moves_straight_at_the_declared_speed_and_bounces() -> None:
    paces = []
    for index in range(12):
        video = Shapes(split="train", frames=60, size=64, speed=0.04).clip(index, 0, 60).astype(float)
        weight = np.abs(video - video[0, 0, 0]).sum(-1)
        columns = (weight.sum(1) * np.arange(64)).sum(1) / weight.sum((1, 2)) / 64
        rows = (weight.sum(2) * np.arange(64)).sum(1) / weight.sum((1, 2)) / 64
        steps = np.abs(np.stack([np.diff(columns), np.diff(rows)]))
        paces.append(np.median(np.hypot(*steps)))
        assert np.abs(steps - np.median(steps, axis=1, keepdims=True)).max() < 2 * np.hypot(*np.median(steps, axis=1)) + 0.01
    assert 0.019 < min(paces) < max(paces) < 0.041


def test_the_shape_keeps_its_size() -> None:
    video = Shapes(split="train", frames=40, size=64).clip(1, 0, 40).astype(float)
    area = np.abs(video - video[0, 0, 0]).sum((1, 2, 3))
    assert area.std() < 0.01 * area.mean()


def test_edges_are_anti_aliased_at_any_size() -> None:
    small, large = (Shapes(split="train", frames=2, size=size).clip(3, 0, 2).astype(np.float64) for size in (32, 128))
    assert np.abs(small - large.reshape(2, 32, 4, 32, 4, 3).mean(axis=(2, 4))).mean() < 3


def test_captions_and_classes() -> None:
    source = Shapes(split="test", frames=8, size=16, test_videos=40)
    described = [source.describe(index, 0, 8) for index in range(40)]
    assert {label for label, _ in described} == set(source.labels) == {"cross", "disc", "square"}
    assert all(f"{label} moving " in caption for label, caption in described)


def test_wrong_options_are_refused() -> None:
    with pytest.raises(DataError, match=r"speed=0\.6"):
        Shapes(split="train", frames=4, size=16, speed=0.6)
