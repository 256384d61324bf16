"""Every count has a bound, which the schema tells; a typo of too many zeros is refused before anything is made of it."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from typing import Any

import pytest

from tests.suite.texts import MINIMAL
from vdmbench.suite import SuiteError, expand, parse_suite
from vdmbench.suite.schema import Suite


def integers(schema: Any, place: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every part of a JSON Schema that takes whole numbers."""
    if isinstance(schema, dict):
        if schema.get("type") == "integer":
            yield place, schema
        for key, part in schema.items():
            yield from integers(part, f"{place}.{key}")
    elif isinstance(schema, list):
        for number, part in enumerate(schema):
            yield from integers(part, f"{place}[{number}]")


def test_every_count_has_a_bound_in_the_schema():
    found = list(integers(Suite.model_json_schema()))
    assert len(found) > 60
    unbounded = [place for place, part in found if not {"maximum", "exclusiveMaximum", "const", "enum"} & part.keys()]
    assert unbounded == []


@pytest.mark.parametrize(
    "override",
    [
        "data.frames=9223372036854775807",
        "data.size=2147483647",
        f"network.base_channels={10**30}",
        "network.multipliers=[1, 100000]",
        "train.batch_size=10000000000",
        "train.steps=1000000000000",
        "sample.clips=99999999999",
        "evaluate.real_clips=99999999999",
        "evaluate.val_loss.levels=99999999999",
        "data.source.train_videos=99999999999",
        "variants.uni.mixer={name: mamba, conv: 1000000000}",
        "variants.uni.mixer={name: mamba, state: 1000000000}",
        "run.threads=99999999999",
        "seeds=[9223372036854775808]",
    ],
)
def test_too_many_zeros_are_refused_at_their_place(override):
    with pytest.raises(SuiteError, match="input should be less than") as refused:
        expand(*parse_suite(MINIMAL, "suite.yaml", [override]))
    (line,) = str(refused.value).splitlines()
    assert line.startswith("override ")


@pytest.mark.parametrize("times", ["99999999", "9" * 400])
def test_blocks_are_counted_before_they_are_written_out(times):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(SuiteError, match=r"more than 1,024 blocks, at 'mamba@h\*999") as refused:
        parse_suite(
            MINIMAL,
            "suite.yaml",
            [
                "network={name: dit, base_channels: 16, depth: 2}",
                f"variants={{v: {{blocks: {{pattern: ['mamba@h*{times}']}}}}}}",
            ],
        )
    assert len(str(refused.value).splitlines()) == 1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 * 1024  # KiB
