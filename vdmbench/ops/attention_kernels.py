"""Numba kernels of attention over few frames, forward and backward, on the CPU: softmax or linear, rotated or not.

A thread takes one head of a batch element at a time: its queries, keys and values are copied next to each other, mapped and
rotated, and multiplied a square of vectors at a time, from registers. Frames and features are filled up to whole vectors, and
what fills has no weight. Linear attention is taken by its weights too, which are fewer than its context while frames are fewer
than features. The backward pass makes maps and weights again. No frame or feature is summed by two threads, so results do not
depend on their number, to the last bit.

Arrays are (batch, heads, frames, features), whatever lies between their frames; ``turn`` is (2, frames, features), or empty;
``lanes`` is how many numbers a vector has.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from vdmbench.ops.kernel_cache import kernel, part
from vdmbench.ops.row_kernels import STATES, Row, Rows, Scalars, Sums, exp2, product, row_kernel, transposed
from vdmbench.ops.softmax_rows import LOG2E, column_dots, columns_pulled, copy, dots, exponentials, largest_of, scaled

UNSEEN = 1e30
"""How far the score of a key that is not seen lies below: finite, so that it makes nothing NaN."""

ELEMENTS = 16
"""Batch elements that a thread takes in turn, in one set of buffers."""


# ---- a few rows --------------------------------------------------------------------------------------------------


@row_kernel
def _copy_one(like: Row, out: Row, x: Row) -> None:
    out.value = x.value


@row_kernel
def _turn(like: Row, out: Rows, x: Rows, cosine: Rows, sine: Rows) -> None:
    for n in range(STATES):
        value = x[n].value
        out[n].value = value * cosine[n].value + value.in_pairs() * sine[n].value


@row_kernel
def _turn_back(like: Row, x: Rows, cosine: Rows, sine: Rows) -> None:
    for n in range(STATES):
        value = x[n].value
        x[n].value = value * cosine[n].value - value.in_pairs() * sine[n].value


@row_kernel
def _exponentials_seen(like: Row, x: Rows, largest: Scalars, total: Sums, seen: Rows) -> None:
    """The same of keys that are seen, 0 of others: of the lowest number exp2 is not 0 but 1e-38."""
    for n in range(STATES):
        below = x[n].value - largest[n]
        x[n].value = (exp2(below * LOG2E) + below * 0.0) * seen[n].value
        total[n].add(x[n].value)


@row_kernel
def _scores(like: Row, x: Rows, factor: Row, seen: Rows) -> None:
    """Scores of keys that are not seen are the lowest."""
    for n in range(STATES):
        x[n].value = x[n].value * factor.value + (seen[n].value - 1.0) * UNSEEN


@row_kernel
def _column_largest(largest: Row, x: Row) -> None:
    """Of each feature, over frames."""
    largest.value = largest.value.larger(x.value)


@row_kernel
def _column_exponentials(total: Row, largest: Row, x: Row) -> None:
    below = x.value - largest.value
    x.value = exp2(below * LOG2E) + below * 0.0
    total.value = total.value + x.value


@row_kernel
def _column_divided(total: Row, x: Row) -> None:
    x.value = x.value / total.value


@row_kernel
def _pulled(like: Row, dy: Rows, y: Rows, dot: Scalars, factor: Row) -> None:
    """The transpose of a softmax of each row, times a factor: dy <- y (dy - y . dy) factor."""
    for n in range(STATES):
        dy[n].value = y[n].value * (dy[n].value - dot[n]) * factor.value


# ---- all frames of a head ----------------------------------------------------------------------------------------


@part
def _taken(out: np.ndarray, x: np.ndarray, lanes: int) -> None:
    """Frames and features of x; those that fill ``out`` up stay as they are."""
    frames, features = x.shape
    whole, even = frames // STATES * STATES, features // lanes * lanes
    if even:
        if whole:
            copy(out[0, :even], out[:whole], x)
        for p in range(whole, frames):
            _copy_one(out[p, :even], out[p], x[p])
    for p in range(frames):
        for f in range(even, features):
            out[p, f] = x[p, f]


@part
def _given(out: np.ndarray, x: np.ndarray, lanes: int) -> None:
    """Of ``x`` what does not fill up."""
    frames, features = out.shape
    whole, even = frames // STATES * STATES, features // lanes * lanes
    if even:
        if whole:
            copy(x[0, :even], out[:whole], x)
        for p in range(whole, frames):
            _copy_one(x[p, :even], out[p], x[p])
    for p in range(frames):
        for f in range(even, features):
            out[p, f] = x[p, f]


@part
def _softmax_of_rows(x: np.ndarray, numbers: np.ndarray) -> None:
    largest_of(x[0], x, numbers)
    exponentials(x[0], x, numbers, numbers)
    _divided(x, numbers)


@part
def _divided(x: np.ndarray, numbers: np.ndarray) -> None:
    for p in range(len(numbers)):
        numbers[p] = 1 / numbers[p]
    scaled(x[0], x, numbers)


@part
def _softmax_of_frames(x: np.ndarray, frames: int, largest: np.ndarray, total: np.ndarray) -> None:
    largest[:] = -np.inf
    total[:] = 0
    for p in range(frames):
        _column_largest(largest, x[p])
    for p in range(frames):
        _column_exponentials(total, largest, x[p])
    for p in range(frames):
        _column_divided(total, x[p])


@part
def _sight(seen: np.ndarray, frames: int, causal: bool) -> None:
    """1 where a query sees a key, else 0; keys that fill up are not seen."""
    seen[:] = 0
    for p in range(len(seen)):
        seen[p, : min(p + 1, frames) if causal else frames] = 1


@part
def _mapped(
    q: np.ndarray, k: np.ndarray, frames: int, features: int, numbers: np.ndarray, largest: np.ndarray, total: np.ndarray
) -> None:
    """Features that fill q up have no weight."""
    q[:, features:] = -UNSEEN
    _softmax_of_rows(q, numbers)
    _softmax_of_frames(k, frames, largest, total)


@part
def _filled(turns: np.ndarray, turn: np.ndarray) -> None:
    """What fills up does not turn."""
    turns[0] = 1
    turns[1] = 0
    if turn.shape[1]:
        turns[:, : turn.shape[1], : turn.shape[2]] = turn


@part
def _weights(
    weights: np.ndarray,
    queries: np.ndarray,
    keys: np.ndarray,
    factor: np.ndarray,
    seen: np.ndarray,
    numbers: np.ndarray,
    softmax: bool,
) -> None:
    """Of every key for every query, both (features, frames)."""
    product(weights, queries, keys)
    if softmax:
        _scores(weights[0], weights, factor, seen)
        largest_of(weights[0], weights, numbers)
        _exponentials_seen(weights[0], weights, numbers, numbers, seen)
        _divided(weights, numbers)


# ---- all heads ---------------------------------------------------------------------------------------------------


@kernel
def forward(
    out: np.ndarray, q: np.ndarray, k: np.ndarray, v: np.ndarray, turn: np.ndarray, lanes: int, softmax: bool, causal: bool
) -> None:
    """out = (weights of q and k) v."""
    batch, heads, frames, features = q.shape
    places, width = -(-frames // lanes) * lanes, -(-features // lanes) * lanes
    for stretch in prange(-(-batch // ELEMENTS)):
        of_q, of_k, of_v, mixed = np.zeros((4, places, width), out.dtype)
        queries, keys = np.empty((2, width, places), out.dtype)
        weights, across, seen = np.empty((3, places, places), out.dtype)
        numbers, factor = np.empty(places, out.dtype), np.full(places, features**-0.5, out.dtype)
        largest, total = np.empty((2, width), out.dtype)
        turns = np.empty((2, places, width), of_q.dtype)
        _filled(turns, turn)
        cosine, sine = turns
        _sight(seen, frames, causal)
        for number in range(stretch * ELEMENTS * heads, min((stretch + 1) * ELEMENTS, batch) * heads):
            element, head = number // heads, number % heads
            _taken(of_q, q[element, head], lanes)
            _taken(of_k, k[element, head], lanes)
            _taken(of_v, v[element, head], lanes)
            if not softmax:
                _mapped(of_q, of_k, frames, features, numbers, largest, total)
            if turn.shape[1]:
                _turn(of_q[0], of_q, of_q, cosine, sine)
                _turn(of_k[0], of_k, of_k, cosine, sine)
            transposed(queries, of_q)
            transposed(keys, of_k)
            _weights(weights, queries, keys, factor, seen, numbers, softmax)
            transposed(across, weights)
            product(mixed, across, of_v)
            _given(out[element, head], mixed, lanes)


@kernel
def backward(
    dq: np.ndarray,
    dk: np.ndarray,
    dv: np.ndarray,
    d_out: np.ndarray,
    q: np.ndarray,
    k: np.ndarray,
    v: np.ndarray,
    turn: np.ndarray,
    lanes: int,
    softmax: bool,
    causal: bool,
) -> None:
    """Gradients of :func:`forward`."""
    batch, heads, frames, features = q.shape
    places, width = -(-frames // lanes) * lanes, -(-features // lanes) * lanes
    for stretch in prange(-(-batch // ELEMENTS)):
        of_q, of_k, of_v, asked, turned_q, turned_k, found = np.zeros((7, places, width), dq.dtype)
        one, other = np.empty((2, width, places), dq.dtype)
        weights, d_weights, across, seen = np.empty((4, places, places), dq.dtype)
        numbers, factor = np.empty(places, dq.dtype), np.full(places, features**-0.5, dq.dtype)
        largest, total = np.empty((2, width), dq.dtype)
        ones = np.ones(width, dq.dtype)
        turns = np.empty((2, places, width), of_q.dtype)
        _filled(turns, turn)
        cosine, sine = turns
        _sight(seen, frames, causal)
        for number in range(stretch * ELEMENTS * heads, min((stretch + 1) * ELEMENTS, batch) * heads):
            element, head = number // heads, number % heads
            _taken(of_q, q[element, head], lanes)
            _taken(of_k, k[element, head], lanes)
            _taken(of_v, v[element, head], lanes)
            _taken(asked, d_out[element, head], lanes)
            if not softmax:
                _mapped(of_q, of_k, frames, features, numbers, largest, total)
            _turn(of_q[0], turned_q, of_q, cosine, sine)
            _turn(of_k[0], turned_k, of_k, cosine, sine)
            transposed(one, turned_q)
            transposed(other, turned_k)
            _weights(weights, one, other, factor, seen, numbers, softmax)

            product(found, weights, asked)
            _given(dv[element, head], found, lanes)

            transposed(one, asked)
            transposed(other, of_v)
            product(d_weights, one, other)
            if softmax:
                dots(weights[0], weights, d_weights, numbers)
                _pulled(weights[0], d_weights, weights, numbers, factor)

            transposed(across, d_weights)
            product(found, across, turned_k)
            _turn_back(found[0], found, cosine, sine)
            if not softmax:
                dots(of_q[0], of_q, found, numbers)
                _pulled(of_q[0], found, of_q, numbers, ones)
            _given(dq[element, head], found, lanes)

            product(found, d_weights, turned_q)
            _turn_back(found[0], found, cosine, sine)
            if not softmax:
                total[:] = 0
                column_dots(total, of_k, found)
                columns_pulled(total, found, of_k)
            _given(dk[element, head], found, lanes)
