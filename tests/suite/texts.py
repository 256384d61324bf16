"""Suites as text, for tests."""

MINIMAL = """\
schema: 1
name: minimal
network: {name: unet3d, base_channels: 8, multipliers: [1]}
variants:
  floor: {mixer: identity}
  uni: {mixer: mamba}
  bi:
    mixer: {name: mamba, direction: both}
data:
  source: sprites
  frames: 6
  size: 16
train: {steps: 2, batch_size: 2, ema: 0.5, warm_up: 1}
sample: {sampler: ddim, steps: 2, clips: 4, batch_size: 3}
evaluate: {metrics: [{name: ste-fd, bootstrap: 20, control_clips: 4}], real_clips: 4}
diffusion: {steps: 8}
"""
