"""Autoencoders: between video and the latents that a network denoises."""

from vdmbench.autoencoders.autoencoder import Autoencoder
from vdmbench.autoencoders.convolutional import ConvAutoencoder
from vdmbench.autoencoders.pretrained import DiffusersAutoencoder, MissingDiffusers
from vdmbench.autoencoders.reconstruction import psnr

__all__ = ["Autoencoder", "ConvAutoencoder", "DiffusersAutoencoder", "MissingDiffusers", "psnr"]
