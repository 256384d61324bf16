"""Every mixer against every check of :mod:`vdmbench.mixers.conformance`, as one table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vdmbench import registry
from vdmbench.bench.mixer_contest import mixer_choice
from vdmbench.bench.tables import Grid
from vdmbench.bench.workload import InvalidWorkload
from vdmbench.mixers.conformance import CHECKS, Check, check_mixer
from vdmbench.mixers.making import mixer_maker

DOES_NOT_APPLY = "–"
_OTHER_WAY = {"direction": "both", "causal": "true"}
"""What turns a causal mixer into one that is not, or the reverse."""


@dataclass(frozen=True)
class Conformance:
    """What one mixer answered; a mixer that could not be built has one failed check, ``construction``."""

    mixer: str
    checks: list[Check]

    @property
    def passed(self) -> bool:
        return all(check.passed for check in self.checks)


def conformances(texts: Sequence[str] = (), channels: int = 16) -> list[Conformance]:
    """Of these mixers, ``name`` or ``name,option=value``; by default of all registered ones, causal and not where there is a
    choice.

    Raises :class:`vdmbench.bench.workload.InvalidWorkload` for an unknown name.
    """
    choices = {text: mixer_choice(text) for text in texts or _registered()}
    return [Conformance(text, check_mixer(mixer_maker(choice), channels)) for text, choice in choices.items()]


def _registered() -> list[str]:
    texts = []
    for entry in registry.mixers:
        texts.append(entry.name)
        options = entry.load_options().model_fields
        other = [f"{entry.name},{option}={value}" for option, value in _OTHER_WAY.items() if option in options]
        texts += [text for text in other if _fits(text)]
    return texts


def _fits(text: str) -> bool:
    """Whether an option can be set alone; one that needs another is for who names both."""
    try:
        mixer_choice(text)
    except InvalidWorkload:
        return False
    return True


def conformance_grid(found: Sequence[Conformance]) -> Grid:
    """A line a mixer, a column a check: ``pass``, ``FAIL``, or a dash where the check does not apply."""
    lines = []
    for each in found:
        answers = {check.name: check for check in each.checks}
        cells = [_cell(answers.get(name)) for name in ("construction", *CHECKS)]
        lines.append([each.mixer, *cells])
    return Grid("Conformance of the mixers", ["mixer", "construction", *CHECKS], lines)


def _cell(check: Check | None) -> str:
    if check is None:
        return "not run"
    if not check.passed:
        return "FAIL"
    return DOES_NOT_APPLY if check.reason else "pass"


def failures(found: Sequence[Conformance]) -> list[str]:
    """A line for each check that failed."""
    return [f"{each.mixer}: {check.name}: {check.reason}" for each in found for check in each.checks if not check.passed]
