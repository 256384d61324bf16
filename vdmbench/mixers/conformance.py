"""What a mixer must keep to, as checks that pass or say why not; run by ``vdmbench check-mixer`` and by the tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from vdmbench.mixers.making import MakeMixer
from vdmbench.mixers.mixer import Mixer, state_elements

LENGTHS = (1, 2, 7, 33)
FRAMES = 9
BATCH = 4


@dataclass(frozen=True)
class Check:
    """One rule: whether it holds, and if not, or where it does not apply, why."""

    name: str
    passed: bool
    reason: str = ""


def check_mixer(make: MakeMixer, channels: int = 16) -> list[Check]:
    """Every check of a mixer on the CPU, seeded; a check that raises has failed, with what it raised as the reason.

    Args:
        make: makes the mixer for a number of channels.
        channels: width to check it at.
    """
    try:
        torch.manual_seed(0)
        mixer = make(channels)
    except Exception as error:  # a user's code may raise anything, and all of it is an answer
        return [Check("construction", False, _told(error))]
    if not isinstance(mixer, Mixer):
        return [Check("construction", False, f"it must derive vdmbench.mixers.Mixer, got {type(mixer).__name__}")]
    missing = [name for name in ("channels", "inner_width", "causal") if not hasattr(mixer, name)]
    if missing:
        return [Check("construction", False, f"the constructor must set {' and '.join(missing)}")]
    return [Check("construction", True), *(_run(name, check, make, channels) for name, check in CHECKS.items())]


def _run(name: str, check: Callable[[Mixer, MakeMixer], Iterator[str]], make: MakeMixer, channels: int) -> Check:
    try:
        torch.manual_seed(0)
        problems = list(check(make(channels), make))
    except _DoesNotApply as reason:
        return Check(name, True, str(reason))
    except Exception as error:  # as above
        return Check(name, False, _told(error))
    return Check(name, not problems, "; ".join(problems))


class _DoesNotApply(Exception):
    """A check has nothing to say of this mixer; the message says why."""


def _told(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())


def _clip(mixer: Mixer, frames: int = FRAMES, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(BATCH, frames, mixer.channels, generator=torch.Generator().manual_seed(1), dtype=dtype)


def _differs(one: Tensor, other: Tensor, tolerance: float) -> str | None:
    """The largest difference over the size of ``other``, where it is over the tolerance."""
    if one.shape != other.shape:
        return f"shape {tuple(one.shape)} is not {tuple(other.shape)}"
    error = float(((one - other).abs().max() / (other.abs().max() + 1e-12)).detach())
    return None if error <= tolerance else f"they differ by {error:.1e} of the largest value, allowed {tolerance:.0e}"


@torch.no_grad()
def _shape(mixer: Mixer, make: MakeMixer) -> Iterator[str]:
    """Output like input, finite, at several widths."""
    for channels in (mixer.channels, 2 * mixer.channels):
        built = make(channels)
        x = _clip(built)
        y = built(x)
        if y.shape != x.shape:
            yield f"{tuple(x.shape)} became {tuple(y.shape)}"
        elif not y.isfinite().all():
            yield "the output is not finite"


@torch.no_grad()
def _dtype(mixer: Mixer, make: MakeMixer) -> Iterator[str]:
    """Output in the dtype of the input; close to it under bfloat16 autocast."""
    for dtype in (torch.float32, torch.float64):
        y = make(mixer.channels).to(dtype)(_clip(mixer, dtype=dtype))
        if y.dtype is not dtype:
            yield f"{dtype} became {y.dtype}"
    exact = mixer(_clip(mixer))
    with torch.autocast("cpu", torch.bfloat16):
        rounded = mixer(_clip(mixer)).float()
    if (rounded - exact).norm() > 0.05 * exact.norm():
        yield f"under bfloat16 autocast the output moves by {float((rounded - exact).norm() / exact.norm()):.1%}, allowed 5%"


@torch.no_grad()
def _determinism(mixer: Mixer, make: MakeMixer) -> Iterator[str]:
    """The same output twice, and the same weights from the same seed."""
    x = _clip(mixer)
    if not torch.equal(mixer(x), mixer(x)):
        yield "two passes over one clip differ"
    torch.manual_seed(0)
    again = make(mixer.channels)
    pairs = zip(mixer.parameters(), again.parameters(), strict=True)
    if not all(torch.equal(one, other) for one, other in pairs):
        yield "two mixers built from one seed have other weights: draw them from torch's generator"


@torch.no_grad()
def _batch_permutation(mixer: Mixer, make: MakeMixer) -> Iterator[str]:
    """No element of the batch sees another."""
    x, order = _clip(mixer), torch.tensor([2, 0, 3, 1])
    if problem := _differs(mixer(x[order]), mixer(x)[order], 1e-5):
        yield f"permuting the batch does not permute the output: {problem}"
    if problem := _differs(mixer(x[:1]), mixer(x)[:1], 1e-5):
        yield f"an element alone and in a batch: {problem}"


@torch.no_grad()
def _length_generalisation(mixer: Mixer, make: MakeMixer) -> Iterator[str]:
    """Any number of frames; for a causal mixer, a longer clip starts like the shorter one."""
    longest = _clip(mixer, max(LENGTHS))
    whole = mixer(longest)
    for frames in LENGTHS:
        y = mixer(longest[:, :frames])
        if y.shape[1] != frames:
            yield f"{frames} frames became {y.shape[1]}"
        elif not y.isfinite().all():
            yield f"the output of {frames} frames is not finite"
        elif mixer.causal and (problem := _differs(y, whole[:, :frames], 1e-4)):
            yield f"the first {frames} frames of a longer clip: {problem}"


def _gradient(mixer: Mixer, make: MakeMixer) -> Iterator[str]:
    """Finite gradients that reach input and every parameter, equal to a finite difference."""
    mixer = mixer.double()
    x = _clip(mixer, dtype=torch.float64).requires_grad_()
    loss = mixer(x).square().sum()
    parameters = {name: p for name, p in mixer.named_parameters() if p.requires_grad}
    gradients = dict(
        zip(("input", *parameters), torch.autograd.grad(loss, (x, *parameters.values()), allow_unused=True), strict=True)
    )
    slope, moved = 0.0, {}
    for name, tensor in {"input": x, **parameters}.items():
        gradient = gradients[name]
        if gradient is None or not gradient.isfinite().all():
            yield f"{name} gets {'no gradient' if gradient is None else 'a gradient that is not finite'}"
            return
        direction = torch.randn(tensor.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
        slope += float((gradient * direction).sum())
        moved[name] = tensor.detach(), direction

    def at(step: float) -> float:
        values = {name: value + step * direction for name, (value, direction) in moved.items()}
        clip = values.pop("input")
        return float(torch.func.functional_call(mixer, values, (clip,)).square().sum())

    with torch.no_grad():
        measured = (at(1e-6) - at(-1e-6)) / 2e-6
    if abs(measured - slope) > 1e-4 * (abs(slope) + 1e-6):
        yield f"the slope by gradients is {slope:.6g}, by finite differences {measured:.6g}"


def _causality(mixer: Mixer, make: MakeMixer) -> Iterator[str]:
    """A mixer that says it is causal sees no later frame; one that says it is not sees some."""
    mixer = mixer.double()
    x = _clip(mixer, dtype=torch.float64).requires_grad_()
    middle = FRAMES // 2
    (gradient,) = torch.autograd.grad(mixer(x)[:, middle].square().sum(), x)
    later = float(gradient[:, middle + 1 :].abs().max())
    if mixer.causal and later > 1e-12 * float(gradient.abs().max() + 1e-12):
        yield f"causal is True, yet frame {middle} depends on later ones (gradient {later:.1e})"
    if not mixer.causal and later == 0:
        yield f"causal is False, yet frame {middle} depends on no later one: set causal to True and give it step"


def _step_equality(mixer: Mixer, make: MakeMixer) -> Iterator[str]:
    """A causal mixer's steps give what its full pass gives, and carry as much as state_size says."""
    if not mixer.causal:
        raise _DoesNotApply("not causal: it has no steps")
    mixer = mixer.double()
    x = _clip(mixer, dtype=torch.float64)
    with torch.no_grad():
        state, outputs = mixer.initial_state(BATCH), []
        for frame, now in enumerate(x.unbind(1)):
            y, state = mixer.step(now, state)
            outputs.append(y)
            carried, said = state_elements(state) / BATCH, mixer.state_size(frame + 1)
            if carried != said:
                yield f"after {frame + 1} frames step carries {carried:g} numbers a site, state_size says {said}"
                return
        if problem := _differs(torch.stack(outputs, 1), mixer(x), 1e-5):
            yield f"frame by frame and in one pass: {problem}"


def _cost(mixer: Mixer, make: MakeMixer) -> Iterator[str]:
    """Integer costs that do not shrink with frames, on a mixer that holds no memory."""
    with torch.device("meta"):
        planned = make(mixer.channels)
    if any(not p.is_meta for p in planned.parameters()):
        yield "built under torch.device('meta') it allocates memory: give new tensors no device of their own"
    for name in ("flops", "state_size"):
        costs = [getattr(planned, name)(frames) for frames in (8, 16, 32)]
        if not all(isinstance(cost, int) for cost in costs):
            yield f"{name} must return int, got {', '.join(type(cost).__name__ for cost in costs)}"
        elif costs != sorted(costs) or costs[0] < 0:
            yield f"{name} must not shrink with frames, got {costs} for 8, 16, 32"


CHECKS: dict[str, Callable[[Mixer, MakeMixer], Iterator[str]]] = {
    "shape": _shape,
    "dtype": _dtype,
    "determinism": _determinism,
    "batch permutation": _batch_permutation,
    "length generalisation": _length_generalisation,
    "gradient": _gradient,
    "causality": _causality,
    "step equality": _step_equality,
    "cost": _cost,
}
"""In the order they run: the plainest faults first."""
