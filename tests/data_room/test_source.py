"""What all sources promise, held against each that computes its videos."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
from jaxtyping import TypeCheckError

from vdmbench.data.procedural.maze import Maze
from vdmbench.data.procedural.source import ProceduralSource
from vdmbench.data.procedural.sprites import Sprites
from vdmbench.data.source import DataError
from vdmbench.registry import sources

KINDS = [Sprites, Maze]


@pytest.mark.parametrize("kind", KINDS)
class TestComputedVideos:
    def test_clip_is_uint8_colour(self, kind: type[ProceduralSource]) -> None:
        clip = kind(split="train", frames=5, size=24).clip(3, 0, 5)
        assert clip.shape == (5, 24, 24, 3)
        assert clip.dtype == np.uint8

    def test_same_index_gives_the_same_video(self, kind: type[ProceduralSource]) -> None:
        first, second = (kind(split="train", frames=8, size=32).clip(7, 0, 8) for _ in range(2))
        np.testing.assert_array_equal(first, second)

    def test_index_seed_and_split_each_give_another_video(self, kind: type[ProceduralSource]) -> None:
        def video(split: str = "train", index: int = 0, seed: int = 0) -> bytes:
            return kind(split=split, frames=4, size=32, seed=seed).clip(index, 0, 4).tobytes()

        assert len({video(), video(index=1), video(seed=1), video(split="test")}) == 4

    def test_splits_share_no_video(self, kind: type[ProceduralSource]) -> None:
        train, test = (
            {source.clip(index, 0, 1).tobytes() for index in range(100)}
            for source in (kind(split=split, frames=1, size=16) for split in ("train", "test"))
        )
        assert len(train) == len(test) == 100
        assert not train & test

    def test_any_run_of_frames_equals_that_part_of_the_video(self, kind: type[ProceduralSource]) -> None:
        source = kind(split="test", frames=40, size=16)
        np.testing.assert_array_equal(source.clip(2, 13, 9), source.clip(2, 0, 40)[13:22])

    def test_a_longer_video_begins_with_the_shorter_one(self, kind: type[ProceduralSource]) -> None:
        short, long = kind(split="train", frames=10, size=16), kind(split="train", frames=10, size=16, video_frames=90)
        assert (short.length(0), long.length(0)) == (10, 90)
        np.testing.assert_array_equal(short.clip(4, 0, 10), long.clip(4, 0, 10))

    def test_frames_differ_but_little_from_one_to_the_next(self, kind: type[ProceduralSource]) -> None:
        videos = [kind(split="train", frames=32, size=32).clip(index, 0, 32).astype(np.float64) for index in range(8)]
        following = np.mean([np.abs(np.diff(video, axis=0)).mean() for video in videos])
        apart = np.mean([np.abs(video[16:] - video[:16]).mean() for video in videos])
        assert 0 < following < 0.7 * apart

    def test_fingerprint_changes_with_every_declared_input(self, kind: type[ProceduralSource]) -> None:
        variants = [{}, {"split": "test"}, {"size": 32}, {"seed": 1}, {"train_videos": 9}, {"video_frames": 99}]
        hashes = {kind(**{"split": "train", "frames": 4, "size": 16, **variant}).fingerprint() for variant in variants}
        assert len(hashes) == len(variants)
        assert kind(split="train", frames=4, size=16).fingerprint() in hashes

    def test_frames_that_do_not_exist_are_refused(self, kind: type[ProceduralSource]) -> None:
        source = kind(split="train", frames=4, size=16, train_videos=2)
        with pytest.raises(DataError, match="video 1 of the train split has 4 frames; 4 from frame 1 on"):
            source.clip(1, 1, 4)
        with pytest.raises(DataError, match="there is no video 2"):
            source.clip(2, 0, 4)
        with pytest.raises(DataError, match="there is no video -1"):
            source.length(-1)

    @pytest.mark.parametrize(
        ("wrong", "said"),
        [
            ({"split": "valid"}, "valid"),
            ({"size": 0}, "frames and size must be at least 1"),
            ({"seed": -1}, "seed must be at least 0"),
            ({"video_frames": 3}, "set video_frames to at least 4"),
            ({"test_videos": 0}, "must be at least 1"),
        ],
    )
    def test_wrong_options_are_refused(self, kind: type[ProceduralSource], wrong: dict[str, object], said: str) -> None:
        with pytest.raises((DataError, TypeCheckError), match=said):
            kind(**{"split": "train", "frames": 4, "size": 16, **wrong})


@pytest.mark.parametrize("name", [entry.name for entry in sources])
def test_option_models_declare_the_constructor(name: str) -> None:
    entry = sources[name]
    parameters = inspect.signature(entry.load()).parameters
    fields = entry.load_options().model_fields
    assert set(fields) == set(parameters) - {"split", "frames", "size"}
    for option, field in fields.items():
        assert field.description
        expected = parameters[option].default
        assert field.is_required() if expected is inspect.Parameter.empty else field.default == expected
