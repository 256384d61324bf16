"""Numba kernels of the short convolution over frames, forward and backward, on the CPU.

One thread takes one batch element at a time. Its frames are copied between rows of zeros, so that every window lies inside
them, and lie there as one row: with the filter repeated for each of a block of frames, a block is filtered in one loop,
``STATES`` taps at a time. The backward pass filters once more for the activation's slope.

Batch elements are dealt to groups, each group sums the gradients of the filter on its own and groups are added in order, as in
:mod:`vdmbench.ops.scan_kernels`: results do not depend on the number of threads, to the last bit.

Filters are (taps, channels), padded with zeros: taps to a multiple of ``STATES`` at the end, channels to a multiple of the
vector width. Of ``taps`` frames in the window of a frame, ``before`` come before it.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from vdmbench.ops.frame_kernels import silu, weigh
from vdmbench.ops.kernel_cache import kernel, part
from vdmbench.ops.row_kernels import STATES, Row, row_kernel
from vdmbench.ops.scan_kernels import GROUPS

BLOCK = 2048
"""Numbers of x in a block of frames, about: with what is repeated they stay in a level-1 or level-2 cache."""


@row_kernel
def _copy(out: Row, x: Row) -> None:
    out.value = x.value


@row_kernel
def _add(total: Row, x: Row) -> None:
    total.value = total.value + x.value


@row_kernel
def _filter(out: Row, x0: Row, x1: Row, x2: Row, x3: Row, w0: Row, w1: Row, w2: Row, w3: Row) -> None:
    """out += sum over ``STATES`` taps of filter times the frames under them."""
    total = out.value
    for x, w in ((x0, w0), (x1, w1), (x2, w2), (x3, w3)):
        total = total + w.value * x.value
    out.value = total


@row_kernel
def _correlate(dy: Row, x0: Row, x1: Row, x2: Row, x3: Row, d0: Row, d1: Row, d2: Row, d3: Row) -> None:
    """The gradient of the filter of :func:`_filter`: each tap gains dy x."""
    gradient = dy.value
    for x, d in ((x0, d0), (x1, d1), (x2, d2), (x3, d3)):
        d.value = d.value + gradient * x.value


@part
def _repeated(out: np.ndarray, rows: np.ndarray) -> None:
    """Each of ``rows`` (taps, channels) again and again along ``out`` (taps, block)."""
    channels = rows.shape[1]
    for k in range(rows.shape[0]):
        for start in range(0, out.shape[1], channels):
            _copy(out[k, start : start + channels], rows[k])


@part
def _filtered(z: np.ndarray, window: np.ndarray, start: int, channels: int, filters: np.ndarray) -> None:
    """z += what the filters, repeated, make of the frames from number ``start`` of the flat ``window`` on."""
    n = len(z)
    for k in range(0, filters.shape[0], STATES):
        a, b, c, d = (start + k) * channels, (start + k + 1) * channels, (start + k + 2) * channels, (start + k + 3) * channels
        _filter(
            z,
            window[a : a + n],
            window[b : b + n],
            window[c : c + n],
            window[d : d + n],
            filters[k, :n],
            filters[k + 1, :n],
            filters[k + 2, :n],
            filters[k + 3, :n],
        )


@part
def _correlated(dy: np.ndarray, window: np.ndarray, start: int, channels: int, d_filters: np.ndarray) -> None:
    n = len(dy)
    for k in range(0, d_filters.shape[0], STATES):
        a, b, c, d = (start + k) * channels, (start + k + 1) * channels, (start + k + 2) * channels, (start + k + 3) * channels
        _correlate(
            dy,
            window[a : a + n],
            window[b : b + n],
            window[c : c + n],
            window[d : d + n],
            d_filters[k, :n],
            d_filters[k + 1, :n],
            d_filters[k + 2, :n],
            d_filters[k + 3, :n],
        )


@kernel
def forward(y: np.ndarray, x: np.ndarray, filters: np.ndarray, bias: np.ndarray, before: int, activated: bool) -> None:
    """y (batch, frames, channels) = SiLU, where ``activated``, of bias + sum over the taps of filter times x."""
    batch, frames, channels = x.shape
    taps = filters.shape[0]
    length = min(frames, max(1, BLOCK // channels))
    groups = min(batch, GROUPS)
    for group in prange(groups):
        window = np.zeros((frames + taps - 1) * channels, x.dtype)
        tiles, biases = np.empty((taps, length * channels), x.dtype), np.empty((1, length * channels), x.dtype)
        slope = np.empty(length * channels, x.dtype)
        _repeated(tiles, filters)
        _repeated(biases, bias)
        for element in range(group, batch, groups):
            flat, out = x[element].reshape(-1), y[element].reshape(-1)
            _copy(window[before * channels : (before + frames) * channels], flat)
            for start in range(0, frames, length):
                z = out[start * channels : min(frames, start + length) * channels]
                _copy(z, biases[0])
                _filtered(z, window, start, channels, tiles)
                if activated:
                    silu(z, slope, z)


@kernel
def backward(
    dx: np.ndarray,
    d_filters: np.ndarray,
    d_bias: np.ndarray,
    dy: np.ndarray,
    x: np.ndarray,
    filters: np.ndarray,
    against: np.ndarray,
    bias: np.ndarray,
    before: int,
    activated: bool,
) -> None:
    """Gradients of :func:`forward`; those of filter and bias one per group. ``against`` is the filter, its taps reversed."""
    batch, frames, channels = x.shape
    taps = filters.shape[0]
    length = min(frames, max(1, BLOCK // channels))
    after = taps - 1 - before
    groups = min(batch, GROUPS)
    for group in prange(groups):
        window, asked = np.zeros((2, (frames + taps - 1) * channels), x.dtype)
        tiles, turned, d_tiles = np.zeros((3, taps, length * channels), x.dtype)
        biases, d_biases = np.zeros((2, 1, length * channels), x.dtype)
        z, slope = np.empty((2, length * channels), x.dtype)
        _repeated(tiles, filters)
        _repeated(turned, against)
        _repeated(biases, bias)
        for element in range(group, batch, groups):
            out = dx[element].reshape(-1)
            _copy(window[before * channels : (before + frames) * channels], x[element].reshape(-1))
            _copy(asked[after * channels : (after + frames) * channels], dy[element].reshape(-1))
            for start in range(0, frames, length):
                n = (min(frames, start + length) - start) * channels
                gradient = asked[(after + start) * channels : (after + start) * channels + n]
                if activated:
                    _copy(z[:n], biases[0])
                    _filtered(z[:n], window, start, channels, tiles)
                    silu(z[:n], slope, z)
                    weigh(gradient, gradient, slope)
                _correlated(gradient, window, start, channels, d_tiles)
                _add(d_biases[0, :n], gradient)
            for start in range(0, frames, length):
                given = out[start * channels : min(frames, start + length) * channels]
                given[:] = 0
                _filtered(given, asked, start, channels, turned)
        for start in range(0, length * channels, channels):
            _add(d_bias[group], d_biases[0, start : start + channels])
            for k in range(taps):
                _add(d_filters[group, k], d_tiles[k, start : start + channels])
