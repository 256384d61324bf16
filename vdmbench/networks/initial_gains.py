"""Gains that make all branches of a network start equally large, whatever mixer they hold.

At its own initialisation a Mamba-2 layer gives six times what softmax attention gives, and what is added to the residual stream
decides how fast both learn. So a learnt scalar stands behind each mixer, and begins such that the branch has the declared
root mean square over that of its normed input: measured, as in Mishkin and Matas 2016 (arXiv 1511.06422, sec. 3), here on
fixed Gaussian sequences of the length that the layer is handed.
"""

from __future__ import annotations

import hashlib
import math

import torch
from torch import nn

from vdmbench.networks.denoiser import Denoiser
from vdmbench.networks.flops import sequences_of
from vdmbench.networks.mixer_layer import MixerLayer
from vdmbench.ops.backends import any_backend

TOKENS = 1024
"""Tokens that a layer is measured on: so many sequences, or one that is cut where it is longer."""


@torch.no_grad()
def set_gains(network: nn.Module, frames: int, height: int, width: int) -> None:
    """Set the gains of the layers that have one, for clips of that size. The network's weights lie on the CPU.

    The values follow from weights and sizes alone. They are rounded to three digits, so that kernels and processors which
    differ in last bits agree. A mixer that starts at zero keeps gain 1, for no scalar changes what it gives.

    Raises ValueError where a mixer cannot be measured.
    """
    denoiser = next(module for module in network.modules() if isinstance(module, Denoiser) and module.mixer_layers())
    layers = {path: layer for path, layer in denoiser.mixer_layers().items() if layer.gain is not None}
    if not layers:
        return
    lengths = {path: sequences.length for path, sequences in sequences_of(denoiser, frames, height, width).items()}
    for path, layer in layers.items():
        assert layer.gain is not None
        layer.gain.fill_(_gain(layer, lengths[path]))


def _gain(layer: MixerLayer, length: int) -> float:
    length = min(length, TOKENS)
    channels = layer.mixer.channels
    seed = int.from_bytes(hashlib.sha256(f"gain:{length}:{channels}".encode()).digest()[:7], "little")
    x = torch.randn(TOKENS // length, length, channels, generator=torch.Generator().manual_seed(seed))
    training = layer.mixer.training
    try:
        with torch.random.fork_rng(devices=[]), any_backend():
            mixed = layer.mixer.eval()(x)
    except Exception as error:  # a user's mixer may do anything
        raise ValueError(
            f"the gain behind {type(layer.mixer).__name__} cannot be set, for it does not run on the CPU on {tuple(x.shape)} "
            f"({type(error).__name__}: {' '.join(str(error).split())[:120]}): set network.initial_gain to null"
        ) from None
    finally:
        layer.mixer.train(training)
    size = float(mixed.double().square().mean().sqrt() / x.double().square().mean().sqrt())
    if size == 0:
        return 1.0
    if not math.isfinite(size):
        raise ValueError(
            f"the gain behind {type(layer.mixer).__name__} cannot be set, for at its start it gives NaN or infinity: mend it, "
            "or set network.initial_gain to null"
        )
    return float(f"{layer.initial_gain / size:.3g}")
