"""What the daemon does for each request. All of it is quick: pictures, models and torch are the worker's.

An answer comes at once or, where the worker has to do something first, later. What changes state goes through
`Store.answer`, which keeps the reply with the change.
"""

from collections.abc import Callable
from typing import Any

from inve_daemon import schema
from inve_daemon.answers.base import Answer, Daemon
from inve_daemon.answers.control import ControlAnswers
from inve_daemon.answers.edits import EditAnswers
from inve_daemon.answers.pictures import PictureAnswers
from inve_daemon.answers.shots import ShotAnswers

__all__ = ["Answer", "Answers", "Daemon"]


class Answers:
    """Answers requests one by one."""

    def __init__(self, daemon: Daemon) -> None:
        self._store = daemon.store
        self._handlers: dict[type[schema.Request], Callable[[Any, Answer], None]] = {}
        for group in (ControlAnswers, ShotAnswers, EditAnswers, PictureAnswers):
            self._handlers.update(group(daemon).handlers())
        assert set(self._handlers) == set(schema.REQUESTS)

    def answer(self, request: schema.Request, answer: Answer) -> None:
        """Answer a request, now or later; whatever goes wrong becomes its answer."""
        try:
            known = self._store.replay(answer.request_id, answer.digest)
            if known is not None:
                answer.give(known)
            else:
                self._handlers[type(request)](request, answer)
        # A request can only spoil its own answer; the daemon and all others go on.
        except Exception as error:  # noqa: BLE001
            answer.refuse(error)
