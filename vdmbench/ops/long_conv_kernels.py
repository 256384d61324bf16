"""Numba kernels of the long convolution: sums over lags, channels as the lanes of vectors, frames as they lie.

A block of eight frames of y takes four frames of x and the eleven lags between them at once, from registers: of three numbers
that a product and sum needs, hardly one is loaded. Kernels and their gradients are laid out (8 + lags, channels), beginning
with lags that are not seen: zeros, so that no block asks which of its pairs are causal. Frames are padded to a multiple of
eight, channels to one of the vector width.

Batch elements are dealt to groups by the batch alone, and the kernel's gradient is summed in each group, so that results do not
depend on the number of threads.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from vdmbench.ops.kernel_cache import kernel, part
from vdmbench.ops.row_kernels import STATES, Row, Rows, row_kernel

BLOCK = 2 * STATES
"""Frames of y in a block; those of x are half as many. Before the first lag a kernel has as many rows of zeros."""
GROUPS = 32
"""Most groups of batch elements, hence most threads in use and most partial gradients of the kernel."""


@row_kernel
def _spread(first: Row, y: Rows, y_next: Rows, x: Rows, back: Rows, lag: Rows, on: Rows) -> None:
    """y[i] += sum_j kernel[lag + i - j] x[j] for eight i and four j; rows of the kernel from lag - 4 on."""
    weights = [row.value for row in (*back, *lag, *on)]
    seen = [row.value for row in x]
    for i, row in enumerate((*y, *y_next)):
        total = row.value
        for j in range(STATES):
            total = total + weights[STATES + i - j] * seen[j]
        row.value = total


@row_kernel
def _gather(first: Row, y: Rows, x: Rows, x_next: Rows, back: Rows, lag: Rows, on: Rows) -> None:
    """Against time: y[j] += sum_i kernel[lag + i - j] x[i] for four j and eight i."""
    weights = [row.value for row in (*back, *lag, *on)]
    seen = [row.value for row in (*x, *x_next)]
    for j, row in enumerate(y):
        total = row.value
        for i in range(BLOCK):
            total = total + weights[STATES + i - j] * seen[i]
        row.value = total


@row_kernel
def _weigh_lags(first: Row, later: Rows, later_next: Rows, earlier: Rows, back: Rows, lag: Rows, on: Rows) -> None:
    """Of the kernel: total[lag + i - j] += later[i] earlier[j]."""
    totals = [*back, *lag, *on]
    sums = [row.value for row in totals]
    before = [row.value for row in earlier]
    for i, row in enumerate((*later, *later_next)):
        value = row.value
        for j in range(STATES):
            sums[STATES + i - j] = sums[STATES + i - j] + value * before[j]
    for row, total in zip(totals, sums, strict=True):
        row.value = total


@part
def _convolve(y: np.ndarray, x: np.ndarray, weights: np.ndarray, reverse: bool) -> None:
    """One batch element, (frames, channels)."""
    y[:] = 0
    for later in range(0, x.shape[0], BLOCK):
        for earlier in range(0, later + BLOCK, STATES):
            lag = BLOCK + later - earlier
            back, near, on = weights[lag - STATES : lag], weights[lag : lag + STATES], weights[lag + STATES : lag + BLOCK]
            middle = later + STATES
            if reverse:
                _gather(
                    weights[0],
                    y[earlier : earlier + STATES],
                    x[later:middle],
                    x[middle : later + BLOCK],
                    back,
                    near,
                    on,
                )
            else:
                _spread(
                    weights[0],
                    y[later:middle],
                    y[middle : later + BLOCK],
                    x[earlier : earlier + STATES],
                    back,
                    near,
                    on,
                )


@part
def _correlate(total: np.ndarray, earlier: np.ndarray, later: np.ndarray) -> None:
    """Add earlier[t] later[t + lag] to the total of each lag."""
    for first in range(0, later.shape[0], BLOCK):
        for second in range(0, first + BLOCK, STATES):
            lag, middle = BLOCK + first - second, first + STATES
            _weigh_lags(
                total[0],
                later[first:middle],
                later[middle : first + BLOCK],
                earlier[second : second + STATES],
                total[lag - STATES : lag],
                total[lag : lag + STATES],
                total[lag + STATES : lag + BLOCK],
            )


@kernel
def forward(y: np.ndarray, x: np.ndarray, weights: np.ndarray, reverse: bool) -> None:
    """y and x (batch, frames, channels)."""
    groups = min(x.shape[0], GROUPS)
    for group in prange(groups):
        for element in range(group, x.shape[0], groups):
            _convolve(y[element], x[element], weights, reverse)


@kernel
def backward(
    dx: np.ndarray, d_weights: np.ndarray, d_out: np.ndarray, x: np.ndarray, weights: np.ndarray, reverse: bool
) -> None:
    """Gradients of :func:`forward`; that of the weights one a group, (groups, 8 + lags, channels)."""
    groups = d_weights.shape[0]
    for group in prange(groups):
        for element in range(group, x.shape[0], groups):
            _convolve(dx[element], d_out[element], weights, not reverse)
            if reverse:
                _correlate(d_weights[group], d_out[element], x[element])
            else:
                _correlate(d_weights[group], x[element], d_out[element])
