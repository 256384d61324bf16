"""YAML with the line of every key kept, so that an error can point at it.

Read as YAML 1.2 people expect: ``1e-4`` is a number, only ``true`` and ``false`` are booleans, and a key given twice is an
error instead of the last one winning.
"""

from __future__ import annotations

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


_REPLACED = {f"tag:yaml.org,2002:{kind}" for kind in ("bool", "float", "int", "timestamp")}
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in _REPLACED]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|false)$"), list("tf"))
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^[-+]?[0-9]+$"), list("-+0123456789"))
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?$"), list("-+.0123456789")
)


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
    try:
        return loader.construct_object(node)
    except (yaml.YAMLError, ValueError) as error:
        raise YamlError(f"'{node.value}' cannot be read: {error}", line) from None


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
