"""Hybrids in a suite: a pattern in the place of a mixer."""

from __future__ import annotations

import json

import pytest

from tests.suite.texts import MINIMAL
from vdmbench.suite import Cell, SuiteError, expand, parse_suite

HYBRID = MINIMAL.replace(
    "data:\n",
    """\
  hybrid:
    pattern: {stem: mamba, levels: [{name: mamba, state: 8}], middle: attention}
data:
""",
    1,
)


def cells(text: str = HYBRID, *overrides: str) -> list[Cell]:
    return expand(*parse_suite(text, "s.yaml", overrides))


def test_a_pattern_names_the_mixer_of_each_place():
    hybrid = cells()[-1]
    assert hybrid.inputs.mixer is None
    temporal = hybrid.inputs.temporal
    assert [temporal["stem"]["name"], temporal["levels"][0]["state"], temporal["middle"]["name"]] == ["mamba", 8, "attention"]
    assert temporal["middle"]["expand"] == 1.0  # defaults written out: identity is the hash of them


def test_cells_with_one_mixer_are_the_same_cells_beside_a_hybrid():
    assert [cell.identity for cell in cells()[:3]] == [cell.identity for cell in cells(MINIMAL)]
    assert "pattern" not in json.dumps(cells(MINIMAL)[0].inputs.model_dump(mode="json"))


def test_a_pattern_is_part_of_identity_and_can_be_swept_and_set():
    base = cells()[-1].identity
    assert cells(HYBRID, "variants.hybrid.pattern.levels.0.state=4")[-1].identity != base
    swept = [cell for cell in cells(HYBRID, "sweep.pattern.middle.backend=[math, sdpa]") if cell.variant == "hybrid"]
    assert [cell.inputs.temporal["middle"]["backend"] for cell in swept] == ["math", "sdpa"]
    assert len([cell for cell in cells(HYBRID, "sweep.pattern.middle.backend=[math, sdpa]") if cell.variant == "uni"]) == 1


def test_inputs_are_read_back_as_they_were():
    for cell in cells(HYBRID + "match: {of: temporal, reference: hybrid, exempt: [floor]}\n"):
        again = type(cell.inputs).model_validate_json(cell.inputs.model_dump_json())
        assert again == cell.inputs
        assert again.identity() == cell.identity


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("    pattern:", "    mixer: mamba\n    pattern:", r"s.yaml:\d+: variants.hybrid: give either 'mixer'"),
        (
            "levels: [{name: mamba, state: 8}]",
            "levels: [mamba, mamba]",
            r"s.yaml:\d+: variants.hybrid.pattern.levels: a mixer for each of the network's 1 levels is wanted, got 2",
        ),
        ("middle: attention", "middle: atention", "did you mean 'attention'"),
        ("state: 8", "stat: 8", "unknown key 'stat', did you mean 'state'"),
        (", middle: attention", "", "'middle' is missing"),
    ],
)
def test_a_wrong_pattern_is_told_with_its_place(old, new, message):
    with pytest.raises(SuiteError, match=message):
        cells(HYBRID.replace(old, new))


def test_a_variant_without_either_is_refused():
    with pytest.raises(SuiteError, match="give either 'mixer'"):
        cells(MINIMAL.replace("floor: {mixer: identity}", "floor: {}"))


def test_a_pair_is_resolved_like_any_mixer():
    pair = "{name: pair, first: {name: sliding-attention, window: 4}, second: mamba2, arrangement: serial}"
    (cell, *_) = cells(MINIMAL.replace("floor: {mixer: identity}", f"floor: {{mixer: {pair}}}"))
    assert cell.inputs.temporal["second"]["state"] == 64
    for wrong, message in (
        ("{name: pair, first: mambo}", "did you mean 'mamba'"),
        ("{name: pair, first: {name: mamba, stat: 3}}", "mamba stat: "),
        ("{name: pair, first: pair}", "no pair itself"),
        ("{name: pair, first: identity, expand: 2.0}", "'identity' has no width"),
    ):
        with pytest.raises(SuiteError, match=message):
            cells(MINIMAL.replace("floor: {mixer: identity}", f"floor: {{mixer: {wrong}}}"))
