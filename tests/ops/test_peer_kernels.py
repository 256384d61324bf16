"""Kernels of other packages, on packages that are not here: what they are given, in which order and layout, and in what pieces.

The stand-ins compute what the packages' own documentation says of their arguments: ``chunk_simple_gla`` and
``chunk_gated_delta_rule`` of flash-linear-attention, ``mamba_split_conv1d_scan_combined`` of mamba-ssm,
``memory_efficient_attention`` of xformers.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parent))

from test_every_backend import OPS, compare

from vdmbench import ops
from vdmbench.ops import BackendUnavailable, attention, backends, fla_chunks, simulating, sliding_attention

Calls = list[int]
"""Batch elements of each call of a package."""


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """Packages that compute on the CPU, and backends that take CPU tensors for those of a GPU."""
    seen: Calls = []

    def module(name: str, **functions: Any) -> None:
        made = ModuleType(name)
        vars(made).update(functions)
        monkeypatch.setitem(sys.modules, name, made)

    def simple_gla(q: Tensor, k: Tensor, v: Tensor, g: Any = None, g_gamma: Any = None, scale: Any = None) -> Any:
        assert g_gamma is None
        assert g.dtype is torch.float32
        assert q.dtype is k.dtype is v.dtype
        assert q.shape == k.shape == (*v.shape[:3], q.shape[3])
        seen.append(len(q))
        return recurrence(q, k, v, g, q.shape[3] ** -0.5 if scale is None else scale), None

    def delta_rule(q: Tensor, k: Tensor, v: Tensor, g: Tensor, beta: Tensor, scale: Any = None) -> Any:
        assert q.dtype is k.dtype is v.dtype is beta.dtype is not torch.float32
        seen.append(len(q))
        return recurrence(q, k, v, g, q.shape[3] ** -0.5 if scale is None else scale, beta), None

    def split_block(
        projected: Tensor, conv: Tensor, bias: Tensor, dt_bias: Tensor, A: Tensor, D: Tensor, chunk: int, **o: Any
    ) -> Any:
        seen.append(len(projected))
        return official_block(projected, conv, bias, dt_bias, A, D, **o)

    def efficient(q: Tensor, k: Tensor, v: Tensor, attn_bias: Any = None) -> Tensor:
        assert q.stride(-1) == 1
        seen.append(len(q))
        q, k, v = (part.transpose(1, 2) for part in (q, k, v))
        causal = attn_bias == "lower triangle"
        return F.scaled_dot_product_attention(q, k, v, None if causal else attn_bias, is_causal=causal).transpose(1, 2)

    module("fla.ops.simple_gla", chunk_simple_gla=simple_gla)
    module("fla.ops.gated_delta_rule", chunk_gated_delta_rule=delta_rule)
    module("mamba_ssm.ops.triton.ssd_combined", mamba_split_conv1d_scan_combined=split_block)
    module("xformers.ops", memory_efficient_attention=efficient, LowerTriangularMask=lambda: "lower triangle")
    packages = ("flash-linear-attention", "mamba-ssm", "xformers")
    here = {
        op: tuple(
            replace(each, devices=(), missing=lambda: None, ran=None) if each.package in packages else each for each in every
        )
        for op, every in backends._ops.items()
    }
    monkeypatch.setattr(backends, "_ops", here)
    return seen


def recurrence(q: Tensor, k: Tensor, v: Tensor, g: Tensor, scale: float, beta: Tensor | None = None) -> Tensor:
    """S_t = exp(g_t) S_{t-1} + k_t v_t^T, or what the key does not hold yet, beta times; o_t = scale q_t S_t."""
    dtype = v.dtype
    q, k, v = (part.double() for part in (q, k, v))
    S = q.new_zeros(*q[:, 0].shape, v.shape[-1])
    outputs = []
    for t in range(q.shape[1]):
        S = S * g[:, t].double().exp()[..., None, None]
        added = v[:, t]
        if beta is not None:
            added = beta[:, t].double()[..., None] * (added - torch.einsum("bhk,bhkv->bhv", k[:, t], S))
        S = S + k[:, t, :, :, None] * added[..., None, :]
        outputs.append(scale * torch.einsum("bhk,bhkv->bhv", q[:, t], S))
    return torch.stack(outputs, 1).to(dtype)


def official_block(
    projected: Tensor,
    conv: Tensor,
    bias: Tensor,
    dt_bias: Tensor,
    A: Tensor,
    D: Tensor,
    *,
    activation: str,
    rmsnorm_weight: Tensor,
    rmsnorm_eps: float,
    outproj_weight: Tensor,
    headdim: int,
    ngroups: int,
    norm_before_gate: bool,
) -> Tensor:
    """Gate, x, B, C and dt side by side; the norm takes each group's features, after the gate."""
    assert activation == "silu"
    assert not norm_before_gate
    inner, heads = len(A) * headdim, len(A)
    state = (len(conv) - inner) // ngroups // 2
    z, mapped, dt = projected.split((inner, len(conv), heads), -1)
    padded = F.pad(mapped.mT, (conv.shape[1] - 1, 0))
    mapped = F.silu(F.conv1d(padded, conv[:, None], bias, groups=len(conv))).mT
    x, B, C = mapped.split((inner, ngroups * state, ngroups * state), -1)
    x = x.unflatten(-1, (heads, headdim))
    B, C = (part.unflatten(-1, (ngroups, state)).repeat_interleave(heads // ngroups, 2) for part in (B, C))
    delta = F.softplus(dt + dt_bias)
    y = recurrence(C, B, delta[..., None] * x, delta * A, 1.0) + D[:, None] * x
    gated = (y.flatten(2) * F.silu(z)).unflatten(-1, (ngroups, -1))
    normed = gated / (gated.square().mean(-1, keepdim=True) + rmsnorm_eps).sqrt()
    return (normed.flatten(2) * rmsnorm_weight) @ outproj_weight.T


PEERS = [
    ("ssd_scan", "fla", torch.float32),
    ("gated_delta_scan", "fla", torch.bfloat16),
    ("mamba2_block", "mamba_ssm", torch.float32),
]


@pytest.mark.parametrize(("name", "backend", "dtype"), PEERS, ids=str)
def test_a_package_is_given_what_it_takes(name: str, backend: str, dtype: torch.dtype, calls: Calls) -> None:
    """Output and every gradient equal the float64 reference of the op."""
    op = OPS[name]
    size = (2, 9, 8, 16, 4, 4) if name == "mamba2_block" else op.sizes[0]
    for options in op.options:
        compare(op, backend, size, options, dtype, "contiguous")
    assert set(calls) == {size[0]}


def test_more_clips_than_a_grid_takes_are_cut(calls: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fla_chunks, "_GRID", 5)  # of 2 heads each
    compare(OPS["gated_delta_scan"], "fla", (5, 3, 2, 4, 4), {"reverse": True}, torch.bfloat16, "contiguous")
    assert calls[:3] == [2, 2, 1]
    calls.clear()
    monkeypatch.setattr(mamba2_block_module(), "_GRID", 2)
    compare(OPS["mamba2_block"], "mamba_ssm", (5, 9, 8, 16, 4, 4), {"groups": 2}, torch.float32, "contiguous")
    assert calls[:3] == [2, 2, 1]


def mamba2_block_module() -> ModuleType:
    return sys.modules["vdmbench.ops.mamba2_block"]


@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("causal", [False, True])
def test_xformers_gets_as_many_clips_as_a_launch_takes(
    biased: bool, causal: bool, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each piece with a mask of its own size."""
    from vdmbench.ops import fused_attention

    monkeypatch.setattr(fused_attention, "ROWS", 2)
    with simulating("cuda"):
        compare(OPS["attention"], "xformers", (5, 2, 6, 8), {"biased": biased, "causal": causal}, torch.float32, "transposed")
    assert calls[:3] == [2, 2, 1]


def test_flex_gets_as_many_clips_as_a_launch_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short clips go to a kernel that puts clips times heads on the axis of the grid that ends at 65,535."""
    from vdmbench.ops import fused_attention

    launched = []

    def flex(q: Tensor, k: Tensor, v: Tensor, block_mask: Any) -> Tensor:
        launched.append(len(q))
        return F.scaled_dot_product_attention(q, k, v)

    monkeypatch.setattr("torch.nn.attention.flex_attention.flex_attention", flex)
    q, k, v = (torch.randn(5, 2, 6, 8) for _ in range(3))
    for rows, pieces in ((10, [5]), (4, [2, 2, 1])):
        monkeypatch.setattr(fused_attention, "ROWS", rows)
        launched.clear()
        with simulating("cuda"):
            got = sliding_attention(q, k, v, window=6, backend="flex")
        torch.testing.assert_close(got, attention(q, k, v))
        assert launched == pieces


def test_what_a_package_does_not_take_is_refused_before_it_is_called(calls: Calls) -> None:
    q, a = torch.zeros(1, 2, 1, 8), torch.zeros(1, 2, 1)
    with pytest.raises(BackendUnavailable, match=r"takes float16 or bfloat16, not torch.float32; use 'triton'"):
        ops.gated_delta_scan(q, q, q, a, a, backend="fla")
    wide, half = torch.zeros(1, 2, 1, 257, dtype=torch.bfloat16), torch.zeros(1, 2, 1, 8, dtype=torch.bfloat16)
    with pytest.raises(BackendUnavailable, match="keys of at most 256 features, not 257"):
        ops.gated_delta_scan(wide, wide, half, a, a, backend="fla")
    with pytest.raises(BackendUnavailable, match="no float64; use 'chunked'"):
        ops.ssd_scan(q.double(), a, torch.zeros(1), q, q, backend="fla")
    op = OPS["mamba2_block"]
    for size, why in (((1, 2, 8, 16, 4, 5), "2 to 4 taps"), ((1, 2, 1, 8, 4, 4), "multiples of 8, which is none with 1 heads")):
        parts = [torch.zeros(shape) for shape in op.shapes(*size)]
        with pytest.raises(BackendUnavailable, match=why):
            op.call(*parts, backend="mamba_ssm")
    assert not calls


@pytest.mark.parametrize(("name", "backend", "dtype"), PEERS, ids=str)
def test_where_a_package_is_missing_the_way_to_get_it_is_said(name: str, backend: str, dtype: torch.dtype) -> None:
    why = next(each.why_not for each in backends.statuses("cuda") if (each.op, each.backend) == (name, backend))
    assert why is None or "pip install" in why


def test_auto_takes_no_peer(calls: Calls) -> None:
    op = OPS["mamba2_block"]
    op.call(*(torch.zeros(shape) for shape in op.shapes(*op.sizes[0])))
    assert not calls
