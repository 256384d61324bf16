"""What the variants generate, side by side from the same noise: frames over the clip as a grid for print."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from pathlib import Path
from zipfile import BadZipFile, is_zipfile

import numpy as np
from matplotlib.layout_engine import ConstrainedLayoutEngine

from vdmbench.figure_style import ReportFigure, Style, applied
from vdmbench.records import ResultsError
from vdmbench.report.figures.panels import NothingToDraw
from vdmbench.report.items import reason
from vdmbench.report.results import Cell
from vdmbench.report.study import Group, Study
from vdmbench.unpacked import refuse_larger_than_memory


@dataclass(frozen=True)
class Clips:
    """Clips of one seed at one sweep point, uint8 (clips, frames, height, width, channels) each; real ones first."""

    group: Group
    rows: dict[str, np.ndarray]
    seed: int
    lost: dict[str, str] = field(default_factory=dict)
    """Variants without samples here, with what became of them."""


def read_clips(cell: Cell, name: str) -> np.ndarray | None:
    """An array of the cell's samples.npz; clips of a rollout, which lie in samples.npy, as they are looked at. None where there
    is none. Raises ResultsError for a damaged file, or one of another form."""
    path = cell.artifact("samples.npy") if name == "samples" else None
    path = path or cell.artifact("samples.npz")
    if path is None:
        return None
    try:
        clips = _loaded(path, name)
    except (ValueError, OSError, EOFError, KeyError, BadZipFile, zlib.error) as error:
        raise ResultsError(f"{path}: cannot be read, it is damaged ({reason(error)})") from None
    if clips is not None and (clips.dtype != np.uint8 or clips.ndim != 5 or 0 in clips.shape or clips.shape[-1] not in (1, 3)):
        raise ResultsError(
            f"{path}: '{name}' must be uint8 (clips, frames, height, width, 1 or 3), got {clips.dtype} {clips.shape}"
        )
    return clips


def _loaded(path: Path, name: str) -> np.ndarray | None:
    with path.open("rb") as file:
        if path.suffix == ".npy":
            loaded: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
            return loaded
        if not is_zipfile(file):
            raise ValueError("not an npz archive")
        refuse_larger_than_memory(path, {f"{name}.npy"})
        with np.load(path, allow_pickle=False) as archive:
            return archive.get(name)


def clips_of(study: Study, group: Group) -> Clips | None:
    """The samples of the lowest seed that most variants have; None where the group has none.

    Raises ResultsError where there are some, and none can be read.
    """
    by_seed: dict[int, dict[str, Cell]] = {}
    for label in study.labels:
        for cell in study.cells_in(group, label):
            if cell.artifact("samples.npz") is not None:
                by_seed.setdefault(cell.record.seed, {})[label] = cell
    if not by_seed:
        return None
    seed = max(sorted(by_seed), key=lambda seed: len(by_seed[seed]))
    rows: dict[str, np.ndarray] = {}
    unreadable: dict[str, ResultsError] = {}
    for label, cell in by_seed[seed].items():
        try:
            real = read_clips(cell, "reference") if "real" not in rows else None
            samples = read_clips(cell, "samples")
        except ResultsError as error:
            unreadable[label] = error
            continue
        rows = rows if real is None else {"real": real, **rows}
        rows |= {} if samples is None else {label: samples}
    if unreadable and set(rows) <= {"real"}:
        raise next(iter(unreadable.values()))
    ended = study.statuses[group]
    lost = {label: ended[label].failed or "no samples" for label in study.labels if label in ended and label not in rows}
    lost |= dict.fromkeys(unreadable, "its file is damaged")
    return Clips(group, rows, seed, lost) if rows else None


def all_clips(study: Study) -> list[Clips]:
    """Of every group that has samples; those of a group that cannot be read are left out where others can.

    Raises ResultsError where none can be read.
    """
    found, unreadable = [], []
    for group in study.groups:
        try:
            clips = clips_of(study, group)
        except ResultsError as error:
            unreadable.append(error)
            continue
        found += [clips] if clips is not None else []
    if unreadable and not found:
        raise unreadable[0]
    return found


def without_samples(clips: Clips) -> str:
    """What a reader must know of the variants that are not shown; empty where all are."""
    lost = ", ".join(f"{label} ({why})" for label, why in clips.lost.items())
    return f"without samples: {lost}" if lost else ""


def strip(clip: np.ndarray, count: int) -> list[np.ndarray]:
    """``count`` frames evenly over the whole clip, the first and last among them."""
    return [clip[index] for index in np.linspace(0, len(clip) - 1, min(count, len(clip))).round().astype(int)]


def samples_figure(study: Study, style: Style, group: Group | None = None) -> ReportFigure:
    """A row a variant and one of real video, frames over the clip's whole length; the longest clips unless told."""
    found = [clips for clips in all_clips(study) if group is None or clips.group == group]
    if not found:
        raise NothingToDraw("no samples.npz lies beside the records")
    clips = max(found, key=lambda item: next(iter(item.rows.values())).shape[1])
    count = 8
    with applied(style):
        side = style.double * 0.87 / count
        figure = ReportFigure(
            figsize=(style.double, (side + 0.02) * len(clips.rows) + 0.25),
            layout=ConstrainedLayoutEngine(w_pad=0.012, h_pad=0.012, wspace=0, hspace=0),
        )
        grid = figure.subplots(len(clips.rows), count, squeeze=False)
        for number, (row, (label, videos)) in enumerate(zip(grid, clips.rows.items(), strict=True)):
            frames = strip(videos[0], count)
            indices = np.linspace(0, len(videos[0]) - 1, len(frames)).round().astype(int)
            for axes in row:
                axes.set_axis_off()
            for axes, frame, index in zip(row, frames, indices, strict=False):
                axes.imshow(frame.squeeze(), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
                if number == 0:
                    axes.set_title(f"frame {index}" if index == 0 else str(index), fontsize=style.size - 1, pad=2)
            row[0].text(-0.08, 0.5, label, transform=row[0].transAxes, ha="right", va="center", fontsize=style.size)
        if clips.lost:
            figure.supxlabel(without_samples(clips), fontsize=style.size - 1)
    return figure
