"""``vdmbench data``: make data sets."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="Record and look at data sets.")
record_app = typer.Typer(no_args_is_help=True, help="Record real video from an engine.")
app.add_typer(record_app, name="record")


class Policy(StrEnum):
    smooth_walk = "smooth-walk"
    random = "random"


@record_app.command("vizdoom")
def record_vizdoom(
    out: Annotated[Path, typer.Option(help="Folder to write; a recording that was cut short goes on.")],
    scenario: Annotated[str, typer.Option(help="ViZDoom scenario.")] = "my_way_home",
    episodes: Annotated[int, typer.Option(min=2, help="Episodes in all, train and test.")] = 100,
    frames: Annotated[int, typer.Option(min=1, help="Frames of an episode.")] = 300,
    size: Annotated[int, typer.Option(min=16, help="Height and width in pixels.")] = 64,
    test_fraction: Annotated[float, typer.Option(min=0.01, max=0.9, help="Share of the episodes kept for testing.")] = 0.2,
    frame_skip: Annotated[int, typer.Option(min=1, help="Tics (1/35 s) from one frame to the next.")] = 2,
    policy: Annotated[Policy, typer.Option(help="How the player moves.")] = Policy.smooth_walk,
    seed: Annotated[int, typer.Option(min=0, help="Episode i depends on the options and i alone.")] = 0,
) -> None:
    """Record a first-person walk through ViZDoom: seeded, headless, uint8 npy per episode, train and test apart.

    Example: vdmbench data record vizdoom --scenario my_way_home --episodes 40 --frames 200 --size 64 --out datasets/my_way_home
    """
    from rich.console import Console
    from rich.progress import Progress

    from vdmbench.data import vizdoom

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(f"recording {scenario}", total=episodes)
        manifest = vizdoom.record(
            out,
            scenario=scenario,
            episodes=episodes,
            frames=frames,
            size=size,
            test_fraction=test_fraction,
            seed=seed,
            frame_skip=frame_skip,
            policy=policy.value,
            progress=lambda done: bar.update(task, completed=done),
        )
    counts = manifest.counts
    typer.echo(
        f"{out}: {counts['train']} train and {counts['test']} test episodes of {frames} frames, content {manifest.content[:16]}"
    )
