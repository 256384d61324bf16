"""A pair of mixers: names, options and a user's own file inside it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from pydantic import ValidationError

from vdmbench.mixers.conformance import check_mixer
from vdmbench.mixers.making import mixer_maker
from vdmbench.suite.options.mixers import PairOptions
from vdmbench.user_code import InvalidUserCode, allow

CODE = """
from torch import nn
from vdmbench.mixers import Mixer

class Scale(Mixer):
    def __init__(self, channels, *, expand=1.0):
        super().__init__(channels, causal=True)
        self.inner_width = int(channels * expand)
        self.map = nn.Linear(channels, self.inner_width)
        self.back = nn.Linear(self.inner_width, channels)

    def forward(self, x):
        return self.back(self.map(x))

    def initial_state(self, batch):
        return ()

    def step(self, x, state):
        return self(x), ()

    def state_size(self, frames):
        return 0

    def flops(self, frames):
        return 4 * frames * self.channels * self.inner_width
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "scale.py"
    path.write_text(CODE)
    return path


def test_a_users_class_stands_beside_a_registered_mixer(file: Path) -> None:
    options = PairOptions(first={"name": f"{file}:Scale", "expand": 2.0}, second="lstm", expand=0.5).model_dump()
    assert len(options["first"]["sha256"]) == 64
    allow([options["first"]["sha256"]])
    pair = mixer_maker({"name": "pair", **options})(16)
    assert (pair.first.inner_width, pair.second.inner_width) == (16, 8)  # type: ignore[union-attr]
    assert all(check.passed for check in check_mixer(mixer_maker({"name": "pair", **options})))


def test_code_that_changed_since_it_was_declared_is_not_run(file: Path) -> None:
    options = PairOptions(second=f"{file}:Scale").model_dump()
    file.write_text(CODE + "\nraise SystemExit('it ran')\n")
    with pytest.raises(InvalidUserCode, match="has changed since it was declared"):
        mixer_maker({"name": "pair", **options})(16)


def test_what_is_wrong_in_a_pair_names_the_mixer(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match=r"absent\.py cannot be read"):
        PairOptions(first=f"{tmp_path / 'absent.py'}:Scale")
    with pytest.raises(ValidationError, match="mixer 'identity' has no width"):
        PairOptions(first="identity", expand=2.0)
    with pytest.raises(ValidationError, match="no pair itself"):
        PairOptions(first="pair")


def test_an_mlp_after_a_mixer_mixes_no_frames() -> None:
    torch.manual_seed(0)
    alone = mixer_maker({"name": "mlp", "expand": 2.0})(8).double()
    x = torch.randn(1, 5, 8, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(alone(x)[:, 2].sum(), x)
    assert gradient.abs().sum((0, 2)).nonzero().tolist() == [[2]]
