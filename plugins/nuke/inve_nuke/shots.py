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

import uuid
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from inve_client.plugin import session as sessions
from inve_client.plugin.document import EditDocument
from inve_client.plugin.editing import EditSync
from inve_client.plugin.messages import Connection, ConnectionState, News, RefusedError, ShotNews
from inve_client.plugin.rendering import Rendering
from inve_nuke import node as nodes
from inve_nuke.painting import COPY, owner_of
from inve_nuke.panel.log import Log
from inve_nuke.panel.model import PanelModel
from inve_nuke.results import Result, Results
from inve_nuke.statuses import Statuses

if TYPE_CHECKING:
    from inve_client.plugin.rendering import Run
    from inve_nuke.host import NukeHost
    from inve_nuke.host_types import HostNode
    from inve_nuke.node import InveNode
    from inve_nuke.panel.view import Entry
    from inve_nuke.pumping import Pump


class Shots:
    """All INVE nodes of one Nuke; made once, outlives scripts.

    Attributes:
        host: Nuke.
        session: what is known of the daemon.
        edits: the shots' edits.
        rendering: the frames that are awaited.
        results: what the nodes show.
        log: the line that matters.
        endpoint: as it was typed; of the daemon that is or was connected.
        current: the key of the node that the panel shows; "" for none.
        revision: grows with every change that the panel shows.
    """

    def __init__(self, host: NukeHost) -> None:
        self.host = host
        self.session = sessions.start("inve_nuke")
        self.log = Log(self.session)
        self.edits = EditSync(self.session, changed=self._changed, confirmed=self._confirmed)
        self.results = Results(self.session, self._show)
        self.rendering = Rendering(self.session, self.results.show)
        self.panel = PanelModel(self.session, self, self.log)
        self.statuses = Statuses(self)
        self.endpoint = ""
        self.current = ""
        self.revision = 0
        self.pump: Pump | None = None
        self._nodes: dict[str, InveNode] = {}
        self._is_stale = True
        self._layers: dict[str, str] = {}
        self._forget_events = [
            # Looked at with the next pump: what is deleted still is there while that is told.
            host.listen("node created", self._changed_script, "Group"),
            host.listen("node deleted", self._changed_script, "Group"),
            host.listen("script opened", self._changed_script),
            host.listen("knob changed", self._changed_knob, "Group"),
            host.listen("script saved", lambda _, __: self.store()),
            host.listen("script closed", lambda _, __: self.close_script()),
        ]
        self.session.listeners.append(self._take_in)
        self.session.tickers.append(self.look)

    def end(self) -> None:
        """Let go of Nuke and of the daemon, which goes on."""
        for forget in self._forget_events:
            forget()
        if self.pump is not None:
            self.pump.stop()
        self.rendering.close()
        self.edits.close()
        self.log.close()

    # The nodes

    @property
    def nodes(self) -> list[InveNode]:
        """All that are known."""
        return list(self._nodes.values())

    def of(self, host_node: HostNode) -> InveNode:
        """An INVE node, which is known from now on.

        Raises:
            RefusedError: it is no INVE node.
        """
        self.scan()
        name = self.host.name(host_node)
        known = next((node for node in self.nodes if node.name == name), None)
        # In a group it is not found by itself.
        return known if known is not None else self._adopt(nodes.InveNode(self.host, host_node))

    def insert(self) -> InveNode:
        """Insert an INVE node beneath the selection, known from now on."""
        return self._adopt(nodes.insert(self.host))

    def scan(self) -> None:
        """Know what is in the script by now."""
        for key, node in list(self._nodes.items()):
            if not node.is_alive:
                self._forget(key)
        names = {node.name for node in self.nodes}
        for node in nodes.all_of(self.host):
            if node.name not in names:
                self._adopt(node)
        self._is_stale = False
        if self.statuses.look():
            self.revision += 1

    def close_script(self) -> None:
        """The script is being closed: its nodes go, what the daemon is at goes on."""
        for key in list(self._nodes):
            self._forget(key)
        self.results.clear()
        self.edits.documents.clear()
        self.current = ""
        self._is_stale = True

    def store(self) -> None:
        """Write the edits into their nodes, where the script is about to be saved."""
        with self.host.unrecorded():
            for node in self.nodes:
                document = self.edits.documents.get(node.settings().shot)
                if document is not None:
                    node.document = document.to_json()
                node.rest()
        self.results.saved()

    def _adopt(self, node: InveNode) -> InveNode:
        with self.host.unrecorded():
            if not node.key:
                node.key = uuid.uuid4().hex[:12]
            elif node.key in self._nodes:
                node.key = f"{owner_of(node.key)}{COPY}{uuid.uuid4().hex[:6]}"
        self._nodes[node.key] = node
        self.current = self.current or node.key
        try:
            if node.result:
                self.results.adopt(node.key, Result.from_map(node.result))
            self._open(node)
        except RefusedError as refusal:
            self.session.fail(refusal.problem)
        self.revision += 1
        return node

    def _forget(self, key: str) -> None:
        del self._nodes[key]
        self.results.forget(key)
        self.rendering.forget(key)
        if self.current == key:
            self.current = next(iter(self._nodes), "")
        self.revision += 1

    def _changed_script(self, _: HostNode, __: str) -> None:
        self._is_stale = True

    def _changed_knob(self, host_node: HostNode, knob: str) -> None:
        """The artist has chosen a layer to be shown."""
        if knob != "inve_layer" or not nodes.is_inve(self.host, host_node):
            return
        node = self.of(host_node)
        layer = str(self.host.value(host_node, knob))
        # What is set there is told here again.
        if layer != self._layers.get(node.key):
            self._layers[node.key] = layer
            node.show_layer(layer)

    # The edits

    def document_of(self, node: InveNode) -> EditDocument:
        """The edits of a node's shot, in step with the daemon from now on.

        Raises:
            RefusedError: the node has no shot yet, or its stored edits cannot be read.
        """
        document = self._open(node)
        if document is None:
            raise RefusedError(f"{node.name} must be prepared before it has edits; press Prepare.")
        return document

    def _open(self, node: InveNode) -> EditDocument | None:
        shot = node.settings().shot
        if not shot:
            return None
        known = self.edits.documents.get(shot)
        if known is not None:
            return known
        stored = EditDocument.from_json(node.document) if node.document else None
        return self.edits.open(stored if stored is not None and stored.shot == shot else EditDocument(shot))

    def _changed(self, _: str) -> None:
        self.revision += 1

    def _confirmed(self, shot: str) -> None:
        """A shot has other edits than before: its nodes' frames are to show them."""
        document = self.edits.documents.get(shot)
        for node in self.nodes:
            if document is None or node.settings().shot != shot:
                continue
            shown = self.results.of(node.key)
            has_edits = any(layer["edits"] for layer in document.layers)
            if has_edits if shown is None else shown.revision != document.revision:
                self.request_frames(node, document.revision)

    # The frames

    def request_frames(self, node: InveNode, revision: int | None = None) -> Run:
        """Have a node's frames rendered, the current one first; never waits.

        Args:
            node: whose.
            revision: of the edits, where it is known.
        """
        settings = node.settings()
        first, last = settings.first, settings.last
        known = self.session.shots.get(settings.shot)
        if known is not None:
            first, last = max(first, known.first_frame), min(last, known.last_frame)
        if first > last:
            shot_has = "none" if known is None else f"{known.first_frame}-{known.last_frame}"
            raise RefusedError(
                f"{node.name} must have frames of its shot ({shot_has}), got {settings.first}-"
                f"{settings.last}; correct the range."
            )
        current = min(max(self.host.frame, first), last)
        folder = f"{node.cache_folder}/{node.key}"
        return self.rendering.request(
            node.key,
            settings.shot,
            folder,
            range(first, last + 1),
            current,
            revision,
            layers=settings.with_layers,
        )

    def _show(self, key: str, result: Result, frames: frozenset[int]) -> None:
        node = self._nodes.get(key)
        if node is None or not node.is_alive:
            return
        with self.host.unrecorded():
            is_new = node.result.get("version") != result.version
            node.show_result(result.pattern, result.first, result.last, frames)
            node.result = result.to_map()
            if is_new and node.settings().with_layers:
                self._layers[key] = ""
                node.refresh_layers()
        run = self.rendering.runs.get(key)
        if run is not None and run.superseded:
            self.rendering.remove_files(sorted(run.superseded))
            run.superseded.clear()
        self.revision += 1

    # What the panel asks

    @property
    def runs(self) -> dict[str, Run]:
        """The frames that are awaited, by node."""
        return self.rendering.runs

    def entries(self) -> Sequence[Entry]:
        """All nodes as the panel lists them."""
        return self.statuses.entries

    def document(self, key: str) -> EditDocument | None:
        """A node's edits, where they are in memory."""
        entry = next((one for one in self.statuses.entries if one.key == key), None)
        return None if entry is None else self.edits.documents.get(entry.shot)

    def choose(self, key: str) -> None:
        """Show another node's layers."""
        self.current = key
        self.revision += 1

    def connect(self, key: str) -> None:
        """Connect to a node's daemon, "" being the default one."""
        node = self._nodes.get(key)
        self.endpoint = node.settings().endpoint if node is not None else ""
        self.session.connect(self.endpoint)
        self.hurry()

    def change(self, key: str, step: Callable[[EditDocument], Any]) -> None:
        """Do a step on a node's edits, and send it.

        Raises:
            RefusedError: there is no such node, or the step cannot be done.
        """
        node = self._nodes.get(key)
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
        return self.rendering.cancel(key)

    # Time

    @property
    def is_busy(self) -> bool:
        """Whether anything is awaited."""
        session = self.session
        return bool(session.waiting or session.has_work or session.opening) or self.rendering.is_busy

    def hurry(self) -> None:
        """Something was asked: have it pumped soon."""
        if self.pump is not None:
            self.pump.hurry()

    def look(self) -> bool:
        """Look at the script where it has changed, at its knobs now and then; the session's pump calls it."""
        if self._is_stale:
            self.scan()
            return True
        if any(not node.is_alive for node in self.nodes):
            self.scan()
        if self.statuses.look_now_and_then():
            self.revision += 1
            return True
        return False

    def _follow_frame(self) -> None:
        """While frames are awaited, the one that the artist looks at by now comes first."""
        frame = self.host.frame
        for key, run in list(self.rendering.runs.items()):
            if run.queue and frame in run.frames and frame != run.current:
                total = run.total
                self.rendering.request(
                    key, run.shot, run.folder, run.frames, frame, run.revision, layers=run.layers
                )
                run.total = max(total, run.left)

    def _take_in(self, news: News) -> None:
        is_new = isinstance(news, ShotNews) and news.change in ("opened", "model")
        if is_new or (isinstance(news, Connection) and news.state is ConnectionState.CONNECTED):
            # What the daemon has of the nodes' shots, it tells now.
            for node in self.nodes:
                try:
                    self._open(node)
                except RefusedError as refusal:
                    self.session.fail(refusal.problem)


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
