"""What cannot be made chunk by chunk is refused where the suite is read: its line, and what to do."""

from __future__ import annotations

import pytest

from tests.suite.texts import MINIMAL
from vdmbench.suite import SuiteError, expand, parse_suite

ROLLOUT = ("diffusion.levels=frame", "sample.rollout={chunk: 2}", "variants.bi.mixer.direction=forward")
DIT = MINIMAL.replace("{name: unet3d, base_channels: 8, multipliers: [1]}", "{name: dit, base_channels: 16, depth: 2}")


def test_causal_variants_roll_out_and_others_keep_their_identity():
    cells = expand(*parse_suite(MINIMAL, overrides=ROLLOUT))
    assert {cell.inputs.sample.rollout.chunk for cell in cells} == {2}
    plain = {cell.variant: cell.identity for cell in expand(*parse_suite(MINIMAL))}
    written = expand(*parse_suite(MINIMAL, overrides=("sample.rollout=null",)))
    assert {cell.variant: cell.identity for cell in written} == plain


@pytest.mark.parametrize(
    ("overrides", "problem"),
    [
        (("sample.rollout={chunk: 1}",), r"diffusion.*set 'levels: frame'"),
        (ROLLOUT[:2], r"suite:8: variants\.bi\.mixer: mixer 'mamba' sees later frames.*set 'direction: forward'"),
        ((*ROLLOUT, "variants.uni.mixer=hydra"), r"variants\.uni\.mixer: mixer 'hydra'.*use another"),
        ((*ROLLOUT, "variants.uni.mixer=attention"), r"set 'causal: true'"),
        ((*ROLLOUT, "variants.uni.mixer=linear-attention"), r"set 'causal: true, feature_map: relu'"),
        ((*ROLLOUT, "variants.uni.mixer={name: pair, first: attention}"), r"mixer 'pair'.*in its first set 'causal: true'"),
        ((*ROLLOUT, "network.preset=oshima2024"), r"preset.*use preset 'fair'"),
        ((*ROLLOUT, "train.devices=2", "train.sharding=fsdp2"), r"sharding.*leave sharding out"),
        ((*ROLLOUT, "sample.compile=true"), r"sample: a rollout .* is not compiled: leave 'compile' out"),
    ],
)
def test_the_remedy_is_named(overrides: tuple[str, ...], problem: str):
    with pytest.raises(SuiteError, match=problem):
        expand(*parse_suite(MINIMAL, overrides=overrides))


@pytest.mark.parametrize(
    ("overrides", "problem"),
    [
        (("variants.uni={blocks: {pattern: [mamba@h]}}",), r"uni\.blocks.*scan 'h' reads whole clips.*use scan 'site' or"),
        (("variants.uni={blocks: {pattern: [attention@site]}}",), r"uni\.blocks.*mixer 'attention' sees later frames"),
        (("network.patch=[4, 4, 4]",), r"sample\.rollout\.chunk.*give a multiple of 4, got 2"),
    ],
)
def test_of_blocks_too(overrides: tuple[str, ...], problem: str):
    with pytest.raises(SuiteError, match=problem):
        expand(*parse_suite(DIT, overrides=(*ROLLOUT, *overrides)))


def test_blocks_within_frames_may_see_all_of_them():
    overrides = (*ROLLOUT, "variants.uni={blocks: {pattern: [attention@frame, mamba@site]}}")
    assert len(expand(*parse_suite(DIT, overrides=overrides))) == 3
