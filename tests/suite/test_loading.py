"""A suite that is wrong is refused with file, line, path and remedy; one that is right means what it says."""

from __future__ import annotations

import pytest

from tests.suite.texts import MINIMAL
from vdmbench.registry import sources
from vdmbench.suite import SuiteError, load_suite, parse_suite


def problems(text: str, *overrides: str) -> list[str]:
    with pytest.raises(SuiteError) as refused:
        parse_suite(text, "s.yaml", overrides)
    return refused.value.problems


def test_reads_names_and_mappings_alike():
    suite, _ = parse_suite(MINIMAL.replace("floor: {mixer: identity}", "floor: {mixer: {name: identity}}"))
    assert suite == parse_suite(MINIMAL)[0]
    assert suite.variants["bi"].mixer.direction == "both"
    assert suite.train.learning_rate == 1e-4


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("mixer: mamba}", "mixer: mambo}", "s.yaml:6: variants.uni.mixer: unknown mixer 'mambo', did you mean 'mamba'?"),
        (
            "direction: both",
            "directon: both",
            "s.yaml:8: variants.bi.mixer.directon: unknown key 'directon', did you mean 'direction'?",
        ),
        (
            "frames: 6",
            "frames: four",
            "s.yaml:11: data.frames: input should be a valid integer, unable to parse string as an integer, got 'four'",
        ),
        ("frames: 6", "frames: true", "s.yaml:11: data.frames: a number is wanted, got true"),
        ("  uni:", "  bi:", "s.yaml:7: 'bi' is given twice (first in line 6)"),
        (
            "name: minimal",
            "name: Über",
            "s.yaml:2: name: 'Über' must be lower-case letters, digits, '.', '_' and '-', for it names a folder",
        ),
        (
            "source: sprites",
            "source: [1]",
            "s.yaml:10: data.source: a data source is its name, or a mapping with 'name' and its options; "
            f"one of: {', '.join(entry.name for entry in sources)}",
        ),
        ("schema: 1", "schema: 2", "s.yaml:1: schema: input should be 1, got 2"),
        ("steps: 2, clips", "steps: 0, clips", "s.yaml:14: sample.steps: input should be greater than 0, got 0"),
        (
            "sampler: ddim",
            "sampler: ddpm",
            "s.yaml:14: sample: ddpm visits every level; leave 'steps' out, or use 'sampler: ddim'",
        ),
        ("ema: 0.5", "weight_decay: 0.1", "s.yaml:13: train: weight_decay is decoupled and needs 'optimiser: adamw'"),
        ("diffusion: {", "diffusion: [", "s.yaml:16: not YAML: expected ',' or ']', but got '}'"),
    ],
)
def test_says_where_what_and_how_to_mend(old: str, new: str, message: str):
    assert problems(MINIMAL.replace(old, new, 1)) == [message]


def test_a_match_names_variants_that_exist():
    text = MINIMAL + "match: {of: temporal, reference: bii, exempt: [floor]}\n"
    assert problems(text) == ["s.yaml:17: match.reference: no variant is called 'bii', did you mean 'bi'?"]
    assert problems(MINIMAL + "match: {of: temporal, tolerance: 2%}\n") == [
        "s.yaml:17: match: give one of 'target' (a count), 'budget' (of memory) and 'reference' (a variant), got none"
    ]


def test_reads_counts_and_percentages_as_people_write_them():
    match = parse_suite(MINIMAL + "match: {target: 14.1M, tolerance: 2%}\n")[0].match
    assert match is not None
    assert (match.target, match.tolerance) == (14_100_000, 0.02)
    assert "is not a count" in problems(MINIMAL + "match: {target: 14 MB}\n")[0]


def test_missing_and_empty():
    assert problems("") == ["s.yaml:1: a suite is a mapping with name, variants, data, ...; this file is empty"]
    assert "s.yaml:1: data: 'data' is missing" in problems("name: x\n")
    assert problems(MINIMAL + "seeds: []\n")[0].startswith("s.yaml:17: seeds: list should have at least 1 item")
    assert problems(MINIMAL + "sweep: {data.frames: []}\n") == [
        "s.yaml:17: sweep: 'data.frames' has no values; give at least one, or leave the axis out"
    ]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.stepz=3", "override train.stepz=3: 'train' has no 'stepz', did you mean 'steps'?"),
        (
            "train.steps=no",
            "override train.steps=no: train.steps: input should be a valid integer, unable to parse string as an integer, "
            "got 'no'",
        ),
        ("train.steps", "override train.steps: 'train.steps' is not an override; write key.path=value, such as train.steps=10"),
        (
            "variants.uni.mixer=mambo",
            "override variants.uni.mixer=mambo: variants.uni.mixer: unknown mixer 'mambo', did you mean 'mamba'?",
        ),
        ("name.x=1", "override name.x=1: 'name' is 'minimal' and has nothing inside; set it as a whole"),
    ],
)
def test_a_wrong_override_is_told_as_typed(override: str, message: str):
    assert problems(MINIMAL, override) == [message]


def test_overrides_are_typed_and_reach_options_of_a_bare_name():
    suite, _ = parse_suite(
        MINIMAL,
        overrides=[
            "train.learning_rate=3e-4",
            "variants.uni.mixer.state=8",
            "sweep.data.frames=[4, 8]",
            "data.source={name: maze, seed: 3}",
        ],
    )
    assert suite.train.learning_rate == 3e-4
    assert suite.variants["uni"].mixer.state == 8
    assert suite.sweep == {"data.frames": [4, 8]}
    assert suite.data.source.name == "maze"


def test_a_file_that_cannot_be_read(tmp_path):
    for name, content in (("bytes.yaml", b"\xff\xfe"), ("zero.yaml", b"name: a\0b")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(SuiteError, match=name):
            load_suite(tmp_path / name)
    with pytest.raises(SuiteError, match=r"cannot be read \(No such file"):
        load_suite(tmp_path / "absent.yaml")


@pytest.mark.parametrize("text", ["a: &x [1]\nb: *x\n", "{" * 2000, "? [1, 2]\n: 3\n", "a: !!python/object:os.system x\n"])
def test_yaml_that_could_hurt_is_refused(text: str):
    assert len(problems(text)) == 1
