"""Asking for an export, which the daemons of today do not offer yet: how the button says so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from .messages import Problem, Reply, Request

if TYPE_CHECKING:
    from .session import Session


@dataclass(frozen=True)
class _Export(Request[None]):
    """Ask whether the daemon exports."""

    kind: ClassVar[str] = "export"
    shot: str

    def read(self, reply: Reply) -> None:
        """It knows it; this plugin does not know more of it."""


def export(session: Session, shot: str, instead: str, answered: Callable[[], None] = lambda: None) -> None:
    """Ask the daemon to export a shot; what stands against it becomes the session's problem.

    Args:
        session: over which is asked.
        shot: its name.
        instead: what the artist can use where the daemon offers no export.
        answered: called once that is known.

    Raises:
        RefusedError: there is no connection.
    """
    version = session.connection.version

    def refused(problem: Problem) -> None:
        if problem.code == "unknown_request":
            message = (
                f"The daemon (inve {version}) must offer Export, got one that does not; install a newer one, "
                f"or use {instead}."
            )
            problem = Problem(problem.code, message)
        session.fail(problem, shot)
        answered()

    def offered(_: None) -> None:
        message = (
            f"This plugin must know the Export of inve {version}, got an older one; install the plugin of "
            f"that release."
        )
        refused(Problem("plugin", message))

    session.ask(_Export(shot), done=offered, failed=refused)
