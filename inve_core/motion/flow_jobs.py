"""Flow between all frames of a clip, computed by threads while the frames are read.

DIS runs in threads, from the moment on that its two frames are read. What follows it is done here by the same
threads, or by a GPU in `device_flow`, of which this is the slow twin.
"""

from collections.abc import Callable
from concurrent.futures import Executor, Future
from queue import SimpleQueue
from typing import Any, TypeAlias, TypeVar

import numpy as np

from inve_core.motion.flow import (
    GapFlow,
    GivenPair,
    LayerFlow,
    composed,
    consistent,
    join,
    layer_flow,
    most_miss_px,
    raw_flow,
)
from inve_core.motion.separation import Crop, LayerView, layer_view
from inve_core.threads import opencv_threads, thread_pool, usable_cores

# Grey picture [h, w] uint8 and mattes [mattes, h, w] float32 of the frame of an index; may wait for them.
Frames: TypeAlias = Callable[[int], tuple[np.ndarray, np.ndarray]]
# Flow that is given at the frame of an index, [h, w, 2] float32 in pixels and NaN where it is not known: to
# the next frame, and to the last one. None where there is no such frame. May wait for them.
GivenFlow: TypeAlias = Callable[[int], tuple[np.ndarray | None, np.ndarray | None]]
_Fields: TypeAlias = "Future[tuple[np.ndarray | None, np.ndarray | None]]"
# What is given at two neighbouring frames.
_GivenFrames: TypeAlias = tuple[_Fields, _Fields]
FlowArrays: TypeAlias = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
# Flow of each layer between two frames, there and back.
Pair: TypeAlias = list[tuple[LayerFlow, LayerFlow]]
Result = TypeVar("Result")


class FlowJob:
    """Flow between all frames of a clip, being computed by threads. Make one with `begin_flow`.

    Args:
        pairs: how many pairs of frames there are, over all gaps.
    """

    def __init__(self, pairs: int):
        self.pairs = pairs
        self._done: SimpleQueue[BaseException | None] = SimpleQueue()

    def collect(self, on_pair: Callable[[], None]) -> tuple[GapFlow, ...]:
        """Wait for all of it.

        Args:
            on_pair: called after each pair of frames, e.g. to report progress or to raise Cancelled.
        """
        for _ in range(self.pairs):
            error = self._done.get()
            if error is not None:
                raise error
            on_pair()
        return self._result()

    def _result(self) -> tuple[GapFlow, ...]:
        return ()

    def _counted(self, pairs: int, work: Callable[..., Result], *args: Any) -> Result:
        """Do work that so many pairs end with, and say so, or what went wrong, to whoever collects."""
        try:
            result = work(*args)
        except BaseException as error:
            self._done.put(error)
            raise
        for _ in range(pairs):
            self._done.put(None)
        return result


def begin_flow(
    pool: Executor,
    threads: int,
    frames: Frames,
    shape: tuple[int, int, int],
    fronts: int,
    gaps: tuple[int, ...],
    device: str | None = None,
    given: GivenFlow | None = None,
) -> FlowJob:
    """Start computing flow in threads.

    Args:
        pool: see `thread_pool`; leaving it ends the work.
        threads: how many it has.
        frames: the pictures. What it waits for is not to be behind this work in the same pool.
        shape: number of frames, height, width.
        fronts: number of mattes.
        gaps: 1, 2, 4, ...; see `gaps_for`.
        device: where torch does what follows DIS; None for the same threads, with OpenCV.
        given: takes the place of DIS; see `frames` of what it may wait for.
    """
    count = shape[0]
    if not gaps:
        return FlowJob(0)

    def separate(i: int) -> list[LayerView]:
        grey, mattes = frames(i)
        return [layer_view(grey, mattes, layer) for layer in range(fronts + 1)]

    # Work that others wait for goes first, by as many places in the queue as there are threads.
    ahead = max(2, threads)
    views: dict[int, Future[list[LayerView]]] = {}
    fields: dict[int, _Fields] = {}

    def begin_frame(i: int) -> None:
        views[i] = pool.submit(separate, i)
        if given is not None:
            fields[i] = pool.submit(given, i)

    def given_between(i: int) -> _GivenFrames | None:
        """What is given at frame i and the next; no other pair starts at i."""
        return None if given is None else (fields.pop(i), fields[i + 1])

    if device is not None:
        from inve_core.motion.device_flow import DeviceFlow

        on_device = DeviceFlow(shape, fronts, gaps, device)
        for step in range(count + ahead):
            if step < count:
                begin_frame(step)
            i = step - ahead
            if 0 <= i < count - 1:
                raw = pool.submit(_raw, views[i], views[i + 1], given_between(i))
                on_device.add(views.pop(i), views[i + 1], raw)
        on_device.end()
        return on_device
    job = HostFlow(shape, gaps)
    halves: list[dict[int, Future[Pair]]] = [{} for _ in gaps]
    for step in range(count + len(gaps) * ahead):
        if step < count:
            begin_frame(step)
        for level, gap in enumerate(gaps):
            # Each level follows the one that it is made of; the last frame of a pair was there `ahead` ago.
            i = step - (level + 1) * ahead - gap + 1
            if not 0 <= i < count - gap:
                continue
            half = gap // 2
            made_of = (halves[level - 1].pop(i), halves[level - 1][i + half]) if level else None
            between = None if level else given_between(i)
            halves[level][i] = pool.submit(job.pair, level, i, views[i], views[i + gap], made_of, between)
        views.pop(step - len(gaps) * ahead - gaps[-1] + 1, None)
    return job


