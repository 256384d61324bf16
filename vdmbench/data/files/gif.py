"""How long each picture of a GIF stands: Pillow tells only by drawing all of them."""

from __future__ import annotations

from pathlib import Path

from vdmbench.data.source import DataError

_TABLE, _TABLE_SIZE = 0b1000_0000, 0b0000_0111
_IMAGE, _EXTENSION, _TRAILER, _GRAPHIC_CONTROL = 0x2C, 0x21, 0x3B, 0xF9
_AT_ONCE, _CUSTOMARY = 1, 10
"""Hundredths of a second: a picture that stands no longer than the first is shown for the second by every browser."""


def gif_delays(path: Path) -> list[int]:
    """Hundredths of a second for each picture.

    Raises DataError where the file is no GIF, or is cut off before its trailer (GIF89a specification, section 27).
    """
    content = path.read_bytes()
    if content[:4] != b"GIF8":
        raise DataError(f"{path} cannot be read (it is no GIF); write it again")
    try:
        delays = _delays(content)
    except IndexError:
        raise DataError(f"{path} is cut off: it does not end as a GIF does; fetch or write it again") from None
    if not delays:
        raise DataError(f"{path} holds no picture; write it again")
    return [delay if delay > _AT_ONCE else _CUSTOMARY for delay in delays]


def _delays(content: bytes) -> list[int]:
    """Block by block (sections 18 to 27); raises IndexError where the file ends within one."""
    at = 13 + _table_bytes(content[10])
    delays, waiting = [], 0
    while (block := content[at]) != _TRAILER:
        if block == _EXTENSION:
            if content[at + 1] == _GRAPHIC_CONTROL:
                waiting = content[at + 4] | content[at + 5] << 8
            at += 2
        elif block == _IMAGE:
            delays.append(waiting)
            waiting = 0
            at += 11 + _table_bytes(content[at + 9])
        else:
            raise IndexError  # no block begins here: what was to be one is gone
        while length := content[at]:  # its data, in parts of up to 255 bytes
            at += length + 1
        at += 1
    return delays


def _table_bytes(flags: int) -> int:
    return 3 << (flags & _TABLE_SIZE) + 1 if flags & _TABLE else 0
