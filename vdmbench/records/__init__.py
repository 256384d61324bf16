"""Records: what an attempt leaves, written once and durably, read back with doubt. Never imports torch."""

from vdmbench.records.atomic import write_atomically
from vdmbench.records.events import DamagedEvents, Event, EventLog, EventTail, read_events
from vdmbench.records.merging import Merged, merge_results
from vdmbench.records.process import ProcessIdentity
from vdmbench.records.progress import Progress, progress_of
from vdmbench.records.schema import (
    PHASES,
    RECORD_SCHEMA,
    Attempt,
    DeviceMemory,
    Exit,
    LayerCost,
    Matched,
    MetricResult,
    OutOfMemory,
    Parameters,
    Phase,
    PhaseReading,
    PlannedMemory,
    Probe,
    Record,
    Sampling,
    Solved,
    Spread,
    Status,
    Training,
)
from vdmbench.records.store import AttemptFolder, CellHistory, ResultsError, ResultsFolder, parse_record

__all__ = [
    "PHASES",
    "RECORD_SCHEMA",
    "Attempt",
    "AttemptFolder",
    "CellHistory",
    "DamagedEvents",
    "DeviceMemory",
    "Event",
    "EventLog",
    "EventTail",
    "Exit",
    "LayerCost",
    "Matched",
    "Merged",
    "MetricResult",
    "OutOfMemory",
    "Parameters",
    "Phase",
    "PhaseReading",
    "PlannedMemory",
    "Probe",
    "ProcessIdentity",
    "Progress",
    "Record",
    "ResultsError",
    "ResultsFolder",
    "Sampling",
    "Solved",
    "Spread",
    "Status",
    "Training",
    "merge_results",
    "parse_record",
    "progress_of",
    "read_events",
    "write_atomically",
]
