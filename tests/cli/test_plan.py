"""``vdmbench plan``: every shipped suite is loaded and planned."""

from __future__ import annotations

import json

import pytest

from vdmbench.ops import backends
from vdmbench.suite import expand, load_suite
from vdmbench.suite.shipped import shipped_suites


@pytest.mark.parametrize("name", sorted(shipped_suites()))
def test_every_shipped_suite_plans(vdmbench, name):
    declared, lines = load_suite(shipped_suites()[name], [])
    assert expand(declared, lines)
    # The whole of each takes minutes; a suite with a tiny form is planned in that.
    shortened = ["--tiny"] if declared.tiny else []
    outcome = vdmbench("plan", name, *shortened, "--no-memory", "--json")
    assert outcome.code == 0, outcome.err
    plan = json.loads(outcome.out)
    assert plan["suite"] == (f"{name}-tiny" if declared.tiny else name)
    assert len({cell["identity"] for cell in plan["cells"]}) == len(plan["cells"]) > 0
    if declared.tiny:  # of one seed
        assert [note.partition(" cannot decide")[0] for note in plan["notes"]] == ["claims: 1 seed"] * bool(declared.claims)
    recorded = declared.match is not None and declared.match.unreachable == "record"
    feasible = [cell for cell in plan["cells"] if cell["infeasible"] is None]
    assert len(feasible) >= len(plan["cells"]) - (2 * len(declared.seeds) if recorded else 0)
    for cell in feasible:
        assert cell["parameters"]["network"] > cell["parameters"]["temporal"] >= 0


def test_the_table_names_variants_knobs_and_mismatch(vdmbench, suite):
    suite.write_text(suite.read_text() + "match: {of: temporal, reference: bi, tolerance: 20%, exempt: [floor]}\n")
    outcome = vdmbench("plan", suite, "data.frames=8", "--no-memory")
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
    assert json.loads(vdmbench("run", suite, "--dry-run", "--json").out) == json.loads(
        vdmbench("plan", suite, "--no-memory", "--json").out
    )
    assert not (tmp_path / "results").exists()


def test_memory_is_simulated_told_and_held_against_cards(vdmbench, suite, tmp_path):
    outcome = vdmbench("plan", suite, "sweep={data.frames: [5, 6, 8]}", "--devices", "640MiB,h200", "--figures", tmp_path / "f")
    assert outcome.code == 0, outcome.err
    assert "Simulated CUDA memory" in outcome.out
    fits = [line for line in outcome.out.splitlines() if "fits" in line and "frames=" in line]
    assert len(fits) == 9, "the card of 139 GiB holds every cell"
    assert sorted(path.name for path in (tmp_path / "f").iterdir()) == [
        "frames-sample.md", "frames-train.md",
        "holders.pdf", "holders.png", "holders.svg",
        "memory-against-frames.pdf", "memory-against-frames.png", "memory-against-frames.svg",
    ]  # fmt: skip
    plan = json.loads(vdmbench("plan", suite, "--devices", "h200", "--json").out)
    for cell in plan["cells"]:
        assert cell["fits"] == {"h200": True}
        for phase in ("train", "sample"):
            memory = cell["solved"]["memory"][phase]
            assert memory["allocated_peak_bytes"] <= memory["least_capacity_bytes"] <= memory["reserved_peak_bytes"]
            assert sum(memory["holders"].values()) == memory["allocated_peak_bytes"]


def test_a_package_that_is_not_installed_is_planned_where_it_is_asked_for_and_both_plans_are_shown(vdmbench, suite):
    """The suite names a kernel of a package; one that is installed here changes nothing."""
    installed = backends.optional_packages()["mamba-ssm"]
    by_name = ["variants.uni.mixer.backend=mamba_ssm", "--json"]
    here = json.loads(vdmbench("plan", suite, *by_name).out)
    named = [cell["solved"] for cell in here["cells"] if cell["variant"] == "uni"]
    assert all(bool(solved["memory"]) == installed for solved in named)
    assert installed or all("without the package mamba-ssm" in solved["not_simulated"] for solved in named)
    every = json.loads(vdmbench("plan", suite, *by_name, "--with-packages").out)
    assert {cell["variant"] for cell in every["without_packages"]} == (set() if installed else {"uni"})
    for cell in every["cells"]:
        used = {package for phase in cell["solved"]["memory"].values() for package in phase["packages"]}
        assert used == {"uni": {"mamba-ssm", "triton"}, "bi": {"triton"}, "floor": {"triton"}}[cell["variant"]]
    shown = vdmbench("plan", suite, *by_name[:1], "--with-packages").out
    assert installed or "Where optional packages change the plan" in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--with-packages", "--no-memory"], "speak of simulated memory: leave out --no-memory"),
        (["--devices", "h20"], "unknown device 'h20', did you mean 'h200'?"),
        (["--devices", "16Gb"], "'16Gb' is not a size; write a number with one of B, kB, MB, GB, TB, KiB"),
        (["--devices", "h200", "--no-memory"], "speak of simulated memory: leave out --no-memory"),
    ],
)
def test_what_cannot_be_planned_says_why(vdmbench, suite, arguments, message):
    outcome = vdmbench("plan", suite, *arguments)
    assert outcome.code == 2
    assert message in outcome.err
