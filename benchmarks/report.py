"""How long a report of a thousand records takes, tables alone and with every figure, in a process of its own each time.

    python benchmarks/report.py --out benchmarks/cpu/report.json

The records are made up (the ones of the tests): six variants, 24 clip lengths, seven seeds. Seconds of the processor stand
beside those of the clock, which other work on the machine stretches.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.report.synthetic import make_records, store  # noqa: E402

_TIMED = """
import json, sys, time
from pathlib import Path
clock, processor = time.perf_counter(), time.process_time()
from vdmbench.report import Study, read_results, write_report, write_tables
from vdmbench.report.write import report_tables
results, out = Path(sys.argv[1]), Path(sys.argv[2])
if sys.argv[3] == "tables":
    study = Study.of(read_results([results]), reference="attention")
    write_tables(study, report_tables(study), out)
else:
    write_report([results], out, reference="attention")
print(json.dumps({"seconds": time.perf_counter() - clock, "processor seconds": time.process_time() - processor,
                  "torch imported": "torch" in sys.modules}))
"""
GOALS = {"tables": 2.0, "everything": 20.0}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    before = os.getloadavg()[0]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        records = make_records(frames=tuple(range(16, 16 + 8 * 24, 8)), seeds=tuple(range(7)))
        results = store(Path(folder) / "results", records)
        for what, goal in GOALS.items():
            found = []
            for round_ in range(chosen.rounds):
                command = [sys.executable, "-c", _TIMED, str(results), f"{folder}/{what}{round_}", what]
                ended = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
                found.append(json.loads(ended.stdout))
            page = Path(folder) / f"{what}0" / "index.html"
            rows.append(
                {
                    "what": what,
                    "records": len(records),
                    "goal, seconds": goal,
                    **{key: round(statistics.median(row[key] for row in found), 2) for key in ("seconds", "processor seconds")},
                    "torch imported": any(row["torch imported"] for row in found),
                    **({"bytes of the page": page.stat().st_size} if page.exists() else {}),
                }
            )
            print(json.dumps(rows[-1]))
    machine = {
        "processor": platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "load average before": before,
        "load average after": os.getloadavg()[0],
    }
    if chosen.out:
        chosen.out.write_text(json.dumps({"machine": machine, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
