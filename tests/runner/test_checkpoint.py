"""A damaged checkpoint costs the steps since the one before it, and no more."""

from __future__ import annotations

import pytest
import torch

from vdmbench.data.source import DataError, Source
from vdmbench.engine import Snapshot, TrainingState
from vdmbench.engine.real_clips import unchanged
from vdmbench.runner.checkpoint import Checkpoints
from vdmbench.runner.trained_on import CannotGoOn, DataChanged, DataWatch, TrainedOn


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


HERE = TrainedOn(
    cell="a" * 20,
    inputs="b" * 20,
    numbers=3,
    knobs={"expand": 2},
    cohort="cpu-1-threads",
    data={"train": "1" * 64, "test": "2" * 64},
    latents="pixels",
    weights="drawn",
)


@pytest.mark.fault
@pytest.mark.parametrize(
    ("field", "other", "told"),
    [
        ("cell", "c" * 20, "it is of cell cccccccccccccccccccc, and this is aaaaaaaaaaaaaaaaaaaa"),
        ("inputs", "c" * 20, "another value was chosen by trials"),
        ("numbers", 2, "it is of numbers version 2"),
        ("knobs", {"expand": 3}, "it was planned with {'expand': 3}, and the plan is {'expand': 2} now"),
        ("cohort", "cpu-2-threads", "it was trained on 'cpu-2-threads', and this is 'cpu-1-threads'"),
        ("data", {"train": "3" * 64, "test": "2" * 64}, "its train videos were 33333333 and are 11111111 now;"),
        ("data", {"train": "1" * 64, "test": "3" * 64}, "its test videos were 33333333 and are 22222222 now;"),
        ("data", {"train": "1" * 64}, "its test videos were unknown and are 22222222 now;"),
        ("latents", "d" * 64, "its latents were of dddddddd, and are of pixels now"),
        ("weights", "e/1", "it began with weights of e/1, and they are of drawn now"),
    ],
)
def test_training_goes_on_from_no_checkpoint_that_stands_on_something_else(tmp_path, field, other, told):
    kept = Checkpoints(tmp_path / "checkpoint", HERE.model_copy(update={field: other}))
    kept.save(TrainingState(10, {"weights": torch.ones(8)}, [0.5] * 10))
    kept.keep(Snapshot(5, 10, 1.0, {"weights": torch.ones(8)}))
    here = Checkpoints(kept.folder, HERE)
    with pytest.raises(CannotGoOn) as refused:
        here.latest()
    said = str(refused.value)
    assert told in said
    assert said.startswith("training cannot go on from step-000000010.ckpt: ")
    assert said.endswith(f"delete {kept.folder} and run again to begin anew")
    assert "\n" not in said
    assert not here.hold([5])
    assert kept.latest().step == 10
    assert kept.hold([5])


@pytest.mark.fault
def test_a_checkpoint_that_does_not_say_what_it_stands_on_is_refused(checkpoints):
    with pytest.raises(CannotGoOn, match="it does not say what it was trained on"):
        Checkpoints(checkpoints.folder, HERE).latest()
    assert Checkpoints(checkpoints.folder).latest().step == 30, "whoever only reads it has no claim on it"


class Videos(Source):
    """A split that can be replaced, or taken away."""

    def __init__(self, content):
        super().__init__(split="train", frames=1, size=8)
        self.content = content

    def __len__(self):
        return 1

    def length(self, index):
        return 1

    def _read(self, index, start, frames):
        raise NotImplementedError("nothing is read of it")

    def fingerprint(self):
        if self.content is None:
            raise FileNotFoundError("d/train/0.npy")
        return self.content * 64


@pytest.mark.fault
def test_videos_that_are_replaced_or_taken_away_while_a_cell_runs_are_noticed():
    train, test = Videos("1"), Videos("2")
    watch = DataWatch({"train": train, "test": test}, {"train": "1" * 64, "test": "2" * 64}, "delete it to begin anew")
    watch.look()
    test.content = "3"
    watch.look("train")
    with pytest.raises(
        DataChanged, match="the test videos were changed while the cell ran: they were 22222222 and are 33333333"
    ):
        watch.look()
    train.content = None
    with pytest.raises(DataChanged, match=r"train videos \(11111111\) cannot be read any more.*delete it to begin anew"):
        watch.look("train")


@pytest.mark.fault
def test_nothing_is_kept_of_videos_that_change_while_they_are_read():
    videos = Videos("1")
    assert list(unchanged(iter([torch.ones(1)]), videos, "1" * 64)) == [torch.ones(1)]
    for content in ("2", None):
        videos.content = content
        with pytest.raises(DataError, match="the train videos were changed while they were read"):
            list(unchanged(iter([torch.ones(1)]), videos, "1" * 64))


def test_a_checkpoint_of_another_numbers_version_is_refused(checkpoints, monkeypatch):
    monkeypatch.setattr("vdmbench.runner.checkpoint.NUMBERS", 1)
    checkpoints.save(TrainingState(40, {"weights": torch.ones(8)}, [0.5] * 40))
    monkeypatch.undo()
    with pytest.raises(CannotGoOn, match=r"step-000000040.ckpt: it is of numbers version 1, .* to begin anew"):
        checkpoints.latest()


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
