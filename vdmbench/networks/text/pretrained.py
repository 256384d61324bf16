"""Frozen text encoders of Hugging Face's transformers, from a folder on this machine. Nothing is ever downloaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from vdmbench.home import expanded


class MissingTransformers(ImportError):
    """The extra is not installed; the message says how it is."""


class EncodedTexts(NamedTuple):
    """Tokens, zero where they do not count, and which of them do."""

    tokens: Float[Tensor, "texts length features"]
    mask: Bool[Tensor, "texts length"]


class PretrainedEncoder:
    """Tokens of texts from the last layer of a pretrained encoder (T5, BERT, CLIP's text tower, ...), each text once.

    It is no part of the network: never trained, and neither in its parameters nor in its checkpoints.

    Args:
        path: folder of config.json, tokenizer and safetensors.
        length: tokens of a text; longer ones are cut off.

    Raises:
        MissingTransformers: where the package is not installed.
        ValueError: a folder that cannot be used.
    """

    def __init__(self, path: str | Path, *, length: int) -> None:
        transformers = _transformers()
        folder, local = expanded(path), {"local_files_only": True, "trust_remote_code": False}
        try:
            config = transformers.AutoConfig.from_pretrained(folder, **local)
            self.tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **local)
            model = _text_tower(transformers, config).from_pretrained(folder, use_safetensors=True, **local)
        except (OSError, ValueError, KeyError) as error:
            first = str(error).strip().partition("\n")[0]
            raise ValueError(f"{folder} is no text encoder that can be read: {first}") from None
        self.model = model.eval().requires_grad_(False)
        if self.tokenizer.pad_token is None:
            raise ValueError(f"the tokenizer in {folder} has no padding token: set one and save it again")
        self.length = length
        self.features = int(getattr(config, "d_model", None) or config.get_text_config().hidden_size)
        self._known: dict[str, Tensor] = {}

    def __call__(self, texts: list[str]) -> EncodedTexts:
        """On the CPU. Only texts that are new are encoded."""
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        if new:
            self._encode(new)
        mask = torch.zeros(len(texts), self.length, dtype=torch.bool)
        tokens = torch.zeros(len(texts), self.length, self.features)
        for row, text in enumerate(texts):
            known = self._known[text]
            tokens[row, : len(known)], mask[row, : len(known)] = known, True
        return EncodedTexts(tokens, mask)

    @torch.no_grad()
    def _encode(self, texts: list[str]) -> None:
        """A text at a time, without padding: what it becomes does not depend on the others."""
        for text in texts:
            ids = self.tokenizer(text, truncation=True, max_length=self.length, return_tensors="pt")
            hidden = self.model(input_ids=ids["input_ids"], attention_mask=ids["attention_mask"]).last_hidden_state
            self._known[text] = hidden[0].float().clone()


def _text_tower(transformers: Any, config: Any) -> Any:
    """The class that holds the encoder alone, where a checkpoint holds more."""
    towers = {"t5": "T5EncoderModel", "umt5": "UMT5EncoderModel", "clip": "CLIPTextModel", "clip_text_model": "CLIPTextModel"}
    return getattr(transformers, towers.get(config.model_type, "AutoModel"))


def _transformers() -> Any:
    try:
        import transformers
    except ImportError:
        raise MissingTransformers(
            "pretrained text encoders need transformers: pip install 'vdmbench[text]', or use condition.text {encoder: bytes}"
        ) from None
    return transformers
