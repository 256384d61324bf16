"""What a report is made of, item by item: one that cannot be made says why, and all the others are made.

A table, a figure, a claim, a card, a wall of samples, a download, a number: each is made through :meth:`Items.make`. Making is
apart from writing: a disk that is full ends the report, for then nothing that follows would be there either.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

LONGEST_REASON = 300
"""Characters of an error that a page repeats."""


class Items:
    """Makes the items of one report, and keeps why some are not there."""

    def __init__(self, tell: Callable[[str], str] = str) -> None:
        """``tell``: what may be told of a reason."""
        self.tell = tell
        self.missing: dict[str, str] = {}
        """Item to the reason, in the order in which they were tried."""

    def make(self, name: str, make: Callable[[], T]) -> T | None:
        """What ``make`` returns; None where it raised, with the reason under ``name`` in :attr:`missing`."""
        try:
            return make()
        except Exception as error:  # whatever goes wrong in one item is that item's, and is said on the page
            self.missing[self.tell(name)] = reason(error, self.tell)
            return None


def reason(error: Exception, tell: Callable[[str], str] = str) -> str:
    """An error in one line, its kind in front where it was not written for people; of its words what ``tell`` makes of them."""
    said = " ".join(tell(str(error)).split())
    text = said if said and isinstance(error, ValueError) else ": ".join(filter(None, (type(error).__name__, said)))
    return text if len(text) <= LONGEST_REASON else f"{text[:LONGEST_REASON]}…"
