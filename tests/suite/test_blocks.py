"""Blocks in a row, in a suite: short forms, their fit to the network, sweeps, and refusals with place and remedy."""

from __future__ import annotations

import json

import jsonschema
import pytest

from tests.suite.texts import MINIMAL
from vdmbench.matching import resolve, solve
from vdmbench.suite import Cell, Suite, SuiteError, expand, parse_suite

DIT = MINIMAL.replace("{name: unet3d, base_channels: 8, multipliers: [1]}", "{name: dit, base_channels: 16, depth: 4}").replace(
    "data:\n",
    """\
  hybrid:
    blocks: {pattern: [hydra@h, "hydra@t", {mixer: {name: mamba, state: 8}, scan: b2x4}, attention]}
data:
""",
    1,
)


def cells(text: str = DIT, *overrides: str) -> list[Cell]:
    return expand(*parse_suite(text, "s.yaml", overrides))


def scans(cell: Cell) -> list[str]:
    return [f"{block['mixer']['name']}@{block['scan']}" for block in cell.inputs.temporal["pattern"]]


def test_short_forms_are_written_out():
    hybrid = cells()[-1]
    assert scans(hybrid) == ["hydra@h", "hydra@t", "mamba@b2x4", "attention@h"]
    first, _, third, _ = hybrid.inputs.temporal["pattern"]
    assert (first["mixer"]["state"], third["mixer"]["state"]) == (64, 8)  # defaults too: identity is the hash of them
    repeated = cells(DIT, "variants.hybrid.blocks.pattern=[hydra@v*3, attention]")[-1]
    assert scans(repeated) == ["hydra@v", "hydra@v", "hydra@v", "attention@h"]


def test_inputs_are_read_back_as_they_were():
    for cell in cells():
        again = type(cell.inputs).model_validate_json(cell.inputs.model_dump_json())
        assert again == cell.inputs
        assert again.identity() == cell.identity
    assert "blocks" not in json.dumps(cells()[0].inputs.model_dump(mode="json"))


def test_place_ratio_and_order_are_axes():
    swept = [cell for cell in cells(DIT, "sweep.blocks.pattern.0.scan=[h, z]") if cell.variant == "hybrid"]
    assert [scans(cell)[0] for cell in swept] == ["hydra@h", "hydra@z"]
    assert len({cell.identity for cell in swept}) == 2
    swept = [
        cell
        for cell in cells(DIT, "sweep.blocks.pattern=[[attention], [hydra@t, attention], [hydra@t*3, attention]]")
        if cell.variant == "hybrid"
    ]
    assert [sum("attention" in scan for scan in scans(cell)) / len(scans(cell)) for cell in swept] == [1, 0.5, 0.25]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("b2x4", "b2", r"s.yaml:\d+: variants.hybrid.blocks.*scan order 'b2'; known: h, v, t, z, site, frame, or blocks"),
        ("hydra@h,", "hydre@h,", "did you mean 'hydra'"),
        ("hydra@h,", "hydra@,", "unknown mixer 'hydra@'"),
        ("state: 8", "stat: 8", "unknown key 'stat', did you mean 'state'"),
        (
            ", attention]}",
            "], repeat: 2}",
            r"s.yaml:\d+: variants.hybrid.blocks: 3 blocks x repeat 2 are 6, and the network's depth is 4: set network.depth",
        ),
        (", attention]}", "]}", "3 blocks do not fill the network's depth of 4 evenly; set network.depth to 3 or 6"),
        ("depth: 4", "depth: 3", r"s.yaml:\d+: variants.floor.mixer: .*network.depth must be even, got 3"),
        (
            "blocks: {pattern: [hydra@h,",
            "pattern: {stem: mamba, levels: [mamba], middle: mamba}\n    #",
            r"s.yaml:\d+: variants.hybrid.pattern: network 'dit' has no levels to place mixers at: use 'blocks' or 'mixer'",
        ),
        (
            "{name: dit, base_channels: 16, depth: 4}",
            "{name: unet3d, base_channels: 8, multipliers: [1]}",
            r"s.yaml:\d+: variants.hybrid.blocks: network 'unet3d' has no blocks in a row: use 'pattern' or 'mixer'",
        ),
        ("    blocks:", "    mixer: mamba\n    blocks:", r"s.yaml:\d+: variants.hybrid: give either .*one of them alone"),
    ],
)
def test_wrong_blocks_are_told_with_their_place(old, new, message):
    assert old in DIT
    with pytest.raises(SuiteError, match=message):
        cells(DIT.replace(old, new))


def test_the_json_schema_takes_blocks():
    schema, tree = Suite.model_json_schema(by_alias=True), parse_suite(DIT)[0].model_dump(mode="json", by_alias=True)
    for pattern in (["hydra@h*3", "attention"], [{"mixer": "hydra", "scan": "b2x2"}], ["my/layers.py:Mine@t"]):
        jsonschema.validate({**tree, "variants": {"a": {"blocks": {"pattern": pattern}}}}, schema)
    for pattern in ([], ["hydra@q"], [{"mixer": "hydra", "scam": "h"}]):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({**tree, "variants": {"a": {"blocks": {"pattern": pattern}}}}, schema)


def test_the_width_of_mixers_moves_those_that_cross_frames():
    text = DIT.replace("pattern: [hydra@h, ", "pattern: [attention@frame, ").replace("base_channels: 16", "base_channels: 64")
    inputs = next(
        cell.inputs
        for cell in cells(text + "match: {of: temporal, target: 200k, tolerance: 10%, exempt: [floor]}\n")
        if cell.variant == "hybrid"
    )
    solved = solve(inputs).solved
    assert abs(solved.mismatch) < 0.1
    width = solved.knobs["mixer_width"]
    assert width != 1
    widths = [block["mixer"]["expand"] for block in resolve(inputs, solved.knobs).mixer["pattern"]]
    assert widths == [1, 2 * width, 2 * width, width]


def test_the_width_of_the_network_is_a_knob():
    text = DIT + "match: {of: network, target: 100k, knob: base_channels, tolerance: 20%}\n"
    inputs = next(cell.inputs for cell in cells(text) if cell.variant == "hybrid")
    solved = solve(inputs).solved
    assert solved.parameters.network == solved.achieved
    assert abs(solved.achieved / 100_000 - 1) < 0.2
    assert solved.knobs["base_channels"] % 8 == 0
