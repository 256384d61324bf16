"""Numba kernels of the two halves of linear attention over places, forward and backward, on the CPU.

A thread takes an image: its softmax, made again in the backward pass, and its products stay in the cache. No place is summed by
two threads, so results do not depend on their number, to the last bit. Places, channels and features of all heads are whole
vectors; arrays are C-contiguous.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from vdmbench.ops.kernel_cache import kernel
from vdmbench.ops.linear_attention_kernels import pulled, softmax_of_features, softmax_of_places
from vdmbench.ops.row_kernels import product, transposed
from vdmbench.ops.softmax_rows import column_dots, columns_pulled, dots


@kernel
def gather(out: np.ndarray, k: np.ndarray, x: np.ndarray) -> None:
    """out (images, features, channels) = softmax(k over places)^T x."""
    features = k.shape[2]
    for image in prange(len(k)):
        weights = k[image].copy()
        largest, total = np.empty((2, features), out.dtype)
        softmax_of_places(weights, largest, total)
        product(out[image], weights, x[image])


@kernel
def gather_backward(dk: np.ndarray, dx: np.ndarray, d_out: np.ndarray, k: np.ndarray, x: np.ndarray) -> None:
    """Gradients of :func:`gather`."""
    images, places, features = k.shape
    channels = x.shape[2]
    for image in prange(images):
        weights = k[image].copy()
        largest, total = np.empty((2, features), dk.dtype)
        softmax_of_places(weights, largest, total)
        across, x_across = np.empty((features, places), dk.dtype), np.empty((channels, places), dk.dtype)
        transposed(across, weights)
        product(dx[image], across, d_out[image])
        d_across = np.empty((channels, features), dk.dtype)
        transposed(d_across, d_out[image])
        transposed(x_across, x[image])
        product(dk[image], x_across, d_across)
        total[:] = 0
        column_dots(total, weights, dk[image])
        columns_pulled(total, dk[image], weights)


@kernel
def read(out: np.ndarray, q: np.ndarray, values: np.ndarray, heads: int) -> None:
    """out (images, places, channels) = softmax(q over the features of each head) values."""
    images, places, features = q.shape
    for image in prange(images):
        weights, numbers = q[image].copy(), np.empty(places * heads, out.dtype)
        softmax_of_features(weights.reshape(places * heads, features // heads), numbers)
        across = np.empty((features, places), out.dtype)
        transposed(across, weights)
        product(out[image], across, values[image])


@kernel
def read_backward(
    dq: np.ndarray, d_values: np.ndarray, d_out: np.ndarray, q: np.ndarray, values: np.ndarray, heads: int
) -> None:
    """Gradients of :func:`read`."""
    images, places, features = q.shape
    channels = values.shape[2]
    for image in prange(images):
        weights, numbers = q[image].copy(), np.empty(places * heads, dq.dtype)
        by_head = weights.reshape(places * heads, features // heads)
        softmax_of_features(by_head, numbers)
        product(d_values[image], weights, d_out[image])
        across, v_across = np.empty((channels, places), dq.dtype), np.empty((channels, features), dq.dtype)
        transposed(across, d_out[image])
        transposed(v_across, values[image])
        product(dq[image], across, v_across)
        d_by_head = dq[image].reshape(places * heads, features // heads)
        dots(by_head[0], by_head, d_by_head, numbers)
        pulled(by_head[0], d_by_head, by_head, numbers)
