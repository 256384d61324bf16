from __future__ import annotations

import re

import numpy as np
import pytest

from vdmbench.data.procedural.maze import Maze
from vdmbench.data.source import DataError


def test_walks_evenly_and_without_jumps() -> None:
    maze = Maze(split="train", frames=400, size=8, frames_per_square=8)
    for index in range(5):
        path = maze.path(index)
        assert path.shape == (400, 3)
        pace = np.hypot(*np.diff(path[:, :2], axis=0).T)
        turn = np.abs((np.diff(path[:, 2]) + np.pi) % (2 * np.pi) - np.pi)
        # A quarter circle of radius 1/2 is pi/4 long; its chords are a little shorter than the arc.
        assert pace.min() > 0.99 * np.pi / 4 / 8
        assert pace.max() < 1.0001 / 8
        assert turn.max() < 1.0001 * np.pi / 2 / 8


def test_moves_along_its_heading() -> None:
    path = Maze(split="train", frames=200, size=8, frames_per_square=64).path(0)
    step = np.diff(path[:, :2], axis=0)
    middle = path[:-1, 2] + np.diff(np.unwrap(path[:, 2])) / 2
    ahead = np.stack([np.cos(middle), np.sin(middle)], axis=1)
    np.testing.assert_allclose(np.sum(step * ahead, axis=1), np.hypot(*step.T), rtol=1e-4)


def test_revisited_frames_are_identical_and_come_by_construction() -> None:
    maze = Maze(split="test", frames=400, size=16, rooms=4)
    for index in range(6):
        pairs = maze.revisits(index)
        assert len(pairs) > 0
        assert (pairs[:, 0] < pairs[:, 1]).all()
        np.testing.assert_allclose(maze.path(index)[pairs[:, 0], :2], maze.path(index)[pairs[:, 1], :2])
        video = maze.clip(index, 0, 400)
        np.testing.assert_array_equal(video[pairs[:, 0]], video[pairs[:, 1]])


def test_unrelated_frames_of_a_walk_differ() -> None:
    maze = Maze(split="test", frames=300, size=16)
    video, revisited = maze.clip(0, 0, 300), maze.revisits(0)[:, 1]
    first_seen = np.delete(video, revisited, axis=0)
    assert len(np.unique(first_seen.reshape(len(first_seen), -1), axis=0)) > 0.95 * len(first_seen)


@pytest.mark.parametrize("rooms", [2, 3, 9])
def test_any_size_of_maze_is_walked_for_long(rooms: int) -> None:
    maze = Maze(split="train", frames=3000, size=8, rooms=rooms, frames_per_square=3)
    for index in range(5):
        path = maze.path(index)
        assert (path[:, :2] > 1).all()
        assert (path[:, :2] < 2 * rooms).all()


def test_resolution_only_sets_the_sharpness() -> None:
    small, large = (Maze(split="train", frames=4, size=size).clip(1, 0, 4).astype(np.float64) for size in (32, 128))
    averaged = large.reshape(4, 32, 4, 32, 4, 3).mean(axis=(2, 4))
    assert np.abs(small - averaged).mean() < 4


def test_wrong_options_are_refused() -> None:
    with pytest.raises(DataError, match="rooms=1"):
        Maze(split="train", frames=4, size=16, rooms=1)
    with pytest.raises(DataError, match="frames_per_square=0"):
        Maze(split="train", frames=4, size=16, frames_per_square=0)


def test_revisits_of_a_clip_are_those_of_the_video_that_lie_in_it() -> None:
    maze = Maze(split="train", frames=64, size=16, video_frames=400)
    clip = maze.clip(1, 40, 300)
    pairs = maze.revisits(1, 40, 300)
    assert len(pairs)
    assert pairs.max() < 300
    for earlier, later in pairs[:: max(1, len(pairs) // 10)]:
        np.testing.assert_array_equal(clip[earlier], clip[later])


def test_pose_stands_beside_each_frame() -> None:
    maze = Maze(split="test", frames=64, size=16)
    np.testing.assert_array_equal(maze.annotations(3, 10, 20)["pose"], maze.path(3)[10:30])


def test_captions_tell_walls_turns_and_the_way_back() -> None:
    maze = Maze(split="train", frames=64, size=16, video_frames=400, frames_per_square=4)
    for index in range(10):
        label, caption = maze.describe(index, 37, 100)
        assert label in maze.labels
        assert re.match(rf"a walk between \w+ {label} and \w+ \w+, ", caption)
        heading = maze.path(index)[36:144:4, 2]  # where squares are entered that the clip touches
        turns = (np.rint(np.diff(heading) / (np.pi / 2)).astype(int) + 1) % 4 - 1
        for way, side in ((1, "right"), (-1, "left")):
            said = re.search(rf"(one|\d+) {side} turn", caption)
            counted = 0 if said is None else 1 if said[1] == "one" else int(said[1])
            assert counted == (turns == way).sum()
        assert ("seen before" in caption) == bool(len(maze.revisits(index, 37, 100)))
