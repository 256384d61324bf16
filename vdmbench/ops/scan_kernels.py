"""Numba kernels of the selective scan, one-directional and bidirectional, forward and backward.

Nothing of (batch, frames, channels, state) is ever held. One thread takes one batch element at a time: the state, laid out
(state, channels), stays in its level-1 cache; the backward pass scans once more for the state at the start of every
``CHUNK`` frames, then takes the chunks in reverse, scans each again keeping its states, and pulls gradients back through
them.

Batch elements are dealt to a number of groups that depends on the batch alone, each group sums the gradients of parameters
on its own and groups are added in order: results do not depend on the number of threads, to the last bit.

Names: C is the output map, ``drive`` is delta x, ``slope`` the derivative of delta, ``merged`` what the gate multiplies.
Arrays are padded with zeros, channels to a multiple of the vector width and states to a multiple of ``STATES``. A holds
A / ln 2, so that exp(delta A) is a power of two; where it has one row, all states of a channel decay alike (SSD), and the power
is taken once a channel and frame. A *direction* is the tuple (x, dt, A, B, C, D, dt_bias).
"""

from __future__ import annotations

import numpy as np
from numba import prange

from vdmbench.ops.kernel_cache import kernel, part
from vdmbench.ops.row_kernels import STATES, Row, Rows, Scalars, Sums, Vector, exp2, log1p_of_unit, row_kernel

CHUNK = 16
"""Frames between kept states in the backward pass: a chunk's states and decays should fit a level-2 cache."""
GROUPS = 64
"""Most groups of batch elements, hence most threads in use and most partial gradients of a parameter."""
SINGLE, SUM, PRODUCT, CONCAT, QUASI_SEPARABLE = range(5)
"""How directions merge; SINGLE has one direction, QUASI_SEPARABLE is the sum of scans that are delayed by one frame."""

Arrays = tuple[np.ndarray, ...]

LN2 = float(np.log(2))


# ---- one frame, all channels ------------------------------------------------------------------------------------

def _exp_of_minus_magnitude(v: Vector) -> Vector:
    return exp2(v.where_below(0.0, v, v * -1.0) * (1 / LN2))


def _sigmoid(v: Vector) -> Vector:
    e = _exp_of_minus_magnitude(v)
    return v.where_below(0.0, e, 1.0) / (e + 1.0)


@row_kernel
def softplus(delta: Row, slope: Row, dt: Row, dt_bias: Row) -> None:
    """delta = log(1 + exp(dt + dt_bias)) = max(v, 0) + log1p(exp(-|v|)), and its derivative, the sigmoid."""
    v = dt.value + dt_bias.value
    e = _exp_of_minus_magnitude(v)
    delta.value = v.where_below(0.0, 0.0, v) + log1p_of_unit(e)
    slope.value = v.where_below(0.0, e, 1.0) / (e + 1.0)


@row_kernel
def identity(delta: Row, slope: Row, dt: Row, dt_bias: Row) -> None:
    """delta = dt + dt_bias."""
    v = dt.value + dt_bias.value
    delta.value = v
    slope.value = v * 0.0 + 1.0


@row_kernel
def begin_frame(drive: Row, y: Row, delta: Row, x: Row, D: Row) -> None:
    """drive = delta x; y = D x, to which the states add."""
    inputs = x.value
    drive.value = delta.value * inputs
    y.value = D.value * inputs


@row_kernel
def advance(delta: Row, drive: Row, y: Row, A: Rows, h: Rows, B: Scalars, C: Scalars) -> None:
    """h = exp(delta A) h + B drive; y += C h (Gu and Dao 2023, arXiv 2312.00752, eq. 2a and 2b)."""
    step, inputs, out = delta.value, drive.value, y.value
    for n in range(STATES):
        state = exp2(step * A[n].value) * h[n].value + inputs * B[n]
        h[n].value = state
        out = out + state * C[n]
    y.value = out


@row_kernel
def advance_keeping(delta: Row, drive: Row, dy: Row, A: Rows, before: Rows, h: Rows, decay: Rows, B: Scalars, dC: Sums) -> None:
    """As :func:`advance`, keeping the state and its decay; dC = sum over channels of dy h."""
    step, inputs, gradient = delta.value, drive.value, dy.value
    for n in range(STATES):
        factor = exp2(step * A[n].value)
        state = factor * before[n].value + inputs * B[n]
        decay[n].value = factor
        h[n].value = state
        dC[n].add(gradient * state)


