"""Classes that a user names as ``path.py:Class``: told apart from registered names, fingerprinted, and loaded.

Naming a file reads it, and the modules beside it that it imports, for their hash; only :func:`load_class` runs it, and it runs
nothing whose fingerprint was not allowed in this process or in one above it (:func:`allow`). So a command that forgets to ask
for ``--allow-code`` fails, and runs nothing.
"""

from __future__ import annotations

import ast
import importlib.util
import os
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import EXTENSION_SUFFIXES, ModuleSpec, SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

from vdmbench.file_digests import digest_of, sha256_of
from vdmbench.home import expanded


class InvalidUserCode(ValueError):
    """A named file or class that cannot be used; the message says which and why."""


class CodeNotAllowed(InvalidUserCode):
    """A file would run that nobody has allowed; the message names it."""


_ALLOWED = "VDMBENCH_ALLOWED_CODE"
"""The environment variable that holds what is allowed, because workers, planners and probes are processes of their own."""


def allowed() -> frozenset[str]:
    """Fingerprints of the code that may run here."""
    return frozenset(os.environ.get(_ALLOWED, "").split())


def allow(fingerprints: Iterable[str]) -> None:
    """Let :func:`load_class` run code of these fingerprints, in this process and in those that it starts."""
    os.environ[_ALLOWED] = " ".join(sorted(allowed() | set(fingerprints)))


def code_in(declaration: Any) -> dict[str, str]:
    """Each ``path.py:Class`` that a declaration names, with its fingerprint; raises :class:`InvalidUserCode`.

    ``declaration`` is what pydantic dumps: mappings and lists of plain values. Every text in it is looked at, whatever field it
    stands in, so that no field can be forgotten.
    """
    if isinstance(declaration, Mapping):
        found = {name: sha for value in declaration.values() for name, sha in code_in(value).items()}
        name, declared = declaration.get("name"), declaration.get("sha256")
        if isinstance(name, str) and isinstance(declared, str) and name in found:
            found[name] = declared  # the text that was hashed when the suite was read, which load_class compares
        return found
    if isinstance(declaration, (list, tuple)):
        return {name: sha for value in declaration for name, sha in code_in(value).items()}
    return {declaration: fingerprint(declaration)} if isinstance(declaration, str) and is_code(declaration) else {}


def is_code(name: str) -> bool:
    """Whether a name is ``path.py:Class`` and not one of a registry."""
    return ".py:" in name


def _split(name: str) -> tuple[Path, str]:
    file, _, attribute = name.rpartition(".py:")
    if not file or not attribute.isidentifier():
        raise InvalidUserCode(f"'{name}' is no path.py:Class")
    return expanded(file + ".py"), attribute


def fingerprint(name: str) -> str:
    """SHA-256 of the code that ``path.py:Class`` names: the file, and every module of the user's own that it imports.

    Of a file that imports none it is the file's own SHA-256. A relative path starts at the working directory. Installed
    packages are not read: their versions stand in the record's environment.

    Raises :class:`InvalidUserCode` where there is no such file.
    """
    path, _ = _split(name)
    try:
        own = sha256_of(path)
        helpers = {module: sha256_of(source) for module, source in _helpers(path).items()}
    except OSError as error:
        raise InvalidUserCode(f"{path} cannot be read ({error.strerror or error})") from None
    return digest_of({"file": own, "helpers": helpers}) if helpers else own


