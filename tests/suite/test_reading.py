"""What is written is what is read: numbers, empty values, values on a command line, names with dots, home folders."""

from __future__ import annotations

import numpy as np
import pytest

from tests.suite.texts import MINIMAL
from vdmbench.data.files.folder import Folder
from vdmbench.suite import SuiteError, expand, parse_suite
from vdmbench.suite.claims import parse_claim
from vdmbench.suite.overrides import parse_options, parse_override
from vdmbench.suite.yaml_lines import YamlError, parse_value, parse_yaml

DOTTED = MINIMAL.replace("  uni: {mixer: mamba}", "  uni: {mixer: mamba}\n  uni-0.5: {mixer: mamba}")


def refusals(text: str, *overrides: str) -> list[str]:
    with pytest.raises(SuiteError) as refused:
        expand(*parse_suite(text, "s.yaml", overrides))
    return refused.value.problems


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("0100", 100), ("-010", -10), ("08", 8), ("+7", 7), ("0", 0), ("00", 0),
        ("0.50", 0.5), ("010.5", 10.5), ("1e3", 1000.0), ("0e0", 0.0), ("-0.0", -0.0),
        ("0x1F", "0x1F"), ("0o14", "0o14"), ("1_000", "1_000"), ("12:30", "12:30"), ("2026-12-01", "2026-12-01"),
        ("yes", "yes"), ("off", "off"), ("True", "True"), ("true", True), ("null", None), ("~", None), ("=", "="), ("<<", "<<"),
    ],
)  # fmt: skip
def test_a_plain_value_is_read_by_the_core_schema(written: str, read: object):
    for value in (parse_yaml(f"key: {written}")[0]["key"], parse_value(written), parse_yaml(f"[{written}]")[0][0]):
        assert (value, type(value)) == (read, type(read))


@pytest.mark.parametrize("written", ["1e400", "-1e999", "1e-400", "0.01e-330"])
def test_a_number_that_no_float_holds_is_refused_and_not_made_infinite_or_zero(written: str):
    with pytest.raises(YamlError, match="does not fit in a float"):
        parse_yaml(f"key: {written}")
    with pytest.raises(YamlError, match="does not fit in a float"):
        parse_value(written)


def test_leading_zeros_mean_nothing_in_a_suite_and_in_an_override():
    suite, _ = parse_suite(MINIMAL.replace("steps: 2, batch_size: 2", "steps: 0100, batch_size: 016"), "s", ["seeds=[010, 08]"])
    assert (suite.train.steps, suite.train.batch_size, suite.seeds) == (100, 16, [10, 8])


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ("ema: 0.5", "ema: ", "s.yaml:13: 'ema' has no value"),
        ("name: minimal", "name: minimal\ncondition:", "s.yaml:3: 'condition' has no value"),
        ("frames: 6", "frames:", "s.yaml:11: 'frames' has no value"),
        ("name: minimal", "name: minimal\nseeds:\n- 1\n-", "s.yaml:5: entry 2 of the list has no value"),
    ],
)
def test_a_key_without_a_value_is_refused(old: str, new: str, place: str):
    assert refusals(MINIMAL.replace(old, new))[0].startswith(place)


def test_a_field_is_switched_off_by_null():
    assert parse_suite(MINIMAL.replace("ema: 0.5", "ema: null"))[0].train.ema is None
    assert parse_suite(MINIMAL, "s", ["train.ema=null"])[0].train.ema is None


@pytest.mark.parametrize("override", ["train.ema=", "match= ", "condition=", "train={steps: 2, batch_size: 2, ema: }"])
def test_an_override_without_a_value_is_refused(override: str):
    assert "no value: write" in refusals(MINIMAL, override)[0]


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("data/run #2", "data/run #2"), ("loss # 3", "loss # 3"), ("ratio: 2", "ratio: 2"), ("- a", "- a"), ("*x", "*x"),
        ("&x", "&x"), ("!x", "!x"), ("| a", "| a"), ("% of it", "% of it"), ("@here", "@here"), ("a=b", "a=b"), ("? a", "? a"),
        ("it's", "it's"), ("C:\\new", "C:\\new"), ("  spaced  ", "spaced"), ("#", "#"), ("a\nb", "a\nb"),
        ("'#1'", "#1"), ('"a # b"', "a # b"), ("''", ""), ("[0, '#2']", [0, "#2"]), ("{name: folder, path: 'a: #b'}",
        {"name": "folder", "path": "a: #b"}),
    ],
)  # fmt: skip
def test_what_is_written_on_the_command_line_is_the_whole_value(written: str, read: object):
    assert parse_override(f"key={written}") == ("key", read)


@pytest.mark.parametrize("written", ["[0, 1] # two", "'a' # b", "{a: 1} #", "[0] [1]", "'a' b", "[0, 1", "{a: #b}"])
def test_what_would_be_dropped_behind_a_value_is_refused(written: str):
    with pytest.raises(ValueError, match="key="):
        parse_override(f"key={written}")


