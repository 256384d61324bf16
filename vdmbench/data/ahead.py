"""Work done by threads ahead of who asks for it, and handed out in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Made = TypeVar("Made")


def in_order(work: Callable[[Item], Made], items: Iterable[Item], *, workers: int, ahead: int, name: str) -> Iterator[Made]:
    """``work`` of each item, in the items' order, made by ``workers`` threads that keep up to ``ahead`` ready or in the making.

    What fails in a thread is raised here, at its place in the order. Leaving the loop early, or dropping the iterator, ends the
    threads after what they have in hand.
    """
    with ThreadPoolExecutor(workers, thread_name_prefix=name) as pool:
        pending: deque[Future[Made]] = deque()
        try:
            for item in items:
                if len(pending) == ahead:
                    yield pending.popleft().result()
                pending.append(pool.submit(work, item))
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()
