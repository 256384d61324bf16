"""Clips longer than trained, and clips that continue real ones: declared, refused, run and scored."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from tests.memory.workloads import mixer, workload
from tests.suite.texts import MINIMAL
from vdmbench import engine, registry
from vdmbench.engine.sampling import sample_clips
from vdmbench.matching import solve
from vdmbench.matching.simulation import run_steps, simulate, trace_workload
from vdmbench.memory.storages import StorageTracker
from vdmbench.metrics.prediction import last_known_repeated
from vdmbench.records import Prediction
from vdmbench.suite import CellInputs, SuiteError, expand, load_suite, parse_suite
from vdmbench.suite.shipped import shipped_suites

CPU = torch.device("cpu")
RING = ["data.source={name: maze, rooms: 2, frames_per_square: 1}", "data.frames=12", "sample.known_frames=5"]


def cell(*overrides: str, variant: str = "bi") -> CellInputs:
    (inputs,) = [each.inputs for each in expand(*parse_suite(MINIMAL, overrides=overrides)) if each.variant == variant]
    return inputs


def told(inputs: CellInputs) -> list[engine.EngineEvent]:
    resolved = solve(inputs).resolved
    events: list[engine.EngineEvent] = []
    engine.run_cell(engine.prepare(inputs, resolved.network, resolved.mixer, CPU), events.append)
    return events


def one(events: list[engine.EngineEvent], kind: type):
    (event,) = [event for event in events if isinstance(event, kind)]
    return event


@pytest.fixture(scope="module")
def continued() -> list[engine.EngineEvent]:
    return told(cell(*RING, "train.steps=1"))


def test_a_clip_continues_its_own_test_clip(continued):
    sampled = one(continued, engine.Sampled)
    assert torch.equal(sampled.clips[: len(sampled.real), :5], sampled.real[:, :5])
    assert not torch.equal(sampled.clips[: len(sampled.real), 5:], sampled.real[:, 5:])
    assert len(set(map(bytes, sampled.real[:, 0].numpy()))) == len(sampled.real)


def test_it_is_scored_against_the_truth_and_the_last_frame_repeated(continued):
    prediction: Prediction = one(continued, engine.Predicted).prediction
    assert (prediction.known_frames, prediction.best_of, prediction.rule) == (5, 1, "replacement")
    sampled = one(continued, engine.Sampled)
    assert prediction.clips == len(sampled.clips)
    for score in (prediction.psnr, prediction.ssim):
        assert len(score.by_frame) == len(score.copied_by_frame) == 7
        assert score.value == pytest.approx(sum(score.by_frame) / 7)
        assert score.interval[0] <= score.value <= score.interval[1]
    assert prediction.psnr.value < prediction.psnr.copied  # one step of training
    if len(sampled.real) == len(sampled.clips):
        error = (last_known_repeated(sampled.real, 5)[:, 5:].double() - sampled.real[:, 5:]).square().mean((2, 3, 4)) / 255**2
        assert prediction.psnr.copied == pytest.approx(float((-10 * error.log10()).mean()))
    # The ring is 8 frames long: frames 8 to 11 show 0 to 3 again.
    assert prediction.recall.revisits == 4 * prediction.clips
    assert set(prediction.recall.by_gap) == {8}
    assert prediction.recall.gain == pytest.approx(prediction.recall.psnr - prediction.recall.novel_psnr)


def test_what_no_clip_can_be_continued_by_is_refused():
    for override, remedy in (
        (("sample.known_frames=12", "data.frames=12"), "lower it, or raise data.frames"),
        (("sample.known_frames=8", "sample.frames=8"), "lower it, or raise sample.frames"),
        (("evaluate.lpips=true",), "set sample.known_frames"),
        (("evaluate.lpips=true", "sample.known_frames=1", "data.size=16"), "LPIPS needs 32 pixels"),
    ):
        with pytest.raises(SuiteError, match=remedy):
            cell(*override)


def test_fields_that_are_not_set_are_in_no_cell():
    """So that cells are those they were before there were such fields."""
    plain = cell().model_dump()
    assert not {"frames", "known_frames"} & set(plain["sample"])
    assert "lpips" not in plain["evaluate"]
    longer = cell("sample.frames=24")
    assert longer.identity() != cell().identity()
    assert CellInputs.model_validate(longer.model_dump(mode="json")) == longer


MIXERS = [entry.name for entry in registry.mixers]


@pytest.mark.parametrize("name", MIXERS)
def test_every_mixer_samples_at_twice_the_length(name):
    inputs = cell("data.frames=4", "sample.frames=8", "data.size=8", "sample.clips=2", f"variants={{bi: {{mixer: {name}}}}}")
    resolved = solve(inputs).resolved
    ready = engine.prepare(inputs, resolved.network, resolved.mixer, CPU)
    shape = (inputs.sampled_frames, 3, 8, 8)
    clips = sample_clips(ready.build_network(), ready.diffusion, inputs.sample, shape, 0, CPU, lambda done, total: None)
    assert clips.shape == (2, *shape)


def test_a_longer_clip_is_sampled_and_judged_window_by_window():
    windows = "evaluate.metrics=[{name: ste-fd, bootstrap: 20, control_clips: 4, frames: 6, window: all}]"
    events = told(cell("sample.frames=18", "sample.known_frames=2", "train.steps=1", windows))
    assert one(events, engine.Sampled).clips.shape[1] == 18
    drift = one(events, engine.Judged).result.details["drift"]
    assert [point["frame"] for point in drift] == [0, 6, 12]
    assert one(events, engine.Predicted).prediction.recall is None  # sprites come back to nothing


@pytest.mark.parametrize(
    ("mixers", "network"),
    [
        ("{name: attention, relative_bias: true}", "network.preset=fair"),
        ("{name: attention, relative_bias: true, max_distance: 32, heads: 1, head_dim: 8}", "network.preset=oshima2024"),
        ("{name: pair, first: {name: attention, relative_bias: true}, second: mamba}", "network.preset=fair"),
    ],
)
def test_a_table_of_distances_goes_no_further_than_it_was_trained(mixers, network):
    longer = ("data.frames=4", "sample.frames=8", f"variants={{bi: {{mixer: {mixers}}}}}", network, "network.base_channels=8")
    with pytest.raises(ValueError, match="set relative_bias: false"):
        solve(cell(*longer))
    solve(cell(*longer, "sample.frames=4"))
    # 32 frames reach the last bucket, which holds all distances beyond.
    if "max_distance" in mixers:
        solve(cell(*longer, "data.frames=32", "sample.frames=64"))


def test_sampling_is_simulated_at_its_own_length_with_its_known_frames():
    plain = workload(mixer("s4d"))
    longer = dataclasses.replace(plain, sample=plain.sample.model_copy(update={"frames": 3 * plain.frames, "known_frames": 2}))
    assert plain.key() != longer.key()
    before, after = (simulate(each) for each in (plain, longer))
    assert after["train"] == before["train"]
    own = [memory["sample"].allocated_peak_bytes - memory["sample"].holders["workspaces"] for memory in (before, after)]
    assert own[1] > 1.5 * own[0], "three times the frames, and the same weights"
    run_steps(longer, CPU, StorageTracker("cpu"))
    simulated = trace_workload(longer, device="cpu")
    with StorageTracker("cpu") as tracker:
        real = run_steps(longer, CPU, tracker)
    assert [event.nbytes for event in simulated] == [event.nbytes for event in real]


@pytest.mark.parametrize(("name", "variant"), [("length_generalisation", "linear-attention"), ("prediction", "uni-ssm")])
def test_shipped_suites_run_in_their_tiny_form(name, variant):
    cells = [each.inputs for each in expand(*load_suite(shipped_suites()[name], tiny=True))]
    for inputs in cells:
        assert solve(inputs).solved.parameters.network < 500_000
    events = told(next(inputs for inputs in cells if inputs.variant == variant))
    assert one(events, engine.Sampled).clips.shape[1] == 12
    if name == "prediction":
        prediction = one(events, engine.Predicted).prediction
        assert prediction.recall.revisits > 0
        assert prediction.rule == "frame-levels"  # told as clean, for frames were trained with levels of their own