def test_options_of_one_mixer_are_given_once():
    assert parse_options(["state=08", "direction=both"]) == {"state": 8, "direction": "both"}
    with pytest.raises(ValueError, match="'state' is given twice, 8 and 16"):
        parse_options(["state=8", "state=16"])


def test_a_variant_with_a_dot_in_its_name_is_reached_by_overrides_and_sweeps():
    suite, _ = parse_suite(DOTTED, "s", ["variants.uni-0.5.mixer.state=4", "variants.uni-0.5.set.train.steps=7"])
    assert (suite.variants["uni-0.5"].mixer.state, suite.variants["uni"].mixer.state) == (4, 16)
    assert suite.variants["uni-0.5"].set == {"train.steps": 7}
    cells = expand(*parse_suite(DOTTED, "s", ["sweep={variants.uni-0.5.mixer.state: [4, 8]}"]))
    found = {(cell.variant, *cell.point.values()) for cell in cells}
    assert found == {("floor",), ("uni",), ("bi",), ("uni-0.5", 4), ("uni-0.5", 8)}


def test_a_path_that_can_mean_two_places_is_refused():
    text = MINIMAL.replace("  uni: {mixer: mamba}", "  uni: {mixer: mamba}\n  uni.set: {mixer: mamba}")
    assert (
        "can mean variants > uni > set > mixer or variants > uni.set > mixer" in refusals(text, "variants.uni.set.mixer=mlp")[0]
    )


def test_a_variant_may_be_called_like_a_block_of_the_suite():
    text = MINIMAL.replace("  uni:", "  tiny:")
    assert parse_suite(text, "s", ["variants.tiny.mixer.state=4"])[0].variants["tiny"].mixer.state == 4


def test_an_error_in_an_overridden_list_is_told_of_the_override():
    assert refusals(MINIMAL, "evaluate.metrics.0.bootstrap=1")[0].startswith("override evaluate.metrics.0.bootstrap=1: ")
    assert refusals(MINIMAL, "train.steps=5", "train={steps: 0, batch_size: 2}")[0].startswith("override train={steps: 0")


def test_sweep_values_that_mean_the_same_are_refused_and_not_run_once():
    assert "16 and 16.0 mean the same" in refusals(MINIMAL, "sweep={data.size: [16, 16.0]}")[0]
    assert "16 and '16' mean the same" in refusals(MINIMAL, "sweep={data.size: [16, '16']}")[0]


@pytest.mark.parametrize("name", ["uni", "3d-attention", "0.5-mamba", "2-layers", "uni-0.5", "a.b_c-d", "1e3"])
def test_a_claim_can_name_every_variant_that_a_suite_can(name: str):
    claim = parse_claim(f"ste-fd[{name}] < 2 * ste-fd[{name}, mixer.backend=sdpa]")
    assert [term.variant for term in claim.terms] == [name, name]
    assert claim.terms[1].where == (("mixer.backend", "sdpa"),)


def test_counts_are_whole_and_exact():
    match = "match: {quantity: parameters, target: %s}\n"
    for written, read in (("14.1M", 14_100_000), ("0.3k", 300), ("4.35B", 4_350_000_000)):
        assert parse_suite(MINIMAL + match % written)[0].match.target == read
    assert "'1.2345k' is not a whole count" in refusals(MINIMAL + match % "1.2345k")[0]


def test_a_tilde_is_the_home_folder_where_it_is_used_and_stays_as_written_in_what_is_declared(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    for split in ("train", "test"):
        (tmp_path / "set" / split).mkdir(parents=True)
        np.save(
            tmp_path / "set" / split / "0.npy", np.random.default_rng(len(split)).integers(0, 255, (6, 16, 16, 3), np.uint8)
        )
    declared, _ = parse_suite(MINIMAL, "s", ["data.source={name: folder, path: ~/set}"])
    assert declared.data.source.path == "~/set"
    assert len(Folder(path="~/set", split="train", frames=6, size=16)) == 1


@pytest.mark.parametrize("escape", ["\\U00110000", "\\UFFFFFFFF"])
def test_an_escape_that_names_no_character_is_refused_with_its_line(escape: str):
    (problem,) = refusals(MINIMAL.replace("name: minimal", f'name: minimal\ntitle: "{escape}"'))
    assert problem.startswith("s.yaml:3: an escape in this text names no character")
    for written in (f'"{escape}"', f'["{escape}"]'):
        with pytest.raises(YamlError, match="names no character"):
            parse_value(written)


def test_a_card_that_is_not_known_is_refused_with_the_nearest_and_is_part_of_no_cell():
    assert refusals(MINIMAL + "run: {plan_for: a100-80g}\n") == [
        "s.yaml:17: run.plan_for: unknown device 'a100-80g', did you mean 'a100-80gb'?"
    ]
    usual, other = (expand(*parse_suite(MINIMAL, "s.yaml", overrides)) for overrides in ((), ("run.plan_for=h200",)))
    assert [cell.identity for cell in usual] == [cell.identity for cell in other]
