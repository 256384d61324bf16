"""Figures and numbers of simulated memory, on peaks whose growth is known."""

from __future__ import annotations

import pytest

from tests.suite.texts import MINIMAL
from vdmbench.figure_style import find_style
from vdmbench.records import Parameters, PlannedMemory, Solved
from vdmbench.report.planned_memory import (
    crossover,
    crossovers_table,
    curves,
    holders_figure,
    limits_table,
    scaling_figure,
    write_figures,
)
from vdmbench.suite import expand, parse_suite

GIB = 2**30
PEAKS = {"floor": lambda frames: GIB * frames, "uni": lambda frames: GIB * frames**2 // 20, "bi": lambda frames: 40 * GIB}


def solved(nbytes: int) -> Solved:
    memory = PlannedMemory(
        allocated_peak_bytes=nbytes,
        reserved_peak_bytes=nbytes,
        least_capacity_bytes=nbytes,
        holders={"parameters": nbytes // 4, "temporaries": nbytes - nbytes // 4},
    )
    return Solved(
        parameters=Parameters(network=1, temporal=0),
        state_elements=0,
        flops_forward=1,
        flops_temporal=0,
        memory={"train": memory, "sample": memory},
    )


@pytest.fixture(scope="module")
def planned():
    """A variant that grows with frames, one with their square over 20, one that does not grow; two seeds of each."""
    text = MINIMAL + "sweep: {data.frames: [4, 8, 16, 32, 64]}\nseeds: [0, 1]\n"
    return [(cell, solved(PEAKS[cell.variant](cell.inputs.data.frames))) for cell in expand(*parse_suite(text))]


def test_exponents_are_those_of_the_growth(planned):
    found = {curve.variant: curve for curve in curves(planned) if curve.phase == "train"}
    assert list(found["floor"].peaks) == [4, 8, 16, 32, 64]
    assert [found[name].exponent for name in ("floor", "uni", "bi")] == pytest.approx([1, 2, 0], abs=1e-3)


def test_curves_cross_where_they_are_equal(planned):
    floor, uni, bi = (curve for curve in curves(planned) if curve.phase == "train")
    assert crossover(uni, floor) == pytest.approx(20, rel=1e-3)
    assert crossover(floor, bi) == pytest.approx(40, rel=1e-3)
    table = crossovers_table([floor, uni, bi])
    assert "| floor | – | < 20 | > 40 |" in table
    assert "| bi | < 40 | < 28 | – |" in table


def test_a_card_ends_where_its_memory_does(planned):
    table = limits_table(curves(planned))
    assert "| floor | 16 | 24 | 40 | all | all | 1.00 |" in table
    assert "| bi | none | none | " in table


def test_what_is_infeasible_stays_in_the_figure(planned):
    cells = {cell.variant: cell for cell, _ in planned if cell.inputs.data.frames == 4}
    figure = holders_figure([(cells["floor"], solved(GIB)), (cells["uni"], None)], find_style("default"))
    axes = figure.axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["floor", "uni"]
    assert [note.get_text().strip() for note in axes.texts] == ["infeasible"]


def test_one_length_has_no_growth_to_draw(planned, tmp_path):
    shortest = [(cell, each) for cell, each in planned if cell.inputs.data.frames == 4]
    assert {path.stem for path in write_figures(shortest, tmp_path)} == {"holders"}


def test_what_else_is_swept_has_panels_and_tables_of_its_own():
    text = MINIMAL + "sweep: {data.frames: [4, 8, 16], train.checkpointing: [false, true]}\n"
    cells = expand(*parse_suite(text))
    planned = [(cell, solved(PEAKS[cell.variant](cell.inputs.data.frames))) for cell in cells]
    found = curves(planned)
    assert {curve.point for curve in found} == {"checkpointing False", "checkpointing True"}
    figure = scaling_figure(found, find_style("default"))
    titles = [axes.get_title() for axes in figure.axes if axes.get_visible() and axes.lines]
    assert titles == [f"{phase}, checkpointing {on}" for on in (False, True) for phase in ("Training", "Sampling")]
    assert [each.get_text() for each in figure.legends[0].get_texts()] == ["floor", "uni", "bi"]
    assert crossovers_table(found).count("| floor | –") == 2
    assert "| floor, checkpointing True |" in limits_table(found)
