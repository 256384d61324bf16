"""Blocks in a row, each a mixer over a scan order: the hybrids of a diffusion transformer."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from vdmbench.suite.blocks import MixerChoice
from vdmbench.suite.model import Declared

MOST_BLOCKS = 1024

SCAN_ORDER = r"h|v|t|z|site|frame|b[1-9][0-9]*x[1-9][0-9]*"
"""What a scan order may be called; networks/scan_orders.py says what each is."""
SCAN_ORDERS = "h, v, t, z, site, frame, or blocks of rows and columns such as b4x8"

_SHORT = re.compile(r"(?P<mixer>.+?)(@(?P<scan>[a-z0-9]+))?(\*(?P<times>[1-9][0-9]*))?")


class _Short:
    """Tells an editor's JSON Schema that the short form is allowed too."""

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"anyOf": [{"type": "string", "pattern": f"@({SCAN_ORDER})(\\*[1-9][0-9]*)?$|^[^@]+$"}, handler(schema)]}


class BlockMixer(Declared):
    """A mixer, and the order in which it reads a clip's tokens; ``hydra@t`` for short."""

    mixer: MixerChoice
    """The mixer, with its options."""
    scan: str = Field("h", validate_default=True)
    """Horizontally (h), vertically (v), in time first (t), there and back (z) or by blocks (b4x8) through the whole clip; or
    through each place's frames (site) or each frame's places (frame)."""

    @model_validator(mode="before")
    @classmethod
    def _written_out(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        found = _SHORT.fullmatch(value)
        if found is None or found["times"]:
            raise ValueError(f"a block is mixer@scan, or a mapping of mixer and scan, got '{value}'")
        return {"mixer": found["mixer"]} | ({"scan": found["scan"]} if found["scan"] else {})

    @model_validator(mode="after")
    def _scan_is_known(self) -> BlockMixer:
        if not re.fullmatch(SCAN_ORDER, self.scan):
            raise ValueError(f"unknown scan order '{self.scan}'; known: {SCAN_ORDERS}")
        return self

    @property
    def crosses_frames(self) -> bool:
        """Whether it is a temporal mixer."""
        return self.scan != "frame"


def _repeated(pattern: Any) -> Any:
    """``hydra@h*3`` as three blocks; counted before they are written out."""
    if not isinstance(pattern, list):
        return pattern
    blocks: list[Any] = []
    for block in pattern:
        found = _SHORT.fullmatch(block) if isinstance(block, str) else None
        short = found is not None and bool(found["times"])
        times = int(found["times"][:9]) if found is not None and short else 1  # nine digits are too many already
        if len(blocks) + times > MOST_BLOCKS:
            raise ValueError(f"more than {MOST_BLOCKS:,} blocks, at '{str(block)[:80]}': no network has as many; write fewer")
        blocks += [block.rpartition("*")[0] if short else block] * times
    return blocks


class BlockPattern(Declared):
    """Blocks in a row, as ``[hydra@h, hydra@v, hydra@t, attention]``, time and again."""

    pattern: Annotated[list[Annotated[BlockMixer, _Short()]], BeforeValidator(_repeated)] = Field(min_length=1)
    """Of each block its mixer and scan order: mixer@scan, mixer@scan*3 for three alike, or a mapping of mixer and scan."""
    repeat: int | None = Field(None, ge=1, le=1_024)
    """How often the pattern stands in a row; null is as often as the network's depth holds it."""

    def misfit(self, depth: int) -> str | None:
        """Why the pattern does not fill a network of that depth, and what does; None where it does."""
        length = len(self.pattern)
        if self.repeat is None:
            if depth % length == 0:
                return None
            near = f"{depth // length * length} or {depth // length * length + length}" if depth > length else str(length)
            return f"{length} blocks do not fill the network's depth of {depth} evenly; set network.depth to {near}"
        if self.repeat * length == depth:
            return None
        return (
            f"{length} blocks x repeat {self.repeat} are {length * self.repeat}, and the network's depth is {depth}: "
            f"set network.depth to {length * self.repeat}, or leave repeat out"
        )
