"""Kind: **a judge that is blind to a fault**: a model can have it, and the number does not move.

The spatio-temporal-energy distance averaged colour over frames and resized to 32 pixels, so it saw neither colour flicker nor
what is smaller than its pixels; the profile in time was of luma alone; no judge noticed training clips played back. Mended:
version 2 of the features, chroma in the profile, five controls more, and the test for copies that every distance carries. Here
every registered metric, and the profile, is held to a list of the controls that it sees. Left, for FVD is what its network
makes it: held frames, which it does not see at all. Left, for the profile is of time alone: reversed time and still patterns.
Faithfulness is no distance between sets, and asks what is shown and not how well.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from vdmbench import registry
from vdmbench.data.loading import reference_clips
from vdmbench.data.procedural.sprites import Sprites
from vdmbench.metrics.catalogue import ste_fd
from vdmbench.metrics.controls import CONTROLS, EACH_CLIP
from vdmbench.metrics.temporal import temporal_profile

MEASURED = Path(__file__).parents[2] / "benchmarks" / "cpu" / "controls.json"
# Sprites move evenly and bounce: their motion is the same backwards, so "reversed" says nothing here of a judge.
SEEN = {
    "ste-fd": {"shuffled", "frozen", "slow", "noise", "hue", "checker", "blur", "collapse"},
    "fvd": {"shuffled", "frozen", "noise", "hue", "checker", "blur", "collapse"},
    "faithfulness": None,  # no distance between sets
}
PROFILE = {  # what moves by a fifth at least
    "shuffled": {"flicker", "colour_flicker", "similarity"},
    "frozen": {"flicker", "colour_flicker", "dynamic_degree"},
    "slow": {"flicker", "colour_flicker"},
    "noise": {"flicker", "colour_flicker", "dynamic_degree"},
    "hue": {"colour_flicker"},
    "blur": {"flicker", "colour_flicker"},
    "reversed": set(),
    "checker": set(),
}


@pytest.fixture(scope="module")
def clips() -> dict[str, torch.Tensor]:
    def sprites(split):
        source = Sprites(split=split, frames=8, size=16)
        return torch.cat(list(reference_clips(source, 8, 64)))

    return {"real": sprites("train"), "held out": sprites("test")}


def test_every_metric_and_every_control_has_its_place():
    assert {entry.name for entry in registry.metrics} == set(SEEN)
    assert set(PROFILE) == set(EACH_CLIP)
    every = set().union(*(seen for seen in SEEN.values() if seen is not None))
    assert every | {"reversed"} == set(CONTROLS)


def test_ste_fd_sees_what_it_is_said_to_see(clips):
    metric = ste_fd(bootstrap=40)
    result = metric(metric.reference(clips["real"], clips["held out"], fingerprint="sprites"), clips["held out"])
    assert set(result["controls"]) - set(result["blind"]) - {"reversed"} == SEEN["ste-fd"]


@pytest.mark.parametrize("name", ["ste-fd", "fvd"])
def test_the_published_table_says_the_same(name):
    rows = [row for row in json.loads(MEASURED.read_text()) if (row["source"], row["distance"]) == ("sprites", name)]
    assert {row["pixels"] for row in rows} == {16, 64}
    for row in rows:
        assert set(row["times whole"]) == set(CONTROLS), "a control was added: run benchmarks/controls.py again"
        assert set(CONTROLS) - set(row["blind"]) - {"reversed"} == SEEN[name]


def test_the_profile_in_time_sees_what_it_is_said_to_see(clips):
    def numbers(video):
        found = temporal_profile(video).as_json()
        return {**found, "similarity": found["similarity"]["1"]}

    whole = numbers(clips["real"])
    for name, expected in PROFILE.items():
        broken = numbers(CONTROLS[name](clips["real"], torch.Generator().manual_seed(0)))
        moved = {
            field
            for field in ("flicker", "colour_flicker", "dynamic_degree", "similarity")
            if abs(broken[field] - whole[field]) > 0.2 * abs(whole[field])
        }
        assert moved == expected, name
