"""All files under a folder, links followed; and what was left out, so that it can be said. Never imports torch."""

from __future__ import annotations

import os
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class FileTree:
    """What lies under ``root``, as paths that begin with ``root``, sorted."""

    root: Path
    files: list[Path] = field(default_factory=list)
    hidden: list[Path] = field(default_factory=list)
    """Files and folders whose name begins with a dot; what lies within such a folder is not counted."""
    again: list[Path] = field(default_factory=list)
    """Links to folders that are walked already, those that they lie in among them."""
    broken: list[Path] = field(default_factory=list)
    """Links to nothing, and what is neither file nor folder."""


def file_tree(root: Path) -> FileTree:
    """Walk ``root`` at any depth. Links to folders are followed; each folder is walked once, by its own name first."""
    tree = FileTree(root)
    seen: set[tuple[int, int]] = set()
    links = deque([root])
    while links:
        _walk(links.popleft(), tree, seen, links)
    for found in (tree.files, tree.hidden, tree.again, tree.broken):
        found.sort(key=lambda path: path.relative_to(root).as_posix())
    return tree


def _walk(folder: Path, tree: FileTree, seen: set[tuple[int, int]], links: deque[Path]) -> None:
    """``folder`` and all below it; links to folders wait in ``links`` for what is no link to come first."""
    status = folder.stat()
    if (status.st_dev, status.st_ino) in seen:
        tree.again.append(folder)
        return
    seen.add((status.st_dev, status.st_ino))
    with os.scandir(folder) as entries:
        inside = sorted(entries, key=lambda entry: entry.name)
    for entry in inside:
        path = folder / entry.name
        if entry.name.startswith("."):
            tree.hidden.append(path)
        elif entry.is_dir():
            if entry.is_symlink():
                links.append(path)
            else:
                _walk(path, tree, seen, links)
        elif entry.is_file():
            tree.files.append(path)
        else:
            tree.broken.append(path)
