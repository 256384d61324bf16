"""A record says what was measured while the cell trained, whichever attempt that was; never the memory of no step."""

from __future__ import annotations

from tests.records.attempts import record, results_with
from vdmbench.records import EventLog, PhaseReading, Spread, Training
from vdmbench.runner.training_done import with_measured_training

MEASURED = PhaseReading(seconds=60.0, rss_peak_bytes=9 * 2**30, allocated_peak_bytes=8 * 2**30)
OF_NOTHING = PhaseReading(seconds=0.1, rss_peak_bytes=2**30, allocated_peak_bytes=2**28)
STEP = Spread(median=0.5, q1=0.4, q3=0.6, count=100)


def trained(status="signal", *, first_step=0, ordinal=1, cohort="one", phase=MEASURED, **training):
    made = record(status=status, cohort=cohort, phases={"train": phase}, backends={"attention": ["sdpa"]},
                  training=Training(steps=100, first_step=first_step, **training))  # fmt: skip
    return made.model_copy(update={"attempt": made.attempt.model_copy(update={"ordinal": ordinal, "id": f"id{ordinal}"})})


def found_done(ordinal=2, **changes):
    return trained("ok", first_step=100, ordinal=ordinal, phase=OF_NOTHING, final_loss=0.1, **changes)


def test_the_attempt_that_trained_is_told_and_named(tmp_path):
    results = results_with(tmp_path, trained(step_seconds=STEP, final_loss=0.1))
    after = with_measured_training(found_done(), results)
    assert after.phases["train"] == MEASURED
    assert (after.training.step_seconds, after.training.measured_in, after.training.first_step) == (STEP, "id1", 100)
    assert after.backends == {"attention": ["sdpa"]}
    assert after.status == "ok"


def test_through_several_that_trained_nothing(tmp_path):
    results = results_with(tmp_path, trained(step_seconds=STEP))
    second = with_measured_training(found_done(), results).model_copy(update={"status": "signal"})
    results.finish(results.new_attempt(second), second)
    assert with_measured_training(found_done(3), results).training.measured_in == "id1"


def test_of_a_supervisor_that_died_the_events_tell(tmp_path):
    whole = trained("started", step_seconds=STEP)
    results = results_with(tmp_path, whole.model_copy(update={"phases": {}, "training": None, "cohort": None}))
    log = EventLog(results.folder_of(whole).events)
    log.append({"type": "environment", "environment": {}, "cohort": "one", "baseline_rss_bytes": 1})
    log.append({"type": "trained", "training": whole.training.model_dump()})
    log.append({"type": "phase_ended", "phase": "train", "reading": MEASURED.model_dump()})
    log.close()
    after = with_measured_training(found_done(), results)
    assert (after.phases["train"], after.training.measured_in) == (MEASURED, "id1")


def test_other_hardware_and_an_attempt_that_did_not_tell_leave_null(tmp_path):
    silent = trained().model_copy(update={"training": None})
    for number, earlier in enumerate((trained(step_seconds=STEP, cohort="another"), silent)):
        results = results_with(tmp_path / str(number), earlier)
        after = with_measured_training(found_done(), results)
        assert after.phases["train"] == PhaseReading(seconds=0.1)
        assert after.training.measured_in is None


def test_one_that_trained_steps_of_its_own_stays_as_it_is(tmp_path):
    results = results_with(tmp_path, trained(step_seconds=STEP))
    partly = trained("ok", first_step=40, ordinal=2, phase=OF_NOTHING)
    assert with_measured_training(partly, results) == partly
