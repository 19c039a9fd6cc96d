"""Progress of a job for people: one line that changes on a terminal, plain lines now and then elsewhere."""

import sys
import time
from collections.abc import Mapping
from typing import Any, TextIO

LINE_EVERY_S = 5.0
BAR_WIDTH = 24


class ProgressLine:
    """Shows a job's progress on standard error; use it as the client's `on_progress`."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._live = self._stream.isatty()
        self._stage: Any = None
        self._shown_at = 0.0
        self._width = 0
        self._warned: set[str] = set()

    def __call__(self, job: Mapping[str, Any]) -> None:
        """Show where a job is."""
        progress = job.get("progress") or {}
        for warning in progress.get("warnings") or []:
            if warning not in self._warned:
                self._warned.add(warning)
                self._say(f"Warning: {warning}")
        now = time.monotonic()
        new_stage = progress.get("stage") != self._stage
        if self._live or new_stage or now - self._shown_at >= LINE_EVERY_S:
            self._stage, self._shown_at = progress.get("stage"), now
            text = describe(progress, bar=self._live)
            if self._live:
                self._stream.write("\r" + text.ljust(self._width))
                self._width = len(text)
                self._stream.flush()
            else:
                self._say(text)

    def close(self) -> None:
        """End the line that changes."""
        if self._live and self._width:
            self._stream.write("\n")
            self._stream.flush()
            self._width = 0

    def _say(self, text: str) -> None:
        self.close()
        self._stream.write(text + "\n")
        self._stream.flush()


def describe(progress: Mapping[str, Any], *, bar: bool) -> str:
    """One line for a job's progress."""
    done, total = int(progress.get("iteration") or 0), int(progress.get("iterations") or 0)
    parts = [str(progress.get("stage") or "working")]
    if total:
        if bar:
            filled = min(BAR_WIDTH, BAR_WIDTH * done // total)
            parts.append(f"[{'#' * filled}{'.' * (BAR_WIDTH - filled)}]")
        parts.append(f"{done}/{total}")
    rate, left = progress.get("iterations_per_s"), progress.get("seconds_left")
    if rate:
        parts.append(f"{rate:.1f}/s")
    if left is not None:
        parts.append(f"{duration(left)} left")
    losses = progress.get("losses") or {}
    parts += [
        f"{name} {value:.3g}" for name, value in list(losses.items())[:4] if isinstance(value, (int, float))
    ]
    return "  ".join(parts)


def duration(seconds: float) -> str:
    """`42 s`, `3 min 10 s` or `1 h 05 min`."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
