"""The learning rate of each step, as declared."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest

from tests.suite.texts import MINIMAL
from vdmbench.suite import SuiteError, load_suite, parse_suite
from vdmbench.suite.blocks import Train
from vdmbench.suite.learning_rate import learning_rate, warm_up_steps
from vdmbench.suite.shipped import shipped_suites


def rates(steps: int, **declared) -> list[float]:
    train = Train(steps=steps, batch_size=1, learning_rate=2.0, **declared)
    return [learning_rate(train, step) for step in range(steps)]


def test_it_rises_linearly_to_its_value_and_stays():
    assert rates(8, learning_rate_warm_up=4) == [0.5, 1.0, 1.5, 2.0, 2.0, 2.0, 2.0, 2.0]
    assert rates(8, learning_rate_warm_up="50%") == rates(8, learning_rate_warm_up=4)
    assert rates(8, learning_rate_warm_up=0) == [2.0] * 8


def test_a_share_of_the_steps_is_the_default_for_every_length():
    assert [warm_up_steps(Train(steps=steps, batch_size=1)) for steps in (1, 20, 21, 2000)] == [1, 1, 2, 100]
    assert rates(20) == [2.0] * 20


def test_a_cosine_falls_to_its_share_after_the_warm_up():
    found = rates(12, learning_rate_warm_up=2, schedule="cosine", min_learning_rate=0.1)
    assert found[:3] == [1.0, 2.0, 2.0]
    assert found[7] == pytest.approx(2.0 * (0.1 + 0.9 * 0.5))  # half way
    assert found[11] == pytest.approx(2.0 * (0.1 + 0.45 * (1 + math.cos(math.pi * 0.9))))
    assert all(later < earlier for earlier, later in pairwise(found[2:]))


@pytest.mark.parametrize(
    ("override", "place", "remedy"),
    [
        ("train.learning_rate_warm_up=2", "train.learning_rate_warm_up", "lower it, or give a share"),
        ("train.learning_rate_warm_up=1.5", "train.learning_rate_warm_up", "a share is below 1, such as 5%"),
        ("train.learning_rate_warm_up=-1", "train.learning_rate_warm_up", "greater than or equal to 0"),
        ("train.learning_rate_warm_up=soon", "train.learning_rate_warm_up", "number"),
        ("train.schedule=linear", "train.schedule", "cosine"),
        ("train.min_learning_rate=0.1", "train.min_learning_rate", "set 'schedule: cosine'"),
        ("train.min_learning_rate=1", "train.min_learning_rate", "less than 1"),
    ],
)
def test_what_cannot_be_is_refused_in_a_line(override, place, remedy):
    with pytest.raises(SuiteError, match=remedy) as caught:
        parse_suite(MINIMAL, overrides=(override,))
    (line,) = str(caught.value).splitlines()
    assert place in line


def test_the_published_suite_has_none():
    suite, _ = load_suite(shipped_suites()["oshima2024_minerl"])
    assert (suite.train.learning_rate_warm_up, suite.train.schedule) == (0, "constant")