def flow_over_gaps(
    grey: np.ndarray,
    mattes: np.ndarray,
    gaps: tuple[int, ...],
    on_pair: Callable[[], None] = lambda: None,
    device: str | None = None,
    given: GivenFlow | None = None,
) -> tuple[GapFlow, ...]:
    """Flow between all frames `gaps` apart.

    Args:
        grey: [n, height, width] uint8.
        mattes: [n, mattes, height, width] float32.
        gaps: 1, 2, 4, ...; see `gaps_for`.
        on_pair: called after each pair of frames, e.g. to report progress or to raise Cancelled.
        device: where torch does what follows DIS, and the result stays, if it fits; None for threads and
            numpy arrays.
        given: takes the place of DIS.
    """
    threads = usable_cores()
    fronts = mattes.shape[1]
    with opencv_threads(1), thread_pool(threads) as pool:
        job = begin_flow(
            pool, threads, lambda i: (grey[i], mattes[i]), grey.shape, fronts, gaps, device, given
        )
        return job.collect(on_pair)


def empty_arrays(gap: int, shape: tuple[int, int, int]) -> FlowArrays:
    """For the flow over a gap between frames of a clip [n, height, width], in the order of `GapFlow`."""
    count, height, width = shape
    pairs = (count - gap, height, width)
    return (
        np.empty((*pairs, 2), np.float16),
        np.empty(pairs, bool),
        np.empty((*pairs, 2), np.float16),
        np.empty(pairs, bool),
    )


def _between(given: _GivenFrames | None) -> GivenPair | None:
    """There out of what is given at the first frame, and back out of that at the second."""
    if given is None:
        return None
    ahead, behind = given[0].result()[0], given[1].result()[1]
    assert ahead is not None
    assert behind is not None
    return ahead, behind


def _raw(
    start: Future[list[LayerView]], end: Future[list[LayerView]], given: _GivenFrames | None
) -> list[tuple[Crop, np.ndarray, np.ndarray]]:
    between = _between(given)
    return [raw_flow(*views, between) for views in zip(start.result(), end.result(), strict=True)]


class HostFlow(FlowJob):
    """Flow that is computed by threads alone."""

    def __init__(self, shape: tuple[int, int, int], gaps: tuple[int, ...]):
        super().__init__(sum(shape[0] - gap for gap in gaps))
        self._gaps = gaps
        self._arrays = tuple(empty_arrays(gap, shape) for gap in gaps)

    def _result(self) -> tuple[GapFlow, ...]:
        return tuple(GapFlow(gap, *arrays) for gap, arrays in zip(self._gaps, self._arrays, strict=True))

    def pair(
        self,
        level: int,
        i: int,
        start: Future[list[LayerView]],
        end: Future[list[LayerView]],
        halves: tuple[Future[Pair], Future[Pair]] | None,
        given: _GivenFrames | None,
    ) -> Pair:
        """Flow of each layer from frame i over the gap of a level; composed, where there are its halves."""
        return self._counted(1, self._pair, level, i, start, end, halves, given)

    def _pair(
        self,
        level: int,
        i: int,
        start: Future[list[LayerView]],
        end: Future[list[LayerView]],
        halves: tuple[Future[Pair], Future[Pair]] | None,
        given: _GivenFrames | None,
    ) -> Pair:
        forward, forward_valid, backward, backward_valid = self._arrays[level]
        most_px = most_miss_px(self._gaps[level])
        starts, ends = start.result(), end.result()
        made_of = None if halves is None else (halves[0].result(), halves[1].result())
        between = _between(given)
        pair = []
        for layer, (here, there) in enumerate(zip(starts, ends, strict=True)):
            if made_of is None:
                ahead, back = layer_flow(here, there, between)
            else:
                first, second = made_of[0][layer], made_of[1][layer]
                ahead, back = composed(first[0], second[0]), composed(second[1], first[1])
            pair.append(
                (
                    LayerFlow(here.crop, ahead, consistent(ahead, back, here, there, most_px)),
                    LayerFlow(there.crop, back, consistent(back, ahead, there, here, most_px)),
                )
            )
        join(forward[i], forward_valid[i], [ahead for ahead, _ in pair], starts)
        join(backward[i], backward_valid[i], [back for _, back in pair], ends)
        return pair
