from __future__ import annotations

import numpy as np
import pytest

from vdmbench.data.procedural.sprites import Sprites
from vdmbench.data.source import DataError


def test_sprites_stay_within_the_frame() -> None:
    """The corners are ground, which stands still; a sprite cut off there would change them."""
    source = Sprites(split="train", frames=200, size=64, sprites=1)
    for index in range(6):
        video = source.clip(index, 0, 200)
        moved = (video != video[:1]).any(axis=(0, 3))
        assert moved.any()
        corners = moved[[0, 0, -1, -1], [0, -1, 0, -1]]
        assert not corners.any()


def test_edges_are_anti_aliased_at_any_size() -> None:
    small, large = (Sprites(split="train", frames=2, size=size).clip(3, 0, 2).astype(np.float64) for size in (32, 128))
    averaged = large.reshape(2, 32, 4, 32, 4, 3).mean(axis=(2, 4))
    assert np.abs(small - averaged).mean() < 3


def test_motion_has_the_declared_speed() -> None:
    """The centre of what differs from the ground moves by between half of ``speed`` and ``speed`` a frame."""
    for index in range(6):
        video = Sprites(split="train", frames=300, size=64, sprites=1, speed=0.02).clip(index, 0, 300).astype(np.float64)
        ground = np.median(video, axis=0)
        weight = (np.abs(video - ground).sum(axis=3) > 40).astype(np.float64)
        columns = (weight.sum(axis=1) * np.arange(64)).sum(axis=1) / weight.sum(axis=(1, 2))
        rows = (weight.sum(axis=2) * np.arange(64)).sum(axis=1) / weight.sum(axis=(1, 2))
        pace = np.median(np.hypot(np.diff(rows), np.diff(columns))) / 64
        assert 0.009 < pace < 0.022


@pytest.mark.parametrize("size", [1, 7, 16])
def test_tiny_frames_work(size: int) -> None:
    assert Sprites(split="test", frames=3, size=size).clip(0, 0, 3).shape == (3, size, size, 3)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"sprites": 0}, "sprites=0"),
        ({"speed": 0.0}, "speed=0.0"),
        ({"speed": 0.6}, "speed=0.6"),
    ],
)
def test_wrong_options_are_refused(wrong: dict[str, float], said: str) -> None:
    with pytest.raises(DataError, match=said):
        Sprites(**{"split": "train", "frames": 4, "size": 16, **wrong})


def test_captions_tell_what_is_in_front_and_where_it_goes() -> None:
    source = Sprites(split="train", frames=30, size=64, sprites=1, train_videos=40)
    seen = set()
    for index in range(40):
        label, caption = source.describe(index, 4, 8)
        assert label in source.labels
        assert label in caption
        seen.add(label)
    assert len(seen) >= 5


def test_directions_follow_the_bounces() -> None:
    source = Sprites(split="train", frames=60, size=64, sprites=1, speed=0.1)
    headings = {source.describe(0, start, 1).caption.split("moving ")[1] for start in range(60)}
    assert len(headings) >= 3


def test_the_front_sprite_is_the_one_that_hides_others() -> None:
    alone, two = (Sprites(split="train", frames=4, size=64, sprites=sprites) for sprites in (1, 2))
    assert two.describe(0, 0, 4).caption.endswith(f"in front of {alone.describe(0, 0, 4).caption.split(' moving')[0]}")
