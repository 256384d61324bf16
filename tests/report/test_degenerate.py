"""Results that are unfinished, damaged or at the edge of what numbers can be still give a report."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.report.synthetic import make_record, make_records, moving_squares, store
from vdmbench.records import Record, ResultsFolder, Training
from vdmbench.report import write_report
from vdmbench.report.write import Written

LONG = "v" + "ery-long-name" * 20


def _valued(value: float) -> Callable[[Record], Record]:
    def changed(record: Record) -> Record:
        metrics = {name: result.model_copy(update={"value": value}) for name, result in record.metrics.items()}
        return record.model_copy(update={"metrics": metrics})

    return changed


def _lossy(record: Record) -> Record:
    training = Training(steps=4, loss_steps=[1, 2, 3, 4], loss=[math.nan, math.inf, 0.0, -1.0], final_loss=math.nan)
    return record.model_copy(update={"training": training})


def _renamed(record: Record) -> Record:
    variant = LONG if record.variant == "s4d" else record.variant
    return record.model_copy(update={"variant": variant, "point": record.point | {"data.source": "x" * 400}})


def _pair(**options: object) -> list[Record]:
    return make_records(variants=("attention", "s4d"), frames=(16, 24), seeds=(0, 1, 2), **options)  # type: ignore[arg-type]


STUDIES: dict[str, list[Record]] = {
    "a single cell": [make_record("s4d")],
    "a single seed": make_records(variants=("attention", "s4d"), frames=(16,), seeds=(7,)),
    "every cell failed": [make_record(name, seed=seed, status="nan") for name in ("attention", "s4d") for seed in range(3)],
    "no cell began": [make_record(name, status="infeasible") for name in ("attention", "s4d")],
    "every distance is zero": list(map(_valued(0.0), _pair())),
    "one distance is zero": [_valued(0.0)(record) if index == 3 else record for index, record in enumerate(_pair())],
    "distances below zero": [_valued(-3.0 + index)(record) for index, record in enumerate(_pair())],
    "no distance is a number": list(map(_valued(math.nan), _pair())),
    "distances without end": [_valued(math.inf)(record) if index % 2 else record for index, record in enumerate(_pair())],
    "the smallest and largest numbers": [_valued(1e-30 if index % 2 else 1e30)(r) for index, r in enumerate(_pair())],
    "losses that are no numbers": list(map(_lossy, _pair())),
    "very long names": list(map(_renamed, _pair())),
}


def _reported(records: list[Record], folder: Path) -> tuple[Written, str]:
    made = write_report([store(folder / "r", records)], folder / "out", reference=records[0].variant)
    return made, (folder / "out" / "index.html").read_text()


@pytest.mark.parametrize("name", STUDIES)
def test_every_item_is_made(name, tmp_path) -> None:
    made, page = _reported(STUDIES[name], tmp_path)
    assert made.missing == {}
    names = {path.relative_to(tmp_path / "out").as_posix() for path in made.files}
    assert {"tables/main.md", "tables/numbers.tex", "data/cells.csv", "data/summary.csv", "index.html"} <= names
    assert "What is missing" not in page


@pytest.mark.parametrize("damage", ["truncated", "empty", "text", "of another form", "gone"])
def test_damaged_samples_cost_their_own_wall_alone(damage, tmp_path) -> None:
    """Of two sweep points, the samples of one are damaged."""
    records = make_records(variants=("attention", "s4d"), frames=(16, 24), seeds=(0,))
    records = [record.model_copy(update={"status": "ok"}) if record.status == "oom" else record for record in records]
    results = ResultsFolder(store(tmp_path / "r", records, clips=lambda record: moving_squares(2, 4, seed=record.seed)))
    for record in records:
        if record.point["data.frames"] == 16 and record.status == "ok":
            samples = results.folder_of(record).path / "samples.npz"
            whole = samples.read_bytes() if samples.exists() else b""
            if damage == "gone":
                samples.unlink(missing_ok=True)
            elif damage == "of another form":
                np.savez(samples, samples=np.zeros(3))
            elif whole:
                samples.write_bytes({"truncated": whole[: len(whole) // 2], "empty": b"", "text": b"clips"}[damage])
    made = write_report([results.path], tmp_path / "out")
    page = (tmp_path / "out" / "index.html").read_text()
    assert [path.name for path in made.files if path.suffix == ".gif"] == ["synthetic_a100-40gb_frames=24.gif"]
    if damage == "gone":
        assert made.missing == {}
    else:
        assert "samples 16 frames" in made.missing
        assert "samples.npz" in made.missing["samples 16 frames"]
        assert "samples 16 frames" in page
        assert "samples" in [path.stem for path in made.files if path.suffix == ".pdf"]


def test_a_movie_that_cannot_be_written_costs_no_wall(tmp_path, monkeypatch) -> None:
    from vdmbench.report.figures import walls

    def unavailable(frames: object) -> bytes:
        raise walls.MovieUnavailable("an mp4 needs the package 'av'")

    monkeypatch.setattr(walls, "wall_mp4", unavailable)
    folder = store(tmp_path / "r", [make_record("s4d")], clips=lambda record: moving_squares(1, 4, seed=1))
    made = write_report([folder], tmp_path / "out", mp4=True)
    assert made.missing == {"samples 16 frames as mp4": "an mp4 needs the package 'av'"}
    assert [path.suffix for path in made.files if path.parent.name == "samples"] == [".gif"]
