"""How the INVE nodes of a script stand: their status lines, and their lines in the panel."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from inve_client.plugin import wording
from inve_client.plugin.messages import RefusedError
from inve_client.plugin.session import advice
from inve_nuke.panel.view import Entry, standing

if TYPE_CHECKING:
    from inve_client.plugin.messages import Problem
    from inve_nuke.node import InveNode
    from inve_nuke.shots import Shots

LOOK_S = 0.25
"""Between two looks at the nodes' knobs."""


class Statuses:
    """Looked at by the session's pump.

    Attributes:
        entries: the nodes as the panel lists them.
    """

    def __init__(self, shots: Shots) -> None:
        self.entries: tuple[Entry, ...] = ()
        self._shots = shots
        self._looked_at = 0.0
        self._refused: set[str] = set()

    @property
    def is_due(self) -> bool:
        """Whether the last look is some time ago."""
        return time.monotonic() - self._looked_at >= LOOK_S

    def look(self) -> bool:
        """Bring all lines up to date; True where the panel's are other than they were."""
        self._looked_at = time.monotonic()
        shots, entries = self._shots, []
        with shots.host.unrecorded():
            for node in shots.nodes:
                shot = self.shot_of(node)
                has_result = shots.frames.results.of(node.key) is not None
                is_elsewhere = bool(shot) and not shots.is_of_daemon(node)
                entry = Entry(node.key, node.name, shot, has_result, is_elsewhere)
                entries.append(entry)
                node.show_status(*self._status(entry))
        before, self.entries = self.entries, tuple(entries)
        return before != self.entries

    def shot_of(self, node: InveNode) -> str:
        """A node's shot, "" where its knobs cannot be read: that is told once."""
        try:
            return node.settings().shot
        except RefusedError as refusal:
            if node.key not in self._refused:
                self._refused.add(node.key)
                self._shots.session.fail(refusal.problem, node.name)
            return ""

    def _status(self, entry: Entry) -> tuple[str, float | None]:
        """A node's line, and how much is done of what it is at."""
        session, rendering = self._shots.session, self._shots.frames.rendering
        if entry.is_elsewhere:
            return standing(session, entry), None
        job = session.job_of(entry.shot) if entry.shot else None
        if entry.shot in session.opening or (job is not None and not job.ended):
            return wording.progress(job), None if job is None else job.share
        run = rendering.runs.get(entry.key)
        if run is not None and run.left and run.total and session.is_connected:
            return wording.frames_left(run), 1 - run.left / run.total
        problem = session.problems.get(entry.shot) if entry.shot else None
        if problem is not None and session.is_connected:
            return _told(problem), None
        document = self._shots.edits.documents.get(entry.shot)
        if document is not None and document.held and session.is_connected:
            return f"Edits not sent: {document.held}", None
        return standing(session, entry), None


def _told(problem: Problem) -> str:
    """A problem and what to do about it, where it does not say that itself."""
    says_it = problem.code == "plugin" or "; " in problem.message
    return problem.message if says_it else f"{problem.message} {advice(problem)}".rstrip()
