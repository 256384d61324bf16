"""``vdmbench fvd``: distances between anybody's two folders of video."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from vdmbench.cli.options import AsJson
from vdmbench.cli.terminal import print_table, say, say_json, simple_table

if TYPE_CHECKING:
    from rich.table import Table


def fvd(
    real: Annotated[Path, typer.Argument(help="Folder of real videos: mp4, gif, npy, npz, or folders of images.")],
    generated: Annotated[Path, typer.Argument(help="Folder of generated videos.")],
    protocol: Annotated[
        Literal["standard", "fvd2048_16f", "fvd2048_128f", "fvd2048_128f_subsample8f", "tf1", "oshima2024", "windows16"],
        typer.Option(help="Named measurement protocol; its name becomes part of the metric's name."),
    ] = "standard",
    frames: Annotated[int | None, typer.Option(help="Frames per clip, if the protocol does not fix them.")] = None,
    window: Annotated[
        Literal["whole", "first", "all"] | None,
        typer.Option(
            help="What to do with longer videos: refuse them (whole), take their first frames, or cut them into windows."
        ),
    ] = None,
    precision: Annotated[
        Literal["fp32", "bf16"],
        typer.Option(help="bf16 is faster and about half a per cent off; it is shown in the metric's name."),
    ] = "fp32",
    value_range: Annotated[
        Literal["uint8", "unit", "symmetric"],
        typer.Option(help="Floats in npy and npz: in [0, 1] (unit) or [-1, 1] (symmetric)."),
    ] = "uint8",
    limit: Annotated[
        int | None, typer.Option(help="Use a random sample of this many videos from each folder (see --seed).")
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(help="I3D weight file; by default the published weights are found or downloaded.")
    ] = None,
    extractor: Annotated[
        str | None, typer.Option(help="Your own feature extractor: a TorchScript file, or path.py:Class with --allow-code.")
    ] = None,
    allow_code: Annotated[bool, typer.Option("--allow-code", help="Allow --extractor to run Python from a file.")] = False,
    cuts: Annotated[bool, typer.Option("--cuts", help="Also count cuts; needs pip install 'vdmbench[cuts]'.")] = False,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    seed: Annotated[int, typer.Option(min=0, help="Random seed of the sample, the bootstrap and the controls.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Measure FVD and companion metrics between two folders of videos. Features are cached.

    Example: vdmbench fvd real/ samples/ --frames 16 --window first
    """
    from vdmbench.cli.bars import Bars
    from vdmbench.folders import compare_folders

    with Bars() as bars:
        found = compare_folders(
            real,
            generated,
            protocol=protocol,
            frames=frames,
            window=window,
            precision=precision,
            weights=weights,
            extractor=extractor,
            allow_code=allow_code,
            value_range=value_range,
            limit=limit,
            seed=seed,
            cuts=cuts,
            device=device,
            progress=bars.tell,
        )
    for note in found["notes"]:
        say(note, err=True)
    if as_json:
        say_json(found)
        return
    _show(found)


def _show(found: dict[str, Any]) -> None:

    table = simple_table("", ["distance", " value", " interval", " held-out real", " KVD", "not seen by it"])
    for metric in found["metrics"]:
        table.add_row(
            metric["name"],
            f"{metric['value']:.2f}",
            "{:.2f} to {:.2f}".format(*metric["interval"]) if metric["interval"] else "–",
            f"{metric['floor']:.2f}",
            f"{metric['kvd']:.3f}",
            ", ".join(metric["blind"]) or "–",
        )
    print_table(table)
    print_table(_time_table(found))
    for metric in found["metrics"]:
        for warning in metric["warnings"]:
            say(f"{metric['name']}: {warning}", err=True)


def _time_table(found: dict[str, Any]) -> Table:
    """Both sides beside each other on their own pixels; a still video does not flicker, so motion stands beside it."""

    profiles = {side: found[side]["temporal_profile"] for side in ("real", "generated")}
    gaps = list(profiles["real"]["similarity"] | profiles["generated"]["similarity"])
    counted = any(profile["cut_rate"] is not None for profile in profiles.values())
    columns = ["in time", " flicker", " colour flicker", " moving pixels", *(f" alike {gap} apart" for gap in gaps)]
    table = simple_table("", columns + [" cuts in 100 frames"] * counted)
    for side, profile in profiles.items():
        alike = [f"{profile['similarity'][gap]:.3f}" if gap in profile["similarity"] else "–" for gap in gaps]
        cuts = [f"{profile['cut_rate']:.2f}"] if counted else []
        table.add_row(
            side,
            f"{profile['flicker']:.4f}",
            f"{profile['colour_flicker']:.4f}",
            f"{profile['dynamic_degree']:.1%}",
            *alike,
            *cuts,
        )
    return table
