"""What the INVE nodes of the open script have live: their shots, edits and frames.

    shots = current()
    node = shots.of(nuke.thisNode())     # known by its key from now on, whatever it is called
    shots.change(node.key, lambda document: document.undo())
    shots.session.pump()                 # a timer does it in Nuke's window; scripts without one do

All of it is made again from what the nodes have stored: a script that is opened shows its last results
without a daemon. A node's key stays as it is renamed; a pasted copy gets a key and so a result of its own,
but means the same shot and the same paint. Learning goes on where a node is deleted or the script closed.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from inve_client.plugin import session as sessions
from inve_client.plugin.document import EditDocument
from inve_client.plugin.editing import EditSync
from inve_client.plugin.messages import (
    Connection,
    ConnectionState,
    News,
    Problem,
    RefusedError,
    ShotNews,
)
from inve_nuke import node as nodes
from inve_nuke.frames import NodeFrames
from inve_nuke.panel.log import Log
from inve_nuke.panel.model import PanelModel
from inve_nuke.result_versions import Result
from inve_nuke.script_nodes import ScriptNodes
from inve_nuke.sending import PaintSending
from inve_nuke.statuses import Statuses

if TYPE_CHECKING:
    from inve_client.plugin.rendering import Run
    from inve_nuke.host import NukeHost
    from inve_nuke.host_types import Heard, HostNode
    from inve_nuke.node import InveNode
    from inve_nuke.panel.view import Entry
    from inve_nuke.pumping import Pump


_NEEDED_NEXT = tuple(f"inve_nuke.{name}" for name in ("opening", "painting", "roto_steps", "tracking"))
"""What the first buttons need, and loads no Nuke: loaded on the session's thread."""


