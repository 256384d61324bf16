"""Every op of :mod:`vdmbench.ops` as a contest of its backends: random inputs of a workload's size, and ideal FLOPs.

Channels are cut into heads of 32 features (64 for the SSD scan); states have 16 numbers a channel (S6) or 64 (SSD), windows
16 frames, short convolutions 4. Activations have the workload's dtype, parameters float32, as under autocast. Backends are
those of the table in :mod:`vdmbench.ops.backends`; an op that is not in the table has one implementation, named ``torch``.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from vdmbench import ops
from vdmbench.bench.contest import Contender, Contest, Inputs, Task, always_available
from vdmbench.bench.workload import InvalidWorkload, Workload
from vdmbench.mixers import flops
from vdmbench.mixers.mamba2 import ssd_flops
from vdmbench.ops.backends import statuses
from vdmbench.ops.direction import Direction

HEAD_DIM, SSD_HEAD_DIM = 32, 64
STATE, SSD_STATE = 16, 64
WINDOW, TAPS = 16, 4
ONLY = "torch"
"""Backend of an op that has no table."""


@dataclass(frozen=True)
class OpCase:
    """How to call one op: ``run(*inputs, **backend)``; FLOPs are of a forward pass over all sites."""

    inputs: Callable[[Workload], Inputs]
    run: Callable[..., Tensor]
    flops: Callable[[Workload], int]
    reference: Callable[..., Tensor] | None = None
    """What it is held to where the op has no table; else the table's last backend is."""


def _normal(workload: Workload, *shape: int) -> Tensor:
    return torch.randn(*shape, dtype=workload.torch_dtype, device=workload.device)


def _heads(workload: Workload, head_dim: int) -> tuple[int, int]:
    """Number of heads and their width."""
    dim = min(head_dim, workload.channels)
    if workload.channels % dim:
        raise InvalidWorkload(f"ops with heads need channels that are a multiple of {dim}, got {workload.channels}")
    return workload.channels // dim, dim


def _queries_keys_values(workload: Workload) -> Inputs:
    heads, dim = _heads(workload, HEAD_DIM)
    return tuple(_normal(workload, workload.sites, heads, workload.frames, dim) for _ in range(3))


def _attention_flops(pairs: int, workload: Workload) -> int:
    heads, _ = _heads(workload, HEAD_DIM)
    return workload.sites * (2 * flops.matmul(pairs, workload.channels, 1) + flops.softmax(pairs * heads))


def _full_attention_flops(workload: Workload) -> int:
    return _attention_flops(workload.frames**2, workload)


def _window_flops(workload: Workload) -> int:
    reach = min(WINDOW, workload.frames - 1)
    return _attention_flops(workload.frames * (2 * reach + 1) - reach * (reach + 1), workload)


def _linear_attention_flops(workload: Workload) -> int:
    _, dim = _heads(workload, HEAD_DIM)
    elements = workload.frames * workload.channels
    return workload.sites * (2 * flops.matmul(elements, dim, 1) + flops.softmax(2 * elements))


def _sliding(q: Tensor, k: Tensor, v: Tensor, **backend: Any) -> Tensor:
    return ops.sliding_attention(q, k, v, window=WINDOW, **backend)


def _direction(workload: Workload) -> Inputs:
    """What one direction scans, with A and dt as Mamba starts them."""
    sequence, scalars = (workload.sites, workload.frames, workload.channels), (workload.sites, workload.frames, STATE)
    device = workload.device
    A = -torch.arange(1.0, STATE + 1, device=device).repeat(workload.channels, 1)
    x, dt, B, C = (_normal(workload, *shape) for shape in (sequence, sequence, scalars, scalars))
    return x, dt, A, B, C, torch.ones(workload.channels, device=device), torch.full((workload.channels,), -4.0, device=device)


def _gate(workload: Workload) -> Tensor:
    return _normal(workload, workload.sites, workload.frames, workload.channels)


def _one_direction_and_gate(workload: Workload) -> Inputs:
    return *_direction(workload), _gate(workload)


def _both_directions_and_gate(workload: Workload) -> Inputs:
    return *_direction(workload), *_direction(workload), _gate(workload)


def _scan(*inputs: Tensor, **backend: Any) -> Tensor:
    *direction, dt_bias, gate = inputs
    return ops.selective_scan(*direction, gate=gate, dt_bias=dt_bias, **backend)


def _both_scans(*inputs: Tensor, **backend: Any) -> Tensor:
    return ops.bidirectional_selective_scan(Direction(*inputs[:7]), Direction(*inputs[7:14]), gate=inputs[14], **backend)


def _scan_flops(workload: Workload) -> int:
    """7 for each number of the state, 7 for each channel (as in :mod:`vdmbench.mixers.mamba`)."""
    return workload.sites * workload.frames * workload.channels * (7 * STATE + 7)


