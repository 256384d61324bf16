"""Numba kernels of the selective scan, one-directional and bidirectional, forward and backward.

Nothing of (batch, frames, channels, state) is ever held. One thread takes one batch element at a time: the state, laid out
(state, channels), stays in its level-1 cache; the backward pass scans once more for the state at the start of every
``CHUNK`` frames, then takes the chunks in reverse, scans each again keeping its states, and pulls gradients back through
them. Of the last chunk the first of these scans keeps the states already, so that a clip of one chunk is scanned once.

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


# ---- one batch element -------------------------------------------------------------------------------------------


@part
def begin(direction: Arrays, element: int, delayed: bool, y: np.ndarray) -> None:
    """What y (frames, channels) holds before a scan, where that adds to another frame than it is at: D x."""
    if delayed:
        for t in range(len(y)):
            weigh(y[t], direction[5], direction[0][element, t])


@part
def scan(
    direction: Arrays,
    element: int,
    length: int,
    rectified: bool,
    reverse: bool,
    delayed: bool,
    y: np.ndarray,
    h: np.ndarray,
    kept: np.ndarray,
) -> None:
    """Scan the first ``length`` frames, in scan order, into y, from the state h and on to it; where ``kept`` has room, keep the
    state before each chunk there.

    ``delayed``: what the state gives goes to the next frame in scan order, and D x stays.
    """
    xs, dts, A, Bs, Cs, D, dt_bias = direction
    x, dt, B, C = xs[element], dts[element], Bs[element], Cs[element]
    frames, channels = x.shape
    alike = A.shape[0] == 1
    delta, slope, drive, decay, nowhere = np.zeros((5, channels), A.dtype)
    for i in range(length):
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
def scan_keeping(
    direction: Arrays,
    element: int,
    start: int,
    rectified: bool,
    reverse: bool,
    delayed: bool,
    y: np.ndarray,
    h: np.ndarray,
    decay: np.ndarray,
    steps: np.ndarray,
) -> None:
    """Scan the chunk from frame ``start`` on, in scan order, from the state h[0]; keep what pulls gradients back: every state
    in h, decays, and in ``steps`` delta, its slope and drive. Into y, but where that has no frames."""
    xs, dts, A, Bs, Cs, D, dt_bias = direction
    x, dt, B, C = xs[element], dts[element], Bs[element], Cs[element]
    frames, channels = x.shape
    nowhere = np.zeros(channels, A.dtype)
    for k in range(min(CHUNK, frames - start)):
        t = frames - 1 - start - k if reverse else start + k
        delta, slope, drive = steps[0, k], steps[1, k], steps[2, k]
        if rectified:
            softplus(delta, slope, dt[t], dt_bias)
        else:
            identity(delta, slope, dt[t], dt_bias)
        out = nowhere
        if len(y) > 0 and not delayed:
            out = y[t]
        elif len(y) > 0 and start + k < frames - 1:
            out = y[t - 1 if reverse else t + 1]
        if delayed:
            weigh(drive, delta, x[t])
        else:
            begin_frame(drive, out, delta, x[t], D)
        if A.shape[0] == 1:
            common_decay(decay[k, 0], delta, A[0])
            advance_alike_keeping(decay[k, 0], drive, out, h[k], h[k + 1], B[t], C[t])
        else:
            advance_keeping(delta, drive, out, A, h[k], h[k + 1], decay[k], B[t], C[t])


@part
def pull_chunk_back(
    direction: Arrays,
    gradients: Arrays,
    element: int,
    group: int,
    start: int,
    reverse: bool,
    delayed: bool,
    dy: np.ndarray,
    h: np.ndarray,
    decay: np.ndarray,
    steps: np.ndarray,
    dh: np.ndarray,
) -> None:
    """Gradients of the chunk from frame ``start`` on from dy (frames, channels) and from dh, what later chunks ask of the
    state; those of parameters are added to the group's."""
    xs, _, A, Bs, Cs, D, _ = direction
    x, B, C = xs[element], Bs[element], Cs[element]
    dx, ddt, dB, dC = gradients[0][element], gradients[1][element], gradients[3][element], gradients[4][element]
    dA, dD, ddt_bias = gradients[2][group], gradients[5][group], gradients[6][group]
    frames, channels = x.shape
    d_delta, d_drive, nothing = np.zeros((3, channels), A.dtype)
    for k in range(min(CHUNK, frames - start) - 1, -1, -1):
        t = frames - 1 - start - k if reverse else start + k
        delta, slope, drive = steps[0, k], steps[1, k], steps[2, k]
        d_delta[:] = 0
        d_drive[:] = 0
        asked = dy[t]
        if delayed:
            asked = nothing if start + k == frames - 1 else dy[t - 1 if reverse else t + 1]
        if A.shape[0] == 1:
            pull_back_alike(decay[k, 0], drive, asked, d_delta, d_drive, h[k], h[k + 1], dh, B[t], C[t], dB[t], dC[t])
            pull_back_decay(d_delta, dA[0], decay[k, 0], delta, A[0])
        else:
            pull_back(delta, drive, asked, d_delta, d_drive, A, h[k], h[k + 1], decay[k], dh, dA, B[t], C[t], dB[t], dC[t])
        end_frame(dx[t], ddt[t], dD, ddt_bias, dy[t], x[t], delta, slope, d_delta, d_drive, D)


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
        h, kept = np.empty((ahead[3].shape[2], channels), out.dtype), np.empty((0, 0, 0), out.dtype)
        for element in range(group, batch, groups):
            for side in range(directions):
                direction = back if side else ahead
                begin(direction, element, delayed, y[side])
                h[:] = 0
                scan(direction, element, frames, rectified, reverse != (side == 1), delayed, y[side], h, kept)
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
    states, last = ahead[3].shape[2], (frames - 1) // CHUNK
    groups = min(batch, GROUPS)
    for group in prange(groups):
        y = np.empty((directions, frames, channels), d_out.dtype)
        none = np.empty((0, channels), d_out.dtype)
        kept = np.empty((directions, last, states, channels), d_out.dtype)
        h = np.empty((directions, CHUNK + 1, states, channels), d_out.dtype)
        decay = np.empty((directions, CHUNK, *ahead[2].shape), d_out.dtype)
        steps = np.empty((directions, 3, CHUNK, channels), d_out.dtype)
        dh = np.empty((states, channels), d_out.dtype)
        for element in range(group, batch, groups):
            for side in range(directions):
                direction, against = back if side else ahead, reverse != (side == 1)
                begin(direction, element, delayed, y[side])
                h[side, 0] = 0
                scan(direction, element, last * CHUNK, rectified, against, delayed, y[side], h[side, 0], kept[side])
                scan_keeping(
                    direction,
                    element,
                    last * CHUNK,
                    rectified,
                    against,
                    delayed,
                    y[side],
                    h[side],
                    decay[side],
                    steps[side],
                )
            merge_backward(d_out[element], y[0], y[-1], gate[element], d_gate[element], gated, how)
            for side in range(directions):
                direction, against = back if side else ahead, reverse != (side == 1)
                gradients = d_back if side else d_ahead
                dh[:] = 0
                for chunk in range(last, -1, -1):
                    if chunk < last:
                        h[side, 0] = kept[side, chunk]
                        scan_keeping(
                            direction,
                            element,
                            chunk * CHUNK,
                            rectified,
                            against,
                            delayed,
                            none,
                            h[side],
                            decay[side],
                            steps[side],
                        )
                    pull_chunk_back(
                        direction,
                        gradients,
                        element,
                        group,
                        chunk * CHUNK,
                        against,
                        delayed,
                        y[side],
                        h[side],
                        decay[side],
                        steps[side],
                        dh,
                    )
