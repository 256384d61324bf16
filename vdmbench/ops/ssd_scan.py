"""The scan of Mamba-2 (SSD): one decay for each head and frame, so that frames meet in matrix products."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from vdmbench.ops.backends import Backend, compute, declare
from vdmbench.ops.direction import Direction
from vdmbench.ops.fla_chunks import fla_missing, fla_ssd, fla_ssd_refuses
from vdmbench.ops.mamba_ssm_ssd import mamba_ssm_ssd, mamba_ssm_ssd_missing
from vdmbench.ops.numba_scan import numba_missing, numba_scan
from vdmbench.ops.parts import check_parts
from vdmbench.ops.recompute import from_inputs, recomputed, recomputing
from vdmbench.ops.triton_scan import DEVICES, triton_missing
from vdmbench.ops.triton_ssd import refuses as triton_refuses
from vdmbench.ops.triton_ssd import triton_ssd

CHUNK = 32
"""Most frames of a chunk: within it frames meet as in attention, between chunks through the state. On a CPU 32 is faster than
16, 64 and 128 at 256 frames with 16 and 64 numbers of state."""


def ssd_scan(
    x: Float[Tensor, "batch frames heads head_dim"],
    dt: Float[Tensor, "batch frames heads"],
    A: Float[Tensor, " heads"],
    B: Float[Tensor, "batch frames groups state"],
    C: Float[Tensor, "batch frames groups state"],
    D: Float[Tensor, " heads"] | None = None,
    *,
    dt_bias: Float[Tensor, " heads"] | None = None,
    softplus: bool = True,
    reverse: bool = False,
    backend: str = "auto",
) -> Float[Tensor, "batch frames heads head_dim"]:
    """Scan a state space whose decay is a scalar for each head (Dao and Gu 2024, arXiv 2405.21060, sec. 2.4, 5.1 and 7.2)::

        delta_t = softplus(dt_t + dt_bias)
        h_t = exp(delta_t A) h_{t-1} + delta_t x_t B_t^T      (head_dim, state), from h_{-1} = 0
        y_t = h_t C_t + D x_t

    Steps, decays and states are float64 where x is float64, float32 otherwise, under autocast too; y has the dtype of x.

    Args:
        A: negative for a state that decays.
        B: shared by the heads / groups heads that follow each other; so is C.
        D: direct path from x to y; none where absent.
        dt_bias: added to dt.
        softplus: False takes delta = dt + dt_bias.
        reverse: scan from the last frame to the first; equals flip over frames, scan, flip.
        backend: ``triton`` (CUDA; chunks in one launch a pass), ``numba`` (CPU; the recurrence), ``chunked`` (matrix products
            within chunks of frames, on any device), ``reference`` (a loop over frames), or ``auto``, the first that can run;
            by name alone ``mamba_ssm`` (CUDA; the Triton kernels of that package).

    Raises:
        ValueError: shapes, dtypes or devices do not agree, or the backend is unknown or cannot run.
    """
    if x.dim() != 4 or B.dim() != 4 or x.numel() == 0 or B.numel() == 0 or x.shape[2] % B.shape[2]:
        raise ValueError(
            "ssd_scan takes x (batch, frames, heads, head_dim) and B (batch, frames, groups, state), neither "
            f"empty, heads a multiple of groups, got {tuple(x.shape)} and {tuple(B.shape)}"
        )
    batch, frames, heads, _ = x.shape
    a_step, maps, a_head = (batch, frames, heads), (batch, frames, *B.shape[2:]), (heads,)
    parts = _Parts(x, dt, A, B, C, D, dt_bias)
    shapes = (x.shape, a_step, a_head, maps, maps, a_head, a_head)
    check_parts("ssd_scan", {name: (part, shape) for name, part, shape in zip(parts._fields, parts, shapes, strict=True)})
    y: Tensor = compute("ssd_scan", backend, x, parts, softplus, reverse)
    return y


class _Parts(NamedTuple):
    """What is scanned, as :func:`ssd_scan` takes it."""

    x: Tensor
    dt: Tensor
    A: Tensor
    B: Tensor
    C: Tensor
    D: Tensor | None
    dt_bias: Tensor | None

    @property
    def wide(self) -> torch.dtype:
        """In which steps, decays and states are computed."""
        return torch.promote_types(self.x.dtype, torch.float32)

    def delta(self, softplus: bool) -> Tensor:
        """Step sizes (batch, frames, heads)."""
        delta = self.dt.to(self.wide) if self.dt_bias is None else self.dt.to(self.wide) + self.dt_bias.to(self.wide)
        return F.softplus(delta) if softplus else delta

    def with_skip(self, y: Tensor) -> Tensor:
        """y + D x, in the dtype of x."""
        return (y if self.D is None else y + self.D.to(y.dtype)[:, None] * self.x.to(y.dtype)).to(self.x.dtype)


def _reference(parts: _Parts, softplus: bool, reverse: bool) -> Tensor:
    """The definition, as a loop over frames."""
    wide, delta = parts.wide, parts.delta(softplus)
    heads_a_group = parts.x.shape[2] // parts.B.shape[2]
    B, C = (part.to(wide).repeat_interleave(heads_a_group, 2) for part in (parts.B, parts.C))  # (batch, frames, heads, state)
    decay = torch.exp(delta * parts.A.to(wide))[..., None, None]
    drive = (delta[..., None] * parts.x.to(wide))[..., None] * B[..., None, :]
    frames = list(zip(decay.unbind(1), drive.unbind(1), C.unbind(1), strict=True))
    h = torch.zeros_like(drive[:, 0])
    outputs = []
    for decay_t, drive_t, C_t in reversed(frames) if reverse else frames:
        h = decay_t * h + drive_t
        outputs.append((h * C_t[..., None, :]).sum(-1))
    y = torch.stack(outputs[::-1] if reverse else outputs, 1)
    return parts.with_skip(y)


def _chunked(parts: _Parts, softplus: bool, reverse: bool) -> Tensor:
    """Keeps its inputs alone for the backward pass."""

    def run(*tensors: Any) -> Tensor:
        return _by_chunks(_Parts(*tensors), softplus, reverse)

    y: Tensor = from_inputs(run, *parts)
    return y


def _by_chunks(parts: _Parts, softplus: bool, reverse: bool) -> Tensor:
    """Four steps over chunks of Q frames (Dao and Gu 2024, sec. 6 and listing 1); reversed by their transposes, with no flip.

    Letters: b batch, c chunk, q and s frames of a chunk, g group, r head of a group, p feature of a head, n state.
    """
    x, wide = parts.x, parts.wide
    frames, groups = x.shape[1], parts.B.shape[2]
    chunks = -(-frames // CHUNK)
    length = -(-frames // chunks)

    def chunk(part: Tensor) -> Tensor:  # a frame that is padded neither decays the state nor adds to it
        padding = (0, 0) * (part.dim() - 2) + (0, chunks * length - frames)
        return F.pad(part, padding).unflatten(1, (chunks, length))

    with torch.autocast(x.device.type, enabled=False):
        delta = parts.delta(softplus)
        inputs = chunk(x).unflatten(3, (groups, -1))  # b c q g r p
        B, C = chunk(parts.B.to(x.dtype)), chunk(parts.C.to(x.dtype))  # b c q g n
        # Sums of steps in float64: decays come from their differences, and the gradient of A from differences of differences.
        step = chunk(delta.double() * parts.A.double()).unflatten(3, (groups, -1))  # b c q g r
        total = step.cumsum(2)
        whole = total[:, :, -1]  # b c g r
        # Logarithms of decay, from the state that enters a chunk to each frame, and from each frame to the state that leaves
        # it. Against time the state enters at the chunk's end, and a frame's own step acts on what is earlier.
        since_start, to_end = total - step, whole[:, :, None] - total
        entering, leaving = (whole[:, :, None] - since_start, since_start) if reverse else (total, to_end)
        delta = chunk(delta).unflatten(3, (groups, -1))

        # 1. Within a chunk: y_q = sum_s C_q . B_s exp(steps between) delta_s x_s over the frames s that q may see.
        between = (leaving[:, :, None] - leaving[:, :, :, None]).to(wide)  # b c q s g r
        seen = torch.ones(length, length, dtype=torch.bool, device=x.device)
        seen = seen.triu() if reverse else seen.tril()
        decay = between.masked_fill(~seen[:, :, None, None], float("-inf")).exp()
        weights = torch.einsum("bcqgn,bcsgn->bcqsg", C, B)[..., None] * (decay * delta[:, :, None])
        y = torch.einsum("bcqsgr,bcsgrp->bcqgrp", weights.to(x.dtype), inputs).to(wide)
        # 2. What a chunk alone leaves in the state.
        weighted = inputs * (delta * leaving.exp().to(wide))[..., None]
        left = torch.einsum("bcsgrp,bcsgn->bcgrpn", weighted.to(x.dtype), B).to(wide)
        # 3. The state that enters each chunk.
        h = torch.zeros_like(left[:, 0])
        states = []
        passing = list(zip(whole.exp().to(wide)[..., None, None].unbind(1), left.unbind(1), strict=True))
        for decay_c, left_c in reversed(passing) if reverse else passing:
            states.append(h)
            h = decay_c * h + left_c
        entered = torch.stack(states[::-1] if reverse else states, 1).to(x.dtype)
        # 4. What it gives to each frame.
        y = y + torch.einsum("bcqgn,bcgrpn->bcqgrp", C, entered).to(wide) * entering.exp().to(wide)[..., None]
        return parts.with_skip(y.flatten(3, 4).flatten(1, 2)[:, :frames])


def _numba(parts: _Parts, softplus: bool, reverse: bool) -> Tensor:
    """The recurrence itself, which on a CPU costs less than its matrix products: a scan of S6 whose states decay alike."""
    x, dt, A, B, C, D, dt_bias = parts
    heads, dim, groups = x.shape[2], x.shape[3], B.shape[2]

    def of_channels(part: Tensor, group: int) -> Tensor:
        """What a head has once, for each channel of the group's heads; wide, for its gradient is a sum over channels."""
        share = part.to(parts.wide).unflatten(-1, (groups, -1)).select(-2, group)
        return share[..., None].expand(*share.shape, dim).flatten(-2)

    def delta(group: int, dt: Tensor, dt_bias: Tensor | None) -> Tensor:
        return of_channels(parts._replace(dt=dt, dt_bias=dt_bias).delta(softplus), group)

    outputs = []
    with recomputing():  # steps of channels, which are as large as x and wide, are not kept
        for group in range(groups):
            one = Direction(
                recomputed(lambda x, group: x.unflatten(2, (groups, -1))[:, :, group].flatten(2), x, group),
                recomputed(partial(delta, group), dt, dt_bias),
                of_channels(A, group)[:, None],
                B[:, :, group],
                C[:, :, group],
                None if D is None else of_channels(D, group),
            )
            outputs.append(numba_scan(one, None, None, "single", False, reverse))
    return (outputs[0] if groups == 1 else torch.cat(outputs, -1)).unflatten(2, (heads, dim))


