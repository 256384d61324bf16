"""Triton kernels of the long convolution: a Toeplitz matrix a channel, tile by tile on tensor cores, forward and backward.

A program takes a tile of frames for some channels and clips. Of a tile of the matrix its lags are read, 16 + 15 numbers a
channel, and it multiplies the same frames of all these clips; nothing of (frames, frames) is in memory. A tile of the matrix
depends on its distance from the diagonal alone, so that the gradient of all tiles at one distance is summed in registers, and
along its diagonals at the end.
"""

# Triton takes an annotation of an argument for a type of its own.
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def _places(element, frame, c, stride_batch, stride_frame, batch, frames, channels):
    """Of channels, frames and clips: where they are, and which of them are there."""
    offset = (
        element.to(tl.int64)[None, None, :] * stride_batch + frame.to(tl.int64)[None, :, None] * stride_frame + c[:, None, None]
    )
    there = (element < batch)[None, None, :] & (frame < frames)[None, :, None] & (c < channels)[:, None, None]
    return offset, there


@triton.jit
def _tile(weights, lag, c, frames, channels):
    """The matrix of each channel (channels, rows, columns) at these lags."""
    seen = ((lag >= 0) & (lag < frames))[None, :, :] & (c < channels)[:, None, None]
    return tl.load(weights + c[:, None, None] * frames + lag[None, :, :], mask=seen, other=0.0)


@triton.jit
def _convolved(
    x,
    x_strides,
    weights,
    element,
    first,
    c,
    batch,
    frames,
    channels,
    REVERSE: tl.constexpr,
    FRAMES: tl.constexpr,
    CLIPS: tl.constexpr,
    CHANNELS: tl.constexpr,
):
    """What the frames from ``first`` on see, (channels, frames, clips) in float32."""
    row = first + tl.arange(0, FRAMES)
    total = tl.zeros((CHANNELS, FRAMES, CLIPS), tl.float32)
    for start in range(first if REVERSE else 0, frames if REVERSE else first + FRAMES, FRAMES):
        column = start + tl.arange(0, FRAMES)
        lag = row[:, None] - column[None, :]
        matrix = _tile(weights, -lag if REVERSE else lag, c, frames, channels)
        offset, there = _places(element, column, c, x_strides[0], x_strides[1], batch, frames, channels)
        seen = tl.load(x + offset, mask=there, other=0.0)
        total = tl.dot(matrix.to(seen.dtype), seen, total, input_precision="ieee")
    return total


@triton.jit
def forward(
    out,
    x,
    x_strides,
    weights,
    batch,
    frames,
    channels,
    REVERSE: tl.constexpr,
    FRAMES: tl.constexpr,
    CLIPS: tl.constexpr,
    CHANNELS: tl.constexpr,
):
    """out (batch, frames, channels); a program a tile of frames, clips and channels."""
    tiles, blocks = tl.cdiv(frames, FRAMES), tl.cdiv(channels, CHANNELS)
    c = tl.program_id(0) % blocks * CHANNELS + tl.arange(0, CHANNELS)
    first = tl.program_id(0) // blocks % tiles * FRAMES
    element = tl.program_id(0) // (blocks * tiles) * CLIPS + tl.arange(0, CLIPS)
    y = _convolved(x, x_strides, weights, element, first, c, batch, frames, channels, REVERSE, FRAMES, CLIPS, CHANNELS)
    offset, there = _places(element, first + tl.arange(0, FRAMES), c, frames * channels, channels, batch, frames, channels)
    tl.store(out + offset, y.to(out.dtype.element_ty), mask=there)


@triton.jit
def backward(
    dx,
    d_weights,
    d_out,
    d_out_strides,
    x,
    x_strides,
    weights,
    batch,
    frames,
    channels,
    slots,
    REVERSE: tl.constexpr,
    FRAMES: tl.constexpr,
    CLIPS: tl.constexpr,
    CHANNELS: tl.constexpr,
):
    """Gradients of :func:`forward`; that of the weights a part a slot, in sums along the diagonals of tiles,
    (slots, tiles, 2 FRAMES - 1, channels). A program takes every ``slots``-th group of clips, for one tile and block of
    channels: a tile of frames of dx, and of the weights the tiles at that distance from the diagonal."""
    tiles, blocks = tl.cdiv(frames, FRAMES), tl.cdiv(channels, CHANNELS)
    c = tl.program_id(0) % blocks * CHANNELS + tl.arange(0, CHANNELS)
    tile = tl.program_id(0) // blocks % tiles
    slot = tl.program_id(0) // (blocks * tiles)
    first = tile * FRAMES
    place = tl.arange(0, FRAMES)
    matrix = tl.zeros((CHANNELS, FRAMES, FRAMES), tl.float32)
    for group in range(slot, tl.cdiv(batch, CLIPS), slots):
        element = group * CLIPS + tl.arange(0, CLIPS)
        to_x = _convolved(
            d_out, d_out_strides, weights, element, first, c, batch, frames, channels, not REVERSE, FRAMES, CLIPS, CHANNELS
        )
        offset, there = _places(element, first + place, c, frames * channels, channels, batch, frames, channels)
        tl.store(dx + offset, to_x.to(dx.dtype.element_ty), mask=there)
        for start in range(first, frames, FRAMES):
            later, earlier = start + place, start - first + place
            offset, there = _places(
                element, earlier if REVERSE else later, c, d_out_strides[0], d_out_strides[1], batch, frames, channels
            )
            asked = tl.load(d_out + offset, mask=there, other=0.0)
            offset, there = _places(
                element, later if REVERSE else earlier, c, x_strides[0], x_strides[1], batch, frames, channels
            )
            seen = tl.load(x + offset, mask=there, other=0.0).to(asked.dtype)
            if REVERSE:
                matrix = tl.dot(seen, tl.permute(asked, (0, 2, 1)), matrix, input_precision="ieee")
            else:
                matrix = tl.dot(asked, tl.permute(seen, (0, 2, 1)), matrix, input_precision="ieee")
    ahead = place[:, None] - place[None, :]
    for number in range(2 * FRAMES - 1):
        along = tl.sum(tl.sum(tl.where((ahead == number - FRAMES + 1)[None, :, :], matrix, 0.0), 2), 1)
        part = (slot * tiles + tile) * (2 * FRAMES - 1) + number
        tl.store(d_weights + part.to(tl.int64) * channels + c, along, mask=c < channels)
