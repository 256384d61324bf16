"""Which faults does each distance see? Every control on sprites and on recorded ViZDoom walks, at two resolutions.

    vdmbench data record vizdoom --scenario my_way_home --episodes 80 --frames 64 --size 64 --out WALKS
    git show a6071e1:vdmbench/metrics/spatio_temporal_energy.py > /tmp/ste_version_1.py
    python benchmarks/controls.py --vizdoom WALKS --also /tmp/ste_version_1.py --out benchmarks/cpu/controls.json

Sixty-four clips of 16 frames a side, no video on both; each control as a multiple of what the same clips get whole. FVD
needs the I3D weights and about twenty minutes of one core; `--metrics ste-fd` leaves it out.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from vdmbench import registry
from vdmbench.engine import choose_real_clips
from vdmbench.metrics.catalogue import fvd, ste_fd
from vdmbench.metrics.protocol import STE
from vdmbench.metrics.video_distance import VideoDistance

FRAMES, CLIPS = 16, 64


def main() -> None:
    """Print a table; write all numbers with ``--out``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vizdoom", type=Path, help="folder of recorded walks; without it sprites alone")
    parser.add_argument("--sizes", type=int, nargs="+", default=[16, 64])
    parser.add_argument("--metrics", nargs="+", default=["ste-fd", "fvd"])
    parser.add_argument("--also", type=Path, help="a Python file with another SpatioTemporalEnergy, such as an earlier version")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    judges = {name: {"ste-fd": ste_fd, "fvd": fvd}[name]() for name in chosen.metrics}
    if chosen.also:
        judges[f"ste-fd of {chosen.also.stem}"] = of_file(chosen.also)
    sources: dict[str, dict[str, Any]] = {"sprites": {}}
    if chosen.vizdoom:
        sources["folder"] = {"path": str(chosen.vizdoom)}
    rows = []
    for name, options in sources.items():
        for size in chosen.sizes:
            source = registry.sources[name].load()(split="train", frames=FRAMES, size=size, **options)
            clips = choose_real_clips(source, FRAMES, real=CLIPS, held_out=CLIPS)
            for label, judge in judges.items():
                judge.to(chosen.device)
                reference = judge.reference(clips.batches(clips.real), clips.batches(clips.held_out), fingerprint="not kept")
                result = judge.judge(reference, reference.held_out)
                rows.append(
                    {
                        "source": "vizdoom" if name == "folder" else name,
                        "pixels": size,
                        "distance": label,
                        "name": result["name"],
                        "features": reference.real.features.shape[1],
                        "whole": round(result["control_clean"], 2),
                        "times whole": {
                            control: round(value / result["control_clean"], 2) for control, value in result["controls"].items()
                        },
                        "blind": result["blind"],
                    }
                )
                print(line(rows[-1]), flush=True)
    if chosen.out:
        chosen.out.write_text(json.dumps(rows, indent=1) + "\n")


def of_file(path: Path) -> VideoDistance:
    """A distance on the extractor of that file, standardised as ours is."""
    found = importlib.util.spec_from_file_location(path.stem, path)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return VideoDistance(module.SpatioTemporalEnergy(), replace(STE, name=path.stem, extractor=path.stem, size=None, version=1))


def line(row: dict[str, Any]) -> str:
    """A row of the table in docs/metrics.md: controls that were not seen stand in brackets."""
    cells = [f"({value:g})" if name in row["blind"] else f"{value:g}" for name, value in row["times whole"].items()]
    return f"| {row['source']}, {row['pixels']} | {row['distance']} | {row['whole']:g} | {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
