"""Every fault that is injected, once: tests take their cases from here, and docs/running.md its table.

``python -m tests.faults.table`` prints that table.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

STRUCK = "runner/test_faults.py"
STEPS, CHECKPOINT_EVERY = 6, 2
"""Training of the struck cells."""


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong, what becomes of the run, what is lost, and which test injects it."""

    name: str
    happens: str
    lost: str
    test: str
    """Below tests/: file::function."""

    @property
    def key(self) -> str:
        return re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-")


@dataclass(frozen=True)
class Strike(Fault):
    """A fault in the middle of a run, done by :mod:`tests.faults.struck` in a phase after so many steps of it."""

    deed: str
    phase: str
    step: int
    exit_code: int
    """Of the command it strikes; 1 where the run goes on with other cells and says at its end that one failed."""
    status: str
    """Of the attempt it strikes."""
    ended_in: str | None
    message: str
    """Part of what the record says."""
    resumed_at: int
    """Training step that the next attempt goes on from."""


def _worker(name: str, happens: str, deed: str, where: tuple[str, int], status: str, message: str, resumed_at: int) -> Strike:
    """Of a worker alone: the run goes on with the next cell."""
    lost = {0: "that phase; no training step", STEPS: "that phase; no training step"}.get(
        resumed_at, "steps since the checkpoint" if resumed_at == CHECKPOINT_EVERY else "nothing"
    )
    test = f"{STRUCK}::test_a_struck_cell_loses_nothing_that_was_finished"
    return Strike(name, happens, lost, test, deed, *where, 1, status, where[0], message, resumed_at)


def _supervisor(
    name: str,
    happens: str,
    lost: str,
    deed: str,
    where: tuple[str, int],
    code: int,
    ended_in: str | None,
    message: str,
    at: int,
) -> Strike:
    test = f"{STRUCK}::test_a_struck_cell_loses_nothing_that_was_finished"
    return Strike(name, happens, lost, test, deed, *where, code, "interrupted", ended_in, message, at)


_TRAINING = ("train", 3)

KILLS = [
    _supervisor(
        "supervisor killed",
        "the worker ends too; reads as `interrupted`",
        "steps since the checkpoint",
        "kill the supervisor",
        _TRAINING,
        -9,
        None,
        "its supervising process is gone",
        CHECKPOINT_EVERY,
    ),
    _supervisor(
        "Ctrl-C",
        "a checkpoint of that step, record `interrupted`, exit code 130",
        "nothing",
        "interrupt the supervisor",
        _TRAINING,
        130,
        "train",
        "from the keyboard",
        4,
    ),
    _supervisor(
        "SIGHUP to the supervisor (terminal closed, connection lost)",
        "a checkpoint of that step, record `interrupted`, exit code 129; under `nohup` nothing",
        "nothing",
        "hang up the supervisor",
        _TRAINING,
        129,
        "train",
        "SIGHUP",
        4,
    ),
    _worker(
        "worker killed while building",
        "record `signal` with the phase; run again",
        "kill",
        ("build", 0),
        "signal",
        "SIGKILL",
        0,
    ),
    _worker("worker killed while warming up", "the same", "kill", ("warm-up", 0), "signal", "SIGKILL", 0),
    _worker(
        "worker killed while training",
        "record `signal`; goes on from the checkpoint",
        "kill",
        _TRAINING,
        "signal",
        "SIGKILL",
        CHECKPOINT_EVERY,
    ),
    _worker(
        "worker killed while sampling",
        "record `signal`; samples again from the trained weights",
        "kill",
        ("sample", 0),
        "signal",
        "SIGKILL",
        STEPS,
    ),
    _worker("worker killed while evaluating", "the same", "kill", ("evaluate", 0), "signal", "SIGKILL", STEPS),
    _worker(
        "disk full at a checkpoint",
        "record `error`, no half checkpoint; run again",
        "fill the disk but for 20 kB",
        _TRAINING,
        "error",
        "File too large",
        CHECKPOINT_EVERY,
    ),
]

