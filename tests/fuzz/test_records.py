"""However a record or an event log is spoilt, it is read whole, or refused with the file, what is wrong and what to do."""

from __future__ import annotations

import json
import math
import re
import time
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.cli.commands import vdmbench
from tests.fuzz.mutations import Verdicts, mutated, nothing_written, tree_steps
from tests.fuzz.test_suites import JARGON, told
from tests.records.attempts import record, results_with
from vdmbench.file_digests import digest_of
from vdmbench.records import (
    RECORD_SCHEMA,
    DamagedEvents,
    MetricResult,
    PhaseReading,
    Record,
    ResultsError,
    ResultsFolder,
    Training,
    parse_record,
    progress_of,
    read_events,
)
from vdmbench.records.store import DIGEST

__all__ = ["vdmbench"]

FULL = record(
    "uni",
    status="nan",
    phase="train",
    message="the loss is nan",
    phases={"build": PhaseReading(seconds=0.5, rss_peak_bytes=10**9), "train": PhaseReading(seconds=1.5)},
    training=Training(steps=4, final_loss=math.nan, loss_steps=[2, 4], loss=[0.5, math.inf]),
    metrics={"ste-fd": MetricResult(name="STE-FD[n=4]", value=2.5, n_real=4, n_generated=4, interval=(1.0, 3.0))},
    environment={"python": "3.11", "packages": {"torch": "2.8"}, "gpus": []},
    data={"train": "0" * 64},
    backends={"attention": ["math"]},
    point={"data.frames": 16},
)
TREE = json.loads(FULL.model_dump_json())
WHERE = Path("r/cells/c/attempts/0001-a/record.json")
COUNT = {"records": 2400, "logs": 600, "commands": 30}

cuts = st.one_of(
    st.none(),
    st.tuples(
        st.sampled_from(["cut", "flip", "nest", "pad", "utf-16", "nan", "unsigned"]), st.integers(0, 5000), st.integers(1, 255)
    ),
)


def signed(tree):
    """With its digest, so that what lies behind that check is spoilt too."""
    if not isinstance(tree, dict) or tree.get("record_schema") != RECORD_SCHEMA:
        return tree
    fields = {name: value for name, value in tree.items() if name != DIGEST}
    return {**fields, DIGEST: digest_of(json.loads(json.dumps(fields)))}


def spoilt(steps, cut) -> bytes:
    how, place, byte = cut or ("whole", 0, 0)
    content = json.dumps(mutated(TREE, steps) if how == "unsigned" else signed(mutated(TREE, steps))).encode()
    place %= len(content) + 1
    match how:
        case "cut":
            return content[:place]
        case "flip":
            return content[:place] + bytes([byte]) + content[place + 1 :]
        case "nest":
            return (
                b'{"record_schema": %d, "environment": ' % (1 + byte % 2)
                + b'{"a":' * place * 20
                + b"1"
                + b"}" * place * 20
                + b"}"
            )
        case "pad":
            return content + b"\x00" * place
        case "utf-16":
            return content.decode().encode("utf-16")
        case "nan":
            return content.replace(b"0.5", (b"NaN", b"-Infinity", b"1e999")[byte % 3])
    return content


@settings(max_examples=COUNT["records"], suppress_health_check=list(HealthCheck))
@given(tree_steps, cuts)
def _records(seen, steps, cut):
    began = time.monotonic()
    with nothing_written():
        try:
            found = parse_record(spoilt(steps, cut), WHERE)
        except ResultsError as error:
            seen.append("refused")
            message = str(error)
            assert message.startswith(f"{WHERE}: ")
            assert "\n" not in message
            assert len(message) < 1500
            own = re.sub(r"'.*'", "", message.removeprefix(f"{WHERE}: "))  # what was given may hold anything
            assert not JARGON.search(own.partition(";")[0].split(": ", 1)[-1]), message
            assert re.search(r"move (the file|it) away|use the vdmbench that wrote it|changed by hand or damaged", message)
        else:
            seen.append("read")
            again = Record.model_validate_json(found.model_dump_json())
            assert again.model_dump_json() == found.model_dump_json(), "what was read is not what would be written"
    assert time.monotonic() - began < 5, "as good as a hang"


def test_a_spoilt_record_is_read_or_refused_with_its_file_and_a_remedy(capsys):
    seen = Verdicts()
    _records(seen)
    told(len(seen), COUNT["records"], {verdict: seen.count(verdict) for verdict in ("read", "refused")}, capsys)
    assert min(seen.count("read"), seen.count("refused")) > 50, "the mutations say too little"


EVENTS = [
    {"at": 1.0, "type": "phase_started", "phase": "train"},
    {"at": 2.0, "type": "progress", "phase": "train", "step": 1, "steps": 4, "loss": 0.5},
    {"at": 3.0, "type": "progress", "phase": "train", "step": 2, "steps": 4, "loss": "NaN"},
    {"at": 4.0, "type": "outcome", "status": "ok"},
]


@settings(max_examples=COUNT["logs"], suppress_health_check=list(HealthCheck))
@given(st.binary(max_size=40), st.integers(0, 400), st.integers(0, 60), st.booleans())
def _logs(log, seen, noise, place, cut, newline):
    whole = b"".join(json.dumps(event).encode() + b"\n" for event in EVENTS)
    place %= len(whole)
    log.write_bytes(whole[:place] + noise + (b"\n" if newline else b"") + whole[place + cut :])
    with nothing_written():
        try:
            progress_of(read_events(log))
        except DamagedEvents as error:
            said = str(error)
        else:
            said = ""
    seen.append("refused" if said else "read")
    assert not said or re.match(rf"{re.escape(str(log))}:\d+: .*damaged", said)


def test_a_spoilt_event_log_is_read_or_refused_with_its_line(tmp_path, capsys):
    seen = Verdicts()
    _logs(tmp_path / "events.jsonl", seen)
    told(len(seen), COUNT["logs"], {verdict: seen.count(verdict) for verdict in ("read", "refused")}, capsys)


@settings(max_examples=COUNT["commands"], suppress_health_check=list(HealthCheck))
@given(tree_steps, cuts)
def _commands(command, results, seen, steps, cut):
    (attempt,) = results.attempt_folders(FULL.identity)
    attempt.record.write_bytes(spoilt(steps, cut))
    for arguments in (("status", results.path, "--json"), ("show", "uni", "--results", results.path)):
        outcome = command(*arguments)
        assert outcome.code in (0, 2)
        assert "Traceback" not in outcome.err
        assert (outcome.code == 2) == outcome.err.startswith("error: ")
        seen.append("refused" if outcome.code else "read")


def test_a_spoilt_record_is_told_by_commands_in_a_line(vdmbench, tmp_path, capsys):
    results = results_with(tmp_path / "r", FULL)
    assert [each.status for each in ResultsFolder(tmp_path / "r").records()] == ["nan"]
    seen = Verdicts()
    _commands(vdmbench, results, seen)
    told(len(seen), COUNT["commands"], {verdict: seen.count(verdict) for verdict in ("read", "refused")}, capsys)
