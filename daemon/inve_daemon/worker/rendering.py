"""Rendered frames on their way out of the worker: into an answer, into shared memory, or into files."""

import logging
import os
import time
import uuid
from collections import deque
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inve_client.errors import StorageError, TooLarge
from inve_core.errors import StorageError as CoreStorageError
from inve_daemon.pipe import Message
from inve_daemon.worker.core import InveCore
from inve_daemon.worker.scheduler import Scheduler, Steps, Task

if TYPE_CHECKING:
    from inve_core.rendering import Rendered

log = logging.getLogger("inve.worker")

MAX_INLINE_BYTES = 256 << 20
"""Most bytes of EXR that one inline answer brings."""
IN_FLIGHT_BYTES = 1 << 30
"""Rendered frames that may wait for a thread to encode them."""
_MOST_WRITERS = 16
_AHEAD = 4
_WAIT_S = 0.002

RenderFrame = Callable[[int], "Rendered"]


def render_inline(core: InveCore, render: RenderFrame, args: Message) -> Steps:
    """Frames for an answer: as files in the shared folder that the daemon named, else as bytes.

    Raises:
        TooLarge: they come to more than an answer may bring.
    """
    frames: list[dict[str, Any]] = []
    pictures: list[bytes] = []
    total_bytes = 0
    folder = args["shared"]
    try:
        for frame in args["frames"]:
            rendered = render(frame)
            facts = {"frame": frame, "touched": int(rendered.touched)}
            shared = None if folder is None else _into_folder(core, Path(folder), rendered, args)
            if shared is None:
                # No room for this one is none for the others.
                folder = None
                pictures.append(
                    core.exr_bytes(rendered.picture, rendered.parts, args["bits"], args["compression"])
                )
                total_bytes += len(pictures[-1])
            else:
                facts |= shared
                total_bytes += shared["bytes"]
            frames.append(facts)
            if total_bytes > MAX_INLINE_BYTES:
                raise TooLarge(
                    f"An answer may bring {MAX_INLINE_BYTES >> 20} MiB of EXR, {len(frames)} of "
                    f"{len(args['frames'])} frames came to more; ask for fewer, or render to files."
                )
            yield
    except BaseException:
        for facts in frames:
            if "path" in facts:
                Path(facts["path"]).unlink(missing_ok=True)
        raise
    return {"frames": frames, "pictures": pictures}


def _into_folder(core: InveCore, folder: Path, rendered: "Rendered", args: Message) -> dict[str, Any] | None:
    """Write a picture to a new file in memory; None where that has no room for it."""
    path = folder / f"{uuid.uuid4().hex}.exr"
    try:
        core.write_exr(path, rendered, args["bits"], args["compression"], synced=False)
    except (StorageError, CoreStorageError) as error:
        log.warning("a picture goes through the socket: %s", error)
        return None
    return {"path": str(path), "bytes": os.stat(path).st_size}


@dataclass(frozen=True)
class _InFlight:
    """A rendered frame that a thread encodes and writes."""

    frame: int
    touched: int
    bytes: int
    written: "Future[None]"


class FileRendering:
    """Frames rendered in order by the device, while threads read the coming plates and write what is done.

    Frames are told of in order, too. Where one cannot be written, no later one is begun; those already with a
    thread are finished.

    Args:
        render: renders a frame.
        prefetch: reads a frame's plate ahead, where the renderer can do that; called in threads.
        write: writes a rendered frame to its file; called in threads.
        frames: which, in order.
    """

    def __init__(
        self,
        render: RenderFrame,
        prefetch: Callable[[int], object] | None,
        write: Callable[[int, "Rendered"], None],
        frames: list[int],
    ) -> None:
        self._render = render
        self._prefetch = prefetch
        self._write = write
        self._frames = frames
        self._writers = min(_MOST_WRITERS, os.cpu_count() or 1)
        self._in_flight: deque[_InFlight] = deque()
        self._done = 0
        self._touched = 0

    def run(self, task: Task, scheduler: Scheduler) -> Generator[None, None, int]:
        """Render and write all of them; returns how many pixels were touched.

        Raises:
            StorageError: a file could not be written; all frames before it are there.
        """
        started = time.monotonic()
        with ExitStack() as threads:
            writers = ThreadPoolExecutor(self._writers, thread_name_prefix="write-frame")
            threads.callback(writers.shutdown, cancel_futures=True)
            readers = ThreadPoolExecutor(_AHEAD, thread_name_prefix="read-plate")
            threads.callback(readers.shutdown, cancel_futures=True)
            for number, frame in enumerate(self._frames):
                if self._prefetch is not None:
                    # What cannot be read is said when its turn to be rendered comes.
                    first = 1 if number == 0 else number + _AHEAD
                    for coming in self._frames[first : number + _AHEAD + 1]:
                        readers.submit(self._prefetch, coming)
                rendered = self._render(frame)
                written = writers.submit(self._write, frame, rendered)
                self._in_flight.append(_InFlight(frame, int(rendered.touched), bytes_of(rendered), written))
                del rendered
                while True:
                    self._take_written(task, started)
                    scheduler.check(task)
                    yield
                    if not self._full():
                        break
                    self._wait(scheduler)
            while self._in_flight:
                self._wait(scheduler)
                self._take_written(task, started)
                scheduler.check(task)
                yield
        return self._touched

    def _full(self) -> bool:
        waiting_bytes = sum(one.bytes for one in self._in_flight)
        return len(self._in_flight) > self._writers + 1 or waiting_bytes > IN_FLIGHT_BYTES

    def _wait(self, scheduler: Scheduler) -> None:
        # Not for long: a stroke or a cancel may come in meanwhile. A training has better use for the time.
        timeout_s = 0.0 if scheduler.crowded else _WAIT_S
        wait([one.written for one in self._in_flight], timeout=timeout_s, return_when=FIRST_COMPLETED)

    def _take_written(self, task: Task, started: float) -> None:
        frames = []
        try:
            while self._in_flight and self._in_flight[0].written.done():
                one = self._in_flight.popleft()
                one.written.result()
                frames.append(one.frame)
                self._touched += one.touched
        finally:
            if frames:
                self._done += len(frames)
                task.tell("frames", frames=frames)
        if frames:
            count, each_s = len(self._frames), (time.monotonic() - started) / self._done
            task.report(
                "rendering",
                iteration=self._done,
                iterations=count,
                losses={},
                iterations_per_s=1 / max(each_s, 1e-9),
                seconds_left=each_s * (count - self._done),
                warnings=[],
            )


def bytes_of(rendered: "Rendered") -> int:
    """Memory that a rendered frame takes."""
    return int(rendered.picture.pixels.nbytes) + sum(int(part.pixels.nbytes) for part in rendered.parts)


def render_options(args: Mapping[str, Any]) -> dict[str, Any]:
    """Keywords of `Renderer.render` in an order."""
    region = args["region"]
    return {
        "scale": args["scale"],
        "region": None if region is None else tuple(region),
        "layers": args["layers"],
    }
