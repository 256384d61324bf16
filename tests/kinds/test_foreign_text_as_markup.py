"""Kind: **text from elsewhere is obeyed by the terminal**: brackets as markup, control characters as what they control.

Rows of tables were made of plain strings at 23 places, which rich reads as markup: `doctor` lost `[record]`, and `status`,
`show` and `check-mixer` died of a message that held `[/path]`. Help texts were markup too (`fvd --help`), and nothing
stopped escape sequences at any of the 50 places that echo a line. All printing goes through `vdmbench/cli/terminal.py` now: it
alone may call `typer.echo`, make a `Text` or a `Table`; help is plain. Left are a progress bar and the grid of the live
panel, which hold nothing but fields made there, and the consoles that draw what was made there.
"""

from __future__ import annotations

import io
import json
import unicodedata

import pytest
import typer
from rich.console import Console

from tests.kinds.syntax import called, places
from tests.records.attempts import record, results_with
from vdmbench.cli import doctor
from vdmbench.cli.app import app
from vdmbench.cli.bars import Bars
from vdmbench.cli.display import PlainDisplay
from vdmbench.cli.live_display import LiveDisplay
from vdmbench.cli.terminal import printable, simple_table
from vdmbench.records import EventLog
from vdmbench.runner.planning import Planned
from vdmbench.suite import expand, parse_suite

ESCAPES = "\x1b[31mred\x1b]0;title\x07\r\x08\x9b2J\u202emirrored\u2066\udc80"
HOSTILE = f"[/x] [extra] 'vdmbench[record]' [bold {ESCAPES} " + "long " * 2000
RECORDED = HOSTILE.replace("\udc80", "")
"""What JSON can hold of it."""
SHOWN = "[/x] [extra] 'vdmbench[record]' [bold \\x1b[31mred\\x1b]0;title\\x07\\r\\x08\\x9b2J\\u202emirrored"
PRINTERS = ("echo", "secho", "print", "Text", "Table", "from_markup", "assemble", "grid", "Console")


def test_every_print_goes_through_one_place() -> None:
    found = places(lambda node: called(node) in PRINTERS, "cli")
    elsewhere = {place: count for place, count in found.items() if not place.startswith("cli/terminal.py")}
    assert elsewhere == {
        "cli/bars.py:Bars.__init__": 1,  # the console of a bar whose text is no markup
        "cli/bench.py:_bench": 1,  # a console whose status line is a styled field
        "cli/display.py:display": 1,  # the console
        "cli/display.py:PlainDisplay._say": 1,  # prints a styled field
        "cli/live_display.py:LiveDisplay._suite": 1,  # a grid of styled fields
        "cli/live_display.py:LiveDisplay._table": 1,  # likewise
        "cli/live_display.py:LiveDisplay.found": 1,  # prints a styled field
        "cli/live_display.py:LiveDisplay.event": 1,
        "cli/live_display.py:LiveDisplay.cell_ended": 1,
        "cli/live_display.py:LiveDisplay.stopping": 1,
        "cli/planning_progress.py:planning_progress": 1,  # the console of a bar whose text is our own
    }


def test_no_help_is_markup() -> None:
    def apps(one: typer.Typer) -> list[typer.Typer]:
        return [one, *(each for group in one.registered_groups if group.typer_instance for each in apps(group.typer_instance))]

    assert all(one.rich_markup_mode is None for one in apps(app))
    assert len(apps(app)) == 5


def tame(text: str) -> bool:
    """Whether nothing in it is a control character, but for line ends and tabs."""
    return all(character in "\n\t" or unicodedata.category(character)[0] != "C" for character in text)


@pytest.fixture
def results(tmp_path):
    failed = record(
        "bi", status="error", phase="train", message=RECORDED, point={"data.source": RECORDED[:200]}, cohort=RECORDED
    )
    folder = results_with(tmp_path / "r[x]", failed, record("uni", status="ok"))
    log = EventLog(folder.folder_of(failed).events)
    log.append({"type": "outcome", "status": "error", "message": RECORDED})
    log.append({"type": RECORDED})
    log.close()
    folder.folder_of(failed).stderr.write_bytes(HOSTILE.encode(errors="surrogateescape"))
    return folder.path


def _reads(command) -> list[str]:
    return [command.out, command.err]


