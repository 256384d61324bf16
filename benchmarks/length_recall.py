"""How long do temporal layers last beyond their trained length, and what do they remember? Small networks, trained on a CPU.

    python benchmarks/length_recall.py --results /tmp/length_recall --out benchmarks/cpu/length_recall.json

Runs benchmarks/length.yaml and benchmarks/recall.yaml (about three minutes a cell on a core that has other work too), or goes
on with what is in the results folder, and writes what the records say: the distance of each window along the video, and PSNR
and recall of continuations. `--seeds` takes fewer of the three, `--read-only` runs nothing.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from vdmbench.records import Record
from vdmbench.report import read_results

HERE = Path(__file__).resolve().parent
MAIN = [sys.executable, "-c", "from vdmbench.cli.app import main; main()"]


def length_row(record: Record) -> dict[str, Any]:
    """STE-FD of each window, with what held-out real windows have there."""
    drift = record.metrics["ste-fd"].details["drift"]
    return {
        "metric": record.metrics["ste-fd"].name,
        "windows from": [point["frame"] for point in drift],
        "distance": [round(point["value"], 2) for point in drift],
        "real": [round(point["floor"], 2) for point in drift],
        "last over first": round(drift[-1]["value"] / drift[0]["value"], 4),
    }


def recall_row(record: Record) -> dict[str, Any]:
    """PSNR of the continuations, and at revisits over novel frames; in dB, intervals over clips."""
    prediction = record.prediction
    assert prediction is not None, "the suite declares known frames"
    assert prediction.recall is not None, "the ring is shorter than the clips"
    recall = prediction.recall
    return {
        "psnr": round(prediction.psnr.value, 3),
        "psnr interval": _rounded(prediction.psnr.interval),
        "psnr of the last frame repeated": round(prediction.psnr.copied, 3),
        "recall": round(recall.gain, 3) if recall.gain is not None else None,
        "recall interval": _rounded(recall.interval),
        "recall of the last frame repeated": round(recall.copied_gain, 3) if recall.copied_gain is not None else None,
        "revisits": recall.revisits,
        "psnr at revisits": round(recall.psnr, 3) if recall.psnr is not None else None,
        "psnr of novel frames": round(recall.novel_psnr, 3) if recall.novel_psnr is not None else None,
    }


def _rounded(interval: tuple[float, float] | None) -> list[float] | None:
    return [round(end, 3) for end in interval] if interval else None


ROWS = {"length": length_row, "recall": recall_row}
SUMMARISED = {"length": ("last over first",), "recall": ("psnr", "recall")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, required=True, help="folder of the records; what is there is not run again")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--read-only", action="store_true")
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    answer: dict[str, Any] = {}
    for suite, row in ROWS.items():
        folder = chosen.results / suite
        for seed in range(0 if chosen.read_only else chosen.seeds):
            subprocess.run([*MAIN, "run", str(HERE / f"{suite}.yaml"), "--results", str(folder), f"seeds=[{seed}]"], check=True)
        records = [cell.record for cell in read_results([folder])]
        rows = [
            {"variant": each.variant, "seed": each.seed, "final loss": _loss(each), **row(each)}
            for each in sorted(records, key=lambda each: (each.variant, each.seed))
            if each.status == "ok"
        ]
        summary = {}
        for variant in dict.fromkeys(each["variant"] for each in rows):
            own = [each for each in rows if each["variant"] == variant]
            means = {name: round(statistics.mean(each[name] for each in own), 3) for name in SUMMARISED[suite]}
            summary[variant] = {"seeds": len(own), **means}
        unfinished = [f"{each.label}: {each.status}" for each in records if each.status != "ok"]
        answer["machine"] = _machine(records[0])
        answer[suite] = {"suite": f"benchmarks/{suite}.yaml", "mean over seeds": summary, "not ok": unfinished, "rows": rows}
        print(json.dumps(answer[suite]["mean over seeds"], indent=1))
    if chosen.out:
        chosen.out.write_text(json.dumps(answer, indent=1) + "\n")


def _loss(record: Record) -> float | None:
    loss = record.training.final_loss if record.training else None
    return None if loss is None else round(loss, 4)


def _machine(record: Record) -> dict[str, Any]:
    found = record.environment
    return {
        "processor": found.get("cpu", {}).get("model"),
        "cores": found.get("cpu", {}).get("cores"),
        "threads of a cell": 1,
        "python": found.get("python"),
        "packages": {name: found.get("packages", {}).get(name) for name in ("torch", "numpy", "numba", "vdmbench")},
    }


if __name__ == "__main__":
    main()
