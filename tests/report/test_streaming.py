"""Clips made chunk by chunk, in the report: a figure, a table, and pictures that do not grow with the clip."""

from __future__ import annotations

import numpy as np
import pytest

from tests.report.synthetic import make_record, make_records, moving_squares
from vdmbench.records import Record, ResultsFolder, Rollout
from vdmbench.report import Study, draw, read_results
from vdmbench.report.figures import NothingToDraw
from vdmbench.report.figures.samples import Clips, clips_of
from vdmbench.report.figures.walls import LONGEST, wall_frames
from vdmbench.report.streaming import streaming_table

MIB = 2**20
AT = [1, *range(36, 7201, 36)]


def rolled(variant: str, seed: int) -> Record:
    """Of an attention whose cache grows by a tenth of a MiB a frame, or of a state of 2 MiB."""
    grows = variant == "attention"
    state = [int(0.1 * MIB * at) if grows else 2 * MIB for at in AT]
    rollout = Rollout(
        chunk=1, clips=2, first_chunk_seconds=0.9, at=AT,
        seconds=[0.02 + (4e-6 * at if grows else 0) + 1e-4 * seed for at in AT],
        rss_bytes=[500 * MIB + each for each in state], state_bytes=state, state_elements=[each // 4 for each in state],
    )  # fmt: skip
    return make_record(variant, seed=seed, rollout=rollout, baseline_rss_bytes=400 * MIB)


@pytest.fixture(scope="module")
def study() -> Study:
    return Study.of([rolled(variant, seed) for variant in ("attention", "uni-ssm") for seed in (0, 1)])


def test_the_table_holds_seconds_memory_and_state(study):
    table = streaming_table(study)
    rows = {row[1].text: [entry.value for entry in row[2:]] for row in table.rows}
    assert rows["uni-ssm"] == pytest.approx([7200, 20.05, 20.05, 102, 102, 2])
    assert rows["attention"] == pytest.approx([7200, 20.482, 48.85, 110.8, 820, 720], rel=1e-3)
    assert [column.header for column in table.columns][-1] == "State at the end (MiB)"
    assert "RSS beyond the libraries" in table.notes[0]


def test_the_figure_draws_latency_memory_and_state(study):
    latency, memory, state = draw(study, "streaming").axes
    assert (latency.get_title(), memory.get_title()) == ("A frame (ms), 16 frames", "RSS beyond libraries (MiB), 16 frames")
    assert state.get_yscale() == "log"
    assert len(latency.lines) == len(memory.lines) == len(state.lines) == 2
    assert np.allclose(memory.lines[1].get_ydata(), 102)


def test_records_of_whole_clips_have_neither():
    study = Study.of(make_records())
    assert not streaming_table(study).rows
    with pytest.raises(NothingToDraw, match=r"sample\.rollout"):
        draw(study, "streaming")


def test_pictures_of_long_clips_are_as_long_as_others(study):
    video = moving_squares(1, 1000, 0, size=9)
    clips = Clips(study.groups[0], {"real": video, "uni-ssm": video}, 0)
    assert LONGEST / 2 < len(wall_frames(clips)) <= LONGEST


def test_frames_are_read_from_the_file_that_the_rollout_wrote(tmp_path):
    record = rolled("uni-ssm", 0).model_copy(update={"artifacts": {"samples": "samples.npz", "rollout": "samples.npy"}})
    results = ResultsFolder(tmp_path)
    results.prepare()
    attempt = results.new_attempt(record.model_copy(update={"status": "started", "metrics": {}}))
    video = moving_squares(2, 20, 0, size=9)
    np.save(attempt.path / "samples.npy", video)
    np.savez(attempt.path / "samples.npz", reference=video[:1])
    results.finish(attempt, record)
    study = Study.of(read_results([tmp_path]))
    clips = clips_of(study, study.groups[0])
    assert np.array_equal(clips.rows["uni-ssm"], video)
    assert np.array_equal(clips.rows["real"], video[:1])
