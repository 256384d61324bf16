"""What a mixer or an op costs by itself: seconds, peak memory and share of the roofline against frames, without training.

from vdmbench.bench import Settings, Workload, op_contests, run, write

workload = Workload(frames=16, sites=64, channels=64)
findings = run(op_contests(["attention"]), Settings(workload, frames=(16, 64, 256)))
write(findings, Path("bench"))
"""

from __future__ import annotations

from vdmbench.bench.contest import Contender, Contest, Task, peer
from vdmbench.bench.mixer_contest import mixer_contest
from vdmbench.bench.op_contests import op_contest, op_contests
from vdmbench.bench.rows import Findings, Row
from vdmbench.bench.run import Settings, run
from vdmbench.bench.tables import pivots, reasons
from vdmbench.bench.workload import InvalidWorkload, Workload, parse_frames
from vdmbench.bench.write import as_json, markdown, write

__all__ = [
    "Contender",
    "Contest",
    "Findings",
    "InvalidWorkload",
    "Row",
    "Settings",
    "Task",
    "Workload",
    "as_json",
    "markdown",
    "mixer_contest",
    "op_contest",
    "op_contests",
    "parse_frames",
    "peer",
    "pivots",
    "reasons",
    "run",
    "write",
]
