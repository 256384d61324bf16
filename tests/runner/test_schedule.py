"""Which cell goes first, how long it will take, and when a run ends before its last cell."""

from __future__ import annotations

import queue
from dataclasses import dataclass, field

import pytest

from tests.records.attempts import record
from tests.suite.texts import MINIMAL
from vdmbench.records import Parameters, PhaseReading, Progress, ResultsFolder, Solved, Training
from vdmbench.runner.attempt import record_without_running
from vdmbench.runner.executors import Ended, Heard
from vdmbench.runner.executors.local import LocalExecutor
from vdmbench.runner.one_cell import ATTEMPT_STARTED
from vdmbench.runner.places import Place
from vdmbench.runner.planning import Planned
from vdmbench.runner.schedule import Estimates, work
from vdmbench.runner.supervisor import Limits, run_suite
from vdmbench.suite import expand, parse_suite
from vdmbench.suite.blocks import Run

CELLS = {cell.variant: cell for cell in expand(*parse_suite(MINIMAL))}


def planned(flops=1000, variant="uni"):
    """A cell of MINIMAL, solved by hand: 2 steps of 2 clips, 4 clips sampled over 2 levels."""
    counted = Parameters(network=1, temporal=1)
    solved = Solved(parameters=counted, state_elements=0, flops_forward=flops, flops_temporal=0)
    return Planned(CELLS[variant], solved, None)


def ended(each, train, sample, whole, **fields):
    """The record of an ok cell that took ``whole`` seconds, some of them in two of its phases."""
    phases = {"train": PhaseReading(seconds=train), "sample": PhaseReading(seconds=sample)}
    made = record(each.cell.variant, identity=each.cell.identity, phases=phases, **fields)
    ended = f"2026-01-01T00:{whole // 60:02d}:{whole % 60:02d}+00:00"
    return made.model_copy(update={"attempt": made.attempt.model_copy(update={"ended": ended})})


def test_work_is_three_forward_passes_a_training_clip_and_one_a_level():
    assert work(planned()) == 1000 * (3 * 2 * 2 + 4 * 2)
    assert work(planned(), first_step=1) == 1000 * (3 * 1 * 2 + 4 * 2)
    assert work(Planned(planned().cell, None, "no width does")) == 0


def test_longer_clips_and_rollouts_are_more_work():
    def of(*overrides):
        cell = next(each for each in expand(*parse_suite(MINIMAL, overrides=overrides)) if each.variant == "uni")
        return work(Planned(cell, planned().solved, None), first_step=2)

    causal = ("variants.bi.mixer.direction=forward", "diffusion.levels=frame")
    assert of() == of(*causal) == 1000 * 4 * 2
    assert of("sample.frames=12") == 2 * of()
    assert of(*causal, "sample.rollout={chunk: 1}") == 1000 * 4 * 3


def test_seconds_are_a_fixed_part_and_the_rate_of_the_variant_else_of_all():
    estimates, each = Estimates(), planned()
    assert (estimates.seconds(each), estimates.time_left([each], [], 1)) == (None, None)
    estimates.learn(each, ended(each, train=8, sample=12, whole=30))
    assert estimates.seconds(each) == pytest.approx(10 + 20)
    assert estimates.seconds(planned(flops=2000)) == pytest.approx(10 + 40)
    assert estimates.seconds(planned(variant="bi")) == pytest.approx(10 + 20), "at the rate of all"
    slow = planned(variant="floor")
    estimates.learn(slow, ended(slow, train=80, sample=20, whole=130))
    assert estimates.seconds(slow) == pytest.approx((10 + 30) / 2 + 100)
    assert estimates.seconds(Planned(each.cell, None, "no width does")) == 0
    estimates.learn(each, ended(each, 1, 1, 2, status="oom"))
    assert estimates.seconds(each) == pytest.approx(20 + 20), "what ran out of memory says nothing of how long one takes"


def test_a_resumed_cell_counts_for_what_it_did():
    estimates, each = Estimates(), planned()
    resumed = Training(steps=2, first_step=1)
    estimates.learn(each, ended(each, train=2, sample=12, whole=14, training=resumed))
    assert estimates.seconds(each) == pytest.approx(20)


def test_until_a_cell_has_ended_one_that_trains_stands_in():
    estimates, each = Estimates(), planned()
    estimates.learn_early(each, 5.0, Progress("train", steps=2, first=(1, 100.0), latest=(2, 102.0)))
    assert estimates.seconds(each) == pytest.approx(5 + 2 * 20_000 / 6_000)


