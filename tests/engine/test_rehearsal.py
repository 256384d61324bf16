"""What only the engine knows to be impossible is refused by the plan, at the line that declares it."""

from __future__ import annotations

import pytest

from tests.suite.texts import MINIMAL
from vdmbench.runner.planning import CannotBuild, plan
from vdmbench.suite import SuiteError, expand, parse_suite

SHORT = MINIMAL.replace("  uni: {mixer: mamba}\n  bi:\n    mixer: {name: mamba, direction: both}\n", "")


def refused(*overrides: str, text: str = SHORT) -> list[str]:
    suite, lines = parse_suite(text, "s.yaml", overrides)
    with pytest.raises(CannotBuild) as caught:
        plan(expand(suite, lines), lines=lines)
    return str(caught.value).splitlines()


@pytest.mark.parametrize(
    ("override", "place", "reason"),
    [
        ("diffusion={schedule: linear, steps: 10}", "diffusion", "schedule 'linear' needs more than 20 steps, got 10"),
        ("diffusion={process: edm, p_std: 300}", "diffusion", "noise levels at which the loss is not finite"),
        ("diffusion={process: edm, p_mean: 2000}", "diffusion", "numbers out of range"),
        ("diffusion={process: edm, rho: 0.001}", "sample", "dpmpp-2m cannot visit these noise levels"),
        ("diffusion={process: edm, rho: 1e18}", "diffusion", "noise levels that sampling visits do not fall"),
        ("diffusion={process: flow, shift: 1e300}", "diffusion", "noise levels that sampling visits do not fall"),
        ("evaluate.metrics=[{name: ste-fd, frames: 9}]", "evaluate.metrics[0]", "have 6 frames but protocol 'ste' needs 9"),
        ("evaluate.metrics=[fvd]", "evaluate.metrics[0]", "'fvd' needs at least 9 frames, and would see 6"),
        ("evaluate.metrics=[{name: fvd, protocol: fvd2048_16f}]", "evaluate.metrics[0]", "have 6 frames but protocol"),
        ("evaluate.metrics=[{name: ste-fd, frames: 5, window: first}]", None, None),
        ("sample.clips=1", "sample.clips", "'ste-fd' is a distance, which takes at least 2 clips, got 1"),
        ("evaluate.real_clips=99999", "evaluate.real_clips", "99999 reference clips of 6 frames were asked for"),
        ("data.source={name: sprites, video_frames: 5}", "data.source", "video_frames is 5, and clips of 6 frames"),
        ("data.source={name: sprites, test_videos: 1}", "evaluate.real_clips", "the test split has 1 video"),
        ("network={name: dit-5m}", None, None),
    ],
)  # fmt: skip
def test_a_limit_of_the_engine_is_refused_at_its_line(override: str, place: str | None, reason: str | None):
    overrides = ["sample={sampler: dpmpp-2m, steps: 3, clips: 4, batch_size: 3}", override]
    if place is None:
        suite, lines = parse_suite(SHORT, "s.yaml", overrides)
        assert plan(expand(suite, lines), lines=lines).cells
        return
    (line,) = refused(*overrides)
    assert f": {place}: " in line
    assert line.startswith(("override ", "s.yaml:"))
    assert reason in line


def test_a_layout_that_the_network_has_not_is_refused_without_memory():
    text = SHORT.replace("{name: unet3d, base_channels: 8, multipliers: [1]}", "dit-5m")
    assert "DiT has no convolution" in refused("train.channels_last=true", text=text)[0]


def test_the_place_is_the_axis_or_the_set_entry_that_decides():
    (line,) = refused(text=SHORT + "sweep:\n  evaluate.real_clips: [4, 99999]\n")
    assert line.startswith("s.yaml:15: sweep.evaluate.real_clips: ")
    own = SHORT.replace("floor: {mixer: identity}", "floor:\n    mixer: identity\n    set:\n      diffusion.schedule: linear")
    (line,) = refused(text=own)
    assert line.startswith("s.yaml:8: variants.floor.set.diffusion.schedule: ")


@pytest.mark.parametrize("seed", [2**63, 2**64, 10**30])
def test_a_seed_beyond_63_bits_is_refused(seed: int):
    for override in (f"seeds=[{seed}]", f"data.source={{name: sprites, seed: {seed}}}"):
        with pytest.raises(SuiteError, match="less than 9223372036854775808"):
            expand(*parse_suite(SHORT, "s.yaml", [override]))


def test_the_largest_seed_trains_samples_and_is_judged():
    from tests.engine.test_run import run
    from vdmbench import engine

    heard = run(f"seeds=[{2**63 - 1}]", variant="floor")
    assert heard.one(engine.Judged).result.value > 0
