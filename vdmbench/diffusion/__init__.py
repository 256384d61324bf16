"""Discrete-time Gaussian diffusion: noise schedules, parameterisations, the training loss and the samplers."""

from __future__ import annotations

from vdmbench.diffusion.clip_noise import ClipNoise
from vdmbench.diffusion.parameterisation import PARAMETERISATIONS, Parameterisation
from vdmbench.diffusion.process import Denoiser, Diffusion
from vdmbench.diffusion.samplers import sample_ddim, sample_ddpm
from vdmbench.diffusion.schedule import SCHEDULES, NoiseSchedule, noise_schedule

__all__ = [
    "PARAMETERISATIONS",
    "SCHEDULES",
    "ClipNoise",
    "Denoiser",
    "Diffusion",
    "NoiseSchedule",
    "Parameterisation",
    "noise_schedule",
    "sample_ddim",
    "sample_ddpm",
]
