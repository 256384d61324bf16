"""How long a plan will take: from a card's own figures, or from what was measured."""

from __future__ import annotations

import dataclasses

import pytest

from tests.runner.test_schedule import ended, planned
from vdmbench.cards import DEVICES, PEAK_FLOPS
from vdmbench.runner.outlook import EFFICIENCY, outlook
from vdmbench.runner.planning import Planned
from vdmbench.runner.schedule import work

CARD = "a100-80gb"


def test_without_records_it_is_a_share_of_the_cards_peak():
    cells = [planned(10**12), planned(10**12, "bi"), Planned(planned(variant="floor").cell, None, "no width does")]
    found = outlook(cells, [], card=CARD)
    assert found.cells == 2
    assert found.flops == work(cells[0]) + work(cells[1])
    assert found.seconds == pytest.approx(found.flops / (EFFICIENCY * PEAK_FLOPS[CARD]["fp32"]))
    assert found.gpu_hours == pytest.approx(found.seconds / 3600)
    assert "assumed, at 30 % of the 19.5 TFLOP/s in fp32 of run.plan_for a100-80gb" in found.line()


def test_measured_cells_say_how_long_the_others_take():
    cells = [planned(1000), planned(3000, "bi")]
    found = outlook(cells, [ended(cells[0], train=8, sample=12, whole=30)], card=CARD, records_in="results/x")
    assert found.seconds == pytest.approx((10 + 20) + (10 + 60))
    assert found.basis == "from the seconds of 1 measured cells in results/x"
    assert outlook(cells, [ended(cells[0], 1, 1, 2, status="oom")], card=CARD).basis.startswith("assumed")


def test_what_trains_alike_is_trained_once():
    each = planned()
    again = Planned(dataclasses.replace(each.cell, identity="other"), each.solved, None)
    alike = outlook([each, again], [], card=CARD)
    assert alike.flops == work(each) + work(each, first_step=each.cell.inputs.train.steps)


def test_every_card_has_a_peak():
    assert PEAK_FLOPS.keys() == DEVICES.keys()
    unknown = outlook([planned()], [], card="another")
    assert (unknown.seconds, unknown.gpu_hours) == (None, None)
    assert "how long is not known" in unknown.line()


def test_nothing_is_assumed_of_a_cpu():
    cells = [planned(1000), planned(3000, "bi")]
    unmeasured = outlook(cells, [], card=None)
    assert (unmeasured.seconds, unmeasured.gpu_hours) == (None, None)
    assert "run.device is cpu" in unmeasured.line()
    measured = outlook(cells, [ended(cells[0], train=8, sample=12, whole=30)], card=None, records_in="results/x")
    assert measured.seconds == pytest.approx((10 + 20) + (10 + 60))
    assert measured.gpu_hours is None
    assert "GPU hours" not in measured.line()
