"""Triton kernels of the short convolution over frames with its SiLU, forward and backward.

A lane takes a channel; a program takes one clip and block of channels, and goes along its frames in tiles. The backward pass
writes the gradient of what SiLU takes where each program has room for one clip, and reads it back as the taps see it.
"""

# Triton takes an annotation of an argument for a type of its own.
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def _tile(pointer, frame, stride, c, frames, channels):
    """Frames as rows in float32, zero outside of the clip."""
    inside = (frame >= 0) & (frame < frames)
    return tl.load(
        pointer + frame.to(tl.int64)[:, None] * stride + c[None, :], mask=inside[:, None] & (c < channels)[None, :], other=0.0
    ).to(tl.float32)


@triton.jit
def _weighed(
    x, x_frame, weight, bias, frame, c, frames, channels, TAPS: tl.constexpr, AHEAD: tl.constexpr, REVERSE: tl.constexpr
):
    """bias + sum_k weight[k] x[t + ahead - (taps - 1) + k]; against time, t - (...)."""
    y = (
        tl.zeros((frame.shape[0], c.shape[0]), tl.float32)
        + tl.load(bias + c, mask=c < channels, other=0.0).to(tl.float32)[None, :]
    )
    for k in tl.static_range(TAPS):
        shift = AHEAD - (TAPS - 1) + k
        w = tl.load(weight + c * TAPS + k, mask=c < channels, other=0.0).to(tl.float32)
        y += w[None, :] * _tile(x, frame - shift if REVERSE else frame + shift, x_frame, c, frames, channels)
    return y


@triton.jit
def forward(
    out,
    x,
    weight,
    bias,
    x_batch,
    x_frame,
    frames,
    channels,
    TAPS: tl.constexpr,
    AHEAD: tl.constexpr,
    SILU: tl.constexpr,
    REVERSE: tl.constexpr,
    ROWS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """out (batch, frames, channels); a program a clip, tile of frames and block of channels."""
    blocks, tiles = tl.cdiv(channels, BLOCK), tl.cdiv(frames, ROWS)
    element = (tl.program_id(0) // (blocks * tiles)).to(tl.int64)
    frame = tl.program_id(0) // blocks % tiles * ROWS + tl.arange(0, ROWS)
    c = tl.program_id(0) % blocks * BLOCK + tl.arange(0, BLOCK)
    y = _weighed(x + element * x_batch, x_frame, weight, bias, frame, c, frames, channels, TAPS, AHEAD, REVERSE)
    if SILU:
        y = y / (1 + tl.exp(-y))
    tl.store(
        out + element * frames * channels + frame.to(tl.int64)[:, None] * channels + c[None, :],
        y.to(out.dtype.element_ty),
        mask=(frame < frames)[:, None] & (c < channels)[None, :],
    )


@triton.jit
def backward(
    d_out,
    d_out_batch,
    d_out_frame,
    x,
    weight,
    bias,
    x_batch,
    x_frame,
    dx,
    d_weight,
    d_bias,
    asked,
    batch,
    frames,
    channels,
    slots,
    TAPS: tl.constexpr,
    AHEAD: tl.constexpr,
    SILU: tl.constexpr,
    REVERSE: tl.constexpr,
    ROWS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Gradients of :func:`forward`; those of the filter and the bias in a part a slot. A program takes every ``slots``-th
    clip, for one block of channels."""
    blocks = tl.cdiv(channels, BLOCK)
    slot, block = tl.program_id(0) // blocks, tl.program_id(0) % blocks
    lane = tl.arange(0, BLOCK)
    c = block * BLOCK + lane
    real = c < channels
    asked += tl.program_id(0).to(tl.int64) * frames * BLOCK
    d_weight += slot * TAPS * channels + c
    d_bias += slot * channels + c
    for index in range(slot, batch, slots):
        element = tl.cast(index, tl.int64)
        clip = x + element * x_batch
        for start in range(0, frames, ROWS):
            frame = start + tl.arange(0, ROWS)
            g = _tile(d_out + element * d_out_batch, frame, d_out_frame, c, frames, channels)
            if SILU:
                y = _weighed(clip, x_frame, weight, bias, frame, c, frames, channels, TAPS, AHEAD, REVERSE)
                sigmoid = 1 / (1 + tl.exp(-y))
                g *= sigmoid * (1 + y * (1 - sigmoid))
            tl.store(asked + frame[:, None] * BLOCK + lane[None, :], g, mask=(frame < frames)[:, None])
            tl.store(d_bias, tl.load(d_bias, mask=real, other=0.0) + tl.sum(g, 0), mask=real)
            for k in tl.static_range(TAPS):
                shift = AHEAD - (TAPS - 1) + k
                seen = _tile(clip, frame - shift if REVERSE else frame + shift, x_frame, c, frames, channels)
                part = d_weight + k * channels
                tl.store(part, tl.load(part, mask=real, other=0.0) + tl.sum(g * seen, 0), mask=real)
        tl.debug_barrier()
        for start in range(0, frames, ROWS):
            frame = start + tl.arange(0, ROWS)
            to_x = tl.zeros((ROWS, BLOCK), tl.float32)
            for k in tl.static_range(TAPS):
                shift = AHEAD - (TAPS - 1) + k
                w = tl.load(weight + c * TAPS + k, mask=real, other=0.0).to(tl.float32)
                to_x += w[None, :] * _tile(asked, frame + shift if REVERSE else frame - shift, BLOCK, lane, frames, BLOCK)
            tl.store(
                dx + element * frames * channels + frame.to(tl.int64)[:, None] * channels + c[None, :],
                to_x.to(dx.dtype.element_ty),
                mask=(frame < frames)[:, None] & real[None, :],
            )
        tl.debug_barrier()  # the room is the next clip's
