"""Numba kernels of linear attention with softmax maps, forward and backward, on the CPU.

A thread takes one head of one batch element: queries, keys and values of all its places are copied next to each other, mapped,
and multiplied four places by four features at a time, from registers. The backward pass makes maps and context again. No place
or feature is summed by two threads, so results do not depend on their number, to the last bit.

Places are a multiple of ``STATES``, features of it and of the vector width. Arrays are (batch, heads, places, features),
whatever lies between their places.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from vdmbench.ops.kernel_cache import kernel, part
from vdmbench.ops.row_kernels import STATES, Row, Rows, Scalars, exp2, row_kernel
from vdmbench.ops.softmax_rows import LOG2E, column_dots, columns_pulled, copy, dots, exponentials, largest_of, scaled

# ---- a few rows --------------------------------------------------------------------------------------------------


@row_kernel
def _column_largest(largest: Row, x: Rows) -> None:
    """Of each feature, over its places."""
    for n in range(STATES):
        largest.value = largest.value.larger(x[n].value)


@row_kernel
def _column_exponentials(total: Row, largest: Row, x: Rows) -> None:
    for n in range(STATES):
        below = x[n].value - largest.value
        x[n].value = exp2(below * LOG2E) + below * 0.0
        total.value = total.value + x[n].value


@row_kernel
def _columns_divided(total: Row, x: Rows) -> None:
    for n in range(STATES):
        x[n].value = x[n].value / total.value


@row_kernel
def pulled(like: Row, dy: Rows, y: Rows, dot: Scalars) -> None:
    """The transpose of a softmax over features: dy <- y (dy - y . dy)."""
    for n in range(STATES):
        dy[n].value = y[n].value * (dy[n].value - dot[n])


@row_kernel
def _gather(v0: Row, v1: Row, v2: Row, v3: Row, out: Rows, x0: Scalars, x1: Scalars, x2: Scalars, x3: Scalars) -> None:
    """out[n] += sum over four places of x[n] v."""
    seen = [v0.value, v1.value, v2.value, v3.value]
    for n in range(STATES):
        total = out[n].value
        for x, v in zip((x0, x1, x2, x3), seen, strict=True):
            total = total + v * x[n]
        out[n].value = total


@row_kernel
def _spread(o0: Row, o1: Row, o2: Row, o3: Row, rows: Rows, x0: Scalars, x1: Scalars, x2: Scalars, x3: Scalars) -> None:
    """out += sum over n of x[n] rows[n], at four places."""
    seen = [row.value for row in rows]
    for out, x in ((o0, x0), (o1, x1), (o2, x2), (o3, x3)):
        total = out.value
        for n in range(STATES):
            total = total + seen[n] * x[n]
        out.value = total


# ---- all places of a head ----------------------------------------------------------------------------------------


@part
def softmax_of_features(x: np.ndarray, numbers: np.ndarray) -> None:
    largest_of(x[0], x, numbers)
    exponentials(x[0], x, numbers, numbers)
    for p in range(len(numbers)):
        numbers[p] = 1 / numbers[p]
    scaled(x[0], x, numbers)


@part
def softmax_of_places(x: np.ndarray, largest: np.ndarray, total: np.ndarray) -> None:
    largest[:] = -np.inf
    total[:] = 0
    _column_largest(largest, x)
    _column_exponentials(total, largest, x)
    _columns_divided(total, x)


@part
def _gathered(out: np.ndarray, x: np.ndarray, v: np.ndarray) -> None:
    """out (features, features) = x^T v over the places."""
    out[:] = 0
    for p in range(0, len(x), STATES):
        _gather(v[p], v[p + 1], v[p + 2], v[p + 3], out, x[p], x[p + 1], x[p + 2], x[p + 3])


@part
def _spread_out(out: np.ndarray, x: np.ndarray, rows: np.ndarray) -> None:
    """out (places, features) = x rows."""
    out[:] = 0
    for p in range(0, len(x), STATES):
        _spread(out[p], out[p + 1], out[p + 2], out[p + 3], rows, x[p], x[p + 1], x[p + 2], x[p + 3])


# ---- all heads ---------------------------------------------------------------------------------------------------


@kernel
def forward(out: np.ndarray, q: np.ndarray, k: np.ndarray, v: np.ndarray) -> None:
    """out = softmax(q over features) (softmax(k over places)^T v)."""
    batch, heads, places, features = q.shape
    for element in prange(batch):
        of_q, of_k, of_v, mixed = np.empty((4, places, features), out.dtype)
        numbers, context = np.empty(places, out.dtype), np.empty((features, features), out.dtype)
        largest, total = np.empty((2, features), out.dtype)
        for head in range(heads):
            copy(of_q[0], of_q, q[element, head])
            copy(of_k[0], of_k, k[element, head])
            copy(of_v[0], of_v, v[element, head])
            softmax_of_features(of_q, numbers)
            softmax_of_places(of_k, largest, total)
            _gathered(context, of_k, of_v)
            _spread_out(mixed, of_q, context)
            copy(mixed[0], out[element, head], mixed)


@kernel
def backward(
    dq: np.ndarray, dk: np.ndarray, dv: np.ndarray, d_out: np.ndarray, q: np.ndarray, k: np.ndarray, v: np.ndarray
) -> None:
    """Gradients of :func:`forward`."""
    batch, heads, places, features = q.shape
    for element in prange(batch):
        of_q, of_k, of_v, asked, found = np.empty((5, places, features), dq.dtype)
        context, d_context, turned = np.empty((3, features, features), dq.dtype)
        numbers = np.empty(places, dq.dtype)
        largest, total = np.empty((2, features), dq.dtype)
        for head in range(heads):
            copy(of_q[0], of_q, q[element, head])
            copy(of_k[0], of_k, k[element, head])
            copy(of_v[0], of_v, v[element, head])
            copy(asked[0], asked, d_out[element, head])
            softmax_of_features(of_q, numbers)
            softmax_of_places(of_k, largest, total)
            _gathered(context, of_k, of_v)
            _gathered(d_context, of_q, asked)

            turned[:] = context.T
            _spread_out(found, asked, turned)
            dots(of_q[0], of_q, found, numbers)
            pulled(of_q[0], found, of_q, numbers)
            copy(found[0], dq[element, head], found)

            _spread_out(found, of_k, d_context)
            copy(found[0], dv[element, head], found)

            turned[:] = d_context.T
            _spread_out(found, of_v, turned)
            total[:] = 0
            column_dots(total, of_k, found)
            columns_pulled(total, found, of_k)
            copy(found[0], dk[element, head], found)
