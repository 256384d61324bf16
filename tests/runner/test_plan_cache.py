"""A plan is kept by the cell's identity, for the code that made it, and only where it follows from these alone."""

from __future__ import annotations

import pytest

from tests.suite.texts import MINIMAL
from vdmbench.runner import plan_cache
from vdmbench.runner.plan_cache import PlanCache
from vdmbench.runner.planning import plan
from vdmbench.suite import expand, parse_suite

ANSWER = {
    "solved": {"parameters": {"network": 5, "temporal": 1}, "state_elements": 0, "flops_forward": 7, "flops_temporal": 1},
    "infeasible": None,
}
NONE = {"solved": None, "infeasible": "no width does"}


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "vdmbench" / "plans"


def cells(text=MINIMAL):
    return expand(*parse_suite(text))


def kept(answers):
    cache = PlanCache("minimal", memory=False)
    for cell, answer in answers:
        cache.add([cell], answer)
    cache.save()
    return PlanCache("minimal", memory=False)


def test_what_was_kept_comes_back_and_equal_answers_are_one_file_entry(own_cache):
    floor, uni, bi = cells()
    cache = kept([(floor, ANSWER), (uni, ANSWER), (bi, NONE)])
    solved, infeasible = cache.get(uni.identity)
    assert (solved.parameters.network, infeasible) == (5, None)
    assert cache.get(bi.identity) == (None, "no width does")
    assert PlanCache("minimal", memory=True).get(uni.identity) is None, "asked with memory is another question"
    (file,) = own_cache.iterdir()
    assert file.read_text().count("no width does") == file.read_text().count("flops_forward") == 1


def test_a_suite_that_is_planned_needs_no_planner(monkeypatch):
    kept([(cell, ANSWER) for cell in cells()])
    monkeypatch.setattr("subprocess.Popen", None)
    found = plan(cells())
    assert [each.solved.flops_forward for each in found.cells] == [7, 7, 7]
    assert found.problems == []


def test_other_code_is_another_file_and_the_old_one_is_dropped(own_cache, monkeypatch):
    kept([(cells()[0], ANSWER)])
    monkeypatch.setattr(plan_cache, "code_digest", lambda: "other")
    assert PlanCache("minimal", memory=False).get(cells()[0].identity) is None
    kept([(cells()[1], ANSWER)])
    assert [file.name for file in own_cache.iterdir()] == ["minimal.without-memory.other.json"]


def test_an_answer_that_was_changed_since_is_no_answer(own_cache):
    (cell, *_) = cells()
    kept([(cell, ANSWER)])
    (file,) = own_cache.iterdir()
    file.write_text(file.read_text().replace('"flops_forward": 7', '"flops_forward": 8'))
    assert PlanCache("minimal", memory=False).get(cell.identity) is None


def test_a_measured_match_is_solved_anew():
    text = MINIMAL + "match: {quantity: memory, budget: 1GiB, knob: batch_size, source: measured, exempt: [floor]}\n"
    floor, uni, _ = cells(text)
    cache = kept([(floor, ANSWER), (uni, ANSWER)])
    assert cache.get(floor.identity) is not None
    assert cache.get(uni.identity) is None


@pytest.mark.parametrize(
    "content", ["", "[]", '{"answers": {}, "cells": []}', '{"answers": {"a": {"solved": 3}}, "cells": {"%s": "a"}}']
)
def test_a_damaged_cache_is_no_cache(own_cache, content):
    (cell, *_) = cells()
    kept([(cell, ANSWER)])
    (file,) = own_cache.iterdir()
    file.write_text(content.replace("%s", cell.identity))
    assert PlanCache("minimal", memory=False).get(cell.identity) is None
    assert kept([(cell, ANSWER)]).get(cell.identity) is not None
