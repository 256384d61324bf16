"""The small form of a suite that it states itself."""

from __future__ import annotations

import pytest

from tests.suite.texts import MINIMAL
from vdmbench.suite import SuiteError, expand, parse_suite

TINY = MINIMAL + "tiny:\n  data.frames: 3\n  variants: {only: {mixer: identity}}\n"


def test_it_is_applied_when_asked_for_and_part_of_no_cell():
    as_declared = [cell.identity for cell in expand(*parse_suite(TINY))]
    assert as_declared == [cell.identity for cell in expand(*parse_suite(MINIMAL))]
    suite, lines = parse_suite(TINY, tiny=True)
    (cell,) = expand(suite, lines)
    assert (suite.name, cell.suite, cell.variant, cell.inputs.data.frames) == ("minimal-tiny", "minimal-tiny", "only", 3)
    assert parse_suite(TINY, overrides=["data.frames=5"], tiny=True)[0].data.frames == 5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (MINIMAL, "s.yaml:1: no 'tiny' block says how to make this suite small: add one"),
        (TINY.replace("data.frames", "data.frame"), "s.yaml:18: tiny.data.frame: 'data' has no 'frame', did you mean 'frames'"),
        (TINY.replace("data.frames: 3", "data.frames: 0"), "s.yaml:18: data.frames: .*greater than 0"),
    ],
)
def test_a_wrong_one_is_told_with_its_place(text, message):
    with pytest.raises(SuiteError, match=message):
        parse_suite(text, "s.yaml", tiny=True)
