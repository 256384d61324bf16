from __future__ import annotations

import pytest

from vdmbench.metrics.catalogue import ste_fd
from vdmbench.metrics.protocol import InvalidProtocol
from vdmbench.registry import metrics
from vdmbench.suite.options.metrics import FrechetOptions


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
