"""``vdmbench data``: make data sets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="Record and look at data sets.")
record_app = typer.Typer(no_args_is_help=True, help="Record real video from an engine.")
app.add_typer(record_app, name="record")


@record_app.command("vizdoom")
def record_vizdoom(
    out: Annotated[Path, typer.Option(help="Folder to write; a recording that was cut short goes on.")],
    scenario: Annotated[str, typer.Option(help="ViZDoom scenario.")] = "my_way_home",
    episodes: Annotated[int, typer.Option(min=2, help="Episodes in all, train and test.")] = 100,
    frames: Annotated[int, typer.Option(min=1, help="Frames of an episode.")] = 300,
    size: Annotated[int, typer.Option(min=16, help="Height and width in pixels.")] = 64,
    test_fraction: Annotated[float, typer.Option(min=0.01, max=0.9, help="Share of the episodes kept for testing.")] = 0.2,
    seed: Annotated[int, typer.Option(min=0, help="Episode i depends on (seed, i) alone.")] = 0,
) -> None:
    """Record a first-person walk through ViZDoom: seeded, headless, uint8 npy per episode, train and test apart.

    Example: vdmbench data record vizdoom --scenario my_way_home --episodes 40 --frames 200 --size 64 --out datasets/my_way_home
    """
    from rich.console import Console
    from rich.progress import Progress

    from vdmbench.data import vizdoom

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(f"recording {scenario}", total=episodes)
        manifest = vizdoom.record(out, scenario=scenario, episodes=episodes, frames=frames, size=size,
                                  test_fraction=test_fraction, seed=seed, progress=lambda done: bar.update(task, completed=done))
    typer.echo(f"{out}: {manifest['train']['episodes']} train and {manifest['test']['episodes']} test episodes of {frames} frames")
