"""One process at a time: an advisory lock that the kernel drops when its holder dies, however it dies.

Some file systems have no such lock (Lustre unless mounted for it, some NFS). There a claim stands in: a file beside the lock
that says which process made it, and that its holder touches every :data:`BEAT_SECONDS`.

1. A claim is written under a name of its own, and linked to the one name that counts: that fails where somebody has it.
2. A claim is void where its process is dead (same host, same boot), or where it was not touched for :data:`SILENT_SECONDS`.
   Both times are the file system's own, so that the clocks of two hosts need not agree.
3. A void claim is renamed away, and put back where it turns out to be another than the one that was looked at. Whoever claims
   looks once more whether the claim is still its own before it goes on.

Accepted: a holder that was stopped for longer than that (a suspended machine) loses its claim, and learns of it from the log. A
lock that the file system has but keeps to each node (``localflock``) is not seen through.
"""

from __future__ import annotations

import errno
import fcntl
import json
import logging
import os
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from functools import cache
from pathlib import Path

from vdmbench.process_identity import ProcessIdentity

BEAT_SECONDS = 30.0
SILENT_SECONDS = 600.0
"""Without a sign of life, after which a process on another host is taken for dead."""
_SETTLE_SECONDS = 0.05
_WAIT_SECONDS = 0.2
_NO_LOCKS = frozenset({errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP})
_log = logging.getLogger(__name__)


@contextmanager
def try_lock(path: Path) -> Iterator[bool]:
    """Hold an exclusive lock on ``path`` for the block; yields False, at once, where somebody else holds it.

    The folder above is created, but none above that: FileNotFoundError where that is not there.
    """
    path.parent.mkdir(exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            _say_once(os.strerror(error.errno))
            with _claimed(path.with_name(f"{path.name}.claim")) as mine:
                yield mine
        else:
            yield True
    finally:
        os.close(descriptor)


@contextmanager
def lock(path: Path) -> Iterator[None]:
    """As :func:`try_lock`, but wait until nobody else holds it."""
    while True:
        with try_lock(path) as mine:
            if mine:
                yield
                return
        time.sleep(_WAIT_SECONDS)


@cache
def _say_once(why: str) -> None:
    _log.warning(
        "this file system has no flock (%s): a file beside each lock stands in, touched every %g s; after a crash on another "
        "host it is free %g minutes later",
        why, BEAT_SECONDS, SILENT_SECONDS / 60,
    )  # fmt: skip


@contextmanager
def _claimed(claim: Path) -> Iterator[bool]:
    token = secrets.token_hex(8)
    mine = _take(claim, token)
    if not mine:
        yield False
        return
    over = threading.Event()
    beating = threading.Thread(target=_beat, args=(claim, token, over), daemon=True, name="claim")
    beating.start()
    try:
        yield True
    finally:
        over.set()
        beating.join()
        if _token(claim) == token:
            claim.unlink(missing_ok=True)


def _take(claim: Path, token: str) -> bool:
    """Whether the claim is ours now."""
    salt = secrets.token_hex(8)  # the file tells nobody what this machine is called
    own = claim.with_name(f".{claim.name}-{token}")
    own.write_text(json.dumps({"token": token, "salt": salt, **asdict(ProcessIdentity.current(salt))}))
    try:
        for _ in range(2):  # again once a void claim is out of the way
            try:
                os.link(own, claim)
            except FileExistsError:
                if not _remove_void(claim, now=own.stat().st_mtime):
                    return False
            else:
                time.sleep(_SETTLE_SECONDS)  # for one that renamed it away by mistake to put it back
                return _token(claim) == token
        return False
    finally:
        own.unlink(missing_ok=True)


def _remove_void(claim: Path, now: float) -> bool:
    """Whether there is no claim any more, for its holder is dead; ``now`` is the file system's time."""
    try:
        touched, token = claim.stat().st_mtime, _token(claim)
    except FileNotFoundError:
        return True
    holder, salt = _holder(claim)
    alive = holder.alive(salt) if holder is not None else None
    silent = abs(now - touched)  # also one from the future, from before a clock was set back, ends some time
    if alive or (alive is None and silent < SILENT_SECONDS):
        return False
    aside = claim.with_name(f".{claim.name}-void-{secrets.token_hex(6)}")
    try:
        os.rename(claim, aside)
    except FileNotFoundError:
        return True
    try:
        if _token(aside) != token:  # a new one, made meanwhile
            with suppress(FileExistsError):
                os.link(aside, claim)
            return False
    finally:
        aside.unlink(missing_ok=True)
    return True


def _beat(claim: Path, token: str, over: threading.Event) -> None:
    while not over.wait(BEAT_SECONDS):
        try:
            if _token(claim) != token:
                _log.warning("%s was taken over by another process, which had not heard of this one for long", claim)
                return
            os.utime(claim)
        except OSError as error:  # one missed beat of twenty; a folder that is gone is told by whoever writes there
            _log.warning("%s could not be touched: %s", claim, error.strerror)


def _told(claim: Path) -> dict[str, object]:
    """What a claim says; nothing where it is not there, or cannot be read."""
    try:
        told = json.loads(claim.read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}


def _token(claim: Path) -> object:
    return _told(claim).get("token")


def _holder(claim: Path) -> tuple[ProcessIdentity | None, str | None]:
    """The process that made it, and what hides its host; neither where the file is none of ours."""
    told = _told(claim)
    try:
        host, boot, salt = (str(told[name]) for name in ("host", "boot_id", "salt"))
        return ProcessIdentity(host, boot, int(str(told["pid"])), float(str(told["process_started"]))), salt
    except (KeyError, ValueError):
        return None, None
