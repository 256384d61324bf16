"""Every cell of a suite meets a fault of its own; the same command, again, ends with the numbers of an undisturbed run."""

from __future__ import annotations

import pytest

from tests.faults.episodes import UNDISTURBED, gone, play
from tests.faults.table import AILMENTS, KILLS, STEPS

pytestmark = [pytest.mark.fault, pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    return play(tmp_path_factory.mktemp("killed"), KILLS)


@pytest.fixture(scope="module")
def ailing(tmp_path_factory):
    return play(tmp_path_factory.mktemp("ailing"), AILMENTS, "run.wall_limit=45")


def held_to(episode, fault):
    """One struck attempt with its cause, one that is ok, and nothing else; no orphan; the undisturbed cell's numbers."""
    struck, after = episode.history(fault.key).attempts
    assert (struck.status, struck.phase) == (fault.status, fault.ended_in)
    assert fault.message in (struck.message or "")
    assert (after.status, after.attempt.ordinal) == ("ok", 2)
    assert after.training.first_step == fault.resumed_at
    assert after.training.steps == STEPS
    assert gone(episode.struck_by(fault))
    assert episode.numbers(after) == episode.numbers(episode.history(UNDISTURBED).latest)


def held_to_exit_codes(episode, faults):
    """A fault of the supervisor ends the command with its own code; those of workers are told together, by one 1."""
    ending = [fault.exit_code for fault in faults if fault.exit_code != 1]
    failing = [1] if any(fault.exit_code == 1 for fault in faults) else []
    assert episode.exit_codes == [*ending, *failing, 0], "\n".join(episode.said)
    (undisturbed,) = episode.history(UNDISTURBED).attempts
    assert undisturbed.status == "ok"
    histories = list(episode.results.histories())
    assert len(histories) == len(faults) + 1
    assert all([each.status for each in history.attempts].count("ok") == 1 for history in histories)


@pytest.mark.parametrize("fault", KILLS, ids=lambda fault: fault.key)
def test_a_kill_loses_nothing_that_was_finished(killed, fault):
    held_to(killed, fault)


def test_a_run_with_kills_says_how_it_ended(killed):
    held_to_exit_codes(killed, KILLS)


@pytest.mark.slow
@pytest.mark.parametrize("fault", AILMENTS, ids=lambda fault: fault.key)
def test_an_ailment_loses_nothing_that_was_finished(ailing, fault):
    held_to(ailing, fault)


@pytest.mark.slow
def test_a_run_with_ailments_says_how_it_ended(ailing):
    held_to_exit_codes(ailing, AILMENTS)
