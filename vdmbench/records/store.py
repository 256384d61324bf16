"""The results folder: where attempts live, and how their records are read back.

    results/<suite>/
      folder.json                     schema of everything below
      salt                            hides host and boot in records; leave it behind where records are published
      suite.json                      the suite as last run: order of variants, claims, title
      cells/<identity>/
        checkpoint/                   the latest training checkpoint, shared by the attempts
        attempts/<ordinal>-<id>/
          started.json                who runs it: written before the first second of work
          events.jsonl                what the worker says as it goes
          stderr.log
          record.json                 written once, at the end, by the supervising parent
          samples.npz, samples.gif, ...

Nothing else is truth; any index can be deleted. Names come from identities and counters, never from the clock.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

from pydantic import ValidationError

from vdmbench.file_digests import digest_of
from vdmbench.file_lock import SILENT_SECONDS, try_lock
from vdmbench.process_identity import ProcessIdentity
from vdmbench.records.events import last_heard
from vdmbench.records.remembered import Remembered
from vdmbench.records.schema import READABLE_SCHEMAS, RECORD_SCHEMA, Record
from vdmbench.whole_file import fsync_folder, write_atomically


class ResultsError(ValueError):
    """A results folder or record that cannot be used; the message names the file and the remedy."""


class ResultsGone(ResultsError):
    """A results folder, or an attempt in it, that is no longer where it was when the run began."""


@dataclass(frozen=True)
class AttemptFolder:
    """The folder of one attempt."""

    path: Path

    @property
    def record(self) -> Path:
        return self.path / "record.json"

    @property
    def started(self) -> Path:
        return self.path / "started.json"

    @property
    def events(self) -> Path:
        return self.path / "events.jsonl"

    @property
    def stderr(self) -> Path:
        return self.path / "stderr.log"


@dataclass
class CellHistory:
    """All attempts at one cell, oldest first, each as its final record or as its ``started`` one."""

    identity: str
    attempts: list[Record] = field(default_factory=list)

    @property
    def latest(self) -> Record:
        """The record that counts: the last ``ok``, else the last that is not superseded by being unfinished."""
        done = [record for record in self.attempts if record.status == "ok"]
        return (done or self.attempts)[-1]

    @property
    def latest_by_cohort(self) -> list[Record]:
        """The record that counts, and beside it the last result of every other hardware cohort, as merged folders hold."""
        counts = self.latest
        others: dict[str, Record] = {}
        for record in self.attempts:
            if record.cohort not in (None, counts.cohort) and record.status in ("ok", "oom"):
                before = others.get(record.cohort)
                if record.status == "ok" or before is None or before.status != "ok":
                    others[record.cohort] = record
        return [*others.values(), counts]


DIGEST = "digest"
"""The field of a record's file that holds the SHA-256 of all others, whatever their order and layout.

