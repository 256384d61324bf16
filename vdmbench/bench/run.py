"""The bench: each contender is tried out, weighed in a process of its own, and timed in turn with the others.

A case that would take too long or too much memory, by what shorter clips took, is not begun; it is a row all the same, as is
one that fails. The weighing comes first, so that what runs out of memory does it in a process that can be spared.
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace

import torch

from vdmbench.bench.contest import Contender, Contest
from vdmbench.bench.growth import predict
from vdmbench.bench.memory import SHARE, Scale, Weight, available_bytes
from vdmbench.bench.roofline import share_of_roofline
from vdmbench.bench.rounds import Clock, Timing, clock_of, time_in_rounds
from vdmbench.bench.rows import Findings, Row, bare_row
from vdmbench.bench.tryout import TryOut, one_line, try_out
from vdmbench.bench.workload import InvalidWorkload, Workload
from vdmbench.measure import capture, is_out_of_memory, spread

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Settings:
    """``workload`` has everything but frames, of which there are several; ``max_seconds`` bounds one case, all its steps."""

    workload: Workload
    frames: tuple[int, ...]
    rounds: int = 9
    threads: int = 1
    max_seconds: float = 60.0

    def __post_init__(self) -> None:
        if self.rounds < 1 or self.threads < 1 or self.max_seconds <= 0 or not self.frames:
            raise InvalidWorkload(
                f"rounds, threads and max_seconds must be positive and frames not empty, got {self.rounds}, {self.threads}, "
                f"{self.max_seconds:g} and {list(self.frames)}"
            )

    @property
    def steps(self) -> int:
        """Steps of a case: two when it is weighed, two that warm it up, one a round."""
        return self.rounds + 4


def run(contests: Sequence[Contest], settings: Settings, tell: Tell = lambda text: None) -> Findings:
    """Measure everything; an interrupt (Ctrl-C) ends the run, keeps what is finished, and marks the rest.

    ``tell`` is called with a line on what is being done.
    """
    threads_before = torch.get_num_threads()
    torch.set_num_threads(settings.threads)
    sizes = [settings.workload.resized(frames=frames) for frames in settings.frames]
    rows = {
        (contest.name, contender.label, size.frames): bare_row(contest.kind, contender, size, settings.threads, "interrupted")
        for contest in contests
        for contender in contest.contenders
        for size in sizes
    }
    findings = Findings([], capture(), _describe(settings), _load())
    try:
        for contest in contests:
            for row in _measure(contest, sizes, settings, tell):
                rows[contest.name, row.label, row.frames] = row
    except KeyboardInterrupt:
        findings.interrupted = True
    finally:
        torch.set_num_threads(threads_before)
    findings.rows = list(rows.values())
    findings.load_after = _load()
    return findings


def _measure(contest: Contest, sizes: Sequence[Workload], settings: Settings, tell: Tell) -> Iterator[Row]:
    """The rows of one contest, each as soon as nothing more will be learnt about it."""
    weighed: dict[tuple[str, int], Weight] = {}
    told: dict[str, TryOut] = {}
    for contender in contest.contenders:
        tell(f"{contender.label}: trying out")
        attempt = told[contender.label] = try_out(contest, contender, sizes[0])
        if attempt.status != "ok":
            for size in sizes:
                yield replace(
                    bare_row(contest.kind, contender, size, settings.threads, attempt.status, attempt.reason),
                    used=attempt.used,
                    relative_error=attempt.relative_error,
                )
            continue
        for size, weight in zip(sizes, _weigh(contest, contender, sizes, settings, tell), strict=True):
            weighed[contender.label, size.frames] = weight
            if weight.status != "ok":
                yield replace(_row(contest, contender, size, settings, attempt, weight), status=weight.status)
    for size in sizes:
        fit = [
            each
            for each in contest.contenders
            if (each.label, size.frames) in weighed and weighed[each.label, size.frames].status == "ok"
        ]
        yield from _time(contest, fit, size, settings, told, weighed, tell)


def _row(contest: Contest, contender: Contender, size: Workload, settings: Settings, attempt: TryOut, weight: Weight) -> Row:
    return replace(
        bare_row(contest.kind, contender, size, settings.threads, "ok", weight.reason),
        used=attempt.used,
        relative_error=attempt.relative_error,
        extra_peak_bytes=weight.extra_bytes,
        held_bytes=weight.held_bytes,
        memory_source=weight.source,
    )


def _weigh(
    contest: Contest, contender: Contender, sizes: Sequence[Workload], settings: Settings, tell: Tell
) -> Iterator[Weight]:
    """One weight a size, ascending; what follows a failure is as long or longer, and is not begun."""
    frames: list[int] = []
    seconds: list[float] = []
    extra: list[float] = []
    failed: Weight | None = None
    with Scale(contest, contender, threads=settings.threads) as scale:
        for size in sizes:
            if failed is None:
                tell(f"{contender.label}: weighing {size.frames} frames")
                failed = _too_much(
                    contest, size, settings, predict(frames, seconds, size.frames), predict(frames, extra, size.frames)
                )
            if failed is not None:
                yield failed
                continue
            weight = scale.weigh(size, seconds=settings.max_seconds)
            if weight.status == "ok":
                assert weight.seconds is not None
                assert weight.extra_bytes is not None
                frames.append(size.frames)
                seconds.append(weight.seconds)
                extra.append(float(weight.extra_bytes))
            else:
                failed = Weight(
                    weight.status if weight.status != "error" else "skipped",
                    f"not begun: at {size.frames} frames {weight.reason}",
                )
            yield weight


def _too_much(
    contest: Contest, size: Workload, settings: Settings, seconds: float | None, extra: float | None
) -> Weight | None:
    """Why a case is not begun, by what shorter clips took; None where it may."""
    if seconds is not None and seconds * settings.steps > settings.max_seconds:
        return Weight("skipped", _too_slow(seconds, settings))
    room = SHARE * available_bytes(size.device)
    needed = _input_bytes(contest, size) + (extra or 0.0)
    if needed > room:
        return Weight("oom", f"would need about {needed / 2**30:.1f} GiB, of {room / 2**30:.1f} GiB that may be taken")
    return None


def _too_slow(seconds: float, settings: Settings) -> str:
    return f"would take about {seconds * settings.steps:.0f} s, over the {settings.max_seconds:g} s of a case"


def _input_bytes(contest: Contest, size: Workload) -> int:
    """Of the contest's inputs, which are affine in frames: from one frame and two."""
    one, two = (sum(part.nbytes for part in contest.inputs(size.resized(frames=frames))) for frames in (1, 2))
    return one + (size.frames - 1) * (two - one)


