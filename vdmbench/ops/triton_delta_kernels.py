"""Triton kernels of the gated delta rule, forward and backward.

A program takes one clip and head, and keeps its memory S (value_dim, key_dim) in registers from the first frame to the last:
nothing is written in the forward pass but the output. Where clips are many and short that is enough parallelism, and the rule
is computed as it is defined, without the triangular systems of its chunked form. The forward pass takes a block of value
features a program, for these do not see each other.

The backward pass goes along the frames once more for S before every ``CHUNK`` frames, then takes chunks from the last to the
first: S before each frame of a chunk is made again, and gradients go back through them. Both are written where each program has
room for one clip. Arithmetic is in float32.
"""

# Triton takes an annotation of an argument for a type of its own.
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def _row(pointer, frame, stride, column, width):
    """The features of one frame in float32, zero beyond them."""
    return tl.load(pointer + frame * stride + column, mask=column < width, other=0.0).to(tl.float32)


@triton.jit
def _number(pointer, frame, stride):
    return tl.load(pointer + frame * stride).to(tl.float32)


@triton.jit
def _write(S, k, v, decay, beta):
    """S_t = S' + beta (v - S' k) k^T with S' = decay S_{t-1} (Yang et al. 2024, arXiv 2412.06464, eq. 10), and v - S' k."""
    S = S * decay
    missing = v - tl.sum(S * k[None, :], 1)
    return S + (beta * missing)[:, None] * k[None, :], missing


