from __future__ import annotations

import base64
import gzip
import json
import re
from html.parser import HTMLParser
from urllib.parse import unquote

import pytest

from tests.report.synthetic import make_record, store
from vdmbench.records import MetricResult
from vdmbench.report import Study, write_report
from vdmbench.report.page import build_page
from vdmbench.report.page.summary import warnings_of

VOID = {"meta", "link", "img", "input", "br", "hr"}


class _Page(HTMLParser):
    """Balanced tags, attributes, and visible text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag) -> None:
        assert self.open.pop() == tag, tag

    def handle_data(self, data) -> None:
        self.text += data


@pytest.fixture(scope="module")
def page(report) -> _Page:
    return _Page((report / "index.html").read_text())


def test_it_is_whole_html(page) -> None:
    assert page.open == []
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_nothing_is_fetched_from_elsewhere(page, report) -> None:
    for tag, attributes in page.elements:
        for name in ("src", "href", "xlink:href", "action", "srcset", "poster"):
            value = attributes.get(name)
            if tag == "a" and (value or "").startswith("samples/") and (report / unquote(value or "")).is_file():
                continue  # a link, followed when asked, to a file of the report
            assert value is None or value.startswith(("data:", "#")), (tag, name, value)
    text = (report / "index.html").read_text()
    assert not re.search(r"@import|url\(\s*['\"]?(?!#)", text)
    assert "http" not in text.replace("http-equiv", "")


def test_summary_comes_first_and_counts_failures(page) -> None:
    sections = [attributes["id"] for tag, attributes in page.elements if tag == "section" and "id" in attributes]
    assert sections == [
        "summary",
        "main",
        "comparison",
        "frontier",
        "failures",
        "figures",
        "samples",
        "method",
        "cells",
        "downloads",
    ]
    assert "29 of 36 ok; 3 infeasible, 1 nan, 3 oom" in page.text
    assert "fvd did not see these controls in at least one cell: reversed" in page.text


def test_every_cell_has_a_card_with_its_inputs(page, study) -> None:
    cards = [attributes for tag, attributes in page.elements if tag == "details"]
    assert len(cards) == len(study.cells)
    for words in (
        "knob mixer_width",
        "matched parameters.network",
        "control: frozen",
        "floor (held-out real clips)",
        "Kernels that ran",
        "hardware cohort",
        "14,083,475",
    ):
        assert words in page.text


def test_points_of_figures_say_what_they_are(page) -> None:
    tips = [attributes["data-tip"] for _, attributes in page.elements if "data-tip" in attributes]
    assert "attention at 32: oom" in tips
    assert any(tip.startswith("bi-mamba, 16 frames: 2.0") and tip.endswith("GiB") for tip in tips)


def test_samples_are_inside(page) -> None:
    pictures = [attributes["src"] for tag, attributes in page.elements if tag == "img"]
    assert len(pictures) == 2
    assert all(source.startswith("data:image/gif;base64,R0lGOD") for source in pictures)


def test_text_of_records_cannot_become_markup(tmp_path) -> None:
    hostile = "<img src=x onerror=alert(1)>\"'&"
    record = make_record(
        hostile,
        identity="0" * 20,
        cohort=hostile,
        environment={hostile: hostile},
        backends={hostile: [hostile]},
        declared={hostile: "</pre><script>alert(1)</script>"},
    )
    results = store(tmp_path / "r", [record, make_record(hostile, seed=1, identity="1" * 20, status="error", message=hostile)])
    write_report([results], tmp_path / "out", title=hostile)
    page = _Page((tmp_path / "out" / "index.html").read_text())
    assert page.open == []
    assert "img" not in {tag for tag, _ in page.elements}
    assert sum(tag == "script" for tag, _ in page.elements) == 1
    assert not any(name.startswith("on") for _, attributes in page.elements for name in attributes)


def test_everything_is_written_and_the_same_twice(report, results, tmp_path) -> None:
    names = {str(path.relative_to(report)) for path in report.rglob("*") if path.is_file()}
    assert {
        "index.html",
        "tables/main.md",
        "tables/main.csv",
        "tables/main.tex",
        "tables/main.html",
        "tables/numbers.tex",
        "tables/comparison.md",
        "tables/failures.md",
        "data/cells.csv",
        "data/cells.parquet",
        "data/summary.csv",
        "figures/frontier.pdf",
        "samples/synthetic_a100-40gb_frames=16.gif",
    } <= names
    again = write_report([results], tmp_path / "again", reference="attention", title="Temporal layers <at> the same memory")
    assert again.files[-1].name == "index.html"
    assert again.missing == {}
    for path in again.files:
        assert path.read_bytes() == (report / path.relative_to(tmp_path / "again")).read_bytes(), path.name


@pytest.mark.parametrize("controls", [{}, {"shuffled": 9.0}], ids=["share", "distance"])
def test_only_a_distance_between_sets_is_held_against_published_counts(controls):
    result = MetricResult(name="score", value=0.5, n_real=16, n_generated=16, controls=controls)
    study = Study.of([make_record("attention", seed=seed, metrics={"score": result}) for seed in range(3)])
    assert any("published Fréchet distances" in text for text in warnings_of(study)) == bool(controls)


def test_a_page_of_many_cells_holds_every_card_packed(study, monkeypatch) -> None:
    """Unpacked, they are what a page of few cells shows; a large file to download is the same text."""
    parts = {"title": "many", "tables": [], "figures": {}, "undrawn": {}, "walls": [], "downloads": {"cells.csv": "a,b\n" * 9}}
    plain = build_page(study, **parts)
    monkeypatch.setattr("vdmbench.report.page.page.PACKED_FROM", 1)
    monkeypatch.setattr("vdmbench.report.page.page.PACKED_TEXT", 1)
    page = build_page(study, **parts)
    assert page == build_page(study, **parts)
    held = json.loads(re.search(r'id="packed-cards">(.*?)</script>', page)[1])
    bodies = [body for piece in held["pieces"] for body in json.loads(_unpacked(piece))]
    inside = [f"<div>{body}</div></details>" for body in bodies]
    assert len(bodies) == len(study.cells)
    assert all(card in plain and card not in page for card in inside)
    assert re.findall(r'data-card="(\d+)"', page) == [str(place) for place in range(len(bodies))]
    assert _unpacked(re.search(r'data-packed="(.*?)"', page)[1]) == "a,b\n" * 9
    reader = _Page(page)
    assert "matched parameters.network" not in reader.text


def _unpacked(text: str) -> str:
    return gzip.decompress(base64.b64decode(text)).decode()
