"""What every mixer keeps for its backward pass on a simulated GPU in bfloat16, and must: bytes a site, frame and channel.

python benchmarks/held_memory.py                     # 64 and 256 channels, 64 and 1,024 frames
python benchmarks/held_memory.py mamba2 hydra        # these mixers alone
python benchmarks/held_memory.py --docs              # and write the table into docs/ops.md
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vdmbench import registry
from vdmbench.matching.held import held_memory
from vdmbench.matching.must_hold import must_hold

SIZES = [(64, 64), (256, 64), (64, 1024), (256, 1024)]
WAYS: dict[str, list[dict[str, Any]]] = {
    "attention": [{}, {"relative_bias": True}],
    **{name: [{}, {"direction": "both"}] for name in ("s4d", "mamba", "mamba2", "gated-delta-net", "lstm")},
}
LABELS = {"relative_bias": "trained bias", "direction": "both ways"}
BEFORE = {
    "attention": 14.1, "linear-attention": 19.0, "sliding-attention": 14.2, "mlp": 18.0, "s4d": 58.0, "mamba": 40.2,
    "mamba, both ways": 62.5, "mamba2": 106.4, "hydra": 210.4, "gated-delta-net": 111.4,
}  # fmt: skip
"""The first size, before anything was recomputed, where it was recorded."""
BEST_KNOWN = {"attention": 14.1, "mamba": 20, "mamba, both ways": 30, "mamba2": 18, "hydra": 22, "gated-delta-net": 24}
"""The first size, from the sets of tensors that the authors' own kernels save."""
DOCS = Path(__file__).parents[1] / "docs" / "ops.md"
HEADER = "| mixer | must hold | " + " | ".join(f"{c} x {f} held, peak" for c, f in SIZES) + " | best known | before |"


def declared(names: list[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each mixer with its defaults, and in its other ways, with what its row is called."""
    for name in names:
        options = registry.mixers[name].load_options()
        for ways in WAYS.get(name, [{}]):
            label = ", ".join([name, *(LABELS[way] for way in ways)])
            yield label, {"name": name, **options(**ways).model_dump()}


def row(label: str, mixer: dict[str, Any]) -> str:
    """A line of the table; what must be held is of the first size."""
    steps = [held_memory(mixer, channels, frames) for channels, frames in SIZES]
    numbers = " | ".join(f"{step.held:.1f}, {step.peak:.1f}" for step in steps)
    known = " | ".join(f"{table[label]:g}" if label in table else "–" for table in (BEST_KNOWN, BEFORE))
    return f"| {label} | {must_hold(mixer, *SIZES[0]):.1f} | {numbers} | {known} |"


def mixers() -> list[str]:
    """All of the registry but the pair, whose two are among them."""
    return [entry.name for entry in registry.mixers if entry.name != "pair"]


def main() -> None:
    names = [name for name in sys.argv[1:] if name != "--docs"]
    table = [HEADER, "|---" * (HEADER.count("|") - 1) + "|"]
    print("\n".join(table))
    for label, mixer in declared(names or mixers()):
        table.append(row(label, mixer))
        print(table[-1], flush=True)
    if "--docs" in sys.argv and not names:
        text = DOCS.read_text()
        begin = text.index("| mixer | must hold |")
        end = text.index("\n\n", begin)
        DOCS.write_text(text[:begin] + "\n".join(table) + text[end:])


if __name__ == "__main__":
    main()
