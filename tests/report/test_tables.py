from __future__ import annotations

import csv
import io
import os
import re
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

from tests.report.synthetic import make_record
from vdmbench.records import DeviceMemory
from vdmbench.report import Study, aggregate, comparison_table, main_table
from vdmbench.report.quantities import UnknownQuantity, choose_scale, find_quantity, significant
from vdmbench.report.render import csv_text, html_table, latex, latex_numbers, latex_text, markdown, table_frame
from vdmbench.report.tables import Column, Entry, Table, column_scales, failures_table, shown_value

GOLDEN = Path(__file__).parent / "golden"
FORMATS = {"md": markdown, "csv": csv_text, "tex": latex, "html": html_table}


@pytest.mark.parametrize("ending", FORMATS)
@pytest.mark.parametrize("name", ["main", "comparison", "failures"])
def test_golden(study, name, ending) -> None:
    """Set VDMBENCH_UPDATE_GOLDEN=1 to write them anew, and read the difference."""
    table = {"main": main_table, "comparison": comparison_table, "failures": failures_table}[name](study)
    text = FORMATS[ending](table)
    path = GOLDEN / f"{name}.{ending}"
    if os.environ.get("VDMBENCH_UPDATE_GOLDEN"):
        path.write_text(text)
    assert text == path.read_text()


def test_golden_numbers(study) -> None:
    scales = {name: (scale.factor, scale.unit) for name, scale in column_scales(study, study.quantities).items()}
    text = latex_numbers(aggregate(study), study.coordinates, scales)
    path = GOLDEN / "numbers.tex"
    if os.environ.get("VDMBENCH_UPDATE_GOLDEN"):
        path.write_text(text)
    assert text == path.read_text()
    assert r"\expandafter\def\csname vdm@attention/frames=32/fvd\endcsname{oom \ensuremath{\times}3}" in text


def test_failures_are_visible_and_never_zero(study) -> None:
    table = main_table(study)
    rows = {
        (row[0].text, row[1].text): {column.key: entry for column, entry in zip(table.columns, row, strict=True)}
        for row in table.rows
    }
    assert len(rows) == 12
    lost = rows["32", "attention"]
    assert (lost["cells"].text, lost["fvd"].text, lost["fvd"].value) == ("0/3: oom ×3", "oom", None)
    assert rows["16", "linear-attention"]["peak_train_memory"].text == "infeasible"
    assert rows["32", "s4d"]["fvd"].text.endswith("(2 of 3)")


def test_csv_carries_full_numbers_with_unit_and_leaves_the_unknown_empty(study) -> None:
    rows = list(csv.DictReader(io.StringIO(csv_text(main_table(study)))))
    cell = next(row for row in rows if row["Variant"] == "attention" and row["Frames"] == "16")
    exact = study.frame[(study.frame["label"] == "attention") & (study.frame["frames"] == 16)]["peak_train_memory"].astype(
        float
    )
    assert float(cell["Peak training memory (GiB)"]) == pytest.approx(exact.mean() / 2**30, rel=1e-8)
    assert cell["Peak training memory (GiB) n"] == "3"
    lost = next(row for row in rows if row["Variant"] == "attention" and row["Frames"] == "32")
    assert lost["Peak training memory (GiB)"] == ""


def test_a_frame_of_a_table_has_its_numbers_unrounded_and_the_unknown_as_null(study, tmp_path) -> None:
    table = main_table(study)
    table_frame(table).to_parquet(tmp_path / "main.parquet")
    frame = pd.read_parquet(tmp_path / "main.parquet")
    assert len(frame) == len(table.rows)
    number = next(index for index, column in enumerate(table.columns) if column.key == "fvd")
    expected = [row[number].value for row in table.rows]
    assert [None if pd.isna(value) else value for value in frame["fvd"]] == expected
    assert None in expected
    assert frame["fvd.n"].max() == 3
    assert frame["variant"].tolist() == [row[1].text for row in table.rows]


def test_under_three_seeds_nothing_is_bold() -> None:
    study = Study.of(
        [make_record(variant, seed=seed) for variant in ("identity", "attention", "s4d") for seed in (0, 1)],
        reference="attention",
    )
    for table in (main_table(study), comparison_table(study)):
        assert not any(entry.bold for row in table.rows for entry in row)
    assert any("nothing is claimed" in note for note in main_table(study).notes)


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""

    def handle_starttag(self, tag, attrs) -> None:
        self.tags.append(tag)

    def handle_data(self, data) -> None:
        self.text += data


def test_text_of_records_is_escaped_in_every_format() -> None:
    hostile = 'a|b_c*<script>alert("&")</script>\\input{x}%$#{}~^\n<b>'
    study = Study.of([make_record(hostile, status="error", message=hostile, identity="0" * 20)])
    for table in (main_table(study), failures_table(study)):
        page = _Text()
        page.feed(html_table(table))
        assert {"script", "b"}.isdisjoint(page.tags)
        assert 'alert("&")' in page.text
        for line in markdown(table).splitlines():
            if line.startswith("|"):
                assert line.replace("\\|", "").count("|") == len(table.columns) + 1
        assert "<script>" not in markdown(table).replace("\\<", "")
        source = "\n".join(line for line in latex(table).splitlines() if not line.startswith("%"))
        assert r"\textbackslash{}input\{x\}\%\$\#\{\}\textasciitilde{}\textasciicircum{}" in source
        assert source.count("\n") < 12
        assert len(list(csv.reader(io.StringIO(csv_text(table))))) == 2


