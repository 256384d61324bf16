"""The published network in a suite: what follows its width does, and what cannot is refused where it is declared."""

from __future__ import annotations

import pytest

from tests.suite.texts import MINIMAL
from vdmbench.suite import Cell, SuiteError, expand, parse_suite

PUBLISHED = MINIMAL.replace("base_channels: 8", "base_channels: 32, preset: oshima2024").replace(
    "floor: {mixer: identity}", "floor: {mixer: {name: linear-attention, head_dim: 64}}"
)


def cells(*overrides: str) -> list[Cell]:
    return expand(*parse_suite(PUBLISHED, "s.yaml", overrides))


def test_heads_of_the_preset_are_what_a_cell_may_say() -> None:
    assert [cell.inputs.temporal["heads"] for cell in cells() if cell.variant == "floor"] == [None]
    assert [cell.inputs.temporal["heads"] for cell in cells("variants.floor.mixer.heads=4") if cell.variant == "floor"] == [4]


PAIR = "{name: pair, first: {name: attention, heads: 2}, second: mamba}"
PATTERN = "{stem: mamba, levels: [{name: attention, heads: 5}], middle: identity}"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("variants.floor.mixer.heads=4", "network.base_channels=64"), "variants.floor.mixer.heads: .* = 8 heads .* got 4"),
        (("variants.floor.mixer.heads=4", "sweep={network.base_channels: [32, 64]}"), "= 8 heads in every layer, got 4"),
        (("variants.floor.mixer.expand=2.0",), "variants.floor.mixer.expand: .* at 4 heads, got 2.0: keep expand 1"),
        ((f"variants.floor.mixer={PAIR}",), "mixer.first.heads: .* = 4 heads in every layer, got 2"),
        ((f"variants.floor={{pattern: {PATTERN}}}",), r"pattern.levels.0..heads: .* = 4 heads in every layer, got 5"),
    ],
)
def test_a_width_that_cannot_be_the_published_one_is_refused_where_it_stands(overrides: tuple[str, ...], message: str) -> None:
    with pytest.raises(SuiteError, match=message):
        cells(*overrides)
    cells(*overrides, "network.preset=fair")


def test_the_line_of_the_heads_is_named() -> None:
    with pytest.raises(SuiteError, match=r"^s\.yaml:5: variants\.floor\.mixer\.heads: preset oshima2024 has"):
        expand(*parse_suite(PUBLISHED.replace("head_dim: 64", "head_dim: 64, heads: 8"), "s.yaml"))
