"""What a cell begins with: the choice of its trials and another's weights, or it is blocked; never something in their place."""

from __future__ import annotations

import json
import pickle
import queue

import pytest

from tests.records.attempts import record
from tests.suite.texts import MINIMAL
from vdmbench.records import MetricResult, Parameters, ResultsFolder, Solved, Training
from vdmbench.runner.beginning import Beginning, Blocked, Waits, beginning, edge
from vdmbench.runner.executors import Ended, Heard
from vdmbench.runner.one_cell import ATTEMPT_STARTED
from vdmbench.runner.planning import Planned
from vdmbench.runner.supervisor import run_suite
from vdmbench.runner.trained_weights import checkpoint_name
from vdmbench.suite import dependencies, expand, parse_suite, with_dependencies

SOLVED = Solved(parameters=Parameters(network=1, temporal=1), state_elements=0, flops_forward=1000, flops_temporal=0)
GRID = {"field": "train.learning_rate", "values": [3e-4, 1e-3, 3e-3], "by": "final_loss", "steps": "50%", "seeds": [100, 101]}
CHAIN = MINIMAL.replace("  bi:\n", "  bi:\n    init_from: uni\n")


def cells(text=MINIMAL, *overrides):
    return {cell.label: cell for cell in with_dependencies(expand(*parse_suite(text, overrides=overrides)))}


def tuned(**tune):
    return cells(MINIMAL, f"tune={json.dumps(GRID | tune)}")


def leave(results, cell, status="ok", loss=None, **fields):
    """The record of a cell, as if it had run; with the checkpoint of its last step where it is ok."""
    steps = cell.inputs.train.steps
    made = record(
        cell.variant,
        results.next_ordinal(cell.identity),
        identity=cell.identity,
        status=status,
        seed=cell.seed,
        point=cell.point,
        declared=cell.inputs.model_dump(mode="json"),
        for_tuning=cell.for_tuning,
        solved=fields.pop("solved", SOLVED),
        **{"training": Training(steps=steps, final_loss=loss) if status == "ok" else None, **fields},
    )
    folder = results.new_attempt(made.model_copy(update={"status": "started"}))
    results.finish(folder, made)
    if status == "ok":
        results.checkpoint_folder(cell.identity).mkdir(parents=True)
        (results.checkpoint_folder(cell.identity) / checkpoint_name(steps)).touch()
    return made


def distance_of(value):
    return MetricResult(name="STE-FD", value=value, protocol={}, n_real=4, n_generated=4)


@pytest.fixture
def results(tmp_path):
    folder = ResultsFolder(tmp_path)
    folder.prepare()
    return folder


def run_trials(results, cell, losses):
    """Leave trials of ``cell`` that ended with these losses, in the order of the grid and of the seeds; None failed."""
    for trial, loss in zip(dependencies(cell), losses, strict=True):
        leave(results, trial, "nan" if loss is None else "ok", loss)


# ------------------------------------------------------------------------------------------------ tuning


@pytest.mark.parametrize(
    ("losses", "chosen", "at"),
    [
        ((0.5, 0.5, 0.1, 0.3, 0.4, 0.4), 1e-3, None),
        ((0.5, 0.5, 0.4, 0.4, 0.3, 0.3), 3e-3, "largest"),
        ((0.2, 0.2, 0.4, 0.4, 0.3, 0.3), 3e-4, "smallest"),
        ((0.5, 0.5, 0.1, None, 0.4, 0.4), 3e-3, "largest"),  # a value with a trial that diverged is the worst
        ((0.2, 0.2, 0.2, 0.2, 0.2, 0.2), 3e-4, "smallest"),
    ],
)
def test_the_best_mean_is_chosen(results, losses, chosen, at):
    cell = tuned()["uni seed=0"]
    run_trials(results, cell, losses)
    found = beginning(Planned(cell, SOLVED, None), results)
    assert isinstance(found, Beginning)
    assert (found.tuned.chosen, found.tuned.edge) == (chosen, at)
    assert found.inputs.train.learning_rate == chosen
    assert found.inputs.tune is None
    assert [trial.identity for trial in found.tuned.trials] == [trial.identity for trial in dependencies(cell)]
    assert [trial.score for trial in found.tuned.trials] == list(losses)


def test_more_is_better_where_the_quantity_says_so(results):
    cell = tuned(by="train_throughput", seeds=[100])["uni seed=0"]
    for trial, speed in zip(dependencies(cell), (1, 3, 2), strict=True):
        leave(results, trial, training=Training(steps=1, frames_per_second=speed))
    assert beginning(Planned(cell, SOLVED, None), results).tuned.chosen == 1e-3


def test_a_metric_chooses_among_the_trials_that_have_it(results):
    cell = tuned(by="ste-fd", seeds=[100])["uni seed=0"]
    for trial, distance in zip(dependencies(cell), (None, 3.0, 2.0), strict=True):
        leave(results, trial, metrics={} if distance is None else {"ste-fd": distance_of(distance)})
    found = beginning(Planned(cell, SOLVED, None), results).tuned
    assert (found.chosen, [trial.score for trial in found.trials]) == (3e-3, [None, 3.0, 2.0])


