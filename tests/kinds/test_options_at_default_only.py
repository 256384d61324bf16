"""Kind: **an option that is tested at its default only, an initialisation that is taken from a neighbour**.

Found: the norm of Mamba-2 ignored `groups`, which no test set where it compared with the published layer; Hydra and Gated
DeltaNet drew their decay from Mamba-2's range, through the module that they share; Gated DeltaNet had the convolution's bias of
its neighbours. Now every option of every mixer has a case at another value, and every choice at each of its values, against a
plain NumPy reference (`tests/mixers/test_options_mean.py`); every parameter has its published law
(`tests/mixers/test_initialisation.py`). Left are backends, which are held to one another op by op
(`tests/ops/test_every_backend.py`; on a GPU in each op's tests), and what a mixer takes from another mixer's module, listed
here with its reason.
"""

from __future__ import annotations

import ast
from typing import Any, Literal, get_args, get_origin

import pytest

from tests.kinds.syntax import modules
from tests.mixers.test_initialisation import STARTS
from tests.mixers.test_options_mean import CASES
from tests.ops.test_every_backend import OPS
from vdmbench import registry
from vdmbench.ops.backends import statuses

BACKENDS_OF = {
    "attention": "attention",
    "sliding-attention": "sliding_attention",
    "mamba": "selective_scan",
    "mamba2": "ssd_scan",
    "hydra": "quasi_separable_scan",
    "gated-delta-net": "gated_delta_scan",
}
"""The op whose backends a mixer's option ``backend`` names."""

FROM_A_NEIGHBOUR = {
    ("hydra", "mamba2"): {
        "EXPAND": "2 in both sources",
        "HeadSteps": "the same steps and form of decay; its range is an argument, each mixer's own",
        "ssd_flops": "the same scan, counted once",
    },
    ("gated_delta_net", "mamba2"): {
        "HeadSteps": "the same steps and form of decay; its range is an argument, each mixer's own"
    },
}
"""(module of a mixer, module of another): what the one takes from the other, with the reason why it is the same in both."""

OPTIONS = [(entry.name, option) for entry in registry.mixers for option in entry.load_options().model_fields]


@pytest.mark.parametrize(("mixer", "option"), OPTIONS)
def test_every_option_has_a_case_at_another_value(mixer: str, option: str) -> None:
    field = registry.mixers[mixer].load_options().model_fields[option]
    if option == "backend":
        op = BACKENDS_OF[mixer]
        assert op in OPS
        assert set(get_args(field.annotation)) - {"auto"} == {each.backend for each in statuses("cpu") if each.op == op}
        return
    tried = [options[option] for name, options in CASES if name == mixer and option in options]
    every: tuple[Any, ...] = get_args(field.annotation) if get_origin(field.annotation) is Literal else ()
    if field.annotation is bool:
        every = (True, False)
    assert any(value != field.default for value in tried), f"give {mixer}.{option} a case in tests/mixers/test_options_mean.py"
    missing = [value for value in every if value != field.default and value not in tried]
    assert not missing, f"give {mixer}.{option} a case at {missing} in tests/mixers/test_options_mean.py"


def test_every_mixer_has_the_laws_of_its_parameters() -> None:
    assert STARTS.keys() == {entry.name for entry in registry.mixers}


def test_what_a_mixer_takes_from_another_mixers_module_is_known() -> None:
    of_mixers = {entry.target.partition(":")[0].removeprefix("vdmbench.mixers.") for entry in registry.mixers}
    found: dict[tuple[str, str], set[str]] = {}
    for path in modules("mixers"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("vdmbench.mixers."):
                other = node.module.removeprefix("vdmbench.mixers.")
                if path.stem in of_mixers and other in of_mixers:
                    found.setdefault((path.stem, other), set()).update(name.name for name in node.names)
    assert found == {place: set(names) for place, names in FROM_A_NEIGHBOUR.items()}
