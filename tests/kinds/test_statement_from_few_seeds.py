"""Kind: **a derived statement from fewer than three seeds**, or an exponent through two lengths.

Thirty-six exponents and crossovers were printed from one seed at two lengths, variants were called dominated by one run,
frontiers read at a level and data sets counted as won, while the same page said that under three seeds nothing is claimed.
Everything that is derived goes through `statistics.seed_by_seed` or `paired_effect` now, which say nothing below three seeds;
fronts, profiles and improvement leave out what has fewer, and an exponent wants three lengths (also the planned one, which is
simulated and has no seeds). Left are points: means, deviations and medians of what was run, shown with their number and
claiming nothing, the pace of a machine, which rests on three cells or more, and the middle of a collapsed run's two siblings.
"""

from __future__ import annotations

import ast

import pytest

from tests.kinds.syntax import called, places
from tests.report.synthetic import make_record
from vdmbench.report import Study, draw
from vdmbench.report.claims import Verdict, judge_claims
from vdmbench.report.claims_table import claims_table
from vdmbench.report.figures import NothingToDraw
from vdmbench.report.findings import frontier_table, improvement_table, levels_table, scaling_table
from vdmbench.report.planned_memory import Curve
from vdmbench.report.tables import comparison_table, main_table
from vdmbench.report.write import report_tables
from vdmbench.suite.claims import Claim

REDUCES = {
    "mean",
    "median",
    "std",
    "quantile",
    "percentile",
    "polyfit",
    "mean_entry",
    "undominated",
    "seed_by_seed",
    "paired_effect",
}
STATES = {"mean", "deviation", "median"}
"""Properties of outcomes and of numbers over seeds."""

GUARDED = "nothing below three seeds: by the function that it calls"
POINT = "a point: what was run, with the number of seeds on the page; nothing is claimed"
SHOWN = "writes what was derived from three seeds or more"
INSIDE = "not over seeds"
SITES = {
    "report/aggregation.py:_median_and_interval": POINT,
    "report/aggregation.py:aggregate": POINT,
    "report/aggregation.py:best": "chooses whom to test; what is bold is tested",
    "report/aggregation.py:compare": GUARDED,
    "report/behaviour.py:_entries": POINT,
    "report/claims.py:_alike": GUARDED,
    "report/claims.py:_at_points": GUARDED,
    "report/claims.py:_finding": POINT,
    "report/claims.py:_pooled": INSIDE,
    "report/collapses.py:collapsed": "two siblings at least: a run is named, not judged",
    "report/copies.py:_entries": POINT,
    "report/encodings.py:encodings_table": POINT,
    "report/figures/consistency.py:drift": INSIDE,
    "report/figures/differences.py:_can_be_drawn": POINT,
    "report/figures/differences.py:draw_differences": POINT,
    "report/figures/frontier.py:draw_front": "leaves out points of fewer than three seeds",
    "report/figures/frontier.py:draw_frontier": POINT,
    "report/figures/length.py:_mean": POINT,
    "report/figures/phases.py:phase_peaks": POINT,
    "report/figures/progress.py:draw_progress": POINT,
    "report/figures/scaling.py:draw_scaling": POINT,
    "report/figures/streaming.py:streaming_figure": POINT,
    "report/figures/training.py:draw_training": POINT,
    "report/findings.py:_crossover_text": SHOWN,
    "report/findings.py:_gap_entry": SHOWN,
    "report/findings.py:_reading": SHOWN,
    "report/findings.py:_slope_entry": SHOWN,
    "report/findings.py:_with_interval": SHOWN,
    "report/frontier.py:Point.means": "a point; fronts leave out those of fewer than three seeds",
    "report/frontier.py:_front": INSIDE,
    "report/frontier.py:_mean_gap": INSIDE,
    "report/frontier.py:dominating": "leaves out points of fewer than three seeds",
    "report/frontier.py:frontier_gap": GUARDED,
    "report/frontier.py:read_at": GUARDED,
    "report/gate.py:_excuse_scatter": "from five seeds on",
    "report/improvement.py:performance_profile": "groups in which nobody has three seeds have no best",
    "report/improvement.py:probability_of_improvement": "data sets with three common seeds alone",
    "report/pace.py:_pace": "over three cells or more, which are what a machine's pace is repeated by",
    "report/page/cards.py:_run_facts": "steps of one run",
    "report/planned_memory.py:Curve.exponent": "simulated, three lengths at least",
    "report/render.py:csv_text": SHOWN,
    "report/render.py:table_frame": SHOWN,
    "report/scaling.py:crossover": GUARDED,
    "report/scaling.py:exponent": GUARDED,
    "report/streaming.py:streamed": POINT,
    "report/study.py:Outcome.deviation": POINT,
    "report/study.py:Outcome.mean": POINT,
    "report/tables.py:_difference": POINT,
    "report/tables.py:_entry": POINT,
    "report/tables.py:column_scales": "picks a unit",
    "report/tables.py:mean_entry": POINT,
    "report/power.py:_deviations": "three seeds at least; a spread to plan with, which judges nothing",
    "report/power.py:_spread": "the same",
}


