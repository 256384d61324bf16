"""From rows to exponents, tables and figures, on rows whose growth is known."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from vdmbench.bench import Findings, Row, pivots, reasons
from vdmbench.bench.exponents import fit_exponent
from vdmbench.bench.figures import cost_figure, rendered

FRAMES = (16, 32, 64, 128, 256)
MIB = 2**20


def grown(subject: str, backend: str, power: float, kind: str = "op") -> list[Row]:
    """Seconds and bytes ~ frames ** power."""
    return [
        Row(
            kind,
            subject,
            backend,
            frames,
            4,
            8,
            "float32",
            "cpu",
            "training",
            1,
            "ok",
            used=f"{subject}={backend}-kernel",
            seconds=1e-6 * frames**power,
            seconds_q1=0.9e-6 * frames**power,
            seconds_q3=1.1e-6 * frames**power,
            extra_peak_bytes=int(MIB * frames**power / 16),
            held_bytes=frames,
            memory_source="VmHWM",
            flops=frames,
            roofline_share=0.5,
            samples=(1e-6 * frames**power,),
        )
        for frames in FRAMES
    ]


def without_numbers(row: Row, status: str, reason: str) -> Row:
    return Row(row.kind, row.subject, row.backend, row.frames, 4, 8, "float32", "cpu", "training", 1, status, reason)


@pytest.fixture
def findings() -> Findings:
    square = grown("attention", "math", 2.0)
    square[-1] = without_numbers(square[-1], "oom", "would need about 3.0 GiB")
    absent = [without_numbers(row, "unavailable", "pip install it") for row in grown("attention", "xf", 1.0)]
    settings = {"direction": "training", "sites": 4, "channels": 8, "dtype": "float32", "device": "cpu", "threads": 1}
    return Findings([*grown("attention", "sdpa", 1.0), *square, *absent], {}, settings)


@pytest.mark.parametrize("power", [0.0, 1.0, 1.5, 2.0])
def test_a_power_law_has_its_exponent_and_no_width(power: float) -> None:
    fitted = fit_exponent(FRAMES, [3.0 * frames**power for frames in FRAMES])
    assert (fitted.value, fitted.low, fitted.high) == pytest.approx((power, power, power), abs=1e-6)


def test_fixed_costs_of_short_clips_are_left_out() -> None:
    frames = [2**power for power in range(13)]
    fitted = fit_exponent(frames, [1000.0 + number**2 for number in frames])
    assert fitted.points == 4
    assert 1.98 < fitted.value < 2.0


def test_two_points_have_a_slope_and_no_interval_and_one_has_none() -> None:
    two = fit_exponent([64, 128], [1.0, 4.0])
    assert (two.value, math.isnan(two.low), str(two)) == (pytest.approx(2.0), True, "2.00")
    assert fit_exponent([64], [1.0]) is None
    assert fit_exponent([64, 128], [0.0, 1.0]) is None


def test_the_interval_covers_the_slope_of_noisy_points() -> None:
    noisy = fit_exponent(FRAMES, [frames * factor for frames, factor in zip(FRAMES, (1.0, 1.1, 0.9, 1.1, 0.9), strict=True)])
    assert noisy.low < 1.0 < noisy.high


def test_tables_show_every_case_with_its_status(findings: Findings) -> None:
    time, peak, held, share = pivots(findings)
    assert time.headers == ["", "backend", "ran", " 16", " 32", " 64", " 128", " 256", " exponent"]
    assert time.lines == [
        ["attention", "sdpa", "sdpa-kernel", "16 µs", "32 µs", "64 µs", "128 µs", "256 µs", "1.00 ± 0.00"],
        ["attention", "math", "math-kernel", "256 µs", "1.02 ms", "4.1 ms", "16.4 ms", "oom", "2.00 ± 0.00"],
        ["attention", "xf", "–", *["unavailable"] * 5, "–"],
    ]
    assert [line[1] for line in peak.lines] == ["sdpa", "math"]
    assert peak.lines[0][3:] == ["1 MiB", "2 MiB", "4 MiB", "8 MiB", "16 MiB", "1.00 ± 0.00"]
    assert held.lines[0][3:] == ["< 256 KiB"] * 5 + ["–"]
    assert share.lines[0][3:] == ["50%"] * 5


def test_reasons_are_told_once_and_say_for_which_clips(findings: Findings) -> None:
    assert reasons(findings) == [
        "attention math: oom: would need about 3.0 GiB (256 frames)",
        "attention xf: unavailable: pip install it",
    ]


def test_markdown_is_a_table_whatever_a_name_holds(findings: Findings) -> None:
    findings.rows = [replace(row, subject="a|b") for row in findings.rows]
    lines = pivots(findings)[0].markdown().splitlines()[2:]
    assert {line.replace("\\|", "").count("|") for line in lines} == {10}


@pytest.mark.parametrize("quantity", ["seconds", "memory"])
def test_figures_have_a_line_a_backend_with_its_exponent_and_a_cross_where_memory_ran_out(findings, quantity) -> None:
    figure = cost_figure(findings.rows, quantity)
    (axes,) = figure.axes
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert len(labels) == 3
    assert labels[0].startswith("sdpa")
    assert "1.00 ± 0.00" in labels[0]
    assert "2.00 ± 0.00" in labels[1]
    assert labels[2] == "out of memory"
    assert axes.get_xscale() == axes.get_yscale() == "log"
    assert [text.get_text() for text in axes.get_xticklabels()] == ["16", "32", "64", "128", "256"]
    files = rendered(figure)
    assert files["png"].startswith(b"\x89PNG")
    assert files["pdf"].startswith(b"%PDF")
    assert files["svg"] == rendered(cost_figure(findings.rows, quantity))["svg"]


def test_a_backend_has_one_colour_in_all_panels() -> None:
    rows = [*grown("attention", "sdpa", 1.0), *grown("attention", "math", 2.0), *grown("windows", "math", 2.0)]
    first, second = cost_figure(rows, "seconds").axes
    assert first.get_lines()[1].get_color() == second.get_lines()[0].get_color() != first.get_lines()[0].get_color()


def test_nothing_measured_is_no_figure(findings: Findings) -> None:
    assert cost_figure([row for row in findings.rows if row.status == "unavailable"], "seconds") is None
