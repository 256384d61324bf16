"""``vdmbench schema``: the JSON Schema of a suite, for editors."""

from __future__ import annotations

from vdmbench.cli.terminal import say_json


def schema() -> None:
    """Print the JSON Schema of a suite, for completion and checks in an editor.

    Example: vdmbench schema > suite.schema.json, then start a suite with: # yaml-language-server: $schema=suite.schema.json
    """
    from vdmbench.suite import Suite

    say_json(Suite.model_json_schema(by_alias=True))
