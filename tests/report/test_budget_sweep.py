"""A sweep of the budget that variants are matched to is one curve a variant, and sizes are written with their units."""

from __future__ import annotations

import pytest

from tests.report.synthetic import GIB, make_record
from vdmbench.report import Study, draw
from vdmbench.report.aggregation import aggregate, effects
from vdmbench.report.claims import judge_claims
from vdmbench.report.findings import frontier_table, levels_table
from vdmbench.report.frontier import widths
from vdmbench.report.judgement import Verdict
from vdmbench.report.page.summary import summary_section
from vdmbench.report.panels import panels
from vdmbench.report.render import latex_numbers
from vdmbench.report.tables import main_table
from vdmbench.suite.claims import Claim

BUDGETS = {"2GiB": 2.0, "4GiB": 4.0, 8 * GIB: 8.0}
"""As a suite may write them, and what they let a variant take."""


def _cell(variant: str, seed: int, budget: str | int | None, gib: float, distance: float):
    record = make_record(variant, 16, seed, cuda=False, card="a100-80gb", distance_factor=distance)
    peaks = {
        phase: peak.model_copy(update={"allocated_peak_bytes": int(gib * GIB * share)})
        for (phase, peak), share in zip(record.solved.memory.items(), (1.0, 0.3), strict=True)
    }
    point = {"data.frames": 16} if budget is None else {"data.frames": 16, "match.budget": budget}
    return record.model_copy(
        update={
            "point": point,
            "identity": f"{variant}-{budget}-{seed}",
            "solved": record.solved.model_copy(update={"memory": peaks}),
        }
    )


def _records(seeds: int = 6):
    found = []
    for seed in range(seeds):
        for budget, gib in BUDGETS.items():
            found.append(_cell("s4d", seed, budget, 0.95 * gib, gib**-0.5))
            found.append(_cell("bi-mamba", seed, budget, 0.97 * gib, 1.05 * gib**-0.5))
        found.append(_cell("identity", seed, None, 0.5, 2.0))  # exempt: the same network under every budget
    return found


@pytest.fixture(scope="module")
def study() -> Study:
    return Study.of(_records(), reference="s4d")


def test_budgets_are_widths_of_one_panel(study) -> None:
    assert widths(study) == ["budget"]
    assert study.labels == ["s4d", "bi-mamba", "identity"], "an exempt variant is no variant of its own a budget"
    assert len(panels(study, widths(study))) == 1
    figure = draw(study, "frontier")
    assert len(figure.axes) == 1
    curves = [line for line in figure.axes[0].lines if len(line.get_xdata()) == 3 and line.get_zorder() == 4]
    assert len(curves) == 2
    assert list(curves[0].get_xdata()) == pytest.approx([0.95 * 2, 0.95 * 4, 0.95 * 8], rel=1e-6)


def test_claims_at_equal_memory_and_levels_read_it(study) -> None:
    says = [
        "fvd[bi-mamba] < fvd[s4d] at equal planned_train_memory",
        "planned_train_memory[bi-mamba] < planned_train_memory[s4d] at equal fvd",
    ]
    judged = judge_claims(study, [Claim(says=each, sided="one") for each in says])
    assert [judgement.verdict for judgement in judged] == [Verdict.SUPPORTED, Verdict.SUPPORTED]
    assert judged[0].findings[0].effect < -0.2
    levels = [entry.text for row in levels_table(study).rows for entry in row]
    assert [text for text in levels if text in study.labels] == ["s4d", "bi-mamba"]
    assert "Memory at equal distance, against s4d (%)" in {column.header for column in frontier_table(study).columns}


def test_sizes_are_written_with_their_unit_everywhere(study) -> None:
    texts = [entry.text for row in main_table(study).rows for entry in row]
    assert {"2 GiB", "4 GiB", "8 GiB", "–"} <= set(texts)
    assert study.title(study.groups[0]) == "16 frames, budget 2 GiB"
    assert [study.cells_in(group, "s4d")[0].record.label for group in study.groups[:3]] == [
        f"s4d frames=16 budget={size} seed=0" for size in ("2GiB", "4GiB", "8GiB")
    ]
    everything = " ".join(
        [*texts, *(study.title(group) for group in study.groups), *(cell.record.label for cell in study.cells)]
    )
    assert not any(str(power) in everything for power in (2 * GIB, 4 * GIB, 8 * GIB))
    for figure in ("frontier", "differences", "phases"):
        drawn = draw(study, figure)
        shown = [text.get_text() for axes in drawn.axes for text in [axes.title, *axes.get_xticklabels(), *axes.texts]]
        assert not any(str(8 * GIB) in text for text in shown)


def test_numbers_of_a_paper_and_the_page_say_sizes_too(study) -> None:
    scales = {"fvd": (1.0, "")}
    numbers = latex_numbers(aggregate(study), study.coordinates, scales)
    for key in ("s4d/frames=16,budget=8GiB/fvd", "identity/frames=16/fvd"):
        assert rf"\csname vdm@{key}\endcsname" in numbers
    assert "budget: 2 GiB, 4 GiB, 8 GiB" in summary_section(study)
    assert str(8 * GIB) not in numbers + summary_section(study)


def test_a_claim_may_name_a_budget_as_people_write_it(study) -> None:
    for budget in ("8GiB", "8.0 GiB", 8 * GIB, ["8GiB"]):
        (judged,) = judge_claims(study, [Claim(says="fvd[bi-mamba] < fvd[s4d]", at={"budget": budget}, sided="one")])
        assert [finding.where for finding in judged.findings] == ["16 frames, budget 8 GiB"]


def test_an_exempt_variant_is_compared_at_every_budget(study) -> None:
    (judged,) = judge_claims(study, [Claim(says="fvd[bi-mamba] < 0.5 * fvd[identity]", sided="one")])
    assert judged.verdict == Verdict.SUPPORTED
    assert [finding.where for finding in judged.findings] == [f"16 frames, budget {size} GiB" for size in (2, 4, 8)]
    against = Study.of(_records(), reference="identity")
    assert effects(against, against.quantity("fvd"))[against.groups[0]]["s4d"].on_scale.median < -0.5


def test_budgets_that_lead_to_one_width_are_no_curve() -> None:
    records = [
        _cell(variant, seed, budget, 1.0, 1.0) for variant in ("s4d", "bi-mamba") for seed in range(6) for budget in BUDGETS
    ]
    (judged,) = judge_claims(Study.of(records), [Claim(says="fvd[bi-mamba] < fvd[s4d] at equal planned_train_memory")])
    assert judged.findings[0].reason.startswith("1 and 1 widths were run")
