"""Kind: **a branch by the name of a metric or quantity**, which knows the ones that were there when it was written.

The direction of a metric was `lower` unless its name was `faithfulness`, and `lower_is_better` of its result was never read.
Found by name: `report/quantities.py` (direction), `report/gate.py` (throughputs, step time), `report/thresholds.py` (loss,
sampling memory), `report/claims.py` (names that begin with `peak_`), `suite/claims.py` (what may have a frontier),
`suite/condition.py`. All of them ask the table of `vdmbench/quantities.py` or the metric's options now. Left are comparisons
with a word that a quantity's name happens to be: what a suite matches, and a row of the streaming figure.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.report.synthetic import make_record
from vdmbench import registry
from vdmbench.quantities import BUILT_IN
from vdmbench.records import MetricResult
from vdmbench.report import Study, comparison_table, main_table
from vdmbench.report.claims import Verdict, judge_claims
from vdmbench.report.findings import improvement_table
from vdmbench.report.gate import Verdict as Judged
from vdmbench.report.gate import compare_cells
from vdmbench.report.results import as_cells
from vdmbench.suite.claims import Claim

PACKAGE = Path(__file__).parents[2] / "vdmbench"
NAMES = {entry.name for entry in registry.metrics} | {quantity.name for quantity in BUILT_IN}
KNOWN = {
    ("matching/plan.py", "match.quantity == 'parameters'"): "what a suite matches, not what a report shows",
    ("matching/plan.py", "match.quantity == 'state'"): "what a suite matches, not what a report shows",
    ("suite/blocks.py", "self.quantity in ('memory', 'state')"): "what a suite matches, not what a report shows",
    ("report/figures/streaming.py", "series == 'state'"): "a row of that figure",
}


def _by_name(tree: ast.AST) -> list[str]:
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            words = [
                word for side in sides for word in (side.elts if isinstance(side, ast.Tuple | ast.List | ast.Set) else [side])
            ]
            hit = any(isinstance(word, ast.Constant) and word.value in NAMES for word in words)
        elif (
            isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ("startswith", "endswith")
        ):
            ends = [word.value for word in node.args if isinstance(word, ast.Constant) and isinstance(word.value, str)]
            hit = any(getattr(name, node.func.attr)(end) for name in NAMES for end in ends)
        else:
            hit = isinstance(node, ast.MatchValue) and isinstance(node.value, ast.Constant) and node.value.value in NAMES
        found += [ast.unparse(node)] if hit else []
    return found


def test_no_branch_asks_which_metric_it_is() -> None:
    sites = {
        (path.relative_to(PACKAGE).as_posix(), text)
        for path in PACKAGE.rglob("*.py")
        for text in _by_name(ast.parse(path.read_text()))
    }
    assert sites == set(KNOWN)


def test_the_search_finds_one() -> None:
    assert _by_name(ast.parse("better = 'higher' if name == 'faithfulness' else 'lower'"))
    assert _by_name(ast.parse("quantity.name.startswith('peak_')"))
    assert not _by_name(ast.parse("kind == 'other'"))


def _study(lower: bool, values: dict[str, list[float]]) -> list:
    return [
        make_record(
            variant,
            seed=seed,
            identity=f"{variant}{seed}",
            point={"data.source": source},
            metrics={"judge": MetricResult(name="judge", value=value, lower_is_better=lower, n_real=64, n_generated=64)},
        )
        for source in ("a", "b")
        for variant, series in values.items()
        for seed, value in enumerate(series)
    ]


GOOD = {"good": [0.8, 0.82, 0.81, 0.79, 0.78, 0.83], "bad": [0.4, 0.41, 0.42, 0.39, 0.38, 0.43]}


@pytest.mark.parametrize(("lower", "winner"), [(False, "good"), (True, "bad")])
def test_tables_follow_the_direction(lower, winner) -> None:
    """A study whose score is larger for `good`."""
    records = [record.model_copy(update={"identity": f"{record.identity}{record.point}"}) for record in _study(lower, GOOD)]
    study = Study.of(records, reference="bad")
    table = main_table(study)
    column = [column.key for column in table.columns].index("judge")
    bold = {row[1].text for row in table.rows if row[column].bold}
    assert bold == {winner}
    improvement = improvement_table(study)
    better = improvement.rows[0][[column.key for column in improvement.columns].index("probability")].value
    assert better == (1.0 if winner == "good" else 0.0)
    # A score of which more is better may be 0 and is compared by differences; neither has a direction.
    assert comparison_table(study).rows[0][2].value == (pytest.approx(100, abs=1) if lower else pytest.approx(0.4))


@pytest.mark.parametrize(
    ("factor", "lower", "verdict"),
    [
        (0.5, False, Judged.REGRESSION),
        (0.5, True, Judged.IMPROVED),
        (2.0, False, Judged.IMPROVED),
        (2.0, True, Judged.REGRESSION),
    ],
)
def test_the_gate_follows_the_direction(factor, lower, verdict) -> None:
    def cells(scale: float) -> list:
        result = MetricResult(name="judge", value=0.4 * scale, lower_is_better=lower, n_real=64, n_generated=64)
        return as_cells([make_record("s4d", metrics={"judge": result})])

    rows = [row for row in compare_cells(cells(1.0), cells(factor)).rows if row.quantity == "judge"]
    assert [row.verdict for row in rows] == [verdict]


def test_records_that_differ_in_direction_are_not_compared() -> None:
    cells = [as_cells([record]) for lower in (True, False) for record in _study(lower, {"good": [0.4]})[:1]]
    assert compare_cells(*cells).exit_code == 4


def test_claims_say_what_they_mean_whatever_the_direction() -> None:
    study = Study.of([record for record in _study(False, GOOD) if record.point["data.source"] == "a"])
    assert judge_claims(study, [Claim(says="judge[good] > judge[bad]")])[0].verdict == Verdict.SUPPORTED
