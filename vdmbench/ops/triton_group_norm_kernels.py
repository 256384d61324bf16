"""Triton kernels of group norm with its scale, shift and SiLU, forward and backward; channels are adjacent in memory.

A program takes the images that share their statistics and a block of whole groups, and goes over their places three times
forward (mean, deviation, output), twice backward (sums, gradient of x): what it read before is in the level-2 cache.
"""

# Triton takes an annotation of an argument for a type of its own.
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def _tile(pointer, row, last, c, real, channels):
    """Places as rows in float32, zero outside."""
    return tl.load(
        pointer + row.to(tl.int64)[:, None] * channels + c[None, :], mask=(row < last)[:, None] & real[None, :], other=0.0
    ).to(tl.float32)


@triton.jit
def _of_groups(sums, lane, SIZE: tl.constexpr, GROUPS: tl.constexpr):
    """For each channel the sum over its group."""
    found = tl.zeros_like(sums)
    for g in tl.static_range(GROUPS):
        inside = lane // SIZE == g
        found += tl.where(inside, tl.sum(tl.where(inside, sums, 0.0), 0), 0.0)
    return found


@triton.jit
def _maps(weight, bias, film, image, told, c, real, channels, centre, scale, FILM: tl.constexpr):
    """SiLU takes factor x + offset."""
    w = tl.load(weight + c, mask=real, other=0.0).to(tl.float32)
    b = tl.load(bias + c, mask=real, other=0.0).to(tl.float32)
    factor, offset = w * scale, b - centre * w * scale
    if FILM:
        row = film + (image // told).to(tl.int64) * 2 * channels + c
        more = 1 + tl.load(row, mask=real, other=0.0).to(tl.float32)
        factor, offset = factor * more, offset * more + tl.load(row + channels, mask=real, other=0.0).to(tl.float32)
    return factor, offset


@triton.jit
def forward(
    y,
    mean,
    scale,
    x,
    weight,
    bias,
    film,
    beside,
    places,
    channels,
    pooled,
    told,
    FILM: tl.constexpr,
    BESIDE: tl.constexpr,
    KNOWN: tl.constexpr,
    EPSILON: tl.constexpr,
    SIZE: tl.constexpr,
    GROUPS: tl.constexpr,
    BLOCK: tl.constexpr,
    ROWS: tl.constexpr,
):
    """y, x and beside (images, places, channels); film (images / told, 2 channels); mean and scale (units, groups)."""
    blocks = channels // (GROUPS * SIZE)
    unit, block = tl.program_id(0) // blocks, tl.program_id(0) % blocks
    lane, tile = tl.arange(0, BLOCK), tl.arange(0, ROWS)
    real, c = lane < GROUPS * SIZE, block * GROUPS * SIZE + lane
    numbers = (pooled * places * SIZE).to(tl.float32)
    first, last = unit * pooled * places, (unit + 1) * pooled * places

    group = unit * (channels // SIZE) + c // SIZE
    if KNOWN:
        centre = tl.load(mean + group, mask=real, other=0.0)
        steep = tl.load(scale + group, mask=real, other=0.0)
    else:
        sums = tl.zeros((BLOCK,), tl.float32)
        for start in range(first, last, ROWS):
            sums += tl.sum(_tile(x, start + tile, last, c, real, channels), 0)
        centre = _of_groups(sums, lane, SIZE, GROUPS) / numbers
        squares = tl.zeros((BLOCK,), tl.float32)
        for start in range(first, last, ROWS):
            row = start + tile
            deviation = tl.where((row < last)[:, None], _tile(x, row, last, c, real, channels) - centre[None, :], 0.0)
            squares += tl.sum(deviation * deviation, 0)
        steep = 1 / tl.sqrt(_of_groups(squares, lane, SIZE, GROUPS) / numbers + EPSILON)
        tl.store(mean + group, centre, mask=real & (lane % SIZE == 0))
        tl.store(scale + group, steep, mask=real & (lane % SIZE == 0))

    for image in range(unit * pooled, (unit + 1) * pooled):
        factor, offset = _maps(weight, bias, film, image, told, c, real, channels, centre, steep, FILM)
        end = (image + 1) * places
        for start in range(image * places, end, ROWS):
            row = start + tile
            z = _tile(x, row, end, c, real, channels) * factor[None, :] + offset[None, :]
            out = z / (1 + tl.exp(-z))
            if BESIDE:
                out += _tile(beside, row, end, c, real, channels)
            tl.store(
                y + row.to(tl.int64)[:, None] * channels + c[None, :],
                out.to(y.dtype.element_ty),
                mask=(row < end)[:, None] & real[None, :],
            )


@triton.jit
def _pulled(dy, x, row, end, c, real, channels, factor, offset):
    """x, and the gradient of what SiLU takes; zero outside."""
    inputs = _tile(x, row, end, c, real, channels)
    z = inputs * factor[None, :] + offset[None, :]
    s = 1 / (1 + tl.exp(-z))
    return inputs, _tile(dy, row, end, c, real, channels) * s * (1 + z * (1 - s))


@triton.jit
def backward(
    dx,
    plain,
    normed,
    dy,
    mean,
    scale,
    x,
    weight,
    bias,
    film,
    places,
    channels,
    pooled,
    told,
    FILM: tl.constexpr,
    SIZE: tl.constexpr,
    GROUPS: tl.constexpr,
    BLOCK: tl.constexpr,
    ROWS: tl.constexpr,
):
    """dx of :func:`forward`; of each image and channel the sums over places of dz and of dz n, n what is normed."""
    blocks = channels // (GROUPS * SIZE)
    unit, block = tl.program_id(0) // blocks, tl.program_id(0) % blocks
    lane, tile = tl.arange(0, BLOCK), tl.arange(0, ROWS)
    real, c = lane < GROUPS * SIZE, block * GROUPS * SIZE + lane
    numbers = (pooled * places * SIZE).to(tl.float32)
    group = unit * (channels // SIZE) + c // SIZE
    centre = tl.load(mean + group, mask=real, other=0.0)
    steep = tl.load(scale + group, mask=real, other=0.0)

    to_norm, to_deviation = tl.zeros((BLOCK,), tl.float32), tl.zeros((BLOCK,), tl.float32)
    for image in range(unit * pooled, (unit + 1) * pooled):
        factor, offset = _maps(weight, bias, film, image, told, c, real, channels, centre, steep, FILM)
        total, weighed = tl.zeros((BLOCK,), tl.float32), tl.zeros((BLOCK,), tl.float32)
        end = (image + 1) * places
        for start in range(image * places, end, ROWS):
            inputs, dz = _pulled(dy, x, start + tile, end, c, real, channels, factor, offset)
            total += tl.sum(dz, 0)
            weighed += tl.sum(dz * (inputs - centre[None, :]), 0)
        weighed *= steep
        out = tl.cast(image, tl.int64) * channels + c
        tl.store(plain + out, total, mask=real)
        tl.store(normed + out, weighed, mask=real)
        to_norm += factor * total
        to_deviation += factor * weighed
    # factor holds 1 / deviation already
    level = _of_groups(to_norm, lane, SIZE, GROUPS) / numbers
    slope = _of_groups(to_deviation, lane, SIZE, GROUPS) / numbers * steep
    for image in range(unit * pooled, (unit + 1) * pooled):
        factor, offset = _maps(weight, bias, film, image, told, c, real, channels, centre, steep, FILM)
        end = (image + 1) * places
        for start in range(image * places, end, ROWS):
            row = start + tile
            inputs, dz = _pulled(dy, x, row, end, c, real, channels, factor, offset)
            to_x = dz * factor[None, :] - level[None, :] - slope[None, :] * (inputs - centre[None, :])
            tl.store(
                dx + row.to(tl.int64)[:, None] * channels + c[None, :],
                to_x.to(dx.dtype.element_ty),
                mask=(row < end)[:, None] & real[None, :],
            )
