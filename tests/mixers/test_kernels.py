"""Which kernels every mixer takes on a GPU with no package but Triton."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from vdmbench import registry
from vdmbench.matching.held import held_memory
from vdmbench.ops.recompute import recomputing

DIRECTIONS = ("forward", "backward", "both")
LOOPS = {"reference"}
"""Backends that go along the frames in Python."""


def every_mixer() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for entry in registry.mixers:
        if entry.name == "pair":  # its two mixers are in the list
            continue
        options = registry.mixers[entry.name].load_options()
        ways = [{"direction": direction} for direction in DIRECTIONS] if "direction" in options.model_fields else [{}]
        found += [{"name": entry.name, **options(**each).model_dump()} for each in ways]
    return found


def label(mixer: dict[str, Any]) -> str:
    return f"{mixer['name']}-{mixer['direction']}" if "direction" in mixer else str(mixer["name"])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("mixer", every_mixer(), ids=label)
def test_no_mixer_loops_over_frames_on_a_gpu(mixer: dict[str, Any], dtype: torch.dtype) -> None:
    """``auto`` takes no package there, so that this is what runs; and what is launched does not grow with the frames."""
    few, many = (held_memory(mixer, 16, frames, dtype=dtype, sites=2) for frames in (70, 300))
    used = {name for names in few.backends.values() for name in names}
    assert not used & LOOPS
    assert not used & {"mamba_ssm", "causal_conv1d", "xformers"}
    fused = {name for name in few.backends if name.endswith(("_scan", "conv1d", "convolution"))}
    assert all(few.backends[name] == {"triton"} for name in fused)
    assert few.operations == many.operations


@pytest.mark.parametrize("mixer", every_mixer(), ids=label)
def test_recomputation_changes_no_bit(mixer: dict[str, Any]) -> None:
    from vdmbench.mixers.making import mixer_maker

    module = mixer_maker(mixer)(16)
    x = torch.randn(3, 21, 16)

    def run(mode: Any) -> list[torch.Tensor]:
        inputs = [x.clone().requires_grad_(), *module.parameters()]
        with recomputing(mode):
            y = module(inputs[0])
        return [y, *(g for g in torch.autograd.grad(y.square().sum(), inputs, allow_unused=True) if g is not None)]

    assert all(torch.equal(one, other) for one, other in zip(run("cheap"), run("none"), strict=True))
