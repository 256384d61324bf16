"""One run read at several points of its training: the same networks as shorter runs have, and nothing else changed."""

from __future__ import annotations

import pytest
import torch

from tests.engine.test_run import Heard, assert_same_weights, run
from tests.suite.texts import MINIMAL
from vdmbench import engine
from vdmbench.runner.checkpoint import Checkpoints
from vdmbench.suite import SuiteError, expand, parse_suite

BASE = ("train.steps=4", "train.warm_up=0")
AT = (*BASE, "evaluate.at=[50%, 1]")


@pytest.fixture(scope="module")
def whole() -> Heard:
    return run(*AT, checkpoint_every=1)


def test_clips_of_a_point_are_those_of_a_run_that_ended_there(whole):
    earlier, short = whole.one(engine.JudgedEarlier), run("train.steps=2", "train.warm_up=0")
    assert torch.equal(earlier.clips, short.one(engine.Sampled).clips)
    point, end = earlier.point, short.one(engine.Judged).result
    assert (point.share, point.step, point.clips) == (0.5, 2, 4)
    assert (point.metrics["ste-fd"].value, point.metrics["ste-fd"].interval) == (end.value, end.interval)
    assert point.temporal_profiles == short.one(engine.Profiled).profiles
    assert 0 < point.train_seconds < whole.one(engine.Trained).training.train_seconds


def test_the_end_is_the_same_with_and_without_it(whole):
    without = run(*BASE, checkpoint_every=1)
    assert_same_weights(whole.all(engine.CheckpointDue)[-1].state, without.all(engine.CheckpointDue)[-1].state)
    assert torch.equal(whole.one(engine.Sampled).clips, without.one(engine.Sampled).clips)
    assert whole.one(engine.Judged).result == without.one(engine.Judged).result
    assert [event.phase for event in whole.all(engine.PhaseStarted)] == ["build", "train", "sample", "evaluate"]


@pytest.mark.parametrize("step", [1, 2, 3, 4])
def test_a_run_goes_on_exactly_from_before_at_and_after_a_point(whole, step, tmp_path):
    states = {event.state.step: event.state for event in whole.all(engine.CheckpointDue)}
    store = Checkpoints(tmp_path)
    if step >= 2:
        store.keep(whole.one(engine.SnapshotDue).snapshot)
    heard = Heard()

    def hear(event):
        if isinstance(event, engine.SnapshotDue):
            store.keep(event.snapshot)
        heard(event)

    cell, resumed = _cell(), states[step]
    engine.run_cell(cell, hear, resume=resumed, read_snapshot=store.snapshot)
    one, other = whole.one(engine.JudgedEarlier), heard.one(engine.JudgedEarlier)
    assert torch.equal(one.clips, other.clips)
    assert one.point.metrics == other.point.metrics
    assert torch.equal(whole.one(engine.Sampled).clips, heard.one(engine.Sampled).clips)


def _cell() -> engine.Experiment:
    from vdmbench.matching import solve

    (inputs,) = [cell.inputs for cell in expand(*parse_suite(MINIMAL, overrides=AT)) if cell.variant == "bi"]
    resolved = solve(inputs).resolved
    return engine.prepare(inputs, resolved.network, resolved.mixer, torch.device("cpu"))


def test_the_held_out_loss_is_taken_where_clips_are_judged(whole):
    sparse = run(*AT, "evaluate.val_loss={points: 1}")
    assert sparse.one(engine.Trained).training.val_loss.steps == [2, 4]


def test_a_point_whose_clips_are_not_finite_says_so_and_the_end_is_judged(monkeypatch):
    from vdmbench.engine.sample_phase import SamplePhase

    sample, calls = SamplePhase.sample, []

    def broken_after_the_first(self, network):
        calls.append(network)
        if len(calls) == 2:
            raise engine.NonFinite("sampled clips hold NaN")
        return sample(self, network)

    monkeypatch.setattr(SamplePhase, "sample", broken_after_the_first)
    heard = run(*AT)
    assert heard.one(engine.JudgedEarlier).point.message == "sampled clips hold NaN"
    assert heard.one(engine.JudgedEarlier).clips is None
    assert heard.one(engine.Judged).result.value > 0


def test_steps_follow_from_the_shares():
    def steps(count: int, at: str) -> dict[int, float]:
        override = (f"train.steps={count}", f"evaluate.at={at}")
        return engine.judged_steps(expand(*parse_suite(MINIMAL, overrides=override))[0].inputs)

    assert steps(100, "[0.1, 0.3, 1.0]") == {10: 0.1, 30: 0.3}
    assert steps(10, "[1%, 10%, 95%, 1]") == {1: 0.1}
    assert steps(7, "[1]") == {}


@pytest.mark.parametrize(
    ("at", "reason"),
    [
        ("[0, 1]", "greater than 0"),
        ("[0.5, 1.5]", "less than or equal to 1"),
        ("[0.5, 0.1, 1]", "write them in order"),
        ("[0.5, 0.5, 1]", "each given once"),
        ("[0.1, 0.5]", "the last share is 1"),
        ("[]", "at least 1 item"),
        ("0.5", "list"),
        ("[soon, 1]", "number"),
    ],
)
def test_bad_shares_are_refused_in_a_line(at, reason):
    with pytest.raises(SuiteError, match=reason) as caught:
        parse_suite(MINIMAL, overrides=(f"evaluate.at={at}",))
    (line,) = str(caught.value).splitlines()
    assert "evaluate.at" in line


def test_a_snapshot_that_is_damaged_is_not_held(whole, tmp_path):
    store = Checkpoints(tmp_path)
    assert not store.hold([2])
    store.keep(whole.one(engine.SnapshotDue).snapshot)
    assert store.hold([2])
    assert store.snapshot(2).clips == 4
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:-1])
    assert not store.hold([2])
    assert store.latest() is None, "weights alone are no state to train on from"
