"""A named thing in a suite: its bare name, or a mapping of ``name`` and its options.

``mixer: mamba`` and ``mixer: {name: mamba, direction: both}`` are the same kind of value. The union below is made from a
registry table, so options are checked by the model of the name they belong to, plug-ins included.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Union

from pydantic import BeforeValidator, Discriminator, GetJsonSchemaHandler, Tag, create_model
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError

from vdmbench.registry import Table, UnknownName
from vdmbench.suite.model import Declared


class _NameOrMapping:
    """Tells an editor's JSON Schema that the bare name is allowed too."""

    def __init__(self, names: list[str]) -> None:
        self.names = names

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"anyOf": [{"enum": self.names, "type": "string"}, handler(schema)]}


def _name_of(value: Any) -> Any:
    return value["name"] if isinstance(value, dict) else value.name


def _choice_name(options: str, name: str) -> str:
    """A class name for the JSON Schema: two names may share an option model."""
    return "".join(part.title() for part in name.split("-")) + options.removesuffix("Options") + "Choice"


def choice(table: Table) -> Any:
    """The annotation of a field that takes one name of ``table``; its value is the option model plus ``name``."""
    members: list[Any] = []
    for entry in table:
        options: type[Declared] = entry.load_options()
        model = create_model(_choice_name(options.__name__, entry.name), __base__=options, __doc__=entry.help,
                             name=(Literal[entry.name], entry.name))
        members.append(Annotated[model, Tag(entry.name)])
    names = [entry.name for entry in table]

    def normalise(value: Any) -> Any:
        if isinstance(value, str):
            value = {"name": value}
        if isinstance(value, Declared):
            return value
        if not isinstance(value, dict) or not isinstance(value.get("name"), str):
            raise PydanticCustomError("choice", "a {kind} is its name, or a mapping with 'name' and its options; one of: {names}",
                                      {"kind": table.kind, "names": ", ".join(names)})
        try:
            table[value["name"]]
        except UnknownName as error:
            raise PydanticCustomError("unknown_name", "{message}", {"message": error.message}) from None
        return value

    union: Any = members[0] if len(members) == 1 else Annotated[Union[tuple(members)], Discriminator(_name_of)]
    return Annotated[union, BeforeValidator(normalise), _NameOrMapping(names)]
