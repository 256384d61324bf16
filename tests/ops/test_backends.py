"""The choice of a backend: auto, by name, refused, recorded, simulated."""

from __future__ import annotations

import pytest
import torch

from vdmbench.ops import BackendUnavailable, UnknownBackend, attention, backends, recording, simulating
from vdmbench.runner.plan_cache import _DEPENDED_ON

Q = torch.randn(1, 2, 3, 4)


def test_auto_takes_the_best_that_can_run_and_records_it():
    with recording() as used:
        attention(Q, Q, Q)
    assert used == {"attention": {"numba"}}
    long = torch.randn(1, 2, 65, 4)
    with recording() as used:
        attention(long, long, long)
    assert used == {"attention": {"sdpa-flash"}}, "the kernel that PyTorch selected"


def test_recorders_nest_and_end():
    with recording() as outer:
        with recording() as inner:
            attention(Q, Q, Q, backend="math")
        attention(Q, Q, Q)
    attention(Q, Q, Q)
    assert inner == {"attention": {"math"}}
    assert outer == {"attention": {"math", "numba"}}


def test_an_unknown_name_gets_the_closest_one():
    with pytest.raises(UnknownBackend, match=r"attention has no backend 'sdap', did you mean 'sdpa'\?"):
        attention(Q, Q, Q, backend="sdap")
    with pytest.raises(UnknownBackend, match=r"known: auto, triton, blocks, numba, sdpa, sdpa-flash, .*xformers, math"):
        attention(Q, Q, Q, backend="xyz")


def test_a_backend_that_cannot_run_says_why(random_direction):
    x = random_direction(1, 2, 3, 4).x
    with recording() as used, pytest.raises(BackendUnavailable, match="runs on cuda tensors, not on cpu"):
        backends.choose("selective_scan", "mamba_ssm", x)
    assert used == {}, "what did not run is not recorded"


def test_what_pytorch_selects_is_recorded_and_a_kernel_held_to_by_name_says_what_it_does_not_take():
    bias = torch.randn(2, 3, 3, requires_grad=True)
    with recording() as used:
        attention(Q, Q, Q, bias=bias, backend="sdpa")
    assert used == {"attention": {"sdpa-math"}}, "a CPU has no fused kernel whose bias is trained"
    with recording() as used, pytest.raises(BackendUnavailable, match="on cpu it takes no bias that is trained; use 'sdpa' or"):
        attention(Q, Q, Q, bias=bias, backend="sdpa-flash")
    assert used == {}


@pytest.mark.parametrize(
    ("op", "backend", "install"),
    [
        ("attention", "xformers", "pip install xformers"),
        ("causal_conv1d", "causal_conv1d", "pip install --no-build-isolation causal-conv1d"),
    ],
)
def test_packages_for_gpus_come_with_their_install_line(op, backend, install):
    with pytest.raises(BackendUnavailable, match="runs on cuda tensors, not on cpu"):
        backends.choose(op, backend, Q)
    status = next(s for s in backends.statuses("cuda") if (s.op, s.backend) == (op, backend))
    assert status.available or install in str(status.why_not)


def test_missing_software_comes_with_the_install_line(monkeypatch):
    missing = backends.Backend("fast", attention, ("cpu",), lambda: "fastlib is not installed; pip install fastlib")
    monkeypatch.setitem(backends._ops, "toy", (missing, backends.Backend("plain", attention)))
    with pytest.raises(BackendUnavailable, match="'fast' of toy cannot run: fastlib is not installed; pip install fastlib"):
        backends.choose("toy", "fast", Q)
    assert backends.choose("toy", "auto", Q).name == "plain"
    with simulating("cpu"):
        assert backends.choose("toy", "auto", Q).name == "fast", "a simulated machine has every package"


def test_a_simulated_device_chooses_as_that_device_would():
    with simulating("cuda"):
        assert backends.choose("selective_scan", "auto", Q).name == "triton"
        with pytest.raises(BackendUnavailable, match="runs on cpu tensors, not on cuda"):
            backends.choose("selective_scan", "numba", Q)
    assert backends.choose("selective_scan", "auto", Q).name == "numba"


def test_a_simulated_machine_without_a_package_has_none_of_its_kernels():
    """Neither by ``auto``, which goes on to the next, nor by name, which says what would have it."""
    with simulating("cuda", packages=()):
        assert backends.choose("selective_scan", "auto", Q).name == "reference"
        with pytest.raises(BackendUnavailable, match="without the package mamba-ssm, which is not installed here; plan --with"):
            backends.choose("selective_scan", "mamba_ssm", Q)
    with simulating("cuda", packages=("mamba-ssm",)):
        assert backends.choose("selective_scan", "mamba_ssm", Q).name == "mamba_ssm"


def test_every_backend_that_may_be_missing_names_its_package():
    """But for what comes with vdmbench: a plan would count on it where it is not."""
    for op, table in backends._ops.items():
        for backend in table:
            optional = backend.missing is not backends.Backend.__dataclass_fields__["missing"].default
            assert (backend.package is not None) == (optional and backend.name != "numba"), f"{backend.name} of {op}"
    assert set(backends.optional_packages()) <= {"triton", *_DEPENDED_ON}, "a kept plan is made anew where one is installed"


def test_packages_are_those_of_the_kernels_that_ran():
    used = {"selective_scan": {"mamba_ssm"}, "attention": {"sdpa-flash", "xformers (flash)"}, "causal_conv1d": {"torch"}}
    assert backends.packages_of(used) == {"mamba-ssm", "xformers"}


def test_statuses_list_every_backend_and_each_op_has_one_that_runs():
    listed = backends.statuses("cpu")
    assert {(status.op, status.backend) for status in listed} >= {
        ("attention", "math"),
        ("attention", "sdpa"),
        ("selective_scan", "reference"),
        ("selective_scan", "numba"),
        ("selective_scan", "mamba_ssm"),
        ("bidirectional_selective_scan", "numba"),
    }
    for status in listed:
        assert status.available == (status.why_not is None)
    for op in {status.op for status in listed}:
        assert [status for status in listed if status.op == op][-1].available


def test_on_a_gpu_the_absent_package_comes_with_its_install_line():
    status = next(s for s in backends.statuses("cuda") if (s.op, s.backend) == ("selective_scan", "mamba_ssm"))
    assert status.available or "pip install --no-build-isolation mamba-ssm" in str(status.why_not)


def test_an_op_is_declared_once():
    with pytest.raises(ValueError, match="op 'attention' is declared already"):
        backends.declare("attention")
