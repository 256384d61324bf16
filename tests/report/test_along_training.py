"""One run read at equal steps, FLOPs and seconds of training."""

from __future__ import annotations

import pytest

from tests.report.synthetic import make_record
from tests.suite.texts import MINIMAL
from vdmbench.records import EarlierPoint, HeldOutLoss, Record
from vdmbench.report.along_training import stages
from vdmbench.report.claims import judge_claims
from vdmbench.report.figures import NothingToDraw, draw
from vdmbench.report.frontier import points_of
from vdmbench.report.judgement import Verdict
from vdmbench.report.study import Study
from vdmbench.suite import SuiteError, parse_suite
from vdmbench.suite.claims import Claim

SEEDS = range(8)


def run(variant: str, seed: int, *, pace: float, seconds: float) -> Record:
    """800 steps of 10 clips, judged after 10, 30 and 100 %: the distance falls as ``pace / step``, a step takes ``seconds``."""
    record = make_record(variant, seed=seed)
    noise = 1 + 0.01 * seed
    steps = [80, 240, 400, 800]

    def distance(step: int) -> dict:
        return {"fvd": record.metrics["fvd"].model_copy(update={"value": pace * noise / step, "debiased": None})}

    curve = HeldOutLoss(
        clips=4,
        levels=4,
        steps=steps,
        values=[pace * noise / step for step in steps],
        train_seconds=[seconds * step for step in steps],
    )
    training = record.training.model_copy(
        update={"steps": 800, "clips": 8000, "train_seconds": 800 * seconds, "val_loss": curve}
    )
    earlier = [
        EarlierPoint(share=step / 800, step=step, clips=10 * step, train_seconds=step * seconds, metrics=distance(step))
        for step in (80, 240)
    ]
    return record.model_copy(update={"training": training, "earlier": earlier, "metrics": distance(800)})


def study() -> Study:
    """Attention learns twice as much from a step, and its steps take four times as long."""
    records = [run("attention", seed, pace=500.0, seconds=4.0) for seed in SEEDS]
    return Study.of(records + [run("s4d", seed, pace=1000.0, seconds=1.0) for seed in SEEDS])


def test_a_record_is_read_as_it_stood_at_each_point():
    found = stages(run("s4d", 0, pace=1000.0, seconds=1.0))
    assert list(found) == [80, 240, 400, 800]
    at = found[240]
    assert (at.training.steps, at.training.clips, at.training.train_seconds) == (240, 2400, 240.0)
    assert at.training.val_loss.values[-1] == at.metrics["fvd"].value == 1000 / 240
    assert (found[400].metrics, found[400].training.val_loss.steps[-1]) == ({}, 400)
    assert at.training.final_loss is None
    assert stages(make_record("s4d", status="oom")) == {}
    assert list(stages(make_record("s4d"))) == [make_record("s4d").training.steps], "a record of before has its end alone"


@pytest.mark.parametrize("quantity", ["fvd", "val_loss"])
def test_at_equal_steps_and_at_equal_seconds_other_variants_are_ahead(quantity):
    judged = judge_claims(
        study(),
        [
            Claim(says=f"{quantity}[attention] < {quantity}[s4d] at equal train_steps"),
            Claim(says=f"{quantity}[s4d] < {quantity}[attention] at equal train_seconds"),
        ],
    )
    assert [judgement.verdict for judgement in judged] == [Verdict.SUPPORTED] * 2
    assert judged[0].findings[0].effect == pytest.approx(-0.5, abs=0.03)


def test_every_judged_place_is_a_point_with_what_had_been_spent_there():
    one = study()
    flops, distance, loss = (one.quantity(name) for name in ("train_flops", "fvd", "val_loss"))
    points = points_of(one, one.groups, "s4d", flops, distance)
    forward = one.cells_in(one.groups[0], "s4d")[0].record.solved.flops_forward
    assert [point.x[0] for point in points] == [3 * forward * clips for clips in (800, 2400, 8000)]
    assert len(points_of(one, one.groups, "s4d", flops, loss)) == 4
    memory = one.quantity("peak_train_memory")
    assert len(points_of(one, one.groups, "s4d", flops, memory)) == 1, "what was not learned has no curve over training"


def test_the_figure_has_each_quantity_against_steps_flops_and_seconds():
    figure = draw(study(), "progress")
    assert len(figure.axes) == 6
    labels = [axes.get_xlabel() for axes in figure.axes][:3]
    assert ["Optimiser" in labels[0], "FLOPs" in labels[1], "time" in labels[2]] == [True] * 3
    assert all(len(axes.lines) >= 2 for axes in figure.axes)
    with pytest.raises(NothingToDraw, match=r"evaluate\.at"):
        draw(Study.of([make_record("s4d", seed=seed) for seed in SEEDS]), "progress")


def test_a_claim_along_training_needs_points_there():
    claims = "claims: [{says: 'ste-fd[uni] < ste-fd[bi] at equal train_seconds'}]\n"
    with pytest.raises(SuiteError, match=r"claims\[0\].*set evaluate\.at, such as \[0\.1, 0\.3, 1\]"):
        parse_suite(MINIMAL + claims)
    assert parse_suite(MINIMAL.replace("real_clips: 4", "real_clips: 4, at: [0.5, 1]") + claims)
    held_out = "claims: [{says: 'val_loss[uni] < val_loss[bi] at equal train_flops'}]\n"
    assert parse_suite(MINIMAL + held_out)
    with pytest.raises(SuiteError, match=r"set evaluate\.val_loss\.points to 2 or more"):
        parse_suite(MINIMAL.replace("real_clips: 4", "real_clips: 4, val_loss: {points: 1}") + held_out)
