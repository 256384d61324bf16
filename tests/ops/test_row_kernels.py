"""Row kernels: the functions they compute with, their sums, and where they are kept."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest

import vdmbench.ops
from vdmbench.ops.row_kernels import (
    STATES,
    Row,
    Rows,
    Scalars,
    Sums,
    exp2,
    lanes,
    log1p_of_unit,
    product,
    row_kernel,
    transposed,
)

EPSILON = {np.float32: 2e-7, np.float64: 4e-15}


@row_kernel
def _exp2(y: Row, x: Row) -> None:
    y.value = exp2(x.value)


@row_kernel
def _log1p(y: Row, x: Row) -> None:
    y.value = log1p_of_unit(x.value)


@row_kernel
def _weighted(y: Row, x: Rows, weight: Scalars, total: Sums) -> None:
    out = y.value * 0.0
    for n in range(STATES):
        out = out + x[n].value * weight[n]
        total[n].add(x[n].value)
    y.value = out


@row_kernel
def _in_pairs(y: Row, x: Row) -> None:
    y.value = x.value.in_pairs()


@numba.njit
def run_in_pairs(y, x):
    _in_pairs(y, x)


@numba.njit
def run_transposed(y, x):
    transposed(y, x)


@numba.njit
def run_product(out, x, y):
    product(out, x, y)


@numba.njit
def run_exp2(y, x):
    _exp2(y, x)


@numba.njit
def run_log1p(y, x):
    _log1p(y, x)


@numba.njit
def run_weighted(y, x, weight, total):
    _weighted(y, x, weight, total)


@pytest.mark.parametrize("dtype", EPSILON)
def test_exp2_over_its_whole_range(dtype):
    bound = 126 if dtype is np.float32 else 1022
    x = np.linspace(-bound, bound, 1024 * 16).astype(dtype)
    y = np.empty_like(x)
    run_exp2(y, x)
    assert np.max(np.abs(y / np.exp2(x.astype(np.longdouble)) - 1)) < EPSILON[dtype]


@pytest.mark.parametrize("dtype", EPSILON)
def test_exp2_is_exact_at_integers_and_saturates_at_the_ends(dtype):
    x = np.zeros(16, dtype)
    x[:6] = [0, 1, -3, 10, -np.inf, np.inf]
    y = np.empty_like(x)
    run_exp2(y, x)
    assert list(y[:4]) == pytest.approx([1, 2, 0.125, 1024], rel=float(np.finfo(dtype).eps))
    assert 0 <= y[4] < 1e-37
    assert y[5] > 1e38


@pytest.mark.parametrize("dtype", EPSILON)
def test_log1p_is_accurate_relative_to_its_value(dtype):
    x = np.geomspace(1e-30, 1, 1024).astype(dtype)
    y = np.empty_like(x)
    run_log1p(y, x)
    assert np.max(np.abs(y / np.log1p(x.astype(np.longdouble)) - 1)) < 2 * EPSILON[dtype]


@pytest.mark.parametrize("dtype", EPSILON)
def test_rows_scalars_and_sums(dtype):
    channels = 3 * lanes(np.dtype(dtype).itemsize)
    random = np.random.default_rng(0)
    x, weight = random.standard_normal((STATES, channels)).astype(dtype), random.standard_normal(STATES).astype(dtype)
    y, total = np.zeros(channels, dtype), np.zeros(STATES, dtype)
    run_weighted(y, x, weight, total)
    np.testing.assert_allclose(y, weight @ x, rtol=1e-5)
    np.testing.assert_allclose(total, x.sum(1), rtol=1e-4, atol=1e-5)


RUN_A_SCAN = """
import torch
from vdmbench.ops import selective_scan
torch.set_num_threads(1)
x = torch.ones(1, 2, 3)
print(selective_scan(x, x, -torch.ones(3, 2), torch.ones(1, 2, 2), torch.ones(1, 2, 2), backend="numba").sum().item())
assert torch.get_num_threads() == 1, "starting Numba's threads changed PyTorch's"
"""


def _scan_in_a_new_process(**environment: str) -> float:
    root = str(Path(vdmbench.__file__).parent.parent)
    kept = {name: value for name, value in os.environ.items() if name not in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME")}
    process = subprocess.run(
        [sys.executable, "-c", RUN_A_SCAN],
        env={**kept, "PYTHONPATH": root, **environment},
        text=True,
        capture_output=True,
        check=True,
    )
    return float(process.stdout)


def test_the_first_scan_of_a_process_leaves_the_threads_of_pytorch_alone():
    assert _scan_in_a_new_process(XDG_CACHE_HOME=os.environ.get("XDG_CACHE_HOME", "")) > 0


@pytest.mark.slow
def test_kernels_are_kept_in_the_users_cache_and_nowhere_else(tmp_path):
    def compiled_in_tree() -> set[Path]:
        return set(Path(vdmbench.ops.__file__).parent.rglob("*.nb[ci]"))

    before = compiled_in_tree()
    first = _scan_in_a_new_process(XDG_CACHE_HOME=str(tmp_path))
    assert list((tmp_path / "vdmbench" / "numba").rglob("*.nbc"))
    assert compiled_in_tree() == before
    assert _scan_in_a_new_process(XDG_CACHE_HOME=str(tmp_path)) == first


@pytest.mark.slow
def test_a_cache_that_cannot_be_written_costs_time_and_nothing_else(tmp_path):
    (tmp_path / "file").touch()
    assert _scan_in_a_new_process(XDG_CACHE_HOME=str(tmp_path / "file")) > 0
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]


@pytest.mark.parametrize("dtype", EPSILON)
def test_squares_of_vectors_are_transposed_and_multiplied(dtype):
    width = lanes(np.dtype(dtype).itemsize)
    draw = np.random.default_rng(0)
    x, y = draw.standard_normal((width, 3 * width)).astype(dtype), draw.standard_normal((width, 2 * width)).astype(dtype)
    turned = np.empty((3 * width, width), dtype)
    run_transposed(turned, x)
    assert np.array_equal(turned, x.T)
    out = np.empty((3 * width, 2 * width), dtype)
    run_product(out, x, y)
    wanted = x.astype(np.longdouble).T @ y.astype(np.longdouble)
    assert np.abs(out - wanted).max() < 20 * EPSILON[dtype]
    pairs = np.empty(width, dtype)
    run_in_pairs(pairs, x[0, :width].copy())
    assert np.array_equal(pairs, x[0, :width].reshape(-1, 2)[:, ::-1].ravel())
