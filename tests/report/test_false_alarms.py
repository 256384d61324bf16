"""How often tests say something false: the tables of docs/report.md are those of claims.json, and come out again."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from benchmarks.claims import SEEDS, SHAPES, draw, points_table, power_rows, power_table, sign_test_p, size_rows, size_table
from tests.report.synthetic import make_record
from vdmbench.records import MetricResult
from vdmbench.report import Study
from vdmbench.report.claims import Verdict, judge_claims
from vdmbench.suite.claims import Claim

ROOT = Path(__file__).parents[2]
MEASURED = json.loads((ROOT / "benchmarks" / "cpu" / "claims.json").read_text())
RUNS = 400
ALLOWED = 6.5


@pytest.mark.parametrize(("name", "table"), [("size", size_table), ("power", power_table), ("points", points_table)])
def test_the_page_shows_what_was_measured(name, table) -> None:
    """Set VDMBENCH_UPDATE_GOLDEN=1 to write the page anew."""
    page = ROOT / "docs" / "report.md"
    text = page.read_text()
    start = text.index("\n", text.index(f"<!-- {name}:")) + 1
    end = text.index("\n<!-- end -->", start)
    if os.environ.get("VDMBENCH_UPDATE_GOLDEN"):
        page.write_text(text[:start] + table(MEASURED) + text[end:])
    assert page.read_text()[start:].startswith(table(MEASURED) + "\n<!-- end -->")


def test_size_is_kept_for_every_shape_wherever_a_verdict_is_given() -> None:
    assert {(row["shape"], row["seeds"]) for row in MEASURED["size"]} == {(shape, seeds) for shape in SHAPES for seeds in SEEDS}
    assert MEASURED["runs"] == 2000
    for row in MEASURED["size"]:
        assert max(row["two-sided"]["percent"], row["one-sided"]["percent"]) <= ALLOWED
    assert max(row["t"]["percent"] for row in MEASURED["size"]) > ALLOWED


@pytest.mark.parametrize(("part", "rows"), [("size", size_rows), ("power", power_rows)])
def test_what_was_measured_comes_out_again(part, rows) -> None:
    for was, now in zip(MEASURED[part], rows(RUNS), strict=True):
        for test in ("two-sided", "one-sided"):
            p = was[test]["percent"] / 100
            error = 100 * np.sqrt(p * (1 - p) * (1 / RUNS + 1 / 2000))
            assert abs(now[test]["percent"] - was[test]["percent"]) <= 4.5 * error + 0.5, (was, now)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_simulation_judges_as_reports_do(shape) -> None:
    """Twelve pairs of variants of this shape, through records: verdict for verdict."""
    pairs = draw(SHAPES[shape], 12, 8, np.random.default_rng(5), better=2.0)
    lower, higher = sign_test_p(pairs)
    expected = [
        Verdict.SUPPORTED if 2 * less < 0.05 else Verdict.REFUTED if 2 * more < 0.05 else Verdict.UNDECIDED
        for less, more in zip(lower, higher, strict=True)
    ]
    found = []
    for gaps, collapsed in zip(pairs.gaps, pairs.collapsed, strict=True):
        records = []
        for seed, (gap, lost) in enumerate(zip(gaps, collapsed, strict=True)):
            for variant, value in (("left", 1000 + gap), ("right", 1000.0)):
                metrics = {"fvd": MetricResult(name="FVD", value=value, n_real=2048, n_generated=2048)}
                record = make_record(variant, seed=seed, identity=f"{variant}{seed}", metrics=metrics)
                loss = 9.0 if lost and variant == "left" else 1.0
                records.append(record.model_copy(update={"training": record.training.model_copy(update={"final_loss": loss})}))
        found.append(judge_claims(Study.of(records), [Claim(says="fvd[left] < fvd[right]")])[0].verdict)
    assert found == expected
