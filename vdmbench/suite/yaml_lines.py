"""YAML with the line of every key kept, so that an error can point at it.

Values are read by the core schema of YAML 1.2: ``1e-4`` is a number, ``0100`` is one hundred, and only ``true`` and ``false``
are booleans. What YAML would read without a word as something that nobody meant is an error: a key given twice, a key without
a value, a number that no float can hold.
"""

from __future__ import annotations

import math
import re
from typing import Any

import yaml

Path = tuple[str | int, ...]


class YamlError(ValueError):
    """Text that is not YAML as suites use it; ``line`` counts from 1."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.line = line


class _Loader(yaml.SafeLoader):
    """The safe loader, with its YAML 1.1 readings of plain words taken out below."""

    def scan_flow_scalar(self, style: str) -> Any:
        """A text in quotes; what Python refuses in its escapes (``"\\U00110000"`` is no character) is an error of its line."""
        line = self.line + 1
        try:
            return super().scan_flow_scalar(style)
        except (ValueError, OverflowError) as error:
            raise YamlError(f"an escape in this text names no character ({error}); write the character itself", line) from None

    def construct_decimal(self, node: yaml.ScalarNode) -> int:
        """A leading zero means nothing; YAML 1.1 would read octal."""
        return int(node.value)

    def construct_finite(self, node: yaml.ScalarNode) -> float:
        """Neither infinity for a number that is too large nor zero for one that is too small."""
        value = float(node.value)
        mantissa = re.split("[eE]", node.value)[0]
        if not math.isfinite(value) or (value == 0 and mantissa.strip("+-0.")):
            raise ValueError("a number of this size does not fit in a float")
        return value


_REPLACED = {f"tag:yaml.org,2002:{kind}" for kind in ("bool", "float", "int", "merge", "timestamp", "value", "yaml")}
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in _REPLACED]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|false)$"), list("tf"))
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^[-+]?[0-9]+$"), list("-+0123456789"))
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?$"), list("-+.0123456789")
)
_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_decimal)
_Loader.add_constructor("tag:yaml.org,2002:float", _Loader.construct_finite)


# YAML lets a text of a few lines expand without end through aliases, or nest until the parser's stack is gone.
_DEEPEST = 32


def _walk(node: yaml.Node, loader: _Loader, path: Path, lines: dict[Path, int]) -> Any:
    line = node.start_mark.line + 1
    lines.setdefault(path, line)
    if len(path) > _DEEPEST:
        raise YamlError(f"nested deeper than {_DEEPEST} levels", line)
    if isinstance(node, yaml.MappingNode):
        mapping: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = key_node.value
            key_line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                raise YamlError("a key must be plain text", key_line)
            if key in mapping:
                raise YamlError(f"'{key}' is given twice (first in line {lines[(*path, key)]})", key_line)
            lines[(*path, key)] = key_line
            mapping[key] = _walk(value_node, loader, (*path, key), lines)
        return mapping
    if isinstance(node, yaml.SequenceNode):
        return [_walk(item, loader, (*path, index), lines) for index, item in enumerate(node.value)]
    if isinstance(node, yaml.ScalarNode) and not node.value and node.style is None:
        raise YamlError(f"{_shown(path)} has no value: write one, or null for none, or leave the key out", line)
    try:
        return loader.construct_object(node)
    except (yaml.YAMLError, ValueError) as error:
        raise YamlError(f"'{node.value}' cannot be read: {error}", line) from None


def _shown(path: Path) -> str:
    """A key by its name, an entry of a list by its number."""
    last = path[-1] if path else None
    return f"'{last}'" if isinstance(last, str) else "the text" if last is None else f"entry {last + 1} of the list"


_HALF_PAIR = re.compile("[\ud800-\udfff]")
"""An escape such as "\\ud800" can name it; no file can hold it."""
_OPENING = (yaml.FlowSequenceStartToken, yaml.FlowMappingStartToken, yaml.BlockSequenceStartToken, yaml.BlockMappingStartToken)
_CLOSING = (yaml.FlowSequenceEndToken, yaml.FlowMappingEndToken, yaml.BlockEndToken)


def _refuse_what_is_not_plain(text: str) -> None:
    """Aliases, tags and bottomless nesting end here, before anything is composed or constructed."""
    depth = 0
    for token in yaml.scan(text, Loader=_Loader):
        line = token.start_mark.line + 1
        if isinstance(token, yaml.AliasToken | yaml.AnchorToken):
            raise YamlError("anchors and aliases are not supported; write the value out", line)
        if isinstance(token, yaml.ScalarToken) and _HALF_PAIR.search(token.value):
            raise YamlError("half of a surrogate pair is no text; write the character itself", line)
        if isinstance(token, yaml.TagToken):
            raise YamlError("tags such as !!float are not supported; write the value as it is", line)
        depth += isinstance(token, _OPENING) - isinstance(token, _CLOSING)
        if depth > _DEEPEST:
            raise YamlError(f"nested deeper than {_DEEPEST} levels", line)


def parse_yaml(text: str) -> tuple[Any, dict[Path, int]]:
    """Plain data, and the line of every path in it. Raises :class:`YamlError`."""
    if "\0" in text:
        raise YamlError("a zero byte; this is not a text file", text[: text.index("\0")].count("\n") + 1)
    try:
        loader = _Loader(text)
        _refuse_what_is_not_plain(text)
        node = loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise YamlError(f"not YAML: {error.problem or error.context}", mark.line + 1 if mark else 1) from None
    except yaml.YAMLError as error:
        raise YamlError(f"not YAML: {' '.join(str(error).split())}", 1) from None
    except RecursionError:
        raise YamlError(f"nested deeper than {_DEEPEST} levels", 1) from None
    lines: dict[Path, int] = {}
    return (None if node is None else _walk(node, loader, (), lines)), lines


def parse_value(text: str) -> Any:
    """One value as it is written on a command line, without the traps of a YAML document.

    ``[...]``, ``{...}`` and quoted text are YAML. Everything else is one plain value as a whole: a number, ``true``, ``false``
    or ``null`` where it looks like one, else the text itself, whatever is in it (``data/run #2``, ``ratio: 2``).

    Raises:
        YamlError: nothing is written, YAML that cannot be read, or something behind its end.
    """
    text = text.strip()
    if not text:
        raise YamlError("no value: write null to switch the field off", 1)
    if text[0] in "[{\"'":
        value, _ = parse_yaml(text)
        if (rest := _behind(text)) is not None:
            raise YamlError(f"'{rest}' behind the value would be ignored: take it away, or quote the whole value", 1)
        return value
    if "\0" in text or _HALF_PAIR.search(text):
        raise YamlError("a zero byte or half of a surrogate pair is no text", 1)
    loader = _Loader("")
    tag = loader.resolve(yaml.ScalarNode, text, (True, False))
    try:
        return loader.construct_object(yaml.ScalarNode(tag, text))
    except ValueError as error:
        raise YamlError(f"'{text}' cannot be read: {error}", 1) from None


def _behind(text: str) -> str | None:
    """What follows the one node of ``text``, such as a comment; None where nothing does."""
    node = _Loader(text).get_single_node()
    return None if node is None else text[node.end_mark.index :].strip() or None
