"""The diffusion block: fields of one process are refused by another, and samplers by processes they do not sample."""

from __future__ import annotations

import pytest

from tests.suite.texts import MINIMAL
from vdmbench.suite import Suite, SuiteError, expand, parse_suite
from vdmbench.suite.diffusion import SAMPLERS, evaluations

SAMPLE = "sample: {sampler: ddim, steps: 2, clips: 4, batch_size: 3}"


def text(diffusion: str, sampler: str = "euler, steps: 2") -> str:
    sample = SAMPLE.replace("ddim, steps: 2", sampler)
    return MINIMAL.replace("diffusion: {steps: 8}", f"diffusion: {diffusion}").replace(SAMPLE, sample)


def problem(suite: str) -> str:
    with pytest.raises(SuiteError) as refused:
        expand(*parse_suite(suite, "s.yaml"))
    return refused.value.problems[0]


@pytest.mark.parametrize("process", SAMPLERS)
def test_every_process_has_its_samplers(process: str):
    for sampler in SAMPLERS[process]:
        steps = "" if sampler == "ddpm" else ", steps: 4"
        cell = expand(*parse_suite(text(f"{{process: {process}}}", f"{sampler}{steps}")))[0]
        assert cell.inputs.diffusion.process == process
        expected = {"ddpm": 256, "heun": 7}.get(sampler, 4)
        assert evaluations(cell.inputs.diffusion, cell.inputs.sample) == expected


def test_without_a_process_it_is_the_discrete_one_under_one_identity():
    plain, named = (expand(*parse_suite(text(block, "ddim"))) for block in ("{steps: 8}", "{process: discrete, steps: 8}"))
    assert [cell.identity for cell in plain] == [cell.identity for cell in named]
    assert Suite.model_validate(parse_suite(MINIMAL)[0].model_dump(by_alias=True)).diffusion.schedule == "cosine"


@pytest.mark.parametrize(
    ("suite", "message"),
    [
        (
            text("{process: flow, schedule: cosine}"),
            "s.yaml:16: diffusion.schedule: 'schedule' belongs to process 'discrete', and this is 'flow': leave it out, or set "
            "'process: discrete'",
        ),
        (
            text("{shift: 3}"),
            "s.yaml:16: diffusion.shift: 'shift' belongs to process 'flow', and this is 'discrete': leave it out, or set "
            "'process: flow'",
        ),
        (text("{process: flw}"), "s.yaml:16: diffusion.process: unknown process 'flw', did you mean 'flow'?"),
        (text("{process: [flow]}"), "s.yaml:16: diffusion.process: unknown process '['flow']', did you mean 'flow'?"),
        (text("{process: flow, shft: 3}"), "s.yaml:16: diffusion.shft: unknown key 'shft', did you mean 'shift'?"),
        (text("{shedule: cosine}"), "s.yaml:16: diffusion.shedule: unknown key 'shedule', did you mean 'schedule'?"),
        (text("{process: flow, shift: 0}"), "s.yaml:16: diffusion.shift: input should be greater than 0, got 0"),
        (text("{steps: 1}"), "s.yaml:16: diffusion.steps: input should be greater than or equal to 2, got 1"),
        (text("flow"), "s.yaml:16: diffusion: a diffusion process is a mapping, such as {process: flow, shift: 3}"),
        (
            text("{process: flow, logit_std: 0.5}"),
            "s.yaml:16: diffusion.logit_std: 'logit_std' belongs to 'timestep_sampling: logit-normal': leave it out, or set "
            "that",
        ),
        (
            text("{process: edm, sigma_min: 3, sigma_max: 2}"),
            "s.yaml:16: diffusion.sigma_min: must be less than sigma_max, 2, got 3",
        ),
        (
            text("{steps: 8}", "heun, steps: 4"),
            "s.yaml:14: sample.sampler: heun does not sample process 'discrete'; use ddpm, ddim or dpmpp-2m "
            "(ddim with eta 0 is its Euler method)",
        ),
        (
            text("{process: flow}", "ddpm"),
            "s.yaml:14: sample.sampler: ddpm does not sample process 'flow'; use euler, heun or dpmpp-2m, with 'steps'",
        ),
        (text("{process: edm}", "heun"), "s.yaml:14: sample: heun needs 'steps', the levels that it visits, such as 32"),
        (text("{process: edm}", "heun, steps: 4, eta: 0.5"), "s.yaml:14: sample: 'eta' belongs to ddim"),
        (
            text("{steps: 8}", "dpmpp-2m, steps: 9"),
            "s.yaml:14: sample.steps: 9 levels cannot be visited where 'diffusion.steps' is 8; lower this or raise that",
        ),
    ],
)
def test_says_where_what_and_how_to_mend(suite: str, message: str):
    assert problem(suite) == message


def test_processes_are_compared_by_sweeping_the_whole_block():
    suite = text("{steps: 8}", "dpmpp-2m, steps: 4") + "sweep: {diffusion: [{process: flow}, {process: edm}, {steps: 4}]}\n"
    cells = expand(*parse_suite(suite))
    assert [cell.inputs.diffusion.process for cell in cells] == ["flow", "edm", "discrete"] * 3
    assert len({cell.identity for cell in cells}) == 9
