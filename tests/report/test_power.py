"""The smallest effect that seeds can decide is what the report's own test finds four times of five."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.suite.texts import MINIMAL
from vdmbench.report.power import POWER, powers, smallest_effect
from vdmbench.report.statistics import LEVEL, fewest_seeds, paired_effect
from vdmbench.suite import SuiteError, parse_suite


@pytest.mark.parametrize(("seeds", "tests"), [(6, 1), (10, 1), (10, 2), (16, 3)])
def test_the_reports_test_finds_it_four_times_of_five(seeds, tests):
    effect = smallest_effect(seeds, tests=tests)
    random = np.random.default_rng(0)
    found = 0
    for _ in range(400):
        logs = random.normal(effect, 1, seeds)
        judged = paired_effect({seed: math.exp(log) for seed, log in enumerate(logs)}, dict.fromkeys(range(seeds), 1.0))
        found += tests * judged.difference.p < LEVEL and (logs > 0).mean() > 0.5
    assert found / 400 == pytest.approx(POWER, abs=0.06)


def test_too_few_seeds_decide_nothing_and_more_decide_less():
    assert smallest_effect(5) is None
    assert smallest_effect(5, sides=1) is not None
    assert smallest_effect(6, tests=2) is None
    assert smallest_effect(fewest_seeds(2), tests=2) is not None
    assert smallest_effect(6) > smallest_effect(9) > smallest_effect(16)


def suite(claims, seeds=8):
    return parse_suite(f"{MINIMAL}claims: [{claims}]\n", "s.yaml", [f"seeds={list(range(seeds))}"])[0]


def test_a_declared_spread_gives_a_percentage():
    (power,) = powers(suite("{says: 'step_time[uni] < step_time[bi]', spread: 5%}"))
    assert power.effect == pytest.approx(math.expm1(smallest_effect(8) * math.sqrt(2) * 0.05), rel=0.01)
    assert power.decides
    assert "8 seeds decide effects from" in power.line()
    (without,) = powers(suite("{says: 'step_time[uni] < step_time[bi]'}"))
    assert without.effect is None
    assert without.deviations == power.deviations
    assert "give the claim a 'spread'" in without.line()


def test_what_cannot_be_decided_says_the_number():
    (few,) = powers(suite("{says: 'step_time[uni] < step_time[bi]', spread: 5%}", seeds=3))
    assert not few.decides
    assert few.line().endswith("3 seeds cannot decide it; at least 6 are needed")
    (narrow,) = powers(suite("{says: 'step_time[uni] = step_time[bi] within 1%', spread: 5%}"))
    assert not narrow.decides
    assert "its tolerance of 1 % is less than the" in narrow.line()


def test_counted_quantities_need_no_seeds():
    assert powers(suite("{says: 'parameters[uni] < parameters[bi]'}")) == []


def test_a_spread_must_be_one():
    with pytest.raises(SuiteError, match="greater than 0"):
        suite("{says: 'step_time[uni] < step_time[bi]', spread: 0}")