AILMENTS = [
    _supervisor(
        "supervisor killed in the middle of writing a record",
        "no record, half a temporary file that nobody reads; run again",
        "sampling and evaluating",
        "fill the supervisor's disk",
        ("evaluate", 0),
        -25,
        None,
        "its supervising process is gone",
        STEPS,
    ),
    _supervisor(
        "disk full at a record",
        "the command fails and says so; run again",
        "sampling and evaluating",
        "fill the supervisor's disk",
        ("evaluate", 0),
        2,
        None,
        "its supervising process is gone",
        STEPS,
    ),
    _supervisor(
        "Ctrl-C twice",
        "record `interrupted` at once, without waiting for a checkpoint; exit code 130",
        "steps since the checkpoint",
        "interrupt the supervisor twice",
        _TRAINING,
        130,
        "train",
        "from the keyboard",
        CHECKPOINT_EVERY,
    ),
    _supervisor(
        "SIGTERM to the supervisor",
        "a checkpoint of that step, record `interrupted`, exit code 143",
        "nothing",
        "terminate the supervisor",
        _TRAINING,
        143,
        "train",
        "SIGTERM",
        4,
    ),
    _worker(
        "SIGTERM to a worker",
        "a checkpoint of that step, record `interrupted`; the run goes on with the next cell",
        "terminate",
        _TRAINING,
        "interrupted",
        "asked to end",
        4,
    ),
    _worker(
        "disk full for the event log",
        "record `error` with the cause; run again",
        "fill the disk but for 50 bytes",
        _TRAINING,
        "error",
        "File too large",
        CHECKPOINT_EVERY,
    ),
    _worker(
        "disk full at the samples",
        "record `error`; samples again",
        "fill the disk but for 2 kB",
        ("sample", 0),
        "error",
        "File too large",
        STEPS,
    ),
    _worker(
        "event torn in the middle of the log",
        "record `error` that names the line; run again",
        "tear an event",
        ("sample", 0),
        "error",
        "not an event",
        STEPS,
    ),
    _worker(
        "garbage in the event log",
        "the same",
        "write garbage",
        ("sample", 0),
        "error",
        "not an event",
        STEPS,
    ),
    _worker(
        "worker exits with 0 and tells nothing",
        "record `error`; goes on from the checkpoint",
        "leave",
        _TRAINING,
        "error",
        "exited with 0 and told no outcome",
        CHECKPOINT_EVERY,
    ),
    _worker(
        "a user's code that raises",
        "record `error` with the message, traceback in `stderr.log`",
        "raise",
        _TRAINING,
        "error",
        "a mixer of the user's failed",
        CHECKPOINT_EVERY,
    ),
    _worker(
        "loss that is not finite",
        "record `nan`; run again only with `--retry nan`",
        "give NaN",
        _TRAINING,
        "nan",
        "loss is nan",
        CHECKPOINT_EVERY,
    ),
    _worker(
        "out of memory",
        "record `oom` with what would fit; run again only with `--retry oom`",
        "allocate",
        _TRAINING,
        "oom",
        "memory",
        CHECKPOINT_EVERY,
    ),
    _worker(
        "worker that hangs",
        "ended at `run.wall_limit`: record `timeout`; run again only with `--retry timeout`",
        "hang",
        _TRAINING,
        "timeout",
        "after its limit",
        CHECKPOINT_EVERY,
    ),
    _worker(
        "worker stopped by SIGSTOP",
        "the same: KILL reaches it after ten seconds of grace",
        "stop",
        _TRAINING,
        "timeout",
        "after its limit",
        CHECKPOINT_EVERY,
    ),
]

