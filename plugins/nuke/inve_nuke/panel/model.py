"""The panel's other half: its view, and what its buttons do. No nuke, no Qt.

    model = PanelModel(session, shots, log)
    view = model.view()                      # the same object until something changed
    model.change_layer("paint", opacity=0.5)

What cannot be done is the session's problem, which the view shows; nothing is raised.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from inve_client.plugin import preparation
from inve_client.plugin.messages import Cancel, RefusedError

from . import view

if TYPE_CHECKING:
    from inve_client.plugin.document import EditDocument
    from inve_client.plugin.session import Session

    from .log import Log


class Shots(view.Shots, Protocol):
    """The script's shots, and what is done to them."""

    @property
    def revision(self) -> int:
        """Grows with every change."""

    def choose(self, key: str) -> None:
        """Make a node the current one."""

    def connect(self, key: str) -> None:
        """Connect to a node's daemon, "" being the default one."""

    def change(self, key: str, step: Callable[[EditDocument], Any]) -> None:
        """Do a step on a node's edits, and send it."""

    def cancel_run(self, key: str) -> bool:
        """Ask for no more of a node's frames."""


class PanelModel:
    """One for each Nuke; every panel that is open shows it."""

    def __init__(self, session: Session, shots: Shots, log: Log) -> None:
        self._session, self._shots, self._log = session, shots, log
        self._view: view.PanelView | None = None
        self._seen = (-1, -1, "")

    def view(self) -> view.PanelView:
        """What is to be shown; the same value while nothing has changed."""
        seen = (self._session.revision, self._shots.revision, self._log.last)
        if self._view is None or seen != self._seen:
            self._seen = seen
            made = view.view_of(self._session, self._shots, self._log.last)
            # Equal is as good as the same: then nobody has to look at the parts.
            self._view = self._view if made == self._view else made
        return self._view

    def log_lines(self) -> list[str]:
        """The log, oldest first."""
        return list(self._log.lines)

    # The buttons

    def connect(self) -> None:
        """Connect to the daemon of the current node, or close the connection."""
        if self.view().connection.is_off:
            self._try(lambda: self._shots.connect(self._shots.current))
        else:
            self._session.disconnect()

    def dismiss(self) -> None:
        """Take the problem away."""
        self._session.dismiss()

    def choose(self, key: str) -> None:
        """Show the layers of another node."""
        self._shots.choose(key)

    def cancel(self, key: str) -> None:
        """End what a line of the list of jobs tells of."""
        if key.startswith(view.RUN):
            self._shots.cancel_run(key[len(view.RUN) :])
        elif key in self._session.opening:
            preparation.cancel(self._session, key)
            self._log.say(f"Learning {key!r} was cancelled before it began.")
        else:
            self._try(lambda: self._session.ask(Cancel(key), self._session.remember_job))

    def change_layer(self, name: str, **fields: Any) -> None:
        """Change `opacity`, `enabled` or another field of a layer."""
        self._step(lambda document: document.change_layer(name, **fields))

    def rename_layer(self, name: str, rename: str) -> None:
        """Give a layer another name."""
        self._step(lambda document: document.rename_layer(name, rename))

    def move_layer(self, name: str, rows: int) -> None:
        """Move a layer up (rows > 0) or down; at the end of the list it stays."""
        layers = self.view().layers.rows
        index = next((row.index for row in layers if row.name == name), None)
        if index is None:
            return
        wanted = min(max(index + rows, 0), len(layers) - 1)
        if wanted != index:
            self._step(lambda document: document.move_layer(name, wanted))

    def delete_layer(self, name: str) -> None:
        """Remove a layer and all that is in it; Undo brings it back."""
        self._step(lambda document: document.remove_layer(name))

    def undo(self) -> None:
        """Take back the last step on the shot's edits."""
        self._step(lambda document: document.undo())

    def redo(self) -> None:
        """Bring back what Undo took."""
        self._step(lambda document: document.redo())

    def restore(self) -> None:
        """Put the edits of this script in the place of what the daemon has."""
        self._step(lambda document: document.restore())

    def _step(self, step: Callable[[EditDocument], Any]) -> None:
        self._try(lambda: self._shots.change(self._shots.current, step))

    def _try(self, action: Callable[[], Any]) -> None:
        try:
            action()
        except RefusedError as refusal:
            self._session.fail(refusal.problem)
