"""``vdmbench data record``: real video from engines that need no display."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from vdmbench.cli.terminal import say

if TYPE_CHECKING:
    from vdmbench.data.recording.world import World

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Record real video from an engine.")

Out = Annotated[Path, typer.Option(help="Folder to write to; an interrupted recording is continued.")]
Episodes = Annotated[int, typer.Option(min=2, help="Number of episodes, train and test together.")]
Frames = Annotated[int, typer.Option(min=1, help="Frames per episode.")]
Size = Annotated[int, typer.Option(min=16, help="Height and width in pixels.")]
TestFraction = Annotated[float, typer.Option(min=0.01, max=0.9, help="Fraction of the episodes that goes to the test split.")]
Seed = Annotated[int, typer.Option(min=0, help="Random seed; episode i depends only on the options and i.")]
Processes = Annotated[int | None, typer.Option(min=1, help="Number of recording processes; by default one per core.")]


@app.command("vizdoom")
def record_vizdoom(
    out: Out,
    scenario: Annotated[str, typer.Option(help="ViZDoom scenario.")] = "my_way_home",
    episodes: Episodes = 100,
    frames: Frames = 300,
    size: Size = 64,
    test_fraction: TestFraction = 0.2,
    frame_skip: Annotated[int, typer.Option(min=1, help="Tics (1/35 s) from one frame to the next.")] = 2,
    policy: Annotated[Literal["smooth-walk", "random"], typer.Option(help="Movement policy of the player.")] = "smooth-walk",
    seed: Seed = 0,
    processes: Processes = None,
) -> None:
    """Record a first-person walk through ViZDoom: seeded, headless, uint8 npy per episode, train and test apart.

    Example: vdmbench data record vizdoom --scenario my_way_home --episodes 40 --frames 200 --size 64 --out datasets/my_way_home
    """
    from vdmbench.data.recording.vizdoom import ViZDoom

    world = ViZDoom(scenario=scenario, policy=policy, frames=frames, size=size, seed=seed, frame_skip=frame_skip)
    _record(world, scenario, out, episodes, test_fraction, processes)


@app.command("ale")
def record_ale(
    out: Out,
    game: Annotated[str, typer.Option(help="Atari game, such as space_invaders.")] = "breakout",
    episodes: Episodes = 100,
    frames: Frames = 300,
    size: Size = 64,
    test_fraction: TestFraction = 0.2,
    frame_skip: Annotated[int, typer.Option(min=1, help="Screens (1/60 s) from one frame to the next.")] = 4,
    seed: Seed = 0,
    processes: Processes = None,
) -> None:
    """Record an Atari game, played by random keys: the whole screen, squeezed to a square.

    Example: vdmbench data record ale --game seaquest --episodes 200 --out datasets/seaquest
    """
    from vdmbench.data.recording.atari import Atari

    world = Atari(game=game, frames=frames, size=size, seed=seed, frame_skip=frame_skip)
    _record(world, game, out, episodes, test_fraction, processes)


@app.command("crafter")
def record_crafter(
    out: Out,
    episodes: Episodes = 100,
    frames: Frames = 300,
    size: Size = 64,
    test_fraction: TestFraction = 0.2,
    frame_skip: Annotated[int, typer.Option(min=1, help="Steps of the player from one frame to the next.")] = 1,
    policy: Annotated[Literal["walk", "random"], typer.Option(help="Movement policy of the player.")] = "walk",
    seed: Seed = 0,
    processes: Processes = None,
) -> None:
    """Record Crafter, an open world seen from above; every episode is another world.

    Example: vdmbench data record crafter --episodes 200 --out datasets/crafter
    """
    from vdmbench.data.recording.crafter import Crafter

    world = Crafter(policy=policy, frames=frames, size=size, seed=seed, frame_skip=frame_skip)
    _record(world, "crafter", out, episodes, test_fraction, processes)


def _record(world: World, name: str, out: Path, episodes: int, test_fraction: float, processes: int | None) -> None:
    from vdmbench.cli.bars import Bars
    from vdmbench.data.recording.recorder import record

    with Bars() as bars:
        manifest = record(
            world,
            out,
            episodes=episodes,
            test_fraction=test_fraction,
            processes=processes,
            progress=lambda done: bars.tell(f"recording {name}", done, episodes),
        )
    counts = manifest.counts
    say(
        f"{out}: {counts['train']} train and {counts['test']} test episodes of {world.frames} frames, "
        f"content {manifest.content[:16]}"
    )
