"""Which GPUs a run may use, on machines of every make: what CUDA would show of them, and nothing by chance."""

from __future__ import annotations

import os
import sys

import pytest

from tests.measure.machines import Device, Machine, divided, whole
from vdmbench.measure import list_gpus
from vdmbench.runner.devices import choose_gpus, refuse_shared_gpus, worker_environment
from vdmbench.runner.places import NoSuchPlace, Place, divide
from vdmbench.runner.visible_gpus import visible_gpus
from vdmbench.suite.blocks import Run

SMALL = "NVIDIA T400 4GB"


@pytest.fixture
def on(monkeypatch):
    """Put this process on a machine of such devices, where ``CUDA_VISIBLE_DEVICES`` says ``visible``."""

    def on(*devices: Device, visible: str | None = None, order: str | None = None) -> Machine:
        for name, value in (("CUDA_VISIBLE_DEVICES", visible), ("CUDA_DEVICE_ORDER", order)):
            monkeypatch.delenv(name, raising=False)
            if value is not None:
                monkeypatch.setenv(name, value)
        monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(16)))
        machine = Machine(devices)
        monkeypatch.setitem(sys.modules, "pynvml", machine)
        return machine

    return on


def letters(gpus) -> str:
    return "".join(gpu.uuid[4] for gpu in gpus)


@pytest.mark.parametrize(
    ("visible", "seen"),
    [
        (None, "abcdefgh"), ("0", "a"), ("3,1", "db"), (" 2 , 0", "ca"), ("GPU-c", "c"), ("GPU-bbbbbbbb-0000,5", "bf"),
        ("", ""), ("-1", ""), ("-1,0", ""), ("0,-1,2", "a"), ("NoDevFiles", ""), ("void", ""), ("none", ""),
        ("1,9,2", "b"), ("1,nonsense", "b"), ("1,GPU-", "b"),
    ],
)  # fmt: skip
def test_names_are_read_as_cuda_reads_them(on, visible, seen):
    on(*whole(8), visible=visible)
    assert letters(visible_gpus()) == seen
    assert letters(choose_gpus(Run())) == seen[:1]


@pytest.mark.parametrize("visible", ["8", "GPU-x", "a100", "MIG-a", "0x1"])
def test_a_first_name_that_is_no_device_is_said_and_not_a_silent_run_on_the_cpu(on, visible):
    on(*whole(8), visible=visible)
    with pytest.raises(ValueError, match=r"CUDA_VISIBLE_DEVICES=.*: no such GPU; there are: 0 \(GPU-aaaaaaaa-0000\), 1 "):
        choose_gpus(Run())


def test_a_device_named_twice_is_refused_for_cuda_would_show_none(on):
    on(*whole(2), visible="1,0,1")
    with pytest.raises(ValueError, match="names GPU-bbbbbbbb-0000 twice"):
        choose_gpus(Run())


@pytest.mark.parametrize("visible", ["", "-1", "NoDevFiles"])
def test_hidden_devices_are_none_to_every_flag(on, visible):
    on(*whole(2), visible=visible)
    assert choose_gpus(Run()) == []
    assert worker_environment() == {"CUBLAS_WORKSPACE_CONFIG": ":4096:8"}
    assert len(divide(Run(device="auto"), jobs=1)) == 1
    for asked in ("all", "0"):
        with pytest.raises(
            NoSuchPlace, match=f"--gpus {asked}: no GPU is to be seen here .CUDA_VISIBLE_DEVICES={visible} hides 2"
        ):
            divide(Run(), gpus=asked)


def test_the_flag_takes_of_what_is_visible_and_counts_as_nvidia_smi(on):
    on(*whole(8), visible="6,2")
    assert [place.gpus[0][4] for place in divide(Run(), gpus="all")] == ["g", "c"]
    assert divide(Run(), gpus="2") == [Place(("GPU-cccccccc-0000",))]
    with pytest.raises(NoSuchPlace, match=r"'0' names no GPU that CUDA_VISIBLE_DEVICES shows; there are: 6 .*, 2 "):
        divide(Run(), gpus="0")