def load_class(name: str, *, sha256: str | None = None) -> Any:
    """Run the file and return the class; with ``sha256`` only if its code still is what was declared.

    The file can import the modules that lie beside it. What runs is always their text, never a compiled copy, which Python
    takes for fresh by a file's size and time alone.

    Raises :class:`CodeNotAllowed` where :func:`allow` was not given its fingerprint, and :class:`InvalidUserCode`; also where
    the file imports code of the user's own that its text does not name, for that would be no part of the fingerprint.
    """
    path, attribute = _split(name)
    found = fingerprint(name)
    if sha256 is not None and found != sha256:
        raise InvalidUserCode(f"{path} has changed since it was declared: plan again, for changed code is another cell")
    if found not in allowed():
        raise CodeNotAllowed(f"{path} would run: read the code, then add --allow-code")
    own_name = f"vdmbench_user_{found[:16]}"
    spec = importlib.util.spec_from_file_location(own_name, path, loader=_FromText(own_name, str(path)))
    if spec is None or spec.loader is None:
        raise InvalidUserCode(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    try:
        with _importing_helpers(path):
            spec.loader.exec_module(module)
    except InvalidUserCode:
        raise
    except Exception as error:
        raise InvalidUserCode(f"{path} cannot be imported: {type(error).__name__}: {error}") from error
    if not hasattr(module, attribute):
        raise InvalidUserCode(f"{path} has no '{attribute}'")
    return getattr(module, attribute)


def _helpers(path: Path) -> dict[str, Path]:
    """The user's own modules that the file imports, and that these import in turn, by name."""
    found: dict[str, Path] = {}
    waiting = [(path, "")]
    while waiting:
        file, package = waiting.pop()
        for imported in _imports(file, package):
            parts = imported.split(".")
            for depth in range(1, len(parts) + 1):  # a package's own __init__ is run too
                module = ".".join(parts[:depth])
                source = None if module in found else _source_of(parts[:depth], path.parent)
                if source is not None:
                    found[module] = source
                    waiting.append((source, module if source.name == "__init__.py" else module.rpartition(".")[0]))
    return found


def _imports(file: Path, package: str) -> Iterator[str]:
    """Full names of what a file of ``package`` imports, wherever the statements stand in it."""
    if file.suffix != ".py":
        return
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError):  # said when it is run
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            inside = package.split(".") if package and node.level else []
            above = inside[: len(inside) - node.level + 1]
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield base
            yield from (f"{base}.{alias.name}" if base else alias.name for alias in node.names)


def _source_of(parts: list[str], beside: Path) -> Path | None:
    """The file of a module of the user's own; None of the standard library, installed packages, and vdmbench itself."""
    if parts[0] == "vdmbench" or parts[0] in sys.stdlib_module_names or not all(parts):
        return None
    for folder in [beside, *(Path(entry) for entry in sys.path if not _is_installed(Path(entry)))]:
        place = folder.joinpath(*parts)
        for source in (place / "__init__.py", *(place.with_name(place.name + suffix) for suffix in _SUFFIXES)):
            if source.is_file():
                return source
    return None


_SUFFIXES = (".py", *EXTENSION_SUFFIXES)


def _is_installed(place: Path) -> bool:
    """Whether it belongs to Python, or to packages that were installed."""
    resolved = place.resolve()
    homes = {Path(sysconfig.get_path(kind)).resolve() for kind in ("stdlib", "platstdlib", "purelib", "platlib")}
    return "site-packages" in resolved.parts or any(resolved.is_relative_to(home) for home in homes)


class _FromText(SourceFileLoader):
    """Compiles a module from its text each time."""

    def path_stats(self, path: str) -> Any:
        raise OSError("what a compiled copy would be held against; without it none is read or written")


class _Helpers(MetaPathFinder):
    """Finds the modules that a fingerprint is of, and no others."""

    def __init__(self, sources: dict[str, Path]) -> None:
        self.sources = sources

    def find_spec(self, fullname: str, path: Any, target: ModuleType | None = None) -> ModuleSpec | None:
        source = self.sources.get(fullname)
        if source is None:
            return None
        loader = _FromText(fullname, str(source)) if source.suffix == ".py" else None
        inside = [str(source.parent)] if source.name == "__init__.py" else None
        return importlib.util.spec_from_file_location(fullname, source, loader=loader, submodule_search_locations=inside)


@contextmanager
def _importing_helpers(path: Path) -> Iterator[None]:
    """Let the block import the helpers of ``path`` anew, and hold that it imports no other code of the user's own."""
    helpers = _Helpers(_helpers(path))
    for name in helpers.sources:
        sys.modules.pop(name, None)  # another file's helper of the same name, or an earlier text of this one
    before, beside = set(sys.modules), str(path.resolve().parent)
    sys.meta_path.insert(0, helpers)
    sys.path.insert(0, beside)  # for packages without an __init__
    try:
        yield
    finally:
        sys.path.remove(beside)
        sys.meta_path.remove(helpers)
    for name in sorted(set(sys.modules) - before - set(helpers.sources)):
        file = Path(getattr(sys.modules[name], "__file__", None) or "")
        if file.suffix == ".py" and name.partition(".")[0] != "vdmbench" and not _is_installed(file):
            raise InvalidUserCode(
                f"{path} imports {name} from {file} in a way that its text does not show, so that a change of it would go "
                "unnoticed: name it in an import statement"
            )
