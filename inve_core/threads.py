"""Work done by several threads, its results in order, given up as soon as nobody wants them."""

import contextlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import cv2

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
    with thread_pool(threads) as pool:
        yield pool.map(work, items)


@contextlib.contextmanager
def thread_pool(threads: int) -> Iterator[ThreadPoolExecutor]:
    """Threads that begin what they are given in its order.

    Work may wait for the results of what was handed in before it. Leaving the block early begins nothing
    more; what waits for something that was never begun ends with CancelledError.
    """
    pool = ThreadPoolExecutor(max(1, threads))
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


@contextlib.contextmanager
def opencv_threads(count: int) -> Iterator[None]:
    """Let each call of OpenCV use so many threads; one, where it is called from several of our own."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(count)
    try:
        yield
    finally:
        cv2.setNumThreads(before)
