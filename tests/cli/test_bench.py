"""``vdmbench bench``: a folder of results, tables, one-line errors."""

from __future__ import annotations

import csv
import json
from pathlib import Path

FILES = {"bench.json", "rows.csv", "rounds.csv", "tables.md"}
FIGURES = {f"{name}.{kind}" for name in ("seconds", "memory") for kind in ("png", "svg", "pdf")}


def test_ops_leave_a_folder_that_holds_every_round(vdmbench, tmp_path: Path) -> None:
    sizes = ("--frames", "64..128", "--sites", 16, "--channels", 32, "--rounds", 3)
    outcome = vdmbench("bench", "ops", "linear_attention", *sizes, "--out", tmp_path, "--json")
    assert outcome.code == 0, outcome.err
    assert {path.name for path in tmp_path.iterdir()} == FILES | FIGURES

    printed = json.loads(outcome.out)["float32"]
    assert printed == json.loads((tmp_path / "bench.json").read_text())
    assert [row["frames"] for row in printed["rows"]] == [64, 128]
    assert printed["settings"]["rounds"] == 3
    assert printed["environment"]["torch"]["version"]
    for row in printed["rows"]:
        assert (row["status"], row["used"], row["threads"]) == ("ok", "torch", 1)
        assert row["extra_peak_bytes"] > 2 * row["frames"] * 16 * 32 * 4  # the output and the input's gradient

    rounds = list(csv.DictReader((tmp_path / "rounds.csv").read_text().splitlines()))
    assert [float(line["seconds"]) for line in rounds] == [second for row in printed["rows"] for second in row["samples"]]
    table = (tmp_path / "tables.md").read_text()
    assert "| linear_attention | torch | torch | " in table
    assert "Share of the roofline (training, 16 sites, 32 channels, float32, cpu, 1 thread)" in table


def test_what_cannot_run_here_is_a_row_and_no_failure(vdmbench) -> None:
    sizes = ("--frames", 4, "--sites", 2, "--channels", 8)
    outcome = vdmbench("bench", "ops", "selective_scan", "--backends", "mamba_ssm", *sizes)
    assert outcome.code == 0
    assert "unavailable" in outcome.out
    assert "selective_scan mamba_ssm: unavailable: it runs on cuda tensors, not on cpu" in outcome.err


def test_unknown_names_and_ranges_are_one_line_with_exit_code_2(vdmbench) -> None:
    assert vdmbench("bench", "mixers", "mambo") == (2, "", "error: unknown mixer 'mambo', did you mean 'mamba'?\n")
    assert vdmbench("bench", "ops", "attention", "--frames", "64..16") == (
        2,
        "",
        "error: frames '64..16' is no range; write 16..4096 (doubling) or 16,64,100\n",
    )
    outcome = vdmbench("bench", "mixers", "mamba", "--dtype", "float12")
    assert outcome == (2, "", "error: dtype must be one of float32, bfloat16, float16, float64, got 'float12'\n")


def test_conformance_is_a_table_of_mixers_and_checks(vdmbench, tmp_path: Path) -> None:
    path = tmp_path / "conformance.md"
    outcome = vdmbench("bench", "conformance", "identity", "attention", "attention,causal=true", "--out", path)
    assert outcome.code == 0, outcome.err
    lines = path.read_text().splitlines()
    assert lines[2].startswith("| mixer | construction | shape | dtype | ")
    answers = {line.split(" | ")[0].removeprefix("| "): line.count("pass") for line in lines[4:] if line}
    assert answers == {"identity": 10, "attention": 9, "attention,causal=true": 10}


def test_a_mixer_that_breaks_a_rule_fails_the_table(vdmbench, tmp_path: Path) -> None:
    file = tmp_path / "leaky.py"
    file.write_text(
        "from vdmbench.mixers import Mixer\n"
        "class Leaky(Mixer):\n"
        "    def __init__(self, channels):\n"
        "        super().__init__(channels, causal=True)\n"
        "        self.inner_width = channels\n"
        "    def forward(self, x):\n"
        "        return x - x.mean(1, keepdim=True)\n"
        "    def state_size(self, frames): return 0\n"
        "    def flops(self, frames): return 0\n"
    )
    outcome = vdmbench("bench", "conformance", f"{file}:Leaky", "--json")
    assert outcome.code == 1
    assert "causality: causal is True, yet frame" in outcome.err
    (found,) = json.loads(outcome.out)
    assert {check["name"]: check["passed"] for check in found["checks"]}["causality"] is False
