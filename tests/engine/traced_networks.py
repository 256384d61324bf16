"""What the compiler makes of networks, in a process without the type checks of the tests, which it cannot trace.

python -m tests.engine.traced_networks    # one JSON object: network to what is unlike, and the kernels of each op
"""

from __future__ import annotations

import json
import sys

import torch
from torch import nn

from vdmbench import registry
from vdmbench.engine.acceleration import prepare_compiler
from vdmbench.networks import build
from vdmbench.ops.backends import recording

UNET = {"name": "unet3d", "base_channels": 8, "multipliers": [1, 2]}
DIT = {"name": "dit", "base_channels": 16, "depth": 2, "patch": (1, 4, 4)}
NAMES = [entry.name for entry in registry.mixers]
DIRECTED = [name for name in NAMES if "direction" in registry.mixers[name].load_options().model_fields]
CASES = {
    **{f"unet3d {name}": (UNET, {"name": name}) for name in NAMES},
    **{f"unet3d {name} both": (UNET, {"name": name, "direction": "both"}) for name in DIRECTED},
    "published": ({**UNET, "preset": "oshima2024", "base_channels": 16}, {"name": "attention", "relative_bias": True}),
    "dit attention": (DIT, {"name": "attention", "head_dim": 8}),
    "dit mamba": (DIT, {"name": "mamba", "direction": "both"}),
}


def traced(network: nn.Module) -> dict[str, object]:
    """Outputs and gradients that differ from the network's own, and what computed each op; one graph, or an error."""
    x, t = torch.randn(2, 4, 3, 8, 8), torch.tensor([3, 5])
    # "eager" runs what was traced as it is: no kernel is generated. With fullgraph a break is an error.
    compiled = torch.compile(network, backend="eager", dynamic=False, fullgraph=True)
    results = []
    with recording() as used:
        for model in (compiled, network):
            network.zero_grad()
            out = model(x, t)
            out.square().mean().backward()
            gradients = {name: each.grad.clone() for name, each in network.named_parameters() if each.grad is not None}
            results.append({**gradients, "output": out.detach()})
            if model is compiled:
                ops = {op: sorted(names) for op, names in used.items()}
    ours, plain = results
    unlike = sorted(ours.keys() ^ plain.keys())
    unlike += [name for name, value in plain.items() if not torch.allclose(ours[name], value, rtol=2e-3, atol=2e-5)]
    return {"unlike": unlike, "ops": ops}


def main() -> None:
    prepare_compiler()
    found = {}
    for name, (network, mixer) in CASES.items():
        torch.compiler.reset()
        torch.manual_seed(0)
        built = build(network, mixer)
        for parameter in built.parameters():  # gates of a dit begin shut
            if not parameter.count_nonzero():
                nn.init.normal_(parameter, std=0.02)
        found[name] = traced(built)
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
