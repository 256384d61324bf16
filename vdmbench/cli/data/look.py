"""``vdmbench data info``, ``preview`` and ``verify``: what a data set holds, how it looks, whether it is sound."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from vdmbench.cli.options import AsJson
from vdmbench.cli.terminal import print_table, say, say_json, simple_table

if TYPE_CHECKING:
    from vdmbench.data.source import Source

Folder = Annotated[Path, typer.Argument(help="Store, recording, or folder of videos.")]


def info(path: Folder, as_json: AsJson = False) -> None:
    """Say what a data set holds: videos, frames, size, classes, annotations, bytes, origin.

    Example: vdmbench data info datasets/my_way_home
    """
    from vdmbench.cli.tables import count
    from vdmbench.data.preparing.survey import survey

    found = survey(path)
    if as_json:
        say_json(asdict(found))
        return
    table = simple_table("", ["split", " videos", " shortest", " longest", "classes", "fingerprint"])
    for split, part in found.splits.items():
        classes = ", ".join(f"{label} ({videos})" for label, videos in list(part.labels.items())[:6]) or "–"
        more = "" if len(part.labels) <= 6 else f", and {len(part.labels) - 6} more"
        table.add_row(split, f"{part.videos:,}", str(part.shortest), str(part.longest), classes + more, part.fingerprint[:16])
    print_table(table)
    say(f"{found.kind} of {found.size}x{found.size} pixels, {count(found.bytes)}B on disk")
    say(f"known of each frame: {', '.join(found.annotations) or 'nothing'}")
    for note in found.notes:
        say(note, err=True)
    for name, value in found.origin.items():
        say(f"{name}: {json.dumps(value) if isinstance(value, dict | list) else value}")


def preview(
    what: Annotated[str, typer.Argument(help="Store, recording or folder of videos; or maze, shapes or sprites.")],
    out: Annotated[Path, typer.Option(help="Folder for sheet.png and clips.gif.")],
    split: Annotated[Literal["train", "test"], typer.Option(help="Split to show.")] = "test",
    videos: Annotated[int, typer.Option(min=1, max=64, help="Number of clips, spread over the split.")] = 6,
    frames: Annotated[int, typer.Option(min=2, help="Maximum number of frames per clip, from the start of its video.")] = 64,
    size: Annotated[int | None, typer.Option(min=8, help="Height and width; by default as stored, or 64.")] = None,
) -> None:
    """Draw a contact sheet, a row a video, and a GIF of the same clips side by side; say what each row shows.

    Example: vdmbench data preview datasets/my_way_home --out previews
    """
    import numpy as np

    from vdmbench.data.viewing import tile, write_contact_sheet, write_gif

    source = _source(what, split, frames, size)
    shown = min(videos, len(source))
    chosen = [round(i * (len(source) - 1) / max(1, shown - 1)) for i in range(shown)]
    frames = min(frames, *(source.length(index) for index in chosen))
    clips = np.stack([source.clip(index, 0, frames) for index in chosen])
    out.mkdir(parents=True, exist_ok=True)
    enlarge = max(1, 64 // source.size)
    write_contact_sheet(out / "sheet.png", clips, every=max(1, frames // 12), enlarge=enlarge)
    write_gif(out / "clips.gif", tile(clips), enlarge=enlarge)
    for row, index in enumerate(chosen, start=1):
        described = source.describe(index, 0, frames)
        said = "" if described is None else f" – {described.label}: {described.caption}"
        say(f"row {row}: {source.name(index)}{said}")
    say(f"{out / 'sheet.png'}\n{out / 'clips.gif'}")


def _source(what: str, split: Literal["train", "test"], frames: int, size: int | None) -> Source:
    from vdmbench import registry
    from vdmbench.data.preparing.survey import open_set

    if what in registry.sources and not registry.sources[what].load_options().model_fields.get("path"):
        source: Source = registry.sources[what].load()(split=split, frames=frames, size=size or 64)
        return source
    return open_set(Path(what), split, size=size)


def verify(path: Folder, as_json: AsJson = False) -> None:
    """Read everything anew: hashes, counts, every frame, and test videos among the training videos. Exit code 1 on a fault.

    Example: vdmbench data verify datasets/my_way_home
    """
    from vdmbench.cli.bars import Bars
    from vdmbench.data.preparing.verify import verify as run

    with Bars() as bars:
        verdict = run(path, progress=lambda done, total: bars.tell("reading", done, total))
    if as_json:
        say_json({**asdict(verdict), "ok": verdict.ok})
    else:
        for fault in verdict.faults:
            say(f"fault: {fault}")
        read = ", ".join(f"{split} {videos} videos, {verdict.frames[split]} frames" for split, videos in verdict.videos.items())
        hashes = f"content {verdict.content[:16]} as listed" if verdict.content else "no hashes to hold it against"
        say(f"{path}: {len(verdict.faults) or 'no'} faults; {read or 'nothing read'}; {hashes}")
    raise typer.Exit(0 if verdict.ok else 1)
