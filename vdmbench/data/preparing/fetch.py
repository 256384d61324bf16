"""Fetch an archive from its public address: what came before an interruption is kept, and the whole is held to a hash."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPMessage
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from vdmbench.data.source import DataError
from vdmbench.whole_file import put_in_place

ARCHIVE_ORG = "https://archive.org"
_CHUNK = 2**20
_SECONDS = 60  # without an answer, after which the address counts as unreachable


@dataclass(frozen=True)
class Remote:
    """A file somewhere else, and what is known of it."""

    address: str
    name: str
    bytes: int | None = None
    sha1: str | None = None


def locate(address: str, *, host: str = ARCHIVE_ORG) -> Remote:
    """The file that an address of :class:`vdmbench.data.files.published.Published` means.

    ``archive.org:<item>`` is the largest archive of that item, with the size and SHA-1 that its catalogue states.

    Raises:
        DataError: where the catalogue cannot be reached or read.
    """
    kind, _, item = address.partition(":")
    if kind != "archive.org":
        return Remote(address, Path(urlsplit(address).path).name)
    catalogue = f"{host}/metadata/{quote(item)}"
    try:
        with _opened(catalogue) as answer:
            files = json.load(answer)["files"]
        archives = [file for file in files if str(file["name"]).endswith((".zip", ".tar.gz", ".tgz", ".tar"))]
        chosen: dict[str, Any] = max(archives, key=lambda file: int(file["size"]))
        address = f"{host}/download/{quote(item)}/{quote(chosen['name'])}"
        return Remote(address, Path(chosen["name"]).name, int(chosen["size"]), chosen.get("sha1"))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"cannot ask {catalogue} what to fetch ({_said(error)}); {by_hand(f'{host}/details/{item}')}"
        ) from error


def fetch(remote: Remote, folder: Path, *, progress: Callable[[int, int | None], None] | None = None) -> Path:
    """Fetch into ``folder``, going on where an earlier call stopped. Returns the file.

    Args:
        progress: called with the bytes that are there and those there will be, where that is known.

    Raises:
        DataError: where the address cannot be reached, or what came is not what was announced.
    """
    folder.mkdir(parents=True, exist_ok=True)
    target, part = folder / remote.name, folder / f"{remote.name}.part"
    if target.exists():
        return target
    try:
        total = _receive(remote, part, progress)
    except OSError as error:  # urllib's errors are of this kind
        with contextlib.suppress(OSError):
            folder.rmdir()  # where nothing came
        raise DataError(
            f"cannot fetch {remote.address} ({_said(error)}); ask again to go on with what came, or {by_hand(remote.address)}"
        ) from error
    size = part.stat().st_size
    if total is not None and size < total:
        raise DataError(f"{remote.address} stopped after {size} of {total} bytes; ask again to go on")
    if total is not None and size > total:
        part.unlink()
        raise DataError(f"{remote.address} gave {size} bytes, and {total} were announced; it was deleted, so ask again")
    if remote.sha1 is not None:
        with part.open("rb") as file:
            found = hashlib.file_digest(file, "sha1").hexdigest()
        if found != remote.sha1:
            part.unlink()
            raise DataError(
                f"{remote.address} has SHA-1 {found}, and its catalogue says {remote.sha1}; it was deleted, so ask again"
            )
    put_in_place(part, target)
    return target


def by_hand(address: str) -> str:
    """What to do where the network is of no help."""
    return f"fetch {address} by hand and give the file or its folder with --from"


def _receive(remote: Remote, part: Path, progress: Callable[[int, int | None], None] | None) -> int | None:
    """Append to ``part`` what it lacks; returns the size that the whole has, where somebody says."""
    there = part.stat().st_size if part.exists() else 0
    if remote.bytes is not None and there == remote.bytes:
        return remote.bytes
    try:
        answer = _opened(remote.address, {"Range": f"bytes={there}-"} if there else {})
    except urllib.error.HTTPError as error:
        if error.code == 416 and there:  # nothing left to send: what is there is all, or more
            return remote.bytes if remote.bytes is not None else _announced(error.headers.get("Content-Range"))
        raise
    with answer:
        if there and answer.status != 206:  # this server sends all or nothing
            there = 0
        length = answer.headers.get("Content-Length")
        total = remote.bytes if remote.bytes is not None else there + int(length) if length else None
        if total is not None and total - there > shutil.disk_usage(part.parent).free:
            raise DataError(
                f"{remote.address} takes {total / 2**30:.1f} GiB, and {part.parent} has less; free some, or "
                "prepare into another place"
            )
        with part.open("ab" if there else "wb") as file:
            while chunk := answer.read(_CHUNK):
                file.write(chunk)
                there += len(chunk)
                if progress is not None:
                    progress(there, total)
    return total


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Goes where it is sent, but to no other scheme: neither to FTP or a file of this machine, nor from https to http."""

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> urllib.request.Request | None:
        before, after = urlsplit(req.full_url).scheme, urlsplit(newurl).scheme
        if after not in (before, "https"):
            raise urllib.error.URLError(f"it sends on to {after}, which is not followed")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opened(address: str, headers: dict[str, str] | None = None) -> Any:
    """The answer of a web server. Raises URLError also where the address is none of a web server's."""
    if urlsplit(address).scheme not in ("http", "https"):
        raise urllib.error.URLError("only http and https are fetched")
    request = urllib.request.Request(address, headers=headers or {})
    return urllib.request.build_opener(_Redirects).open(request, timeout=_SECONDS)


def _announced(content_range: str | None) -> int | None:
    """The size in ``bytes */123``."""
    size = (content_range or "").rpartition("/")[2]
    return int(size) if size.isdigit() else None


def _said(error: Exception) -> str:
    reason = getattr(error, "reason", None) or error
    return f"{type(error).__name__}: {reason}" if str(reason) else type(error).__name__
