"""``vdmbench data prepare``: from an archive or a folder to the project's own store."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vdmbench.cli.terminal import say


def prepare(
    name: Annotated[str, typer.Argument(help="Data set: folder, or a published one (vdmbench list datasets).")],
    out: Annotated[Path, typer.Option(help="Folder to write to; an interrupted preparation is continued.")],
    source: Annotated[
        Path | None, typer.Option("--from", help="Archive (zip, tar.gz) or unpacked folder of the data set.")
    ] = None,
    download: Annotated[bool, typer.Option("--download", help="Download the archive from its public address.")] = False,
    size: Annotated[
        int | None, typer.Option(min=8, help="Height and width to store; by default the shorter side of the videos.")
    ] = None,
) -> None:
    """Make a store: frames of one size in memory-mapped shards, the fastest to train from.

    Example: vdmbench data prepare minerl-navigate --from minerl_navigate.zip --out datasets/minerl_navigate
    """
    from vdmbench.cli.bars import Bars
    from vdmbench.data.preparing.prepare import prepare as run

    with Bars() as bars:
        index = run(name, out, source=source, download=download, size=size, progress=bars.tell)
    counts = index.counts
    say(
        f"{out}: {counts['train']} train and {counts['test']} test videos of {index.size}x{index.size}, "
        f"content {index.content[:16]}"
    )
