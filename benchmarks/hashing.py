"""What knowing files by their content costs: one large file, and 1,000 small ones, the first time and once remembered."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

LARGE, SMALL, COUNT = 1 << 29, 9344, 1000


def seconds(work: Callable[[], object]) -> float:
    """Of the processor."""
    began = time.process_time()
    work()
    return time.process_time() - began


def main() -> None:
    from vdmbench import file_digests

    file_digests.SETTLED = 0  # the files are new
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = str(Path(folder) / "cache")
        large = Path(folder) / "large"
        large.write_bytes(rng.bytes(LARGE))
        taken = min(seconds(lambda: file_digests.sha256_of(large)) for _ in range(3))
        print(f"one file of {LARGE >> 20} MiB: {LARGE / 1e9 / taken:.2f} GB per processor second")
        names = [f"{number}.npy" for number in range(COUNT)]
        for name in names:
            (Path(folder) / name).write_bytes(rng.bytes(SMALL))
        for when in ("first", "again"):
            taken = seconds(lambda: file_digests.digests(Path(folder), names))
            print(f"{COUNT} files of {SMALL} bytes, {when}: {taken:.3f} processor seconds")


if __name__ == "__main__":
    main()
