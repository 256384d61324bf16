"""Plans that were made before, by cell identity, so that a suite of thousands is not solved at every command.

One JSON file a suite in the user's cache. It is named for the code that made it, a hash of vdmbench's own files and of the
versions that simulated memory depends on: changed code is another file, and the old one is dropped. A cell is not kept
where its answer depends on something else, which is a match that was measured on a device, or a mixer or network of
another package.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import re
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from vdmbench import registry
from vdmbench.cards import PLANNED_FOR
from vdmbench.file_digests import digest_of
from vdmbench.records import Solved, write_atomically
from vdmbench.suite import Cell, CellInputs
from vdmbench.suite.pattern import mixers_of
from vdmbench.user_cache import user_cache, writable
from vdmbench.user_code import is_code

_DEPENDED_ON = ("torch", "triton", "numpy", "mamba-ssm", "causal-conv1d", "xformers", "flash-linear-attention")


class PlanCache:
    """Solved or infeasible, by identity; equal answers are held once."""

    def __init__(self, suite: str, *, memory: bool, plan_for: str = PLANNED_FOR, with_packages: bool = False) -> None:
        kind = (f"for-{plan_for}" if memory else "without-memory") + ("-with-packages" if with_packages else "")
        self._prefix = f"{re.sub(r'[^A-Za-z0-9_.-]', '-', suite)}.{kind}."
        folder = writable(user_cache() / "plans")
        self._path = folder / f"{self._prefix}{code_digest()}.json" if folder else None
        self._answers, self._cells = _read(self._path)
        self._models: dict[str, tuple[Solved | None, str | None]] = {}
        self._changed = False

    def get(self, identity: str) -> tuple[Solved | None, str | None] | None:
        """The solution, or why there is none; None where it is not known."""
        digest = self._cells.get(identity)
        answer = None if digest is None else self._answers.get(digest)
        if digest is None or answer is None:
            return None
        if digest not in self._models:
            try:
                self._models[digest] = parse_answer(answer)
            except (ValueError, KeyError, TypeError):  # damaged: solved anew, and then replaced
                return None
        return self._models[digest]

    def add(self, cells: Sequence[Cell], answer: dict[str, Any]) -> None:
        """Keep what the planner answered for cells declared alike, unless it depends on more than that and this code."""
        if not _depends_on_code_alone(cells[0].inputs):
            return
        digest = digest_of(answer)[:16]
        self._answers[digest] = answer
        self._cells.update((cell.identity, digest) for cell in cells)
        self._models.pop(digest, None)
        self._changed = True

    def save(self) -> None:
        """Make it last, and drop those of other code. Without a writable cache folder every command solves anew."""
        if self._path is None or not self._changed:
            return
        with suppress(OSError):  # a full disk, which is told where it matters
            kept = {"answers": self._answers, "cells": self._cells}
            write_atomically(self._path, json.dumps({"digest": digest_of(kept), **kept}).encode())
            for old in self._path.parent.glob(f"{self._prefix}*.json"):
                if old != self._path:
                    old.unlink(missing_ok=True)
        self._changed = False


def parse_answer(answer: dict[str, Any]) -> tuple[Solved | None, str | None]:
    """What the planner said of one cell."""
    return Solved.model_validate(answer["solved"]) if answer["solved"] else None, answer["infeasible"]


def _read(path: Path | None) -> tuple[dict[str, Any], dict[str, str]]:
    """What was kept; nothing where it is not there, damaged, or not as it was kept: it is only a cache."""
    try:
        kept = json.loads(path.read_bytes()) if path else {}
        if kept.pop("digest") != digest_of(kept):
            return {}, {}
        return dict(kept["answers"]), dict(kept["cells"])
    except (OSError, ValueError, KeyError, TypeError):
        return {}, {}


def _depends_on_code_alone(inputs: CellInputs) -> bool:
    matches = [match for match in (inputs.match, inputs.match and inputs.match.also) if match]
    if any(match.source == "measured" for match in matches):
        return False
    network = registry.networks[inputs.network.name]
    named = [name for choice in mixers_of(inputs.temporal) for name in _names(choice)]
    mixers = [registry.mixers[name] for name in named if not is_code(name)]  # a user's file is in the identity by its hash
    return all(entry.target.startswith("vdmbench.") for entry in (network, *mixers))


def _names(choice: Any) -> list[str]:
    """A mixer's name, and those of the mixers inside it."""
    inside = [part for part in choice.values() if isinstance(part, dict) and "name" in part]
    return [choice["name"], *(name for part in inside for name in _names(part))]


@cache
def code_digest() -> str:
    """Of everything here that an answer follows from: vdmbench's own files, and the packages that simulate."""
    digest = hashlib.sha256()
    package = Path(registry.__file__).parent
    for file in sorted(package.rglob("*.py")):
        digest.update(str(file.relative_to(package)).encode() + b"\0" + file.read_bytes() + b"\0")
    for name in _DEPENDED_ON:
        try:
            digest.update(f"{name} {importlib.metadata.version(name)}".encode())
        except importlib.metadata.PackageNotFoundError:
            digest.update(f"{name} -".encode())
    return digest.hexdigest()[:16]
