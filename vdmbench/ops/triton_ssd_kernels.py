"""Triton kernels of the SSD scan, one-directional and quasi-separable, forward and backward: one launch each.

Their programs go along the chunks of clips as :mod:`vdmbench.ops.triton_ssd_chunks` says, which has all that they compute.
"""

# Triton takes an annotation of an argument for a type of its own.
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import triton
import triton.language as tl

from vdmbench.ops.triton_ssd_chunks import _scan, _scan_backward


@triton.jit
def forward(
    out,
    partial,
    ahead,
    back,
    skip,
    skip_strides,
    frames,
    heads,
    groups,
    DIM: tl.constexpr,
    STATE: tl.constexpr,
    WIDTH: tl.constexpr,
    STATES: tl.constexpr,
    BOTH: tl.constexpr,
    SKIP: tl.constexpr,
    RECTIFIED: tl.constexpr,
    REVERSE: tl.constexpr,
    CHUNK: tl.constexpr,
):
    """out (batch, frames, heads, head_dim); a program a clip, head and block of features."""
    BLOCKS: tl.constexpr = (DIM + WIDTH - 1) // WIDTH
    DELAY: tl.constexpr = 1 if BOTH else 0
    unit = tl.program_id(0) // BLOCKS
    first_feature = tl.program_id(0) % BLOCKS * WIDTH
    element = (unit // heads).to(tl.int64)
    head = unit % heads
    group = head // (heads // groups)
    _scan(
        out,
        partial,
        ahead,
        skip,
        skip_strides,
        element,
        head,
        group,
        first_feature,
        frames,
        heads,
        DIM,
        STATE,
        WIDTH,
        STATES,
        True,
        not BOTH,
        SKIP,
        RECTIFIED,
        REVERSE,
        DELAY,
        CHUNK,
    )
    if BOTH:
        tl.debug_barrier()  # rows come from other lanes in the other order
        _scan(
            out,
            partial,
            back,
            skip,
            skip_strides,
            element,
            head,
            group,
            first_feature,
            frames,
            heads,
            DIM,
            STATE,
            WIDTH,
            STATES,
            False,
            True,
            0,
            RECTIFIED,
            not REVERSE,
            DELAY,
            CHUNK,
        )


@triton.jit
def backward(
    d_out,
    d_out_strides,
    entered,
    carried,
    ahead,
    back,
    d_ahead,
    d_back,
    skip,
    skip_strides,
    d_skip,
    batch,
    frames,
    heads,
    groups,
    slots,
    DIM: tl.constexpr,
    STATE: tl.constexpr,
    WIDTH: tl.constexpr,
    STATES: tl.constexpr,
    BOTH: tl.constexpr,
    SKIP: tl.constexpr,
    RECTIFIED: tl.constexpr,
    REVERSE: tl.constexpr,
    CHUNK: tl.constexpr,
):
    """Gradients of :func:`forward`; those of A, dt_bias and a D of heads in a part a slot. A program takes every
    ``slots``-th clip, for one group of heads."""
    BLOCKS: tl.constexpr = (DIM + WIDTH - 1) // WIDTH
    DELAY: tl.constexpr = 1 if BOTH else 0
    slot = tl.program_id(0) // groups
    group = tl.program_id(0) % groups
    units = heads // groups * BLOCKS
    chunks = (frames + DELAY + CHUNK - 1) // CHUNK
    program = tl.program_id(0).to(tl.int64)
    entered += program * units * chunks * (WIDTH * STATES)
    carried += program * units * (WIDTH * STATES)
    for index in range(slot, batch, slots):
        element = tl.cast(index, tl.int64)
        _scan_backward(
            d_out,
            d_out_strides,
            entered,
            carried,
            ahead,
            d_ahead,
            skip,
            skip_strides,
            d_skip,
            element,
            slot,
            group,
            frames,
            heads,
            groups,
            DIM,
            STATE,
            WIDTH,
            STATES,
            SKIP,
            RECTIFIED,
            REVERSE,
            DELAY,
            CHUNK,
        )
        if BOTH:
            _scan_backward(
                d_out,
                d_out_strides,
                entered,
                carried,
                back,
                d_back,
                skip,
                skip_strides,
                d_skip,
                element,
                slot,
                group,
                frames,
                heads,
                groups,
                DIM,
                STATE,
                WIDTH,
                STATES,
                0,
                RECTIFIED,
                not REVERSE,
                DELAY,
                CHUNK,
            )
