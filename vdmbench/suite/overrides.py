"""Setting a field by its path: ``train.steps=10`` on the command line, a sweep's axis, a variant's ``set``."""

from __future__ import annotations

from typing import Any

from vdmbench.suite.errors import closest
from vdmbench.suite.yaml_lines import YamlError, parse_yaml

# Mappings whose keys are themselves field paths, so that what follows is one key, dots and all.
_OPEN = ("sweep", "set", "tiny")


class UnknownPath(KeyError):
    """A path that leads nowhere; ``message`` says where it stops and what is there."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    def __str__(self) -> str:
        return self.message


def parse_override(text: str) -> tuple[str, Any]:
    """``key.path=value`` with the value read as YAML. Raises ValueError with the remedy."""
    path, equals, value = text.partition("=")
    if not equals or not path.strip():
        raise ValueError(f"'{text}' is not an override; write key.path=value, such as train.steps=10")
    try:
        return path.strip(), parse_yaml(value)[0]
    except YamlError as error:
        raise ValueError(f"'{text}': {error}") from None


def _descend(tree: Any, path: str) -> tuple[Any, str | int]:
    """The container that holds the path's last part, and that part."""
    here, parts = tree, path.split(".")
    for depth, part in enumerate(parts[:-1]):
        if isinstance(here, dict) and part in here and part in _OPEN and isinstance(here[part], dict):
            return here[part], ".".join(parts[depth + 1 :])
        here = here[_key(here, part, parts[:depth])]
    last = _key(here, parts[-1], parts[:-1])
    return here, last


def _key(here: Any, part: str, before: list[str]) -> str | int:
    where = f"'{'.'.join(before)}'" if before else "the suite"
    if isinstance(here, dict):
        if part not in here:
            raise UnknownPath(f"{where} has no '{part}', {closest(part, list(here))}")
        return part
    if isinstance(here, list):
        if not part.isdigit() or int(part) >= len(here):
            raise UnknownPath(f"{where} is a list of {len(here)}; '{part}' is no position in it")
        return int(part)
    raise UnknownPath(f"{where} is {here!r} and has nothing inside; set it as a whole")


def set_path(tree: dict[str, Any], path: str, value: Any) -> None:
    """Replace what is at ``path``, which must exist (a full tree has every field). Raises :class:`UnknownPath`."""
    container, last = _descend(tree, path)
    container[last] = value


def has_path(tree: dict[str, Any], path: str) -> bool:
    """Whether ``path`` leads to a field."""
    try:
        _descend(tree, path)
    except UnknownPath:
        return False
    return True