def test_all_trials_failing_blocks_the_cell_with_the_reason(results):
    cell = tuned()["uni seed=0"]
    for trial in dependencies(cell):
        leave(results, trial, "oom", message="no room")
    found = beginning(Planned(cell, SOLVED, None), results)
    assert isinstance(found, Blocked)
    assert "no trial of train.learning_rate has a final_loss" in found.reason
    assert "is oom: no room" in found.reason
    assert found.tuned.chosen is None


def test_a_trial_that_has_not_ended_keeps_the_cell_waiting(results):
    cell = tuned()["uni seed=0"]
    run_trials(results, cell, (0.5,) * 6)
    assert isinstance(beginning(Planned(cell, SOLVED, None), results), Beginning)
    other = tuned(seeds=[7])["uni seed=0"]
    leave(results, dependencies(other)[0], "interrupted")
    found = beginning(Planned(other, SOLVED, None), results)
    assert isinstance(found, Waits)
    assert "train.learning_rate=0.0003 and seed 7 has not ended" in found.reason


def test_a_field_that_decides_the_network_takes_the_network_of_its_trial(results):
    """What was solved for the first value of the grid is of another network than the one that is trained."""
    cell = tuned(field="mixer.state", values=[4, 8], seeds=[100])["uni seed=0"]
    larger = SOLVED.model_copy(update={"state_elements": 8})
    for trial, loss, solved in zip(dependencies(cell), (0.5, 0.1), (SOLVED, larger), strict=True):
        leave(results, trial, loss=loss, solved=solved)
    found = beginning(Planned(cell, SOLVED, None), results)
    assert (found.inputs.mixer.state, found.solved.state_elements) == (8, 8)


def test_what_was_begun_goes_on_with_its_choice(results):
    """Another choice would train on from the checkpoint of the first, and the record would say nothing of it."""
    cell = tuned(seeds=[100])["uni seed=0"]
    run_trials(results, cell, (None, 0.4, 0.5))
    first = beginning(Planned(cell, SOLVED, None), results).tuned
    leave(results, dependencies(cell)[0], loss=0.1, training=Training(steps=1, final_loss=0.1))
    assert (first.chosen, beginning(Planned(cell, SOLVED, None), results).tuned.chosen) == (1e-3, 3e-4)
    leave(results, cell, "interrupted", tuned=first)
    assert beginning(Planned(cell, SOLVED, None), results).tuned.chosen == 3e-4, "nothing is left of it"
    results.checkpoint_folder(cell.identity).mkdir()
    (results.checkpoint_folder(cell.identity) / checkpoint_name(1)).touch()
    assert beginning(Planned(cell, SOLVED, None), results).tuned == first


def test_the_edge_of_a_grid_is_of_numbers():
    assert edge([3, 1, 2], 1) == "smallest"
    assert edge([3, 1, 2], 2) is None
    assert edge(["adam", "adamw"], "adam") is None
    assert edge([True, False], True) is None


# ------------------------------------------------------------------------------------------------ weights


def test_weights_are_those_of_the_cell_of_the_same_seed(results):
    found = cells(CHAIN, "seeds=[0, 1]")
    heir = Planned(found["bi seed=1"], SOLVED, None)
    leave(results, found["uni seed=0"])
    assert isinstance(beginning(heir, results), Waits)
    origin = leave(results, found["uni seed=1"])
    begins = beginning(heir, results)
    assert (begins.weights.cell, begins.weights.steps) == (found["uni seed=1"].identity, 2)
    assert begins.weights.attempt == f"{origin.identity}/{origin.attempt.id}"
    assert begins.weights.averaged


@pytest.mark.parametrize("status", ["oom", "nan", "infeasible", "error", "timeout", "signal"])
def test_a_cell_whose_origin_failed_is_blocked_and_not_begun_from_nothing(results, status):
    found = cells(CHAIN)
    leave(results, found["uni seed=0"], status, message="for a reason")
    blocked = beginning(Planned(found["bi seed=0"], SOLVED, None), results)
    assert isinstance(blocked, Blocked)
    assert f"uni seed=0, whose weights it begins with, is {status}: for a reason" in blocked.reason


def test_what_a_cell_begins_with_travels_to_another_process(results):
    """As Slurm and Ray hand it on."""
    found = cells(CHAIN, f"tune={json.dumps(GRID | {'seeds': [100]})}")
    for label in ("uni seed=0", "tuning: uni seed=100"):
        leave(results, found[label])
    for cell in dependencies(found["bi seed=0"])[1:]:
        leave(results, cell, loss=0.1)
    begins = beginning(Planned(found["bi seed=0"], SOLVED, None), results)
    assert pickle.loads(pickle.dumps(begins)) == begins


