"""Kind: the engine refuses what the suite and the plan accepted, after hours of training and cell by cell.

Found: noise schedules that need more steps, levels and losses that overflow (rho, p_std, shift), levels that do not fall, seeds
beyond 64 bits, metrics whose windows or extractors do not take the clips, one generated clip for a distance, layouts that a
network has not, procedural data that cannot give the clips. Mended: seeds have a bound in the schema; the rest is made by the
engine's own code in the plan (vdmbench/engine/rehearsal.py, tests/engine/test_rehearsal.py), or when a run begins, where it
needs files, weights or devices; each extractor takes one clip of the declared size there.

Every `raise` of the rooms that a worker runs is listed with the time at which it is met. Left: `outcome`, what a training, a
disk or another process comes to, which nobody knows before.
"""

from __future__ import annotations

import ast
import re

from tests.kinds.syntax import places

ROOMS = ("engine", "diffusion", "metrics", "folders", "autoencoders", "matching", "networks", "mixers")

PLAN = "made or counted in the plan"
START = "checked when a run begins, before any cell: it needs files, weights, packages or devices"
SCHEMA = "the suite's field has the same bound; another caller meets this one"
CALL = "a mistake of the code that calls it, not of a declaration"
OUTCOME = "what training, data on disk or another process comes to"
FVD = "of the command `fvd`, which trains nothing"

MET: dict[str, str] = {
    r"networks/text/pretrained\.py:": START,
    r"networks/recomputation\.py:recompute_blocks": PLAN,
    r"(networks|mixers)/\w+(/\w+)?\.py:(\w+\.)?(__init__|__post_init__|check\w*|build|placed\w*|blocks|mixer_maker|split_width"
    r"|inner_width|published\w*|_\w+)": PLAN,
    r"networks/\w+\.py:(Denoiser|UNet3D|Condition|Stream|Patches)\.\w+": PLAN,
    r"mixers/[\w]+\.py:\w+(\.\w+)*": CALL,
    r"matching/[\w]+\.py:\w+(\.\w+)*": PLAN,
    r"autoencoders/convolutional\.py:ConvAutoencoder\.__init__": SCHEMA,
    r"autoencoders/autoencoder\.py:Autoencoder\.(__init__|encode)": SCHEMA,
    r"autoencoders/autoencoder\.py:Autoencoder\.normalise": OUTCOME,
    r"autoencoders/pretrained\.py:\w+": START,
    r"diffusion/clip_noise\.py:ClipNoise\.__init__": SCHEMA,
    r"diffusion/known_frames\.py:KnownFrames\.(__post_init__|first)": SCHEMA,
    r"diffusion/process\.py:Process\.(loss|_coefficients)": CALL,
    r"diffusion/(discrete|edm|flow|parameterisation|process|samplers|schedule)\.py:[\w.]+": PLAN,
    r"engine/acceleration\.py:lay_out": PLAN,
    r"engine/acceleration\.py:require_compiler": START,
    r"engine/conditioning\.py:Teller\._number": START,
    r"engine/experiment\.py:pick_device": START,
    r"engine/experiment\.py:prepare": CALL,
    r"engine/finite\.py:require_finite": OUTCOME,
    r"engine/initial_weights\.py:take_over": PLAN,
    r"engine/latents\.py:built_autoencoder": START,
    r"engine/latents\.py:(_refuse_full_disk|trained_autoencoder|_normalise)": OUTCOME,
    r"engine/held_out_loss\.py:held_out_windows": START,
    r"engine/real_clips\.py:choose_real_clips": START,
    r"engine/train_phase\.py:TrainPhase\.train": OUTCOME,
    r"engine/training\.py:Trainer\.(step|state)": OUTCOME,
    r"metrics/archive\.py:[\w.]+": START,
    r"metrics/i3d/[\w]+\.py:[\w.]+": START,
    r"metrics/cuts\.py:load_cut_detector": START,
    r"metrics/lpips\.py:load_lpips": START,
    r"metrics/catalogue\.py:fvd_protocol": SCHEMA,
    r"metrics/protocol\.py:Protocol\.__post_init__": SCHEMA,
    r"metrics/durable\.py:load_sealed": OUTCOME,
    r"metrics/durable\.py:save_tensors": OUTCOME,
    r"metrics/extractor\.py:(windows|extract|extract_batch)": PLAN,
    r"metrics/faithfulness/reader\.py:SpriteReader\.forward": SCHEMA,
    r"metrics/faithfulness/reader\.py:numbers_of": PLAN,
    r"metrics/frechet\.py:_root_values": CALL,
    r"metrics/frechet\.py:_degrees_of_freedom": PLAN,
    r"metrics/frechet_distance\.py:FrechetDistance\.\w+": CALL,
    r"metrics/kernel\.py:\w+": PLAN,
    r"metrics/(prediction|recall)\.py:\w+": CALL,
    r"metrics/reference\.py:_load": OUTCOME,
    r"metrics/spatio_temporal_energy\.py:SpatioTemporalEnergy\.forward": PLAN,
    r"metrics/temporal\.py:TemporalFeatures\.__call__": CALL,
    r"metrics/user_extractor\.py:[\w.]+": FVD,
    r"metrics/video\.py:(check_uint8|quantise)": CALL,
    r"metrics/video_distance\.py:VideoDistance\.__init__": SCHEMA,
    r"metrics/video_distance\.py:VideoDistance\.judge": PLAN,
    r"folders/\w+\.py:[\w.]+": FVD,
}
"""Pattern of places to the time at which what is raised there is met; the first that fits counts."""


def test_every_refusal_of_the_engine_is_met_before_training_or_is_an_outcome():
    found = places(lambda node: isinstance(node, ast.Raise) and node.exc is not None, *ROOMS)
    unknown = [place for place in found if not any(re.fullmatch(pattern + ".*", place) for pattern in MET)]
    assert not unknown, "say when these are met, and see to it that it is before training"


def test_no_pattern_is_left_over():
    found = places(lambda node: isinstance(node, ast.Raise) and node.exc is not None, *ROOMS)
    used = {next((pattern for pattern in MET if re.fullmatch(pattern + ".*", place)), None) for place in found}
    assert set(MET) <= used