def _both_scans_flops(workload: Workload) -> int:
    return 2 * _scan_flops(workload)


def _ssd_inputs(workload: Workload) -> Inputs:
    heads, dim = _heads(workload, SSD_HEAD_DIM)
    places, device = (workload.sites, workload.frames), workload.device
    x, dt = _normal(workload, *places, heads, dim), _normal(workload, *places, heads)
    B, C = (_normal(workload, *places, 1, SSD_STATE) for _ in range(2))
    A = -torch.linspace(1.0, 16.0, heads, device=device)
    return x, dt, A, B, C, torch.ones(heads, device=device), torch.full((heads,), -4.0, device=device)


def _ssd(x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor, dt_bias: Tensor, **backend: Any) -> Tensor:
    return ops.ssd_scan(x, dt, A, B, C, D, dt_bias=dt_bias, **backend)


def _quasi_separable_inputs(workload: Workload) -> Inputs:
    x, dt, A, B, C, _, dt_bias = _ssd_inputs(workload)
    return x, dt, B, C, torch.randn_like(dt), torch.randn_like(B), torch.randn_like(C), A, dt_bias, torch.randn_like(dt)


def _quasi_separable(*inputs: Tensor, **backend: Any) -> Tensor:
    x, *sides, A, dt_bias, diagonal = inputs
    return ops.quasi_separable_scan(x, ops.Side(*sides[:3]), ops.Side(*sides[3:]), A, dt_bias, diagonal, **backend)


def _quasi_separable_flops(workload: Workload) -> int:
    return 2 * _ssd_flops(workload)


def _ssd_flops(workload: Workload) -> int:
    heads, _ = _heads(workload, SSD_HEAD_DIM)
    return workload.sites * ssd_flops(workload.frames, heads, workload.channels, SSD_STATE)


def _mamba2_inputs(workload: Workload) -> Inputs:
    """The projection of a block twice as wide inside as its channels, and its parameters."""
    inner = 2 * workload.channels
    heads, places, device = (
        _heads(replace(workload, channels=inner), SSD_HEAD_DIM)[0],
        (workload.sites, workload.frames),
        workload.device,
    )
    gate, x, maps, dt = (_normal(workload, *places, width) for width in (inner, inner, 2 * SSD_STATE, heads))
    mapped = inner + 2 * SSD_STATE
    conv = torch.randn(mapped, TAPS, device=device) / TAPS
    A, ones = -torch.linspace(1.0, 16.0, heads, device=device), torch.ones(heads, device=device)
    out = torch.randn(workload.channels, inner, device=device) / inner**0.5
    dt_bias = torch.full((heads,), -4.0, device=device)
    return gate, x, maps, dt, conv, torch.zeros(mapped, device=device), dt_bias, A, ones, torch.ones(inner, device=device), out


def _mamba2(gate: Tensor, x: Tensor, maps: Tensor, dt: Tensor, *weights: Tensor, **backend: Any) -> Tensor:
    return ops.mamba2_block(gate, x, maps, dt, ops.Mamba2Weights(*weights), **backend)


def _mamba2_flops(workload: Workload) -> int:
    inner, frames = 2 * workload.channels, workload.frames
    heads, _ = _heads(replace(workload, channels=inner), SSD_HEAD_DIM)
    conv = flops.depthwise_conv(frames, inner + 2 * SSD_STATE, TAPS)
    scan = ssd_flops(frames, heads, inner, SSD_STATE)
    return workload.sites * (conv + scan + flops.matmul(frames, inner, workload.channels))


def _delta_inputs(workload: Workload) -> Inputs:
    heads, dim = _heads(workload, HEAD_DIM)
    q, k, v = (_normal(workload, workload.sites, workload.frames, heads, dim) for _ in range(3))
    log_decay, beta = (_normal(workload, workload.sites, workload.frames, heads) for _ in range(2))
    return q / dim**0.5, torch.nn.functional.normalize(k, dim=-1), v, -0.1 * log_decay.abs(), beta.sigmoid()


def _delta_flops(workload: Workload) -> int:
    _, dim = _heads(workload, HEAD_DIM)
    return workload.sites * workload.frames * 7 * workload.channels * dim


def _sequence_and_taps(workload: Workload) -> Inputs:
    device = workload.device
    weight = torch.randn(workload.channels, TAPS, device=device) / TAPS
    return _gate(workload), weight, torch.zeros(workload.channels, device=device)


def _conv_flops(workload: Workload) -> int:
    return workload.sites * flops.depthwise_conv(workload.frames, workload.channels, TAPS)


def _sequence_and_kernel(workload: Workload) -> Inputs:
    kernel = torch.randn(workload.channels, workload.frames, device=workload.device) / workload.frames**0.5
    return _gate(workload), kernel


