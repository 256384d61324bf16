"""The compiler takes each network as one graph, in which the numbers stay, and the record knows the kernels."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.engine.traced_networks import CASES


@pytest.fixture(scope="module")
def found():
    command = [sys.executable, "-m", "tests.engine.traced_networks"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


@pytest.mark.timeout(900)  # the first one traces them all, half a minute of a core that may be shared
@pytest.mark.parametrize("case", CASES)
def test_a_network_is_one_graph_and_computes_the_same(found, case):
    assert found[case]["unlike"] == []


def test_the_record_says_which_kernels_the_compiler_was_given(found):
    assert all("group_norm_silu" in found[case]["ops"] for case in CASES if not case.startswith("dit"))
    assert found["unet3d mlp"]["ops"]["group_norm_silu"] == ["torch"]
    assert "selective_scan" in found["unet3d mamba"]["ops"]
