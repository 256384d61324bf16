"""What generated clips may be copies of: the training videos that a cell reads, and no others."""

from __future__ import annotations

from tests.suite.texts import MINIMAL
from vdmbench.data.loading import TrainingBatches
from vdmbench.data.procedural.sprites import Sprites
from vdmbench.engine import training_clips
from vdmbench.engine.training_clips import TrainingClips
from vdmbench.suite import expand, parse_suite


def inputs(*overrides: str):
    suite, lines = parse_suite(MINIMAL, overrides=list(overrides))
    return expand(suite, lines)[0].inputs


def source(videos: int, video_frames: int | None = None, frames: int = 6) -> Sprites:
    return Sprites(split="train", frames=frames, size=16, train_videos=videos, video_frames=video_frames)


def test_videos_are_those_that_training_draws():
    cell = inputs("train.steps=5")
    batches = TrainingBatches(source(10_000), cell.data.frames, cell.train.batch_size, cell.seed)
    drawn = {window.video for step in range(5) for window in batches.chosen(step)}
    found = TrainingClips.of(cell, source(10_000))
    assert found.videos == sorted(drawn)
    assert [clip.video for clip in found.chosen(6)] == found.videos
    assert TrainingClips.of(inputs("train.steps=200"), source(3)).videos == [0, 1, 2]


def test_no_more_clips_than_were_read_nor_than_are_affordable(monkeypatch):
    cell = inputs("train.steps=2")
    reads = 2 * cell.train.batch_size
    found = TrainingClips.of(cell, source(2, video_frames=60))
    assert len(found.chosen(6)) == reads
    monkeypatch.setattr(training_clips, "MOST", 3)
    assert len(TrainingClips.of(inputs("train.steps=50"), source(40)).videos) == 3
    assert len(TrainingClips.of(inputs("train.steps=50"), source(2, video_frames=60)).chosen(6)) == 3


def test_clips_are_as_long_as_those_judged_or_there_are_none():
    found = TrainingClips.of(inputs("train.steps=50"), source(4, video_frames=20))
    assert {clip.start for clip in found.chosen(20)} == {0}
    assert found.chosen(21) == []
