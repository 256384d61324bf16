"""Downloads, from a server on this machine that can stop half way."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from vdmbench.data.preparing.fetch import Remote, fetch, locate
from vdmbench.data.source import DataError

CONTENT = np.random.default_rng(0).integers(0, 256, 300_000, dtype=np.uint8).tobytes()


class Server(ThreadingHTTPServer):
    """What it offers, and how it misbehaves."""

    stop_after: int | None = None
    ranges = True
    content = CONTENT
    elsewhere = ""
    asked: list[str | None]

    @property
    def host(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        if self.path.startswith("/metadata/"):
            files = [
                {"name": "notes.txt", "size": "999999999"},
                {"name": "small.zip", "size": "5", "sha1": "0"},
                {"name": "a set.zip", "size": str(len(CONTENT)), "sha1": hashlib.sha1(CONTENT).hexdigest()},
            ]
            self._send(200, json.dumps({"files": files} if self.path.endswith("/mazes") else {}).encode())
            return
        if self.path.startswith("/sent-on"):
            self._send(302, b"", {"Location": self.server.elsewhere})
            return
        asked = self.headers.get("Range")
        self.server.asked.append(asked)
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and self.server.ranges else 0
        if start >= len(self.server.content):
            self._send(416, b"", {"Content-Range": f"bytes */{len(self.server.content)}"})
            return
        self._send(206 if start else 200, self.server.content[start:], limit=self.server.stop_after)

    def _send(self, status: int, content: bytes, headers: dict[str, str] | None = None, limit: int | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content[:limit])

    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing on standard error."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as running:
        running.asked = []
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def test_the_largest_archive_of_an_item_is_fetched_and_checked(server: Server, tmp_path: Path) -> None:
    remote = locate("archive.org:mazes", host=server.host)
    assert (remote.name, remote.bytes) == ("a set.zip", len(CONTENT))
    told: list[tuple[int, int | None]] = []
    file = fetch(remote, tmp_path, progress=lambda there, total: told.append((there, total)))
    assert file.read_bytes() == CONTENT
    assert told[-1] == (len(CONTENT), len(CONTENT))
    assert fetch(remote, tmp_path) == file
    assert server.asked == [None]  # what is there is not asked for again


@pytest.mark.parametrize("ranges", [True, False])
def test_an_interrupted_download_goes_on(server: Server, tmp_path: Path, ranges: bool) -> None:
    server.stop_after, server.ranges = 100_000, ranges
    remote = Remote(f"{server.host}/set.zip", "set.zip", sha1=hashlib.sha1(CONTENT).hexdigest())
    with pytest.raises(DataError, match=r"stopped after 100000 of 300000 bytes; ask again to go on|cannot fetch"):
        fetch(remote, tmp_path)
    assert not (tmp_path / "set.zip").exists()
    server.stop_after = None
    assert fetch(remote, tmp_path).read_bytes() == CONTENT
    assert server.asked == [None, "bytes=100000-"]
    assert [file.name for file in tmp_path.iterdir()] == ["set.zip"]


def test_a_part_that_is_whole_is_only_checked(server: Server, tmp_path: Path) -> None:
    (tmp_path / "set.zip.part").write_bytes(CONTENT)
    assert fetch(Remote(f"{server.host}/set.zip", "set.zip"), tmp_path).read_bytes() == CONTENT


def test_other_content_than_announced_is_deleted(server: Server, tmp_path: Path) -> None:
    server.content = CONTENT[:-1] + b"?"
    with pytest.raises(DataError, match=r"has SHA-1 .*, and its catalogue says .*; it was deleted"):
        fetch(locate("archive.org:mazes", host=server.host), tmp_path)
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_reached_is_to_be_fetched_by_hand(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot ask .*/metadata/none .*; fetch .*/details/none by hand"):
        locate("archive.org:none", host=server.host)
    with pytest.raises(DataError, match=r"cannot fetch http://127\.0\.0\.1:9/set\.zip .*fetch .* by hand and give .* --from"):
        fetch(Remote("http://127.0.0.1:9/set.zip", "set.zip"), tmp_path / "new")
    assert not (tmp_path / "new").exists()


@pytest.mark.fault
@pytest.mark.parametrize("scheme", ["file", "ftp", "data", "javascript", "gopher"])
def test_a_redirect_to_another_scheme_is_not_followed(server, tmp_path, scheme):
    secret = tmp_path / "secret.zip"
    secret.write_bytes(b"of this machine")
    server.elsewhere = f"{scheme}://{'127.0.0.1' if scheme == 'ftp' else ''}{secret}"
    with pytest.raises(DataError, match=rf"sent-on.*({scheme}|302)"):
        fetch(Remote(f"{server.host}/sent-on/set.zip", "set.zip"), tmp_path / "got")
    assert not (tmp_path / "got").exists()


def test_a_redirect_within_the_web_is_followed(server, tmp_path):
    server.elsewhere = f"{server.host}/set.zip"
    assert fetch(Remote(f"{server.host}/sent-on/set.zip", "set.zip"), tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize("address", ["file:///etc/hostname", "ftp://127.0.0.1/x.zip", "/etc/hostname", "x.zip"])
def test_an_address_that_is_no_web_address_is_refused(tmp_path, address):
    with pytest.raises(DataError, match="only http and https are fetched"):
        fetch(Remote(address, "x.zip"), tmp_path / "got")
    assert not (tmp_path / "got").exists()
