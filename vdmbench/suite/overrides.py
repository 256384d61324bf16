"""Setting a field by its path: ``train.steps=10`` on the command line, a sweep's axis, a variant's ``set``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, NoReturn

from vdmbench.suite.errors import closest
from vdmbench.suite.yaml_lines import Path, YamlError, parse_value


class UnknownPath(KeyError):
    """A path that leads nowhere; ``message`` says where it stops and what is there."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    def __str__(self) -> str:
        return self.message


def parse_override(text: str) -> tuple[str, Any]:
    """``key.path=value``, the value read by :func:`parse_value`. Raises ValueError with the remedy."""
    path, equals, value = text.partition("=")
    if not equals or not path.strip():
        raise ValueError(f"'{text}' is not an override; write key.path=value, such as train.steps=10")
    try:
        return path.strip(), parse_value(value)
    except YamlError as error:
        raise ValueError(f"'{text}': {error}") from None


def parse_options(texts: Iterable[str]) -> dict[str, Any]:
    """``key=value`` texts as a mapping. Raises ValueError, also for a key that is given twice."""
    options: dict[str, Any] = {}
    for text in texts:
        key, value = parse_override(text)
        if key in options:
            raise ValueError(f"'{key}' is given twice, {options[key]!r} and {value!r}: leave one out")
        options[key] = value
    return options


def _is_open(container: Path) -> bool:
    """Whether a mapping's keys are field paths themselves, so that what follows is one key, dots and all."""
    return container in (("sweep",), ("tiny",)) or (
        len(container) == 3 and container[0] == "variants" and container[2] == "set"
    )


def _ways(here: Any, parts: list[str], before: Path) -> Iterator[tuple[Any, Path]]:
    """Each container and path of keys that ``parts`` can mean: a key may have dots in it, as a variant ``mamba-0.5`` has."""
    if isinstance(here, dict) and _is_open(before):
        yield here, (*before, ".".join(parts))
        return
    for taken in range(1, len(parts) + 1):
        key = _key(here, ".".join(parts[:taken]))
        if key is None:
            continue
        if taken == len(parts):
            yield here, (*before, key)
        else:
            yield from _ways(here[key], parts[taken:], (*before, key))


def _key(here: Any, name: str) -> str | int | None:
    """``name`` as a key of a mapping or a position in a list; None where there is none."""
    if isinstance(here, dict):
        return name if name in here else None
    if isinstance(here, list) and re.fullmatch("[0-9]{1,9}", name) and int(name) < len(here):
        return int(name)
    return None


def _descend(tree: Any, path: str) -> tuple[Any, Path]:
    """The container that holds the path's last key, and all keys down to it. Raises :class:`UnknownPath`."""
    ways = list(_ways(tree, path.split("."), ()))
    if len(ways) > 1:
        meanings = " or ".join(" > ".join(map(str, keys)) for _, keys in ways)
        raise UnknownPath(f"'{path}' can mean {meanings}: rename one of them")
    return ways[0] if ways else _lost(tree, path.split("."), ())


def _lost(here: Any, parts: list[str], before: Path) -> NoReturn:
    """Say where a path that leads nowhere stops, and what is there."""
    for taken in range(len(parts) - 1, 0, -1):
        key = _key(here, ".".join(parts[:taken]))
        if key is not None:
            _lost(here[key], parts[taken:], (*before, key))
    where = f"'{'.'.join(map(str, before))}'" if before else "the suite"
    if isinstance(here, dict):
        raise UnknownPath(f"{where} has no '{parts[0]}', {closest(parts[0], list(here))}")
    if isinstance(here, list):
        raise UnknownPath(f"{where} is a list of {len(here)}; '{parts[0]}' is no position in it")
    raise UnknownPath(f"{where} is {here!r} and has nothing inside; set it as a whole")


def set_path(tree: dict[str, Any], path: str, value: Any) -> Path:
    """Replace what is at ``path``, which must exist (a full tree has every field), and return its keys.

    Raises:
        UnknownPath: the path leads nowhere, or to two places.
    """
    container, keys = _descend(tree, path)
    container[keys[-1]] = value
    return keys


def has_path(tree: dict[str, Any], path: str) -> bool:
    """Whether ``path`` leads to a field."""
    return any(True for _ in _ways(tree, path.split("."), ()))
