"""From an attempt's events, and what the parent saw of the process, to its record."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from vdmbench.measure import says_out_of_memory
from vdmbench.records import (
    DamagedEvents,
    DeviceMemory,
    EarlierPoint,
    Encoding,
    Event,
    Exit,
    Initialised,
    MetricResult,
    PhaseReading,
    Prediction,
    Record,
    Rehearsal,
    Rollout,
    Sampling,
    Status,
    TemporalProfiles,
    Training,
)


def utc_now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def fold(
    started: Record,
    events: Iterable[Event],
    *,
    exit: Exit | None,
    device_memory: DeviceMemory | None,
    cut_short: tuple[Status, str] | None = None,
    phase_device_peaks: dict[str, int] | None = None,
    killed_for_memory: bool = False,
) -> Record:
    """The final record of an attempt.

    :param cut_short: status and message where the parent ended the worker (time limit, interrupt).
    :param phase_device_peaks: NVML peak of each phase, in bytes, where the parent sampled one.
    :param killed_for_memory: whether the kernel says that it killed for want of memory meanwhile, in this control group.
    """
    peaks = phase_device_peaks or {}
    found: dict[str, Any] = {"phases": {}, "metrics": {}, "artifacts": {}, "data": {}, "earlier": []}
    phase = None
    outcome: tuple[Status, str | None] | None = None
    for event in _undamaged(events):
        kind = event["type"]
        if kind == "phase_started":
            phase = event["phase"]
        elif kind == "phase_ended":
            reading = PhaseReading.model_validate(event["reading"])
            found["phases"][event["phase"]] = reading.model_copy(update={"nvml_peak_bytes": peaks.get(event["phase"])})
        elif kind == "initialised":
            found["initialised"] = Initialised.model_validate(event["initialised"])
        elif kind == "rehearsed":
            found["rehearsal"] = Rehearsal.model_validate(event["rehearsal"])
        elif kind == "trained":
            found["training"] = Training.model_validate(event["training"])
        elif kind == "sampled":
            found["sampling"] = Sampling.model_validate(event["sampling"])
        elif kind == "rolled_out":
            found["rollout"] = Rollout.model_validate(event["rollout"])
        elif kind == "encoded":
            found["encoding"] = Encoding.model_validate(event["encoding"])
        elif kind == "judged":
            found["metrics"][event["metric"]] = MetricResult.model_validate(event["result"])
        elif kind == "profiled":
            found["temporal_profiles"] = TemporalProfiles.model_validate(event["profiles"])
        elif kind == "predicted":
            found["prediction"] = Prediction.model_validate(event["prediction"])
        elif kind == "judged_earlier":
            found["earlier"].append(EarlierPoint.model_validate(event["point"]))
        elif kind == "backends":
            found["backends"] = event["backends"]
        elif kind == "environment":
            found["environment"], found["cohort"] = event["environment"], event["cohort"]
            found["baseline_rss_bytes"] = event["baseline_rss_bytes"]
        elif kind == "data":
            found["data"][event["split"]] = event["fingerprint"]
        elif kind == "artifact":
            found["artifacts"][event["name"]] = event["path"]
        elif kind == "outcome" and outcome is None:  # of several ranks the first to fail; the others fail after it
            outcome = event["status"], event.get("message")

    # A worker that was told to end says so itself; why it was told, only the parent knows.
    if outcome is None or (outcome[0] == "interrupted" and cut_short is not None):
        outcome = cut_short or _from_exit(exit, killed_for_memory)
    status, message = outcome
    return started.model_copy(
        update={
            **found,
            "status": status,
            "message": message,
            "phase": None if status == "ok" else phase,
            "exit": exit,
            "device_memory": device_memory,
            "attempt": started.attempt.model_copy(update={"ended": utc_now()}),
        }
    )


def _undamaged(events: Iterable[Event]) -> Iterator[Event]:
    """The events; where the log is damaged they end, with an outcome that says so: what it told later is not to be trusted."""
    try:
        yield from events
    except DamagedEvents as error:
        yield {"at": 0.0, "type": "outcome", "status": "error", "message": str(error)}


def _from_exit(exit: Exit | None, killed_for_memory: bool) -> tuple[Status, str]:
    if exit is None:
        return "interrupted", "the supervising process ended before the worker"
    if exit.signal == "SIGKILL" and killed_for_memory:
        return "oom", "the kernel killed the worker: its control group (container, batch job) was out of memory"
    if exit.signal == "SIGABRT" and says_out_of_memory(exit.stderr_tail):
        return "oom", "the worker was ended by SIGABRT: an allocation failed where no error could be raised; see stderr.log"
    if exit.signal is not None:
        # The kernel's out-of-memory killer leaves no other trace than SIGKILL.
        hint = " (the kernel kills so when memory runs out: see its log)" if exit.signal == "SIGKILL" else ""
        return "signal", f"the worker was ended by {exit.signal}{hint}"
    if exit.code == 0:
        return "error", "the worker exited with 0 and told no outcome"
    lines = exit.stderr_tail.strip().splitlines()
    return "error", f"the worker exited with {exit.code}: {lines[-1] if lines else 'it wrote nothing to stderr'}"
