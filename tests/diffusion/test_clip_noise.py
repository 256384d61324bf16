from __future__ import annotations

import pytest
import torch

from vdmbench.diffusion import ClipNoise
from vdmbench.diffusion.clip_noise import clip_seed


def test_a_clip_has_the_same_noise_in_every_batch():
    shape = (2, 3, 4, 4)
    together = ClipNoise(7, range(6), shape)
    alone = ClipNoise(7, [4], shape)
    for _ in range(3):
        torch.testing.assert_close(together()[4], alone()[0], rtol=0, atol=0)


def test_draws_clips_and_seeds_differ():
    draw = ClipNoise(0, [0, 1], (64,))
    first, second = draw(), draw()
    other_seed = ClipNoise(1, [0, 1], (64,))()
    rows = torch.cat([first, second, other_seed])
    assert torch.corrcoef(rows).fill_diagonal_(0).abs().max() < 0.5


def test_noise_is_standard_normal():
    noise = ClipNoise(3, range(64), (1024,))()
    assert noise.shape == (64, 1024)
    assert noise.dtype == torch.float32
    assert abs(noise.mean()) < 0.02
    assert abs(noise.var() - 1) < 0.02


def test_clips_of_a_run_never_share_the_bits_that_the_cpu_generator_keeps():
    kept = {clip_seed(11, clip) % 2**32 for clip in range(100_000)}
    assert len(kept) == 100_000


def test_dtype_is_that_asked_for():
    assert ClipNoise(0, [0], (3,), dtype=torch.float64)().dtype == torch.float64


@pytest.mark.parametrize(("seed", "clips"), [(-1, [0]), (0, [2, -1])])
def test_negative_seeds_and_indices_are_refused(seed: int, clips: list[int]):
    with pytest.raises(ValueError, match="must not be negative"):
        ClipNoise(seed, clips, (3,))


def test_an_empty_batch_is_refused():
    with pytest.raises(ValueError, match="at least one clip"):
        ClipNoise(0, [], (3,))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_a_clip_has_the_same_noise_in_every_batch_on_cuda():
    together, alone = ClipNoise(7, range(6), (3, 64, 64), device="cuda"), ClipNoise(7, [4], (3, 64, 64), device="cuda")
    torch.testing.assert_close(together()[4], alone()[0], rtol=0, atol=0)
