"""The log line that matters: news of the daemon as short sentences, the newest last. No nuke, no Qt."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING

from inve_client.plugin.messages import Connection, ConnectionState, Job, JobNews, Missed, News, ShotNews

if TYPE_CHECKING:
    from inve_client.plugin.session import Session

KEPT = 100


class Log:
    """Follows a session's news until `close`.

    Attributes:
        lines: with the time of day, oldest first.
    """

    def __init__(self, session: Session) -> None:
        self.lines: deque[str] = deque(maxlen=KEPT)
        self._session = session
        self._daemon = ""
        self._states: dict[str, str] = {}
        session.listeners.append(self.take_in)

    def close(self) -> None:
        """Let go of the session."""
        self._session.listeners.remove(self.take_in)

    @property
    def last(self) -> str:
        """The newest line, "" where there is none."""
        return self.lines[-1] if self.lines else ""

    def say(self, sentence: str) -> None:
        """Add a sentence, unless it is what was said last."""
        if not self.lines or not self.lines[-1].endswith(f"  {sentence}"):
            self.lines.append(f"{time.strftime('%H:%M:%S')}  {sentence}")

    def take_in(self, news: News) -> None:
        """Say what is worth a line."""
        sentence = ""
        if isinstance(news, Connection):
            sentence = self._of_connection(news)
        elif isinstance(news, JobNews):
            sentence = self._of_job(news.job)
        elif isinstance(news, ShotNews):
            sentence = _of_shot(news)
        elif isinstance(news, Missed):
            sentence = "Some news of the daemon were lost; everything was asked for again."
        if sentence:
            self.say(sentence)

    def _of_connection(self, news: Connection) -> str:
        if news.state is ConnectionState.CONNECTED:
            restarted = self._daemon not in ("", news.daemon_session)
            self._daemon = news.daemon_session
            return "The daemon was restarted." if restarted else f"Connected to {news.endpoint}."
        if news.state is ConnectionState.LOST:
            return "The daemon does not answer; trying again."
        return ""

    def _of_job(self, job: Job) -> str:
        what = f"{'Learning' if job.kind == 'train' else 'Rendering'} {job.shot!r}"
        if self._states.get(job.id) == job.state:
            return ""
        self._states[job.id] = job.state
        if job.problem is not None and job.state == "failed":
            return f"{what} failed: {job.problem.message}"
        if job.warnings and job.state == "done":
            return f"{what}: {job.warnings[-1]}"
        return {
            "running": f"{what} has begun.",
            "done": f"{what} is done.",
            "cancelled": f"{what} was cancelled.",
            "interrupted": f"{what} was interrupted.",
        }.get(job.state, "")


def _of_shot(news: ShotNews) -> str:
    if news.change == "model":
        return f"The model of {news.shot!r} got better."
    if news.change == "deleted":
        return f"The shot {news.shot!r} was deleted."
    if news.change == "edits":
        return f"The edits of {news.shot!r} have changed."
    return f"The shot {news.shot!r} is open."
