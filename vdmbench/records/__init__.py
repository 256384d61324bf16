"""Records: what an attempt leaves, written once and durably, read back with doubt. Never imports torch."""

from vdmbench.records.atomic import write_atomically
from vdmbench.records.events import DamagedEvents, Event, EventLog, EventTail, read_events
from vdmbench.records.process import ProcessIdentity
from vdmbench.records.schema import (
    PHASES,
    RECORD_SCHEMA,
    Attempt,
    DeviceMemory,
    Exit,
    LayerCost,
    MetricResult,
    Parameters,
    Phase,
    PhaseReading,
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
    "MetricResult",
    "Parameters",
    "Phase",
    "PhaseReading",
    "ProcessIdentity",
    "Record",
    "ResultsError",
    "ResultsFolder",
    "Sampling",
    "Solved",
    "Spread",
    "Status",
    "Training",
    "parse_record",
    "read_events",
    "write_atomically",
]
