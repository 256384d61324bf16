"""Diffusion processes (discrete, flow matching, EDM): noise levels, what is predicted, the training loss and the samplers."""

from __future__ import annotations

from vdmbench.diffusion.clip_noise import ClipNoise
from vdmbench.diffusion.discrete import Diffusion
from vdmbench.diffusion.edm import EDM
from vdmbench.diffusion.flow import FlowMatching
from vdmbench.diffusion.guidance import guided, guided_in_one_batch
from vdmbench.diffusion.known_frames import KnownFrames
from vdmbench.diffusion.parameterisation import PARAMETERISATIONS, Parameterisation
from vdmbench.diffusion.process import Denoiser, Process
from vdmbench.diffusion.samplers import sample_ddim, sample_ddpm
from vdmbench.diffusion.schedule import SCHEDULES, NoiseSchedule, noise_schedule
from vdmbench.diffusion.solvers import sample_dpmpp_2m, sample_euler, sample_heun

__all__ = [
    "EDM",
    "PARAMETERISATIONS",
    "SCHEDULES",
    "ClipNoise",
    "Denoiser",
    "Diffusion",
    "FlowMatching",
    "KnownFrames",
    "NoiseSchedule",
    "Parameterisation",
    "Process",
    "guided",
    "guided_in_one_batch",
    "noise_schedule",
    "sample_ddim",
    "sample_ddpm",
    "sample_dpmpp_2m",
    "sample_euler",
    "sample_heun",
]
