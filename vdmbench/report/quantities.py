"""What a report can speak of: each quantity once, with its unit, direction, reach and the way it was measured.

Tables, figures, claims and the gate all read this list, so that a name means the same number everywhere. Values are in
base units (bytes, seconds, counts); a display picks a scale for a whole column and names it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Reach = Literal["exact", "portable", "machine"]
"""How far a value holds: ``exact`` follows from what was declared; ``portable`` is a result that any machine reproduces
within tolerance; ``machine`` holds on one class of hardware only."""

Better = Literal["lower", "higher", "neither"]


@dataclass(frozen=True)
class Quantity:
    """One column of numbers."""

    name: str
    """Column of the tidy frame, and the word that a claim uses."""
    label: str
    """For axes and headers, without unit."""
    unit: str
    """Base unit: a key of :data:`SCALES`, or empty for a plain number."""
    better: Better
    reach: Reach
    how: str
    """How it was measured, one sentence."""
    source: str | None = None
    """Column that says which counter gave the value; values of different sources are never mixed."""
    signed: bool = False
    """May be zero or less: averaged over sweep points by its arithmetic mean, others by their geometric one."""


SCALES: dict[str, list[tuple[float, str]]] = {
    "bytes": [(2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"), (1, "B")],
    "s": [(1, "s"), (1e-3, "ms"), (1e-6, "µs")],
    "parameters": [(1e9, "B"), (1e6, "M"), (1e3, "k"), (1, "")],
    "elements": [(1e9, "G elements"), (1e6, "M elements"), (1e3, "k elements"), (1, "elements")],
    "FLOPs": [(1e12, "TFLOPs"), (1e9, "GFLOPs"), (1e6, "MFLOPs"), (1, "FLOPs")],
    "frames/s": [(1, "frames/s")],
    "dB": [(1, "dB")],
    "s/clip": [(1, "s/clip"), (1e-3, "ms/clip")],
    "": [(1, "")],
}

BUILT_IN: tuple[Quantity, ...] = (
    Quantity(
        "parameters", "Parameters", "parameters", "neither", "exact", "Trainable parameters of the whole network, counted."
    ),
    Quantity(
        "temporal_parameters",
        "Temporal parameters",
        "parameters",
        "neither",
        "exact",
        "Trainable parameters inside the temporal mixers alone, counted.",
    ),
    Quantity(
        "state",
        "State",
        "elements",
        "lower",
        "exact",
        "Recurrent state or cache after all frames of one clip, summed over temporal layers and spatial sites; "
        "from each mixer's closed form.",
    ),
    Quantity(
        "flops",
        "Forward FLOPs",
        "FLOPs",
        "lower",
        "exact",
        "One forward pass of one clip; a multiply-add counts 2; scans by formula.",
    ),
    Quantity(
        "temporal_flops",
        "Temporal FLOPs",
        "FLOPs",
        "lower",
        "exact",
        "The share of the forward FLOPs spent in temporal mixers.",
    ),
    Quantity(
        "peak_train_memory",
        "Peak training memory",
        "bytes",
        "lower",
        "machine",
        "Peak over the training phase alone, reset after warm-up: what the CUDA allocator handed out; without a GPU the "
        "resident set of the worker process, interpreter included.",
        "peak_train_memory_source",
    ),
    Quantity(
        "peak_sample_memory",
        "Peak sampling memory",
        "bytes",
        "lower",
        "machine",
        "The same counter over the sampling phase.",
        "peak_sample_memory_source",
    ),
    Quantity(
        "step_time", "Training step", "s", "lower", "machine", "Median of the synchronised optimiser steps after warm-up."
    ),
    Quantity(
        "train_throughput",
        "Training throughput",
        "frames/s",
        "higher",
        "machine",
        "Frames trained on per second of median step.",
    ),
    Quantity(
        "sample_time", "Sampling", "s/clip", "lower", "machine", "Seconds to generate one clip, all denoising steps included."
    ),
    Quantity("sample_throughput", "Sampling throughput", "frames/s", "higher", "machine", "Frames generated per second."),
    Quantity("final_loss", "Final loss", "", "lower", "portable", "Training loss, mean over the last tenth of the steps."),
    Quantity(
        "psnr",
        "PSNR",
        "dB",
        "higher",
        "portable",
        "Of predicted frames against the true ones: mean over frames and clips, one continuation a clip.",
        "prediction.protocol",
        signed=True,
    ),
    Quantity(
        "ssim",
        "SSIM",
        "",
        "higher",
        "portable",
        "Structural similarity of predicted to true frames, averaged likewise.",
        "prediction.protocol",
        signed=True,
    ),
    Quantity(
        "lpips",
        "LPIPS",
        "",
        "lower",
        "portable",
        "Perceptual distance (AlexNet) of predicted to true frames, averaged likewise.",
        "prediction.protocol",
    ),
    Quantity(
        "recall",
        "Recall",
        "dB",
        "higher",
        "portable",
        "PSNR of predicted frames that show a view of the known ones, minus that of frames whose view was never seen.",
        "prediction.protocol",
        signed=True,
    ),
)


def metric_quantity(name: str) -> Quantity:
    """The quantity of a declared metric; its protocol stands in the column ``<name>.protocol``."""
    if name == "faithfulness":
        return Quantity(
            name,
            "Faithfulness",
            "",
            "higher",
            "portable",
            "Share of what a clip was told (shape, colour, direction) that a small reader sees in it; real clips: the ceiling.",
            f"{name}.protocol",
        )
    return Quantity(
        name,
        name,
        "",
        "lower",
        "portable",
        "Distance of generated to held-out real clips; the protocol is part of the number's name.",
        f"{name}.protocol",
    )


class UnknownQuantity(ValueError):
    """A name that no column carries."""


def find_quantity(name: str, metrics: Iterable[str]) -> Quantity:
    """The quantity called ``name`` in a study with these metrics; raises :class:`UnknownQuantity` with the closest name."""
    known = {quantity.name: quantity for quantity in (*BUILT_IN, *map(metric_quantity, metrics))}
    if name not in known:
        import difflib

        close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
        hint = f"did you mean '{close[0]}'?" if close else f"known: {', '.join(known)}"
        raise UnknownQuantity(f"unknown quantity '{name}', {hint}")
    return known[name]


@dataclass(frozen=True)
class Scale:
    """The unit that one display uses for a whole column."""

    factor: float
    unit: str

    def __call__(self, value: float) -> float:
        return value / self.factor


def choose_scale(quantity: Quantity, values: Iterable[float]) -> Scale:
    """The largest unit in which the median value is at least 1, so that a column is read without exponents."""
    ordered = sorted(abs(value) for value in values)
    typical = ordered[len(ordered) // 2] if ordered else 1.0
    steps = SCALES[quantity.unit]
    for factor, unit in steps:
        if typical >= factor:
            return Scale(factor, unit)
    return Scale(*steps[-1])


def header(quantity: Quantity, scale: Scale) -> str:
    """Label with unit, as tables and axes print it."""
    return f"{quantity.label} ({scale.unit})" if scale.unit else quantity.label


def significant(value: float, digits: int = 3) -> str:
    """A plain decimal with ``digits`` significant digits, never an exponent; integer digits are all kept."""
    if value == 0:
        return "0"
    return f"{value:.{decimals(value, digits)}f}"


def decimals(value: float, digits: int = 3) -> int:
    """Decimal places that show ``digits`` significant digits of ``value``."""
    from math import floor, log10

    return max(0, digits - 1 - floor(log10(abs(value)))) if value else 0
