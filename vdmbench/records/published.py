"""What is taken out of records before a page is made of them: who ran them, on which host, and where on its disk.

Hosts, boots and devices are named nowhere; absolute paths are told from the results folder or the working directory on, or else
by their last part; addresses keep no credentials and no query, and those of git repositories are left out. Two declared paths
that differ stay apart, by a number where all that may be told of them is the same. Records themselves keep what they hold.
"""

from __future__ import annotations

import getpass
import re
import socket
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar
from urllib.parse import unquote

from pydantic import BaseModel

from vdmbench.process_identity import is_hidden
from vdmbench.records.schema import Record

T = TypeVar("T")

_NAMING = frozenset({"hostname", "host", "boot_id", "uuid", "device_uuid", "user", "username"})
"""Fields of a record or its environment that name a machine or a person."""
_STRUCTURE = frozenset({"identity", "suite", "variant", "cohort", "status", "phase", "numbers"})
"""Fields that say which cell a record is of, and are no text."""
_DECLARED = frozenset({"declared", "point", "at"})
"""Fields whose words are those of a suite: there a machine that is called as a mixer is hides nothing."""
_NUMBERS = frozenset({int, float, bool, type(None)})
_TELLS_NOBODY = frozenset({"", "localhost", "root", "user", "ubuntu", "admin", "runner", "nobody", "home", "users"})
_HOMES = frozenset({"home", "homes", "users", "user", "u", "people", "scratch", "work"})
"""Folders whose entries are often called after people."""
_HIDDEN = "…"

_ENDS = r"""\s'"<>|:;,()\[\]{}`"""
"""Characters that a path in the middle of a sentence does not hold."""
_TOKEN = re.compile(
    rf"""
    (?P<quote>['"])(?P<quoted>(?:file://)?/[^'"\n]*/[^'"\n]*|[A-Za-z]:\\[^'"\n]*)(?P=quote)
    | (?P<address>\b[A-Za-z][A-Za-z0-9+.\-]*://[^\s'"<>`]+)
    | (?P<repository>\b[\w.\-]+@[\w.\-]+:[\w.\-/~]+)
    | (?P<device>\b(?:GPU|MIG)-[0-9a-fA-F]{{8}}(?:-[0-9a-fA-F]{{4}}){{3}}-[0-9a-fA-F]{{12}})
    | (?P<windows>\b[A-Za-z]:\\[^\s'"<>|]+)
    | (?P<path>(?<![\w./…~\\])(?:~[A-Za-z][\w.\-]*|/+[^{_ENDS}/]+)/[^{_ENDS}]*)
    """,
    re.VERBOSE,
)


