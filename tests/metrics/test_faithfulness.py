"""Faithfulness: real sprites reach the ceiling, sprites under others' captions the floor."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vdmbench.data.procedural.sprites import Sprites
from vdmbench.metrics.faithfulness import Faithfulness
from vdmbench.metrics.faithfulness.reader import ATTRIBUTES, WEIGHTS, words_of

CLIPS = 192


@pytest.fixture(scope="module")
def real():
    source = Sprites(split="test", frames=8, size=32, sprites=1)
    frames = np.stack([source.clip(video, 0, 8) for video in range(CLIPS)])
    return torch.from_numpy(frames).permute(0, 1, 4, 2, 3), [source.describe(video, 0, 8).caption for video in range(CLIPS)]


def test_real_clips_are_read_far_above_chance_and_wrong_captions_at_chance(real):
    clips, captions = real
    faithful = Faithfulness(bootstrap=50)
    right = faithful(clips, [clips], captions)
    assert right["value"] == right["details"]["ceiling"] > 0.7
    assert right["interval"][0] < right["value"] < right["interval"][1]
    for shares in right["details"]["by_attribute"].values():
        assert shares["value"] > 3 * shares["chance"]
        assert shares["shuffled"] == pytest.approx(shares["chance"], abs=0.06)
    wrong = faithful(clips.roll(1, 0), [clips], captions)
    assert wrong["value"] == pytest.approx(right["details"]["shuffled"], abs=0.06)
    assert wrong["details"]["ceiling"] == right["value"]


def test_only_what_was_told_counts(real):
    clips, captions = real
    shape = Faithfulness(bootstrap=20)(clips[:32], [clips[:32]], captions[:32], ("shape",))
    assert shape["name"] == "faithfulness[sprites-shape]"
    assert shape["value"] == pytest.approx(shape["details"]["by_attribute"]["shape"]["value"])


def test_every_caption_of_one_sprite_is_understood_and_others_are_refused(real):
    clips, captions = real
    assert all(words_of(caption) for caption in captions)
    assert {words_of(caption)["direction"] for caption in captions} == set(ATTRIBUTES["direction"])
    crowd = Sprites(split="test", frames=8, size=32, sprites=2).describe(0, 0, 8).caption
    with pytest.raises(ValueError, match="sprites: 1"):
        Faithfulness()(clips[:1], [clips[:1]], [crowd])
    with pytest.raises(ValueError, match="sample longer ones"):
        Faithfulness()(clips[:1, :4], [clips[:1, :4]], captions[:1])


def test_the_weights_are_small_enough_to_travel():
    assert WEIGHTS.stat().st_size < 300_000
