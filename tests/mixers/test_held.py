"""What every mixer holds for its backward pass is what its equations say it must, on the simulated GPU and on the CPU.

The formulas (vdmbench/matching/must_hold.py) come from the equations and the rule of recomputation, not from what was measured.
"""

from __future__ import annotations

import importlib.util
import math
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from vdmbench import registry
from vdmbench.matching.held import Held, held_memory, held_on_cpu
from vdmbench.matching.must_hold import everything_kept, must_hold

ROOT = Path(__file__).parents[2]
SLACK = 1.15


def _benchmark() -> Any:
    spec = importlib.util.spec_from_file_location("held_memory", ROOT / "benchmarks" / "held_memory.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


BENCHMARK = _benchmark()
MIXERS: dict[str, dict[str, Any]] = dict(BENCHMARK.declared(BENCHMARK.mixers()))


@cache
def simulated(label: str, channels: int, frames: int) -> Held:
    return held_memory(MIXERS[label], channels, frames)


def test_every_mixer_has_a_formula():
    assert {mixer["name"] for mixer in MIXERS.values()} == {entry.name for entry in registry.mixers} - {"pair"}
    with pytest.raises(ValueError, match="there is no formula of what mixer 'mamba' holds, in block 'glu'"):
        must_hold({**MIXERS["mamba"], "block": "glu"}, 64, 64)


@pytest.mark.parametrize("label", MIXERS)
def test_on_a_gpu_it_holds_what_it_must(label):
    """And no less, or the formula would count what nothing keeps."""
    for channels, frames in BENCHMARK.SIZES:
        held, must = simulated(label, channels, frames).held, must_hold(MIXERS[label], channels, frames)
        assert 0.97 * must <= held <= SLACK * must, f"{channels} x {frames}: {held:.2f} where {must:.2f} must be"


@pytest.mark.parametrize("label", BENCHMARK.BEST_KNOWN)
def test_it_holds_no_more_than_the_authors_kernels_do(label):
    assert simulated(label, 64, 64).held <= SLACK * BENCHMARK.BEST_KNOWN[label]


@pytest.mark.parametrize("label", MIXERS)
def test_on_a_cpu_autograd_saves_what_it_must(label):
    mixer = MIXERS[label]
    for channels, frames in ((64, 64), (32, 70)):
        held, must = held_on_cpu(mixer, channels, frames, sites=4), must_hold(mixer, channels, frames, nbytes=4)
        if mixer["name"] == "lstm":  # oneDNN's layer keeps a workspace, whose size it does not publish
            assert must < held
        else:
            assert 0.97 * must <= held <= SLACK * must, f"{channels} x {frames}: {held:.2f} where {must:.2f} must be"


def test_the_table_in_the_docs_is_what_is_held():
    """``python benchmarks/held_memory.py --docs`` writes it anew."""
    lines = (ROOT / "docs" / "ops.md").read_text().splitlines()
    begin = lines.index(BENCHMARK.HEADER) + 2
    rows = {
        line.split("|")[1].strip(): [cell.strip() for cell in line.split("|")[2:-1]] for line in lines[begin:][: len(MIXERS)]
    }
    assert list(rows) == list(MIXERS)
    for label, (must, *cells) in rows.items():
        assert float(must) == pytest.approx(must_hold(MIXERS[label], 64, 64), abs=0.06)
        for size, cell in zip(BENCHMARK.SIZES, cells, strict=False):
            step = simulated(label, *size)
            assert [float(number) for number in cell.split(", ")] == pytest.approx([step.held, step.peak], abs=0.06), label


def test_a_formula_by_hand():
    """Mamba-2 of 64 channels: inner width 128, 2 heads of 64, one group of 64 states."""
    kept = everything_kept(MIXERS["mamba2"], 64, 64)
    assert [each.numbers for each in kept] == [64, 2 * 128, 2 * 64 + 2, 128]
    assert must_hold(MIXERS["mamba2"], 64, 64) == 2 * (64 + 256 + 130 + 128) / 64
    attention = everything_kept(MIXERS["attention"], 64, 64)
    assert math.fsum(each.numbers for each in attention) == 64 + 3 * 64 + 64 + 8  # of 8 heads