def _reduces(node: ast.AST) -> bool:
    if called(node) in REDUCES:
        return True
    return isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load) and node.attr in STATES


def test_every_place_that_makes_one_number_of_several_seeds_is_known() -> None:
    found = {place for place in places(_reduces, "report") if not place.startswith("report/statistics.py")}
    assert found == set(SITES)


def test_the_search_finds_one() -> None:
    assert _reduces(ast.parse("np.mean(values)").body[0].value)
    assert _reduces(ast.parse("outcome.mean").body[0].value)


def _study(seeds: int, lengths: tuple[int, ...] = (16, 32, 64)) -> Study:
    """Two variants that differ clearly, over widths, lengths and data sets."""
    records = [
        make_record(
            "s4d",
            frames,
            seed,
            identity=f"{variant}{frames}{base}{source}{seed}",
            point={"data.frames": frames, "network.base_channels": base, "data.source": source},
            memory_factor=memory * base / 32,
            distance_factor=distance * (32 / base) ** 0.5,
        ).model_copy(update={"variant": variant})
        for variant, memory, distance in (("lean", 0.5, 0.8), ("fat", 1.0, 1.0))
        for frames in lengths
        for base in (16, 32, 64)
        for source in ("maze", "sprites")
        for seed in range(seeds)
    ]
    return Study.of(records, reference="fat")


CLAIMS = [
    Claim(says="fvd[lean] < fvd[fat]", sided="one"),
    Claim(says="fvd[lean] = fvd[fat] within 90%"),
    Claim(says="peak_train_memory[lean] < peak_train_memory[fat] when fvd within 90%"),
    Claim(says="peak_train_memory[lean] < peak_train_memory[fat] at equal fvd"),
    Claim(says="parameters[lean] < 1"),
]
DERIVED = (frontier_table, levels_table, improvement_table, scaling_table)


@pytest.mark.parametrize("seeds", [1, 2])
def test_nothing_is_derived_claimed_or_bold(seeds) -> None:
    study = _study(seeds)
    for make in DERIVED:
        table = make(study)
        assert table.rows == [], make.__name__
        assert "three seeds" in table.wanting or "3 seeds" in table.wanting, make.__name__
    judged = judge_claims(study, CLAIMS)
    assert {judgement.verdict for judgement in judged} == {Verdict.UNDECIDED}
    assert all(judgement.reason or all(finding.reason for finding in judgement.findings) for judgement in judged)
    for table in (main_table(study), comparison_table(study), claims_table(judged)):
        assert not any(entry.bold for row in table.rows for entry in row), table.name
    assert not any(line.get_drawstyle() == "steps-post" for axes in draw(study, "frontier").axes for line in axes.lines)
    with pytest.raises(NothingToDraw, match="three seeds"):
        draw(study, "profiles")


def test_from_eight_seeds_all_of_it_is_said() -> None:
    study = _study(8)
    assert all(make(study).rows for make in DERIVED)
    *others, counted = [judgement.verdict for judgement in judge_claims(study, CLAIMS)]
    assert (set(others), counted) == ({Verdict.SUPPORTED}, Verdict.REFUTED)
    assert any(entry.bold for row in main_table(study).rows for entry in row)


def test_no_exponent_goes_through_two_lengths() -> None:
    assert scaling_table(_study(6, (16, 64))).rows == []
    assert Curve("a", "train", {16: 100, 64: 400}).exponent is None
    assert Curve("a", "train", {16: 100, 32: 200, 64: 400}).exponent == pytest.approx(1)


def test_the_main_table_says_which_tables_are_not_there_and_why() -> None:
    notes = next(table for table in report_tables(_study(2)) if table.name == "main").notes
    assert [note.partition(": no table, for ")[0] for note in notes if ": no table, for " in note] == [
        "Memory and distance",
        "Memory at one distance, distance at one memory",
        "Over data sets",
        "Growth with clip length",
    ]
