"""What the CPU scan does to one frame, a vector of adjacent channels at a time: the row kernels of the scans.

Names: C is the output map, ``drive`` is delta x, ``slope`` the derivative of delta, ``merged`` what the gate multiplies. A
holds A / ln 2, so that exp(delta A) is a power of two. Kernels named ``alike`` are of states that all decay alike (SSD).
"""

from __future__ import annotations

import numpy as np

from vdmbench.ops.row_kernels import STATES, Row, Rows, Scalars, Sums, Vector, exp2, log1p_of_unit, row_kernel

LN2 = float(np.log(2))


def _exp_of_minus_magnitude(v: Vector) -> Vector:
    return exp2(v.where_below(0.0, v, v * -1.0) * (1 / LN2))


def sigmoid(v: Vector) -> Vector:
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
def advance_keeping(
    delta: Row, drive: Row, y: Row, A: Rows, before: Rows, h: Rows, decay: Rows, B: Scalars, C: Scalars
) -> None:
    """As :func:`advance`, keeping the state before and its decay."""
    step, inputs, out = delta.value, drive.value, y.value
    for n in range(STATES):
        factor = exp2(step * A[n].value)
        state = factor * before[n].value + inputs * B[n]
        decay[n].value = factor
        h[n].value = state
        out = out + state * C[n]
    y.value = out


@row_kernel
def pull_back(
    delta: Row,
    drive: Row,
    dy: Row,
    d_delta: Row,
    d_drive: Row,
    A: Rows,
    before: Rows,
    h: Rows,
    decay: Rows,
    dh: Rows,
    dA: Rows,
    B: Scalars,
    C: Scalars,
    dB: Sums,
    dC: Sums,
) -> None:
    """The transpose of :func:`advance`: dh, what later frames ask of the state, gains C dy and passes on through the decay."""
    step, inputs, gradient = delta.value, drive.value, dy.value
    to_delta, to_drive = d_delta.value, d_drive.value
    for n in range(STATES):
        dC[n].add(gradient * h[n].value)
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
def advance_alike_keeping(decay: Row, drive: Row, y: Row, before: Rows, h: Rows, B: Scalars, C: Scalars) -> None:
    """As :func:`advance_keeping`, the decay given."""
    factor, inputs, out = decay.value, drive.value, y.value
    for n in range(STATES):
        state = factor * before[n].value + inputs * B[n]
        h[n].value = state
        out = out + state * C[n]
    y.value = out


@row_kernel
def pull_back_alike(
    decay: Row,
    drive: Row,
    dy: Row,
    d_decay: Row,
    d_drive: Row,
    before: Rows,
    h: Rows,
    dh: Rows,
    B: Scalars,
    C: Scalars,
    dB: Sums,
    dC: Sums,
) -> None:
    """The transpose of :func:`advance_alike`."""
    factor, inputs, gradient = decay.value, drive.value, dy.value
    to_decay, to_drive = d_decay.value, d_drive.value
    for n in range(STATES):
        dC[n].add(gradient * h[n].value)
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
def end_frame(
    dx: Row, ddt: Row, dD: Row, ddt_bias: Row, dy: Row, x: Row, delta: Row, slope: Row, d_delta: Row, d_drive: Row, D: Row
) -> None:
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
    s = sigmoid(g)
    weight.value = g * s
    slope.value = s + g * s * (s * -1.0 + 1.0)


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
