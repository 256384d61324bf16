"""Many cells under random kills of workers and supervisors: in the end each is there, once, with the same numbers.

``VDMBENCH_SOAK_CELLS`` and ``VDMBENCH_SOAK_SEED`` choose how many, and which kills.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest

from tests.faults.episodes import SUITE, UNDISTURBED, Episode, struck_mixer

CELLS = int(os.environ.get("VDMBENCH_SOAK_CELLS", "200"))
SEED = int(os.environ.get("VDMBENCH_SOAK_SEED", "0"))
BETWEEN_KILLS = (0.2, 2.5)
"""Shortest and longest, as parts of the time that a command with one cell takes here: kills come as often as cells end."""
SHARE_OF_SUPERVISORS = 0.3


def workers_of(supervisor: int) -> list[psutil.Process]:
    try:
        children = psutil.Process(supervisor).children(recursive=True)
        return [child for child in children if any("runner.worker" in part for part in child.cmdline())]
    except psutil.NoSuchProcess:
        return []


def still_there(folder: Path) -> list[psutil.Process]:
    """Processes that were started in a folder, whoever their parent is now."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.status() != psutil.STATUS_ZOMBIE and Path(process.cwd()) == folder:
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def killed_at_random(episode: Episode, chance: random.Random, typical: float, kills: Counter[str]) -> int:
    """One command, while it lasts, under kills; its exit code."""
    supervisor = episode.begin(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while True:
        try:
            return supervisor.wait(typical * chance.uniform(*BETWEEN_KILLS))
        except subprocess.TimeoutExpired:
            workers = workers_of(supervisor.pid)
            whom = "supervisor" if chance.random() < SHARE_OF_SUPERVISORS or not workers else "worker"
            victim = supervisor.pid if whom == "supervisor" else chance.choice(workers).pid
            try:
                os.kill(victim, signal.SIGKILL)
            except ProcessLookupError:
                continue
            kills[whom] += 1


@pytest.mark.slow
@pytest.mark.fault
@pytest.mark.timeout(24 * 3600)
def test_a_soak_under_kills_loses_nothing(tmp_path, capsys):
    variants = [f"  cell-{n:04d}: {{mixer: {{name: 'struck.py:Struck', fault: cell-{n:04d}}}}}\n" for n in range(CELLS)]
    (tmp_path / "suite.yaml").write_text(SUITE + "".join(variants))
    (tmp_path / "struck.py").write_text(struck_mixer())
    episode, chance, kills = Episode(tmp_path), random.Random(SEED), Counter[str]()
    began = time.monotonic()
    assert episode.run(f"--only={UNDISTURBED}") == 3, episode.said
    typical, began, codes = time.monotonic() - began, time.monotonic(), Counter[int]()
    while (code := killed_at_random(episode, chance, typical, kills)) != 0:
        codes[code] += 1
        assert codes[2] == 0, "a kill made the command refuse its own results"
    seconds = time.monotonic() - began

    deadline = time.monotonic() + 20
    while still_there(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert still_there(tmp_path) == [], "orphans"
    reference = episode.numbers(episode.history(UNDISTURBED).latest)
    histories = list(episode.results.histories())
    assert len(histories) == CELLS + 1
    statuses = Counter[str]()
    for history in histories:
        statuses.update(each.status for each in history.attempts)
        assert [each.status for each in history.attempts].count("ok") == 1
        assert episode.numbers(history.latest) == reference, history.latest.label
    resumed = sum((history.latest.training.first_step or 0) > 0 for history in histories)
    assert CELLS < 20 or min(kills["worker"], kills["supervisor"]) > 0, "too few kills to say anything"
    with capsys.disabled():
        print(
            f"\n  {CELLS} cells in {seconds:.0f} s; killed: {dict(kills)}; commands by exit code: {dict(codes)} and 0; "
            f"attempts: {dict(statuses)}; {resumed} cells went on from a checkpoint; lost: none"
        )
