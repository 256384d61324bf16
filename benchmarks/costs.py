"""What every op and mixer costs here, with the peers that are installed, and which mixers keep to the rules.

    python benchmarks/costs.py                            # the CPU, one thread and two; about ten minutes
    python benchmarks/costs.py --device cuda              # the GPU, bfloat16 and float32, at the sizes of a real network
    python benchmarks/costs.py --only ops --frames 16,64 --rounds 3

Writes benchmarks/<kind>/ops, mixers and so on, as `vdmbench bench --out` does; kind is `cpu` or the GPU's name. The peers are
in peers.py; `pip install mambapy transformers`, and on a GPU flash-linear-attention and mamba_ssm, brings them into the same
run.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import torch
from peers import mixers_with_peers, ops_with_peers

from vdmbench.bench import Contest, Settings, Workload, parse_frames, run, write
from vdmbench.bench.conformance import conformance_grid, conformances, failures
from vdmbench.measure import capture, hardware_cohort
from vdmbench.whole_file import write_atomically

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Sizes:
    """What is measured on a kind of machine."""

    frames: str
    sites: int
    channels: int
    dtypes: tuple[str, ...]
    threads: tuple[int, ...]
    max_seconds: float


SIZES = {
    "cpu": Sizes("16..1024", 16, 64, ("float32",), (1, 2), 10.0),
    "cuda": Sizes("16..4096", 1024, 128, ("bfloat16", "float32"), (1,), 20.0),
}


def main() -> None:
    """Measure, write, and end with 130 after an interrupt."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--device", choices=SIZES, default="cpu")
    arguments.add_argument("--frames", help="16..1024 (doubling) or 16,64; by default what suits the machine")
    arguments.add_argument("--rounds", type=int, default=9)
    arguments.add_argument("--threads", type=int, nargs="+", help="of a CPU; by default one, then two")
    arguments.add_argument("--only", choices=("ops", "mixers", "conformance"))
    arguments.add_argument("--out", type=Path, help="by default benchmarks/<kind of machine>")
    options = arguments.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        sys.exit("costs.py --device cuda measures on a GPU, and torch finds none here; without the option it measures the CPU")
    sizes = SIZES[options.device]
    kind = "cpu" if options.device == "cpu" else hardware_cohort(capture(), "cuda")
    out = options.out or HERE / kind
    out.mkdir(parents=True, exist_ok=True)
    if options.only in (None, "conformance"):
        write_conformance(out / "conformance.md")
    contests: dict[str, list[Contest]] = {"ops": ops_with_peers(), "mixers": mixers_with_peers()}
    for name, measured in contests.items():
        if options.only not in (None, name):
            continue
        for dtype in sizes.dtypes:
            for threads in options.threads or sizes.threads:
                folder = out / (f"{name}-{threads}t" if options.device == "cpu" else f"{name}-{dtype}")
                settings = settings_of(sizes, options.device, dtype, threads, options.frames or sizes.frames, options.rounds)
                findings = run(measured, settings, lambda text, folder=folder: print(f"{folder.name}: {text}", file=sys.stderr))
                write(findings, folder)
                print(folder)
                if findings.interrupted:
                    sys.exit(130)


def settings_of(sizes: Sizes, device: str, dtype: str, threads: int, frames: str, rounds: int) -> Settings:
    lengths = parse_frames(frames)
    workload = Workload(lengths[0], sizes.sites, sizes.channels, dtype, device, "training")  # type: ignore[arg-type]
    return Settings(workload, tuple(lengths), rounds, threads, sizes.max_seconds)


def write_conformance(path: Path) -> None:
    """Of all mixers, on the CPU."""
    found = conformances()
    text = f"# Conformance\n\n`vdmbench bench conformance`, torch {torch.__version__}, on the CPU.\n\n"
    text += conformance_grid(found).markdown() + "".join(f"\n- {line}" for line in failures(found))
    write_atomically(path, text.encode())
    print(path)


if __name__ == "__main__":
    main()
