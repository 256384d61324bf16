"""Clips made chunk by chunk: as declared, from the same noise whatever the batch, and in memory that stays flat."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.engine.test_run import Heard, run
from tests.suite.texts import MINIMAL
from vdmbench import engine
from vdmbench.data.loading import to_model_range
from vdmbench.engine.conditioning import of_each_batch
from vdmbench.engine.process import make_process
from vdmbench.engine.rollout import roll_out, rollout
from vdmbench.engine.sampling import sample_clips
from vdmbench.matching import solve
from vdmbench.memory.storages import StorageTracker
from vdmbench.networks import build
from vdmbench.networks.conditional import Told
from vdmbench.suite import expand, load_suite, parse_suite
from vdmbench.suite.blocks import Sample
from vdmbench.suite.diffusion import PROCESSES
from vdmbench.suite.shipped import shipped_suites

CPU = torch.device("cpu")
DIT = {"name": "dit", "base_channels": 8, "depth": 2, "patch": (1, 8, 8), "mlp_ratio": 1.0}
UNET = {"name": "unet3d", "base_channels": 8, "multipliers": (1,)}
GROWING = {"name": "attention", "causal": True}
WINDOWED = {"name": "sliding-attention", "causal": True, "window": 4}
CONSTANT = [{"name": name} for name in ("mamba", "mamba2", "s4d", "gated-delta-net", "lstm")]


def network_of(mixer: dict, network: dict = UNET):
    torch.manual_seed(0)
    return build(network, mixer)


def sample_of(sampler: str = "euler", chunk: int = 1, clips: int = 2, batch_size: int = 2, steps: int = 2) -> Sample:
    declared = None if sampler == "ddpm" else steps
    return Sample(sampler=sampler, steps=declared, clips=clips, batch_size=batch_size, rollout={"chunk": chunk})


def process_of(name: str = "flow"):
    steps = {"steps": 4} if name == "discrete" else {}
    return make_process(PROCESSES[name](process=name, levels="frame", **steps), CPU)


def rolled(mixer: dict, sample: Sample, frames: int = 6, process: str = "flow", **more) -> torch.Tensor:
    return roll_out(network_of(mixer), process_of(process), sample, (frames, 3, 8, 8), 0, CPU, lambda *_: None, **more)[0]


@pytest.mark.parametrize(
    ("process", "sampler"),
    [("discrete", "ddim"), ("discrete", "ddpm"), ("flow", "euler"), ("edm", "heun"), ("edm", "dpmpp-2m")],
)
def test_every_process_rolls_out(process: str, sampler: str):
    clips = rolled({"name": "mamba"}, sample_of(sampler, chunk=2), frames=5, process=process)
    assert clips.shape == (2, 5, 3, 8, 8)
    assert clips.dtype == torch.uint8
    assert all(clips[:, frame].float().std() > 0 for frame in range(5))


def test_clips_are_the_same_at_every_batch_size_and_longer_ones_begin_alike():
    together = rolled(GROWING, sample_of(clips=3, batch_size=3))
    apart = rolled(GROWING, sample_of(clips=3, batch_size=2))
    assert (together.int() - apart.int()).abs().max() <= 1
    longer = rolled(GROWING, sample_of(clips=3, batch_size=3), frames=8)
    assert torch.equal(longer[:, :6], together)


def test_a_first_chunk_is_what_the_sampler_makes_of_a_short_clip():
    sample = sample_of(chunk=3)
    whole = sample_clips(network_of(GROWING), process_of(), sample, (3, 3, 8, 8), 0, CPU, lambda *_: None)
    assert (rolled(GROWING, sample)[:, :3].int() - whole.int()).abs().max() <= 1


def test_later_frames_follow_from_what_left_before():
    """Given its own first frames as known ones, the same noise apart, a rollout goes on from the same stream."""
    network, process, sample = network_of({"name": "mamba"}), process_of(), sample_of(chunk=2)
    first = next(rollout(network, process, sample, (4, 3, 8, 8), 0, CPU, clips=range(2)))
    beginning = first.frames / 127.5 - 1
    given = next(rollout(network, process, sample, (4, 3, 8, 8), 0, CPU, clips=range(2), beginning=beginning))
    assert torch.equal(given.frames, first.frames)
    for mixer, state in first.stream.states.items():
        assert str(given.stream.states[mixer]) == str(state)


TOLD = Told(labels=torch.tensor([0, 2]), actions=torch.randint(256, (2, 6), generator=torch.Generator().manual_seed(0)))


def told_network():
    """A network that is told a class and actions, and follows them from the start."""
    network = network_of({"name": "mamba"}, {**UNET, "condition": {"classes": 3, "actions": 0}})
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return network


def told_chunks(told: Told | None, guidance: float = 1, chunk: int = 2):
    sample = sample_of(chunk=chunk).model_copy(update={"guidance": guidance})
    return list(rollout(told_network(), process_of(), sample, (6, 3, 8, 8), 0, CPU, clips=range(2), told=told))


def frames_of(chunks) -> torch.Tensor:
    return torch.cat([each.frames for each in chunks], 1).int()


def test_an_action_moves_the_frames_from_the_one_that_it_leads_to():
    other = TOLD.actions.clone()
    other[:, 3] = (other[:, 3] + 7) % 256
    changed = frames_of(told_chunks(TOLD)) != frames_of(told_chunks(Told(TOLD.labels, actions=other)))
    assert changed.any(-1).any(-1).any(-1).any(0).tolist() == [False] * 4 + [True] * 2


def test_guidance_keeps_a_stream_of_clips_that_are_told_nothing_beside_theirs():
    plain, guided = told_chunks(TOLD), told_chunks(TOLD, guidance=3.0)
    assert frames_of(told_chunks(TOLD, guidance=1.0)).equal(frames_of(plain))
    assert not frames_of(guided).equal(frames_of(plain))
    assert [each.stream.nbytes for each in guided] == [2 * each.stream.nbytes for each in plain]
    # Shown the guided frames, streams of their own remember what the two halves do.
    shown, network = to_model_range(torch.cat([each.frames for each in guided], 1)), told_network()
    sample = sample_of(chunk=2)
    for half, told in ((0, TOLD), (1, None)):
        *_, last = rollout(network, process_of(), sample, (6, 3, 8, 8), 0, CPU, clips=range(2), beginning=shown, told=told)
        for alone, both in zip(last.stream.states.values(), guided[-1].stream.states.values(), strict=True):
            for one, two in zip(alone, both, strict=True):
                torch.testing.assert_close(two.chunk(2)[half], one, atol=1e-5, rtol=1e-4)


def test_a_guided_first_chunk_is_what_the_sampler_makes_of_a_short_clip():
    network, sample = told_network(), sample_of(chunk=3).model_copy(update={"guidance": 3.0})
    guided = of_each_batch(network, lambda clips: TOLD, 3.0, CPU)
    whole = sample_clips(network, process_of(), sample, (3, 3, 8, 8), 0, CPU, lambda *_: None, denoiser=guided)
    assert (frames_of(told_chunks(TOLD, guidance=3.0, chunk=3))[:, :3] - whole.int()).abs().max() <= 1


@pytest.mark.parametrize("mixer", CONSTANT, ids=lambda mixer: mixer["name"])
def test_memory_of_a_constant_state_is_flat(mixer: dict):
    """Every storage is counted: later as many bytes are alive as earlier, and at the peak of a frame too."""
    ends = peaks(mixer, frames=20, at=(6, 12, -1))
    assert ends[0] == ends[1] == ends[2]


def test_memory_is_flat_over_many_frames():
    ends = peaks({"name": "mamba"}, frames=300, at=(20, 100, -1), network=DIT)
    assert ends[0] == ends[1] == ends[2]


@pytest.mark.slow
def test_memory_is_flat_over_five_minutes():
    ends = peaks({"name": "mamba"}, frames=7200, at=(100, 1000, -1), network=DIT)
    assert ends[0] == ends[1] == ends[2]


def test_memory_of_a_window_is_flat_and_of_a_cache_grows_by_its_state():
    window = peaks(WINDOWED, frames=24, at=(8, 16, -1))
    assert window[0] == window[1] == window[2]
    (alive, peak), _, (alive_later, peak_later) = peaks(GROWING, frames=24, at=(8, 16, -1))
    layers = len(network_of(GROWING).temporal_layers())
    of_a_frame = 2 * 8 * 8 * 8 * 4 * layers  # keys and values, places, channels, bytes
    assert alive_later - alive == 16 * of_a_frame
    assert peak_later > peak


def peaks(mixer: dict, *, frames: int, at: tuple[int, int, int], network: dict = UNET) -> list[tuple[int, int]]:
    """Bytes alive once so many frames are made, and the largest number since the frame before."""
    sample, found = sample_of(clips=1, batch_size=1, steps=1), []
    built = network_of(mixer, network)
    with StorageTracker("cpu") as tracker:
        alive = read = 0
        for chunk in rollout(built, process_of(), sample, (frames, 3, 8, 8), 0, CPU, clips=range(1)):
            events, read, peak = tracker.trace.events[read:], len(tracker.trace.events), 0
            for event in events:
                alive += event.nbytes
                peak = max(peak, alive)
            found.append((alive, peak))
            assert chunk.end == len(found)
    return [found[position - 1 if position > 0 else position] for position in at]


ROLLOUT = ("variants.bi.mixer.direction=forward", "diffusion.levels=frame", "sample.rollout={chunk: 1}", "sample.frames=8")


def test_a_cell_rolls_out_longer_clips_than_it_was_trained_on(tmp_path):
    heard = run(
        *ROLLOUT,
        "evaluate.metrics=[{name: ste-fd, frames: 5, window: all, bootstrap: 20, control_clips: 4}]",
        variant="uni",
        rollout_file=tmp_path / "samples.npy",
    )
    sampled, record = heard.one(engine.Sampled), heard.one(engine.RolledOut).rollout
    assert sampled.clips.shape == (4, 8, 3, 16, 16)
    assert sampled.stored
    stored = np.load(tmp_path / "samples.npy", mmap_mode="r")
    assert np.array_equal(stored, sampled.clips.permute(0, 1, 3, 4, 2))
    assert record.at == list(range(1, 9))
    assert len(set(record.state_bytes)) == 1
    assert record.state_bytes[0] == 4 * record.state_elements[0] > 0
    assert record.frame_seconds.count == 2 * 8 - 1  # two batches, the first chunk apart
    assert heard.one(engine.Judged).result.name.startswith("STE-FD[v2,16px,n=4,f=5")
    assert heard.all(engine.Progress)[-1].phase == "evaluate"


def test_a_cell_that_is_told_its_actions_rolls_out(tmp_path):
    """Every frame of a held-out walk has its action, also behind the length that was trained."""
    maze = ("data.source={name: maze, rooms: 2, frames_per_square: 1}", "condition={tell: [actions], drop: 0.2}")
    heard = run(*ROLLOUT, *maze, "sample.guidance=2", "sample.known_frames=2", variant="uni")
    sampled, rolled = heard.one(engine.Sampled), heard.one(engine.RolledOut).rollout
    assert sampled.facts.actions.shape[:2] == (4, 8)
    assert torch.equal(sampled.clips[:, :2], sampled.real[:4, :2])
    assert rolled.at == [3, 4, 5, 6, 7, 8]
    peaks = []
    for guidance in (1, 2):
        declared = parse_suite(MINIMAL, overrides=(*ROLLOUT, *maze, f"sample.guidance={guidance}"))
        cell = next(each for each in expand(*declared) if each.variant == "uni")
        peaks.append(solve(cell.inputs, memory=True).solved.memory["sample"].allocated_peak_bytes)
    assert peaks[0] < peaks[1]


def test_known_frames_begin_a_rollout():
    heard: Heard = run(*ROLLOUT, "sample.known_frames=3", variant="uni")
    sampled = heard.one(engine.Sampled)
    assert torch.equal(sampled.clips[:, :3], sampled.real[:4, :3])
    assert heard.one(engine.RolledOut).rollout.at == [4, 5, 6, 7, 8]


@pytest.mark.parametrize(
    ("name", "variant"), [("streaming", "sliding-attention"), ("five_minutes", "uni-ssm"), ("world_model", "gated-delta-net")]
)
def test_shipped_suites_run_in_their_tiny_form(name: str, variant: str):
    cells = [each.inputs for each in expand(*load_suite(shipped_suites()[name], tiny=True))]
    inputs = next(each for each in cells if each.variant == variant)
    resolved, heard = solve(inputs).resolved, Heard()
    engine.run_cell(engine.prepare(inputs, resolved.network, resolved.mixer, CPU), heard)
    record, frames = heard.one(engine.RolledOut).rollout, inputs.sampled_frames
    assert frames > inputs.data.frames
    assert record.at[-1] == frames
    drift = heard.one(engine.Judged).result.details["drift"]
    assert [point["frame"] for point in drift] == list(range(0, frames, inputs.data.frames))