def test_one_device_needs_no_name_and_two_train_together(on):
    on(*whole(1))
    assert letters(choose_gpus(Run())) == "a"
    with pytest.raises(ValueError, match=r"train.devices is 2 and there is room for 1"):
        choose_gpus(Run(), count=2)
    on(*whole(2))
    assert worker_environment(*choose_gpus(Run(), count=2))["CUDA_VISIBLE_DEVICES"] == "GPU-aaaaaaaa-0000,GPU-bbbbbbbb-0000"


def test_the_parts_of_a_divided_device_are_devices(on):
    on(divided("a", 0, None, 1), *whole(1, first=1))
    assert [(gpu.uuid, gpu.slot, gpu.is_part) for gpu in list_gpus()] == [
        ("MIG-aaaaaaa0-0000", 0, True), ("MIG-aaaaaaa1-0000", 0, True), ("GPU-bbbbbbbb-0000", 1, False),
    ]  # fmt: skip
    assert divide(Run(), gpus="MIG-aaaaaaa1")[0].gpus == ("MIG-aaaaaaa1-0000",)
    assert [place.gpus[0] for place in divide(Run(), gpus="all")] == [gpu.uuid for gpu in list_gpus()]
    with pytest.raises(NoSuchPlace, match="'0' names more than one GPU"):
        divide(Run(), gpus="0")


@pytest.mark.parametrize(("visible", "first"), [("MIG-aaaaaaa1-0000", "MIG-aaaaaaa1-0000"), ("0", "MIG-aaaaaaa0-0000")])
def test_a_worker_is_pinned_to_a_part(on, visible, first):
    on(divided("a", 0, 1), visible=visible)
    assert worker_environment(*choose_gpus(Run()))["CUDA_VISIBLE_DEVICES"] == first


def test_parts_do_not_train_together(on):
    on(divided("a", 0, 1))
    with pytest.raises(ValueError, match=r"is a part of a GPU \(MIG\): CUDA lets processes that compute together have whole"):
        choose_gpus(Run(), count=2)


def test_a_device_that_is_divided_into_nothing_is_none(on):
    on(divided("a"))
    assert choose_gpus(Run()) == []
    with pytest.raises(NoSuchPlace, match=r"no GPU is to be seen here \(the driver lists none\)"):
        divide(Run(), gpus="all")


def test_among_several_kinds_a_bare_number_is_refused_and_every_other_name_is_not(on):
    mixed = [*whole(1, SMALL), *whole(1, first=1)]
    on(*mixed, visible="0")
    with pytest.raises(ValueError, match=r"has NVIDIA H100 80GB HBM3 and NVIDIA T400 4GB, and CUDA counts the fastest first"):
        choose_gpus(Run())
    on(*mixed)
    with pytest.raises(ValueError, match=r"which of them a cell gets would be chance; choose one with --gpus: 0 .*, 1 "):
        choose_gpus(Run())
    assert divide(Run(), gpus="1") == [Place(("GPU-bbbbbbbb-0000",))]
    assert letters(choose_gpus(Run(), Place(("GPU-bbbbbbbb-0000",)))) == "b"
    on(*mixed, visible="GPU-b")
    assert letters(choose_gpus(Run())) == "b"
    on(*mixed, visible="1", order="PCI_BUS_ID")
    assert letters(choose_gpus(Run())) == "b"


def test_a_device_that_went_away_between_two_cells_is_named(on):
    on(*whole(2))
    places = divide(Run(), gpus="1")
    on(*whole(1))
    with pytest.raises(ValueError, match=r"GPU GPU-bbbbbbbb-0000 was there when the run began and is not now; there are: 0 "):
        refuse_shared_gpus(Run(), places)


def test_a_process_of_another_container_keeps_a_device_busy(on):
    """Its pid is the host's, which nothing here has; that it was there before is what tells."""
    machine = on(*whole(2))
    machine.devices[1].runs(pid=3_999_999, held=None)
    refuse_shared_gpus(Run(), [Place(("GPU-aaaaaaaa-0000",))])
    with pytest.raises(ValueError, match=r"\(GPU-bbbbbbbb-0000\) is in use by 1 other process"):
        refuse_shared_gpus(Run(), [Place(("GPU-aaaaaaaa-0000", "GPU-bbbbbbbb-0000"))], devices=2)
