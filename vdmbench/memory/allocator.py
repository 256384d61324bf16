"""CUDA's caching allocator of PyTorch, as a model: what it reserves of the device for given births and deaths.

The rules are those of PyTorch's native allocator at its default settings, one stream, no expandable segments
(``c10/cuda/CUDACachingAllocator.cpp``, whose names the constants keep):

1. A request is rounded up to 512 bytes.
2. Up to 1 MiB it is served from the pool of small blocks, else from the pool of large ones.
3. The smallest free block of its pool that is large enough is taken, the one at the lowest address among equals.
4. Where there is none, a segment is asked of the device: 2 MiB for a small request, 20 MiB for a large one under 10 MiB, and
   above that the request itself, rounded up to 2 MiB.
5. What a block has more than was asked for is split off: always in the small pool, where over 1 MiB in the large one.
   A block that is not split counts whole as allocated.
6. A freed block merges with free neighbours of its segment, and is kept.
7. Where the device has no room for a segment, all segments without a live block are given back, and it is tried again.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator
from dataclasses import dataclass

from vdmbench.memory.trace import EMPTY_CACHE, MemoryTrace, Phase

_BLOCK = 512
_SMALL_SIZE = 1 << 20
_SMALL_BUFFER = 2 << 20
_LARGE_BUFFER = 20 << 20
_MIN_LARGE_ALLOC = 10 << 20
_ROUND_LARGE = 2 << 20


class OutOfDeviceMemory(MemoryError):
    """A request did not fit, though all that could be given back was; the message names request, reserved and capacity."""


@dataclass(slots=True, eq=False)
class _Block:
    """A run of bytes in a segment, linked to its neighbours there."""

    address: int
    size: int
    segment: int
    """Address of the segment."""
    small: bool
    before: _Block | None = None
    after: _Block | None = None
    free: bool = True

    @property
    def whole_segment(self) -> bool:
        return self.before is None and self.after is None


def _rounded(nbytes: int, to: int) -> int:
    return -(-nbytes // to) * to


class CachingAllocator:
    """One device's allocator.

    Args:
        capacity: bytes that it may reserve; None for no end of them.

    Attributes:
        allocated: bytes in live blocks (``torch.cuda.memory_allocated``).
        reserved: bytes in segments (``torch.cuda.memory_reserved``).
        retries: times that rule 7 was needed (``num_alloc_retries``).
    """

    def __init__(self, capacity: int | None = None) -> None:
        self.capacity = capacity
        self.allocated = self.reserved = self.retries = 0
        self.allocated_peak = self.reserved_peak = 0
        self._blocks: dict[int, _Block] = {}
        # Free blocks of the large and of the small pool, by size, then address (rule 3).
        self._free: tuple[list[tuple[int, int]], list[tuple[int, int]]] = ([], [])
        self._at: dict[int, _Block] = {}  # free blocks by address
        self._next_segment = 1 << 40

    def allocate(self, storage: int, nbytes: int) -> None:
        """Serve one request. Nothing is allocated for 0 bytes.

        :raises OutOfDeviceMemory: it does not fit in the capacity.
        """
        if nbytes == 0:
            return
        size = _rounded(nbytes, _BLOCK)
        small = size <= _SMALL_SIZE
        block = self._best_free(size, small) or self._segment(size, small)
        remaining = block.size - size
        if remaining >= _BLOCK if small else remaining > _SMALL_SIZE:
            rest = _Block(block.address + size, remaining, block.segment, small, before=block, after=block.after)
            if block.after is not None:
                block.after.before = rest
            block.after, block.size = rest, size
            self._keep(rest)
        block.free = False
        self._blocks[storage] = block
        self.allocated += block.size
        self.allocated_peak = max(self.allocated_peak, self.allocated)

    def release(self, storage: int) -> None:
        """The storage dies; its block is kept for reuse."""
        block = self._blocks.pop(storage, None)
        if block is None:  # of 0 bytes
            return
        self.allocated -= block.size
        block.free = True
        for neighbour in (block.before, block.after):
            if neighbour is not None and neighbour.free:
                self._forget(neighbour)
                first, second = (neighbour, block) if neighbour is block.before else (block, neighbour)
                first.size += second.size
                first.after = second.after
                if second.after is not None:
                    second.after.before = first
                block = first
                block.free = True
        self._keep(block)

    def empty_cache(self) -> None:
        """Give every segment without a live block back to the device."""
        for block in [block for block in self._at.values() if block.whole_segment]:
            self._forget(block)
            self.reserved -= block.size

    def live(self) -> dict[int, range]:
        """Addresses of the block of each live storage."""
        return {storage: range(block.address, block.address + block.size) for storage, block in self._blocks.items()}

    def reset_peaks(self) -> None:
        """As ``torch.cuda.reset_peak_memory_stats()``."""
        self.allocated_peak, self.reserved_peak = self.allocated, self.reserved

    def _best_free(self, size: int, small: bool) -> _Block | None:
        pool = self._free[small]
        place = bisect_left(pool, (size, 0))
        if place == len(pool):
            return None
        block = self._at[pool[place][1]]
        self._forget(block)
        return block

    def _segment(self, size: int, small: bool) -> _Block:
        if small:
            wanted = _SMALL_BUFFER
        elif size < _MIN_LARGE_ALLOC:
            wanted = _LARGE_BUFFER
        else:
            wanted = _rounded(size, _ROUND_LARGE)
        if self.capacity is not None and self.reserved + wanted > self.capacity:
            self.retries += 1
            self.empty_cache()
            if self.reserved + wanted > self.capacity:
                raise OutOfDeviceMemory(
                    f"{size:,} bytes do not fit: {self.reserved:,} of {self.capacity:,} are reserved, {self.allocated:,} in use"
                )
        self.reserved += wanted
        self.reserved_peak = max(self.reserved_peak, self.reserved)
        self._next_segment += wanted
        return _Block(self._next_segment - wanted, wanted, self._next_segment - wanted, small)

    def _keep(self, block: _Block) -> None:
        insort(self._free[block.small], (block.size, block.address))
        self._at[block.address] = block

    def _forget(self, block: _Block) -> None:
        pool = self._free[block.small]
        del pool[bisect_left(pool, (block.size, block.address))]
        del self._at[block.address]


@dataclass(frozen=True)
class Replayed:
    """Peaks of one phase of a trace, in bytes."""

    allocated_peak: int
    reserved_peak: int
    holders: dict[str, int]
    """Owner to the bytes that it holds at the first moment of the allocated peak; they sum to it."""


def replay(trace: MemoryTrace, *, capacity: int | None = None) -> dict[str, Replayed]:
    """Run a trace through the allocator; peaks are reset where a phase begins.

    :raises OutOfDeviceMemory: it does not fit in ``capacity``.
    """
    peaks: dict[str, tuple[int, int]] = {}
    peak_at = dict.fromkeys((phase.name for phase in trace.phases), -1)
    for number, allocator in _replaying(trace, capacity):
        for phase in trace.phases:
            if number == phase.begin - 1:
                allocator.reset_peaks()
            if phase.begin - 1 <= number < phase.end:
                now = allocator.allocated_peak, allocator.reserved_peak
                if phase.name not in peaks or now[0] > peaks[phase.name][0]:
                    peak_at[phase.name] = number
                peaks[phase.name] = now
    holders: dict[str, dict[str, int]] = {}
    for number, allocator in _replaying(trace, capacity):
        for name, at in peak_at.items():
            if number == at:
                holders[name] = _by_owner(trace, allocator.live())
    return {name: Replayed(*peaks[name], holders[name]) for name in peaks}


def _replaying(trace: MemoryTrace, capacity: int | None) -> Iterator[tuple[int, CachingAllocator]]:
    """The allocator before the first event (number -1) and after each."""
    allocator = CachingAllocator(capacity)
    yield -1, allocator
    for number, (storage, nbytes) in enumerate(trace.events):
        if storage == EMPTY_CACHE:
            allocator.empty_cache()
        elif nbytes > 0:
            allocator.allocate(storage, nbytes)
        else:
            allocator.release(storage)
        yield number, allocator


def _by_owner(trace: MemoryTrace, alive: dict[int, range]) -> dict[str, int]:
    held: dict[str, int] = {}
    for storage, block in alive.items():
        owner = trace.owners[storage]
        held[owner] = held.get(owner, 0) + len(block)
    return dict(sorted(held.items(), key=lambda item: (-item[1], item[0])))


def least_capacity(trace: MemoryTrace, phase: Phase, resolution: float = 0.01) -> int:
    """The smallest capacity in which ``phase`` runs, cached memory given back where that is needed (rule 7).

    Between the allocated peak, below which nothing helps, and the reserved one, which surely suffices; to ``resolution``, as a
    share of it, and never too small.
    """
    low, high = _peaks(trace, phase, None)
    while high - low > resolution * high:
        middle = (low + high) // 2
        try:
            _peaks(trace, phase, middle)
        except OutOfDeviceMemory:
            low = middle
        else:
            high = middle
    return high


def _peaks(trace: MemoryTrace, phase: Phase, capacity: int | None) -> tuple[int, int]:
    """Allocated and reserved peak of a phase in which the device has ``capacity``; before it, no end of memory."""
    for number, allocator in _replaying(MemoryTrace(trace.events[: phase.end]), None):
        if number == phase.begin - 1:
            allocator.reset_peaks()
            allocator.capacity = capacity
    return allocator.allocated_peak, allocator.reserved_peak
