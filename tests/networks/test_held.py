"""What blocks of networks keep for the backward pass, by their formulas in docs/ops.md: simulated for a GPU, and on the CPU.

Each is measured at a number of images and at twice as many; the difference leaves out parameters.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn

from vdmbench.memory.stand_in import stand_in_device
from vdmbench.memory.storages import StorageTracker
from vdmbench.mixers import Mixer
from vdmbench.mixers.identity import Identity
from vdmbench.networks.dit import Block
from vdmbench.networks.resblock import ResBlock
from vdmbench.networks.spatial_attention import SpatialAttention
from vdmbench.networks.temporal_layer import TemporalLayer
from vdmbench.ops import simulating
from vdmbench.ops.recompute import recomputing

FRAMES, SIDE = 4, 8
PLACES = SIDE * SIDE
CLIPS = 8


class _Squared(Mixer):
    """A stand-in for a mixer: what it asks for is its input alone."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, causal=True)

    def forward(self, x: Tensor) -> Tensor:
        return x.square()


class Case(NamedTuple):
    """A block, how it is called with so many clips, and the numbers of float32 that it keeps of an image."""

    make: Callable[[], nn.Module]
    shapes: Callable[[int], list[tuple[int, ...]]]
    call: Callable[..., Tensor]
    kept: float


def _images(clips: int, channels: int) -> tuple[int, ...]:
    return clips * FRAMES, channels, SIDE, SIDE


def _resblock(inputs: int, outputs: int) -> Case:
    of_time = (2 * outputs + 20) / FRAMES  # scale and shift, and the embedding, of a clip
    return Case(
        lambda: ResBlock(inputs, outputs, embedding=20, pool_frames=False),
        lambda clips: [_images(clips, inputs), (clips, 20)],
        lambda block, x, embedding: block(x, FRAMES, embedding),
        PLACES * (inputs + 2 * outputs) + 2 * 2 * 8 + of_time,
    )


def _spatial(channels: int, heads: int, *, linear: bool) -> Case:
    inner = 32 * heads
    if not linear:  # q, k, v, the output, and of each query the logarithm of its sum
        kept = PLACES * (channels + 4 * inner + heads)
    elif channels < PLACES:  # q, k; context, values and the small map of an image
        kept = PLACES * (channels + 2 * inner) + inner * (2 * channels + 32)
    else:  # q, k, v, the output; context
        kept = PLACES * (channels + 4 * inner) + inner * 32
    return Case(
        lambda: SpatialAttention(channels, heads=heads, linear=linear),
        lambda clips: [_images(clips, channels)],
        lambda block, x: block(x),
        kept,
    )


CASES = {
    "residual block": _resblock(16, 16),
    "residual block between widths": _resblock(16, 24),
    "linear attention over places": _spatial(16, 2, linear=True),
    "linear attention over few places": _spatial(96, 2, linear=True),
    "temporal layer around its mixer": Case(
        lambda: TemporalLayer(16, _Squared), lambda clips: [_images(clips, 16)], lambda layer, x: layer(x, FRAMES), PLACES * 16
    ),
    "block of a dit": Case(
        lambda: Block(32, mixer=Identity, scan="site", mlp_ratio=4.0, cross_attention=False, initial_gain=None),
        lambda clips: [(clips, FRAMES, SIDE, SIDE, 32), (clips, 1, 32)],
        lambda block, x, embedding: block(x, embedding, None, None, None),
        PLACES * 32 * (1 + 4 + 1) + (3 * 32 + 32) / FRAMES,  # its input, the hidden layer, the output before its gate
    ),
}


def _run(case: Case, clips: int, mode: Any) -> Tensor:
    block = case.make()
    layouts = {4: torch.channels_last}
    parts = [
        torch.empty(shape, memory_format=layouts.get(len(shape), torch.contiguous_format)).requires_grad_()
        for shape in case.shapes(clips)
    ]
    with recomputing(mode):
        return case.call(block, *parts)


def _kept_on_the_cpu(case: Case, clips: int, mode: Any) -> int:
    """Storages that nodes of the graph hold, seen by hooks."""
    storages: dict[int, int] = {}
    alive = []

    def see(tensor: Tensor) -> Tensor:
        storages[tensor.untyped_storage()._cdata] = tensor.untyped_storage().nbytes()
        alive.append(tensor)
        return tensor.detach()

    with torch.autograd.graph.saved_tensors_hooks(see, lambda tensor: tensor):
        y = _run(case, clips, mode)
    storages.pop(y.untyped_storage()._cdata, None)
    return sum(storages.values())


def _kept_on_a_gpu(case: Case, clips: int, mode: Any) -> int:
    """Storages alive behind the forward pass, the output not among them."""
    with stand_in_device("cuda") as device, simulating("cuda"), StorageTracker(device.type) as tracker, torch.device(device):
        y = _run(case, clips, mode)
        return sum(event.nbytes for event in tracker.trace.events) - y.untyped_storage().nbytes()


MEASURES = {"cpu": _kept_on_the_cpu, "cuda": _kept_on_a_gpu}


def _of_an_image(case: Case, machine: str, mode: str) -> float:
    one, two = (MEASURES[machine](case, clips, mode) for clips in (CLIPS, 2 * CLIPS))
    return (two - one) / (CLIPS * FRAMES) / 4


@pytest.mark.parametrize("machine", MEASURES)
@pytest.mark.parametrize("name", CASES)
def test_a_block_keeps_what_its_formula_says(name: str, machine: str) -> None:
    """Or a little less: a fused kernel of the CPU keeps no sums over places."""
    assert 0.9 * CASES[name].kept < _of_an_image(CASES[name], machine, "cheap") < 1.02 * CASES[name].kept


@pytest.mark.parametrize("machine", MEASURES)
@pytest.mark.parametrize("name", CASES)
def test_more_is_kept_where_nothing_is_computed_again(name: str, machine: str) -> None:
    assert _of_an_image(CASES[name], machine, "none") > 1.05 * CASES[name].kept
