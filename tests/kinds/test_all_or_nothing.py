"""Kind: **all or nothing**: a report of which one part cannot be made is no report.

A missing variant, a value of 0, a damaged file of samples or cells without a metric ended `vdmbench report` before anything was
written. Found: 11 tables in 5 forms each, the numbers, 13 figures, claims, the walls of samples, the page's sections and its
cards. Each is made through `Items.make` (`report/items.py`), which keeps the reason, and the page lists what is missing.
Left: results that cannot be read at all (no records, a damaged record), which are refused by name, and files that cannot be
written, for a report with holes that only a full disk explains must not pass for whole.
"""

from __future__ import annotations

import ast
import inspect
import typing
from pathlib import Path

import pytest

from tests.kinds.syntax import called, modules, places
from tests.report.synthetic import make_records, moving_squares, store
from vdmbench.report import write, write_report
from vdmbench.report.figures import FIGURES
from vdmbench.report.page import page

TABLES = [
    "main_table", "comparison_table", "frontier_table", "levels_table", "improvement_table", "scaling_table",
    "tuning_table", "begun_table", "encodings_table", "streaming_table", "behaviour_table", "copies_table", "failures_table",
]  # fmt: skip
SECTIONS = [
    "summary_section",
    "_figures_section",
    "_samples_section",
    "_method_section",
    "_cells_section",
    "_downloads_section",
]


class Broken(Exception):
    """What one part of a report meets."""


def _breaks(*arguments: object, **options: object) -> object:
    raise Broken("this part is broken\non purpose")


def test_every_table_that_there_is_goes_into_the_report() -> None:
    """A new table is either made by the report, item by item, or it is known to be part of another one."""
    makers = set()
    for path in modules("report"):
        for node in ast.walk(ast.parse(path.read_text())):
            returns_table = (
                isinstance(node, ast.FunctionDef) and node.returns is not None and ast.unparse(node.returns) == "Table"
            )
            if returns_table and not node.name.startswith("_"):  # type: ignore[union-attr]
                makers.add(node.name)  # type: ignore[union-attr]
    assert makers == {*TABLES, "claims_table"}
    assert {name for name in TABLES if hasattr(write, name)} == set(TABLES)


def test_items_are_made_in_one_way_and_at_known_places() -> None:
    found = places(
        lambda node: called(node) == "make" and ast.unparse(node.func).startswith("items."),  # type: ignore[attr-defined]
        "report",
    )
    assert found == {
        "report/claims.py:judge_claims": 1,  # each claim
        "report/page/page.py:_cells_section": 1,  # each card
        "report/page/page.py:build_page": 1,  # each section
        "report/render.py:latex_numbers": 1,  # the macros of each row
        "report/write.py:_write_figures": 1,  # each figure
        "report/write.py:_write_walls": 2,  # each wall of samples, and each of its files
        "report/write.py:report_tables": 1,  # each table
        "report/write.py:write_tables": 2,  # the summary; each file of a table or of data
    }
    broad = places(
        lambda node: (
            isinstance(node, ast.ExceptHandler)
            and (node.type is None or ast.unparse(node.type) in ("Exception", "BaseException"))
        ),
        "report",
    )
    assert broad == {"report/items.py:Items.make": 1}


def test_what_writes_a_file_is_outside_of_what_makes_it() -> None:
    """A disk that is full ends the report: no maker writes."""
    for function in (write.report_tables, page.build_page):
        assert "write_atomically" not in inspect.getsource(function)
    writers = places(lambda node: called(node) in ("write_atomically", "write_text", "write_bytes", "savefig"), "report")
    assert {
        place for place in writers if place.startswith(("report/write", "report/page", "report/figures", "report/render"))
    } == {
        "report/figures/__init__.py:rendered",  # into memory
        "report/figures/__init__.py:save",
        "report/write.py:write_tables",
        "report/write.py:write_report",
        "report/write.py:_write_figures",
        "report/write.py:_write_walls",
    }


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    records = make_records(variants=("attention", "s4d"), frames=(16,), seeds=(0,))
    return store(tmp_path_factory.mktemp("r") / "r", records, clips=lambda record: moving_squares(1, 4, seed=record.seed))


def _files(made: write.Written, folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in made.files}


@pytest.mark.parametrize("half", [0, 1])
def test_half_of_the_parts_fail_and_the_other_half_is_written(half, results, tmp_path, monkeypatch) -> None:
    """Every other part fails, then the others do: each is seen to fail alone, and to be made while its neighbours fail."""
    whole = write_report([results], tmp_path / "whole", reference="attention")
    assert whole.missing == {}
    broken: list[str] = []
    for name in [each for number, each in enumerate(TABLES) if number % 2 == half]:
        monkeypatch.setattr(write, name, _named(name))
        broken.append(f"table {name.removesuffix('_table')}")
    for name in [each for number, each in enumerate(FIGURES) if number % 2 == half]:
        monkeypatch.setitem(FIGURES, name, (_breaks, FIGURES[name][1]))
        broken.append(f"figure {name}")
    for name in [each for number, each in enumerate(SECTIONS) if number % 2 == half]:
        monkeypatch.setattr(page, name, _breaks)
    broken += [["summary", "section of samples", "section of cells"], ["section of figures", "section of methods"]][half]
    forms = dict(write._FORMATS)
    monkeypatch.setattr(write, "_FORMATS", {**forms, **{name: _breaks for n, name in enumerate(forms) if n % 2 == half}})
    made = write_report([results], tmp_path / "out", reference="attention")
    assert {name for name in made.missing if name.startswith(("table", "figure", "section", "summary"))} >= set(broken)
    lost = _files(whole, tmp_path / "whole") - _files(made, tmp_path / "out")
    for name in lost:
        folder, _, rest = name.partition("/")
        stem, _, ending = rest.partition(".")
        part = f"table {stem}" if folder == "tables" else f"figure {stem}"
        form = list(forms).index(ending) % 2 == half if ending in forms and folder == "tables" else False
        assert part in broken or form, name
    text = (tmp_path / "out" / "index.html").read_text()
    assert "What is missing" in text
    assert "Broken: this part is broken on purpose" in text
    assert all(name in text for name in broken)


def _named(name: str) -> typing.Callable[..., object]:
    def breaks(*arguments: object) -> object:
        return _breaks()

    breaks.__name__ = name
    return breaks


def test_one_card_one_claim_and_one_wall_fail_alone(results, tmp_path, monkeypatch) -> None:
    from vdmbench.suite.claims import Claim

    card = page.cell_card
    monkeypatch.setattr(page, "cell_card", lambda cell, *rest: _breaks() if cell.record.variant == "s4d" else card(cell, *rest))
    claims = [Claim(says="fvd[nobody] < fvd[s4d]"), Claim(says="fvd[s4d] < fvd[attention]", name="second")]
    made = write_report([results], tmp_path / "out", claims=claims)
    assert list(made.missing) == ["card of s4d frames=16 seed=0"]
    text = (tmp_path / "out" / "index.html").read_text()
    assert text.count('<details class="cell"') == 1
    said = (tmp_path / "out" / "tables" / "claims.md").read_text()
    assert "nobody" in said
    assert "second" in said


@pytest.mark.fault
def test_a_file_that_cannot_be_written_ends_the_report(results, tmp_path, monkeypatch) -> None:
    def full(*arguments: object, **options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(write, "write_atomically", full)
    with pytest.raises(OSError, match="No space left"):
        write_report([results], tmp_path / "out")
