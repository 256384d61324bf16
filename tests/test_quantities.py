from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.report.synthetic import make_record
from vdmbench import registry
from vdmbench.quantities import (
    BUILT_IN,
    PARTS,
    UnknownQuantity,
    find_quantity,
    metric_quantities,
    metric_quantity,
    quantities_in,
)
from vdmbench.records import MetricResult
from vdmbench.report.frame import tidy
from vdmbench.report.quantities import SCALES
from vdmbench.report.thresholds import limit
from vdmbench.suite.claims import UNITS
from vdmbench.suite.gate import Thresholds

PAGE = Path(__file__).parents[1] / "docs" / "report.md"
EVERY = [*BUILT_IN, *metric_quantities("fvd")]


def _scored(value: float, lower: bool, **fields) -> MetricResult:
    return MetricResult(name="judge[v1]", value=value, lower_is_better=lower, n_real=64, n_generated=64, **fields)


@pytest.mark.parametrize("quantity", EVERY, ids=lambda quantity: quantity.name)
def test_an_entry_is_all_that_a_column_needs(quantity) -> None:
    assert quantity.unit in SCALES
    assert quantity.dimension in {dimension for dimension, _ in UNITS.values()} | {"plain"}
    assert limit(Thresholds(), quantity).percent >= 0
    assert quantity.how.endswith(".")
    assert find_quantity(quantity.name, ["fvd"]) == quantity


def test_names_are_taken_once_and_metrics_come_first() -> None:
    names = [quantity.name for quantity in quantities_in([make_record("s4d")])]
    assert len(set(names)) == len(names)
    assert names[: 1 + len(PARTS)] == ["fvd", *(f"fvd.{part}" for part in PARTS)]
    with pytest.raises(UnknownQuantity, match=r"did you mean 'fvd\.coverage'"):
        find_quantity("fvd.covrage", ["fvd"])


def test_a_value_comes_from_where_its_record_keeps_it() -> None:
    record = make_record("s4d", cuda=False, card="h200")
    row = tidy([record]).iloc[0]
    expected = {
        "peak_train_memory": record.rehearsal.live_peak_bytes["train"],
        "resident_train_memory": record.phases["train"].rss_peak_bytes,
        "planned_sample_reserved": record.solved.memory["sample"].reserved_peak_bytes,
        "step_time": record.training.step_seconds.median,
        "sample_time": record.sampling.seconds_per_clip,
        "parameters": record.solved.parameters.network,
        "fvd": record.metrics["fvd"].value,
        "fvd.kvd": record.metrics["fvd"].kvd,
        "fvd.low": record.metrics["fvd"].interval[0],
    }
    assert {name: row[name] for name in expected} == expected
    assert row["peak_train_memory_source"] == "live tensors on the CPU"
    assert row["resident_train_memory_source"] == "VmHWM"
    assert row["planned_train_memory_source"] == "h200, PyTorch 2.13.0, triton"
    assert row["train_memory_ratio"] is None
    measured = make_record("s4d", card="h200", plan_factor=0.5)
    ratio = measured.phases["train"].allocated_peak_bytes / measured.solved.memory["train"].allocated_peak_bytes
    assert tidy([measured]).iloc[0]["train_memory_ratio"] == ratio == pytest.approx(2.0, rel=0.02)
    failed = make_record("s4d", cuda=False, status="oom")
    assert all(quantity.read(failed) is None for quantity in quantities_in([failed]) if quantity.reach != "exact")


def test_coverage_is_read_where_records_have_it() -> None:
    details = {"manifold": {"coverage": 0.25, "recall": 0.5}}
    record = make_record("s4d", metrics={"mine": _scored(3.0, True, details=details)})
    assert tidy([record])[["mine.coverage", "mine.recall"]].iloc[0].tolist() == [0.25, 0.5]


def test_the_direction_of_a_metric_is_what_its_results_say() -> None:
    assert metric_quantity("mine").better == "lower"
    higher = metric_quantity("mine", [_scored(1.0, False)])
    assert (higher.better, higher.sign, higher.scale) == ("higher", -1.0, "difference")
    with pytest.raises(ValueError, match="lower is better in some records and higher in others"):
        metric_quantity("mine", [_scored(1.0, False), _scored(1.0, True)])
    told = {"name": "a", "value": 1.0, "n_real": 1, "n_generated": 1, "higher_is_better": True}
    assert MetricResult.from_metric(told).lower_is_better is False


def test_parts_that_an_entry_names_exist() -> None:
    for entry in registry.metrics:
        assert set(entry.parts) <= set(PARTS)


def _page_table() -> str:
    rows = [
        f"| `{each.name}` | {each.unit or '–'} | {each.better} | {each.reach} | {each.scale} | {each.how} |"
        for each in (*metric_quantities("<metric>"), *BUILT_IN)
    ]
    return "\n".join(["| quantity | unit | better | reach | scale | how it is measured |", "|---|---|---|---|---|---|", *rows])


def test_the_page_has_every_quantity() -> None:
    before, marker, rest = PAGE.read_text().partition("pytest tests/test_quantities.py -->\n")
    table, end, after = rest.partition("<!-- end -->")
    assert marker
    assert end
    if os.environ.get("VDMBENCH_UPDATE_GOLDEN"):
        PAGE.write_text(f"{before}{marker}{_page_table()}\n{end}{after}")
    else:
        assert table == _page_table() + "\n"


def test_suites_know_quantities_without_torch() -> None:
    code = "import sys, vdmbench.quantities, vdmbench.suite; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
