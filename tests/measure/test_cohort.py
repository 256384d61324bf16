from __future__ import annotations

import pytest

from vdmbench.measure import capture, hardware_cohort

TWO_GPUS = {
    "gpus": [{"name": "NVIDIA H200"}, {"name": "NVIDIA A100-SXM4-80GB"}],
    "cpu": {"model": "AMD EPYC 9654 96-Core Processor"},
    "threads": {"torch": 8},
}


@pytest.mark.parametrize(
    ("device", "cohort"),
    [
        ("cuda", "nvidia-h200"),
        ("cuda:1", "nvidia-a100-sxm4-80gb"),
        ("cpu", "cpu-amd-epyc-9654-96-core-processor-8-threads"),
    ],
)
def test_it_is_the_hardware_that_computed(device: str, cohort: str):
    assert hardware_cohort(TWO_GPUS, device) == cohort


def test_threads_make_another_cohort():
    fewer = {**TWO_GPUS, "threads": {"torch": 2}}
    assert hardware_cohort(fewer, "cpu") != hardware_cohort(TWO_GPUS, "cpu")


def test_devices_that_train_together_are_another_cohort_than_one():
    assert hardware_cohort(TWO_GPUS, "cuda:0", devices=2) == "2x-nvidia-h200"
    assert hardware_cohort(TWO_GPUS, "cpu", devices=2) == f"2x-{hardware_cohort(TWO_GPUS, 'cpu')}"


def test_an_unknown_processor_is_named_so():
    assert hardware_cohort({**TWO_GPUS, "cpu": {"model": None}}, "cpu") == "cpu-unknown-8-threads"


def test_a_gpu_that_is_not_there_has_no_cohort():
    with pytest.raises(ValueError, match="lists no GPU"):
        hardware_cohort({**TWO_GPUS, "gpus": []}, "cuda")


def test_this_machine_has_one():
    assert hardware_cohort(capture(), "cpu").startswith("cpu-")
