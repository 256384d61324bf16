"""What a training stands on. A state of it goes on where all of that is the same still, and nowhere else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic import BaseModel, ConfigDict

from vdmbench.data.source import DataError, Source


class CannotGoOn(ValueError):
    """What lies there was trained on something else; the message names it, and says how to begin anew."""


class DataChanged(ValueError):
    """Videos were replaced, changed or taken away while a cell ran."""


class TrainedOn(BaseModel):
    """All that decides the bits of a training; a null field is not known, and is not compared."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cell: str | None = None
    """Identity of the cell that trains."""
    inputs: str | None = None
    """The same of its inputs as they are run, a chosen value in its field."""
    numbers: int | None = None
    """Version of the numbers."""
    knobs: dict[str, int | float] | None = None
    """That the solver moved."""
    cohort: str | None = None
    """Hardware class: of a CPU the number of threads too."""
    data: dict[str, str] | None = None
    """Fingerprints of the splits that training reads: ``train``, and ``test`` where held-out losses are taken along it."""
    latents: str | None = None
    """SHA-256 of the autoencoder whose latents are diffused; ``pixels`` where there is none."""
    weights: str | None = None
    """Attempt whose weights it began with, ``cell/attempt``; ``drawn`` where it began with none."""

    def unlike(self, kept: TrainedOn) -> str | None:
        """What of ``kept`` is otherwise than here, then and now, in words; None where all is the same."""
        for name, tell in _TELL.items():
            now, then = getattr(self, name), getattr(kept, name)
            if name == "data" and then is not None and now is not None:
                then = {split: then.get(split) for split in now}
            if now is not None and now != then:
                return tell(then, now)
        return None


def _told_of_data(then: dict[str, str] | None, now: dict[str, str]) -> str:
    splits = [split for split in now if (then or {}).get(split) != now[split]]
    return " and ".join(
        f"its {split} videos were {short((then or {}).get(split))} and are {short(now[split])} now" for split in splits
    )


_TELL: dict[str, Callable[[Any, Any], str]] = {
    "cell": lambda then, now: f"it is of cell {then}, and this is {now}",
    "numbers": lambda then, now: f"it is of numbers version {then}, and this vdmbench makes version {now}",
    "data": _told_of_data,
    "cohort": lambda then, now: f"it was trained on '{then}', and this is '{now}'",
    "inputs": lambda then, now: "another value was chosen by trials when it was trained",
    "knobs": lambda then, now: f"it was planned with {then}, and the plan is {now} now",
    "latents": lambda then, now: f"its latents were of {short(then)}, and are of {short(now)} now",
    "weights": lambda then, now: f"it began with weights of {then}, and they are of {now} now",
}


def short(fingerprint: str | None) -> str:
    """The first digits of a hash, for people; enough to tell two apart."""
    return "unknown" if fingerprint is None else fingerprint[:8]


class DataWatch:
    """The videos of a cell as they were when it began.

    Args:
        begun: fingerprint of each split then.
        anew: how to begin anew, as a message ends.
    """

    def __init__(self, sources: dict[str, Source], begun: dict[str, str], anew: str) -> None:
        self._sources, self._begun, self._anew = sources, begun, anew

    def look(self, *splits: str) -> None:
        """Look at the files again. Raises :class:`DataChanged` where they are not what they were, naming the split."""
        for split in splits or tuple(self._begun):
            then = self._begun[split]
            try:
                now = self._sources[split].fingerprint()
            except (OSError, DataError) as error:
                raise DataChanged(
                    f"the {split} videos ({short(then)}) cannot be read any more while the cell runs ({error}); {self._anew}"
                ) from None
            if now != then:
                raise DataChanged(
                    f"the {split} videos were changed while the cell ran: they were {short(then)} and are {short(now)} now, so "
                    f"nothing of this attempt counts; {self._anew}"
                )
