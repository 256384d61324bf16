"""Kind: **a declared setting that cannot do what it says, without a warning**.

A decay of 0.9999 for 100 steps sampled 99 % initial weights; `cosine` with `epsilon` multiplies an error 16,000 times at the
last level. Every field of a suite's own blocks is listed: it is warned of for some values (`vdmbench/suite/warnings.py`, shown
by plan and run, kept in records and reports), refused where it is read, or acts for every value that it takes. Options of
mixers, networks, sources and metrics are models of their own, each with tests of its options, and are not listed.
"""

from __future__ import annotations

import pytest

from tests.suite.texts import MINIMAL
from vdmbench.suite import expand, parse_suite
from vdmbench.suite.autoencoder import ConvAutoencoderBlock, DiffusersAutoencoderBlock
from vdmbench.suite.blocks import Data, Evaluate, Match, Rollout, Run, Sample, Train, ValLoss
from vdmbench.suite.condition import ByteText, Conditioning, PretrainedText
from vdmbench.suite.diffusion import DiscreteDiffusion, EDMDiffusion, FlowDiffusion
from vdmbench.suite.warnings import suite_warnings

WARNED = {
    ("train.ema=0.9999", "train.steps=100"): "leaves 99% initial weights in the average that is sampled: set ema_warm_up: true",
    ("train.ema=0.05", "train.ema_warm_up=true"): "train.ema_warm_up begins at a decay of 0.1",
    ("train.ema=null", "train.ema_warm_up=true"): "train.ema is null: it does nothing",
    ("train.learning_rate_warm_up=80%", "train.steps=10"): "takes 8 of 10 steps: lower it",
    ("train.optimiser=adamw",): "adamw with weight_decay 0 is adam",
    ("train.optimiser=adamw", "train.weight_decay=0.5", "train.learning_rate=1"): "takes 50% of every matrix at every step",
    ("diffusion={schedule: cosine, steps: 256}",): "multiplied 16,",
    ("diffusion={schedule: sigmoid, steps: 256}",): "use parameterisation v",
    (
        "diffusion={process: edm, sigma_max: 1}",
        "sample={sampler: heun, steps: 4, clips: 4, batch_size: 4}",
    ): "is near sigma_data",
    ("sample={sampler: dpmpp-2m, steps: 1, clips: 4, batch_size: 4}",): "dpmpp-2m with 1 step is its first-order form",
    ("sample={sampler: ddim, steps: 1, eta: 0.5, clips: 4, batch_size: 4}",): "sample.eta adds noise between levels",
    ("data.source={name: sprites}", "condition={tell: [label]}", "sample.guidance=0"): "guidance 0 ignores",
    ("data.source={name: sprites}", "condition={tell: [label]}"): "condition.drop hides conditions for guidance",
    ("run.wall_limit=9", "run.suite_wall_limit=5"): "run.wall_limit is beyond run.suite_wall_limit",
    ("run.memory_snapshot=true", "run.device=cpu"): "run.memory_snapshot is of CUDA's allocator",
}
"""What is declared, and what is said of it."""

FIELDS = {
    Train: {
        "warned": {"ema", "ema_warm_up", "optimiser", "weight_decay", "learning_rate_warm_up"},
        "refused": {"min_learning_rate", "devices", "sharding", "compile", "recompute", "betas", "channels_last", "batch_size"},
        "acts": {"schedule", "steps", "accumulate", "learning_rate", "clip_norm", "precision", "warm_up", "checkpointing"},
    },
    Sample: {
        "warned": {"sampler", "steps", "eta", "guidance", "rollout"},
        "refused": {"known_frames", "clip_x0", "compile", "channels_last"},
        "acts": {"clips", "batch_size", "precision", "frames"},
    },
    Rollout: {"warned": {"chunk"}},
    DiscreteDiffusion: {"warned": {"schedule", "parameterisation", "steps"}, "acts": {"levels", "process", "min_snr_gamma"}},
    FlowDiffusion: {
        "refused": {"logit_mean", "logit_std"},
        "acts": {"levels", "process", "timestep_sampling", "shift"},
    },
    EDMDiffusion: {
        "warned": {"sigma_max", "sigma_data"},
        "refused": {"sigma_min", "rho"},
        "acts": {"levels", "process", "p_mean", "p_std"},
    },
    Conditioning: {"warned": {"drop"}, "refused": {"tell"}, "acts": {"text"}},
    ByteText: {"acts": {"encoder", "width", "depth", "length"}},
    PretrainedText: {"refused": {"path", "features", "sha256"}, "acts": {"encoder", "length"}},
    ConvAutoencoderBlock: {
        "refused": {"factor", "channels"},
        "acts": {"name", "width", "kl", "steps", "batch_size", "learning_rate", "seed"},
    },
    DiffusersAutoencoderBlock: {"refused": {"path", "factor", "channels", "sha256"}, "acts": {"name"}},
    Data: {"warned": {"frames"}, "refused": {"source"}, "acts": {"size"}},
    Evaluate: {"refused": {"metrics", "lpips", "cuts", "real_clips", "at"}, "acts": {"val_loss"}},
    ValLoss: {"refused": {"clips"}, "acts": {"levels", "points"}},
    Run: {
        "warned": {"wall_limit", "suite_wall_limit", "memory_snapshot"},
        "refused": {"device", "memory_limit", "trackers", "plan_for"},
        "acts": {"threads", "checkpoint_every", "identify_host"},
    },
    Match: {
        "refused": {"quantity", "of", "phase", "target", "budget", "reference", "knob", "source", "exempt", "also"},
        "acts": {"tolerance", "unreachable"},
    },
}
"""Of each block, what becomes of a value that cannot do what it says: warned of, refused, or there is none."""


@pytest.mark.parametrize("block", FIELDS, ids=lambda block: block.__name__)
def test_every_field_of_a_suite_is_known(block):
    listed = [field for fields in FIELDS[block].values() for field in fields]
    assert sorted(listed) == sorted(block.model_fields)


@pytest.mark.parametrize("overrides", WARNED, ids=" ".join)
def test_what_cannot_do_what_it_says_is_warned_of(overrides):
    suite, lines = parse_suite(MINIMAL, overrides=overrides)
    said = suite_warnings(expand(suite, lines), suite.run)
    assert [line for line in said if WARNED[overrides] in line], said


def test_a_suite_that_does_what_it_says_is_not_warned_of():
    quiet = ("train.ema=0.5", "train.steps=10", "diffusion={parameterisation: v, steps: 8}")
    suite, lines = parse_suite(MINIMAL, overrides=quiet)
    assert suite_warnings(expand(suite, lines), suite.run) == []
    warm = parse_suite(MINIMAL, overrides=("train.ema=0.9999", "train.ema_warm_up=true", "train.steps=100", quiet[2]))
    assert suite_warnings(expand(*warm), warm[0].run) == []