def _triton(parts: _Parts, softplus: bool, reverse: bool) -> Tensor:
    x, dt, A, B, C, D, dt_bias = parts
    return triton_ssd((x, dt, A, B, C, dt_bias), None, D, softplus, reverse)


def _triton_refuses(parts: _Parts, softplus: bool, reverse: bool) -> str | None:
    return triton_refuses(parts.x, parts.B)


def _mamba_ssm(parts: _Parts, softplus: bool, reverse: bool) -> Tensor:
    return mamba_ssm_ssd(*parts, softplus, reverse)


def _fla(parts: _Parts, softplus: bool, reverse: bool) -> Tensor:
    return parts.with_skip(fla_ssd(parts.x, parts.delta(softplus), parts.A, parts.B, parts.C, reverse))


def _fla_refuses(parts: _Parts, softplus: bool, reverse: bool) -> str | None:
    return fla_ssd_refuses(parts.x)


declare(
    "ssd_scan",
    Backend("triton", _triton, DEVICES, triton_missing, package="triton", refuses=_triton_refuses),
    Backend("numba", _numba, ("cpu",), numba_missing),
    Backend("chunked", _chunked),
    Backend("mamba_ssm", _mamba_ssm, ("cuda",), mamba_ssm_ssd_missing, by_name_only=True, package="mamba-ssm"),
    Backend("fla", _fla, ("cuda",), fla_missing, by_name_only=True, refuses=_fla_refuses, package="flash-linear-attention"),
    Backend("reference", _reference),
)
