"""However a suite is spoilt, it is accepted, or refused with its place and a message that a person can act on."""

from __future__ import annotations

import re
import time

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.cli.commands import vdmbench
from tests.fuzz.mutations import Verdicts, mutated, nothing_written, spoilt, text_steps, tree_steps
from tests.suite.texts import MINIMAL
from vdmbench.suite import SuiteError, expand, parse_suite
from vdmbench.suite.shipped import shipped_suites

__all__ = ["vdmbench"]

TEXTS = [MINIMAL, *(path.read_text() for path in shipped_suites().values())]
TREES = [yaml.safe_load(text) for text in TEXTS]
JARGON = re.compile(r"pydantic|validation error|Traceback|type=|<class|object at 0x|NoneType|KeyError|TypeError|__|\bctx\b")
SLOWEST = 5.0
COUNT = {"suites": 3000, "overrides": 500, "commands": 25}
# Mostly the smallest, which holds every block and is read in a fifth of the time of the others.
WHICH = st.sampled_from([0] * 12 + list(range(len(TREES))))


def judged(text: str, overrides: tuple[str, ...] = ()) -> str:
    """``accepted`` or ``refused``; whatever else happens fails the test that called."""
    began = time.monotonic()
    with nothing_written():
        try:
            suite, lines = parse_suite(text, "suite.yaml", overrides)
            cells = expand(suite, lines)
        except SuiteError as error:
            verdict = "refused"
            for problem in error.problems:
                assert re.match(r"(suite\.yaml:\d+|override [^\n]*): ", problem), problem
                assert "\n" not in problem
                # What was given may hold anything; the rest must be in words.
                assert not JARGON.search(re.sub(r"'.*'|got .*|override [^\n]*?: |^suite.yaml:\d+: \S+: ", "", problem)), problem
                assert len(problem.partition(": ")[2]) > 8, problem
                assert len(problem) < 2000, f"{len(problem)} characters"
        else:
            verdict = "accepted"
            assert cells
            assert all(re.fullmatch(r"[0-9a-f]{20}", cell.identity) for cell in cells)
    assert time.monotonic() - began < SLOWEST, "as good as a hang"
    return verdict


@settings(max_examples=COUNT["suites"], suppress_health_check=list(HealthCheck))
@given(WHICH, tree_steps, text_steps)
def _suites(seen, which, steps, texts):
    text = yaml.safe_dump(mutated(TREES[which], steps), allow_unicode=True, sort_keys=False) if steps else TEXTS[which]
    seen.append(judged(spoilt(text, texts)))


def test_a_spoilt_suite_is_accepted_or_refused_with_its_place(record_property, capsys):
    seen = Verdicts()
    _suites(seen)
    told(len(seen), COUNT["suites"], {verdict: seen.count(verdict) for verdict in ("accepted", "refused")}, capsys)
    assert min(seen.count("accepted"), seen.count("refused")) > 100, "the mutations say too little"


def told(done, wanted, verdicts, capsys):
    """Print how many were tried: a fuzzer that tries nothing passes too."""
    with capsys.disabled():
        print(f"\n  {done} tried: " + ", ".join(f"{count} {verdict}" for verdict, count in verdicts.items()))
    assert done >= wanted


PATHS = [
    "train.steps",
    "name",
    "variants.uni.mixer",
    "variants.uni.mixer.expand",
    "data.source",
    "sweep",
    "seeds",
    "match",
    "claims",
    "data.frames",
    "variants.uni.set",
    "evaluate.metrics.0.name",
    "network.multipliers",
    "run.wall_limit",
    "",
    ".",
    "a..b",
    "x" * 300,
]


@settings(max_examples=COUNT["overrides"], suppress_health_check=list(HealthCheck))
@given(
    st.sampled_from(PATHS),
    st.one_of(st.text(max_size=30), st.sampled_from(["[", "{a: b", "&a *a", "1e999", "null", "!!str", "-"])),
)
def _overrides(seen, path, value):
    seen.append(judged(MINIMAL, (f"{path}={value}",)))


def test_a_spoilt_override_is_accepted_or_refused_with_its_text(capsys):
    seen = Verdicts()
    _overrides(seen)
    told(len(seen), COUNT["overrides"], {verdict: seen.count(verdict) for verdict in ("accepted", "refused")}, capsys)


BYTES = [
    b"",
    b"\xff\xfe\x00",
    b"\x00" * 100,
    b"schema: 1\nname: \xc3\x28\n",
    MINIMAL.encode("utf-16"),
    b"- 1\n- 2\n",
    b"7",
    b"%",
    b"!!",
    b"\xef\xbb\xbf" + MINIMAL.encode(),
    b"{" * 20_000,
    b"a: b: c",
    b"?" * 5000,
]


@pytest.mark.parametrize("content", BYTES, ids=range(len(BYTES)))
def test_bytes_that_are_no_suite_are_one_line_on_the_command_line(content, vdmbench, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s.yaml").write_bytes(content)
    outcome = vdmbench("run", "s.yaml", "--results", "r", "--dry-run") if b"variants" not in content else None
    if outcome is not None:
        assert (outcome.code, outcome.out) == (2, "")
        assert re.fullmatch(r"error: s\.yaml(:\d+)?: [^\n]+\n", outcome.err)
    assert [path.name for path in tmp_path.iterdir()] == ["s.yaml"]


@settings(max_examples=COUNT["commands"], suppress_health_check=list(HealthCheck))
@given(WHICH, tree_steps, text_steps)
def _commands(command, folder, seen, which, steps, texts):
    text = spoilt(yaml.safe_dump(mutated(TREES[which], steps), allow_unicode=True, sort_keys=False), texts)
    try:
        judged_so = judged(text)
    except UnicodeEncodeError:
        return
    if judged_so == "accepted":
        return  # what a plan of it costs is not the question here
    (folder / "s.yaml").write_text(text, encoding="utf-8", errors="surrogatepass", newline="")
    outcome = command("run", folder / "s.yaml", "--results", folder / "r")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith("error: ")
    assert "Traceback" not in outcome.err
    assert sorted(path.name for path in folder.iterdir()) == ["s.yaml"], "something was written before the suite was read"
    seen.append("refused")


def test_a_spoilt_suite_is_refused_by_the_command_before_anything_is_written(vdmbench, tmp_path, capsys):
    seen = Verdicts()
    _commands(vdmbench, tmp_path, seen)
    told(len(seen), 10, {"refused": len(seen)}, capsys)