OTHERS = [
    Fault("two supervisors on one folder", "each cell once, by either", "nothing",
          f"{STRUCK}::test_two_supervisors_run_each_cell_once"),
    Fault("two supervisors on one folder, cells that fail", "each cell tried once, by either; a later run tries it again",
          "nothing", "runner/test_schedule.py::test_runs_beside_each_other_try_a_cell_once_also_where_it_fails"),
    Fault("results folder moved or copied between two runs", "the same command goes on there", "nothing",
          "cli/test_preemption.py::test_moved_results_go_on_from_there"),
    Fault("a record destroyed after the run (empty, garbage, truncated)",
          "named with what to do, counts for nothing, and its cell is run again in a new attempt",
          "that attempt's measurements",
          f"{STRUCK}::test_a_destroyed_record_is_named_and_its_cell_made_again"),
    Fault("a file of samples lost", "its cell is missing in the wall of samples, and in nothing else", "the pictures",
          f"{STRUCK}::test_lost_samples_cost_their_picture_and_no_number"),
    Fault("record of an older or newer schema", "named, with what to do", "nothing",
          "records/test_store.py::test_a_damaged_record_is_named_and_costs_itself_alone"),
    Fault("data set that vanished", "refused before any work, with its path", "nothing",
          "cli/test_run.py::test_a_cell_that_needs_what_is_not_there_stops_the_run_before_it_starts"),
    Fault("disk too small from the start", "refused with both numbers", "nothing",
          "runner/test_selection.py::test_a_disk_that_is_too_small_is_told_before_any_work"),
    Fault("folder that cannot be written", "refused before any work", "nothing",
          "cli/test_run.py::test_a_folder_that_cannot_be_written_is_refused"),
    Fault("checkpoint cut at any length", "seen by its hash; the one before is used", "steps between the two",
          "runner/test_checkpoint.py::test_a_checkpoint_truncated_at_any_length_is_passed_over"),
    Fault("checkpoint with a bit flipped", "the same", "steps between the two",
          "runner/test_checkpoint.py::test_a_flipped_bit_anywhere_is_seen"),
    Fault("videos, threads, hardware or weights to begin with that are others than when training was interrupted",
          "record `error` that names what changed and how to begin anew", "nothing",
          "runner/test_checkpoint.py::test_training_goes_on_from_no_checkpoint_that_stands_on_something_else"),
    Fault("checkpoint of another cell, or of an older version, put in a cell's folder", "the same", "nothing",
          "runner/test_checkpoint.py::test_a_checkpoint_that_does_not_say_what_it_stands_on_is_refused"),
    Fault("videos replaced or taken away while a cell runs",
          "record `error` that names the split and both contents; no checkpoint of the others is kept",
          "steps since the checkpoint",
          "runner/test_checkpoint.py::test_videos_that_are_replaced_or_taken_away_while_a_cell_runs_are_noticed"),
    Fault("videos replaced while features or latents of them are made", "the cell fails; the cache keeps none of them",
          "that reading", "runner/test_checkpoint.py::test_nothing_is_kept_of_videos_that_change_while_they_are_read"),
    Fault("every checkpoint damaged", "training begins again", "its steps",
          "runner/test_checkpoint.py::test_with_every_checkpoint_damaged_training_begins_again"),
    Fault("kill in the middle of writing a file", "the old file or the new one, whole", "nothing",
          "records/test_faults.py::test_a_kill_in_the_middle_of_a_write_leaves_a_whole_file"),
    Fault("temporary file left by such a kill", "ignored", "nothing",
          "records/test_faults.py::test_what_a_killed_write_leaves_is_not_read"),
    Fault("attempt's folder without a `started` record", "keeps its number, counts for nothing", "nothing",
          "records/test_faults.py::test_a_folder_killed_at_birth_keeps_its_number_and_counts_for_nothing"),
    Fault("event log torn at its end", "the torn event did not happen", "that event",
          "records/test_events.py::test_a_torn_last_line_did_not_happen"),
    Fault("supervisor dead", "reads as `interrupted`", "nothing",
          "records/test_store.py::test_an_attempt_is_interrupted_once_its_process_is_dead"),
    Fault("pid reused, machine rebooted", "reads as `interrupted`", "nothing",
          "records/test_store.py::test_a_reused_pid_or_a_reboot_does_not_pass_for_the_process"),
    Fault("lock file of a killed supervisor", "free at once", "nothing",
          "records/test_faults.py::test_the_lock_of_a_killed_supervisor_is_free"),
    Fault("clock set back", "no rate and no time left rather than wrong ones", "nothing",
          "runner/test_survey.py::test_a_clock_that_was_set_back_makes_no_cell_faster"),
    Fault("file system without flock (Lustre, some NFS)",
          "said once; a file beside each lock stands in, with its holder's process and a heartbeat", "nothing",
          "test_file_lock.py::test_without_flock_a_claim_stands_in_and_that_is_said_once"),
    Fault("supervisor killed on a file system without flock",
          "its locks are free at once; those from another host ten minutes after the last heartbeat", "nothing",
          "test_file_lock.py::test_the_claim_of_a_killed_process_is_free_at_once"),
    Fault("host name changed, as of a new container; clock of another host ahead or set back",
          "`interrupted` once nothing was heard for ten minutes", "nothing",
          "records/test_store.py::test_an_attempt_on_another_host_runs_while_something_is_heard_of_it"),
    Fault("results folder renamed or deleted while cells run",
          "the run ends with exit code 2 and a line; nothing is made at the old place", "steps since the checkpoint",
          "cli/test_lost_sessions.py::test_results_renamed_while_cells_run_end_the_run_and_are_not_made_again"),
    Fault("reader of the display gone (a closed pipe, a lost terminal, a log on a full disk)",
          "nothing more is shown; cells, records and the exit code are the same", "what would have been shown",
          "cli/test_lost_sessions.py::test_a_reader_that_goes_away_ends_what_is_shown_and_not_the_run"),
    Fault("clock of a file system with claims for locks set ahead or back",
          "a claim from the past or the future is held while it is touched, and free ten minutes off", "nothing",
          "test_file_lock.py::test_a_claim_from_another_host_is_held_while_it_is_touched"),
    Fault("device of the disk fails (EIO)",
          "the error names the file, no half of it is left; a record that cannot be read counts for nothing, and is named",
          "what was not written",
          "records/test_faults.py::test_a_device_that_fails_is_an_error_that_names_the_file_and_leaves_no_half_of_it"),
    Fault("memory of a control group (container, batch job) out",
          "record `oom`, where the kernel counts the kill; run again only with `--retry oom`", "steps since the checkpoint",
          "runner/test_fold.py::test_a_worker_that_the_kernel_killed_for_want_of_memory_is_out_of_memory"),
    Fault("no process or thread more to be had; no shared memory, as where `/tmp` and `/dev/shm` are missing or full",
          "the plan is made in one process; the rehearsal is left out, and said to be", "the rehearsal's counts",
          "runner/test_few_processes.py::test_a_plan_is_made_in_one_process_where_there_can_be_no_more"),
    Fault("results that may only be read", "`status`, `report`, `show`, `tail` read them; `run` is refused before any work",
          "nothing", "records/test_faults.py::test_results_that_may_only_be_read_are_read"),
    Fault("a download sent on to another scheme", "refused; the web alone is followed, and never from https to http", "nothing",
          "data_room/test_fetch.py::test_a_redirect_to_another_scheme_is_not_followed"),
    Fault("memory of what `status` has read: forged, torn or gone", "not believed: every record is read again", "time",
          "records/test_remembered.py::test_a_memory_that_is_not_as_it_was_written_is_none"),
    Fault("record changed after `status` has read it, its time set back", "named, and counts for nothing",
          "that attempt's measurements",
          "records/test_remembered.py::test_a_record_changed_by_hand_is_named_though_it_was_remembered"),
    Fault("folder of videos replaced between an interruption and the same command",
          "record `error` in one line that says how to begin anew; with the old videos back it goes on", "nothing",
          "cli/test_replaced_data.py::test_training_goes_on_with_the_videos_that_it_began_with_and_with_no_others"),
    Fault("cache folder that others may write into", "compiled code is kept in one of the user's own, or not at all", "time",
          "test_user_cache.py::test_a_folder_that_others_may_write_into_is_not_run_from"),
    Fault("cache or results folder that two users share",
          "files are made by the umask; compiled code of another user is not loaded", "nothing",
          "test_user_cache.py::test_a_folder_of_somebody_else_is_not_run_from"),
    Fault("NaN and infinity in a record", "come back as they went", "nothing",
          "records/test_store.py::test_nan_and_infinity_come_back_as_they_went"),
    Fault("no NVIDIA driver, or no package for it", "the cell runs; `device_memory` says why it is null", "that reading",
          "measure/test_nvml.py::test_no_driver"),
    Fault("NVML denied", "the same", "that reading", "measure/test_nvml.py::test_denied"),
    Fault("NVML that hides a process's memory", "null, and never 0", "that reading",
          "measure/test_nvml.py::test_memory_that_the_driver_hides_is_none_and_never_zero"),
    Fault("GPU lost in the middle of a run", "what was measured is kept, with status `lost`", "later samples",
          "measure/test_nvml.py::test_a_device_lost_mid_run_keeps_what_was_measured"),
    Fault("driver that hangs", "waited for five seconds, status `lost`", "later samples",
          "measure/test_nvml.py::test_a_driver_that_hangs_does_not_hang_the_run"),
    Fault("one attempt with two contents in a merge", "refused with both names, nothing copied", "nothing",
          "records/test_merging.py::test_two_versions_of_one_attempt_are_a_conflict_that_names_both"),
]  # fmt: skip

FAULTS: list[Fault] = [*KILLS, *AILMENTS, *OTHERS]


def markdown() -> str:
    """The table of docs/running.md."""
    rows = ["| fault | what happens | lost | test |", "|---|---|---|---|"]
    rows += [f"| {fault.name} | {fault.happens} | {fault.lost} | `{fault.test.partition('::')[0]}` |" for fault in FAULTS]
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    print(markdown(), end="")
