"""What networks are told of a clip: its class, its caption, its actions, in any combination; and how texts are encoded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from vdmbench.file_digests import digest_of, digests
from vdmbench.file_tree import file_tree
from vdmbench.home import expanded
from vdmbench.suite.errors import problem_at, union_tag
from vdmbench.suite.model import Declared
from vdmbench.suite.options.metrics import FaithfulnessOptions

if TYPE_CHECKING:
    from vdmbench.suite.blocks import Evaluate, Sample

Told = Literal["label", "caption", "actions"]
READER_FRAMES = 8
"""First frames of a clip that faithfulness is read from."""


class ByteText(Declared):
    """A small transformer on the bytes of a caption, trained with the network; it needs nothing."""

    encoder: Literal["bytes"] = "bytes"
    """Bytes, or the folder of a pretrained encoder."""
    width: int = Field(default=64, ge=16, le=65_536, multiple_of=16)
    """Features of a byte; 16 a head."""
    depth: int = Field(default=2, ge=1, le=1_024)
    """Blocks in a row."""
    length: int = Field(default=160, ge=2, le=1_000_000)
    """Bytes that are read, one of them for the beginning; the rest of a longer caption is not."""


class PretrainedText(Declared):
    """A frozen encoder of Hugging Face's transformers, from a folder on this machine; nothing is ever downloaded."""

    encoder: Literal["pretrained"]
    """Pretrained."""
    path: str
    """Folder with config.json, the tokenizer's files and safetensors."""
    length: int = Field(default=128, ge=1, le=1_000_000)
    """Tokens that are read; the rest of a longer caption is not."""
    features: int | None = Field(default=None, gt=0, le=1_000_000)
    """Width of the encoder's tokens; filled in from config.json."""
    sha256: str = ""
    """Of all files of the folder; filled in where it is not given."""

    @model_validator(mode="before")
    @classmethod
    def _of_the_folder(cls, value: Any) -> Any:
        if not isinstance(value, dict) or not isinstance(value.get("path"), str):
            return value
        value = dict(value)
        if not value.get("features"):
            value["features"] = _features(expanded(value["path"]))
        if not value.get("sha256"):
            value["sha256"] = fingerprint_of_folder(expanded(value["path"]))
        return value


def _encoder_of(value: Any) -> str:
    return union_tag(value.get("encoder", "bytes") if isinstance(value, dict) else value.encoder)


TextEncoder = Annotated[
    Annotated[ByteText, Tag(union_tag("bytes"))] | Annotated[PretrainedText, Tag(union_tag("pretrained"))],
    Discriminator(_encoder_of),
]


class Conditioning(Declared):
    """What every variant is told, alike."""

    tell: list[Told] = Field(min_length=1)
    """The clip's class, its caption, the actions between its frames (recorded ones, or the motion of its pose)."""
    drop: float = Field(default=0.1, ge=0, lt=1)
    """Share of training clips that are told nothing, for guidance."""
    text: TextEncoder = ByteText()
    """What encodes captions."""

    @field_validator("tell")
    @classmethod
    def _once_each(cls, tell: list[Told]) -> list[Told]:
        if len(set(tell)) < len(tell):
            raise ValueError("a part of the condition is named twice")
        return sorted(tell)


def check_guidance(condition: Conditioning | None, sample: Sample) -> None:
    """Raise a problem where guidance does not go with what the network is told."""
    if sample.guidance == 1:
        return
    where = ("sample", "guidance")
    if condition is None:
        raise problem_at(where, "nothing is told that could guide: set 'condition', or leave guidance out")
    if condition.drop == 0:
        raise problem_at(where, "guidance needs a network that also knows no condition: set condition.drop, such as 0.1")


def check_faithfulness(condition: Conditioning | None, evaluate: Evaluate, frames: int) -> None:
    """Raise a problem where faithfulness is asked for and nothing is told that clips could be faithful to."""
    if not any(isinstance(metric, FaithfulnessOptions) for metric in evaluate.metrics):
        return
    where = ("evaluate", "metrics")
    if condition is None or not {"label", "caption"} & set(condition.tell):
        raise problem_at(where, "faithfulness is to what was told: set condition {tell: [caption]} or [label], or leave it out")
    if frames < READER_FRAMES:
        raise problem_at(
            where, f"faithfulness is read from {READER_FRAMES} frames, clips have {frames}: raise data.frames, or leave it out"
        )


def fingerprint_of_folder(folder: Path) -> str:
    """SHA-256 of names and contents of all files at any depth, hidden ones left out. Raises ValueError."""
    _require(folder)
    return digest_of(digests(folder, [path.relative_to(folder).as_posix() for path in file_tree(folder).files]))


def _features(folder: Path) -> int:
    _require(folder)
    try:
        config = json.loads((folder / "config.json").read_text())
    except (OSError, ValueError) as error:
        raise ValueError(f"{folder / 'config.json'} cannot be read ({error}): save the encoder there again") from None
    config = config.get("text_config") or config
    width = next((config[key] for key in ("d_model", "hidden_size") if isinstance(config.get(key), int)), None)
    if width is None:
        raise ValueError(f"{folder / 'config.json'} names neither d_model nor hidden_size: it is of no text encoder")
    return int(width)


def _require(folder: Path) -> None:
    if not (folder / "config.json").is_file():
        raise ValueError(
            f"{folder} holds no config.json: give the folder of a text encoder on this machine, with its tokenizer and "
            "safetensors (nothing is downloaded), or leave 'text' out for the built-in encoder"
        )
    if not any(folder.glob("*.safetensors")):
        raise ValueError(f"{folder} holds no *.safetensors: save the encoder again with safe_serialization=True")
