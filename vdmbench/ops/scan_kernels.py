"""Numba kernels of the selective scan, one-directional and bidirectional, forward and backward.

Nothing of (batch, frames, channels, state) is ever held. One thread takes one batch element at a time: the state, laid out
(state, channels), stays in its level-1 cache; the backward pass scans once more for the state at the start of every
``CHUNK`` frames, then takes the chunks in reverse, scans each again keeping its states, and pulls gradients back through
them.

Batch elements are dealt to a number of groups that depends on the batch alone, each group sums the gradients of parameters
on its own and groups are added in order: results do not depend on the number of threads, to the last bit.

What happens to one frame stands in :mod:`vdmbench.ops.frame_kernels`. Arrays are padded with zeros, channels to a multiple of
the vector width and states to a multiple of ``STATES``. Where A has one row, all states of a channel decay alike (SSD), and the
power is taken once a channel and frame. A *direction* is the tuple (x, dt, A, B, C, D, dt_bias).
"""

from __future__ import annotations

import numpy as np
from numba import prange

from vdmbench.ops.frame_kernels import (
    advance,
    advance_alike,
    advance_alike_keeping,
    advance_keeping,
    begin_frame,
    common_decay,
    end_frame,
    identity,
    pull_back,
    pull_back_alike,
    pull_back_decay,
    silu,
    softplus,
    unweigh,
    unweigh_product,
    unweigh_sum,
    weigh,
    weigh_product,
    weigh_sum,
)
from vdmbench.ops.kernel_cache import kernel, part

CHUNK = 16
"""Frames between kept states in the backward pass: a chunk's states and decays should fit a level-2 cache."""
GROUPS = 64
"""Most groups of batch elements, hence most threads in use and most partial gradients of a parameter."""
SINGLE, SUM, PRODUCT, CONCAT, QUASI_SEPARABLE = range(5)
"""How directions merge; SINGLE has one direction, QUASI_SEPARABLE is the sum of scans that are delayed by one frame."""

Arrays = tuple[np.ndarray, ...]


# ---- one batch element, all frames ------------------------------------------------------------------------------