def test_neighbours_on_the_cores_or_the_device_are_told() -> None:
    def beside(seed: int, cores: float | None, foreign: int):
        record = make_record("s4d", seed=seed)
        train = record.phases["train"].model_copy(update={"others_busy_cores": cores})
        device = DeviceMemory(status="ok", foreign_processes=foreign)
        return record.model_copy(update={"phases": record.phases | {"train": train}, "device_memory": device})

    notes = main_table(Study.of([beside(0, 0.02, 0), beside(1, 0.4, 0), beside(2, 1.25, 1), beside(3, None, 0)])).notes
    told = [note for note in notes if note.startswith("Not alone")]
    assert told[0].startswith("Not alone: while 2 of 3 cells trained, other processes kept 0.400 to 1.25 of their cores busy")
    assert told[1].startswith("Not alone: other processes computed on the device of 1 of 4 cells")
    quiet = main_table(Study.of([beside(0, 0.02, 0), beside(1, None, 0)])).notes
    assert not [note for note in quiet if note.startswith("Not alone")]


def test_a_network_that_was_trained_once_for_several_cells_is_told() -> None:
    first, other = make_record("s4d"), make_record("s4d", seed=1)
    shared = other.training.model_copy(update={"measured_in": f"{first.identity}/a0"})
    notes = main_table(Study.of([first, other.model_copy(update={"training": shared})])).notes
    assert "Trained once: 1 of 2 cells sampled a network that another cell had trained alike" in " ".join(notes)
    own = other.training.model_copy(update={"measured_in": "a0"})  # an earlier attempt of its own
    assert "Trained once" not in " ".join(main_table(Study.of([first, other.model_copy(update={"training": own})])).notes)


def test_numbers_are_plain_decimals() -> None:
    assert [significant(value) for value in (1234567.0, 1234.5, 12.345, 0.0012345, 0)] == [
        "1234567",
        "1234",
        "12.3",
        "0.00123",
        "0",
    ]
    assert shown_value(1.38203, 0.0026) == "1.382 ± 0.003"
    assert shown_value(922.3, 24.8) == "922 ± 25"
    assert shown_value(14.0) == "14.0"


def test_one_unit_a_column_named() -> None:
    memory = find_quantity("peak_train_memory", [])
    assert choose_scale(memory, [300 * 2**20, 500 * 2**20]).unit == "MiB"
    assert choose_scale(memory, [2**30, 2**34, 2**35]).unit == "GiB"
    assert choose_scale(memory, []).unit in ("B", "KiB", "MiB", "GiB")
    with pytest.raises(UnknownQuantity, match="did you mean 'peak_train_memory'"):
        find_quantity("peak_training_memory", ["fvd"])


def test_cohorts_and_suites_have_columns_when_there_are_several() -> None:
    records = [make_record("s4d", seed=0, cohort=cohort, suite=suite) for cohort in ("a", "b") for suite in ("x", "y")]
    table = main_table(Study.of(records))
    assert [column.key for column in table.columns[:3]] == ["suite", "cohort", "frames"]
    assert len(table.rows) == 4


NUMBER = re.compile(r"-?\d+(\.\d+)?")


def test_a_number_macro_is_a_number_in_text_in_math_and_for_siunitx(study) -> None:
    """What each macro expands to, read as TeX would: no ``$`` that would end the math it is used in, and a plain number with a
    plain minus, which is all that ``\\num`` takes; a cell without a number says why, in text that math can hold."""
    scales = {name: (scale.factor, scale.unit) for name, scale in column_scales(study, study.quantities).items()}
    text = latex_numbers(aggregate(study), study.coordinates, scales)
    macros = re.findall(r"\\csname vdm@(.*)\\endcsname\{(.*)\}(?: % .*)?$", text, flags=re.M)
    assert len(macros) > 100
    assert len({name for name, _ in macros}) == len(macros)
    negative = [value for _, value in macros if value.startswith("-")]
    assert len(negative) > 10
    for name, value in macros:
        assert "$" not in value, name
        if name.endswith("/relative"):
            assert NUMBER.fullmatch(value.removesuffix(r"\%")), (name, value)
        elif not NUMBER.fullmatch(value):
            assert re.fullmatch(r"[a-z ,.0-9]+( ?\\ensuremath\{\\times\}\d+)?[a-z ,.0-9]*", value), (name, value)


@pytest.mark.parametrize("text", ["±1 × −2", "a_b & 50% #1 {x} ~ ^ \\ <$>"])
def test_latex_text_opens_no_math_of_its_own(text) -> None:
    assert not re.search(r"(?<!\\)\$", latex_text(text))


def test_text_of_a_record_ends_no_line_of_latex_or_markdown() -> None:
    table = Table("t", "one\ntwo", [Column("c", "h\nh")], [[Entry("a\n\\end{tabular}\x1b")]], ["note\n\\input{x}"])
    assert all(line.startswith("%") for line in latex(table).splitlines()[:3])
    assert "\x1b" not in latex(table) + markdown(table)
    assert "\n\\input" not in latex(table)