def test_time_left_fills_the_places_longest_first():
    estimates = Estimates()
    cells = [planned(flops, variant) for flops, variant in ((1000, "uni"), (3000, "bi"), (2000, "floor"))]
    assert [each.solved.flops_forward for each in estimates.longest_first(cells)] == [3000, 2000, 1000]
    estimates.learn(cells[0], ended(cells[0], train=5, sample=5, whole=10))
    order = estimates.longest_first(cells)
    assert estimates.time_left(order, [], 1) == pytest.approx(60)
    assert estimates.time_left(order, [], 2) == pytest.approx(30)
    assert estimates.time_left([], [(cells[1], 12.0)], 2) == pytest.approx(18)


def test_of_cells_that_train_alike_one_trains_and_the_others_go_last():
    """MINIMAL trains 12 forward passes a cell, and samples 4 clips over 2 levels, or over 3."""
    solved = planned().solved
    swept = expand(*parse_suite(MINIMAL + "sweep: {sample.steps: [2, 3]}\n"))
    cells = [Planned(cell, solved, None) for cell in swept if cell.variant != "floor"]
    estimates = Estimates()
    cells = estimates.longest_first(cells)
    order = [each.cell.label for each in cells]
    assert order == ["uni steps=2 seed=0", "bi steps=2 seed=0", "uni steps=3 seed=0", "bi steps=3 seed=0"]
    first, bi, longer, bi_longer = cells
    estimates.begin(first)
    estimates.learn(first, ended(first, train=12, sample=8, whole=30))  # a second a forward pass, ten beside
    assert estimates.time_left([longer], [], 1) == pytest.approx(10 + 12), "three levels of four clips, and no step"
    assert estimates.time_left([bi, bi_longer], [], 1) == pytest.approx((10 + 12 + 8) + (10 + 12))
    took = ended(longer, train=12, sample=12, whole=22, training=Training(steps=2, first_step=2, measured_in="cell/attempt"))
    estimates.learn(longer, took)
    assert estimates.time_left([bi, bi_longer], [], 1) == pytest.approx((10 + 12 + 8) + (10 + 12)), "it trained nothing"
    estimates.begin(longer)
    assert estimates.time_left([], [(longer, 5.0)], 1) == pytest.approx(10 + 12 - 5)


@dataclass
class Instant:
    """An executor whose cells end as told, at once and in the order they came; a stop interrupts what was not heard of."""

    slots: int
    statuses: dict = field(default_factory=dict)
    hang: bool = False
    submitted: list = field(default_factory=list)
    stopped: str | None = None

    def __post_init__(self):
        self.messages = queue.SimpleQueue()

    def submit(self, cells):
        for each in cells:
            self.submitted.append(each)
            self.messages.put(Heard(each.cell.identity, {"type": ATTEMPT_STARTED, "at": 0.0}))
            if not self.hang:
                self._end(each, self.statuses.get(each.cell.variant, "ok"))

    def _end(self, each, status):
        self.messages.put(Ended(each.cell.identity, record(each.cell.variant, identity=each.cell.identity, status=status)))

    def next(self, timeout):
        return None if self.messages.empty() else self.messages.get()

    def stop(self, reason):
        if self.stopped is None and self.hang:
            for each in self.submitted:
                self._end(each, "interrupted")
        self.stopped = reason

    def kill(self): ...

    def __enter__(self):
        return self

    def __exit__(self, *exception): ...


class Told:
    """Hears all."""

    def __init__(self):
        self.reasons, self.left = [], []

    def found(self, statuses, waiting): ...
    def cell_started(self, planned, number, total): ...
    def event(self, planned, event): ...
    def cell_ended(self, planned, record): ...

    def seconds_left(self, seconds):
        self.left.append(seconds)

    def stopping(self, reason):
        self.reasons.append(reason)


@pytest.fixture
def results(tmp_path):
    folder = ResultsFolder(tmp_path)
    folder.prepare()
    return folder


PLAN = [planned(flops, variant) for flops, variant in ((1000, "floor"), (3000, "uni"), (2000, "bi"))]


def variants(executor):
    return [each.cell.variant for each in executor.submitted]


