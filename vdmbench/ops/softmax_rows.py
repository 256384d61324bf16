"""Row kernels of a softmax, over rows or over columns, and of its transpose: what all attention on the CPU is made of."""

from __future__ import annotations

import numpy as np

from vdmbench.ops.row_kernels import STATES, Maxima, Row, Rows, Scalars, Sums, exp2, row_kernel

LOG2E = float(np.log2(np.e))


@row_kernel
def copy(like: Row, out: Rows, x: Rows) -> None:
    for n in range(STATES):
        out[n].value = x[n].value


@row_kernel
def largest_of(like: Row, x: Rows, largest: Maxima) -> None:
    """Of each row."""
    for n in range(STATES):
        largest[n].add(x[n].value)


@row_kernel
def exponentials(like: Row, x: Rows, largest: Scalars, total: Sums) -> None:
    """x <- exp(x - largest), and its sum over each row. What is not a number stays none: exp2 would make it a large one."""
    for n in range(STATES):
        below = x[n].value - largest[n]
        x[n].value = exp2(below * LOG2E) + below * 0.0
        total[n].add(x[n].value)


@row_kernel
def scaled(like: Row, x: Rows, factor: Scalars) -> None:
    for n in range(STATES):
        x[n].value = x[n].value * factor[n]


@row_kernel
def dots(like: Row, x: Rows, y: Rows, dot: Sums) -> None:
    for n in range(STATES):
        dot[n].add(x[n].value * y[n].value)


@row_kernel
def column_dots(dot: Row, x: Rows, y: Rows) -> None:
    for n in range(STATES):
        dot.value = dot.value + x[n].value * y[n].value


@row_kernel
def columns_pulled(dot: Row, dy: Rows, y: Rows) -> None:
    for n in range(STATES):
        dy[n].value = y[n].value * (dy[n].value - dot.value)
