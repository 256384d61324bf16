"""The event log: torn at the end is normal, torn in the middle is damage."""

from __future__ import annotations

import pytest

from vdmbench.records import DamagedEvents, EventLog, EventTail, read_events


@pytest.fixture
def path(tmp_path):
    return tmp_path / "events.jsonl"


def write(path, *events):
    log = EventLog(path)
    for event in events:
        log.append(event, durable=True)
    log.close()


def test_reads_back_in_order_and_absent_is_empty(path):
    assert list(read_events(path)) == []
    write(path, {"type": "a"}, {"type": "b", "loss": float("nan")})
    write(path, {"type": "c"})
    assert [event["type"] for event in read_events(path)] == ["a", "b", "c"]
    assert [event.get("loss") for event in read_events(path)][1] == "NaN"


@pytest.mark.parametrize("torn", [b'{"type": "b', b"{", b"\x00" * 40, b'{"type": "b"}'])
def test_a_torn_last_line_did_not_happen(path, torn):
    write(path, {"type": "a"})
    path.write_bytes(path.read_bytes() + torn)
    assert [event["type"] for event in read_events(path)] == ["a"]


@pytest.mark.parametrize("garbage", [b"", b"garbage", b"[1]", b'{"type":', b"\xff\xfe"])
def test_a_torn_middle_line_is_damage(path, garbage):
    write(path, {"type": "a"})
    path.write_bytes(path.read_bytes() + garbage + b'\n{"type": "b"}\n')
    with pytest.raises(DamagedEvents, match=r"events.jsonl:2: not an event"):
        list(read_events(path))


def test_a_tail_gives_each_completed_event_once(path):
    tail = EventTail(path)
    assert tail.new() == []
    write(path, {"type": "a"})
    path.write_bytes(path.read_bytes() + b'{"at": 1.0, "type": ')
    assert [event["type"] for event in tail.new()] == ["a"]
    assert tail.new() == []
    path.write_bytes(path.read_bytes() + b'"b"}\n')
    assert [event["type"] for event in tail.new()] == ["b"]
