"""Classes that a user names as ``path.py:Class``: told apart from registered names, fingerprinted, and loaded.

Naming a file reads it for its hash; only :func:`load_class` runs it. Commands that would run it ask for ``--allow-code`` first.
"""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path
from typing import Any


class InvalidUserCode(ValueError):
    """A named file or class that cannot be used; the message says which and why."""


def is_code(name: str) -> bool:
    """Whether a name is ``path.py:Class`` and not one of a registry."""
    return ".py:" in name


def _split(name: str) -> tuple[Path, str]:
    file, _, attribute = name.rpartition(".py:")
    if not file or not attribute.isidentifier():
        raise InvalidUserCode(f"'{name}' is no path.py:Class")
    return Path(file + ".py").expanduser(), attribute


def fingerprint(name: str) -> str:
    """SHA-256 of the file that ``path.py:Class`` names; a relative path starts at the working directory.

    Raises :class:`InvalidUserCode` where there is no such file.
    """
    path, _ = _split(name)
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise InvalidUserCode(f"{path} cannot be read ({error.strerror or error})") from None


def load_class(name: str, *, sha256: str | None = None) -> Any:
    """Run the file and return the class; with ``sha256`` only if it still is the file that was declared.

    Raises :class:`InvalidUserCode`.
    """
    path, attribute = _split(name)
    found = fingerprint(name)
    if sha256 is not None and found != sha256:
        raise InvalidUserCode(f"{path} has changed since it was declared: plan again, for changed code is another cell")
    spec = importlib.util.spec_from_file_location(f"vdmbench_user_{found[:16]}", path)
    if spec is None or spec.loader is None:
        raise InvalidUserCode(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise InvalidUserCode(f"{path} cannot be imported: {type(error).__name__}: {error}") from error
    if not hasattr(module, attribute):
        raise InvalidUserCode(f"{path} has no '{attribute}'")
    return getattr(module, attribute)