It protects from accidents: a flipped bit, an editor, a tool that rewrites JSON. Whoever means to deceive can write a digest
too; what protects from them is whom one takes records from.
"""


def parse_record(text: bytes, path: Path) -> Record:
    """Validate a record file, its digest included; raises :class:`ResultsError` that names it."""
    try:
        fields = json.loads(text.decode())
        if rb"\u" in text:  # half of a surrogate pair would be taken here, and could not be written again
            json.dumps(fields, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise ResultsError(f"{path}: not JSON ({len(text)} bytes); move the file away and run the suite again") from None
    schema = fields.get("record_schema") if isinstance(fields, dict) else None
    if schema not in READABLE_SCHEMAS or isinstance(schema, bool):
        raise ResultsError(
            f"{path}: record schema {_echoed(schema)}, this vdmbench reads {' and '.join(map(str, READABLE_SCHEMAS))}; "
            "use the vdmbench that wrote it, or another results folder"
        )
    digest = fields.pop(DIGEST, None) if schema > 1 else None
    if schema > 1 and digest != digest_of(fields):
        has = "its digest is not that of its fields" if digest else "it has no digest"
        raise ResultsError(
            f"{path}: {has}, so it was changed after it was written: bring back the file as it was, or move it away and run "
            "the suite again"
        )
    try:
        return Record.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ResultsError(f"{path}: {_printable(where)}: {first['msg']}; the record was changed by hand or damaged") from None


def _echoed(value: object) -> str:
    """Something out of a file, for a message: on one line, and short; text in quotes."""
    return f"'{_printable(value)}'" if isinstance(value, str) else _printable(value)


def _printable(value: object) -> str:
    shown = "".join(character if character.isprintable() else ascii(character)[1:-1] for character in str(value))
    return shown if len(shown) <= 200 else f"{shown[:200]}…"


def _attempt_name(record: Record) -> str:
    return f"{record.attempt.ordinal:04d}-{record.attempt.id}"


_ATTEMPT = re.compile(r"[0-9]{4,9}-[0-9A-Za-z]{1,40}")


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ResultsError(f"{path}: cannot be read ({error.strerror or error})") from None


def _signed(record: Record) -> bytes:
    fields = {**json.loads(record.model_dump_json()), "record_schema": RECORD_SCHEMA}
    return json.dumps({**fields, DIGEST: digest_of(fields)}, indent=1, ensure_ascii=False).encode()


def unsigned_note(records: Sequence[Record]) -> list[str]:
    """Of records from before digests nobody can know whether they are as they were written: a line that says so, or none."""
    unsigned = sum(record.record_schema < 2 for record in records)
    of = f"{unsigned} of {len(records)} records are"
    return [f"{of} unsigned: written before records held a digest, so a change would not be seen"] if unsigned else []


class ResultsFolder:
    """One suite's results on disk."""

    def __init__(self, path: Path, remembered: Remembered | None = None) -> None:
        self.path = path
        self._remembered = remembered
        """Where given, records that it knows are told in brief, and not read again."""
        self.unusable: dict[Path, str] = {}
        """Attempts that were read and do not count, with the reason, which names the file: one that is damaged costs itself."""

    def prepare(self, salt: str | None = None) -> None:
        """Create the folder, or check that it is one of this schema; probe that it can be written durably.

        A new one gets ``salt``, or one of its own.
        Raises :class:`ResultsError`, before any work is done, where it cannot.
        """
        marker = self.path / "folder.json"
        try:
            (self.path / "cells").mkdir(parents=True, exist_ok=True)
            probe = self.path / f".probe-{secrets.token_hex(6)}"
            write_atomically(probe, b"durable?")
            probe.unlink()
        except OSError as error:
            raise ResultsError(
                f"{self.path}: cannot be written ({error.strerror or error}); choose another folder with --results"
            ) from None
        if marker.exists():
            self._check_schema(marker)
        else:
            write_atomically(marker, json.dumps({"record_schema": RECORD_SCHEMA}).encode())
        with suppress(FileExistsError):  # whoever was first has made it
            write_atomically(self.path / "salt", (salt or secrets.token_hex(16)).encode(), exclusive=True)

    @cached_property
    def salt(self) -> str | None:
        """What hides host and boot in the records of this folder; None where it has none: never run, or published without."""
        try:
            return (self.path / "salt").read_text().strip() or None
        except (OSError, UnicodeDecodeError):
            return None

    def keep_suite(self, suite: str) -> None:
        """Keep the suite as run, in JSON, for the report: its title, the order of its variants, its claims."""
        write_atomically(self.path / "suite.json", suite.encode())

    def suite(self) -> str | None:
        """The JSON of the suite that was run here last; None where none was kept."""
        kept = self.path / "suite.json"
        return kept.read_text() if kept.exists() else None

    def own_settings(self) -> dict[str, frozenset[str]]:
        """By variant, the paths that it sets for itself in the kept suite; nothing where none is kept, or it cannot be read."""
        try:
            variants = json.loads(self.suite() or "{}").get("variants", {})
            return {name: frozenset(variant.get("set", {})) for name, variant in variants.items()}
        except (ValueError, AttributeError, TypeError):
            return {}

    def _check_schema(self, marker: Path) -> None:
        try:
            schema = json.loads(marker.read_bytes())["record_schema"]
        except (ValueError, KeyError, TypeError):
            raise ResultsError(f"{marker}: not a results folder's marker; choose another folder with --results") from None
        if schema not in READABLE_SCHEMAS:
            raise ResultsError(
                f"{self.path}: results of record schema {_echoed(schema)}, this vdmbench writes {RECORD_SCHEMA}; "
                "choose another folder with --results"
            )

    def cell_folder(self, identity: str) -> Path:
        return self.path / "cells" / identity

    def checkpoint_folder(self, identity: str) -> Path:
        return self.cell_folder(identity) / "checkpoint"

    def folder_of(self, record: Record) -> AttemptFolder:
        """Where the attempt of ``record`` is."""
        return AttemptFolder(self.cell_folder(record.identity) / "attempts" / _attempt_name(record))

    def this_process(self, *, by_name: bool = False) -> ProcessIdentity:
        """Who makes an attempt now; host and boot are hidden unless they are to be told ``by_name``."""
        return ProcessIdentity.current(None if by_name else self.salt or secrets.token_hex(16))

    @contextmanager
    def cell_lock(self, identity: str) -> Iterator[bool]:
        """Hold the cell for the block; yields False, at once, where another supervisor does. Raises :class:`ResultsGone`."""
        with self._there(), try_lock(self.cell_folder(identity) / "lock") as mine:
            yield mine

    @contextmanager
    def _there(self) -> Iterator[None]:
        """Within, a file or folder that is missing is what it is: folders above are made by :meth:`prepare` alone."""
        try:
            yield
        except FileNotFoundError:
            self.require()
            raise

    def require(self, attempt: AttemptFolder | None = None) -> None:
        """Raises :class:`ResultsGone` where this folder, or ``attempt`` in it, is not there any more."""
        if not (self.path / "folder.json").exists():
            raise ResultsGone(
                f"{self.path}: the results folder is gone: it was moved, renamed or deleted meanwhile. What was finished is "
                "where it is now: the same command with --results and that place goes on there"
            )
        if attempt is not None and not attempt.started.exists():
            raise ResultsGone(
                f"{attempt.path}: the attempt that ran there is gone: it was moved or deleted meanwhile. The same command runs "
                "its cell again"
            )

    def new_attempt(self, started: Record) -> AttemptFolder:
        """Create the attempt's folder and make its ``started`` record durable. Raises :class:`ResultsGone`."""
        folder = self.folder_of(started)
        parent = folder.path.parent
        with self._there():
            parent.parent.mkdir(exist_ok=True)
            parent.mkdir(exist_ok=True)
            folder.path.mkdir()
            fsync_folder(parent)
            write_atomically(folder.started, _signed(started), exclusive=True)
        return folder

    def finish(self, folder: AttemptFolder, record: Record) -> None:
        """Leave the final record; a second one for the same attempt is refused (FileExistsError).

        Raises :class:`ResultsGone`.
        """
        self.require(folder)
        with self._there():
            write_atomically(folder.record, _signed(record), exclusive=True)

    def attempt_folders(self, identity: str) -> list[AttemptFolder]:
        """Those of the cell, in order; what else lies among them (an editor's backup, a file of a desktop) is none."""
        parent = self.cell_folder(identity) / "attempts"
        try:
            with os.scandir(parent) as entries:
                names = sorted(entry.name for entry in entries if _ATTEMPT.fullmatch(entry.name) and entry.is_dir())
        except (FileNotFoundError, NotADirectoryError):
            return []
        return [AttemptFolder(parent / name) for name in names]

    def ended_attempts(self, identity: str) -> frozenset[str]:
        """Ids of those attempts at the cell that have left a record, usable or not; no record is read."""
        return frozenset(
            folder.path.name.partition("-")[2] for folder in self.attempt_folders(identity) if folder.record.exists()
        )

    def next_ordinal(self, identity: str) -> int:
        """The number of the next attempt, counted on folders, so that one killed at birth keeps its number."""
        return 1 + max((int(folder.path.name.partition("-")[0]) for folder in self.attempt_folders(identity)), default=0)

    def history(self, identity: str) -> CellHistory | None:
        """The attempts at a cell that can be used; None where there are none. What cannot is in :attr:`unusable`.

        An unfinished one is `started` while its process lives and `interrupted` once it is dead; on another host, where that
        cannot be seen, once nothing was heard of it for :data:`~vdmbench.file_lock.SILENT_SECONDS`.
        """
        attempts = []
        for folder in self.attempt_folders(identity):
            try:
                known = None if self._remembered is None else self._remembered.record(folder.path)
                record = known or self._read(folder)
                if record is not None:
                    self._refuse_misplaced(record, folder, identity)
                    if self._remembered is not None:
                        self._remembered.keep(folder.path, record)
                    attempts.append(record)
                self.unusable.pop(folder.path, None)
            except ResultsError as error:
                self.unusable[folder.path] = str(error)
        return CellHistory(identity, attempts) if attempts else None

    def _refuse_misplaced(self, record: Record, folder: AttemptFolder, identity: str) -> None:
        """A record counts for the cell and the attempt that it is of, wherever somebody has put it."""
        if record.identity != identity:
            raise ResultsError(
                f"{folder.path}: a record of cell {_printable(record.identity)}, in the folder of another: "
                "it was moved by hand, move it back"
            )
        if (attempt := _attempt_name(record)) != folder.path.name:
            raise ResultsError(
                f"{folder.path}: a record of attempt {attempt}, in the folder of another: it was moved by hand, move it back"
            )

    def _read(self, folder: AttemptFolder) -> Record | None:
        if folder.record.exists():
            return parse_record(_bytes_of(folder.record), folder.record)
        if not folder.started.exists():
            return None  # killed between mkdir and the started record: nothing had begun
        record = parse_record(_bytes_of(folder.started), folder.started)
        gone = self._gone(record, folder)
        return record if gone is None else record.model_copy(update={"status": "interrupted", "message": gone})

    def _gone(self, started: Record, folder: AttemptFolder) -> str | None:
        """Why an attempt without a record runs no more; None where it may."""
        attempt = started.attempt
        by = ProcessIdentity(attempt.host, attempt.boot_id, attempt.pid, attempt.process_started)
        if (alive := by.alive(self.salt)) is not None:
            return None if alive else "its supervising process is gone"
        heard = last_heard(folder.events)
        try:
            last = datetime.fromisoformat(attempt.started) if heard is None else datetime.fromtimestamp(heard, UTC)
            silent = abs(time.time() - last.timestamp())  # either way: a clock that was ahead would keep it running for ever
        except (ValueError, OverflowError, OSError):
            return "its supervising process, on another host, has told a time that is none"
        if silent < SILENT_SECONDS:
            return None
        since = last.isoformat(timespec="seconds")
        return f"its supervising process, on another host or in another container, was last heard of at {since}"

    def histories(self) -> Iterator[CellHistory]:
        """Every cell that has an attempt, in order of identity. Raises :class:`ResultsError` for a folder of no results."""
        marker = self.path / "folder.json"
        if not marker.exists():
            raise ResultsError(f"{self.path}: no results there; run a suite first (vdmbench run SUITE --results {self.path})")
        self._check_schema(marker)
        for cell in sorted((self.path / "cells").iterdir()):
            if (history := self.history(cell.name)) is not None:
                yield history

    def records(self) -> list[Record]:
        """The record that counts of every cell."""
        return [history.latest for history in self.histories()]