@part
def scan(
    direction: Arrays, element: int, rectified: bool, reverse: bool, delayed: bool, y: np.ndarray, kept: np.ndarray
) -> None:
    """Scan one batch element into y (frames, channels); where ``kept`` has room, keep the state before each chunk there.

    ``delayed``: what the state gives goes to the next frame in scan order, and D x stays.
    """
    xs, dts, A, Bs, Cs, D, dt_bias = direction
    x, dt, B, C = xs[element], dts[element], Bs[element], Cs[element]
    frames, channels = x.shape
    states, alike = B.shape[1], A.shape[0] == 1
    h = np.zeros((states, channels), A.dtype)
    delta, slope, drive, decay, nowhere = np.empty((5, channels), A.dtype)
    if delayed:
        nowhere[:] = 0
        for t in range(frames):
            weigh(y[t], D, x[t])
    for i in range(frames):
        t = frames - 1 - i if reverse else i
        if i % CHUNK == 0 and kept.shape[0] > 0:
            kept[i // CHUNK] = h
        if rectified:
            softplus(delta, slope, dt[t], dt_bias)
        else:
            identity(delta, slope, dt[t], dt_bias)
        out = y[t]
        if delayed:
            weigh(drive, delta, x[t])
            out = nowhere if i == frames - 1 else y[t - 1 if reverse else t + 1]
        else:
            begin_frame(drive, out, delta, x[t], D)
        if alike:
            common_decay(decay, delta, A[0])
            advance_alike(decay, drive, out, h, B[t], C[t])
        else:
            advance(delta, drive, out, A, h, B[t], C[t])


@part
def scan_backward(
    direction: Arrays,
    gradients: Arrays,
    element: int,
    group: int,
    rectified: bool,
    reverse: bool,
    delayed: bool,
    dy: np.ndarray,
    kept: np.ndarray,
) -> None:
    """Gradients of one batch element's scan from dy (frames, channels); those of parameters are added to the group's."""
    xs, dts, A, Bs, Cs, D, dt_bias = direction
    x, dt, B, C = xs[element], dts[element], Bs[element], Cs[element]
    dx, ddt, dB, dC = gradients[0][element], gradients[1][element], gradients[3][element], gradients[4][element]
    dA, dD, ddt_bias = gradients[2][group], gradients[5][group], gradients[6][group]
    frames, channels = x.shape
    states, alike = B.shape[1], A.shape[0] == 1
    h = np.empty((CHUNK + 1, states, channels), A.dtype)
    decay = np.empty((CHUNK, *A.shape), A.dtype)
    delta, slope, drive = np.empty((3, CHUNK, channels), A.dtype)
    dh = np.zeros((states, channels), A.dtype)
    d_delta, d_drive, nothing = np.zeros((3, channels), A.dtype)
    for chunk in range((frames - 1) // CHUNK, -1, -1):
        start = chunk * CHUNK
        length = min(CHUNK, frames - start)
        h[0] = kept[chunk]
        for k in range(length):
            t = frames - 1 - start - k if reverse else start + k
            if rectified:
                softplus(delta[k], slope[k], dt[t], dt_bias)
            else:
                identity(delta[k], slope[k], dt[t], dt_bias)
            weigh(drive[k], delta[k], x[t])
            asked = dy[t]
            if delayed:
                asked = nothing if start + k == frames - 1 else dy[t - 1 if reverse else t + 1]
            if alike:
                common_decay(decay[k, 0], delta[k], A[0])
                advance_alike_keeping(decay[k, 0], drive[k], asked, h[k], h[k + 1], B[t], dC[t])
            else:
                advance_keeping(delta[k], drive[k], asked, A, h[k], h[k + 1], decay[k], B[t], dC[t])
        for k in range(length - 1, -1, -1):
            t = frames - 1 - start - k if reverse else start + k
            d_delta[:] = 0
            d_drive[:] = 0
            asked = dy[t]
            if delayed:
                asked = nothing if start + k == frames - 1 else dy[t - 1 if reverse else t + 1]
            if alike:
                pull_back_alike(decay[k, 0], drive[k], asked, d_delta, d_drive, h[k], dh, B[t], C[t], dB[t])
                pull_back_decay(d_delta, dA[0], decay[k, 0], delta[k], A[0])
            else:
                pull_back(delta[k], drive[k], asked, d_delta, d_drive, A, h[k], decay[k], dh, dA, B[t], C[t], dB[t])
            end_frame(dx[t], ddt[t], dD, ddt_bias, dy[t], x[t], delta[k], slope[k], d_delta, d_drive, D)


@part
def merge(out: np.ndarray, first: np.ndarray, second: np.ndarray, gate: np.ndarray, gated: bool, how: int) -> None:
    """out (frames, merged channels) = merge of the directions times silu(gate)."""
    frames, channels = first.shape
    weight, slope = np.ones((2, channels), first.dtype)
    for t in range(frames):
        if gated:
            silu(weight, slope, gate[t])
        if how in (SUM, QUASI_SEPARABLE):
            weigh_sum(out[t], first[t], second[t], weight)
        elif how == PRODUCT:
            weigh_product(out[t], first[t], second[t], weight)
        else:
            weigh(out[t, :channels], first[t], weight)
            if how == CONCAT:
                weigh(out[t, channels:], second[t], weight)


@part
def merge_backward(
    d_out: np.ndarray, first: np.ndarray, second: np.ndarray, gate: np.ndarray, d_gate: np.ndarray, gated: bool, how: int
) -> None:
    """The transpose of :func:`merge`; the gradients of the directions replace ``first`` and ``second``."""
    frames, channels = first.shape
    weight, slope, d_weight = np.ones((3, channels), first.dtype)
    for t in range(frames):
        if gated:
            silu(weight, slope, gate[t])
        if how in (SUM, QUASI_SEPARABLE):
            unweigh_sum(first[t], d_weight, d_out[t], first[t], second[t], weight)
            second[t] = first[t]
        elif how == PRODUCT:
            unweigh_product(first[t], second[t], d_weight, d_out[t], first[t], second[t], weight)
        else:
            d_weight[:] = 0
            unweigh(first[t], d_weight, d_out[t, :channels], first[t], weight)
            if how == CONCAT:
                unweigh(second[t], d_weight, d_out[t, channels:], second[t], weight)
        if gated:
            weigh(d_gate[t], d_weight, slope)


# ---- all batch elements -----------------------------------------------------------------------------------------


@kernel
def forward(
    out: np.ndarray, ahead: Arrays, back: Arrays, gate: np.ndarray, gated: bool, how: int, rectified: bool, reverse: bool
) -> None:
    """out (batch, frames, merged channels) from one direction, or from two that merge; ``back`` runs against ``ahead``."""
    batch, frames, channels = ahead[0].shape
    directions, delayed = (1 if how == SINGLE else 2), how == QUASI_SEPARABLE
    groups = min(batch, GROUPS)
    for group in prange(groups):
        y = np.empty((directions, frames, channels), out.dtype)
        kept = np.empty((0, 0, 0), out.dtype)
        for element in range(group, batch, groups):
            for side in range(directions):
                scan(back if side else ahead, element, rectified, reverse != (side == 1), delayed, y[side], kept)
            merge(out[element], y[0], y[-1], gate[element], gated, how)


@kernel
def backward(
    d_out: np.ndarray,
    ahead: Arrays,
    back: Arrays,
    gate: np.ndarray,
    d_ahead: Arrays,
    d_back: Arrays,
    d_gate: np.ndarray,
    gated: bool,
    how: int,
    rectified: bool,
    reverse: bool,
) -> None:
    """Gradients of :func:`forward`; those of A, D and dt_bias one per group, to be added over groups."""
    batch, frames, channels = ahead[0].shape
    directions, delayed = (1 if how == SINGLE else 2), how == QUASI_SEPARABLE
    chunks = (frames + CHUNK - 1) // CHUNK
    groups = min(batch, GROUPS)
    for group in prange(groups):
        y = np.empty((directions, frames, channels), d_out.dtype)
        kept = np.empty((directions, chunks, ahead[3].shape[2], channels), d_out.dtype)
        for element in range(group, batch, groups):
            for side in range(directions):
                scan(back if side else ahead, element, rectified, reverse != (side == 1), delayed, y[side], kept[side])
            merge_backward(d_out[element], y[0], y[-1], gate[element], d_gate[element], gated, how)
            for side in range(directions):
                scan_backward(
                    back if side else ahead,
                    d_back if side else d_ahead,
                    element,
                    group,
                    rectified,
                    reverse != (side == 1),
                    delayed,
                    y[side],
                    kept[side],
                )
