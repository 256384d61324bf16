"""Trials follow from what a cell declares: the grid is in its identity, and what was chosen from it is not."""

from __future__ import annotations

import json

import pytest

from tests.suite.texts import MINIMAL
from vdmbench.suite import Cell, SuiteError, expand, parse_suite, with_dependencies

GRID = {"field": "train.learning_rate", "values": [3e-4, 1e-3, 3e-3], "by": "val_loss", "steps": "50%", "seeds": [100]}


def cells(*overrides: str, **tune: object) -> list[Cell]:
    return expand(*parse_suite(MINIMAL, "s.yaml", [f"tune={json.dumps(GRID | tune)}", *overrides]))


def trials(found: list[Cell]) -> list[Cell]:
    return [cell for cell in with_dependencies(found) if cell.for_tuning]


def test_every_variant_has_the_same_grid_which_runs_before_it():
    order = [cell.label for cell in with_dependencies(cells("seeds=[0, 1]"))]
    assert order[:5] == [
        "tuning: floor learning_rate=0.0003 seed=100",
        "tuning: floor learning_rate=0.001 seed=100",
        "tuning: floor learning_rate=0.003 seed=100",
        "floor seed=0",
        "floor seed=1",
    ]
    assert len(order) == 3 * (3 + 2), "the seeds of a variant share its trials"


def test_a_sweep_point_is_tuned_by_itself():
    found = trials(cells("sweep.data.frames=[6, 8]"))
    assert len(found) == 3 * 2 * 3
    assert {cell.inputs.data.frames for cell in found} == {6, 8}


def test_a_trial_is_the_cell_with_another_value_seed_and_length():
    trial = trials(cells("train.steps=9", steps="20%"))[1]
    final = next(cell for cell in cells("train.steps=9", steps="20%") if cell.variant == "floor")
    assert (trial.inputs.train.learning_rate, trial.seed, trial.inputs.train.steps) == (1e-3, 100, 2)
    assert (trial.inputs.tune, trial.inputs.mixer) == (None, final.inputs.mixer)
    assert trials(cells(steps=1))[0].inputs.train.steps == 1


def test_a_trial_that_is_judged_by_its_training_makes_two_batches_of_clips_and_judges_none():
    declared = ("sample.clips=9", "evaluate.at=[0.5, 1]")
    by_loss, by_distance = (trials(cells(*declared, by=by))[0].inputs for by in ("val_loss", "ste-fd"))
    assert (by_loss.sample.clips, by_loss.evaluate.metrics) == (6, [])
    assert (by_distance.sample.clips, len(by_distance.evaluate.metrics)) == (9, 1)
    assert by_loss.evaluate.at == by_distance.evaluate.at == [1], "of a trial its end decides"


def test_the_learning_rate_of_a_trial_rises_over_the_same_share_of_its_steps():
    found = [trials(cells("train.steps=100", f"train.learning_rate_warm_up={rise}"))[0] for rise in (20, 0.2, 0)]
    assert [trial.inputs.train.learning_rate_warm_up for trial in found] == [0.2, 0.2, 0]


def test_the_declaration_is_in_the_identity():
    def identity(**tune: object) -> str:
        return cells(**tune)[0].identity

    assert identity() == identity()
    for change in ({"values": [3e-4, 1e-3]}, {"by": "ste-fd"}, {"steps": 1}, {"seeds": [101]}):
        assert identity(**change) != identity(), change
    assert cells("train.learning_rate=0.5")[0].identity == identity(), "a field that is chosen is not declared beside the grid"
    plain = expand(*parse_suite(MINIMAL))[0]
    assert plain.identity != identity()
    assert "tune" not in plain.inputs.model_dump()


def test_a_variant_without_the_field_is_not_tuned():
    found = cells(field="mixer.state", values=[4, 8])
    assert [cell.inputs.tune is not None for cell in found] == [False, True, True]


@pytest.mark.parametrize(
    ("tune", "message"),
    [
        ({"values": []}, "tune.values: no values leave nothing to choose: give two or more"),
        ({"values": [1e-3]}, "tune.values: one value leaves nothing to choose: give two or more"),
        ({"values": [1e-3, -1]}, "tune.values[1]: input should be greater than 0, got -1"),
        ({"values": [3, 3.0]}, "tune.values[1]: 3 and 3.0 mean the same for variant floor: leave one out"),
        ({"field": "train.learnign_rate"}, "tune.field: 'train' has no 'learnign_rate', did you mean 'learning_rate'?"),
        ({"field": "seed"}, "tune.field: the suite has no 'seed'"),
        ({"by": "parameters"}, "tune.by: 'parameters' has no direction"),
        ({"by": "final_los"}, "tune.by: unknown quantity 'final_los', did you mean 'final_loss'?"),
        ({"by": "psnr"}, "tune.by: 'psnr' is of predicted frames, and none are"),
        ({"seeds": [100, 0]}, "tune.seeds: seed 0 is one of 'seeds' too"),
        ({"seeds": []}, "tune.seeds: no seeds leave no trial"),
        ({"steps": "120%"}, "tune.steps: a trial takes more than 0 % and at most 100 % of the declared steps, got 120%"),
        ({"steps": 1.5}, "tune.steps: a trial takes more than 0 % and at most 100 % of the declared steps, got 150%"),
        ({"steps": 400}, "tune.steps: a trial of 400 steps is longer than the 2 of train.steps"),
        ({"steps": "many"}, "tune.steps: 'many' is no number of steps"),
    ],
)
def test_bad_input_is_one_line_with_its_place(tune: dict[str, object], message: str):
    text = MINIMAL + f"tune: {json.dumps(GRID | tune)}\n"
    with pytest.raises(SuiteError) as refused:
        expand(*parse_suite(text, "s.yaml"))
    (line,) = refused.value.problems
    assert line.startswith(f"s.yaml:{len(text.splitlines())}: {message}")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("sweep.train.learning_rate=[1e-3]", "tune.field: 'train.learning_rate' is swept too"),
        ("variants.uni.set={train.learning_rate: 1e-3}", "tune.field: 'train.learning_rate' is set by variant 'uni' too"),
        ("evaluate.val_loss=null", "tune.by: 'val_loss' is not taken, for evaluate.val_loss is null"),
        ("tune.field=network.base_channels", "tune.field: 'network.base_channels' is what 'match' moves"),
    ],
)
def test_what_cannot_be_tuned_or_chosen_by(override: str, message: str):
    values = [8, 16] if "base_channels" in override else GRID["values"]
    match = "match={target: 100k, knob: base_channels, of: network}"
    with pytest.raises(SuiteError) as refused:
        cells(*([match] if "network" in override else []), override, values=values)
    assert message in refused.value.problems[0]
