"""Triton kernels of the selective scan, one-directional and bidirectional, forward and backward.

Written for many short scans with channels contiguous: nothing is transposed, flipped or copied, and batch and frame strides
are free. A program takes one block of channels, a lane a channel, and goes along frames in tiles of ``CHUNK``. Within a tile it
takes one state after another, so that no sum over states crosses lanes, and scans that state over the tile's frames. The
tile's axis is the order of the scan: a reverse scan differs in its addresses alone.

The forward pass keeps no state: ``state`` has the one before the tile at hand. The backward pass scans each batch element once
more for the state before every tile, in room that a program has for one element, then takes tiles from the last to the first,
recomputes the states inside each from there, and scans gradients the other way. Batch elements are dealt to a number of groups
that depends on the batch alone; each program sums the gradients of parameters over its group in order, each block of channels
writes its own part of the gradients of B and C, and whoever launches adds the parts: there are no atomics.

Frame strides, channels and states are constants of a compiled kernel: a tile is then reached from one address. Triton would
give a lane several adjacent channels, to load them at once, and spread frames over lanes; ``max_contiguous`` prevents that.

Arithmetic is in float32. A holds A / ln 2, laid out (state, channels), so that exp(delta A) is a power of two. A *direction*
is the tuple (x, dt, A, B, C, D, dt_bias, strides): ``strides`` are the batch strides of x, dt, B and C, and ``STRIDES`` their
frame strides.
"""

# Triton takes an annotation of an argument for a type of its own.
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import triton
import triton.language as tl

from vdmbench.ops.triton_step import rectified_step

SINGLE, SUM, PRODUCT, CONCAT, QUASI_SEPARABLE = (tl.constexpr(how) for how in range(5))
"""How directions merge; SINGLE has one direction, QUASI_SEPARABLE is the sum of scans that are delayed by one frame."""
LN2 = tl.constexpr(0.6931471805599453)


# ---- values of a tile -------------------------------------------------------------------------------------------

@triton.jit
def _at(pointer, element, batch_stride, first, steps, STRIDE: tl.constexpr):
    """Pointers to a tile's frames, as a column: one address, and steps that are constants of the compiled kernel."""
    return (pointer + (element * batch_stride + tl.cast(first, tl.int64) * STRIDE)) + (steps * STRIDE)[:, None]


@triton.jit
def _load(pointers, c, inside):
    """A tile (frames, channels) in float32, zero outside."""
    return tl.load(pointers + c[None, :], mask=inside, other=0.0).to(tl.float32)


@triton.jit
def _store(pointers, c, inside, value):
    tl.store(pointers + c[None, :], value.to(pointers.dtype.element_ty), mask=inside)


@triton.jit
def _tile(start, frames, row, REVERSE: tl.constexpr, DELAY: tl.constexpr):
    """The frame of a tile's first row, and which rows are frames; ``DELAY`` rows stand before the first frame."""
    first = frames - 1 - start + DELAY if REVERSE else start - DELAY
    if DELAY:
        return first, ((row >= DELAY - start) & (row < frames + DELAY - start))[:, None]
    return first, (row < frames - start)[:, None]


@triton.jit
def _silu(g):
    """silu(g) = g sigmoid(g), and its derivative sigmoid(g) (1 + g (1 - sigmoid(g)))."""
    sigmoid = 1 / (1 + tl.exp(-g))
    return g * sigmoid, sigmoid * (1 + g * (1 - sigmoid))


@triton.jit
def _then(decay, state, next_decay, next_state):
    """Two runs of frames of h_t = a_t h_{t-1} + b_t as one: their decay, and the state they reach from 0."""
    return decay * next_decay, next_state + next_decay * state


@triton.jit
def _before(decay, asked, passed, earlier_decay, earlier_asked, earlier_passed):
    """Two runs of frames of dh_t = g_t + a_{t+1} dh_{t+1} as one, the later given first.

    A run is the decay of its first frame, dh there if nothing came after it, and the share of what does come that gets there.
    """
    through = earlier_passed * decay
    return earlier_decay, earlier_asked + through * asked, through * passed


