"""From a YAML file, and overrides, to a validated :class:`Suite`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path as FilePath
from typing import Any

from pydantic import ValidationError

from vdmbench.suite.errors import SuiteError, dotted, explain
from vdmbench.suite.overrides import UnknownPath, parse_override, set_path
from vdmbench.suite.schema import Suite
from vdmbench.suite.yaml_lines import Path, YamlError, parse_yaml


class SourceLines:
    """Where in the file, or in which override, a path of the suite was written."""

    def __init__(self, file: str, lines: dict[Path, int]) -> None:
        self._file, self._lines = file, lines
        self._overrides: list[tuple[Path, str]] = []

    def override(self, path: Path, place: str) -> None:
        """What is at ``path`` was set otherwise at ``place``."""
        self._overrides.append((path, place))

    def place(self, path: Path) -> str:
        """``file:line`` of the path or of the nearest enclosing one, or the override that set it."""
        for overridden, place in reversed(self._overrides):
            if path[: len(overridden)] == overridden:
                return place
        for length in range(len(path), -1, -1):
            if path[:length] in self._lines:
                return f"{self._file}:{self._lines[path[:length]]}"
        return self._file

    def keys(self, path: Path) -> list[str]:
        """Keys that the file gives to the mapping at ``path``."""
        below = len(path) + 1
        return [str(written[-1]) for written in self._lines if len(written) == below and written[:-1] == path]

    def problem(self, path: Path, message: str) -> str:
        """One line: place, path, message."""
        return f"{self.place(path)}: {dotted(path)}: {message}" if path else f"{self.place(path)}: {message}"


def _validate(data: Any, lines: SourceLines) -> Suite:
    try:
        return Suite.model_validate(data)
    except ValidationError as error:
        raise SuiteError([lines.problem(path, message) for path, message in explain(error, Suite, data)]) from None


def load_suite(file: FilePath, overrides: Sequence[str] = (), *, tiny: bool = False) -> tuple[Suite, SourceLines]:
    """Read and validate a suite; every problem is named with its file and line.

    :param overrides: ``key.path=value`` texts, applied in order to the suite as validated.
    :param tiny: apply the suite's own ``tiny`` block before them.
    :raises SuiteError: the file cannot be read, is not YAML, or is no valid suite.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise SuiteError([f"{file}: cannot be read ({error.strerror or error})"]) from None
    except UnicodeDecodeError as error:
        raise SuiteError([f"{file}: not UTF-8 text (byte {error.start})"]) from None
    return parse_suite(text, str(file), overrides, tiny=tiny)


def parse_suite(
    text: str, file: str = "suite", overrides: Sequence[str] = (), *, tiny: bool = False
) -> tuple[Suite, SourceLines]:
    """:func:`load_suite` for a text already in memory; ``file`` names it in errors."""
    try:
        data, positions = parse_yaml(text)
    except YamlError as error:
        raise SuiteError([f"{file}:{error.line}: {error}"]) from None
    if not isinstance(data, dict):
        raise SuiteError(
            [
                f"{file}:1: a suite is a mapping with name, variants, data, ...; this file is "
                f"{'empty' if data is None else 'a ' + type(data).__name__}"
            ]
        )
    lines = SourceLines(file, positions)
    suite = _validate(data, lines)
    if tiny:
        suite = _made_tiny(suite, lines)
    if overrides:
        tree = suite.model_dump(by_alias=True)
        for text in overrides:
            try:
                path, value = parse_override(text)
                keys = set_path(tree, path, value)
            except (ValueError, UnknownPath) as error:
                raise SuiteError([f"override {text}: {error}"]) from None
            lines.override(keys, f"override {text}")
        suite = _validate(tree, lines)
    return suite, lines


def _made_tiny(suite: Suite, lines: SourceLines) -> Suite:
    """With the fields of its ``tiny`` block set, and a name of its own, so that its results have a folder of their own."""
    if not suite.tiny:
        raise SuiteError(
            [
                lines.problem(
                    (),
                    "no 'tiny' block says how to make this suite small: add one of field paths and "
                    "values, or set fields by key.path=value",
                )
            ]
        )
    tree = suite.model_dump(by_alias=True)
    for path, value in suite.tiny.items():
        try:
            keys = set_path(tree, path, value)
        except UnknownPath as error:
            raise SuiteError([lines.problem(("tiny", path), str(error))]) from None
        lines.override(keys, lines.place(("tiny", path)))
    return _validate({**tree, "name": f"{suite.name}-tiny"}, lines)
