"""Networks that are told something: what they are told matters, and nothing else does."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest
import torch

from vdmbench.networks import build, count_parameters
from vdmbench.networks.conditional import Told
from vdmbench.networks.text.byte_encoder import ByteEncoder, bytes_of
from vdmbench.networks.text.pretrained import MissingTransformers, PretrainedEncoder

UNET = {"name": "unet3d", "base_channels": 8, "multipliers": [1]}
DIT = {"name": "dit", "base_channels": 16, "depth": 2, "cross_attention": True}
TEXT = {"encoder": "bytes", "width": 16, "depth": 1, "length": 12}
ALL = {"classes": 3, "text": TEXT, "actions": 2}
TOLD = Told(torch.tensor([0, 2]), bytes_of(["a disc", "une étoile"], 12), None, torch.randn(2, 4, 2))
CLIPS, TIMES = torch.linspace(-1, 1, 2 * 4 * 3 * 64).view(2, 4, 3, 8, 8), torch.tensor([1, 5])


def conditional(network, mixer="identity", **condition):
    built = build({**network, "condition": condition}, {"name": mixer})
    with torch.no_grad():  # a dit starts as zero, whatever it is told
        for parameter in built.network.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape))
    return built


@pytest.mark.parametrize("network", [UNET, DIT], ids=lambda each: each["name"])
def test_a_clip_that_is_dropped_is_one_that_is_told_nothing(network):
    built = conditional(network, **ALL)
    told, nothing = built(CLIPS, TIMES, TOLD), built(CLIPS, TIMES)
    dropped = built(CLIPS, TIMES, TOLD.keeping(torch.tensor([True, False])))
    torch.testing.assert_close(dropped[0], told[0])
    torch.testing.assert_close(dropped[1], nothing[1])
    assert not torch.allclose(told[1], nothing[1], atol=1e-4)


@pytest.mark.parametrize("network", [UNET, DIT], ids=lambda each: each["name"])
def test_every_encoder_is_trained_in_every_step_and_counted(network):
    """Also where some clips are dropped: devices that train together wait for every gradient."""
    built = conditional(network, **ALL)
    built(CLIPS, TIMES, TOLD.keeping(torch.tensor([True, False]))).square().sum().backward()
    assert [name for name, parameter in built.named_parameters() if parameter.grad is None] == []
    assert count_parameters(built)["network"] == sum(each.numel() for each in built.parameters())
    assert count_parameters(built)["network"] > count_parameters(built.network)["network"]


def test_an_action_is_told_to_the_frame_that_it_leads_to():
    built = conditional(UNET, actions=2)
    actions = torch.zeros(1, 4, 2, requires_grad=True)
    built(CLIPS[:1], TIMES[:1], Told(actions=actions))[0, 2].sum().backward()
    moved = actions.grad[0].abs().sum(1) > 0
    assert moved.tolist() == [False, True, False, False]  # without a temporal layer, action 1 leads to frame 2 alone
    assert conditional(UNET, actions=0)(CLIPS, TIMES, Told(actions=torch.randint(256, (2, 4)))).shape == CLIPS.shape


@pytest.mark.parametrize("network", [UNET, DIT], ids=lambda each: each["name"])
@pytest.mark.parametrize("size", [1, 2])
@torch.no_grad()
def test_chunks_are_told_of_their_own_frames(network, size):
    built = conditional(network, mixer="mamba", **ALL).double()
    told = replace(TOLD, actions=TOLD.actions.double())
    stream, parts = built.initial_stream(2, 8, 8), []
    for first in range(0, 4, size):
        part, stream = built.step(CLIPS[:, first : first + size].double(), TIMES, stream, told)
        parts.append(part)
    torch.testing.assert_close(torch.cat(parts, 1), built(CLIPS.double(), TIMES, told))


def test_beside_what_is_told_stands_nothing():
    built = conditional(UNET, **ALL)
    twice = TOLD.keeping(torch.tensor([True, False])).beside_nothing()
    told, nothing = built(torch.cat([CLIPS, CLIPS]), torch.cat([TIMES, TIMES]), twice).chunk(2)
    torch.testing.assert_close(told[0], built(CLIPS, TIMES, TOLD)[0])
    torch.testing.assert_close(told[1], nothing[1])
    torch.testing.assert_close(nothing, built(CLIPS, TIMES))


def test_padding_changes_no_token():
    encoder = ByteEncoder(width=16, depth=2, length=32)
    short, _ = encoder(bytes_of(["a red disc"], 16))
    long, mask = encoder(bytes_of(["a red disc"], 32))
    assert mask.sum() == 11
    torch.testing.assert_close(long[:, :11], short[:, :11])
    assert bytes_of(["", "é"], 3).tolist() == [[256, 257, 257], [256, 0xC3, 0xA9]]


def folder_of_encoder(kind, path):
    """A tiny one with random weights, and a tokenizer of words."""
    transformers = pytest.importorskip("transformers", reason="needs transformers: pip install 'vdmbench[text]'")
    tokenizers = pytest.importorskip("tokenizers", reason="needs transformers: pip install 'vdmbench[text]'")
    words = {word: number for number, word in enumerate(["<pad>", "</s>", "<unk>", "a", "red", "disc", "star", "moving"])}
    plain = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="<unk>"))
    plain.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=plain, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    ).save_pretrained(path)
    if kind == "t5":
        config = transformers.T5Config(vocab_size=16, d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2)
        transformers.T5EncoderModel(config).save_pretrained(path)
    elif kind == "clip":  # published checkpoints hold its image tower too
        tower = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
        config = transformers.CLIPConfig(
            text_config={**tower, "vocab_size": 16, "max_position_embeddings": 8, "eos_token_id": 1},
            vision_config={**tower, "image_size": 8, "patch_size": 4},
            projection_dim=16,
        )
        transformers.CLIPModel(config).save_pretrained(path)
    else:
        config = transformers.BertConfig(
            vocab_size=16, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
        )
        transformers.BertModel(config).save_pretrained(path)
    return path


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["t5", "bert", "clip"])
def test_a_pretrained_encoder_reads_a_local_folder_each_text_once_and_alone(kind, tmp_path):
    encoder = PretrainedEncoder(folder_of_encoder(kind, tmp_path), length=6)
    tokens, mask = encoder(["a red disc", "a star", "a red disc"])
    assert tokens.shape == (3, 6, encoder.features) == (3, 6, 16)
    assert mask.sum(1).tolist() == [3, 2, 3]
    assert torch.equal(encoder(["a star"]).tokens[0], tokens[1])
    assert not any(parameter.requires_grad for parameter in encoder.model.parameters())
    text = {"encoder": "pretrained", "features": 16, "length": 6}
    for network in (UNET, DIT):
        built = conditional(network, text=text)
        assert built(CLIPS, TIMES, Told(texts=tokens[:2], mask=mask[:2])).shape == CLIPS.shape


def test_a_missing_package_and_a_missing_folder_say_what_to_do(tmp_path, monkeypatch):
    pytest.importorskip("transformers", reason="needs transformers: pip install 'vdmbench[text]'")
    with pytest.raises(ValueError, match="is no text encoder that can be read"):
        PretrainedEncoder(tmp_path / "none", length=4)
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MissingTransformers, match=r"pip install 'vdmbench\[text\]'"):
        PretrainedEncoder(tmp_path, length=4)


def test_what_cannot_be_built_is_refused():
    with pytest.raises(ValueError, match="give classes, text or actions"):
        build({**UNET, "condition": {}}, {"name": "identity"})
