"""Frames rendered in order while threads write: what is told, what is bounded, and how it ends early."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from inve_client import errors
from inve_daemon.worker import rendering
from inve_daemon.worker.rendering import FileRendering
from inve_daemon.worker.scheduler import Scheduler, Task


@dataclass
class Pixels:
    pixels: Any


@dataclass
class Frame:
    number: int
    touched: int = 1
    parts: tuple[Any, ...] = ()
    picture: Pixels = field(default_factory=lambda: Pixels(np.zeros(100, np.uint8)))


class Run:
    """A rendering with a writer of the test's own."""

    def __init__(
        self, write: Callable[[int], None], count: int = 12, prefetch: Callable[[int], None] | None = None
    ) -> None:
        self.rendered: list[int] = []
        self.written: set[int] = set()
        self.told: list[dict[str, Any]] = []
        self.task = Task(1, self.told.append, long=True)
        self.scheduler = Scheduler(lambda wait: None, lambda task, error: None)
        self._write = write
        self._lock = threading.Lock()
        self.most_waiting = 0

        def render(frame: int) -> Frame:
            self.rendered.append(frame)
            with self._lock:
                self.most_waiting = max(self.most_waiting, len(self.rendered) - len(self.written))
            return Frame(frame)

        def write_frame(frame: int, rendered: Any) -> None:
            assert rendered.number == frame
            self._write(frame)
            with self._lock:
                self.written.add(frame)

        pipeline = FileRendering(render, prefetch, write_frame, list(range(count)))  # type: ignore[arg-type]
        self.steps = pipeline.run(self.task, self.scheduler)

    def to_end(self) -> int:
        while True:
            try:
                next(self.steps)
            except StopIteration as ended:
                return int(ended.value)

    @property
    def frames_told(self) -> list[int]:
        return [frame for one in self.told if one["event"] == "frames" for frame in one["frames"]]


def test_frames_are_told_in_order_whichever_is_written_first() -> None:
    others = threading.Event()

    def write(frame: int) -> None:
        if frame == 0:
            assert others.wait(20)
        elif frame == 1:
            others.set()

    run = Run(write)
    assert run.to_end() == 12
    assert run.frames_told == list(range(12))
    assert run.rendered == list(range(12))


@pytest.mark.parametrize("limit_bytes", [1 << 30, 250])
def test_rendering_waits_for_writers(monkeypatch: pytest.MonkeyPatch, limit_bytes: int) -> None:
    monkeypatch.setattr(rendering.os, "cpu_count", lambda: 2)
    monkeypatch.setattr(rendering, "IN_FLIGHT_BYTES", limit_bytes)
    go = threading.Event()
    run = Run(lambda frame: go.wait(20) and None, count=30)
    for _ in range(20):
        next(run.steps)
    # It comes back at once all the same, so that others have their turn; then nothing more is begun.
    assert len(run.rendered) == (4 if limit_bytes > 250 else 3)
    go.set()
    run.to_end()
    assert run.most_waiting <= 4
    assert run.frames_told == list(range(30))


def test_an_error_keeps_the_frames_before_it() -> None:
    def write(frame: int) -> None:
        if frame == 5:
            raise errors.StorageError("f.0005.exr could not be written: the disk is full.")

    run = Run(write, count=200)
    with pytest.raises(errors.StorageError, match=r"f\.0005"):
        run.to_end()
    assert run.frames_told == [0, 1, 2, 3, 4]
    assert {0, 1, 2, 3, 4} <= run.written
    assert len(run.rendered) < 200


def test_a_cancel_begins_no_further_frame_and_waits_for_those_being_written() -> None:
    writing: set[int] = set()

    def write(frame: int) -> None:
        writing.add(frame)

    run = Run(write, count=200)
    for _ in range(3):
        next(run.steps)
    run.task.cancelled = True
    with pytest.raises(errors.Cancelled):
        run.to_end()
    assert len(run.rendered) < 10
    assert run.written == writing


def test_a_training_has_the_time_that_writers_take(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(rendering, "wait", lambda futures, timeout, return_when: waits.append(timeout))
    monkeypatch.setattr(rendering.os, "cpu_count", lambda: 1)
    go = threading.Event()
    run = Run(lambda frame: go.wait(20) and None)
    for _ in range(6):
        next(run.steps)
    alone = set(waits)
    waits.clear()
    for number in (2, 3):
        run.scheduler.add(Task(number, run.told.append, long=True), iter(()))  # type: ignore[arg-type]
    next(run.steps)
    assert alone == {rendering._WAIT_S}
    assert waits == [0.0]
    go.set()
    run.steps.close()


def test_a_generator_that_is_closed_lets_go_of_its_threads() -> None:
    before = threading.active_count()
    run = Run(lambda frame: None)
    next(run.steps)
    assert threading.active_count() > before
    run.steps.close()
    assert threading.active_count() == before


def test_coming_plates_are_read_ahead_once_each() -> None:
    asked = []

    def prefetch(frame: int) -> None:
        asked.append(frame)
        if frame == 3:
            raise errors.MediaError("damaged")

    run = Run(lambda frame: None, prefetch=prefetch)
    run.to_end()
    assert sorted(asked) == list(range(1, 12))