@row_kernel
def pull_back(delta: Row, drive: Row, dy: Row, d_delta: Row, d_drive: Row, A: Rows, before: Rows, decay: Rows, dh: Rows,
              dA: Rows, B: Scalars, C: Scalars, dB: Sums) -> None:
    """The transpose of :func:`advance`: dh, what later frames ask of the state, gains C dy and passes on through the decay."""
    step, inputs, gradient = delta.value, drive.value, dy.value
    to_delta, to_drive = d_delta.value, d_drive.value
    for n in range(STATES):
        to_state = dh[n].value + gradient * C[n]
        dB[n].add(to_state * inputs)
        to_drive = to_drive + to_state * B[n]
        to_previous = to_state * decay[n].value
        dh[n].value = to_previous
        to_exponent = to_previous * before[n].value  # d exp(e) = exp(e) de, with e = delta A
        dA[n].value = dA[n].value + to_exponent * step
        to_delta = to_delta + to_exponent * A[n].value
    d_delta.value, d_drive.value = to_delta, to_drive


@row_kernel
def common_decay(decay: Row, delta: Row, A: Row) -> None:
    """exp(delta A), where all states decay alike (Dao and Gu 2024, arXiv 2405.21060, sec. 2.4)."""
    decay.value = exp2(delta.value * A.value)


@row_kernel
def advance_alike(decay: Row, drive: Row, y: Row, h: Rows, B: Scalars, C: Scalars) -> None:
    """As :func:`advance`, the decay given."""
    factor, inputs, out = decay.value, drive.value, y.value
    for n in range(STATES):
        state = factor * h[n].value + inputs * B[n]
        h[n].value = state
        out = out + state * C[n]
    y.value = out


@row_kernel
def advance_alike_keeping(decay: Row, drive: Row, dy: Row, before: Rows, h: Rows, B: Scalars, dC: Sums) -> None:
    """As :func:`advance_keeping`, the decay given."""
    factor, inputs, gradient = decay.value, drive.value, dy.value
    for n in range(STATES):
        state = factor * before[n].value + inputs * B[n]
        h[n].value = state
        dC[n].add(gradient * state)


@row_kernel
def pull_back_alike(decay: Row, drive: Row, dy: Row, d_decay: Row, d_drive: Row, before: Rows, dh: Rows, B: Scalars, C: Scalars,
                    dB: Sums) -> None:
    """The transpose of :func:`advance_alike`."""
    factor, inputs, gradient = decay.value, drive.value, dy.value
    to_decay, to_drive = d_decay.value, d_drive.value
    for n in range(STATES):
        to_state = dh[n].value + gradient * C[n]
        dB[n].add(to_state * inputs)
        to_drive = to_drive + to_state * B[n]
        to_decay = to_decay + to_state * before[n].value
        dh[n].value = to_state * factor
    d_decay.value, d_drive.value = to_decay, to_drive


@row_kernel
def pull_back_decay(d_delta: Row, dA: Row, decay: Row, delta: Row, A: Row) -> None:
    """The transpose of :func:`common_decay`; d_delta holds the gradient of the decay, and receives its own."""
    to_exponent = d_delta.value * decay.value
    dA.value = dA.value + to_exponent * delta.value
    d_delta.value = to_exponent * A.value


@row_kernel
def end_frame(dx: Row, ddt: Row, dD: Row, ddt_bias: Row, dy: Row, x: Row, delta: Row, slope: Row, d_delta: Row, d_drive: Row,
              D: Row) -> None:
    """Gradients of a frame's inputs from those of delta and of drive = delta x; D x and dt_bias add theirs."""
    inputs, gradient, to_drive = x.value, dy.value, d_drive.value
    dx.value = gradient * D.value + delta.value * to_drive
    dD.value = dD.value + gradient * inputs
    to_dt = (d_delta.value * LN2 + inputs * to_drive) * slope.value  # A holds A / ln 2
    ddt.value = to_dt
    ddt_bias.value = ddt_bias.value + to_dt


@row_kernel
def silu(weight: Row, slope: Row, gate: Row) -> None:
    """silu(g) = g sigmoid(g), and its derivative sigmoid(g) (1 + g (1 - sigmoid(g)))."""
    g = gate.value
    sigmoid = _sigmoid(g)
    weight.value = g * sigmoid
    slope.value = sigmoid + g * sigmoid * (sigmoid * -1.0 + 1.0)


