"""Kind: **one bad item aborts all**: where several are asked at once, what one raises ends the answers of the others.

One mixer that could not be simulated ended the plan of all with PyTorch's dump of its dispatcher. Searched: every loop of the
planner over cells. What has no simulated form is a row now, which says "not simulated", with the reason in a line; a match
of memory that cannot be simulated is infeasible; the checks before a run name each fault in a line, whatever a class raises.
Left: a class that cannot be built or counted refuses the suite before anything is trained, every such variant named, for its
cells can never run. A report's items have a test of their own (`test_all_or_nothing.py`).
"""

from __future__ import annotations

import ast

import pytest

from tests.kinds.syntax import PACKAGE
from vdmbench.matching.simulable import check_simulation
from vdmbench.runner.planning import CannotBuild, PlanningFailed, plan, what_would_fit
from vdmbench.runner.stopping import Stop
from vdmbench.suite import expand, parse_suite
from vdmbench.user_code import allow, fingerprint

MIXERS = """
import torch
from torch import nn
from vdmbench.mixers import Mixer


class Plain(Mixer):
    def __init__(self, channels):
        super().__init__(channels, causal=False)
        self.inner_width = channels
        self.net = self.layer(channels)

    def layer(self, width):
        return nn.Linear(width, width)

    def forward(self, x):
        return self.net(x)

    def state_size(self, frames):
        return 1

    def flops(self, frames):
        return 1


class First(Plain):
    def forward(self, x):
        return self.net(x)[0]


class Gru(First):
    def layer(self, width):
        return nn.GRU(width, width, batch_first=True)


class Both(First):
    def layer(self, width):
        return nn.GRU(width, width // 2, num_layers=2, batch_first=True, bidirectional=True)


class Rnn(First):
    def layer(self, width):
        return nn.RNN(width, width, batch_first=True)


class Deep(First):
    def layer(self, width):
        return nn.LSTM(width, width, num_layers=2, batch_first=True)


class Steps(Plain):
    def layer(self, width):
        return nn.GRUCell(width, width)

    def forward(self, x):
        state, seen = x[:, 0], []
        for frame in x.unbind(1):
            state = self.net(frame, state)
            seen.append(state)
        return torch.stack(seen, 1)


class Complex(Plain):
    def forward(self, x):
        return torch.view_as_real(torch.complex(self.net(x).float(), x.float()))[..., 0]


class Fourier(Plain):
    def forward(self, x):
        return torch.fft.irfft(torch.fft.rfft(self.net(x).float(), dim=1), n=x.shape[1], dim=1)


class Twice(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return 2 * x

    @staticmethod
    def backward(ctx, gradient):
        return 2 * gradient


class Own(Plain):
    def forward(self, x):
        return Twice.apply(self.net(x))


class Reads(Plain):
    def forward(self, x):
        return self.net(x) * x.abs().max().item()


class Picks(Plain):
    def forward(self, x):
        y = self.net(x)
        return y + y[y > 0].sum()


class Numpy(Plain):
    def forward(self, x):
        return self.net(x) + float(x.detach().cpu().numpy().mean())


class Projects(First):
    def layer(self, width):
        return nn.LSTM(width, 2 * width, proj_size=width, batch_first=True)


class Raises(Plain):
    def forward(self, x):
        if x.device.type != "cpu":
            raise KeyError("a dump\\n" * 50)
        return self.net(x)


class Unbuilt(Plain):
    def layer(self, width):
        raise RuntimeError("no\\nsuch layer")
"""
SIMULATED = ("Gru", "Both", "Rnn", "Deep", "Steps", "Complex", "Fourier", "Own")
NOT_SIMULATED = {
    "Reads": "it reads a value from the device (_local_scalar_dense)",
    "Picks": "the shape of a tensor follows from values (nonzero)",
    "Numpy": ".numpy() is not supported",
    "Projects": "an LSTM with projections has no simulated form",
    "Raises": "KeyError: 'a dump",
}
SUITE = """schema: 1
name: mixed
network: {{name: unet3d, base_channels: 8, multipliers: [1]}}
variants: {{{variants}}}
data: {{source: {{name: sprites}}, frames: 5, size: 8}}
diffusion: {{parameterisation: v, steps: 8}}
train: {{steps: 2, batch_size: 2, ema: null, warm_up: 0}}
sample: {{sampler: ddim, steps: 2, clips: 4, batch_size: 4}}
evaluate: {{metrics: [{{name: ste-fd}}], real_clips: 4}}
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "mixers.py"
    path.write_text(MIXERS)
    allow([fingerprint(f"{path}:Plain")])
    return path


def _cells(file, *names: str):
    variants = ", ".join(f"{name.lower()}: {{mixer: '{file}:{name}'}}" for name in names)
    return expand(*parse_suite(SUITE.format(variants=variants)))


def test_what_cannot_be_simulated_is_a_row_and_costs_no_other(file) -> None:
    names = [*NOT_SIMULATED, "Plain"]
    planned = plan(_cells(file, *names), memory=True).cells
    alone = plan(_cells(file, "Plain"), memory=True).cells[0]
    rows = {each.cell.variant: each.solved for each in planned}
    assert list(rows) == [name.lower() for name in names]
    for name, why in NOT_SIMULATED.items():
        solved = rows[name.lower()]
        assert not solved.memory
        assert why in solved.not_simulated
        assert f"{file}:{name}" in solved.not_simulated
        assert len(solved.not_simulated.splitlines()) == 1
        assert len(solved.not_simulated) < 400
        assert solved.parameters.network > 0
    assert rows["plain"].memory == alone.solved.memory
    assert rows["plain"].not_simulated is None


@pytest.mark.parametrize("name", SIMULATED)
def test_these_simulate(file, name) -> None:
    check = check_simulation({"name": f"{file}:{name}"})
    assert check.passed, check.reason


def test_a_class_that_cannot_be_built_is_named_in_a_line(file) -> None:
    with pytest.raises(CannotBuild) as refused:
        plan(_cells(file, "Plain", "Unbuilt"), memory=True)
    assert "RuntimeError: no such layer" in str(refused.value)
    assert "unbuilt" in str(refused.value)
    assert "Traceback" not in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1


def test_what_would_have_fitted_is_unknown_in_a_line(file) -> None:
    (cell,) = _cells(file, "Reads")
    (planned,) = plan([cell], memory=True).cells
    with pytest.raises(PlanningFailed, match="it reads a value from the device") as unknown:
        what_would_fit(cell.inputs, planned.solved, 2**30, Stop())
    assert len(str(unknown.value).splitlines()) == 1


def test_check_mixer_says_so_too(vdmbench, file) -> None:
    ended = vdmbench("check-mixer", f"{file}:Reads")
    assert ended.code == 1
    assert "it reads a value from the device" in ended.out


# Broad handlers where users' classes are asked, each of which answers for one item; a loop without one ends with the first.
HANDLERS = {
    "matching/simulation.py:trace_workload": 1,
    "runner/planner.py:_answer_one": 1,
    "runner/planner.py:_once": 1,
}


def test_every_loop_of_the_planner_over_cells_answers_for_each() -> None:
    found: dict[str, int] = {}
    for module in ("matching/simulation.py", "runner/planner.py", "runner/planning.py", "matching/plan.py"):
        for function in ast.walk(ast.parse((PACKAGE / module).read_text())):
            if isinstance(function, ast.FunctionDef):
                broad = [
                    node
                    for node in ast.walk(function)
                    if isinstance(node, ast.ExceptHandler) and isinstance(node.type, ast.Name) and node.type.id == "Exception"
                ]
                found |= {f"{module}:{function.name}": len(broad)} if broad else {}
    assert found == HANDLERS
    loops = {
        ast.unparse(node.iter if isinstance(node, ast.For) else node.generators[0].iter)
        for node in ast.walk(ast.parse((PACKAGE / "runner" / "planner.py").read_text()))
        if isinstance(node, ast.For | ast.ListComp | ast.DictComp | ast.GeneratorExp)
    }
    asking = {loop for loop in loops if "cells" in loop or "questions" in loop or "distinct" in loop}
    assert asking == {
        "cells",  # fingerprints of declared inputs, which ask no class
        "distinct.values()",  # which of them match memory: likewise
        "distinct.items()",  # `_answer_one` of each
        "_parts(distinct, processes)",  # likewise, in other processes
        "{_key(inputs, *fields): inputs for inputs in cells}.values()",  # `_once`, which answers for each
        "question['cells']",  # inputs as models
    }
