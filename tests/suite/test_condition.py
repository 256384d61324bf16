"""The condition block: what may be declared, and what it costs those who declare nothing."""

from __future__ import annotations

import pytest

from tests.suite.texts import MINIMAL
from vdmbench.suite import SuiteError, expand, parse_suite

CAPTION = "condition={tell: [caption]}"


def inputs(*overrides: str):
    return expand(*parse_suite(MINIMAL, overrides=overrides))[0].inputs


def test_cells_without_a_condition_are_those_from_before_it():
    dumped = inputs().model_dump(mode="json")
    assert "condition" not in dumped
    assert "guidance" not in dumped["sample"]
    assert inputs(CAPTION).identity() != inputs().identity()
    again = type(inputs()).model_validate(inputs(CAPTION, "sample.guidance=3").model_dump(mode="json"))
    assert (again.condition.tell, again.sample.guidance) == (["caption"], 3)


def test_what_is_told_can_be_swept():
    cells = expand(*parse_suite(MINIMAL, overrides=[CAPTION, "sweep={condition.tell: [[label], [caption]]}"]))
    assert {tuple(cell.inputs.condition.tell) for cell in cells} == {("label",), ("caption",)}


@pytest.mark.parametrize(
    ("overrides", "remedy"),
    [
        (["sample.guidance=3"], "set 'condition', or leave guidance out"),
        (["condition={tell: [label], drop: 0}", "sample.guidance=3"], "set condition.drop, such as 0.1"),
        (["condition={tell: []}"], "at least 1 item"),
        (["condition={tell: [label, label]}"], "named twice"),
        (["condition={tell: [caption], text: {encoder: pretrained, path: nowhere}}"], "nothing is downloaded"),
        (["evaluate.metrics=[faithfulness]"], "set condition {tell: [caption]}"),
        ([CAPTION, "evaluate.metrics=[faithfulness]"], "raise data.frames"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_remedy(overrides, remedy):
    with pytest.raises(SuiteError) as raised:
        inputs(*overrides)
    assert remedy in str(raised.value)


def test_a_pretrained_encoder_is_part_of_the_identity_by_its_content(tmp_path):
    (tmp_path / "config.json").write_text('{"d_model": 24}')
    (tmp_path / "model.safetensors").write_bytes(b"one")
    declare = f"condition={{tell: [caption], text: {{encoder: pretrained, path: '{tmp_path}'}}}}"
    first = inputs(declare)
    assert first.condition.text.features == 24
    (tmp_path / "model.safetensors").write_bytes(b"two")
    assert inputs(declare).identity() != first.identity()
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(SuiteError, match="safe_serialization=True"):
        inputs(declare)
