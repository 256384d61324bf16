"""Which cells a command runs, and what it says of those it leaves."""

from __future__ import annotations

import pytest

from tests.suite.texts import MINIMAL
from vdmbench.records import ResultsFolder
from vdmbench.runner.disk import cell_bytes, refuse_full_disk
from vdmbench.runner.executors.local import LocalExecutor
from vdmbench.runner.planning import Planned
from vdmbench.runner.selection import NothingSelected, select
from vdmbench.runner.supervisor import Limits, Summary, run_suite
from vdmbench.suite import expand, parse_suite
from vdmbench.suite.blocks import Run

CELLS = expand(*parse_suite(MINIMAL + "seeds: [0, 1]\n"))


class Silent:
    """Nobody looks."""

    def cell_started(self, planned, number, total): ...
    def found(self, statuses, waiting): ...
    def event(self, planned, event): ...
    def seconds_left(self, seconds): ...
    def stopping(self, reason): ...
    def cell_ended(self, planned, record): ...


def labels(cells):
    return [cell.label for cell in cells]


def test_cells_are_named_by_variant_identity_label_and_glob():
    assert labels(select(CELLS)) == labels(CELLS)
    assert labels(select(CELLS, ["uni"])) == ["uni seed=0", "uni seed=1"]
    assert labels(select(CELLS, [CELLS[3].identity, CELLS[0].identity[:8]])) == ["floor seed=0", "uni seed=1"]
    assert labels(select(CELLS, ["*seed=1"], ["b*"])) == ["floor seed=1", "uni seed=1"]
    assert labels(select(CELLS, exclude=["bi", "floor seed=0"])) == ["floor seed=1", "uni seed=0", "uni seed=1"]


@pytest.mark.parametrize(
    ("only", "exclude", "message"),
    [
        (["flor"], [], "--only flor: no cell answers to it; did you mean 'floor'?"),
        (["uni"], ["seed=7*"], "--exclude seed=7.*: no cell answers to it; "),
        (["zzz"], [], "variants: floor, uni, bi"),
        (["uni"], ["u*"], "--exclude leaves none of the 6 cells"),
    ],
)
def test_a_selection_that_means_nothing_is_an_error(only, exclude, message):
    with pytest.raises(NothingSelected, match=message):
        select(CELLS, only, exclude)


def test_cells_left_out_and_beyond_the_limit_are_left_and_finished_ones_still_count(tmp_path):
    results = ResultsFolder(tmp_path)
    results.prepare()
    plan = [Planned(cell, None, "no width does") for cell in CELLS]
    two = Limits(max_cells=2)
    first = run_suite(results, plan[:3], LocalExecutor(results, Run()), Silent(), left_out=CELLS[3:], limits=two)
    assert (first.ran, labels(first.left), first.exit_code) == (2, labels(CELLS[2:]), 3)
    others = [*CELLS[:2], *CELLS[4:]]
    second = run_suite(results, plan[2:4], LocalExecutor(results, Run()), Silent(), left_out=others, limits=two)
    assert (second.ran, labels(second.left), second.exit_code) == (2, labels(CELLS[4:]), 3)
    assert sorted(labels(cell for cell, _ in second.records)) == sorted(labels(CELLS[:4]))
    third = run_suite(results, plan, LocalExecutor(results, Run()), Silent(), limits=two)
    assert (third.ran, third.left, third.exit_code) == (2, [], 0)


def test_a_cell_that_was_cut_short_leaves_the_suite_incomplete():
    assert Summary({CELLS[0].identity: "ok", CELLS[1].identity: "interrupted"}).exit_code == 3


@pytest.mark.fault
def test_a_disk_that_is_too_small_is_told_before_any_work(tmp_path, monkeypatch):
    from vdmbench.matching import solve

    solved = solve(CELLS[0].inputs).solved
    plan, results = [Planned(CELLS[0], solved, None), Planned(CELLS[1], None, "no width does")], ResultsFolder(tmp_path)
    refuse_full_disk(results, plan)
    assert cell_bytes(CELLS[0].inputs, solved) > 2 * 4 * 4 * solved.parameters.network
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 1_000_000}))
    with pytest.raises(ValueError, match=r"1 cells to run take about [\d,]{9,} bytes and the disk has 1,000,000 free"):
        refuse_full_disk(results, plan)
    refuse_full_disk(results, plan[1:])
