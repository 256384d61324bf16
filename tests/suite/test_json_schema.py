"""The exported JSON Schema agrees with the loader."""

from __future__ import annotations

import re

import jsonschema
import pytest
import yaml

from tests.suite.texts import MINIMAL
from vdmbench.suite import Suite
from vdmbench.suite.shipped import shipped_suites

SCHEMA = Suite.model_json_schema(by_alias=True)


def test_is_a_valid_schema_with_help_for_every_option():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$defs"]["Train"]["properties"]["learning_rate"]["description"].startswith("The largest")
    assert "backend" in SCHEMA["$defs"]["MambaMambaChoice"]["properties"]


@pytest.mark.parametrize("name", sorted(shipped_suites()))
def test_accepts_what_is_shipped(name: str):
    text = shipped_suites()[name].read_text()
    # YAML 1.1 reads 1e-4 as a text, where suites read a number.
    jsonschema.validate(yaml.safe_load(re.sub(r"\b(\d+)e-(\d)\b", r"\1.0e-\2", text)), SCHEMA)


def test_refuses_what_the_loader_refuses():
    tree = yaml.safe_load(MINIMAL)
    for wrong in ({"mixer": "mambo"}, {"mixer": {"name": "mamba", "directon": "both"}}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({**tree, "variants": {"a": wrong}}, SCHEMA)


def test_accepts_hybrids_and_mixers_by_file():
    tree = yaml.safe_load(MINIMAL)
    pattern = {"stem": "mamba", "levels": ["attention", {"name": "mamba2", "state": 8}], "middle": "layers/mine.py:Mine"}
    pair = {"name": "pair", "first": {"name": "sliding-attention", "window": 4}, "second": "mamba"}
    for right in ({"pattern": pattern}, {"mixer": pair}, {"mixer": {"name": "layers/mine.py:Mine", "expand": 2.0}}):
        jsonschema.validate({**tree, "variants": {"a": right}}, SCHEMA)
    for wrong in ({"pattern": {**pattern, "levels": []}}, {"pattern": {**pattern, "stem": "mambo"}}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({**tree, "variants": {"a": wrong}}, SCHEMA)
