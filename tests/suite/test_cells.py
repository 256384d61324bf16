"""Expansion: variants x sweep points x seeds, each cell known by what was declared for it."""

from __future__ import annotations

import pytest

from tests.suite.texts import MINIMAL
from vdmbench.suite import NUMBERS, Cell, CellInputs, SuiteError, expand, parse_suite
from vdmbench.suite.numbers import CHANGES


def cells(text: str = MINIMAL, *overrides: str) -> list[Cell]:
    return expand(*parse_suite(text, "s.yaml", overrides))


def identities(*overrides: str) -> list[str]:
    return [cell.identity for cell in cells(MINIMAL, *overrides)]


def test_every_combination_in_the_order_written():
    found = cells(MINIMAL, "seeds=[3, 5]", "sweep.data.frames=[8, 4]")
    assert [(cell.variant, cell.point["data.frames"], cell.seed) for cell in found] == [
        (variant, frames, seed) for variant in ("floor", "uni", "bi") for frames in (8, 4) for seed in (3, 5)
    ]
    assert found[0].inputs.data.frames == 8
    assert len({cell.identity for cell in found}) == 12


def test_an_axis_of_an_option_concerns_only_the_mixers_that_have_it():
    found = cells(MINIMAL, "sweep.mixer.state=[8, 16]")
    assert [(cell.variant, cell.point) for cell in found] == [
        ("floor", {}),
        *((variant, {"mixer.state": state}) for variant in ("uni", "bi") for state in (8, 16)),
    ]
    only_bi = cells(MINIMAL, "sweep.variants.bi.mixer.state=[8, 16]")
    assert [cell.variant for cell in only_bi] == ["floor", "uni", "bi", "bi"]


def test_identity_depends_on_what_is_declared_and_on_nothing_else():
    base = identities()
    assert identities("title=other words", "run.wall_limit=5", "run.threads=1", "name=renamed") == base
    assert identities("train.learning_rate=1e-4") == base  # the default, written out
    for change in (
        "train.steps=3",
        "seeds=[1]",
        "data.source={name: sprites, seed: 9}",
        "diffusion.schedule=linear",
        "evaluate.real_clips=5",
        "network.base_channels=16",
    ):
        assert not set(identities(change)) & set(base), change


def test_identity_holds_the_numbers_version_and_no_other_version_is_read_as_this_one():
    (cell, *_) = cells()
    assert cell.inputs.model_dump()["numbers"] == NUMBERS == max(CHANGES)
    of_before = cell.inputs.model_copy(update={"numbers": NUMBERS - 1})
    assert of_before.identity() != cell.identity
    with pytest.raises(ValueError, match="numbers"):
        CellInputs.model_validate(of_before.model_dump(mode="json"))
    with pytest.raises(SuiteError, match="numbers"):
        cells(MINIMAL, "sweep.numbers=[1]")


def test_a_matched_cell_depends_on_its_reference():
    text = MINIMAL + "match: {of: temporal, reference: bi, exempt: [floor]}\n"
    floor, uni, bi = cells(text)
    assert uni.inputs.reference is not None
    assert uni.inputs.reference.mixer.direction == "both"
    assert floor.inputs.match is bi.inputs.match is None
    changed = cells(text, "variants.bi.mixer.state=8")
    assert changed[1].identity != uni.identity
    assert changed[0].identity == floor.identity


def test_one_variant_under_two_names_is_two_cells():
    text = MINIMAL.replace("  floor:", "  again: {mixer: mamba}\n  floor:")
    assert len({cell.identity for cell in cells(text)}) == 4


def test_a_variant_sets_fields_of_its_own():
    text = MINIMAL.replace("uni: {mixer: mamba}", "uni: {mixer: mamba, set: {train.learning_rate: 3e-4}}")
    assert [cell.inputs.train.learning_rate for cell in cells(text)] == [1e-4, 3e-4, 1e-4]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("sweep.data.framez=[1]", "no variant has this field: 'data' has no 'framez', did you mean 'frames'?"),
        ("sweep.data.frames=[4, 0]", "sweep.data.frames[1]: input should be greater than 0, got 0"),
        ("sweep.variants.nobody.mixer.state=[1]", "no such variant; variants: floor, uni, bi"),
        ("variants.uni.set={trian.steps: 3}", "variants.uni.set.trian.steps: the suite has no 'trian', did you mean 'train'?"),
    ],
)
def test_wrong_axes_are_told_where_they_stand(override: str, message: str):
    with pytest.raises(SuiteError) as refused:
        cells(MINIMAL, override)
    assert refused.value.problems[0].endswith(message)


def test_an_axis_of_the_reference_names_the_cells_that_are_matched_to_it():
    """They differ by what they are brought to, so that two of them under one name would be taken for one."""
    text = """schema: 1
name: matched
network: {name: unet3d, base_channels: 8, multipliers: [1]}
variants: {attention: {mixer: attention}, mamba: {mixer: mamba}, floor: {mixer: identity}}
sweep: {variants.attention.train.batch_size: [2, 4]}
match: {quantity: memory, reference: attention, knob: batch_size, exempt: [floor]}
data: {source: {name: sprites}, frames: 5, size: 8}
train: {steps: 2, batch_size: 2}
sample: {sampler: ddim, steps: 2, clips: 4, batch_size: 4}
evaluate: {metrics: [{name: ste-fd}], real_clips: 4}
"""
    cells = expand(*parse_suite(text))
    assert [cell.label for cell in cells] == [
        "attention batch_size=2 seed=0",
        "attention batch_size=4 seed=0",
        "mamba batch_size=2 seed=0",
        "mamba batch_size=4 seed=0",
        "floor seed=0",
    ]
    assert len({cell.identity for cell in cells}) == 5
