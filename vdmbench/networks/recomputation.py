"""Activation checkpointing: what a block computed is made again in the backward pass instead of kept for it."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from vdmbench.networks.dit import Block
from vdmbench.networks.mixer_layer import MixerLayer
from vdmbench.networks.resblock import ResBlock
from vdmbench.networks.spatial_attention import SpatialAttention
from vdmbench.ops.recompute import Recompute, recompute_mode, recomputing

_BLOCKS = (Block, ResBlock, SpatialAttention, MixerLayer)
"""A block of a dit; of a unet3d each residual block, attention over places and temporal layer."""


def recompute_blocks(network: nn.Module) -> nn.Module:
    """Let each block of ``network`` keep its input alone, in place (Chen et al. 2016, arXiv 1604.06174, sec. 4).

    Results are the same to the bit, on kernels that are deterministic; a forward pass more is paid for the memory. Without
    gradients nothing changes.

    Raises ValueError for a network that has no such block.
    """
    blocks = _outermost(network)
    if not blocks:
        raise ValueError(f"{type(network).__name__} has no block of ours to compute again: leave train.checkpointing out")
    for block in blocks:
        # Inside of the module's call, so that hooks, and with them a sharded block's gathering, stay around it.
        block.forward = partial(_recomputed, block.forward)
    return network


def _outermost(module: nn.Module) -> list[nn.Module]:
    if isinstance(module, _BLOCKS):
        return [module]
    return [block for child in module.children() for block in _outermost(child)]


def _recomputed(forward: Any, *args: Any, **kwargs: Any) -> Any:
    if not torch.is_grad_enabled():
        return forward(*args, **kwargs)
    return checkpoint(partial(_as_here, recompute_mode(), forward), *args, use_reentrant=False, **kwargs)


def _as_here(mode: Recompute, forward: Any, *args: Any, **kwargs: Any) -> Any:
    """The block inside the mode of the forward pass, which the backward pass has left."""
    with recomputing(mode):
        return forward(*args, **kwargs)