def test_weights_that_did_not_come_along_block_with_the_remedy(results):
    found = cells(CHAIN)
    leave(results, found["uni seed=0"])
    (results.checkpoint_folder(found["uni seed=0"].identity) / checkpoint_name(2)).unlink()
    blocked = beginning(Planned(found["bi seed=0"], SOLVED, None), results)
    assert isinstance(blocked, Blocked)
    assert "copy that folder from there" in blocked.reason


def test_weights_lie_with_the_cell_that_trained_alike(results):
    found = cells(CHAIN)
    other, took = found["floor seed=0"], found["uni seed=0"]
    leave(results, other)
    leave(results, took, training=Training(steps=2, first_step=2, measured_in=f"{other.identity}/abc"))
    (results.checkpoint_folder(took.identity) / checkpoint_name(2)).unlink()
    begins = beginning(Planned(found["bi seed=0"], SOLVED, None), results)
    assert begins.weights.checkpoint_folder == results.checkpoint_folder(other.identity).resolve()
    assert begins.weights.attempt == f"{other.identity}/abc"


# ------------------------------------------------------------------------------------------------ a run


class Recording:
    """An executor whose cells leave a record at once, with the status of their label."""

    def __init__(self, results, slots=1, **statuses):
        self.results, self.slots, self.statuses = results, slots, statuses
        self.order: list[str] = []
        self.begun: dict[str, Beginning] = {}
        self.messages = queue.SimpleQueue()

    def submit(self, found):
        assert len(found) <= self.slots
        for planned in found:
            cell = planned.cell
            self.order.append(cell.label)
            self.begun[cell.label] = planned.beginning
            self.messages.put(Heard(cell.identity, {"type": ATTEMPT_STARTED, "at": 0.0}))
            status = self.statuses.get(cell.variant, "ok")
            self.messages.put(Ended(cell.identity, leave(self.results, cell, status, loss=cell.inputs.train.learning_rate)))

    def next(self, timeout):
        return None if self.messages.empty() else self.messages.get()

    def stop(self, reason): ...

    def kill(self): ...

    def __enter__(self):
        return self

    def __exit__(self, *exception): ...


class Quiet:
    def __getattr__(self, name):
        return lambda *arguments: None


def run(results, found, slots=1, left_out=(), **statuses):
    executor = Recording(results, slots, **statuses)
    plan = [Planned(cell, SOLVED, None) for cell in found]
    return run_suite(results, plan, executor, Quiet(), left_out=left_out), executor


@pytest.mark.parametrize("slots", [1, 3, 50])
def test_what_others_wait_for_goes_first_whatever_the_number_of_places(results, slots):
    found = cells(CHAIN, f"tune={json.dumps(GRID | {'seeds': [100]})}", "seeds=[0, 1]")
    summary, executor = run(results, found.values(), slots)
    assert summary.exit_code == 0
    assert sorted(executor.order) == sorted(found)
    for label, cell in found.items():
        for needed in dependencies(cell):
            assert executor.order.index(needed.label) < executor.order.index(label)
    assert executor.begun["bi seed=1"].weights.cell == found["uni seed=1"].identity
    assert executor.begun["bi seed=1"].inputs.train.learning_rate == 3e-4


def test_a_failed_dependency_blocks_all_that_follow_and_stops_nothing_else(results):
    text = CHAIN.replace("  floor: {mixer: identity}", "  floor: {mixer: identity}\n  after: {mixer: mlp, init_from: bi}")
    found = cells(text)
    summary, executor = run(results, found.values(), uni="oom")
    assert executor.order == ["floor seed=0", "uni seed=0"]
    told = {cell.variant: record for cell, record in summary.records if record.status == "skipped"}
    assert "blocked: uni seed=0, whose weights it begins with, is oom" in told["bi"].message
    assert "blocked: bi seed=0, whose weights it begins with, is skipped: blocked: uni" in told["after"].message
    assert summary.exit_code == 3
    again, executor = run(results, found.values())
    assert executor.order == []
    assert len(results.attempt_folders(found["bi seed=0"].identity)) == 1, "what is known is not recorded twice"
    assert again.exit_code == 3


def test_what_is_mended_lets_the_blocked_go_on(results):
    found = cells(CHAIN)
    run(results, found.values(), uni="error")
    summary, executor = run(results, found.values())
    assert executor.order == ["uni seed=0", "bi seed=0"]
    assert summary.exit_code == 0


def test_what_was_left_out_keeps_others_waiting_and_is_said(results):
    found = cells(CHAIN)
    chosen = [found["bi seed=0"], found["floor seed=0"]]
    summary, executor = run(results, chosen, left_out=[found["uni seed=0"]])
    assert executor.order == ["floor seed=0"]
    assert summary.exit_code == 3
    assert "weights of uni seed=0 that it begins with are not trained yet" in summary.waits[found["bi seed=0"].identity]
