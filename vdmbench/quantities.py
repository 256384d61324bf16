"""Every quantity once: its name, unit, direction and scale, how it is measured, and where a record keeps it.

Tables, figures, claims, the gate and its limits are derived from this list, so that a name means the same number everywhere
and a new column is one entry. Values are in base units (bytes, seconds, counts); a display picks a scale for a whole column
and names it.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from vdmbench.memory_quantities import MEMORY
from vdmbench.quantity import Better as Better
from vdmbench.quantity import Interval, Quantity, StatisticalScale, finite
from vdmbench.quantity import Reach as Reach
from vdmbench.records import (
    HeldOutLoss,
    MetricResult,
    Prediction,
    PredictionScore,
    Record,
    sampling_of,
    training_of,
)

# ------------------------------------------------------------------------------------------------ scores of predicted frames

PREDICTION_PROTOCOL = "prediction.protocol"
"""Column that says how predicted frames were scored."""


def _prediction_protocol(record: Record) -> str | None:
    found = record.prediction
    return None if found is None else f"{found.known_frames} known frames, n={found.clips}, best of {found.best_of}"


def _score(name: str, label: str, unit: str, better: Better, how: str, *, scale: StatisticalScale, limit: str) -> Quantity:
    """A score of predicted frames against the true ones."""

    def score(record: Record) -> PredictionScore | None:
        prediction: Prediction | None = record.prediction
        return getattr(prediction, name) if prediction else None

    def value(record: Record) -> float | None:
        found = score(record)
        return finite(found.value) if found else None

    def interval(record: Record) -> Interval | None:
        found = score(record)
        return found.interval if found else None

    return Quantity(
        name, label, unit, better, "portable", how, value, PREDICTION_PROTOCOL, _prediction_protocol, interval,
        scale=scale, main=True, limit=limit,
    )  # fmt: skip


def _held_out_loss(record: Record) -> HeldOutLoss | None:
    training = training_of(record)
    return training.val_loss if training else None


def _clips_trained_on(record: Record) -> int | None:
    training = training_of(record)
    return training.clips if training else None


def _recall(record: Record) -> Any:
    return record.prediction.recall if record.prediction else None


# ------------------------------------------------------------------------------------------------ the list

BUILT_IN: tuple[Quantity, ...] = (
    Quantity(
        "val_loss", "Held-out loss", "", "lower", "portable",
        "The training loss of the weights that are sampled, on clips of the test split, at the same clips, noise levels and "
        "noise for every variant and seed.",
        lambda record: finite(found.values[-1]) if (found := _held_out_loss(record)) else None,
        "val_loss.protocol",
        lambda record: f"test, n={found.clips}, {found.levels} levels" if (found := _held_out_loss(record)) else None,
        main=True, limit="val_loss", tells_collapse=True, own_points=True,
    ),
    _score(
        "psnr", "PSNR", "dB", "higher",
        "Of predicted frames against the true ones: mean over frames and clips, one continuation a clip.",
        scale="difference", limit="decibels",
    ),
    _score(
        "ssim", "SSIM", "", "higher", "Structural similarity of predicted to true frames, averaged likewise.",
        scale="difference", limit="distance",
    ),
    _score(
        "lpips", "LPIPS", "", "lower", "Perceptual distance (AlexNet) of predicted to true frames, averaged likewise.",
        scale="ratio", limit="distance",
    ),
    Quantity(
        "recall", "Recall", "dB", "higher", "portable",
        "PSNR of predicted frames that show a view of the known ones, minus that of frames whose view was never seen.",
        lambda record: found.gain if (found := _recall(record)) else None,
        PREDICTION_PROTOCOL, _prediction_protocol, lambda record: found.interval if (found := _recall(record)) else None,
        scale="difference", main=True, limit="decibels",
    ),
    *MEMORY,
    Quantity(
        "step_time", "Training step", "s", "lower", "machine", "Median of the synchronised optimiser steps after warm-up.",
        lambda record: found.step_seconds.median if (found := training_of(record)) and found.step_seconds else None,
        main=True, limit="time",
    ),
    Quantity(
        "sample_time", "Sampling", "s/clip", "lower", "machine", "Seconds to generate one clip, all denoising steps included.",
        lambda record: found.seconds_per_clip if (found := sampling_of(record)) else None,
        main=True, limit="time",
    ),
    Quantity(
        "train_throughput", "Training throughput", "frames/s", "higher", "machine",
        "Frames trained on per second of median step.",
        lambda record: found.frames_per_second if (found := training_of(record)) else None,
        limit="time", gated=False,  # the inverse of a time that is judged
    ),
    Quantity(
        "sample_throughput", "Sampling throughput", "frames/s", "higher", "machine", "Frames generated per second.",
        lambda record: found.frames_per_second if (found := sampling_of(record)) else None,
        limit="time", gated=False,
    ),
    Quantity(
        "final_loss", "Final loss", "", "lower", "portable", "Training loss, mean over the last tenth of the steps.",
        lambda record: finite(found.final_loss) if (found := training_of(record)) else None,
        limit="final_loss", tells_collapse=True,
    ),
    Quantity(
        "train_steps", "Optimiser steps", "steps", "lower", "exact", "Optimiser steps that training took.",
        lambda record: found.steps if (found := training_of(record)) else None,
    ),
    Quantity(
        "train_flops", "Training FLOPs", "FLOPs", "lower", "exact",
        "Forward FLOPs times three (a backward pass counts as two) times the clips of all steps; what is computed again to "
        "save memory is not counted.",
        lambda record: None if (clips := _clips_trained_on(record)) is None or record.solved is None
        else 3 * record.solved.flops_forward * clips,
    ),
    Quantity(
        "train_seconds", "Training time", "s", "lower", "machine",
        "Seconds of all optimiser steps, those of earlier attempts included; judging along training is not in it.",
        lambda record: found.train_seconds if (found := training_of(record)) else None,
        limit="time", gated=False,  # the sum of a time that is judged
    ),
    Quantity(
        "parameters", "Parameters", "parameters", "neither", "exact", "Trainable parameters of the whole network, counted.",
        lambda record: record.solved.parameters.network if record.solved else None, main=True,
    ),
    Quantity(
        "temporal_parameters", "Temporal parameters", "parameters", "neither", "exact",
        "Trainable parameters inside the temporal mixers alone, counted.",
        lambda record: record.solved.parameters.temporal if record.solved else None, main=True,
    ),
    Quantity(
        "state", "State", "elements", "lower", "exact",
        "Recurrent state or cache after all frames of one clip, summed over temporal layers and spatial sites; from each "
        "mixer's closed form.",
        lambda record: record.solved.state_elements if record.solved else None,
    ),
    Quantity(
        "flops", "Forward FLOPs", "FLOPs", "lower", "exact",
        "One forward pass of one clip; a multiply-add counts 2; scans by formula.",
        lambda record: record.solved.flops_forward if record.solved else None,
    ),
    Quantity(
        "temporal_flops", "Temporal FLOPs", "FLOPs", "lower", "exact",
        "The share of the forward FLOPs spent in temporal mixers.",
        lambda record: record.solved.flops_temporal if record.solved else None,
    ),
)  # fmt: skip
"""What records of any suite have, in the order of tables."""

ALONG_TRAINING = ("train_steps", "train_flops", "train_seconds")
"""What grows while a network trains: a run has a curve of what it had learned over each of them."""


# ------------------------------------------------------------------------------------------------ a suite's metrics


@dataclass(frozen=True)
class Part:
    """A quantity that a metric gives beside its value, called ``<metric>.<name>``."""

    name: str
    label: str
    better: Better
    how: str
    read: Callable[[MetricResult], float | None]
    interval: Callable[[MetricResult], Interval | None] | None = None
    absent: Callable[[MetricResult], str | None] = lambda result: None
    scale: StatisticalScale = "difference"
    main: bool = False
    limit: str = "distance"
    per_cent_of_value: bool = False
    gated: bool = True


def _too_few(result: MetricResult) -> str | None:
    return None if result.debiased_needs is None else f"needs {result.debiased_needs} videos"


def _manifold(name: str) -> Callable[[MetricResult], float | None]:
    return lambda result: (result.details.get("manifold") or {}).get(name)


PARTS: dict[str, Part] = {
    part.name: part
    for part in (
        Part(
            "debiased", "debiased", "lower",
            "The distance without the bias of few clips, around 0 for equal sets; null under the count from which it orders "
            "models rightly.",
            lambda result: finite(result.debiased), lambda result: result.debiased_interval, _too_few,
            main=True, per_cent_of_value=True,
        ),
        Part(
            "coverage", "coverage", "higher",
            "Share of real clips that have a generated one as near as their fifth nearest real one: low where a model makes "
            "few kinds of clips.",
            _manifold("coverage"), main=True, limit="share",
        ),
        Part(
            "recall", "recall", "higher",
            "Share of real clips that lie as near to a generated one as that one's fifth nearest generated one.",
            _manifold("recall"), main=True, limit="share",
        ),
        Part(
            "kvd", "kernel distance", "lower",
            "Unbiased polynomial-3 MMD on the same features: zero for equal sets at any count, so that it may be negative.",
            lambda result: finite(result.kvd), gated=False,
        ),
    )
}  # fmt: skip
"""By name, in the order of tables."""


class MixedDirections(ValueError):
    """Records of one metric that do not agree whether less of it is better; the message names it."""


def metric_quantity(name: str, results: Iterable[MetricResult] = ()) -> Quantity:
    """The value of a metric. Its direction is what its ``results`` say, lower being better where there are none; the protocol
    stands in the column ``<name>.protocol``.

    A score of which more is better is a share, a similarity or decibels, and may be 0; a distance is positive.

    :raises MixedDirections: results that differ in it.
    """
    directions = {result.lower_is_better for result in results}
    if len(directions) > 1:
        raise MixedDirections(f"{name}: lower is better in some records and higher in others; report them apart")
    lower = directions != {False}
    return Quantity(
        name,
        name.upper() if lower else name.capitalize(),
        "",
        "lower" if lower else "higher",
        "portable",
        "Distance of generated to held-out real clips; the protocol is part of the number's name."
        if lower
        else "A score of generated clips, of which more is better; the protocol is part of the number's name.",
        _of_metric(name, lambda result: finite(result.value)),
        f"{name}.protocol",
        _of_metric(name, lambda result: result.name),
        _of_metric(name, lambda result: result.interval),
        scale="ratio" if lower else "difference",
        main=True,
        limit="distance" if lower else "share",
        metric=name,
    )


def metric_quantities(name: str, results: Iterable[MetricResult] = (), parts: Iterable[str] = tuple(PARTS)) -> list[Quantity]:
    """The value of a metric, and its parts."""
    value = metric_quantity(name, results)
    return [value, *(_part_quantity(value, PARTS[part]) for part in PARTS if part in set(parts))]


def _part_quantity(of: Quantity, part: Part) -> Quantity:
    return Quantity(
        f"{of.name}.{part.name}",
        f"{of.label} {part.label}",
        "",
        part.better,
        "portable",
        part.how,
        _of_metric(of.name, part.read),
        of.source,
        of.read_source,
        None if part.interval is None else _of_metric(of.name, part.interval),
        _of_metric(of.name, part.absent),
        scale=part.scale,
        main=part.main,
        limit=part.limit,
        per_cent_of=of.name if part.per_cent_of_value else None,
        gated=part.gated,
        metric=of.name,
    )


def _of_metric(name: str, read: Callable[[MetricResult], Any]) -> Callable[[Record], Any]:
    def value(record: Record) -> Any:
        result = record.metrics.get(name)
        return None if result is None else read(result)

    return value


# ------------------------------------------------------------------------------------------------ by name


class UnknownQuantity(ValueError):
    """A name that no column carries."""


def quantities_of(metrics: Mapping[str, Iterable[MetricResult]] | Iterable[str]) -> list[Quantity]:
    """All quantities of a study with these metrics, in the order of tables: metrics and their parts, then the built-in ones.

    :param metrics: names, with their results where there are records.
    """
    results = metrics if isinstance(metrics, Mapping) else dict.fromkeys(metrics, ())
    return [*(quantity for name, found in results.items() for quantity in metric_quantities(name, found)), *BUILT_IN]


def quantities_in(records: Iterable[Record]) -> list[Quantity]:
    """The same of a study with these records; metrics in order of appearance."""
    results: dict[str, list[MetricResult]] = {}
    for record in records:
        for name, result in record.metrics.items():
            results.setdefault(name, []).append(result)
    return quantities_of(results)


def pick(name: str, quantities: Iterable[Quantity]) -> Quantity:
    """The one called ``name``; raises :class:`UnknownQuantity` with the closest name."""
    known = {quantity.name: quantity for quantity in quantities}
    if name not in known:
        close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
        hint = f"did you mean '{close[0]}'?" if close else f"known: {', '.join(known)}"
        raise UnknownQuantity(f"unknown quantity '{name}', {hint}")
    return known[name]


def find_quantity(name: str, metrics: Mapping[str, Iterable[MetricResult]] | Iterable[str]) -> Quantity:
    """The quantity called ``name`` in a study with these metrics; raises :class:`UnknownQuantity` with the closest name."""
    return pick(name, quantities_of(metrics))
