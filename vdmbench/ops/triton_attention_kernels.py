"""Triton kernels of softmax attention with a bias, forward and backward; scores live in registers, a tile at a time.

The forward pass keeps the logarithm of each query's sum, from which the backward pass makes the softmax again (Dao 2023, arXiv
2307.08691, alg. 1 and 2). A program of the backward pass has a tile of frames of one head, and goes through clips: as keys it
meets all queries, and adds to a part of the bias' gradient that is its own; then, as queries, all keys. Nothing is summed by
atomics.
"""

# Triton takes an annotation of an argument for a type of its own.
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def _rows(part, strides, element, head, frame, frames, DIM: tl.constexpr, WIDTH: tl.constexpr):
    """Frames of one head (frames, features), zero outside of the clip."""
    feature = tl.arange(0, WIDTH)
    start = part + element * strides[0] + head * strides[1]
    return tl.load(
        start + frame.to(tl.int64)[:, None] * strides[2] + feature[None, :],
        mask=(frame < frames)[:, None] & (feature < DIM)[None, :],
        other=0.0,
    )


@triton.jit
def _keep(part, strides, element, head, frame, frames, value, DIM: tl.constexpr, WIDTH: tl.constexpr):
    feature = tl.arange(0, WIDTH)
    start = part + element * strides[0] + head * strides[1]
    tl.store(
        start + frame.to(tl.int64)[:, None] * strides[2] + feature[None, :],
        value.to(part.dtype.element_ty),
        mask=(frame < frames)[:, None] & (feature < DIM)[None, :],
    )


@triton.jit
def _scores(q, k, bias, head, query, key, frames, scale, CAUSAL: tl.constexpr):
    """scale q k^T + bias (queries, keys) in float32; -inf where a key is not seen."""
    seen = (query < frames)[:, None] & (key < frames)[None, :]
    if CAUSAL:
        seen &= query[:, None] >= key[None, :]
    place = (head.to(tl.int64) * frames + query[:, None]) * frames + key[None, :]
    added = tl.load(bias + place, mask=seen, other=0.0).to(tl.float32)
    scores = tl.dot(q, tl.trans(k), input_precision="ieee") * scale + added
    return tl.where(seen, scores, float("-inf"))


