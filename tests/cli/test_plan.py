"""``vdmbench plan``: every shipped suite is loaded and planned."""

from __future__ import annotations

import json

import pytest

from vdmbench.cli.options import shipped_suites


@pytest.mark.parametrize("name", sorted(shipped_suites()))
def test_every_shipped_suite_plans(vdmbench, name):
    outcome = vdmbench("plan", name, "--json")
    assert outcome.code == 0, outcome.err
    plan = json.loads(outcome.out)
    assert plan["suite"] == name
    assert len({cell["identity"] for cell in plan["cells"]}) == len(plan["cells"]) > 0
    for cell in plan["cells"]:
        assert cell["infeasible"] is None
        assert cell["parameters"]["network"] > cell["parameters"]["temporal"] >= 0


def test_the_table_names_variants_knobs_and_mismatch(vdmbench, suite):
    suite.write_text(suite.read_text() + "match: {of: temporal, reference: bi, tolerance: 20%, exempt: [floor]}\n")
    outcome = vdmbench("plan", suite, "data.frames=8")
    assert outcome.code == 0, outcome.err
    assert "mismatch %" in outcome.out
    assert "mixer_width=" in outcome.out


def test_an_unreachable_target_names_the_closest_with_its_line(vdmbench, suite):
    suite.write_text(suite.read_text() + "match: {of: network, target: 1k, exempt: [floor]}\n")
    outcome = vdmbench("plan", suite)
    assert outcome.code == 2
    assert (
        f"{suite}:17: match: variant uni: network parameters of mamba cannot reach 1,000 within 2 %; the closest is"
        in outcome.err
    )
    recorded = vdmbench("plan", suite, "match.unreachable=record", "--json")
    assert recorded.code == 0
    assert [bool(cell["infeasible"]) for cell in json.loads(recorded.out)["cells"]] == [False, True, True]


def test_run_shows_the_same_plan_when_dry(vdmbench, suite, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert json.loads(vdmbench("run", suite, "--dry-run", "--json").out) == json.loads(vdmbench("plan", suite, "--json").out)
    assert not (tmp_path / "results").exists()
