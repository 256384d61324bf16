"""Numba kernels of group norm with its scale, shift and SiLU, forward and backward; channels are adjacent in memory.

An image is taken as rows of adjacent numbers, so long that they are a multiple of the vector width and of the channels; what a
channel is multiplied by is laid out as often as a row has that channel. One thread takes the images that share their
statistics, one such unit at a time, and no sum crosses units but those of parameters, which are taken afterwards, image after
image: results do not depend on the number of threads, to the last bit.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from vdmbench.ops.frame_kernels import sigmoid
from vdmbench.ops.kernel_cache import kernel, part
from vdmbench.ops.row_kernels import Row, row_kernel


@row_kernel
def add(total: Row, x: Row) -> None:
    total.value = total.value + x.value


@row_kernel
def add_square(total: Row, x: Row, mean: Row) -> None:
    deviation = x.value - mean.value
    total.value = total.value + deviation * deviation


@row_kernel
def activate(y: Row, x: Row, factor: Row, offset: Row) -> None:
    """y = SiLU(factor x + offset)."""
    z = x.value * factor.value + offset.value
    y.value = z * sigmoid(z)


@row_kernel
def activate_beside(y: Row, x: Row, factor: Row, offset: Row, beside: Row) -> None:
    """y = SiLU(factor x + offset) + beside."""
    z = x.value * factor.value + offset.value
    y.value = z * sigmoid(z) + beside.value


@row_kernel
def pull_back(dz: Row, total: Row, weighed: Row, dy: Row, x: Row, factor: Row, offset: Row, mean: Row) -> None:
    """dz = dy SiLU'(z), its sum, and that of dz (x - mean)."""
    inputs = x.value
    z = inputs * factor.value + offset.value
    s = sigmoid(z)
    gradient = dy.value * (s + z * s * (s * -1.0 + 1.0))
    dz.value = gradient
    total.value = total.value + gradient
    weighed.value = weighed.value + gradient * (inputs - mean.value)


@row_kernel
def end(dx: Row, x: Row, factor: Row, slope: Row, offset: Row) -> None:
    """dx = factor dz - slope x - offset, where dx holds dz."""
    dx.value = dx.value * factor.value - x.value * slope.value - offset.value


@part
def _folded(sums: np.ndarray, row: np.ndarray) -> None:
    """Sums along a row (channels,): what it holds of each channel."""
    channels = sums.shape[0]
    sums[:] = row[:channels]
    for start in range(channels, row.shape[0], channels):
        for c in range(channels):
            sums[c] += row[start + c]


@part
def _means(mean: np.ndarray, sums: np.ndarray, count: int) -> None:
    """Of each group (groups,), from the sums of its channels."""
    size = sums.shape[0] // mean.shape[0]
    for g in range(mean.shape[0]):
        total = 0.0
        for c in range(g * size, (g + 1) * size):
            total += sums[c]
        mean[g] = total / count


@part
def _laid_out(row: np.ndarray, channels: int) -> None:
    """The first ``channels`` numbers, again and again."""
    for start in range(channels, row.shape[0], channels):
        for c in range(channels):
            row[start + c] = row[c]


@part
def _measure(
    mean: np.ndarray, scale: np.ndarray, x: np.ndarray, channels: int, count: int, centre: np.ndarray, epsilon: float
) -> None:
    """Mean and 1 / deviation of each group (groups,) of the images x; ``centre`` receives the mean along a row."""
    images, rows, width = x.shape
    groups = mean.shape[0]
    size = channels // groups
    total, sums = np.zeros(width, x.dtype), np.empty(channels, x.dtype)
    for image in range(images):
        for r in range(rows):
            add(total, x[image, r])
    _folded(sums, total)
    _means(mean, sums, count)
    for g in range(groups):
        centre[g * size : (g + 1) * size] = mean[g]
    _laid_out(centre, channels)
    total[:] = 0
    for image in range(images):
        for r in range(rows):
            add_square(total, x[image, r], centre)
    _folded(sums, total)
    _means(scale, sums, count)
    for g in range(groups):
        scale[g] = 1 / np.sqrt(scale[g] + epsilon)