@triton.jit
def forward(
    out,
    out_strides,
    sums,
    q,
    q_strides,
    k,
    k_strides,
    v,
    v_strides,
    bias,
    frames,
    heads,
    scale,
    CAUSAL: tl.constexpr,
    DIM: tl.constexpr,
    WIDTH: tl.constexpr,
    TILE: tl.constexpr,
):
    """out (batch, heads, frames, head_dim), and log sum_j exp(scores) of each query in ``sums`` (batch, heads, frames); a
    program a clip, head and tile of queries."""
    tiles = tl.cdiv(frames, TILE)
    unit = tl.program_id(0) // tiles
    element, head = (unit // heads).to(tl.int64), unit % heads
    query = tl.program_id(0) % tiles * TILE + tl.arange(0, TILE)
    asked = _rows(q, q_strides, element, head, query, frames, DIM, WIDTH)
    most = tl.full((TILE,), float("-inf"), tl.float32)
    total = tl.zeros((TILE,), tl.float32)
    mixed = tl.zeros((TILE, WIDTH), tl.float32)
    last = tl.minimum(frames, (tl.program_id(0) % tiles + 1) * TILE) if CAUSAL else frames
    for start in range(0, last, TILE):
        key = start + tl.arange(0, TILE)
        keys = _rows(k, k_strides, element, head, key, frames, DIM, WIDTH)
        scores = _scores(asked, keys, bias, head, query, key, frames, scale, CAUSAL)
        higher = tl.maximum(most, tl.max(scores, 1))
        level = tl.where(higher == float("-inf"), 0.0, higher)  # of a query that has seen no key yet
        weights = tl.exp(scores - level[:, None])
        shrink = tl.exp(most - level)
        total = total * shrink + tl.sum(weights, 1)
        values = _rows(v, v_strides, element, head, key, frames, DIM, WIDTH)
        mixed = tl.dot(weights.to(values.dtype), values, mixed * shrink[:, None], input_precision="ieee")
        most = higher
    real = query < frames
    total = tl.where(real, total, 1.0)
    mixed = mixed / total[:, None]
    _keep(out, out_strides, element, head, query, frames, mixed, DIM, WIDTH)
    tl.store(sums + unit.to(tl.int64) * frames + query, most + tl.log(total), mask=real)


@triton.jit
def _asked(
    q, q_strides, d_out, d_out_strides, out, out_strides, sums, element, head, heads, query, frames,
    DIM: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    """Of a tile of queries: themselves, what is asked of them, that times what they gave, and their sums."""
    queries = _rows(q, q_strides, element, head, query, frames, DIM, WIDTH)
    asked = _rows(d_out, d_out_strides, element, head, query, frames, DIM, WIDTH)
    gave = _rows(out, out_strides, element, head, query, frames, DIM, WIDTH)
    common = tl.sum(asked.to(tl.float32) * gave.to(tl.float32), 1)
    known = tl.load(sums + (element * heads + head) * frames + query, mask=query < frames, other=0.0)
    return queries, asked, common, known


@triton.jit
def _pulled_back(
    queries, keys, values, asked, common, known, bias, head, query, key, frames, scale, CAUSAL: tl.constexpr
):  # fmt: skip
    """The softmax made again, and the gradient of the scores."""
    scores = _scores(queries, keys, bias, head, query, key, frames, scale, CAUSAL)
    weights = tl.exp(scores - known[:, None])
    d_weights = tl.dot(asked, tl.trans(values), input_precision="ieee")
    return weights, weights * (d_weights - common[:, None])


@triton.jit
def backward(
    d_q,
    d_q_strides,
    d_k,
    d_k_strides,
    d_v,
    d_v_strides,
    d_bias,
    d_out,
    d_out_strides,
    out,
    out_strides,
    sums,
    q,
    q_strides,
    k,
    k_strides,
    v,
    v_strides,
    bias,
    batch,
    frames,
    heads,
    slots,
    scale,
    CAUSAL: tl.constexpr,
    BIASED: tl.constexpr,
    ONE: tl.constexpr,
    DIM: tl.constexpr,
    WIDTH: tl.constexpr,
    TILE: tl.constexpr,
):
    """Gradients of :func:`forward`; that of the bias a part a slot, (slots, heads, frames, frames), zero before. A program
    takes every ``slots``-th clip, for one head and tile of frames. ``ONE``: the clip is one tile."""
    tiles = tl.cdiv(frames, TILE)
    tile = tl.program_id(0) % tiles
    head = tl.program_id(0) // tiles % heads
    slot = tl.program_id(0) // (tiles * heads)
    own = tile * TILE + tl.arange(0, TILE)
    d_bias += (slot.to(tl.int64) * heads + head) * frames * frames
    for number in range(slot, batch, slots):
        element = tl.cast(number, tl.int64)
        keys = _rows(k, k_strides, element, head, own, frames, DIM, WIDTH)
        values = _rows(v, v_strides, element, head, own, frames, DIM, WIDTH)
        to_k = tl.zeros((TILE, WIDTH), tl.float32)
        to_v = tl.zeros((TILE, WIDTH), tl.float32)
        for start in range(tile * TILE if CAUSAL else 0, frames, TILE):
            query = start + tl.arange(0, TILE)
            queries, asked, common, known = _asked(
                q, q_strides, d_out, d_out_strides, out, out_strides, sums, element, head, heads, query, frames, DIM, WIDTH
            )
            weights, to_scores = _pulled_back(
                queries, keys, values, asked, common, known, bias, head, query, own, frames, scale, CAUSAL
            )
            to_v = tl.dot(tl.trans(weights.to(asked.dtype)), asked, to_v, input_precision="ieee")
            to_k = tl.dot(tl.trans(to_scores.to(queries.dtype)), queries, to_k, input_precision="ieee")
            if BIASED:
                real = (query < frames)[:, None] & (own < frames)[None, :]
                place = d_bias + query.to(tl.int64)[:, None] * frames + own[None, :]
                tl.store(place, tl.load(place, mask=real, other=0.0) + to_scores, mask=real)
            if ONE:
                to_q = tl.dot(to_scores.to(keys.dtype), keys, input_precision="ieee") * scale
                _keep(d_q, d_q_strides, element, head, query, frames, to_q, DIM, WIDTH)
        _keep(d_k, d_k_strides, element, head, own, frames, to_k * scale, DIM, WIDTH)
        _keep(d_v, d_v_strides, element, head, own, frames, to_v, DIM, WIDTH)
        if not ONE:
            queries, asked, common, known = _asked(
                q, q_strides, d_out, d_out_strides, out, out_strides, sums, element, head, heads, own, frames, DIM, WIDTH
            )
            to_q = tl.zeros((TILE, WIDTH), tl.float32)
            last = tl.minimum(frames, (tile + 1) * TILE) if CAUSAL else frames
            for start in range(0, last, TILE):
                key = start + tl.arange(0, TILE)
                keys = _rows(k, k_strides, element, head, key, frames, DIM, WIDTH)
                values = _rows(v, v_strides, element, head, key, frames, DIM, WIDTH)
                _, to_scores = _pulled_back(
                    queries, keys, values, asked, common, known, bias, head, own, key, frames, scale, CAUSAL
                )
                to_q = tl.dot(to_scores.to(keys.dtype), keys, to_q, input_precision="ieee")
            _keep(d_q, d_q_strides, element, head, own, frames, to_q * scale, DIM, WIDTH)
