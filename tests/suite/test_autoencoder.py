"""The autoencoder of a suite: trained here, or a folder of diffusers', read without torch."""

from __future__ import annotations

import json
import subprocess
import sys

import jsonschema
import pytest
import yaml

from tests.suite.texts import MINIMAL
from vdmbench.suite import CellInputs, Suite, SuiteError, expand, parse_suite

CONFIG = {
    "_class_name": "AutoencoderKL", "in_channels": 3, "out_channels": 3, "block_out_channels": [8, 8, 8], "latent_channels": 6,
}  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    (tmp_path / "diffusion_pytorch_model.safetensors").write_bytes(b"weights")
    return tmp_path


def inputs(autoencoder: str, *more: str) -> CellInputs:
    overrides = [f"autoencoder={autoencoder}", "sample.clip_x0=false", *more]
    return expand(*parse_suite(MINIMAL, "s.yaml", overrides))[0].inputs


def test_sizes_are_read_from_the_folder_and_plan_the_network(folder):
    declared = inputs(f"{{name: diffusers, path: '{folder}'}}")
    assert (declared.autoencoder.factor, declared.autoencoder.channels) == (4, 6)
    assert (declared.denoised_size, declared.denoised_channels) == (4, 6)


def test_what_was_declared_is_read_again_without_the_folder(folder):
    declared = inputs(f"{{name: diffusers, path: '{folder}'}}")
    for file in folder.iterdir():
        file.unlink()
    again = CellInputs.model_validate(declared.model_dump(mode="json"))
    assert again == declared
    assert again.identity() == declared.identity()


@pytest.mark.parametrize("file", ["config.json", "diffusion_pytorch_model.safetensors"])
def test_content_is_part_of_the_identity(folder, file):
    text = f"{{name: diffusers, path: '{folder}'}}"
    first = inputs(text).identity()
    with (folder / file).open("ab") as changed:
        changed.write(b" ")
    assert inputs(text).identity() != first


def test_conv_is_what_it_was_without_a_choice():
    """The same fields in dumps, so that cells from before there was a choice are found again."""
    assert inputs("{factor: 2}").identity() == inputs("{name: conv, factor: 2}").identity()
    assert list(inputs("{factor: 2}").autoencoder.model_dump()) == [
        "name", "factor", "channels", "width", "kl", "steps", "batch_size", "learning_rate", "seed",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("{name: diffusers}", "'path' is missing"),
        ("{name: diffusers, path: /nowhere/vae}", "/nowhere/vae is no folder: give the folder of an AutoencoderKL"),
        ("{name: difusers, path: x}", "did you mean 'diffusers'?"),
        ("{name: [diffusers]}", "unknown autoencoder"),
        (f"{{name: diffusers, path: {'x' * 300}}}", "autoencoder.path: "),
        ("{name: diffusers, path: 3}", "autoencoder.path: "),
        ("{path: x}", "set 'name: diffusers'"),
        ("{name: diffusers, path: x, steps: 5}", "'steps' belongs to autoencoder 'conv'"),
        ("{name: conv, stepz: 5}", "did you mean 'steps'?"),
        ("conv", "such as {name: conv, factor: 4}"),
    ],
)
def test_what_is_misdeclared_is_refused_with_the_remedy(text, remedy):
    with pytest.raises(SuiteError) as refused:
        inputs(text)
    assert remedy in str(refused.value)
    assert len(refused.value.problems) == 1


@pytest.mark.parametrize(
    ("config", "remedy"),
    [
        (None, "holds no config.json: give the folder of an AutoencoderKL"),
        ("{", "save the autoencoder there again"),
        ("[]", "of nothing that it names"),
        (json.dumps(CONFIG | {"_class_name": "UNet2DConditionModel"}), "is of UNet2DConditionModel, not of AutoencoderKL"),
        (json.dumps(CONFIG | {"in_channels": 1}), "colour images"),
        (json.dumps(CONFIG | {"latent_channels": None}), "names no block_out_channels and latent_channels"),
    ],
)
def test_a_folder_of_something_else_is_refused(folder, config, remedy):
    (folder / "config.json").unlink() if config is None else (folder / "config.json").write_text(config)
    with pytest.raises(SuiteError) as refused:
        inputs(f"{{name: diffusers, path: '{folder}'}}")
    assert remedy in str(refused.value)


def test_only_safetensors_and_the_sizes_of_the_folder(folder):
    with pytest.raises(SuiteError, match=r"autoencoder\.factor: that of .* is 4, got 8: leave it out"):
        inputs(f"{{name: diffusers, path: '{folder}', factor: 8}}")
    with pytest.raises(SuiteError, match="multiple of the autoencoder's factor, 4, got 18"):
        inputs(f"{{name: diffusers, path: '{folder}'}}", "data.size=18")
    (folder / "diffusion_pytorch_model.safetensors").rename(folder / "diffusion_pytorch_model.bin")
    with pytest.raises(SuiteError, match="as safetensors"):
        inputs(f"{{name: diffusers, path: '{folder}'}}")


def test_the_json_schema_takes_both():
    schema, tree = Suite.model_json_schema(by_alias=True), yaml.safe_load(MINIMAL)
    for right in ({"factor": 2}, {"name": "conv"}, {"name": "diffusers", "path": "vae"}, None):
        jsonschema.validate({**tree, "autoencoder": right}, schema)
    for wrong in ({"name": "diffusers"}, {"name": "conv", "path": "vae"}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({**tree, "autoencoder": wrong}, schema)


def test_reading_a_folder_loads_neither_torch_nor_diffusers(folder):
    code = (
        "import sys; from vdmbench.suite.autoencoder import DiffusersAutoencoderBlock as B; "
        f"B(name='diffusers', path={str(folder)!r}); print({{'torch', 'diffusers'}} & set(sys.modules))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert out.stdout.strip() == "set()"
