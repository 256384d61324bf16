"""Whether clips of a cell can be made chunk by chunk: told where the suite is read, before anything is built."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from vdmbench.suite.errors import problem_at
from vdmbench.suite.pattern import placed_mixers
from vdmbench.user_code import is_code

if TYPE_CHECKING:
    from vdmbench.suite.blocks import Sample, Train
    from vdmbench.suite.diffusion import DiscreteDiffusion, EDMDiffusion, FlowDiffusion


def check_rollout(
    sample: Sample,
    frames: int,
    diffusion: DiscreteDiffusion | FlowDiffusion | EDMDiffusion,
    train: Train,
    network: Mapping[str, Any],
    temporal: Mapping[str, Any],
) -> None:
    """Raise a problem, at its place in a cell, of what a rollout of ``frames`` cannot have; it names what to do.

    Of a user's mixer nothing is known here: the network says it when it is built.
    """
    if diffusion.levels != "frame":
        raise problem_at(
            ("diffusion", "levels"),
            "sample.rollout denoises new frames beside clean ones, and 'levels: clip' trains with one noise level for all of "
            "them: set 'levels: frame', or leave sample.rollout out",
        )
    if network.get("preset") == "oshima2024":
        raise problem_at(
            ("network", "preset"),
            "group norms of 'oshima2024' see all frames of a clip, and sample.rollout makes them in turn: use preset 'fair'",
        )
    if train.sharding != "none":
        raise problem_at(("train", "sharding"), "sample.rollout runs on one device: leave sharding out")
    for place, choice in placed_mixers(temporal):
        remedy = _remedy(choice)
        if remedy is not None:
            raise problem_at(
                place, f"mixer '{choice['name']}' sees later frames, and sample.rollout makes them in turn: {remedy}"
            )
    for number, block in enumerate(temporal.get("pattern", ())):
        if block["scan"] not in ("site", "frame"):
            raise problem_at(
                ("blocks", "pattern", number, "scan"),
                f"scan '{block['scan']}' reads whole clips, and sample.rollout makes their frames in turn: use scan 'site' or "
                "'frame'",
            )
    _check_patches(sample, frames, network)


def _check_patches(sample: Sample, frames: int, network: Mapping[str, Any]) -> None:
    span = network.get("patch", [1])[0]
    assert sample.rollout is not None
    counts = {("sample", "rollout", "chunk"): sample.rollout.chunk, ("sample", "frames"): frames}
    if sample.known_frames is not None:
        counts["sample", "known_frames"] = sample.known_frames
    for place, count in counts.items():
        if count % span:
            raise problem_at(place, f"a token spans {span} frames: give a multiple of {span}, got {count}")


_WITHIN_FRAMES = ("identity", "mlp")


def _remedy(choice: Mapping[str, Any]) -> str | None:
    """What makes the mixer causal; None where it is, or where only its code knows."""
    name = choice["name"]
    if name in _WITHIN_FRAMES or is_code(name):
        return None
    if name == "pair":
        inner = {part: _remedy(choice[part]) for part in ("first", "second")}
        return next((f"in its {part} {remedy}" for part, remedy in inner.items() if remedy is not None), None)
    if "causal" in choice:
        more = ", feature_map: relu" if name == "linear-attention" else ""
        return None if choice["causal"] else f"set 'causal: true{more}'"
    if "direction" in choice:
        return None if choice["direction"] == "forward" else "set 'direction: forward'"
    return "it has no causal form, use another"
