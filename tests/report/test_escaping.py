"""What stands in records is text in every file of a report: no formula of a spreadsheet, no command of LaTeX."""

from __future__ import annotations

import csv
import io

import pandas as pd
import pytest

from vdmbench.report.render import csv_frame, csv_text, latex, latex_numbers
from vdmbench.report.tables import Column, Entry, Table

FORMULAS = ["=HYPERLINK(1)", "+1+cmd", "-2+3", "@SUM(A1)", "\t=1", "\r=1", " \n=1"]
SHOWN = ["'=HYPERLINK(1)", "'+1+cmd", "'-2+3", "'@SUM(A1)", "' =1", "' =1", "'  =1"]
TEXTS = ["-3.5", "+2e-4", "bi-ssm", "–", "a=b", "1 - 2"]


def table(texts: list[str], header: str = "variant") -> Table:
    columns = [Column("variant", header), Column("value", "value", numeric=True)]
    rows = [[Entry(text), Entry("-1.5", value=-1.5)] for text in texts]
    return Table("main", "title", columns, rows, notes=["a note\n\\input{secret}", "another\r\u2028\\input{secret}"])


def rows_of(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline="")))


def test_a_spreadsheet_computes_nothing_of_a_table():
    rows = rows_of(csv_text(table([*FORMULAS, *TEXTS], header="=1")))
    assert rows[0][0] == "'=1"
    assert [row[0] for row in rows[1:]] == [*SHOWN, *TEXTS]
    assert {row[1] for row in rows[1:]} == {"-1.5"}


def test_a_spreadsheet_computes_nothing_of_the_data():
    frame = pd.DataFrame(
        {"=label": pd.array(FORMULAS, dtype="string"), "value": [-1.5, *range(1, len(FORMULAS))], "none": None}
    )
    rows = rows_of(csv_frame(frame).decode())
    assert rows[0] == ["'=label", "value", "none"]
    assert [row[0] for row in rows[1:]] == SHOWN
    assert rows[1][1:] == ["-1.5", ""]


def test_no_note_leaves_its_comment():
    lines = latex(table(["a"])).splitlines()
    assert [line for line in lines if "secret" in line and not line.startswith("% ")] == []
    assert sum("secret" in line for line in lines) == 2


@pytest.mark.parametrize("text", ["[1ex] x", "*", "*[2em]"])
def test_a_row_is_no_option_of_the_one_above(text):
    lines = latex(table(["a", text])).splitlines()
    assert lines[lines.index(r"a & -1.5 \\") + 1].startswith("{}" + text[0])


def test_no_unit_leaves_its_comment():
    summary = pd.DataFrame([
        {"label": "a", "quantity": "mine", "unit": "s\n\\input{secret}", "mean": 1.0, "n": 3, "failures": ""},
    ])  # fmt: skip
    summary.attrs["paths"] = {}
    lines = latex_numbers(summary, [], {}).splitlines()
    (line,) = [line for line in lines if "secret" in line]
    assert line.index("%") < line.index("secret")
