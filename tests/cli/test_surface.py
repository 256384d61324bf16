"""What every command keeps to: JSON where there is data, data on standard output, colour only where it is wanted."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest
from typer.main import get_command

from tests.records.attempts import record, results_with
from vdmbench.cli.app import app
from vdmbench.records import EventLog, PhaseReading, Training

# Commands without --json, and why.
PLAIN = {
    "schema": "its answer is JSON already",
    "weights fetch": "its answer is one path",
    "weights import": "its answer is one path",
    "data record vizdoom": "one line; `data info --json` tells all of a data set",
    "data record ale": "one line; `data info --json` tells all of a data set",
    "data record crafter": "one line; `data info --json` tells all of a data set",
    "data prepare": "one line; `data info --json` tells all of a data set",
    "data preview": "its answer is pictures, to be looked at",
}


def commands(command=None, path=()) -> Iterator[tuple[str, object]]:
    command = command or get_command(app)
    for name, inner in getattr(command, "commands", {}).items():
        yield from commands(inner, (*path, name))
    if not hasattr(command, "commands"):
        yield " ".join(path), command


def test_every_command_answers_in_json_or_has_a_reason():
    lacking = {name for name, command in commands() if not any("--json" in option.opts for option in command.params)}
    assert lacking == set(PLAIN)


def test_every_command_and_every_option_has_help():
    for name, command in commands():
        assert command.help, name
        assert all(getattr(option, "help", None) for option in command.params if option.name != "help"), name


@pytest.fixture
def results(tmp_path):
    done = record("uni", status="ok", training=Training(steps=2, final_loss=0.5), phases={"train": PhaseReading(seconds=1.0)})
    folder = results_with(tmp_path / "r", done, record("bi", status="error", phase="train", message="it broke"))
    log = EventLog(folder.folder_of(done).events)
    log.append({"type": "phase_started", "phase": "train"})
    log.append({"type": "progress", "phase": "train", "step": 1, "steps": 2, "loss": float("nan")})
    log.append({"type": "outcome", "status": "ok"})
    log.close()
    return folder.path


def test_a_cell_is_followed_in_lines_of_json(vdmbench, results):
    outcome = vdmbench("tail", "uni", "--results", results, "--json")
    lines = [json.loads(line) for line in outcome.out.splitlines()]
    assert [line["type"] for line in lines] == ["phase_started", "progress", "outcome", "ended"]
    assert lines[1]["loss"] == "NaN"
    assert lines[-1]["status"] == "ok"


def test_a_merge_tells_what_it_copied(vdmbench, results, tmp_path):
    told = json.loads(vdmbench("merge", results, "--into", tmp_path / "all", "--json").out)
    assert (len(told["copied"]), told["present"], told["unfinished"]) == (2, 0, [])
    again = json.loads(vdmbench("merge", results, "--into", tmp_path / "all", "--json").out)
    assert (again["copied"], again["present"]) == ([], 2)


LOOKS = [("status",), ("show", "uni", "--results"), ("show", "uni", "--card", "--results"), ("tail", "uni", "--results")]


@pytest.mark.parametrize("arguments", LOOKS, ids=lambda arguments: " ".join(arguments[:-1]) or arguments[0])
def test_no_color_is_honoured_where_colour_is_forced(arguments, vdmbench, results, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("NO_COLOR", "1")
    outcome = vdmbench(*arguments, results)
    assert outcome.code == 0, outcome.err
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]m", outcome.out + outcome.err)


def test_what_is_no_data_is_on_standard_error(vdmbench, results, tmp_path):
    for arguments in (("status", results, "--json"), ("show", "uni", "--results", results, "--json")):
        json.loads(vdmbench(*arguments).out)
    outcome = vdmbench("status", tmp_path / "nothing", "--json")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith("error: ")


def test_the_card_names_each_gpu_and_the_kernels(vdmbench, tmp_path):
    gpu = {"name": "NVIDIA H200", "uuid": "GPU-1", "state": {"sm_clock_mhz": 1980}}
    environment = {"gpus": [gpu], "nvidia_driver": "580", "cpu": {"container_limit_cores": 2.0}}
    done = record("uni", environment=environment, backends={"selective_scan": ["mamba_ssm"]})
    results = results_with(tmp_path / "r", done).path
    card = vdmbench("show", "uni", "--card", "--results", results).out
    told = [
        "gpus.0.name | NVIDIA H200",
        "gpus.0.state.sm_clock_mhz | 1980",
        "nvidia_driver | 580",
        "selective_scan | mamba_ssm",
    ]
    for line in [*told, "cpu.container_limit_cores | 2.0"]:
        assert f"| {line} |" in card
