"""What a page may tell of whoever ran a record: nothing."""

from __future__ import annotations

import getpass
import socket
from pathlib import Path

import pytest

from tests.records.attempts import record
from vdmbench.records import Exit, ProcessIdentity
from vdmbench.records.published import Publisher, without_host

NAMED = ProcessIdentity("snake-01.cluster.example", "8c1b-boot", 1, 0.0)


@pytest.fixture
def publisher(monkeypatch) -> Publisher:
    monkeypatch.setattr(getpass, "getuser", lambda: "alice")
    monkeypatch.setattr(Path, "home", lambda: Path("/mnt/vault/alice w"))
    monkeypatch.setattr(Path, "cwd", lambda: Path("/srv/alice/project"))
    return Publisher([record(by=NAMED)], [Path("/archive/alice/results/tiny")])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("/home/alice/videos/ucf101 holds no videos", "…/ucf101 holds no videos"),
        ("no '/home/alice smith/a b/z.mp4' there", "no '…/z.mp4' there"),
        ("PosixPath('/scratch/alice')", "PosixPath('…')"),
        ("(/mnt/home/alice/a.b/c).", "(…/c)."),
        ("//server/share/alice/c", "…/c"),
        ("x=/data/alice/proj/d.npy;y,/data/bob/e/f", "x=…/d.npy;y,…/f"),
        ("PATH=/opt/alice/bin/x:/opt/alice/lib/y", "PATH=…/x:…/y"),
        ("~alice/videos/x and ~/videos", "… and ~/videos"),
        ("/mnt/vault/alice w/x y/z", "~/x y/z"),
        ("/srv/alice/project/suites/a.yaml:3: bad", "suites/a.yaml:3: bad"),
        ("in /srv/alice/project: bad", "in .: bad"),
        ("/srv/alice/project-2/a", "…/a"),
        ("/archive/alice/results/tiny/cells/c/record.json: not JSON", "tiny/cells/c/record.json: not JSON"),
        (
            'File "/home/alice/.venv/lib/python3.12/site-packages/torch/nn/module.py", line 1',
            'File "…/torch/nn/module.py", line 1',
        ),
        ("C:\\Users\\alice\\videos\\x.mp4", "…/x.mp4"),
        ("file:///home/alice/a%20b/y.mp4", "…/y.mp4"),
        ("https://alice:secret@example.org/a/b?token=1#c", "https://example.org/a/b"),
        ("s3://key:secret@bucket/x", "s3://bucket/x"),
        ("https://alice:secret@example.org/alice/code.git", "<git repository>"),
        ("from git@example.org:alice/code.git at main", "from <git repository> at main"),
        ("ssh://git@example.org/alice/code", "<git repository>"),
        ("GPU-12345678-1234-1234-1234-1234567890ab is lost", "GPU-… is lost"),
        ("[W socket.cpp] snake-01.cluster.example:29500 refused", "[W socket.cpp] <host>:29500 refused"),
        ("snake-01: alice@snake-01 ../alice/x", "<host>: <user>@<host> ../<user>/x"),
    ],
)
def test_names_and_places_are_taken_out_of_a_text(publisher, text, told):
    assert publisher.text(text) == told
    assert publisher.text(told) == told, "what was told once is told so again"


@pytest.mark.parametrize(
    "text",
    [
        "and/or 1/2 s/step, 400 / 800 clips/s, a /b, train.steps: 400/800",
        "</div><p>fvd[a] < 0.8 * fvd[b]</p>",
        "attention@h*4, mamba@h",
        "results/tiny/cells/x/record.json, ../videos, ./x/y",
        "snake-012 and a snake-01-like host, malice and alices",
        "https://example.org/a/b",
        "dilation 1/2/4 of /b",
    ],
)
def test_what_names_nobody_stays(publisher, text):
    assert publisher.text(text) == text


def test_declared_places_that_differ_stay_apart_and_the_same_is_the_same():
    one, other = ({"data": {"source": {"path": f"/home/{name}/my videos/train", "name": "folder"}}} for name in ("ann", "bob"))
    records = [record("a", declared=one), record("b", declared=other, message="/home/bob/my videos/train: gone")]
    publisher = Publisher(records)
    first, second = (publisher.tree(each) for each in records)
    assert first.declared["data"]["source"] == {"path": "…/train", "name": "folder"}
    assert second.declared["data"]["source"]["path"] == "…/train (2)"
    assert second.message == "…/train (2): gone"
    assert publisher.tree(records[0]).declared == first.declared


def test_a_record_keeps_what_it_is_and_loses_who_ran_it():
    named = record(
        "mamba",
        by=ProcessIdentity("mamba", "8c1b-boot", 1, 0.0),
        declared={"mixer": {"name": "mamba", "user": "x"}, "data": {"frames": [1, 2]}},
        point={"mixer": "mamba"},
        message="on mamba",
        warnings=["see /home/alice/x/notes.txt"],
        exit=Exit(code=1, stderr_tail='File "/home/alice/x/y.py"\nmamba: refused'),
        environment={
            "hostname": "mamba",
            "boot_id": "8c1b-boot",
            "git": {"commit": "c"},
            "gpus": [{"name": "H200", "uuid": "GPU-1"}],
        },
    )
    told = Publisher([named]).tree(named)
    assert (told.variant, told.point, told.declared["mixer"]["name"]) == ("mamba", {"mixer": "mamba"}, "mamba")
    assert (told.attempt.host, told.attempt.boot_id) == ("", "")
    assert (told.message, told.warnings) == ("on <host>", ["see …/notes.txt"])
    assert told.exit.stderr_tail == 'File "…/y.py"\n<host>: refused'
    assert told.environment == {"git": {"commit": "c"}, "gpus": [{"name": "H200"}]}
    assert told.attempt.id == named.attempt.id
    assert named.attempt.host == "mamba", "the record itself is as it was"


def test_a_record_that_says_nothing_is_the_same_object():
    hidden = record(by=ProcessIdentity("", "", 1, 0.0))
    assert Publisher([hidden]).tree(hidden) is hidden
    assert Publisher([hidden]).tree(hidden.attempt) == hidden.attempt


def test_this_host_is_taken_out_of_what_a_worker_said(monkeypatch):
    monkeypatch.setattr(socket, "gethostname", lambda: "snake-01.cluster.example")
    assert without_host("snake-01 and snake-01.cluster.example, not snake-012") == "<host> and <host>, not snake-012"
    monkeypatch.setattr(socket, "gethostname", lambda: "localhost")
    assert without_host("localhost:80") == "localhost:80"


def test_a_user_without_a_name_publishes_too(monkeypatch):
    def nobody() -> str:
        raise KeyError("uid not found")

    monkeypatch.setattr(getpass, "getuser", nobody)
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr(Path, "home", lambda: (_ for _ in ()).throw(RuntimeError("no home")))
    assert Publisher().text("/home/alice/a/b") == "…/b"
