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
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_poisoned_checkpoint_is_passed_over_in_a_line(checkpoints, caplog, value):
    weights = torch.ones(8)
    weights[3] = value
    for step, tensors in ((40, {"network": {"w": weights}, "optimiser": {"w": {}}}), (50, {"weights": weights})):
        checkpoints.save(TrainingState(step, tensors, [0.5] * step))
    assert checkpoints.latest() is None
    assert caplog.text.count("holds NaN or infinite values in") == 2


def test_a_mask_may_be_infinite_and_no_number_may_be_none(checkpoints):
    mask = torch.full((2,), -torch.inf)
    tensors = {"network": {"w": torch.ones(2), "mask": mask}, "optimiser": {"w": {"exp_avg": torch.ones(2)}}}
    checkpoints.save(TrainingState(40, tensors, [0.5] * 40))
    assert checkpoints.latest().step == 40


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
