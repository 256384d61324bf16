from __future__ import annotations

import threading

import numpy as np
import pytest
import torch

from vdmbench.data.loading import TrainingBatches, reference_clips, to_model_range, to_uint8
from vdmbench.data.procedural.source import ProceduralSource
from vdmbench.data.procedural.sprites import Sprites
from vdmbench.data.source import DataError


@pytest.fixture
def source() -> Sprites:
    return Sprites(split="train", frames=6, size=16, video_frames=30, train_videos=20)


def test_batches_are_uint8_with_channels_before_space(source: Sprites) -> None:
    batches = TrainingBatches(source, frames=6, batch_size=3, seed=1)
    batch = batches.batch(5)
    assert batch.shape == (3, 6, 3, 16, 16)
    assert batch.dtype == torch.uint8
    window = batches.windows.training(1, 5, 2)
    np.testing.assert_array_equal(batch[2].permute(0, 2, 3, 1).numpy(), source.clip(window.video, window.start, 6))


def test_resuming_at_a_step_is_exact(source: Sprites) -> None:
    uninterrupted = list(TrainingBatches(source, frames=6, batch_size=2, seed=0).prefetch(0, 8))
    resumed = list(TrainingBatches(source, frames=6, batch_size=2, seed=0).prefetch(5, 8))
    assert len(uninterrupted) == 8
    for one, other in zip(uninterrupted[5:], resumed, strict=True):
        assert torch.equal(one, other)


def test_prefetched_batches_are_those_of_their_steps(source: Sprites) -> None:
    batches = TrainingBatches(source, frames=4, batch_size=2, seed=3)
    for step, batch in enumerate(batches.prefetch(2, 6, ahead=1), start=2):
        assert torch.equal(batch, batches.batch(step))
    assert list(batches.prefetch(4, 4)) == []


def test_ranks_share_out_the_batch_of_one_process(source: Sprites) -> None:
    alone = TrainingBatches(source, frames=6, batch_size=4, seed=0).batch(7)
    ranks = [TrainingBatches(source, frames=6, batch_size=2, seed=0, rank=rank).batch(7) for rank in range(2)]
    assert torch.equal(alone, torch.cat(ranks))


@pytest.mark.parametrize("workers", [2, 3])
def test_batches_do_not_depend_on_the_number_of_workers(source: Sprites, workers: int) -> None:
    batches = TrainingBatches(source, frames=6, batch_size=2, seed=0)
    alone, together = list(batches.prefetch(3, 12)), list(batches.prefetch(3, 12, workers=workers, ahead=4))
    assert len(alone) == len(together) == 9
    for one, other in zip(alone, together, strict=True):
        assert torch.equal(one, other)


def test_descriptions_are_of_the_clips_of_the_batch(source: Sprites) -> None:
    batches = TrainingBatches(source, frames=6, batch_size=3, seed=0)
    for window, described in zip(batches.chosen(4), batches.descriptions(4), strict=True):
        assert described == source.describe(window.video, window.start, 6)


def prefetching_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("vdmbench-prefetch")]


def test_leaving_early_ends_the_thread(source: Sprites) -> None:
    batches = TrainingBatches(source, frames=6, batch_size=2, seed=0).prefetch(0, 10_000)
    next(batches)
    assert prefetching_threads()
    batches.close()
    assert not prefetching_threads()


class Breaking(Sprites):
    """A source whose files, so to speak, go away."""

    def _read(self, index: int, start: int, frames: int) -> np.ndarray:
        raise DataError("disk is gone")


def test_what_fails_in_the_thread_is_raised_in_the_loop() -> None:
    broken: ProceduralSource = Breaking(split="train", frames=4, size=8)
    with pytest.raises(DataError, match="disk is gone"):
        list(TrainingBatches(broken, frames=4, batch_size=1, seed=0).prefetch(0, 3))
    assert not prefetching_threads()


def test_reference_clips_come_in_order_and_do_not_depend_on_the_batch_size(source: Sprites) -> None:
    clips = torch.cat(list(reference_clips(source, frames=6, count=25, batch_size=10)))
    assert clips.shape == (25, 6, 3, 16, 16)
    assert torch.equal(clips, torch.cat(list(reference_clips(source, frames=6, count=25, batch_size=4))))
    np.testing.assert_array_equal(clips[3].permute(0, 2, 3, 1).numpy(), source.clip(3, 0, 6))
    np.testing.assert_array_equal(clips[21].permute(0, 2, 3, 1).numpy(), source.clip(1, 6, 6))


def test_too_many_reference_clips_are_refused_at_once(source: Sprites) -> None:
    with pytest.raises(DataError, match="501 reference clips"):
        reference_clips(source, frames=6, count=501)


def test_all_grey_levels_survive_the_way_to_the_model_and_back() -> None:
    levels = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 1, 16, 16)
    scaled = to_model_range(levels)
    assert (scaled.min().item(), scaled.max().item()) == (-1.0, 1.0)
    assert torch.equal(to_uint8(scaled), levels)


def test_quantisation_rounds_to_nearest_and_cuts_off() -> None:
    values = torch.tensor([-3.0, -1.0, 0.0, 0.004, 1.0, 3.0])
    assert to_uint8(values).tolist() == [0, 0, 128, 128, 255, 255]  # 127.5 is a half, and goes to the even 128
    with pytest.raises(DataError, match="NaN"):
        to_uint8(torch.tensor([float("nan")]))


@pytest.mark.parametrize("wrong", [{"batch_size": 0}, {"seed": -1}, {"rank": -1}])
def test_wrong_options_are_refused(source: Sprites, wrong: dict[str, int]) -> None:
    with pytest.raises(DataError, match=f"{next(iter(wrong))}={next(iter(wrong.values()))}"):
        TrainingBatches(source, **{"frames": 6, "batch_size": 1, "seed": 0, **wrong})


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="pinned memory needs a CUDA device")
def test_batches_are_pinned_where_there_is_a_gpu(source: Sprites) -> None:
    assert TrainingBatches(source, frames=6, batch_size=2, seed=0).batch(0).is_pinned()
