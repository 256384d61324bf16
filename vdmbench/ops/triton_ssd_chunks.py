"""What Triton kernels of the SSD scan compute along the chunks of one clip, forward and backward.

A program goes along the chunks of frames of one clip; within a chunk frames meet in matrix products, on tensor cores in half
precision, and between chunks through the state (head_dim, state), which stays in registers (Dao and Gu 2024, arXiv 2405.21060,
sec. 6). Nothing of a chunk is written in the forward pass. The backward pass goes along the frames once more for the state
that enters each chunk, which it writes where each program has room for one clip, then takes chunks from the last to the first.

A row of a chunk is a frame in the order of the scan: a reverse scan differs in its addresses alone. ``DELAY`` 1 gives what the
state gives to the frame after (quasi-separable): a row then scans the frame before the one whose output it writes.

Steps are delta A / ln 2, so that decays are powers of two. Sums of steps between two frames are sums of the steps between
them, never differences of longer sums, which float32 would not hold. A *side* is the tuple (x, dt, A, B, C, dt_bias, strides);
``strides`` are those of batch, frames and heads (groups) of x, dt, B and C. ``SKIP``: what a frame sees of itself is D x with
one number a head (1) or one a frame and head (2), or nothing (0).
"""

# Triton takes an annotation of an argument for a type of its own.
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import triton
import triton.language as tl

from vdmbench.ops.triton_step import rectified_step

LN2 = tl.constexpr(0.6931471805599453)
NO_SKIP, OF_HEAD, OF_FRAME = (tl.constexpr(kind) for kind in range(3))


# ---- one chunk --------------------------------------------------------------------------------------------------


@triton.jit
def _frames(start, row, frames, REVERSE: tl.constexpr, DELAY: tl.constexpr):
    """The frame of each row, and which rows are frames."""
    order = start + row - DELAY
    frame = frames - 1 - order if REVERSE else order
    return frame.to(tl.int64), (order >= 0) & (order < frames)


@triton.jit
def _rows(pointer, frame, stride, inside, column, width):
    """A tile (rows, columns), zero outside."""
    return tl.load(
        pointer + frame[:, None] * stride + column[None, :], mask=inside[:, None] & (column < width)[None, :], other=0.0
    )


@triton.jit
def _decays(step, row, CHUNK: tl.constexpr):
    """Decay between two rows, (later, earlier); from the state that enters to each row; from each row to the state that
    leaves; and from one state to the next."""
    later = row[:, None] > row[None, :]
    between = tl.cumsum(tl.where(later, tl.broadcast_to(step[:, None], (CHUNK, CHUNK)), 0.0), 0)
    between = tl.where(row[:, None] >= row[None, :], tl.exp2(between), 0.0)
    leaving = tl.exp2(tl.sum(tl.where(later, tl.broadcast_to(step[:, None], (CHUNK, CHUNK)), 0.0), 0))
    return between, tl.exp2(tl.cumsum(step, 0)), leaving, tl.exp2(tl.sum(step, 0))


@triton.jit
def _dot(a, b):
    return tl.dot(a, b, input_precision="ieee")


@triton.jit
def _side(side, element, head, group):
    """Pointers of a side's clip and head, and its frame strides."""
    x, dt, A, B, C, dt_bias, strides = side
    x_strides, dt_strides, B_strides, C_strides = strides
    return (
        x + element * x_strides[0] + head * x_strides[2],
        dt + element * dt_strides[0] + head * dt_strides[2],
        tl.load(A + head).to(tl.float32),
        B + element * B_strides[0] + group * B_strides[2],
        C + element * C_strides[0] + group * C_strides[2],
        tl.load(dt_bias + head).to(tl.float32),
        x_strides[1],
        dt_strides[1],
        B_strides[1],
        C_strides[1],
    )


# ---- one clip ---------------------------------------------------------------------------------------------------


