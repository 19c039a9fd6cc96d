"""Work done by several threads, its results in order, given up as soon as nobody wants them."""

import contextlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


@contextlib.contextmanager
def mapped_in_threads(
    work: Callable[[Item], Result], items: Iterable[Item], threads: int
) -> Iterator[Iterator[Result]]:
    """Results of `work` over `items`, in order.

    Leaving the block early, by an error or a cancelled job, begins no further item; those under way are
    waited for.
    """
    pool = ThreadPoolExecutor(max(1, threads))
    try:
        yield pool.map(work, items)
    finally:
        pool.shutdown(cancel_futures=True)