@triton.jit
def _states(delta, drive, A, B, before):
    """One state over a tile: its decay and h_t = exp(delta_t A) h_{t-1} + B_t drive_t (Gu and Dao 2023, eq. 2a)."""
    decay = tl.exp2(delta * A[None, :])
    carried, gained = tl.associative_scan((decay, drive * B), 0, _then)
    return decay, gained + carried * before[None, :]


# ---- one direction of one batch element, all frames -------------------------------------------------------------

@triton.jit
def _scan(out, partial, state, direction, gate, gate_stride, element, batch, frames, c, STRIDES: tl.constexpr,
          GATE_STRIDE: tl.constexpr, CHANNELS: tl.constexpr, STATES: tl.constexpr, SIDE: tl.constexpr, REVERSE: tl.constexpr,
          HOW: tl.constexpr, GATED: tl.constexpr, RECTIFIED: tl.constexpr, CHUNK: tl.constexpr):
    """Scan one direction into out; of two that become one, the first goes to ``partial``, from where the second takes it.

    Delayed, a row of a tile scans the frame before the one whose output it gives; D x is of the output's own frame.
    """
    x, dt, A, B, C, D, dt_bias, strides = direction
    DELAY: tl.constexpr = 1 if HOW == QUASI_SEPARABLE else 0
    MERGED: tl.constexpr = HOW != SINGLE and HOW != CONCAT
    real = c < CHANNELS
    state += (SIDE * batch + element) * STATES * CHANNELS + c
    skip = tl.load(D + c, mask=real, other=0.0).to(tl.float32)[None, :]
    bias = tl.load(dt_bias + c, mask=real, other=0.0).to(tl.float32)[None, :]
    row = tl.arange(0, CHUNK)
    steps = -row if REVERSE else row
    OUT_STRIDE: tl.constexpr = 2 * CHANNELS if HOW == CONCAT else CHANNELS
    column = c + CHANNELS if HOW == CONCAT and SIDE == 1 else c
    for start in range(0, frames + DELAY, CHUNK):
        first, real_frame = _tile(start, frames, row, REVERSE, DELAY)
        inside = real_frame & real[None, :]
        inputs = _load(_at(x, element, strides[0], first, steps, STRIDES[0]), c, inside)
        v = _load(_at(dt, element, strides[1], first, steps, STRIDES[1]), c, inside) + bias
        delta, _ = rectified_step(v, inside, RECTIFIED)
        drive = delta * inputs
        out_first, out_frame = _tile(start, frames, row, REVERSE, 0)
        out_inside = out_frame & real[None, :]
        if DELAY:
            inputs = _load(_at(x, element, strides[0], out_first, steps, STRIDES[0]), c, out_inside)
        y = skip * inputs
        Bs = _at(B, element, strides[2], first, steps, STRIDES[2])
        Cs = _at(C, element, strides[3], first, steps, STRIDES[3])
        for n in range(STATES):
            A_n = tl.load(A + n * CHANNELS + c, mask=real, other=0.0)
            B_n = tl.load(Bs + n, mask=real_frame, other=0.0).to(tl.float32)
            C_n = tl.load(Cs + n, mask=real_frame, other=0.0).to(tl.float32)
            before = tl.load(state + n * CHANNELS, mask=real & (start > 0), other=0.0)
            _, h = _states(delta, drive, A_n, B_n, before)
            y += h * C_n  # eq. 2b
            last = tl.sum(tl.where(row[:, None] == CHUNK - 1, h, 0.0), 0)
            tl.store(state + n * CHANNELS, last, mask=real & (start + CHUNK < frames + DELAY))
        if MERGED and SIDE == 0:
            _store(_at(partial, element, frames * CHANNELS, out_first, steps, CHANNELS), c, out_inside, y)
        else:
            if MERGED:
                other = _load(_at(partial, element, frames * CHANNELS, out_first, steps, CHANNELS), c, out_inside)
                y = y * other if HOW == PRODUCT else y + other
            if GATED:
                weight, _ = _silu(_load(_at(gate, element, gate_stride, out_first, steps, GATE_STRIDE), c, out_inside))
                y *= weight
            _store(_at(out, element, frames * OUT_STRIDE, out_first, steps, OUT_STRIDE), column, out_inside, y)
        tl.debug_barrier()  # the states stored here are loaded for the next tile, by other lanes where channels are few


