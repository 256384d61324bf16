"""The step delta of a state-space scan in Triton kernels, from what a mixer gives for it."""

# Triton takes an annotation of an argument for a type of its own.
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def rectified_step(v, inside, RECTIFIED: tl.constexpr):
    """delta and its derivative at v = dt + dt_bias: softplus(v) = max(v, 0) + log1p(exp(-|v|)), or v; 0 outside.

    log1p(e) = 2 artanh(s) with s = e / (2 + e) <= 1/3, by its series: exact in both tails, where log(1 + e) is not.
    """
    if RECTIFIED:
        e = tl.exp(-tl.abs(v))
        s = e / (2.0 + e)
        w = s * s
        series = 1 + w * (1 / 3 + w * (1 / 5 + w * (1 / 7 + w * (1 / 9 + w * (1 / 11 + w * (1 / 13))))))
        delta = tl.maximum(v, 0.0, propagate_nan=tl.PropagateNan.ALL) + 2 * s * series
        slope = tl.where(v < 0, e, 1.0) / (1.0 + e)
    else:
        delta = v
        slope = tl.full(v.shape, 1.0, tl.float32)
    return tl.where(inside, delta, 0.0), slope
