"""What a page of very many cells holds compressed: it stays one file that can be opened, and unpacks what is looked at."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Sequence

PACKED_FROM = 200
"""Cards from which on they are packed; fewer can be read without scripts."""
PACKED_TEXT = 500_000
"""Characters of a file to download from which on it is."""
_TOGETHER = 50
"""Cards in one piece: what opening one of them unpacks."""


def packed(text: str) -> str:
    """``text`` gzipped, in base64: equal texts give equal ones."""
    return base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()


def packed_bodies(bodies: Sequence[str]) -> str:
    """An inert script element that holds the insides of cards, in order, for the page's own script to unpack."""
    pieces = [packed(json.dumps(bodies[first : first + _TOGETHER])) for first in range(0, len(bodies), _TOGETHER)]
    held = json.dumps({"together": _TOGETHER, "pieces": pieces})
    return (
        '<noscript><p class="quiet">These cards are compressed, for there are many: '
        "they open where scripts may run.</p></noscript>"
        f'<script type="application/json" id="packed-cards">{held}</script>'
    )