@triton.jit
def _states_between_tiles(between, direction, element, frames, c, STRIDES: tl.constexpr, CHANNELS: tl.constexpr,
                          STATES: tl.constexpr, REVERSE: tl.constexpr, DELAY: tl.constexpr, RECTIFIED: tl.constexpr,
                          CHUNK: tl.constexpr):
    """Scan one direction of an element for the state after each tile but the last, (tiles - 1, states, channels)."""
    x, dt, A, B, _C, _D, dt_bias, strides = direction
    real = c < CHANNELS
    bias = tl.load(dt_bias + c, mask=real, other=0.0).to(tl.float32)[None, :]
    row = tl.arange(0, CHUNK)
    steps = -row if REVERSE else row
    for start in range(0, frames + DELAY - CHUNK, CHUNK):
        first, real_frame = _tile(start, frames, row, REVERSE, DELAY)
        inside = real_frame & real[None, :]
        v = _load(_at(dt, element, strides[1], first, steps, STRIDES[1]), c, inside) + bias
        delta, _ = rectified_step(v, inside, RECTIFIED)
        drive = delta * _load(_at(x, element, strides[0], first, steps, STRIDES[0]), c, inside)
        Bs = _at(B, element, strides[2], first, steps, STRIDES[2])
        slot = start // CHUNK
        for n in range(STATES):
            A_n = tl.load(A + n * CHANNELS + c, mask=real, other=0.0)
            B_n = tl.load(Bs + n, mask=real_frame, other=0.0).to(tl.float32)
            before = tl.load(between + ((slot - 1) * STATES + n) * CHANNELS, mask=real & (slot > 0), other=0.0)
            _, h = _states(delta, drive, A_n, B_n, before)
            last = tl.sum(tl.where(row[:, None] == CHUNK - 1, h, 0.0), 0)
            tl.store(between + (slot * STATES + n) * CHANNELS, last, mask=real)
        tl.debug_barrier()  # as in the forward pass