@triton.jit
def _scan(
    out,
    partial,
    side,
    skip,
    skip_strides,
    element,
    head,
    group,
    first_feature,
    frames,
    heads,
    DIM: tl.constexpr,
    STATE: tl.constexpr,
    WIDTH: tl.constexpr,
    STATES: tl.constexpr,
    FIRST: tl.constexpr,
    LAST: tl.constexpr,
    SKIP: tl.constexpr,
    RECTIFIED: tl.constexpr,
    REVERSE: tl.constexpr,
    DELAY: tl.constexpr,
    CHUNK: tl.constexpr,
):
    """Scan one side into out; the first of two goes to ``partial``, from where the second takes it."""
    x, dt, a, B, C, bias, x_frame, dt_frame, B_frame, C_frame = _side(side, element, head, group)
    row, n = tl.arange(0, CHUNK), tl.arange(0, STATES)
    p = first_feature + tl.arange(0, WIDTH)
    h = tl.zeros((WIDTH, STATES), tl.float32)
    place = (element * frames * heads + head) * DIM
    for start in range(0, frames, CHUNK):
        frame, inside = _frames(start, row, frames, REVERSE, DELAY)
        xs = _rows(x, frame, x_frame, inside, p, DIM)
        Bs = _rows(B, frame, B_frame, inside, n, STATE).to(xs.dtype)
        Cs = _rows(C, frame, C_frame, inside, n, STATE).to(xs.dtype)
        v = tl.load(dt + frame * dt_frame, mask=inside, other=0.0).to(tl.float32) + bias
        delta, _ = rectified_step(v, inside, RECTIFIED)
        between, entering, leaving, passing = _decays(delta * (a / LN2), row, CHUNK)
        weights = _dot(Cs, tl.trans(Bs)) * between * delta[None, :]
        y = _dot(weights.to(xs.dtype), xs) + _dot(Cs, tl.trans(h).to(xs.dtype)) * entering[:, None]
        weighted = (xs * (delta * leaving)[:, None]).to(xs.dtype)
        h = h * passing + _dot(tl.trans(weighted), Bs)
        out_frame, out_inside = _frames(start, row, frames, REVERSE, 0)
        if SKIP != 0:
            if SKIP == OF_HEAD:
                own = tl.load(skip + head).to(tl.float32)
                y += own * xs
            else:
                own = tl.load(
                    skip + element * skip_strides[0] + head * skip_strides[2] + out_frame * skip_strides[1],
                    mask=out_inside,
                    other=0.0,
                ).to(tl.float32)
                y += own[:, None] * _rows(x, out_frame, x_frame, out_inside, p, DIM)
        mask = out_inside[:, None] & (p < DIM)[None, :]
        offsets = place + out_frame[:, None] * (heads * DIM) + p[None, :]
        if not FIRST:
            y += tl.load(partial + offsets, mask=mask, other=0.0)
        if LAST:
            tl.store(out + offsets, y.to(out.dtype.element_ty), mask=mask)
        else:
            tl.store(partial + offsets, y, mask=mask)


