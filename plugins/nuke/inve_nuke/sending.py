"""Paint on its way into a shot's edits. No nuke.

What is to be removed and put in is known only once the daemon has told what it has: until then the paint of a
node waits here, the newest of each node alone, and nobody waits for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from inve_client.plugin.messages import RefusedError
from inve_nuke.script_nodes import owner_of

if TYPE_CHECKING:
    from inve_client.plugin.document import EditDocument
    from inve_client.plugin.editing import EditSync
    from inve_client.plugin.session import Session
    from inve_nuke.node import InveNode
    from inve_nuke.panel.log import Log
    from inve_nuke.roto import Painted


class PaintSending:
    """What the nodes paint that is not among the edits yet.

    Args:
        session: whose pump looks for shots that the daemon turns out not to have.
        edits: through which it is sent.
        log: where what is sent is told.
    """

    def __init__(self, session: Session, edits: EditSync, log: Log) -> None:
        self._session, self._edits, self._log = session, edits, log
        self._waiting: dict[str, tuple[str, str, Painted]] = {}
        session.tickers.append(self._tick)

    def want(self, document: EditDocument, node: InveNode, painted: Painted) -> None:
        """Bring a shot's edits in line with what a node paints, as soon as they are known."""
        self._waiting[node.key] = (document.shot, node.name, painted)
        self.look(document.shot)

    def is_waiting(self, node: InveNode) -> bool:
        """Whether a node's paint waits for the shot's edits."""
        return node.key in self._waiting

    def is_unknown(self, shot: str) -> bool:
        """Whether the daemon has told its shots, and this is none of them."""
        session = self._session
        is_here = not shot or shot in session.shots or shot in session.opening
        return session.is_connected and session.are_listed and not is_here

    def look(self, shot: str) -> None:
        """Make the steps of what waits for a shot, where its edits are known."""
        document = self._edits.documents.get(shot)
        if document is None:
            return
        for key, (wanted, name, painted) in list(self._waiting.items()):
            if wanted == shot and not document.needs_fetch:
                del self._waiting[key]
                self._send(document, name, owner_of(key), painted)

    def clear(self) -> None:
        """Forget all that waits."""
        self._waiting.clear()

    def _send(self, document: EditDocument, name: str, owner: str, painted: Painted) -> None:
        from inve_nuke import painting, roto_steps

        made = roto_steps.steps(document.layers, painted.layers, owner)
        try:
            for step in made:
                document.perform(step)
        except RefusedError as refusal:
            self._session.fail(refusal.problem, document.shot)
        self._edits.send(document.shot)
        count = sum(len(layer.edits) for layer in painted.layers)
        self._log.say(f"{name}: {count} edits painted, {painting.said(made)}.")
        for note in painted.notes:
            self._log.say(f"{name}: {note}")

    def _tick(self) -> bool:
        lost = [key for key, (shot, _, _) in self._waiting.items() if self.is_unknown(shot)]
        for key in lost:
            shot, name, _ = self._waiting.pop(key)
            self._session.fail(unprepared(name, shot).problem, shot)
        return bool(lost)


def unprepared(name: str, shot: str) -> RefusedError:
    """The refusal of what a node needs its shot for, which the daemon has not got."""
    return RefusedError(
        f"{name} must be prepared first: this daemon has no shot {shot!r}; press Prepare.", "unknown_shot"
    )