def _fft_flops(workload: Workload) -> int:
    return workload.sites * flops.fft_convolution(workload.frames, workload.channels)


def _images_and_norm(workload: Workload) -> Inputs:
    """A frame is an image of one row, as many places wide as there are sites."""
    x = _normal(workload, workload.frames, workload.channels, 1, workload.sites)
    return x, torch.ones(workload.channels, device=workload.device), torch.zeros(workload.channels, device=workload.device)


def _group_norm_silu(x: Tensor, weight: Tensor, bias: Tensor, **backend: Any) -> Tensor:
    return ops.group_norm_silu(x, weight, bias, groups=math.gcd(8, len(weight)), **backend)


def _norm_flops(workload: Workload) -> int:
    """For each number 2 in the mean and 3 in the deviation, 4 for the norm and the map, 5 for SiLU."""
    return 14 * workload.sites * workload.frames * workload.channels


CASES = {
    "attention": OpCase(_queries_keys_values, ops.attention, _full_attention_flops),
    "sliding_attention": OpCase(_queries_keys_values, _sliding, _window_flops),
    "linear_attention": OpCase(
        _queries_keys_values, ops.linear_attention, _linear_attention_flops, ops.linear_attention_quadratic
    ),
    "selective_scan": OpCase(_one_direction_and_gate, _scan, _scan_flops),
    "bidirectional_selective_scan": OpCase(_both_directions_and_gate, _both_scans, _both_scans_flops),
    "ssd_scan": OpCase(_ssd_inputs, _ssd, _ssd_flops),
    "quasi_separable_scan": OpCase(_quasi_separable_inputs, _quasi_separable, _quasi_separable_flops),
    "mamba2_block": OpCase(_mamba2_inputs, _mamba2, _mamba2_flops),
    "gated_delta_scan": OpCase(_delta_inputs, ops.gated_delta_scan, _delta_flops),
    "group_norm_silu": OpCase(_images_and_norm, _group_norm_silu, _norm_flops),
    "causal_conv1d": OpCase(_sequence_and_taps, ops.causal_conv1d, _conv_flops),
    "long_convolution": OpCase(_sequence_and_kernel, ops.long_convolution, _fft_flops),
}
"""In the order of the tables and figures."""


@dataclass(frozen=True)
class _OpTask:
    op: str
    backend: str | None

    def __call__(self, workload: Workload) -> Task:
        case = CASES[self.op]
        named = {} if self.backend is None else {"backend": self.backend}
        return Task(partial(case.run, **named), flops=case.flops(workload))


def _why_not(op: str, backend: str, device: str) -> str | None:
    return next(status.why_not for status in statuses(device) if (status.op, status.backend) == (op, backend))


def backends_of(op: str) -> list[str]:
    """Those of its table, best first; empty for an op without one."""
    return [status.backend for status in statuses("cpu") if status.op == op]


def op_contest(op: str, backends: Sequence[str] = ("all",)) -> Contest:
    """The contest of one op's backends.

    ``backends``: ``all``, or names and ``auto``; a name that this op does not have is passed over.

    Raises :class:`InvalidWorkload` for an unknown op.
    """
    if op not in CASES:
        raise InvalidWorkload(f"unknown op '{op}', {_hint(op, CASES)}")
    case, table = CASES[op], backends_of(op)
    if not table:
        wanted = backends if set(backends) & {"all", "auto", ONLY} else ()
        contenders = [Contender(op, ONLY, _OpTask(op, None))] if wanted else []
        return Contest(op, "op", case.inputs, tuple(contenders), case.reference)
    names = table if "all" in backends else [name for name in backends if name in ("auto", *table)]
    contenders = [
        Contender(op, name, _OpTask(op, name), always_available if name == "auto" else partial(_why_not, op, name))
        for name in names
    ]
    return Contest(op, "op", case.inputs, tuple(contenders), partial(case.run, backend=table[-1]))


def op_contests(names: Sequence[str] = (), backends: Sequence[str] = ("all",)) -> list[Contest]:
    """A contest for each op, by default for all of them.

    Raises :class:`InvalidWorkload` for an unknown op, and for a backend that none of these ops has.
    """
    contests = [op_contest(name, backends) for name in names or CASES]
    known = {"all", "auto", ONLY, *(backend for contest in contests for backend in backends_of(contest.name))}
    check_backends(backends, known)
    return [contest for contest in contests if contest.contenders]


def check_backends(backends: Sequence[str], known: set[str]) -> None:
    """Raise :class:`InvalidWorkload` for a name that is not known, with the closest one."""
    for name in backends:
        if name not in known:
            raise InvalidWorkload(f"no backend is called '{name}', {_hint(name, sorted(known))}")


def _hint(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"did you mean '{close[0]}'?" if close else f"known: {', '.join(known)}"
