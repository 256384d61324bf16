"""What every mixer keeps for its backward pass on a simulated GPU, in bfloat16: bytes a site, frame and channel.

python benchmarks/held_memory.py                     # 64 and 256 channels, 64 and 1,024 frames
python benchmarks/held_memory.py mamba2 hydra        # these mixers alone
"""

from __future__ import annotations

import sys

from vdmbench import registry
from vdmbench.matching.held import held_memory

SIZES = [(64, 64), (256, 64), (64, 1024), (256, 1024)]
BOTH = ("s4d", "mamba", "mamba2", "gated-delta-net")


def declared(names: list[str]) -> list[dict[str, object]]:
    """Each mixer with its defaults, and both ways where it has directions."""
    found: list[dict[str, object]] = []
    for name in names:
        options = registry.mixers[name].load_options()
        every = ({}, {"direction": "both"}) if name in BOTH else ({},)
        found += [{"name": name, **options(**ways).model_dump()} for ways in every]
    return found


def main() -> None:
    names = sys.argv[1:] or [entry.name for entry in registry.mixers if entry.name != "pair"]
    sizes = [f"{channels} x {frames} held, peak" for channels, frames in SIZES]
    print(f"| mixer | {' | '.join(sizes)} | operations | kernels |")
    print("|---" * (len(SIZES) + 3) + "|")
    for mixer in declared(names):
        steps = [held_memory(mixer, channels, frames) for channels, frames in SIZES]
        numbers = " | ".join(f"{step.held:.1f}, {step.peak:.1f}" for step in steps)
        kernels = ", ".join(sorted(name for used in steps[0].backends.values() for name in used)) or "-"
        ways = " both" if mixer.get("direction") == "both" else ""
        print(f"| {mixer['name']}{ways} | {numbers} | {steps[0].operations} to {steps[2].operations} | {kernels} |", flush=True)


if __name__ == "__main__":
    main()