def _time(
    contest: Contest,
    fit: Sequence[Contender],
    size: Workload,
    settings: Settings,
    told: dict[str, TryOut],
    weighed: dict[tuple[str, int], Weight],
    tell: Tell,
) -> Iterator[Row]:
    rows = {each.label: _row(contest, each, size, settings, told[each.label], weighed[each.label, size.frames]) for each in fit}
    quick = []
    for contender in fit:
        impression = weighed[contender.label, size.frames].seconds
        assert impression is not None
        if impression * settings.steps > settings.max_seconds:
            yield replace(rows[contender.label], status="skipped", reason=_too_slow(impression, settings))
        else:
            quick.append(contender)
    if not quick:
        return
    tell(f"{contest.name}: timing {size.frames} frames")
    clock = clock_of(size, settings.threads)
    try:
        timings = time_in_rounds(contest, quick, size, rounds=settings.rounds, clock=clock)
    except (MemoryError, RuntimeError) as error:
        status = "oom" if is_out_of_memory(error) else "error"
        for contender in quick:
            yield replace(rows[contender.label], status=status, reason=f"timing {len(quick)} contenders: {one_line(error)}")
        return
    for contender, timing in zip(quick, timings, strict=True):
        yield _timed(rows[contender.label], timing, clock)


def _timed(row: Row, timing: Timing, clock: Clock) -> Row:
    middle = spread(timing.seconds)
    assert middle is not None
    copy_rate, matmul_rate = statistics.median(timing.copy_bytes_per_second), statistics.median(timing.matmul_flops_per_second)
    share = share_of_roofline(timing.work, middle.median, matmul_rate, copy_rate)
    return replace(
        row,
        seconds=middle.median,
        seconds_q1=middle.q1,
        seconds_q3=middle.q3,
        samples=timing.seconds,
        clock=clock,
        wall_seconds=statistics.median(timing.wall_seconds),
        flops=timing.work.flops,
        bytes=timing.work.bytes,
        copy_bytes_per_second=copy_rate,
        matmul_flops_per_second=matmul_rate,
        roofline_share=None if share is None else share.share,
        roofline_bound=None if share is None else share.bound,
    )


def _describe(settings: Settings) -> dict[str, object]:
    workload = asdict(settings.workload)
    del workload["frames"]
    return {
        **workload,
        "frames": list(settings.frames),
        "rounds": settings.rounds,
        "threads": settings.threads,
        "max_seconds": settings.max_seconds,
    }


def _load() -> float | None:
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None