class Shots:
    """All INVE nodes of one Nuke; made once, outlives scripts.

    Attributes:
        host: Nuke.
        nodes: those of the script.
        session: what is known of the daemon.
        edits: the shots' edits.
        paint: what is painted and not among them yet.
        frames: what the nodes show, and what is on its way to them.
        log: the line that matters.
        endpoint: as it was typed; of the daemon that is or was connected, None before any was.
        current: the key of the node that the panel shows; "" for none.
        revision: grows with every change that the panel shows.
    """

    def __init__(self, host: NukeHost) -> None:
        self.host = host
        self.session = sessions.start("inve_nuke", preload=_NEEDED_NEXT)
        self.log = Log(self.session)
        self.edits = EditSync(self.session, changed=self._changed, confirmed=self._confirmed)
        self.paint = PaintSending(self.session, self.edits, self.log)
        self.panel = PanelModel(self.session, self, self.log)
        self.nodes = ScriptNodes(host, self._came, self._went)
        self.frames = NodeFrames(host, self.session, self.nodes, self.is_of_daemon, self._changed)
        self.statuses = Statuses(self)
        self.endpoint: str | None = None
        self._homes: dict[str, str] = {}
        self._lost: dict[str, tuple[Mapping[str, Any], ...]] = {}
        self.current = ""
        self.revision = 0
        self.pump: Pump | None = None
        self._forget_events = [
            # Looked at with the next pump: what is deleted still is there while that is told.
            self._listen("node created", self._changed_script, "Group"),
            self._listen("node deleted", self._changed_script, "Group"),
            self._listen("script opened", self._changed_script),
            self._listen("knob changed", self._changed_knob, "Group"),
            self._listen("script saved", lambda _, __: self.store()),
            self._listen("script closed", lambda _, __: self.close_script()),
        ]
        self.session.listeners.append(self._take_in)
        self.session.tickers.append(self.look)

    def end(self) -> None:
        """Let go of Nuke and of the daemon, which goes on."""
        for forget in self._forget_events:
            forget()
        if self.pump is not None:
            self.pump.stop()
        self.frames.close()
        self.edits.close()
        self.log.close()

    # The nodes

    def of(self, host_node: HostNode) -> InveNode:
        """An INVE node, which is known from now on.

        Raises:
            RefusedError: it is no INVE node.
        """
        node = self.nodes.of(host_node)
        self.look_at_once()
        return node

    def is_of_daemon(self, node: InveNode) -> bool:
        """Whether a node's daemon is the one in use: another one may have a shot of the same name."""
        wanted = str(self.host.value(node.host_node, "inve_endpoint")).strip()
        if self.endpoint is not None:
            return self.endpoint == wanted
        shot = self.statuses.shot_of(node)
        return shot not in self.edits.documents or self._homes.get(shot) == wanted

    def insert(self) -> InveNode:
        """Insert an INVE node beneath the selection."""
        return self.nodes.adopt(nodes.insert(self.host))

    def close_script(self) -> None:
        """The script is being closed: its nodes go, what the daemon is at goes on."""
        # The artist may yet think better of it: then the nodes are found again, with all that waits.
        self._store_edits()
        self.nodes.clear()
        self.frames.results.clear()
        self.edits.documents.clear()
        self.paint.clear()
        self.current = ""
        self.look_at_once()

    def store(self) -> None:
        """Write the edits into their nodes, where the script is about to be saved."""
        self._store_edits()
        with self.host.unrecorded():
            for node in self.nodes:
                node.rest()
        self.frames.results.saved()

    def _store_edits(self) -> None:
        with self.host.unrecorded():
            for node in self.nodes:
                document = self.edits.documents.get(self.statuses.shot_of(node))
                if document is None or not self.is_of_daemon(node):
                    continue
                # What a newer plugin wrote stays until the daemon has told what there is.
                if document.revision is not None or not node.document or self._stored(node) is not None:
                    node.document = document.to_json()

    def _came(self, node: InveNode) -> None:
        self.current = self.current or node.key
        for adopt in (self._adopt_result, self._open):
            try:
                adopt(node)
            except RefusedError as refusal:
                self.session.fail(refusal.problem, self.statuses.shot_of(node))
        self.revision += 1

    def _adopt_result(self, node: InveNode) -> None:
        if node.result:
            self.frames.results.adopt(node.key, Result.from_map(node.result))

    def _went(self, key: str) -> None:
        self.frames.forget(key)
        if self.current == key:
            self.current = next((node.key for node in self.nodes), "")
        self.revision += 1

    def _listen(self, event: str, heard: Heard, node_class: str = "*") -> Callable[[], None]:
        def guarded(node: HostNode, knob: str) -> None:
            try:
                heard(node, knob)
            except RefusedError as refusal:
                self.session.fail(refusal.problem)
            except Exception:  # noqa: BLE001 - a mistake of ours must not keep Nuke from saving
                trace = traceback.format_exc()
                self.host.log(f"inve_nuke: a mistake after {event!r}:\n{trace}")
                last = trace.strip().splitlines()[-1]
                self.session.fail(
                    Problem("plugin", f"The plugin made a mistake: {last}; the terminal has more, report it.")
                )

        return self.host.listen(event, guarded, node_class)

    def _changed_script(self, _: HostNode, __: str) -> None:
        self.nodes.is_stale = True

    def _changed_knob(self, host_node: HostNode, knob: str) -> None:
        """The artist has chosen a layer to be shown."""
        if knob != "inve_layer" or not nodes.is_inve(self.host, host_node):
            return
        self.frames.choose_layer(self.nodes.of(host_node), str(self.host.value(host_node, knob)))

    # The edits

    def document_of(self, node: InveNode) -> EditDocument:
        """The edits of a node's shot, in step with the daemon from now on.

        Raises:
            RefusedError: the node has no shot yet, another daemon, or its stored edits cannot be read.
        """
        if not self.is_of_daemon(node):
            raise RefusedError(
                f"The edits of {node.name} must be changed with its own daemon, and another one is in use; "
                f"press Connect on it to change over."
            )
        document = self._open(node)
        if document is None:
            raise RefusedError(f"{node.name} must be prepared before it has edits; press Prepare.")
        return document

    def _open(self, node: InveNode) -> EditDocument | None:
        settings = node.settings()
        shot = settings.shot
        if not shot or not self.is_of_daemon(node):
            return None
        known = self.edits.documents.get(shot)
        if known is not None:
            return known
        stored = self._stored(node)
        if stored is None or stored.shot != shot:
            made = EditDocument(shot)
            if stored is not None:
                # The node was given another shot's name; Restore brings its edits over.
                made.lost = stored.layers
            stored = made
        self._homes[shot], self._lost[shot] = settings.endpoint, stored.lost
        return self.edits.open(stored)

    def _open_all(self) -> None:
        for node in self.nodes:
            try:
                self._open(node)
            except RefusedError as refusal:
                self.session.fail(refusal.problem, self.statuses.shot_of(node))

    def _stored(self, node: InveNode) -> EditDocument | None:
        try:
            return EditDocument.from_json(node.document) if node.document else None
        except RefusedError as damage:
            # What the daemon has is fetched in its place.
            self.session.fail(damage.problem, self.statuses.shot_of(node))
            return None

    def _changed(self, shot: str = "") -> None:
        self.revision += 1
        document = self.edits.documents.get(shot)
        if document is not None and not self.host.is_gui:
            self._restore(document)
        self.paint.look(shot)

    def _restore(self, document: EditDocument) -> None:
        """Without a window nobody can press Restore: it is done where the daemon has just lost edits, and
        nobody has put others there.
        """
        if document.lost and document.lost is not self._lost[document.shot] and not document.confirmed_layers:
            document.restore()
            self.session.dismiss()
            self.log.say(f"The daemon had no edits of {document.shot!r}; those of the script were restored.")

    def _confirmed(self, shot: str) -> None:
        document = self.edits.documents.get(shot)
        if document is not None:
            self.frames.update(document)

    # What the panel asks

    @property
    def runs(self) -> dict[str, Run]:
        """The frames that are awaited, by node."""
        return self.frames.rendering.runs

    def entries(self) -> Sequence[Entry]:
        """All nodes as the panel lists them."""
        return self.statuses.entries

    def document(self, key: str) -> EditDocument | None:
        """A node's edits, where they are in memory."""
        entry = next((one for one in self.statuses.entries if one.key == key), None)
        return None if entry is None or entry.is_elsewhere else self.edits.documents.get(entry.shot)

    def choose(self, key: str) -> None:
        """Show another node's layers."""
        self.current = key
        self.revision += 1

    def connect(self, key: str) -> None:
        """Connect to a node's daemon, "" being the default one."""
        node = self.nodes.get(key)
        wanted = node.settings().endpoint if node is not None else ""
        if wanted != self.endpoint:
            self._change_over(wanted)
        self.session.connect(wanted)
        self.hurry()

    def _change_over(self, endpoint: str) -> None:
        """Go to another daemon: what the one before was to have of its nodes' shots waits in the nodes."""
        self._store_edits()
        self.edits.documents.clear()
        self.paint.clear()
        for key in list(self.runs):
            self.frames.rendering.forget(key)
        self.endpoint = endpoint
        self._open_all()

    def change(self, key: str, step: Callable[[EditDocument], Any]) -> None:
        """Do a step on a node's edits, and send it.

        Raises:
            RefusedError: there is no such node, or the step cannot be done.
        """
        node = self.nodes.get(key)
        if node is None:
            raise RefusedError("An INVE node must be chosen in the list of shots, got none; choose one.")
        document = self.document_of(node)
        step(document)
        self.send(document)

    def send(self, document: EditDocument) -> None:
        """Ask the daemon for what was done to a shot's edits, as soon as it can be."""
        self.revision += 1
        self.edits.send(document.shot)
        self.hurry()

    def cancel_run(self, key: str) -> bool:
        """Ask for no more of a node's frames."""
        self.revision += 1
        return self.frames.rendering.cancel(key)

    # Time

    @property
    def is_busy(self) -> bool:
        """Whether anything is awaited."""
        session = self.session
        return bool(session.waiting or session.has_work or session.opening) or self.frames.rendering.is_busy

    def hurry(self) -> None:
        """Something was asked: have it pumped soon."""
        if self.pump is not None:
            self.pump.hurry()

    def look(self) -> bool:
        """Look at the script where it has changed, at its knobs now and then; the session's pump calls it."""
        if self.nodes.is_due:
            self.nodes.scan()
        elif not self.statuses.is_due:
            return False
        self.frames.look(self.edits.documents)
        return self.look_at_once()

    def look_at_once(self) -> bool:
        """Bring the status lines and the panel's up to date; True where these are other than they were."""
        is_other = self.statuses.look()
        self.revision += is_other
        return is_other

    def _take_in(self, news: News) -> None:
        is_new = isinstance(news, ShotNews) and news.change in ("opened", "model")
        if is_new or (isinstance(news, Connection) and news.state is ConnectionState.CONNECTED):
            # What the daemon has of the nodes' shots, it tells now.
            self._open_all()


_current: Shots | None = None


def current() -> Shots:
    """Those of this Nuke; made with the first call, which starts the timer where there is a window."""
    global _current
    if _current is None:
        from inve_nuke.host import NukeHost

        host = NukeHost()
        _current = Shots(host)
        if host.is_gui:
            from inve_nuke.pumping import Pump

            made = _current
            _current.pump = Pump(made.session.pump, lambda: made.is_busy, stop)
    return _current


def stop() -> None:
    """Nuke ends, or the plugin is to be made anew."""
    global _current
    if _current is not None:
        made, _current = _current, None
        made.end()
        sessions.stop()


def panel_model() -> PanelModel:
    """What the panels of this Nuke show."""
    return current().panel
