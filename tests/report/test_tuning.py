"""What trials chose and what cells began with, in tables and in a figure."""

from __future__ import annotations

import pytest

from tests.report.synthetic import make_record
from vdmbench.records import Initialised, Trial, Tuned
from vdmbench.report.figures import NothingToDraw, draw
from vdmbench.report.study import Study
from vdmbench.report.tuning import begun_table, tuning_table


def tuned(chosen, scores, *, edge=None, field="train.learning_rate"):
    """Two trials of each value, a thousandth apart; a score of None is of trials that diverged."""
    trials = [
        Trial(
            identity=f"{number}-{seed}",
            value=value,
            seed=seed,
            status="nan" if score is None else "ok",
            score=None if score is None else score + 0.001 * (seed - 100),
        )
        for number, (value, score) in enumerate(scores.items())
        for seed in (99, 101)
    ]
    return Tuned(field=field, by="final_loss", chosen=chosen, edge=edge, trials=trials)


def record(variant, seed=0, **changes):
    return make_record(variant, seed=seed).model_copy(update=changes)


CHOICES = {
    "s4d": tuned(1e-3, {3e-4: 0.5, 1e-3: 0.25, 3e-3: None}),
    "attention": tuned(3e-4, {3e-4: 0.25, 1e-3: 0.5, 3e-3: 0.75}, edge="smallest"),
}
STUDY = Study.of([record(variant, seed, tuned=choice) for variant, choice in CHOICES.items() for seed in (0, 1, 2)])


def texts(table):
    keys = [column.key for column in table.columns]
    return [dict(zip(keys, [entry.text for entry in row], strict=True)) for row in table.rows]


def test_a_row_a_variant_with_the_choice_and_every_value():
    first, second = texts(tuning_table(STUDY))
    assert (first["variant"], first["chosen"], first["by"]) == ("s4d", "0.001", "final_loss")
    assert (first["0.0003"], first["0.001"], first["0.003"]) == ("0.500", "0.250", "nan")
    assert second["chosen"] == "0.0003 (smallest of the grid)"


def test_seeds_that_were_given_different_choices_are_named():
    assert not [note for note in tuning_table(STUDY).notes if "different choices" in note]
    mixed = [record("s4d", 0, tuned=CHOICES["s4d"]), record("s4d", 1, tuned=CHOICES["attention"])]
    (note,) = [note for note in tuning_table(Study.of(mixed)).notes if "different choices" in note]
    assert "Seeds of s4d" in note
    assert "0.001 of seed 0; 0.0003 of seed 1" in note


def test_a_cell_that_no_trial_chose_for_is_a_row():
    nothing = tuned(None, {3e-4: None, 1e-3: None})
    (row,) = texts(tuning_table(Study.of([record("s4d", status="skipped", tuned=nothing)])))
    assert (row["chosen"], row["0.001"]) == ("none", "nan")


def test_curves_have_a_point_a_value_and_a_ring_round_the_choice():
    figure = draw(STUDY, "tuning")
    (axes,) = [each for each in figure.axes if each.lines]
    first, second = axes.lines
    assert list(first.get_xdata()) == [3e-4, 1e-3]
    assert list(first.get_ydata()) == pytest.approx([0.5, 0.25])
    assert list(second.get_ydata()) == pytest.approx([0.25, 0.5, 0.75])
    rings = [tuple(ring.get_offsets()[0]) for ring in axes.collections]
    assert rings == [pytest.approx((1e-3, 0.25)), pytest.approx((3e-4, 0.25))]
    assert (axes.get_xlabel(), axes.get_xscale()) == ("train.learning_rate", "log")


def test_values_that_are_no_numbers_stand_side_by_side():
    choice = tuned("adamw", {"adam": 0.5, "adamw": 0.25}, field="train.optimiser")
    figure = draw(Study.of([record("s4d", tuned=choice)]), "tuning")
    (axes,) = [each for each in figure.axes if each.lines]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["adam", "adamw"]


def test_without_tuning_there_is_neither():
    study = Study.of([record("s4d")])
    assert (tuning_table(study).rows, begun_table(study).rows) == ([], [])
    with pytest.raises(NothingToDraw):
        draw(study, "tuning")


def test_what_cells_began_with():
    began = Initialised(
        cell="c", label="image seed=0", attempt="c/a", weights="averaged", matched_tensors=2, matched_parameters=75,
        parameters=100, initialised=["blocks.4.mixer.out.weight"], left=["a", "b", "c"],
    )  # fmt: skip
    (row,) = texts(begun_table(Study.of([record("s4d", initialised=began), record("attention")])))
    assert (row["variant"], row["taken"]) == ("s4d", "75.0")
    assert row["origin"] == "image (averaged weights after training, 1 cells)"
    assert (row["drawn"], row["left"]) == ("blocks.4.mixer.out.weight", "a, b and 1 more")