def test_the_longest_goes_first_only_where_several_run_at_a_time(results):
    one, two = Instant(1), Instant(2)
    assert run_suite(results, PLAN, one, Told()).exit_code == 0
    summary = run_suite(results, PLAN, two, Told())
    assert (variants(one), variants(two)) == (["floor", "uni", "bi"], ["uni", "bi", "floor"])
    assert list(summary.statuses) == [each.cell.identity for each in PLAN], "told in the order of the suite all the same"


def test_after_a_failure_none_begins_and_those_that_run_end(results):
    executor = Instant(2, {"uni": "error"})
    summary = run_suite(results, PLAN, executor, Told(), limits=Limits(fail_fast=True))
    assert variants(executor) == ["uni", "bi"]
    assert (summary.exit_code, [cell.variant for cell in summary.left]) == (1, ["floor"])
    assert [cell.variant for cell, _ in summary.records] == ["uni", "bi"]


def test_a_limit_on_cells_counts_those_that_run(results):
    executor = Instant(3)
    summary = run_suite(results, PLAN, executor, Told(), limits=Limits(max_cells=2))
    assert (variants(executor), summary.ran, len(summary.left), summary.exit_code) == (["uni", "bi"], 2, 1, 3)


def test_at_the_wall_limit_cells_are_interrupted_and_the_rest_is_left(results):
    executor, told = Instant(2, hang=True), Told()
    summary = run_suite(results, PLAN, executor, told, limits=Limits(wall_seconds=0.05))
    assert told.reasons == ["the run's limit of 0.05 s was reached"] == [executor.stopped]
    assert sorted(summary.statuses.values()) == ["interrupted", "interrupted"]
    assert ([cell.variant for cell in summary.left], summary.exit_code) == (["floor"], 3)


def test_a_results_folder_that_fails_ends_the_run_and_lets_others_end_well(results):
    class Broken(Instant):
        def submit(self, cells):
            super().submit(cells)
            if len(self.submitted) == 2:
                self.messages.put(Ended(self.submitted[0].cell.identity, error=OSError("no space left on device")))

    executor, told = Broken(2, hang=True), Told()
    with pytest.raises(OSError, match="no space left"):
        run_suite(results, PLAN, executor, told)
    assert executor.stopped == "the run failed: no space left on device"
    assert executor.messages.empty() or len(executor.submitted) == 2


class Beside:
    """Nobody looks; another run comes to an outcome of a cell before this one has its turn."""

    def __init__(self, act):
        self.act = act

    def found(self, statuses, waiting):
        self.act()

    def __getattr__(self, name):
        return lambda *arguments: None


@pytest.mark.fault
@pytest.mark.parametrize(
    ("status", "retry", "tried"),
    [("error", (), True), ("signal", (), True), ("nan", ("nan",), True), ("interrupted", (), False), ("skipped", (), False)],
)
def test_runs_beside_each_other_try_a_cell_once_also_where_it_fails(results, status, retry, tried):
    cell = PLAN[0].cell

    def leave(status):
        return record_without_running(results, cell, results.next_ordinal(cell.identity), status, "by another run")

    leave("nan" if retry else "error")  # from before: that one is tried again
    places = [Place(), Place()]
    executor = LocalExecutor(results, Run(), retry=frozenset(retry), places=places)
    infeasible = Planned(cell, None, "no width does")
    summary = run_suite(results, [infeasible], executor, Beside(lambda: leave(status)), retry=frozenset(retry))
    statuses = [each.status for each in results.history(cell.identity).attempts][1:]
    assert statuses == ([status] if tried else [status, "infeasible"])
    assert summary.statuses == {cell.identity: statuses[-1]}
    assert summary.ran == (0 if tried else 1)
    again = run_suite(
        results, [infeasible], LocalExecutor(results, Run(), retry=frozenset(retry)), Told(), retry=frozenset(retry)
    )
    assert again.ran == (1 if tried else 0), "a run that begins later tries it again"


@pytest.mark.fault
def test_what_another_run_came_to_while_this_one_planned_is_not_tried_again(results):
    cell, infeasible = PLAN[0].cell, Planned(PLAN[0].cell, None, "no width does")
    before = {cell.identity: results.ended_attempts(cell.identity)}
    record_without_running(results, cell, 1, "error", "by another run")
    summary = run_suite(results, [infeasible], LocalExecutor(results, Run()), Told(), ended_before=before)
    assert (summary.ran, summary.statuses, summary.exit_code) == (0, {cell.identity: "error"}, 1)
