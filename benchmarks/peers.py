"""How other packages compute what vdmbench computes, as contenders of its bench. Nothing here is part of the package.

A peer of an op is held to the same float64 reference as our backends. A peer of a mixer is a block of the same shape and sizes
with weights of its own, so only its costs are compared. What is not installed is a row that says how to install it.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vdmbench.bench import Contender, Contest, Task, Workload, mixer_contest, op_contests, peer
from vdmbench.ops import Direction, selective_scan

STATE, CONV, EXPAND = 16, 4, 2
HEAD_DIM = 32


def not_importable(module: str, install: str, devices: tuple[str, ...], device: str) -> str | None:
    """Why a package cannot be used on a device type, with the way to get it; None where it can."""
    if device not in devices:
        return f"it runs on {' and '.join(devices)} tensors, not on {device}"
    try:
        importlib.import_module(module)
    except ImportError as error:
        return f"{module} does not import ({error}); {install}"
    return None


def needs(module: str, install: str, *devices: str) -> Callable[[str], str | None]:
    return partial(not_importable, module, install, devices)


MAMBAPY = needs("mambapy.pscan", "pip install mambapy", "cpu", "cuda")
TRANSFORMERS = needs("transformers", "pip install transformers", "cpu", "cuda")
MAMBA_SSM = needs("mamba_ssm", "pip install --no-build-isolation mamba-ssm (compiles for many minutes)", "cuda")


def mambapy_pscan(x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor, dt_bias: Tensor, gate: Tensor) -> Tensor:
    """mambapy's parallel scan, with the maps around it as its Mamba block has them; it wants powers of two, and pads."""
    from mambapy.pscan import pscan

    delta = F.softplus(dt + dt_bias)
    states = pscan(torch.exp(delta[..., None] * A), delta[..., None] * B[:, :, None] * x[..., None])
    return ((states @ C[..., None])[..., 0] + D * x) * F.silu(gate)


def two_scans_with_flips(*inputs: Tensor) -> Tensor:
    """Two one-directional scans, the second of flipped frames, as bidirectional blocks are commonly written."""
    ahead, back, gate = Direction(*inputs[:7]), Direction(*inputs[7:14]), inputs[14]
    first = selective_scan(*ahead[:6], dt_bias=ahead.dt_bias)
    x, dt, B, C = (part.flip(1) for part in (back.x, back.dt, back.B, back.C))
    second = selective_scan(x, dt, back.A, B, C, back.D, dt_bias=back.dt_bias).flip(1)
    return (first + second) * F.silu(gate)


def torch_attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """PyTorch's function as a user calls it."""
    return F.scaled_dot_product_attention(q, k, v)


OF_OPS = (
    peer("attention", "torch-sdpa", torch_attention),
    peer("selective_scan", "mambapy", mambapy_pscan, why_not=MAMBAPY),
    peer("bidirectional_selective_scan", "two-with-flips", two_scans_with_flips),
)


@dataclass(frozen=True)
class BlockPeer:
    """A module of another package in a mixer's place; half precision is autocast, as it is for mixers."""

    make: Callable[[int], nn.Module]

    def __call__(self, workload: Workload) -> Task:
        torch.manual_seed(0)
        block = self.make(workload.channels).to(workload.device)
        return Task(partial(run_block, block, workload), tuple(p for p in block.parameters() if p.requires_grad))


def run_block(block: nn.Module, workload: Workload, x: Tensor) -> Tensor:
    half = workload.torch_dtype in (torch.bfloat16, torch.float16)
    with torch.autocast(workload.device, workload.torch_dtype if half else None, enabled=half):
        y: Tensor = block(x)
    return y


def mambapy_block(channels: int) -> nn.Module:
    from mambapy.mamba import MambaBlock, MambaConfig

    return MambaBlock(MambaConfig(channels, 1, d_state=STATE, expand_factor=EXPAND, d_conv=CONV))


def transformers_block(channels: int) -> nn.Module:
    """The path that transformers takes where no CUDA kernel is installed: a loop over frames."""
    from transformers import MambaConfig
    from transformers.models.mamba.modeling_mamba import MambaMixer

    config = MambaConfig(
        hidden_size=channels,
        num_hidden_layers=1,
        state_size=STATE,
        expand=EXPAND,
        conv_kernel=CONV,
        vocab_size=8,
        use_mambapy=False,
        use_associative_scan=False,
    )
    return MambaMixer(config, 0)


def mamba_ssm_block(channels: int) -> nn.Module:
    from mamba_ssm import Mamba

    made: nn.Module = Mamba(channels, d_state=STATE, d_conv=CONV, expand=EXPAND)
    return made


class TorchAttention(nn.Module):
    """``nn.MultiheadAttention`` of a sequence with itself, batch first."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layer = nn.MultiheadAttention(channels, max(1, channels // HEAD_DIM), bias=False, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layer(x, x, x, need_weights=False)[0]
        return y


OF_MIXERS = (
    Contender("attention", "torch-multihead", BlockPeer(TorchAttention)),
    Contender("mamba", "mambapy", BlockPeer(mambapy_block), MAMBAPY),
    Contender("mamba", "transformers-slow", BlockPeer(transformers_block), TRANSFORMERS),
    Contender("mamba", "mamba_ssm-block", BlockPeer(mamba_ssm_block), MAMBA_SSM),
)


def ops_with_peers() -> list[Contest]:
    """Every op, all backends, and its peers."""
    return [contest.with_peers(*(each for each in OF_OPS if each.subject == contest.name)) for contest in op_contests()]


def mixers_with_peers() -> list[Contest]:
    """Every mixer as ``auto`` takes it, both directions of the scans, and the peers."""
    both = [f"{name},direction=both" for name in ("s4d", "mamba", "mamba2", "lstm")]
    one = [
        "identity",
        "attention",
        "sliding-attention",
        "linear-attention",
        "s4d",
        "mamba",
        "mamba2",
        "hydra",
        "gated-delta-net",
        "lstm",
        "pair",
    ]
    return [mixer_contest([*one, *both]).with_peers(*OF_MIXERS)]
