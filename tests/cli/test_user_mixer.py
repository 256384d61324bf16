"""A user's mixer by file: the documented example passes, runs only where it is allowed to, and changed code is another cell."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

DOCUMENT = Path(__file__).parents[2] / "docs" / "extending.md"


@pytest.fixture
def example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The mixer of docs/extending.md, in a file of the working directory."""
    (code,) = re.findall(r"```python\n# my_package/mixer.py\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    path = tmp_path / "my_mixer.py"
    path.write_text(code)
    monkeypatch.chdir(tmp_path)
    return path


@pytest.fixture
def with_example(suite: Path, example: Path) -> Path:
    suite.write_text(suite.read_text().replace("{mixer: identity}", "{mixer: {name: my_mixer.py:MyMixer, expand: 2.0}}"))
    return suite


def test_the_documented_mixer_passes_every_check(vdmbench, example):
    outcome = vdmbench("check-mixer", "my_mixer.py:MyMixer", "expand=2.0", "--json")
    assert outcome.code == 0, outcome.out
    assert [check["check"] for check in json.loads(outcome.out)][-3:] == ["step equality", "cost", "simulation"]


def test_a_faulty_mixer_fails_with_the_reason(vdmbench, example):
    example.write_text(example.read_text().replace("state[1] + 1", "state[1] + 2"))
    outcome = vdmbench("check-mixer", "my_mixer.py:MyMixer")
    assert outcome.code == 1
    assert re.search(r"step equality +FAILS +frame by frame and in one pass", outcome.out)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("my_mixer.py:Other", "my_mixer.py has no 'Other'"),
        ("my_mixer.py:torch", "must be a class that derives vdmbench.mixers.Mixer"),
        ("absent.py:Mixer", "absent.py cannot be read"),
        ("mambo", "did you mean 'mamba'"),
    ],
)
def test_what_is_no_mixer_is_told_in_a_line(vdmbench, example, name, message):
    outcome = vdmbench("check-mixer", name)
    assert outcome.code == 2
    assert message in outcome.err


def test_a_suite_that_names_code_is_refused_without_the_flag(vdmbench, with_example, example):
    example.write_text("raise SystemExit('it ran')\n" + example.read_text().replace("from __future__ import annotations\n", ""))
    for command in ("plan", "run"):
        outcome = vdmbench(command, with_example)
        assert outcome.code == 2
        assert "would run my_mixer.py:MyMixer: read the code, then add --allow-code" in outcome.err


def test_code_inside_a_pair_is_refused_without_the_flag_too(vdmbench, suite, example):
    example.write_text("raise SystemExit('it ran')\n")
    pair = "{mixer: {name: pair, first: identity, second: 'my_mixer.py:MyMixer'}}"
    suite.write_text(suite.read_text().replace("{mixer: identity}", pair))
    outcome = vdmbench("plan", suite)
    assert outcome.code == 2
    assert "would run my_mixer.py:MyMixer: read the code, then add --allow-code" in outcome.err


def test_with_the_flag_it_is_planned_and_its_code_is_part_of_identity(vdmbench, with_example, example):
    def identities() -> dict[str, str]:
        outcome = vdmbench("plan", with_example, "--allow-code", "--json")
        assert outcome.code == 0, outcome.err
        assert re.search(r"runs my_mixer.py:MyMixer \(SHA-256 [0-9a-f]{64}\)", outcome.err)
        return {cell["variant"]: cell["identity"] for cell in json.loads(outcome.out)["cells"]}

    before = identities()
    example.write_text(example.read_text() + "\nprint('hello')\n")  # what it prints stays out of the answer
    after = identities()
    assert [name for name in before if before[name] != after[name]] == ["floor"]


def test_options_that_the_class_does_not_take_are_told_in_a_line(vdmbench, with_example):
    outcome = vdmbench("plan", with_example, "--allow-code", "variants.floor.mixer.expand=-1.0")
    assert outcome.code == 2
    assert "variants.floor: expand must be positive, got -1.0" in outcome.err
    with_example.write_text(with_example.read_text().replace("expand: 2.0", "width: 2"))
    outcome = vdmbench("plan", with_example, "--allow-code")
    assert outcome.code == 2
    assert "unexpected keyword argument 'width'" in outcome.err


@pytest.mark.slow
def test_it_runs(vdmbench, with_example):
    outcome = vdmbench("run", with_example, "--allow-code", "--results", "results")
    assert outcome.code == 0, outcome.err


EVIL = "open('ran', 'w').close()\nfrom vdmbench.mixers.mamba import Mamba as Evil\n"


@pytest.mark.parametrize(
    "variants",
    [
        {"a": {"mixer": "evil.py:Evil"}},
        {
            "a": {
                "mixer": {
                    "name": "pair",
                    "first": "evil.py:Evil",
                    "second": "mlp",
                }
            }
        },
        {"a": {"pattern": {"stem": "evil.py:Evil", "levels": ["identity"], "middle": "identity"}}},
        {"a": {"pattern": {"stem": "identity", "levels": ["evil.py:Evil"], "middle": "identity"}}},
        {"a": {"pattern": {"stem": "identity", "levels": ["identity"], "middle": "evil.py:Evil"}}},
        {"a": {"blocks": {"pattern": [{"mixer": "evil.py:Evil", "scan": "t"}, "identity"]}}},
    ],
)
def test_code_in_any_place_of_a_variant_or_of_its_reference_is_refused(vdmbench, suite, tmp_path, monkeypatch, variants):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "evil.py").write_text(EVIL)
    tree = yaml.safe_load(suite.read_text())
    if "blocks" in variants["a"]:
        tree["network"] = {"name": "dit", "base_channels": 16, "depth": 2, "patch": [1, 4, 4]}
        tree["variants"] = {"floor": {"mixer": "identity"}}
    tree["match"] = {"of": "temporal", "reference": "a", "knob": "mixer_width", "tolerance": "50%"}
    tree["variants"] = {**variants, "b": {"mixer": "mamba"}}
    suite.write_text(yaml.safe_dump(tree))
    outcome = vdmbench("plan", suite, "--no-memory")
    assert outcome.code == 2
    assert "would run evil.py:Evil: read the code, then add --allow-code" in outcome.err
    assert not (tmp_path / "ran").exists()


def test_a_rerun_of_a_cell_whose_reference_is_code_is_refused(vdmbench, suite, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))  # a plan that is known already would load no code
    (tmp_path / "evil.py").write_text(EVIL)
    tree = yaml.safe_load(suite.read_text())
    tree["variants"] = {"evil": {"mixer": "evil.py:Evil"}, "innocent": {"mixer": "attention"}}
    tree["match"] = {"of": "temporal", "reference": "evil", "knob": "mixer_width", "tolerance": "50%"}
    suite.write_text(yaml.safe_dump(tree))
    assert vdmbench("run", suite, "--allow-code", "--only", "innocent", "--results", "r").code == 3, "one is left"
    (tmp_path / "ran").unlink()
    monkeypatch.setenv("VDMBENCH_ALLOWED_CODE", "")  # another process, whose user allowed nothing
    outcome = vdmbench("rerun", "innocent", "--results", "r")
    assert outcome.code == 2
    assert "would run evil.py:Evil: read the code, then add --allow-code" in outcome.err
    assert not (tmp_path / "ran").exists()