@triton.jit
def _scan_backward(d_out, d_out_stride, sides, between, carry, direction, gradients, gate, gate_stride, d_gate, d_partial,
                   element, group, block, batch, frames, c, D_OUT_STRIDE: tl.constexpr, STRIDES: tl.constexpr,
                   GATE_STRIDE: tl.constexpr, CHANNELS: tl.constexpr, STATES: tl.constexpr, SIDE: tl.constexpr,
                   REVERSE: tl.constexpr, HOW: tl.constexpr, GATED: tl.constexpr, RECTIFIED: tl.constexpr, CHUNK: tl.constexpr):
    """The transpose of :func:`_scan`; gradients of parameters are added to the group's.

    ``between`` has room for the states between tiles of one element; ``carry`` holds a_t dh_t of the tile after the one at
    hand; ``sides`` the outputs of both directions, for a product;
    ``d_partial`` what the first direction gives to the gradient of the gate.
    """
    x, dt, A, B, C, D, dt_bias, strides = direction
    dx, ddt, dA, dB, dC, dD, ddt_bias = gradients
    DELAY: tl.constexpr = 1 if HOW == QUASI_SEPARABLE else 0
    real = c < CHANNELS
    slots = (frames + DELAY - 1) // CHUNK
    between += group * slots * STATES * CHANNELS + c
    carry += group * STATES * CHANNELS + c
    dA += group * STATES * CHANNELS + c
    dD += group * CHANNELS + c
    ddt_bias += group * CHANNELS + c
    skip = tl.load(D + c, mask=real, other=0.0).to(tl.float32)[None, :]
    bias = tl.load(dt_bias + c, mask=real, other=0.0).to(tl.float32)[None, :]
    row = tl.arange(0, CHUNK)
    steps = -row if REVERSE else row
    column = c + CHANNELS if HOW == CONCAT and SIDE == 1 else c
    _states_between_tiles(between, direction, element, frames, c, STRIDES, CHANNELS, STATES, REVERSE, DELAY, RECTIFIED, CHUNK)
    for done in range(slots + 1):
        slot = slots - done
        start = slot * CHUNK
        first, real_frame = _tile(start, frames, row, REVERSE, DELAY)
        inside = real_frame & real[None, :]
        inputs = _load(_at(x, element, strides[0], first, steps, STRIDES[0]), c, inside)
        v = _load(_at(dt, element, strides[1], first, steps, STRIDES[1]), c, inside) + bias
        delta, slope = rectified_step(v, inside, RECTIFIED)
        drive = delta * inputs
        out_first, out_frame = _tile(start, frames, row, REVERSE, 0)
        out_inside = out_frame & real[None, :]
        d_merged = _load(_at(d_out, element, d_out_stride, out_first, steps, D_OUT_STRIDE), column, out_inside)
        dy = d_merged
        if GATED:
            weight, d_weight = _silu(_load(_at(gate, element, gate_stride, out_first, steps, GATE_STRIDE), c, out_inside))
            dy *= weight
        if HOW == PRODUCT:
            other = _load(_at(sides, element, frames * 2 * CHANNELS, out_first, steps, 2 * CHANNELS),
                          c + (1 - SIDE) * CHANNELS, out_inside)
            dy *= other
        dy_skip = dy
        y = skip * inputs
        if DELAY:  # D x is of the frame that the row scans, which is not the one whose output it gives
            dy_skip = _load(_at(d_out, element, d_out_stride, first, steps, D_OUT_STRIDE), column, inside)
            if GATED:
                own_weight, _ = _silu(_load(_at(gate, element, gate_stride, first, steps, GATE_STRIDE), c, inside))
                dy_skip *= own_weight
                y = skip * _load(_at(x, element, strides[0], out_first, steps, STRIDES[0]), c, out_inside)
        d_delta = tl.zeros_like(delta)
        d_drive = tl.zeros_like(delta)
        Bs = _at(B, element, strides[2], first, steps, STRIDES[2])
        Cs = _at(C, element, strides[3], first, steps, STRIDES[3])
        part = (block * batch + element) * frames * STATES
        dBs = _at(dB, part, 1, first, steps, STATES)
        dCs = _at(dC, part, 1, first, steps, STATES)
        for n in range(STATES):
            A_n = tl.load(A + n * CHANNELS + c, mask=real, other=0.0)
            B_n = tl.load(Bs + n, mask=real_frame, other=0.0).to(tl.float32)
            C_n = tl.load(Cs + n, mask=real_frame, other=0.0).to(tl.float32)
            before = tl.load(between + ((slot - 1) * STATES + n) * CHANNELS, mask=real & (slot > 0), other=0.0)
            decay, h = _states(delta, drive, A_n, B_n, before)
            if GATED:
                y += h * C_n
            tl.store(dCs + n, tl.sum(dy * h, 1, keep_dims=True), mask=real_frame)
            after = tl.load(carry + n * CHANNELS, mask=real & (done > 0), other=0.0)
            _, asked, passed = tl.associative_scan((decay, dy * C_n, tl.full(decay.shape, 1.0, tl.float32)), 0, _before,
                                                   reverse=True)
            dh = asked + passed * after[None, :]
            tl.store(carry + n * CHANNELS, tl.sum(tl.where(row[:, None] == 0, decay * dh, 0.0), 0), mask=real)
            tl.store(dBs + n, tl.sum(dh * drive, 1, keep_dims=True), mask=real_frame)
            d_drive += dh * B_n
            to_exponent = dh * (h - drive * B_n)  # d exp(e) = exp(e) de, e = delta A, and exp(e) h_{t-1} = h_t - B_t drive_t
            d_delta += to_exponent * (A_n * LN2)[None, :]
            dA_n = tl.load(dA + n * CHANNELS, mask=real, other=0.0)
            tl.store(dA + n * CHANNELS, dA_n + tl.sum(to_exponent * delta, 0), mask=real)
        to_dt = (d_delta + inputs * d_drive) * slope
        _store(_at(dx, element, frames * CHANNELS, first, steps, CHANNELS), c, inside, dy_skip * skip + delta * d_drive)
        _store(_at(ddt, element, frames * CHANNELS, first, steps, CHANNELS), c, inside, to_dt)
        tl.store(dD, tl.load(dD, mask=real, other=0.0) + tl.sum(dy_skip * inputs, 0), mask=real)
        tl.store(ddt_bias, tl.load(ddt_bias, mask=real, other=0.0) + tl.sum(to_dt, 0), mask=real)
        if GATED and not (HOW == PRODUCT and SIDE == 0):
            to_gate = d_merged * y
            d_partials = _at(d_partial, element, frames * CHANNELS, out_first, steps, CHANNELS)
            if HOW == PRODUCT:
                to_gate *= other
            elif SIDE == 1:
                to_gate += _load(d_partials, c, out_inside)
            if HOW == SINGLE or SIDE == 1:
                _store(_at(d_gate, element, frames * CHANNELS, out_first, steps, CHANNELS), c, out_inside, to_gate * d_weight)
            else:
                _store(d_partials, c, out_inside, to_gate)
        tl.debug_barrier()  # carry and the sums are loaded for the next tile


