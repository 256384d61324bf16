"""What may be asked of the bench."""

from __future__ import annotations

import pytest
import torch

from vdmbench.bench import InvalidWorkload, Settings, Workload, parse_frames


@pytest.mark.parametrize(
    ("text", "frames"),
    [("16..128", [16, 32, 64, 128]), ("16..100", [16, 32, 64]), ("100,16,64,16", [16, 64, 100]), ("7", [7]), ("5..5", [5])],
)
def test_frames_are_a_doubling_range_or_a_list(text: str, frames: list[int]) -> None:
    assert parse_frames(text) == frames


@pytest.mark.parametrize("text", ["", "16..", "64..16", "0..8", "-4", "16;32", "a..b", "0"])
def test_other_texts_are_refused_with_the_two_forms(text: str) -> None:
    with pytest.raises(InvalidWorkload, match=r"write 16\.\.4096 \(doubling\) or 16,64,100"):
        parse_frames(text)


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("sites", 0, "sites must be at least 1"),
        ("dtype", "float8", "float32, bfloat16"),
        ("direction", "backward", "forward, training"),
        ("device", "tpu", "cpu or cuda"),
    ],
)
def test_workloads_say_what_is_wrong(field: str, value: object, told: str) -> None:
    with pytest.raises(InvalidWorkload, match=told):
        Workload(**{"frames": 4, "sites": 2, "channels": 8, field: value})


@pytest.mark.skipif(torch.cuda.is_available(), reason="says what happens without a GPU: run it where there is none")
def test_cuda_without_a_gpu_is_refused() -> None:
    with pytest.raises(InvalidWorkload, match="sees no CUDA device"):
        Workload(4, 2, 8, device="cuda")


def test_settings_must_measure_something() -> None:
    with pytest.raises(InvalidWorkload, match="rounds, threads and max_seconds must be positive"):
        Settings(Workload(4, 2, 8), (4,), rounds=0)
