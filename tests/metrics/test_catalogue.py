from __future__ import annotations

import inspect
import typing
from dataclasses import replace

import pytest

from vdmbench.metrics.catalogue import fvd, fvd_protocol, ste_fd
from vdmbench.metrics.protocol import FVD_PRESETS, InvalidProtocol
from vdmbench.registry import metrics
from vdmbench.suite.options.metrics import FrechetOptions, FvdOptions


def test_identity_follows_what_moves_the_number():
    base, same, other = ste_fd(), ste_fd(bootstrap=50), ste_fd(frames=16)
    assert base.protocol.digest() == same.protocol.digest() != other.protocol.digest()
    assert base.protocol.canonical()["extractor"] == "ste"


def test_options_are_the_constructor():
    options = FrechetOptions(frames=8, window="all", bootstrap=30).model_dump()
    assert ste_fd(**options).protocol.frames == 8
    with pytest.raises(ValueError, match="needs frames"):
        FrechetOptions(window="all")


def test_the_registry_resolves_to_the_builder():
    assert metrics["ste-fd"].load() is ste_fd
    assert metrics["ste-fd"].load_options() is FrechetOptions


def test_a_protocol_that_contradicts_itself_is_refused():
    with pytest.raises(InvalidProtocol, match="needs frames"):
        ste_fd(window="first")
    with pytest.raises(InvalidProtocol, match="at least 1"):
        ste_fd(stride=0)


def test_presets_differ_where_their_authors_do():
    presets = FVD_PRESETS
    assert len({preset.digest() for preset in presets.values()}) == len(presets)
    assert [name for name, preset in presets.items() if preset.divisor == "n"] == [
        "fvd2048_16f",
        "fvd2048_128f",
        "fvd2048_128f_subsample8f",
    ]
    assert [name for name, preset in presets.items() if not preset.comparable] == ["oshima2024"]
    assert presets["tf1"].resize == presets["oshima2024"].resize == "legacy"


def test_a_number_is_named_by_its_protocol():
    assert fvd_protocol("standard").label(2048, 2048, 16, (64, 64)) == "FVD[i3d,n=2048,f=16]"
    assert fvd_protocol("tf1").label(64, 32, 16, (64, 64)) == "FVD[i3d,tf1,n=64/32,f=16]"
    assert fvd_protocol("standard", precision="bf16").label(64, 64, 16, (64, 64)) == "FVD[i3d,bf16,n=64,f=16]"
    other = replace(fvd_protocol("standard"), weights="0123456789")
    assert other.label(64, 64, 16, (64, 64)) == "FVD[i3d,weights=01234567,n=64,f=16]"


def test_a_preset_keeps_what_it_fixes():
    assert fvd_protocol("standard", frames=16, window="first").frames == 16
    with pytest.raises(InvalidProtocol, match="fixes 16 frames"):
        fvd_protocol("windows16", frames=24)
    with pytest.raises(InvalidProtocol, match="unknown FVD protocol 'fvd', known: standard"):
        fvd_protocol("fvd")
    with pytest.raises(ValueError, match="fixes frames and window"):
        FvdOptions(protocol="fvd2048_16f", frames=16)
    assert set(typing.get_args(FvdOptions.model_fields["protocol"].annotation)) == set(FVD_PRESETS)
    assert set(FvdOptions().model_dump()) == set(inspect.signature(fvd).parameters)
    assert set(FrechetOptions().model_dump()) == set(inspect.signature(ste_fd).parameters)