# ---- all batch elements -----------------------------------------------------------------------------------------

@triton.jit
def forward(out, partial, state, ahead, back, gate, gate_stride, batch, frames, AHEAD_STRIDES: tl.constexpr,
            BACK_STRIDES: tl.constexpr, GATE_STRIDE: tl.constexpr, CHANNELS: tl.constexpr, STATES: tl.constexpr,
            HOW: tl.constexpr, GATED: tl.constexpr, RECTIFIED: tl.constexpr, REVERSE: tl.constexpr, CHUNK: tl.constexpr,
            BLOCK: tl.constexpr):
    """out (batch, frames, merged channels) from one direction, or from two that merge; a program an element and a block.

    ``partial`` holds the first direction's output of two that become one, in float32: out itself, where that is its dtype.
    """
    BLOCKS: tl.constexpr = (CHANNELS + BLOCK - 1) // BLOCK
    element = (tl.program_id(0) // BLOCKS).to(tl.int64)
    c = tl.max_contiguous(tl.program_id(0) % BLOCKS * BLOCK + tl.arange(0, BLOCK), [1])
    _scan(out, partial, state, ahead, gate, gate_stride, element, batch, frames, c, AHEAD_STRIDES, GATE_STRIDE, CHANNELS,
          STATES, 0, REVERSE, HOW, GATED, RECTIFIED, CHUNK)
    if HOW != SINGLE:
        _scan(out, partial, state, back, gate, gate_stride, element, batch, frames, c, BACK_STRIDES, GATE_STRIDE, CHANNELS,
              STATES, 1, not REVERSE, HOW, GATED, RECTIFIED, CHUNK)


@triton.jit
def backward(d_out, d_out_stride, sides, between, carry, ahead, back, gate, gate_stride, d_ahead, d_back, d_gate, d_partial,
             batch, frames, groups, D_OUT_STRIDE: tl.constexpr, AHEAD_STRIDES: tl.constexpr, BACK_STRIDES: tl.constexpr,
             GATE_STRIDE: tl.constexpr, CHANNELS: tl.constexpr, STATES: tl.constexpr, HOW: tl.constexpr, GATED: tl.constexpr,
             RECTIFIED: tl.constexpr, REVERSE: tl.constexpr, CHUNK: tl.constexpr, BLOCK: tl.constexpr):
    """Gradients of :func:`forward`; those of A, D, dt_bias in a part per group, of B and C in one per block of channels."""
    BLOCKS: tl.constexpr = (CHANNELS + BLOCK - 1) // BLOCK
    group = tl.program_id(0) // BLOCKS
    block = tl.program_id(0) % BLOCKS
    c = tl.max_contiguous(block * BLOCK + tl.arange(0, BLOCK), [1])
    for index in range(group, batch, groups):
        element = tl.cast(index, tl.int64)
        _scan_backward(d_out, d_out_stride, sides, between, carry, ahead, d_ahead, gate, gate_stride, d_gate, d_partial,
                       element, group, block, batch, frames, c, D_OUT_STRIDE, AHEAD_STRIDES, GATE_STRIDE, CHANNELS, STATES, 0,
                       REVERSE, HOW, GATED, RECTIFIED, CHUNK)
        if HOW != SINGLE:
            _scan_backward(d_out, d_out_stride, sides, between, carry, back, d_back, gate, gate_stride, d_gate, d_partial,
                           element, group, block, batch, frames, c, D_OUT_STRIDE, BACK_STRIDES, GATE_STRIDE, CHANNELS, STATES,
                           1, not REVERSE, HOW, GATED, RECTIFIED, CHUNK)
