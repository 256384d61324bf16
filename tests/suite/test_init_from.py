"""A cell that begins with another's weights: that one, of the same seed and point, is part of what it is."""

from __future__ import annotations

import pytest

from tests.suite.texts import MINIMAL
from vdmbench.records.experiments import Declaration, difference, experiments
from vdmbench.suite import Cell, CellInputs, SuiteError, dependencies, expand, parse_suite, with_dependencies

TEXT = MINIMAL.replace("  bi:\n", "  bi:\n    init_from: uni\n")


def cells(*overrides: str) -> dict[str, Cell]:
    return {cell.label: cell for cell in expand(*parse_suite(TEXT, "s.yaml", overrides))}


def test_it_waits_for_the_cell_of_its_own_seed():
    found = cells("seeds=[3, 5]")
    (origin,) = dependencies(found["bi seed=5"])
    assert (origin.label, origin.identity) == ("uni seed=5", found["uni seed=5"].identity)
    assert [cell.label for cell in with_dependencies([found["bi seed=3"]])] == ["uni seed=3", "bi seed=3"]


def test_a_changed_origin_is_another_cell_all_along_the_chain():
    longer = TEXT.replace("  floor: {mixer: identity}", "  floor: {mixer: identity, init_from: bi}")
    before = {cell.variant: cell.identity for cell in expand(*parse_suite(longer))}
    changed = expand(*parse_suite(longer, overrides=["variants.uni.set={train.steps: 3}"]))
    assert not set(before.values()) & {cell.identity for cell in changed}
    drawn = expand(*parse_suite(TEXT, overrides=["variants.bi.init_from=null"]))
    assert {cell.identity for cell in drawn} == {cell.identity for cell in expand(*parse_suite(MINIMAL))}


def test_a_record_alone_says_what_it_begins_with():
    (cell,) = [cell for cell in cells().values() if cell.variant == "bi"]
    again = CellInputs.model_validate(cell.inputs.model_dump(mode="json"))
    assert again.identity() == cell.identity
    assert again.init_from is not None
    assert again.init_from.identity() == cells()["uni seed=0"].identity


def test_an_axis_of_the_origin_names_the_cells_that_begin_with_it():
    found = cells("sweep={variants.uni.train.steps: [2, 3]}")
    assert [label for label in found if label.startswith("bi")] == ["bi steps=2 seed=0", "bi steps=3 seed=0"]
    (origin,) = dependencies(found["bi steps=3 seed=0"])
    assert origin.point == {"variants.uni.train.steps": 3}
    assert origin.identity == found["uni steps=3 seed=0"].identity


def test_beginning_can_be_an_axis():
    found = cells("sweep={variants.bi.init_from: [null, uni]}")
    assert [label for label in found if label.startswith("bi")] == ["bi init_from=None seed=0", "bi init_from=uni seed=0"]


def test_images_then_video():
    found = cells("variants.uni.set={data.frames: 1, evaluate.metrics: []}")
    image = found["bi seed=0"].inputs.init_from
    assert image is not None
    assert (image.data.frames, found["bi seed=0"].inputs.data.frames) == (1, 6)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (
            ("init_from: uni", "init_from: unix"),
            "s.yaml:8: variants.bi.init_from: no variant is called 'unix', did you mean 'uni'?",
        ),
        (("init_from: uni", "init_from: bi"), "s.yaml:8: variants.bi.init_from: 'bi' from 'bi' is a circle"),
        (
            ("{mixer: mamba}", "{mixer: mamba, init_from: bi}"),
            "'uni' from 'bi' from 'uni' is a circle, in which none can be trained",
        ),
        (
            ("{mixer: mamba}", "{mixer: mamba, set: {autoencoder: {factor: 2, channels: 4}, sample.clip_x0: false}}"),
            "s.yaml:8: variants.bi.init_from: 'uni' was trained on other latents than this variant denoises",
        ),
    ],
)
def test_bad_input_is_one_line_with_its_place(edit: tuple[str, str], message: str):
    with pytest.raises(SuiteError) as refused:
        expand(*parse_suite(TEXT.replace(*edit), "s.yaml"))
    (line,) = refused.value.problems
    assert message in line


def declarations(*overrides: str) -> list[Declaration]:
    found = cells("seeds=[0, 1]", "sweep={data.frames: [6, 8]}", *overrides).values()
    return [Declaration(cell.variant, cell.point, cell.inputs.model_dump(mode="json")) for cell in found]


def test_seeds_points_and_variants_that_begin_otherwise_are_one_experiment():
    (one,) = experiments(declarations())
    assert len(one.members) == 3 * 2 * 2


def test_an_origin_that_was_trained_otherwise_makes_two_experiments_of_those_that_begin_with_it():
    before, after = declarations(), declarations("variants.uni.set={train.learning_rate: 0.5}")
    heirs = [each for each in (*before, *after) if each.variant == "bi"]
    first, second = experiments(heirs)
    assert len(first.members) == len(second.members) == 4
    assert list(first.values) == ["variants.bi.init_from.train.learning_rate"]
    assert difference(heirs[0], heirs[4]) == "init_from.train.learning_rate: 0.0001 / 0.5"
