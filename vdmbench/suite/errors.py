"""Turn what pydantic says of a suite into lines a person can act on: file, line, path, cause, remedy."""

from __future__ import annotations

import difflib
import types
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticCustomError

from vdmbench.suite.yaml_lines import Path


class SuiteError(ValueError):
    """A suite that cannot be used; one line a problem."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = [one_line(problem) for problem in problems]
        super().__init__("\n".join(self.problems))


_LONGEST = 1200


def one_line(text: str) -> str:
    """Whatever was echoed from a file: on one line, printable, and short enough to read, its beginning and end kept."""
    shown = "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)
    return shown if len(shown) <= _LONGEST else f"{shown[: _LONGEST // 2]} … {shown[-_LONGEST // 2 :]}"


def dotted(path: Path) -> str:
    """``('a', 0, 'b')`` as ``a[0].b``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def closest(name: str, known: list[str]) -> str:
    """A hint for a misspelt key."""
    found = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"did you mean '{found[0]}'?" if found else f"known here: {', '.join(known)}"


def problem_at(path: Path, message: str) -> PydanticCustomError:
    """To raise from a validator of a whole model: a problem of one of its fields."""
    return PydanticCustomError("problem_at", "{message}", {"path": path, "message": message})


def union_tag(name: str) -> str:
    """The tag of a member of a union that is told apart otherwise than by ``name``; no key of a suite looks like it."""
    return f"<{name}>"


def clean_location(location: tuple[str | int, ...], data: Any) -> Path:
    """Pydantic's location without the union tags it puts between a choice and its options."""
    path: list[str | int] = []
    here, tag_seen = data, False
    for part in location:
        if isinstance(here, dict) and here.get("name") == part and not tag_seen:
            tag_seen = True  # it comes first: an option of the same name comes behind it
            continue
        tag_seen = False
        indexes_list = isinstance(here, list) and isinstance(part, int) and part < len(here)
        if indexes_list or (isinstance(here, dict) and part in here):
            here = here[part]
        elif isinstance(here, str) or (isinstance(here, dict) and str(part).startswith("<")):
            continue  # the tag of a discriminated union
        else:
            here = None
        path.append(part)
    return tuple(path)


def _members(annotation: Any) -> list[Any]:
    if get_origin(annotation) is Annotated:
        return _members(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return [inner for member in get_args(annotation) for inner in _members(member)]
    return [annotation]


def _inside(data: Any, part: Any) -> Any:
    """What stands at ``part`` of a mapping or a list; None where nothing does: one value may stand for a list of it."""
    if isinstance(data, dict):
        return data.get(part)
    return data[part] if isinstance(data, list) and isinstance(part, int) and part < len(data) else None


def known_keys(model: type[BaseModel], path: Path, data: Any) -> list[str]:
    """The fields that the mapping at ``path`` may have, for a hint."""
    here: list[Any] = [model]
    for part in path:
        data = _inside(data, part)
        following: list[Any] = []
        for member in here:
            if isinstance(member, type) and issubclass(member, BaseModel):
                fields = {field.alias or name: field for name, field in member.model_fields.items()}
                if part in fields:
                    following += _members(fields[str(part)].annotation)
            elif get_origin(member) in (dict, list):
                following += _members(get_args(member)[-1])
        here = following
    models = [member for member in here if isinstance(member, type) and issubclass(member, BaseModel)]
    name = data.get("name", data.get("process")) if isinstance(data, dict) else data
    named = [
        member
        for member in models
        for key in ("name", "process")
        if key in member.model_fields and name in get_args(member.model_fields[key].annotation)
    ]
    return sorted({field.alias or key for member in named or models for key, field in member.model_fields.items()})


def explain(error: ValidationError, model: type[BaseModel], data: Any) -> list[tuple[Path, str]]:
    """Each problem as a path into ``data`` and a message without jargon."""
    problems: list[tuple[Path, str]] = []
    for item in error.errors():
        inside = item["ctx"]["path"] if item["type"] == "problem_at" else ()
        path = clean_location((*item["loc"], *inside), data)
        if item["type"] == "extra_forbidden":
            message = f"unknown key '{path[-1]}', {closest(str(path[-1]), known_keys(model, path[:-1], data))}"
        elif item["type"] == "missing":
            message = f"'{path[-1]}' is missing"
        else:
            message = item["msg"].removeprefix("Value error, ")
            given = item.get("input")
            if item["type"] not in ("value_error", "choice", "unknown_name", "problem_at"):  # worded by pydantic
                message = message[:1].lower() + message[1:]
                if isinstance(given, str | int | float | bool | None):
                    message += f", got {given!r}"
        problems.append((path, message))
    return problems