@pytest.mark.parametrize(
    "command",
    [
        ("status", "RESULTS"),
        ("status", "RESULTS", "--json"),
        ("show", "ID", "--results", "RESULTS"),
        ("show", "ID", "--results", "RESULTS", "--json"),
        ("show", "ID", "--results", "RESULTS", "--card"),
        ("show", HOSTILE, "--results", "RESULTS"),
        ("tail", "ID", "--results", "RESULTS"),
        ("tail", "ID", "--results", "RESULTS", "--json"),
        ("merge", "RESULTS", "--into", "OUT"),
        ("compare", "RESULTS", "RESULTS"),
        ("compare", "RESULTS", "RESULTS", "--json"),
        ("compare", "RESULTS", HOSTILE[:100].replace("/", "").replace("\x00", "")),
        ("report", "RESULTS", "--out", "OUT"),
        ("plan", HOSTILE[:90].replace("/", "")),
        ("run", HOSTILE[:90].replace("/", "")),
        ("rerun", HOSTILE, "--results", "RESULTS"),
        ("check-mixer", HOSTILE),
        ("data", "info", HOSTILE[:90].replace("/", "")),
        ("data", "verify", HOSTILE[:90].replace("/", "")),
        ("fvd", HOSTILE[:90].replace("/", ""), HOSTILE[:90].replace("/", "")),
        ("bench", "mixers", HOSTILE),
        (HOSTILE,),
    ],
    ids=lambda command: " ".join(word if len(word) < 20 else "HOSTILE" for word in command),
)
def test_hostile_text_is_shown_and_not_obeyed(vdmbench, results, tmp_path, monkeypatch, command) -> None:
    monkeypatch.chdir(tmp_path)
    identity = record("bi").identity
    words = {"RESULTS": results, "ID": identity[:8], "OUT": tmp_path / "out[y]"}
    ended = vdmbench(*(words.get(word, word) for word in command))
    assert all(map(tame, _reads(ended)))
    assert "Traceback" not in ended.err
    if "ID" in command or command[0] == "status":
        assert ended.code == 0
    if "--json" in command and command[0] != "tail":
        json.loads(ended.out)
    elif command[0] == "status" or (command[0] == "show" and len(command) == 4 and "ID" in command):
        assert SHOWN[:60] in " ".join(ended.out.split())


def test_a_mixers_own_message_is_shown(vdmbench, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(
        "from vdmbench.mixers import Mixer\n\n\nclass Mine(Mixer):\n"
        "    def __init__(self, channels):\n        super().__init__(channels, causal=False)\n"
        "        self.inner_width = channels\n\n"
        "    def forward(self, x):\n        raise RuntimeError('no [/path] \\x1b[2J [extra]')\n"
    )
    ended = vdmbench("check-mixer", "mine.py:Mine")
    assert tame(ended.out)
    assert "no [/path] \\x1b[2J [extra]" in ended.out
    assert ended.code == 1


def test_doctor_says_how_to_get_what_is_missing(vdmbench) -> None:
    ended = vdmbench("doctor")
    assert all(line in ended.out for line in doctor._OPTIONAL.values())


@pytest.mark.parametrize("command", ["fvd", "run", "data record", "weights", "bench"])
def test_help_keeps_its_brackets(vdmbench, command) -> None:
    text = vdmbench(*command.split(), "--help").out
    assert "Usage: " in text
    assert command != "fvd" or "'vdmbench[cuts]'" in text


SUITE = """schema: 1
name: s
network: {name: unet3d, base_channels: 8, multipliers: [1]}
variants: {a: {mixer: identity}}
data: {source: {name: sprites}, frames: 5, size: 8}
train: {steps: 2, batch_size: 2}
sample: {sampler: ddim, steps: 2, clips: 4, batch_size: 4}
evaluate: {metrics: [{name: ste-fd}], real_clips: 4}
"""


@pytest.mark.parametrize("terminal", [True, False])
def test_a_run_shows_what_its_cells_say(terminal) -> None:
    planned = Planned(expand(*parse_suite(SUITE))[0], None, None)
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=terminal, width=200, color_system=None)
    shown = LiveDisplay(console, HOSTILE, 1) if terminal else PlainDisplay(console)
    with shown:
        shown.cell_started(planned, 1, 1)
        shown.event(planned, {"at": 0.0, "type": "resumed", "cell": "c", "label": HOSTILE[:300]})
        shown.cell_ended(planned, record("a", status="error", message=RECORDED[:300]))
        shown.stopping(HOSTILE[:300])
    assert "[/x] [extra] 'vdmbench[record]'" in screen.getvalue()
    assert not [each for each in ("\x1b[31m", "\x07", "\u202e", "\x9b") if each in screen.getvalue()]


def test_a_bar_is_named_as_it_is(monkeypatch) -> None:
    screen = io.StringIO()
    monkeypatch.setattr("vdmbench.cli.bars.Console", lambda **_: Console(file=screen, force_terminal=True, width=400))
    with Bars() as bars:
        bars.tell(HOSTILE[:60], 1, 2)
        bars._progress.refresh()
    assert "[/x] [extra]" in screen.getvalue()


def test_a_field_is_one_line_and_has_an_end() -> None:
    table = simple_table("[/t]", ["[/h]"])
    table.add_row("one\ntwo " + "x" * 10_000)
    screen = io.StringIO()
    Console(file=screen, width=200).print(table)
    text = screen.getvalue()
    assert all(each in text for each in ("[/t]", "[/h]", "one two"))
    assert "(10,008 characters)" in text
    assert len(text) < 3000


def test_what_people_write_stays() -> None:
    text = "naïve Ωμ 日本語 – “quoted” 1\u00a0000\n\tindented"
    assert printable(text) == text