@triton.jit
def _enter(
    entered,
    side,
    element,
    head,
    group,
    first_feature,
    frames,
    DIM: tl.constexpr,
    STATE: tl.constexpr,
    WIDTH: tl.constexpr,
    STATES: tl.constexpr,
    RECTIFIED: tl.constexpr,
    REVERSE: tl.constexpr,
    DELAY: tl.constexpr,
    CHUNK: tl.constexpr,
):
    """Write the state that enters each chunk."""
    x, dt, a, B, _C, bias, x_frame, dt_frame, B_frame, _C_frame = _side(side, element, head, group)
    row, n = tl.arange(0, CHUNK), tl.arange(0, STATES)
    p = first_feature + tl.arange(0, WIDTH)
    h = tl.zeros((WIDTH, STATES), tl.float32)
    tile = tl.arange(0, WIDTH)[:, None] * STATES + n[None, :]
    for start in range(0, frames + DELAY, CHUNK):
        tl.store(entered + (start // CHUNK) * (WIDTH * STATES) + tile, h.to(entered.dtype.element_ty))
        frame, inside = _frames(start, row, frames, REVERSE, DELAY)
        xs = _rows(x, frame, x_frame, inside, p, DIM)
        Bs = _rows(B, frame, B_frame, inside, n, STATE).to(xs.dtype)
        v = tl.load(dt + frame * dt_frame, mask=inside, other=0.0).to(tl.float32) + bias
        delta, _ = rectified_step(v, inside, RECTIFIED)
        _, _, leaving, passing = _decays(delta * (a / LN2), row, CHUNK)
        weighted = (xs * (delta * leaving)[:, None]).to(xs.dtype)
        h = h * passing + _dot(tl.trans(weighted), Bs)


@triton.jit
def _scan_backward(
    d_out,
    d_out_strides,
    entered,
    carried,
    side,
    gradients,
    skip,
    skip_strides,
    d_skip,
    element,
    slot,
    group,
    frames,
    heads,
    groups,
    DIM: tl.constexpr,
    STATE: tl.constexpr,
    WIDTH: tl.constexpr,
    STATES: tl.constexpr,
    SKIP: tl.constexpr,
    RECTIFIED: tl.constexpr,
    REVERSE: tl.constexpr,
    DELAY: tl.constexpr,
    CHUNK: tl.constexpr,
):
    """The transpose of :func:`_scan` for all heads of a group, whose parts of the gradients of B and C are added here.

    Gradients of A, dt_bias and D are added to the part of the program's ``slot``.
    """
    dx, ddt, dA, dB, dC, ddt_bias = gradients
    BLOCKS: tl.constexpr = (DIM + WIDTH - 1) // WIDTH
    row, n = tl.arange(0, CHUNK), tl.arange(0, STATES)
    tile = tl.arange(0, WIDTH)[:, None] * STATES + n[None, :]
    members = heads // groups
    chunks = (frames + DELAY + CHUNK - 1) // CHUNK
    for member in range(members):
        for block in tl.static_range(BLOCKS):
            unit = member * BLOCKS + block
            _enter(
                entered + unit * chunks * (WIDTH * STATES),
                side,
                element,
                group * members + member,
                group,
                block * WIDTH,
                frames,
                DIM,
                STATE,
                WIDTH,
                STATES,
                RECTIFIED,
                REVERSE,
                DELAY,
                CHUNK,
            )
            tl.store(carried + unit * (WIDTH * STATES) + tile, tl.zeros((WIDTH, STATES), tl.float32))
    tl.debug_barrier()
    for done in range(chunks):
        start = (chunks - 1 - done) * CHUNK
        frame, inside = _frames(start, row, frames, REVERSE, DELAY)
        out_frame, out_inside = _frames(start, row, frames, REVERSE, 0)
        to_B = tl.zeros((CHUNK, STATES), tl.float32)
        to_C = tl.zeros((CHUNK, STATES), tl.float32)
        for member in range(members):
            head = group * members + member
            x, dt, a, B, C, bias, x_frame, dt_frame, B_frame, C_frame = _side(side, element, head, group)
            v = tl.load(dt + frame * dt_frame, mask=inside, other=0.0).to(tl.float32) + bias
            delta, slope = rectified_step(v, inside, RECTIFIED)
            between, entering, leaving, passing = _decays(delta * (a / LN2), row, CHUNK)
            Bs = _rows(B, frame, B_frame, inside, n, STATE).to(x.dtype.element_ty)
            Cs = _rows(C, frame, C_frame, inside, n, STATE).to(x.dtype.element_ty)
            scores = _dot(Cs, tl.trans(Bs))
            weights = (scores * between * delta[None, :]).to(Bs.dtype)
            d_delta = tl.zeros((CHUNK,), tl.float32)
            d_weights = tl.zeros((CHUNK, CHUNK), tl.float32)
            to_entering = tl.zeros((CHUNK,), tl.float32)
            to_leaving = tl.zeros((CHUNK,), tl.float32)
            to_passing = tl.sum(tl.zeros((CHUNK,), tl.float32), 0)
            to_own = tl.zeros((CHUNK,), tl.float32)
            dy_base = d_out + element * d_out_strides[0] + head * d_out_strides[2]
            place = (element * frames * heads + head) * DIM
            for block in tl.static_range(BLOCKS):
                p = block * WIDTH + tl.arange(0, WIDTH)
                unit = member * BLOCKS + block
                h = tl.load(entered + (unit * chunks + chunks - 1 - done) * (WIDTH * STATES) + tile)
                dh = tl.load(carried + unit * (WIDTH * STATES) + tile)
                xs = _rows(x, frame, x_frame, inside, p, DIM)
                dy = _rows(dy_base, out_frame, d_out_strides[1], out_inside, p, DIM).to(xs.dtype)
                d_weights += _dot(dy, tl.trans(xs))
                asked = _dot(Bs, tl.trans(dh).to(xs.dtype))  # of what each row leaves in the state (rows, features)
                to_x = _dot(tl.trans(weights), dy) + (delta * leaving)[:, None] * asked
                given = tl.sum(asked * xs, 1) * leaving
                d_delta += given
                to_leaving += given * delta
                from_state = _dot((dy * entering[:, None]).to(xs.dtype), h)
                to_C += from_state
                to_entering += tl.sum(from_state * Cs, 1)
                to_passing += tl.sum(tl.sum(dh * h, 1), 0) * passing
                weighted = (xs * (delta * leaving)[:, None]).to(xs.dtype)
                to_B += _dot(weighted, dh.to(xs.dtype))
                dh = dh * passing + _dot(tl.trans((dy * entering[:, None]).to(xs.dtype)), Cs)
                tl.store(carried + unit * (WIDTH * STATES) + tile, dh)
                if SKIP != 0:
                    dy_own = _rows(dy_base, frame, d_out_strides[1], inside, p, DIM).to(tl.float32)
                    if SKIP == OF_HEAD:
                        to_x += tl.load(skip + head).to(tl.float32) * dy_own
                    else:
                        own = tl.load(
                            skip + element * skip_strides[0] + head * skip_strides[2] + frame * skip_strides[1],
                            mask=inside,
                            other=0.0,
                        ).to(tl.float32)
                        to_x += own[:, None] * dy_own
                    to_own += tl.sum(dy_own * xs, 1)
                tl.store(
                    dx + place + frame[:, None] * (heads * DIM) + p[None, :],
                    to_x.to(dx.dtype.element_ty),
                    mask=inside[:, None] & (p < DIM)[None, :],
                )
            to_scores = d_weights * between * delta[None, :]
            to_C += _dot(to_scores.to(Bs.dtype), Bs)
            to_B += _dot(tl.trans(to_scores.to(Bs.dtype)), Cs)
            d_delta += tl.sum(d_weights * between * scores, 0)
            # The step of row k is between the rows i >= k > j, after what enters and before what leaves.
            through = to_scores * scores
            before = tl.cumsum(through, 1) - through
            to_step = tl.sum(tl.where(row[:, None] >= row[None, :], before, 0.0), 0)
            to_step += tl.cumsum(to_entering, 0, reverse=True) + (tl.cumsum(to_leaving, 0) - to_leaving) + to_passing
            to_dt = tl.where(inside, (d_delta + a * to_step) * slope, 0.0)
            numbers = (element * frames + frame) * heads + head
            tl.store(ddt + numbers, to_dt.to(ddt.dtype.element_ty), mask=inside)
            part = slot * heads + head
            tl.store(dA + part, tl.load(dA + part) + tl.sum(to_step * delta, 0))
            tl.store(ddt_bias + part, tl.load(ddt_bias + part) + tl.sum(to_dt, 0))
            if SKIP == OF_HEAD:
                tl.store(d_skip + part, tl.load(d_skip + part) + tl.sum(to_own, 0))
            if SKIP == OF_FRAME:
                tl.store(d_skip + numbers, to_own.to(d_skip.dtype.element_ty), mask=inside)
        maps = ((element * frames + frame) * groups + group)[:, None] * STATE + n[None, :]
        real = inside[:, None] & (n < STATE)[None, :]
        tl.store(dB + maps, to_B.to(dB.dtype.element_ty), mask=real)
        tl.store(dC + maps, to_C.to(dC.dtype.element_ty), mask=real)
        tl.debug_barrier()  # what is carried is loaded for the next chunk


# ---- all clips --------------------------------------------------------------------------------------------------
