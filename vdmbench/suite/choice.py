"""A named thing in a suite: its bare name, or a mapping of ``name`` and its options.

``mixer: mamba`` and ``mixer: {name: mamba, direction: both}`` are the same kind of value. The union below is made from a
registry table, so options are checked by the model of the name they belong to, plug-ins included.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Union

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    GetJsonSchemaHandler,
    Tag,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError

from vdmbench.registry import Entry, Table, UnknownName
from vdmbench.suite.model import Declared
from vdmbench.user_code import fingerprint, is_code

_CODE = "path.py:Class"
_CODE_PATTERN = r"\.py:[A-Za-z_]\w*$"


class _NameOrMapping:
    """Tells an editor's JSON Schema that the bare name is allowed too."""

    def __init__(self, names: list[str], code: bool) -> None:
        self.names, self.code = names, code

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        files: list[JsonSchemaValue] = [{"pattern": _CODE_PATTERN, "type": "string"}] if self.code else []
        return {"anyOf": [{"enum": self.names, "type": "string"}, *files, handler(schema)]}


class UserClass(Declared):
    """A class of the user's own, by its file; its options are its keyword arguments, checked when it is built.

    The file's content is part of what is declared: changed code is another cell.
    """

    model_config = ConfigDict(extra="allow")

    name: str = Field(pattern=_CODE_PATTERN)
    """``path/to/file.py:Class``; a relative path starts at the working directory."""
    sha256: str = ""
    """Of the file; filled in where it is not given."""

    @model_validator(mode="before")
    @classmethod
    def _fingerprinted(cls, value: Any) -> Any:
        return {**value, "sha256": fingerprint(value["name"])} if isinstance(value, dict) and not value.get("sha256") else value


def _name_of(value: Any) -> Any:
    name = value["name"] if isinstance(value, dict) else value.name
    return _CODE if is_code(name) else name


def _choice_name(options: str, name: str) -> str:
    """A class name for the JSON Schema: two names may share an option model."""
    return "".join(part.title() for part in name.split("-")) + options.removesuffix("Options") + "Choice"


def _named(options: type[Declared], entry: Entry) -> type[Declared]:
    """The option model with the name that chose it. Its own fields have no docstrings to look for, which takes long."""
    body = {
        "__module__": __name__,
        "__doc__": entry.help,
        "__annotations__": {"name": Literal[entry.name]},
        "name": entry.name,
        "model_config": ConfigDict(use_attribute_docstrings=False),
    }
    metaclass: Any = type(options)
    named: type[Declared] = metaclass(_choice_name(options.__name__, entry.name), (options,), body)
    return named


def choice(table: Table, *, code: bool = False) -> Any:
    """The annotation of a field that takes one name of ``table``; its value is the option model plus ``name``.

    With ``code`` it takes a user's ``path.py:Class`` too, as a :class:`UserClass`.
    """
    members: list[Any] = []
    for entry in table:
        options: type[Declared] = entry.load_options()
        members.append(Annotated[_named(options, entry), Tag(entry.name)])
    if code:
        members.append(Annotated[UserClass, Tag(_CODE)])
    names = [entry.name for entry in table]

    def normalise(value: Any) -> Any:
        if isinstance(value, str):
            value = {"name": value}
        if isinstance(value, Declared):
            return value
        if not isinstance(value, dict) or not isinstance(value.get("name"), str):
            raise PydanticCustomError(
                "choice",
                "a {kind} is its name, or a mapping with 'name' and its options; one of: {names}",
                {"kind": table.kind, "names": ", ".join(names)},
            )
        if code and is_code(value["name"]):
            return value
        try:
            entry = table[value["name"]]
        except UnknownName as error:
            raise PydanticCustomError("unknown_name", "{message}", {"message": error.message}) from None
        if table.directed and entry.better not in ("lower", "higher"):
            raise PydanticCustomError(
                "no_direction",
                "{kind} '{name}' ({target}) does not say whether less or more of it is better: give its registry.Entry "
                "better='lower' or better='higher'",
                {"kind": table.kind, "name": entry.name, "target": entry.target},
            )
        return value

    union: Any = members[0] if len(members) == 1 else Annotated[Union[tuple(members)], Discriminator(_name_of)]  # noqa: UP007
    return Annotated[union, BeforeValidator(normalise), _NameOrMapping(names, code)]
