"""Work done by several threads, its results in order, given up as soon as nobody wants them."""

import contextlib
import math
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import cv2

Item = TypeVar("Item")
Result = TypeVar("Result")


def usable_cores() -> int:
    """How many cores this process may use: a container may be given fewer than its machine has."""
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return max(1, min(cores, math.ceil(int(quota) / int(period))))
    except (OSError, ValueError):
        # No control group, or "max": no limit.
        return cores


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
