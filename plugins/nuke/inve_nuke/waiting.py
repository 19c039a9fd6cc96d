"""Waiting in terminal mode, where no timer pumps. No nuke."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from inve_client.plugin.messages import RefusedError

if TYPE_CHECKING:
    from inve_client.plugin.messages import Problem
    from inve_client.plugin.session import Session

_PASSING = frozenset(("unreachable", "timed_out"))
"""Problems of a daemon that is away, perhaps for a moment."""


@dataclass(frozen=True)
class Waiting:
    """How long to wait for what was asked.

    Attributes:
        session: that is pumped meanwhile.
        shot: whose problems end it, and those of the connection; what is wrong with others does not.
        timeout_s: for each thing that is awaited; None waits for nothing.
    """

    session: Session
    shot: str
    timeout_s: float | None

    @property
    def is_on(self) -> bool:
        """Whether anything is waited for at all."""
        return self.timeout_s is not None

    def until(self, is_done: Callable[[], bool], what: str) -> None:
        """Pump until it is done; a daemon that is lost may come back until the time is up.

        Args:
            is_done: asked again and again.
            what: begins the sentence that says that it was not: "Rendering".

        Raises:
            RefusedError: something of the shot's went wrong meanwhile, or the time is up.
        """
        if self.timeout_s is None:
            return
        session = self.session

        def has_failed() -> bool:
            found = self._problem
            return found is not None and found.code not in _PASSING

        session.pump_until(lambda: has_failed() or is_done(), self.timeout_s)
        problem = self._problem
        if problem is not None and (has_failed() or not is_done()):
            raise RefusedError(problem.message, problem.code)
        if not is_done():
            raise RefusedError(
                f"{what} must be done within {self.timeout_s:g} s, and is not; give it more time, or look at "
                f"the daemon with inve-daemon status.",
                "timed_out",
            )

    @property
    def _problem(self) -> Problem | None:
        own, last = self.session.problems.get(self.shot), self.session.problem
        return last if own is None and last is not None and not last.about else own