@triton.jit
def forward(
    out,
    q,
    k,
    v,
    log_decay,
    beta,
    strides,
    frames,
    heads,
    KEY: tl.constexpr,
    VALUE: tl.constexpr,
    KEYS: tl.constexpr,
    VALUES: tl.constexpr,
    REVERSE: tl.constexpr,
):
    """out (batch, frames, heads, value_dim); ``strides`` are those of batch, frames and heads of the five inputs."""
    BLOCKS: tl.constexpr = (VALUE + VALUES - 1) // VALUES
    unit = tl.program_id(0) // BLOCKS
    element, head = (unit // heads).to(tl.int64), unit % heads
    columns = tl.arange(0, KEYS)
    rows = tl.program_id(0) % BLOCKS * VALUES + tl.arange(0, VALUES)
    of_q, of_k, of_v, of_decay, of_beta = strides
    q += element * of_q[0] + head * of_q[2]
    k += element * of_k[0] + head * of_k[2]
    v += element * of_v[0] + head * of_v[2]
    log_decay += element * of_decay[0] + head * of_decay[2]
    beta += element * of_beta[0] + head * of_beta[2]
    S = tl.zeros((VALUES, KEYS), tl.float32)
    for i in range(frames):
        frame = tl.cast(frames - 1 - i if REVERSE else i, tl.int64)
        k_t = _row(k, frame, of_k[1], columns, KEY)
        S, _ = _write(
            S,
            k_t,
            _row(v, frame, of_v[1], rows, VALUE),
            tl.exp(_number(log_decay, frame, of_decay[1])),
            _number(beta, frame, of_beta[1]),
        )
        o = tl.sum(S * _row(q, frame, of_q[1], columns, KEY)[None, :], 1)
        tl.store(
            out + ((element * frames + frame) * heads + head) * VALUE + rows, o.to(out.dtype.element_ty), mask=rows < VALUE
        )


@triton.jit
def _unit_backward(
    d_out,
    of_out,
    before_chunks,
    before_frames,
    element,
    head,
    q,
    k,
    v,
    log_decay,
    beta,
    strides,
    gradients,
    frames,
    heads,
    KEY: tl.constexpr,
    VALUE: tl.constexpr,
    KEYS: tl.constexpr,
    VALUES: tl.constexpr,
    REVERSE: tl.constexpr,
    CHUNK: tl.constexpr,
):
    """Gradients of one clip and head."""
    columns, rows = tl.arange(0, KEYS), tl.arange(0, VALUES)
    tile = rows[:, None] * KEYS + columns[None, :]
    of_q, of_k, of_v, of_decay, of_beta = strides
    dq, dk, dv, d_decay, d_beta = gradients
    d_out += element * of_out[0] + head * of_out[2]
    q += element * of_q[0] + head * of_q[2]
    k += element * of_k[0] + head * of_k[2]
    v += element * of_v[0] + head * of_v[2]
    log_decay += element * of_decay[0] + head * of_decay[2]
    beta += element * of_beta[0] + head * of_beta[2]
    S = tl.zeros((VALUES, KEYS), tl.float32)
    for i in range(frames):
        if i % CHUNK == 0:
            tl.store(before_chunks + (i // CHUNK) * (VALUES * KEYS) + tile, S)
        frame = tl.cast(frames - 1 - i if REVERSE else i, tl.int64)
        S, _ = _write(
            S,
            _row(k, frame, of_k[1], columns, KEY),
            _row(v, frame, of_v[1], rows, VALUE),
            tl.exp(_number(log_decay, frame, of_decay[1])),
            _number(beta, frame, of_beta[1]),
        )
    tl.debug_barrier()
    dS = tl.zeros((VALUES, KEYS), tl.float32)
    chunks = (frames + CHUNK - 1) // CHUNK
    for done in range(chunks):
        start = (chunks - 1 - done) * CHUNK
        stop = tl.minimum(start + CHUNK, frames)
        S = tl.load(before_chunks + (chunks - 1 - done) * (VALUES * KEYS) + tile)
        for i in range(start, stop):
            tl.store(before_frames + (i - start) * (VALUES * KEYS) + tile, S)
            frame = tl.cast(frames - 1 - i if REVERSE else i, tl.int64)
            S, _ = _write(
                S,
                _row(k, frame, of_k[1], columns, KEY),
                _row(v, frame, of_v[1], rows, VALUE),
                tl.exp(_number(log_decay, frame, of_decay[1])),
                _number(beta, frame, of_beta[1]),
            )
        tl.debug_barrier()
        for back in range(stop - start):
            i = stop - 1 - back
            frame = tl.cast(frames - 1 - i if REVERSE else i, tl.int64)
            k_t, q_t = _row(k, frame, of_k[1], columns, KEY), _row(q, frame, of_q[1], columns, KEY)
            v_t, do = _row(v, frame, of_v[1], rows, VALUE), _row(d_out, frame, of_out[1], rows, VALUE)
            decay, beta_t = tl.exp(_number(log_decay, frame, of_decay[1])), _number(beta, frame, of_beta[1])
            before = tl.load(before_frames + (i - start) * (VALUES * KEYS) + tile)
            after, missing = _write(before, k_t, v_t, decay, beta_t)
            numbers = (element * frames + frame) * heads + head
            tl.store(dq + numbers * KEY + columns, tl.sum(after * do[:, None], 0).to(dq.dtype.element_ty), mask=columns < KEY)
            dS += do[:, None] * q_t[None, :]
            to_written = tl.sum(dS * k_t[None, :], 1)  # of beta (v - S' k)
            to_missing = beta_t * to_written
            to_k = beta_t * tl.sum(dS * missing[:, None], 0) - decay * tl.sum(before * to_missing[:, None], 0)
            tl.store(dk + numbers * KEY + columns, to_k.to(dk.dtype.element_ty), mask=columns < KEY)
            tl.store(dv + numbers * VALUE + rows, to_missing.to(dv.dtype.element_ty), mask=rows < VALUE)
            tl.store(d_beta + numbers, tl.sum(to_written * missing, 0).to(d_beta.dtype.element_ty))
            dS = (dS - to_missing[:, None] * k_t[None, :]) * decay
            tl.store(d_decay + numbers, tl.sum(tl.sum(dS * before, 1), 0).to(d_decay.dtype.element_ty))
        tl.debug_barrier()  # the states of this chunk's frames give way to those of the next


@triton.jit
def backward(
    d_out,
    of_out,
    before_chunks,
    before_frames,
    q,
    k,
    v,
    log_decay,
    beta,
    strides,
    gradients,
    units,
    frames,
    heads,
    programs,
    KEY: tl.constexpr,
    VALUE: tl.constexpr,
    KEYS: tl.constexpr,
    VALUES: tl.constexpr,
    REVERSE: tl.constexpr,
    CHUNK: tl.constexpr,
):
    """Gradients of :func:`forward`; a program takes every ``programs``-th clip and head."""
    program = tl.program_id(0).to(tl.int64)
    before_chunks += program * ((frames + CHUNK - 1) // CHUNK) * (VALUES * KEYS)
    before_frames += program * CHUNK * (VALUES * KEYS)
    for unit in range(tl.program_id(0), units, programs):
        _unit_backward(
            d_out,
            of_out,
            before_chunks,
            before_frames,
            (unit // heads).to(tl.int64),
            unit % heads,
            q,
            k,
            v,
            log_decay,
            beta,
            strides,
            gradients,
            frames,
            heads,
            KEY,
            VALUE,
            KEYS,
            VALUES,
            REVERSE,
            CHUNK,
        )
