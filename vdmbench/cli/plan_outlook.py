"""What a plan says of the run itself: how long it will take, and how small an effect its claims can decide."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vdmbench.report.power import Power
    from vdmbench.runner.outlook import Outlook
    from vdmbench.runner.planning import Plan
    from vdmbench.suite import Suite


@dataclass(frozen=True)
class Ahead:
    """Both."""

    outlook: Outlook
    powers: list[Power]

    def lines(self) -> list[str]:
        """For a reader."""
        return [self.outlook.line(), *(f"claim {power.line()}" for power in self.powers)]

    def as_json(self) -> dict[str, Any]:
        """As ``vdmbench plan --json`` adds it."""
        return {
            "outlook": self.outlook.as_json(),
            "claims": [{**asdict(power), "effect": power.effect, "decides": power.decides} for power in self.powers],
        }


def look_ahead(plan: Plan, suite: Suite, results: Path) -> Ahead:
    """From the plan, and from the records of earlier runs in ``results`` where there are some."""
    from vdmbench.records import ResultsFolder
    from vdmbench.runner.outlook import outlook

    histories = list(ResultsFolder(results).histories()) if results.is_dir() else []
    records = [history.latest for history in histories]
    card = None if suite.run.device == "cpu" else suite.run.plan_for
    found = outlook(plan.cells, records, card=card, records_in=str(results))
    if not suite.claims:
        return Ahead(found, [])
    from vdmbench.report.power import powers
    from vdmbench.report.study import NotComparable, Study

    try:
        measured = Study.of(records) if records else None
    except NotComparable:  # mixed records tell no spread
        measured = None
    return Ahead(found, powers(suite, measured))
