"""Which limit of a gate holds for which quantity, and where a gate's limits are read."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from vdmbench.quantities import Quantity
from vdmbench.report.results import results_folders
from vdmbench.suite.gate import Threshold, Thresholds


class InvalidThresholds(ValueError):
    """Limits that cannot be used; the message names the file and the field."""


def limit(thresholds: Thresholds, quantity: Quantity) -> Threshold:
    """The limit of one quantity."""
    if quantity.name in thresholds.metrics:
        return thresholds.metrics[quantity.name]
    allowed: Threshold = getattr(thresholds, quantity.limit)
    return allowed


def load_thresholds(path: Path | None = None, *, results: Path | None = None) -> Thresholds:
    """What the suite that made ``results`` declares as its ``gate``, under the ``[gate]`` table of a TOML file.

    What neither says keeps its default. Raises :class:`InvalidThresholds`.
    """
    declared = _of_suite(results) if results is not None else {}
    return _checked(declared | (_of_file(path) if path is not None else {}), path or results)


def _of_suite(results: Path) -> dict[str, Any]:
    for folder in results_folders(results):
        kept = folder / "suite.json"
        if kept.is_file():
            try:
                gate = json.loads(kept.read_bytes()).get("gate")
            except (ValueError, AttributeError):
                raise InvalidThresholds(f"{kept}: not a suite in JSON: its limits cannot be read") from None
            return gate if isinstance(gate, dict) else {}
    return {}


def _of_file(path: Path) -> dict[str, Any]:
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8")).get("gate", {})
    except OSError as error:
        raise InvalidThresholds(f"{path}: cannot be read ({error.strerror or error})") from None
    except tomllib.TOMLDecodeError as error:
        raise InvalidThresholds(f"{path}: not TOML: {error}") from None
    return _checked(table, path).model_dump(exclude_unset=True)


def _checked(table: dict[str, Any], where: Path | None) -> Thresholds:
    try:
        return Thresholds.model_validate(table)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, ("gate", *first["loc"])))
        known = f"; known: {', '.join(Thresholds.model_fields)}" if first["type"] == "extra_forbidden" else ""
        raise InvalidThresholds(f"{where}: {field}: {first['msg']}{known}") from None