@part
def _maps(
    factor: np.ndarray,
    offset: np.ndarray,
    centre: np.ndarray,
    mean: np.ndarray,
    scale: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray,
    film: np.ndarray,
) -> None:
    """SiLU takes factor x + offset: ((x - mean) scale weight + bias) (1 + film's first half) + its second."""
    channels = weight.shape[0]
    size = channels // mean.shape[0]
    for g in range(mean.shape[0]):
        middle, steep = mean[g], scale[g]
        for c in range(g * size, (g + 1) * size):
            more = 1 + film[c]
            factor[c] = steep * weight[c] * more
            offset[c] = (bias[c] - middle * steep * weight[c]) * more + film[channels + c]
            centre[c] = middle
    _laid_out(factor, channels)
    _laid_out(offset, channels)
    _laid_out(centre, channels)


@kernel
def forward(
    y: np.ndarray,
    mean: np.ndarray,
    scale: np.ndarray,
    x: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray,
    film: np.ndarray,
    beside: np.ndarray,
    has_beside: bool,
    known: bool,
    epsilon: float,
) -> None:
    """y, x and beside are (images, rows, row); film (images / n, 2 channels); mean and scale, 1 / deviation, (units, groups),
    and filled in where they are not known."""
    images, rows, width = x.shape
    units, groups = mean.shape
    channels, pooled, told = weight.shape[0], images // units, images // film.shape[0]
    count = pooled * rows * width // groups
    for unit in prange(units):
        factor, offset, centre = np.zeros((3, width), x.dtype)
        first = unit * pooled
        if not known:
            _measure(mean[unit], scale[unit], x[first : first + pooled], channels, count, centre, epsilon)
        for image in range(first, first + pooled):
            if image == first or image % told == 0:
                _maps(factor, offset, centre, mean[unit], scale[unit], weight, bias, film[image // told])
            for r in range(rows):
                if has_beside:
                    activate_beside(y[image, r], x[image, r], factor, offset, beside[image, r])
                else:
                    activate(y[image, r], x[image, r], factor, offset)


@kernel
def backward(
    dx: np.ndarray,
    d_weight: np.ndarray,
    d_bias: np.ndarray,
    d_film: np.ndarray,
    dy: np.ndarray,
    mean: np.ndarray,
    scale: np.ndarray,
    x: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray,
    film: np.ndarray,
) -> None:
    """Gradients of :func:`forward`, those of parameters and film added to what is there."""
    images, rows, width = x.shape
    units, groups = mean.shape
    channels, pooled, told = weight.shape[0], images // units, images // film.shape[0]
    size, count = channels // groups, pooled * rows * width // groups
    sums = np.empty((2, images, channels), x.dtype)
    for unit in prange(units):
        total, weighed, factor, offset, centre, slope = np.zeros((6, width), x.dtype)
        of_norms, of_deviations = np.zeros((2, groups), np.float64)
        first = unit * pooled
        for image in range(first, first + pooled):
            if image == first or image % told == 0:
                _maps(factor, offset, centre, mean[unit], scale[unit], weight, bias, film[image // told])
            total[:] = 0
            weighed[:] = 0
            for r in range(rows):
                pull_back(dx[image, r], total, weighed, dy[image, r], x[image, r], factor, offset, centre)
            _folded(sums[0, image], total)
            _folded(sums[1, image], weighed)
            for g in range(groups):
                for c in range(g * size, (g + 1) * size):
                    sums[1, image, c] *= scale[unit, g]
                    more = weight[c] * (1 + film[image // told, c])
                    of_norms[g] += more * sums[0, image, c]
                    of_deviations[g] += more * sums[1, image, c]
        for g in range(groups):
            steep = scale[unit, g] * scale[unit, g] * of_deviations[g] / count
            level = scale[unit, g] * of_norms[g] / count - mean[unit, g] * steep
            slope[g * size : (g + 1) * size] = steep
            offset[g * size : (g + 1) * size] = level
        _laid_out(slope, channels)
        _laid_out(offset, channels)
        for image in range(first, first + pooled):
            if pooled > 1 and (image == first or image % told == 0):
                for c in range(channels):
                    factor[c] = scale[unit, c // size] * weight[c] * (1 + film[image // told, c])
                _laid_out(factor, channels)
            for r in range(rows):
                end(dx[image, r], x[image, r], factor, slope, offset)
    for image in range(images):
        row = image // told
        for c in range(channels):
            plain, normed = sums[0, image, c], sums[1, image, c]
            d_weight[c] += normed * (1 + film[row, c])
            d_bias[c] += plain * (1 + film[row, c])
            d_film[row, c] += normed * weight[c] + plain * bias[c]
            d_film[row, channels + c] += plain
