"""Pretrained image autoencoders of Hugging Face's diffusers, from a folder on this machine. Nothing is ever downloaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jaxtyping import Float
from safetensors import SafetensorError
from torch import Tensor

from vdmbench.autoencoders.autoencoder import Autoencoder
from vdmbench.home import expanded


class MissingDiffusers(ImportError):
    """The extra is not installed; the message says how it is."""


class DiffusersAutoencoder(Autoencoder):
    """A frozen ``AutoencoderKL`` (Rombach et al. 2022, arXiv 2112.10752, sec. 3.1), frame by frame, in float32.

    Latents are the mode of its posterior. :meth:`normalise` takes the place of the ``scaling_factor`` in its config.json,
    which is of the images that it was trained on.

    Args:
        path: folder with config.json and safetensors.

    Raises:
        MissingDiffusers: where the package is not installed.
        ValueError: a folder that cannot be used.
    """

    together = 16

    def __init__(self, path: str | Path) -> None:
        model = _loaded(expanded(path))
        super().__init__(factor=2 ** (len(model.config.block_out_channels) - 1), channels=model.config.latent_channels)
        self.model = model
        self.eval().requires_grad_(False)

    def encoded(self, images: Float[Tensor, "images 3 height width"]) -> Float[Tensor, "images channels rows columns"]:
        return self.model.encode(images).latent_dist.mode()

    def decoded(self, latents: Float[Tensor, "images channels rows columns"]) -> Float[Tensor, "images 3 height width"]:
        return self.model.decode(latents).sample

    def kept(self) -> dict[str, Tensor]:
        return {"shift": self.shift, "scale": self.scale}

    def restore(self, kept: dict[str, Tensor]) -> None:
        self.load_state_dict(self.state_dict() | kept)


def _loaded(folder: Path) -> Any:
    kind = _autoencoder_kl()
    if not (folder / "config.json").is_file():  # what is no folder would be looked for among earlier downloads
        raise ValueError(f"{folder} holds no config.json: give the folder of an AutoencoderKL on this machine")
    try:
        model, report = kind.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, low_cpu_mem_usage=False, output_loading_info=True
        )
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        first = str(error).strip().partition("\n")[0]
        raise ValueError(f"{folder} holds no AutoencoderKL that can be read: {first}") from None
    wrong = [*report["missing_keys"], *report["mismatched_keys"]]  # these would be drawn at random
    if wrong:
        raise ValueError(f"the weights in {folder} lack {len(wrong)} of what its config.json asks for, such as {wrong[0]}: "
                         "save the autoencoder there again")  # fmt: skip
    return model.float()


def _autoencoder_kl() -> Any:
    try:
        from diffusers import AutoencoderKL
    except ImportError:
        raise MissingDiffusers(
            "pretrained autoencoders need diffusers: pip install 'vdmbench[latents]', or use autoencoder {name: conv}"
        ) from None
    return AutoencoderKL
