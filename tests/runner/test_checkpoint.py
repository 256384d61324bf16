"""A damaged checkpoint costs the steps since the one before it, and no more."""

from __future__ import annotations

import pytest
import torch

from vdmbench.engine import TrainingState
from vdmbench.runner.checkpoint import Checkpoints


@pytest.fixture
def checkpoints(tmp_path):
    kept = Checkpoints(tmp_path / "checkpoint")
    for step in (10, 20, 30):
        kept.save(TrainingState(step, {"weights": torch.full((8,), float(step))}, [0.5] * step))
    return kept


def latest_file(checkpoints):
    return sorted(checkpoints.folder.iterdir())[-1]


def test_the_two_latest_are_kept_and_come_back_as_they_went(checkpoints):
    assert [file.name for file in sorted(checkpoints.folder.iterdir())] == ["step-000000020.ckpt", "step-000000030.ckpt"]
    state = checkpoints.latest()
    assert (state.step, len(state.losses), state.tensors["weights"].tolist()) == (30, 30, [30.0] * 8)


def test_a_checkpoint_of_another_numbers_version_is_passed_over(checkpoints, monkeypatch, caplog):
    monkeypatch.setattr("vdmbench.runner.checkpoint.NUMBERS", 1)
    checkpoints.save(TrainingState(40, {"weights": torch.ones(8)}, [0.5] * 40))
    monkeypatch.undo()
    assert checkpoints.latest().step == 30
    assert "step-000000040.ckpt is of numbers version 1" in caplog.text


@pytest.mark.fault
def test_a_checkpoint_truncated_at_any_length_is_passed_over(checkpoints):
    file = latest_file(checkpoints)
    whole = file.read_bytes()
    for length in (*range(0, 64), *range(64, len(whole), 97), len(whole) - 1):
        file.write_bytes(whole[:length])
        assert checkpoints.latest().step == 20, length


@pytest.mark.fault
def test_a_flipped_bit_anywhere_is_seen(checkpoints, caplog):
    file = latest_file(checkpoints)
    whole = file.read_bytes()
    for place in (*range(0, 64, 5), *range(64, len(whole), 101), len(whole) - 1):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 0x10]) + whole[place + 1 :])
        assert checkpoints.latest().step == 20, place
    assert f"{file} is damaged" in caplog.text


@pytest.mark.fault
def test_with_every_checkpoint_damaged_training_begins_again(checkpoints):
    for file in checkpoints.folder.iterdir():
        file.write_bytes(b"")
    assert checkpoints.latest() is None
