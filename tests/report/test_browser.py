"""The page in a real browser. Screenshots are left in the folder that VDMBENCH_ARTIFACTS names, else in pytest's own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.report.browser import CHROMIUM, Browser
from tests.report.synthetic import make_records, store
from vdmbench.report import write_report

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium here (Debian: apt-get install chromium)")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    browser = Browser(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


@pytest.fixture
def page(browser: Browser, report: Path) -> Browser:
    browser.errors.clear()
    browser.requests.clear()
    browser.size(1400, 1000)
    browser.prefer(color_scheme="light")
    browser.open(report / "index.html")
    return browser


@pytest.fixture(scope="module")
def shots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = Path(os.environ.get("VDMBENCH_ARTIFACTS") or tmp_path_factory.mktemp("screenshots"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


_COLUMN = """[...document.querySelectorAll('#table-main tbody tr')].filter((row) => !row.hidden)
             .map((row) => row.cells[[...document.querySelectorAll('#table-main th')]
             .findIndex((head) => head.textContent.startsWith('%s'))].textContent)"""


def _press(page: Browser, header: str) -> None:
    heads = "[...document.querySelectorAll('#table-main th button')]"
    page.run(f"{heads}.find((head) => head.textContent.startsWith('{header}')).click()")


def test_loads_without_errors_or_outside_requests(page, report) -> None:
    assert page.errors == []
    assert [url for url in page.requests if not url.startswith(("data:", "file:"))] == []
    assert [url for url in page.requests if url.startswith("file:")] == [(report / "index.html").as_uri()]
    assert page.run("document.querySelector('h1').textContent") == "Temporal layers <at> the same memory"
    assert page.run("document.documentElement.scrollWidth <= innerWidth")


def test_sorts_by_number_and_keeps_what_failed_last(page) -> None:
    declared = page.run(_COLUMN % "Peak training")
    _press(page, "Peak training")
    up = page.run(_COLUMN % "Peak training")
    _press(page, "Peak training")
    down = page.run(_COLUMN % "Peak training")
    numbers = [float(text.split()[0]) for text in up[:-2]]
    assert numbers == sorted(numbers)
    assert [float(text.split()[0]) for text in down[:-2]] == sorted(numbers, reverse=True)
    assert set(up[-2:]) == set(down[-2:]) == {"oom", "infeasible"}
    _press(page, "Peak training")
    assert page.run(_COLUMN % "Peak training") == declared


def test_sorts_from_the_keyboard(page) -> None:
    page.run("document.querySelector('#table-main th button').focus()")
    page.key("Enter", 13)
    assert page.run("document.querySelector('#table-main th').getAttribute('aria-sort')") == "ascending"


def test_filters_rows_and_cells(page) -> None:
    page.run("""{ const input = document.querySelector('input[data-filter=table-main]'); input.value = 'MAMBA uni';
               input.dispatchEvent(new Event('input')); 1 }""")
    assert page.run(_COLUMN % "Variant") == ["uni-mamba", "uni-mamba"]
    page.run("""{ const input = document.querySelector('input[data-filter-cells]'); input.value = 'attention oom';
               input.dispatchEvent(new Event('input')); 1 }""")
    assert page.run("[...document.querySelectorAll('details.cell')].filter((cell) => !cell.hidden).length") == 3


def test_a_variant_is_hidden_in_every_figure(page) -> None:
    key = page.run(
        "[...document.querySelectorAll('[data-toggle]')].find((button) => button.textContent === 's4d').dataset.toggle"
    )
    shown = (
        f"[...document.querySelectorAll('[data-variant={key}]')]"
        ".filter((part) => part.getBoundingClientRect().width > 0).length"
    )
    before = page.run(shown)
    assert before > 8
    page.run(f"document.querySelector('[data-toggle={key}]').click()")
    assert page.run(shown) == 0
    page.run(f"document.querySelector('[data-toggle={key}]').click()")
    assert page.run(shown) == before


def test_a_point_says_what_it_is(page) -> None:
    place = page.run("""(() => { const point = document.querySelector('#figure-memory [data-tip]');
                        point.scrollIntoView({block: 'center', behavior: 'instant'});
                        const box = point.getBoundingClientRect();
                        return [box.x + box.width / 2, box.y + box.height / 2, point.dataset.tip]; })()""")
    page.call("Input.dispatchMouseEvent", type="mouseMoved", x=place[0], y=place[1])
    assert page.run("[document.querySelector('#tip').hidden, document.querySelector('#tip').textContent]") == [False, place[2]]


def test_samples_play_and_pause(page) -> None:
    assert page.run(
        "Promise.all([...document.querySelectorAll('.wall img')].map((image) => image.decode())).then(() => "
        "[...document.querySelectorAll('.wall img')].every((image) => image.naturalWidth > 100))"
    )
    page.run("document.querySelector('#play').click()")
    assert page.run("[...document.querySelectorAll('.wall img')].every((image) => image.src.startsWith('data:image/png'))")
    page.run("document.querySelector('#play').click()")
    assert page.run("[...document.querySelectorAll('.wall img')].every((image) => image.src.startsWith('data:image/gif'))")


def test_a_reader_who_wants_less_motion_gets_stills(page, report) -> None:
    page.prefer(reduced_motion="reduce")
    page.open(report / "index.html")
    page.run("Promise.all([...document.querySelectorAll('.wall img')].map((image) => image.decode()))")
    assert page.run("new Promise((done) => setTimeout(() => done(document.querySelector('#play').textContent), 100))") == "Play"


def test_light_and_dark_and_print(page, report, shots) -> None:
    light = page.run("getComputedStyle(document.body).backgroundColor")
    page.screenshot(shots / "light.png", whole=True)
    page.prefer(color_scheme="dark")
    page.open(report / "index.html")
    assert page.run("getComputedStyle(document.body).backgroundColor") != light
    page.screenshot(shots / "dark.png", whole=True)
    page.run("document.querySelector('#theme').click()")
    assert page.run("getComputedStyle(document.body).backgroundColor") == light
    page.call("Emulation.setEmulatedMedia", media="print")
    assert page.run("getComputedStyle(document.querySelector('header')).display") == "none"
    assert page.run("getComputedStyle(document.querySelector('#main')).borderTopStyle") == "none"
    page.call("Emulation.setEmulatedMedia", media="")


def test_a_narrow_screen_needs_no_sideways_scrolling(page, report, shots) -> None:
    page.size(420, 900)
    page.open(report / "index.html")
    assert page.run("document.documentElement.scrollWidth <= innerWidth")
    page.screenshot(shots / "narrow.png")


@pytest.mark.slow
def test_two_thousand_cells_open_in_under_two_seconds(browser, tmp_path) -> None:
    records = make_records(frames=tuple(range(16, 16 + 4 * 28, 4)), seeds=tuple(range(12)))
    assert len(records) >= 2000
    write_report([store(tmp_path / "many", records)], tmp_path / "out", reference="attention")
    page = tmp_path / "out" / "index.html"
    assert page.stat().st_size < 15e6
    browser.size(1400, 1000)
    browser.open(page)  # once, so that the browser itself is warm
    assert browser.open(page) < 2.0
