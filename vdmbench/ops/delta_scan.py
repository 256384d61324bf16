"""The gated delta rule: a matrix memory that forgets, and corrects what it holds under a key before it writes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from vdmbench.ops.backends import Backend, compute, declare
from vdmbench.ops.fla_chunks import fla_delta, fla_delta_refuses, fla_missing
from vdmbench.ops.parts import check_parts
from vdmbench.ops.recompute import from_inputs
from vdmbench.ops.triton_delta import refuses, triton_delta
from vdmbench.ops.triton_scan import DEVICES, triton_missing

CHUNK = 32
"""Most frames of a chunk."""


def gated_delta_scan(
    q: Float[Tensor, "batch frames heads key_dim"],
    k: Float[Tensor, "batch frames heads key_dim"],
    v: Float[Tensor, "batch frames heads value_dim"],
    log_decay: Float[Tensor, "batch frames heads"],
    beta: Float[Tensor, "batch frames heads"],
    *,
    reverse: bool = False,
    backend: str = "auto",
) -> Float[Tensor, "batch frames heads value_dim"]:
    """Scan the gated delta rule over frames (Yang et al. 2024, arXiv 2412.06464, eq. 10)::

        S_t = a_t S_{t-1} (I - beta_t k_t k_t^T) + beta_t v_t k_t^T    (value_dim, key_dim), from S_{-1} = 0
        o_t = S_t q_t                                                 with a_t = exp(log_decay_t)

    In float64 where q is float64, in float32 otherwise, under autocast too; o has the dtype of v.

    Args:
        k: of length at most 1 where beta is in [0, 1], for a memory that does not grow.
        log_decay: not positive.
        reverse: scan from the last frame to the first; equals flip over frames, scan, flip.
        backend: ``triton`` (CUDA; one launch a pass), ``chunked`` (matrix products within chunks of frames, anywhere),
            ``reference`` (a loop over frames), or ``auto``, the first of these that can run; by name alone ``fla``
            (flash-linear-attention's ``chunk_gated_delta_rule``; CUDA, half precision).

    Raises:
        ValueError: shapes, dtypes or devices do not agree, or the backend is unknown.
    """
    if q.dim() != 4 or v.dim() != 4 or q.numel() == 0 or v.numel() == 0:
        raise ValueError(
            "gated_delta_scan takes q, k (batch, frames, heads, key_dim) and v (batch, frames, heads, value_dim), "
            f"none empty, got {tuple(q.shape)} and {tuple(v.shape)}"
        )
    places = tuple(q.shape[:3])
    check_parts(
        "gated_delta_scan",
        {
            "q": (q, q.shape),
            "k": (k, q.shape),
            "v": (v, (*places, v.shape[3])),
            "log_decay": (log_decay, places),
            "beta": (beta, places),
        },
    )
    o: Tensor = compute("gated_delta_scan", backend, q, q, k, v, log_decay, beta, reverse)
    return o


def _widened(scan: Callable[..., Tensor], reverse: bool, *parts: Tensor) -> Tensor:
    """The scan in float32 at least, outside autocast; what it gives in the dtype of v."""
    q, _, v, *_ = parts
    wide = torch.promote_types(q.dtype, torch.float32)
    with torch.autocast(q.device.type, enabled=False):
        return scan(*(part.to(wide) for part in parts), reverse).to(v.dtype)


def _reference(q: Tensor, k: Tensor, v: Tensor, log_decay: Tensor, beta: Tensor, reverse: bool) -> Tensor:
    return _widened(_frame_by_frame, reverse, q, k, v, log_decay, beta)


def _chunked(q: Tensor, k: Tensor, v: Tensor, log_decay: Tensor, beta: Tensor, reverse: bool) -> Tensor:
    """Keeps its inputs alone for the backward pass."""
    o: Tensor = from_inputs(partial(_widened, _by_chunks, reverse), q, k, v, log_decay, beta)
    return o


def _triton_refuses(q: Tensor, k: Tensor, v: Tensor, log_decay: Tensor, beta: Tensor, reverse: bool) -> str | None:
    return refuses(k, v)


def _frame_by_frame(q: Tensor, k: Tensor, v: Tensor, log_decay: Tensor, beta: Tensor, reverse: bool) -> Tensor:
    """The definition, as a loop over frames."""
    S = torch.zeros_like(v[:, 0, :, :, None] * k[:, 0, :, None])  # (batch, heads, value_dim, key_dim)
    outputs = []
    sequences = (q, k, v, log_decay.exp()[..., None, None], beta[..., None])
    frames = list(zip(*(each.unbind(1) for each in sequences), strict=True))
    for q_t, k_t, v_t, decay_t, beta_t in reversed(frames) if reverse else frames:
        S = decay_t * S
        held = torch.einsum("bhvk,bhk->bhv", S, k_t)
        S = S + (beta_t * (v_t - held))[..., None] * k_t[..., None, :]
        outputs.append(torch.einsum("bhvk,bhk->bhv", S, q_t))
    return torch.stack(outputs[::-1] if reverse else outputs, 1)


def _by_chunks(q: Tensor, k: Tensor, v: Tensor, log_decay: Tensor, beta: Tensor, reverse: bool) -> Tensor:
    """Chunks of Q frames, each one triangular system (Yang et al. 2024, sec. 3.3, without the inverse of the WY form).

    With g_t the decay from the chunk's start and w_t what frame t writes, the rule reads, from the state S that enters,

        w_t = beta_t (v_t - g_t S k_t - sum_{i<t} g_t / g_i (k_i . k_t) w_i)
        o_t = g_t S q_t + sum_{i<=t} g_t / g_i (k_i . q_t) w_i

    that is (I + T) W = diag(beta) V - diag(beta g) K S^T, T strictly lower. Its two sides are solved for all chunks at once, as
    W = X - Y S^T, where S is not known yet. The chunk leaves S' = g_Q S + W^T Z, row i of Z being g_Q / g_i k_i, that is

        S' = S (g_Q I - Y^T Z) + X^T Z,

    one product a chunk in a loop that is as short as it can be; with all S known, W and outputs follow for all chunks at once.
    Against time T is strictly upper, and decay counts from the chunk's end.
    """
    frames = q.shape[1]
    chunks = -(-frames // CHUNK)
    length = -(-frames // chunks)

    def chunk(part: Tensor) -> Tensor:  # (batch, heads, chunks, length, ...); a padded frame writes nothing and forgets nothing
        padding = (0, 0) * (part.dim() - 2) + (0, chunks * length - frames)
        return F.pad(part, padding).unflatten(1, (chunks, length)).movedim(3, 1)

    q, k, v, steps, beta = (chunk(part) for part in (q, k, v, log_decay, beta))
    total = steps.cumsum(-1)
    whole = total[..., -1:]
    if reverse:
        total = whole - total + steps
    between = total[..., :, None] - total[..., None, :]  # log g_t / g_i
    seen = torch.ones(length, length, dtype=torch.bool, device=q.device)
    seen = seen.triu() if reverse else seen.tril()  # the frames that t sees, itself included
    decay = between.masked_fill(~seen, float("-inf")).exp()
    similar = beta[..., None] * (k @ k.mT) * decay
    T = similar.triu(1) if reverse else similar.tril(-1)
    g = total.exp()[..., None]
    sides = torch.cat([beta[..., None] * v, beta[..., None] * g * k], -1)
    solved = torch.linalg.solve_triangular(T, sides, upper=reverse, unitriangular=True)
    X, Y = solved.split((v.shape[-1], k.shape[-1]), -1)
    Z = (whole - total).exp()[..., None] * k
    passed = whole.exp()[..., None] * torch.eye(k.shape[-1], dtype=k.dtype, device=k.device) - Y.mT @ Z
    added = X.mT @ Z
    entered = _states(passed.flatten(0, 1), added.flatten(0, 1), reverse).unflatten(0, passed.shape[:2])
    W = X - Y @ entered.mT
    o = (g * q) @ entered.mT + ((q @ k.mT) * decay) @ W
    return o.movedim(1, 3).flatten(1, 2)[:, :frames]


def _states(passed: Tensor, added: Tensor, reverse: bool) -> Tensor:
    """The state (rows, chunks, value_dim, key_dim) that enters each chunk: S_{c+1} = S_c passed_c + added_c, from zero."""
    S = torch.zeros_like(added[:, 0])
    entered = []
    chunks = list(zip(passed.unbind(1), added.unbind(1), strict=True))  # indexing [:, c] makes backward quadratic
    for passed_c, added_c in reversed(chunks) if reverse else chunks:
        entered.append(S)
        S = torch.baddbmm(added_c, S, passed_c)
    return torch.stack(entered[::-1] if reverse else entered, 1)


def _fla_refuses(q: Tensor, k: Tensor, v: Tensor, log_decay: Tensor, beta: Tensor, reverse: bool) -> str | None:
    return fla_delta_refuses(k, v)


declare(
    "gated_delta_scan",
    Backend("triton", triton_delta, DEVICES, triton_missing, package="triton", refuses=_triton_refuses),
    Backend("chunked", _chunked),
    Backend(
        "fla", fla_delta, ("cuda",), fla_missing, by_name_only=True, refuses=_fla_refuses, package="flash-linear-attention"
    ),
    Backend("reference", _reference),
)