class Publisher:
    """Takes names and places out of records and texts, alike in all that one page is made of."""

    def __init__(self, records: Iterable[Record] = (), results: Sequence[Path] = ()) -> None:
        """``records``: their hosts, and places that they declare, are known; ``results``: folders that paths are told from."""
        records = list(records)
        self._declared: dict[str, str] = {}
        self._texts: dict[bool, dict[str, str]] = {True: {}, False: {}}
        home = _or_none(Path.home)
        people = {_or_none(getpass.getuser), Path(home).name if home else None} - {None}
        self._people = {name for name in people if name and name.lower() not in _TELLS_NOBODY}
        self._names = _pattern({socket.gethostname(), *(host for record in records for host in _hosts(record))}, self._people)
        folders = {str(Path.cwd()): ".", **{str(path.absolute()): path.absolute().name for path in results}}
        self._folders = {folder: name for folder, name in (folders | ({home: "~"} if home else {})).items() if folder != "/"}
        self._known = _alternatives(self._folders)
        self._spaced = _alternatives(folder for folder in self._folders if " " in folder)
        places = dict.fromkeys(
            text for record in records for text in _strings([record.declared, record.point]) if _is_place(text)
        )
        for place in places:
            self._declare(place)
        self._declared_spaced = _alternatives(place for place in places if " " in place)

    def tree(self, value: T, *, words: bool = True) -> T:
        """The same value with every text in it through :meth:`text`, and without the fields that name a machine or a person."""
        changed: Any = value
        if isinstance(value, str):
            changed = self.text(value, words=words)
        elif isinstance(value, Mapping):
            kept = {key: self.tree(item, words=words) for key, item in value.items() if key not in _NAMING}
            changed = value if _alike(kept, value) else kept
        elif isinstance(value, BaseModel):
            fields = {name: getattr(value, name) for name in type(value).model_fields if name not in _STRUCTURE}
            update = {
                name: _blank(item) if name in _NAMING else self.tree(item, words=words and name not in _DECLARED)
                for name, item in fields.items()
            }
            changed = value if _alike(update, fields) else value.model_copy(update=update)
        elif isinstance(value, list | tuple) and not set(map(type, value)) <= _NUMBERS:
            items = [self.tree(item, words=words) for item in value]
            changed = value if all(new is old for new, old in zip(items, value, strict=True)) else type(value)(items)
        return changed

    def text(self, text: str, *, words: bool = True) -> str:
        """The text without names and places, which may stand anywhere in it; without ``words`` places alone are taken out."""
        known = self._texts[words]
        if text not in known:
            known[text] = self._of(text, words)
        return known[text]

    def _of(self, text: str, words: bool) -> str:
        if self._declared_spaced is not None:
            text = self._declared_spaced.sub(lambda found: self._path(found.group()), text)
        if self._spaced is not None:
            text = self._spaced.sub(lambda found: self._folders[found.group()], text)
        if any(mark in text for mark in ("/", "\\", "@", "GPU-", "MIG-")):
            text = _TOKEN.sub(self._replaced, text)
            if self._known is not None:  # what no token held, such as a folder right below the root
                text = self._known.sub(lambda found: self._folders[found.group()], text)
        return self._names.sub(_unnamed, text) if words and self._names is not None else text

    def _replaced(self, found: re.Match[str]) -> str:
        kind, token = found.lastgroup, found.group()
        if found["quoted"] is not None:
            return f"{found['quote']}{self._path(found['quoted'])}{found['quote']}"
        if kind == "address":
            return self._address(token)
        if kind == "repository":
            return "<git repository>" if "/" in token or token.endswith(".git") else token
        if kind == "device":
            return f"{token[:3]}-{_HIDDEN}"
        path = token.rstrip(".")
        return self._path(path) + token[len(path) :]

    def _address(self, address: str) -> str:
        scheme, _, rest = address.partition("://")
        if scheme == "file":
            return self._path(unquote(f"/{rest.lstrip('/')}"))
        rest = rest.partition("?")[0].partition("#")[0]
        authority, slash, path = rest.partition("/")
        if scheme in ("ssh", "git") or scheme.startswith("git+") or path.rstrip("/").endswith(".git"):
            return "<git repository>"
        return f"{scheme}://{authority.rpartition('@')[2]}{slash}{path}"

    def _declare(self, path: str) -> None:
        """Give a declared path what may be told of it: never the same as another's."""
        wanted = told = self._shortened(path.removeprefix("file://"))
        number = 1
        while told in self._declared.values():
            number += 1
            told = f"{wanted} ({number})"
        self._declared[path] = told

    def _path(self, path: str) -> str:
        return self._declared.get(path) or self._shortened(path.removeprefix("file://"))

    def _shortened(self, path: str) -> str:
        for folder, name in self._folders.items():
            if name != "~" and (path == folder or path.startswith(f"{folder}/")):
                return f"{name}{path[len(folder) :]}".removeprefix("./")
        parts = PurePosixPath(path.replace("\\", "/")).parts[1:]
        for root in ("site-packages", "dist-packages", "vdmbench"):
            if root in parts[:-1]:
                return "/".join((_HIDDEN, *parts[parts.index(root) + (root != "vdmbench") :]))
        if len(parts) < 3 or parts[-2].lower() in _HOMES or parts[-1] in self._people:
            return _HIDDEN
        return f"{_HIDDEN}/{parts[-1]}"


def without_host(text: str) -> str:
    """The text without the name of this host."""
    names = _pattern({socket.gethostname()})
    return names.sub(_unnamed, text) if names is not None else text


def _hosts(record: Record) -> Iterable[str]:
    """What a record from before hosts were hidden, or one that is to identify its own, calls the machine."""
    told = (record.attempt.host, record.environment.get("hostname"))
    return [name for name in told if isinstance(name, str) and not is_hidden(name)]


def _pattern(hosts: Iterable[str], people: Iterable[str] = ()) -> re.Pattern[str] | None:
    """Finds hosts as words, with and without their domain, and people where they can be nothing else: before @, as a folder."""
    names = {name for host in hosts for name in (host, host.partition(".")[0]) if name.lower() not in _TELLS_NOBODY}
    machines, users = (sorted(each, key=len, reverse=True) for each in (names, people))
    machine = "|".join(map(re.escape, machines))
    login = rf"(?P<login>[\w.+\-]+)(?=@(?:{machine})(?![\w\-]))"
    wanted = [login, rf"(?<![\w.\-])(?P<host>{machine})(?![\w\-])"] if machines else []
    if users:
        one = "|".join(map(re.escape, users))
        wanted.append(rf"(?<![\w.\-])(?P<user>{one})(?=@)|(?<=/)(?P<folder>{one})(?=/|$|\s)")
    return re.compile("|".join(wanted)) if wanted else None


def _unnamed(found: re.Match[str]) -> str:
    return "<host>" if found.lastgroup == "host" else "<user>"


def _is_place(value: str) -> bool:
    """Whether a text is one path and nothing else."""
    return "\n" not in value and bool(re.match(r"(?:file://)?/[^/]|[A-Za-z]:\\", value)) and ": " not in value


def _alternatives(places: Iterable[str]) -> re.Pattern[str] | None:
    """Finds any of these as a whole, or as the beginning of what is below it; the longest first."""
    found = sorted(places, key=len, reverse=True)
    return re.compile(rf"""(?:{"|".join(map(re.escape, found))})(?=[/\s'",:;)\]]|$)""") if found else None


def _alike(one: Mapping[Any, Any], other: Mapping[Any, Any]) -> bool:
    return len(one) == len(other) and all(one.get(key, one) is value for key, value in other.items())


def _strings(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _strings(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _strings(item)


def _blank(value: Any) -> Any:
    return "" if isinstance(value, str) else None


def _or_none(ask: Any) -> str | None:
    try:
        return str(ask())
    except (OSError, KeyError, RuntimeError):  # a number without a name, as in a container
        return None