@row_kernel
def weigh(out: Row, merged: Row, weight: Row) -> None:
    out.value = merged.value * weight.value


@row_kernel
def weigh_sum(out: Row, first: Row, second: Row, weight: Row) -> None:
    out.value = (first.value + second.value) * weight.value


@row_kernel
def weigh_product(out: Row, first: Row, second: Row, weight: Row) -> None:
    out.value = first.value * second.value * weight.value


@row_kernel
def unweigh(d_merged: Row, d_weight: Row, d_out: Row, merged: Row, weight: Row) -> None:
    gradient = d_out.value
    d_weight.value = d_weight.value + gradient * merged.value
    d_merged.value = gradient * weight.value


@row_kernel
def unweigh_sum(d_merged: Row, d_weight: Row, d_out: Row, first: Row, second: Row, weight: Row) -> None:
    gradient = d_out.value
    d_weight.value = gradient * (first.value + second.value)
    d_merged.value = gradient * weight.value


@row_kernel
def unweigh_product(d_first: Row, d_second: Row, d_weight: Row, d_out: Row, first: Row, second: Row, weight: Row) -> None:
    one, other = first.value, second.value
    gradient = d_out.value * weight.value
    d_weight.value = d_out.value * one * other
    d_first.value, d_second.value = gradient * other, gradient * one


# ---- one batch element, all frames ------------------------------------------------------------------------------

@part
def scan(direction: Arrays, element: int, rectified: bool, reverse: bool, delayed: bool, y: np.ndarray,
         kept: np.ndarray) -> None:
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
            for n in range(0, states, STATES):
                m = n + STATES
                advance_alike(decay, drive, out, h[n:m], B[t, n:m], C[t, n:m])
        else:
            for n in range(0, states, STATES):
                m = n + STATES
                advance(delta, drive, out, A[n:m], h[n:m], B[t, n:m], C[t, n:m])


@part
def scan_backward(direction: Arrays, gradients: Arrays, element: int, group: int, rectified: bool, reverse: bool,
                  delayed: bool, dy: np.ndarray, kept: np.ndarray) -> None:
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
                for n in range(0, states, STATES):
                    m = n + STATES
                    advance_alike_keeping(decay[k, 0], drive[k], asked, h[k, n:m], h[k + 1, n:m], B[t, n:m], dC[t, n:m])
            else:
                for n in range(0, states, STATES):
                    m = n + STATES
                    advance_keeping(delta[k], drive[k], asked, A[n:m], h[k, n:m], h[k + 1, n:m], decay[k, n:m],
                                    B[t, n:m], dC[t, n:m])
        for k in range(length - 1, -1, -1):
            t = frames - 1 - start - k if reverse else start + k
            d_delta[:] = 0
            d_drive[:] = 0
            asked = dy[t]
            if delayed:
                asked = nothing if start + k == frames - 1 else dy[t - 1 if reverse else t + 1]
            if alike:
                for n in range(0, states, STATES):
                    m = n + STATES
                    pull_back_alike(decay[k, 0], drive[k], asked, d_delta, d_drive, h[k, n:m], dh[n:m], B[t, n:m], C[t, n:m],
                                    dB[t, n:m])
                pull_back_decay(d_delta, dA[0], decay[k, 0], delta[k], A[0])
            else:
                for n in range(0, states, STATES):
                    m = n + STATES
                    pull_back(delta[k], drive[k], asked, d_delta, d_drive, A[n:m], h[k, n:m], decay[k, n:m], dh[n:m],
                              dA[n:m], B[t, n:m], C[t, n:m], dB[t, n:m])
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
def merge_backward(d_out: np.ndarray, first: np.ndarray, second: np.ndarray, gate: np.ndarray, d_gate: np.ndarray, gated: bool,
                   how: int) -> None:
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
def forward(out: np.ndarray, ahead: Arrays, back: Arrays, gate: np.ndarray, gated: bool, how: int, rectified: bool,
            reverse: bool) -> None:
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
def backward(d_out: np.ndarray, ahead: Arrays, back: Arrays, gate: np.ndarray, d_ahead: Arrays, d_back: Arrays,
             d_gate: np.ndarray, gated: bool, how: int, rectified: bool, reverse: bool) -> None:
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
                scan_backward(back if side else ahead, d_back if side else d_ahead, element, group, rectified,
                              reverse != (side == 1), delayed, y[side], kept[side])
