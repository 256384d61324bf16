"""The digest of a record, by which one that was changed after it was written is known.

It protects from accidents: a flipped bit, an editor, a tool that rewrites JSON. Whoever means to deceive can write a digest
too; what protects from them is whom one takes records from.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

DIGEST = "digest"
"""The field of the file that holds it."""


def digest_of_record(fields: dict[str, Any]) -> str:
    """SHA-256 of all other fields, whatever their order and layout in the file."""
    return hashlib.sha256(json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
