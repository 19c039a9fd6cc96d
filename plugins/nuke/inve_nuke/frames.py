"""The edited frames of the INVE nodes: asked for, followed, shown by the Reads inside."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from inve_client.plugin.messages import RefusedError
from inve_client.plugin.rendering import Rendering
from inve_nuke.result_versions import Result
from inve_nuke.results import Results

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from inve_client.plugin.document import EditDocument
    from inve_client.plugin.rendering import Run
    from inve_client.plugin.session import Session
    from inve_nuke.host import NukeHost
    from inve_nuke.node import InveNode
    from inve_nuke.script_nodes import ScriptNodes


class NodeFrames:
    """What the nodes show and what is on its way to them, by the nodes' keys.

    Args:
        host: Nuke.
        session: over which frames are asked for, and whose thread puts them into their place.
        nodes: of the script.
        is_of_daemon: whether a node's daemon is the one of the session.
        shown: called with a node that has something new to show.

    Attributes:
        rendering: the frames that are awaited.
        results: what the nodes show.
    """

    def __init__(
        self,
        host: NukeHost,
        session: Session,
        nodes: ScriptNodes,
        is_of_daemon: Callable[[InveNode], bool],
        shown: Callable[[], None],
    ) -> None:
        self._is_of_daemon = is_of_daemon
        self._host, self._session, self._nodes, self._shown = host, session, nodes, shown
        self._layers: dict[str, str] = {}
        self._versions: dict[str, tuple[int, bool]] = {}
        self._unlearned: set[str] = set()
        self.results = Results(session, self._show)
        self.rendering = Rendering(session, self.results.show)

    def request(self, node: InveNode, revision: int | None = None) -> Run:
        """Have a node's frames rendered, the current one first; never waits.

        Args:
            node: whose.
            revision: of the edits, where it is known.

        Raises:
            RefusedError: the node has none of its shot's frames.
        """
        settings = node.settings()
        first, last = settings.first, settings.last
        known = self._session.shots.get(settings.shot)
        if known is not None:
            first, last = max(first, known.first_frame), min(last, known.last_frame)
        if first > last:
            shot_has = "none" if known is None else f"{known.first_frame}-{known.last_frame}"
            raise RefusedError(
                f"{node.name} must have frames of its shot ({shot_has}), got {settings.first}-"
                f"{settings.last}; correct the range."
            )
        current = min(max(self._host.frame, first), last)
        folder = f"{node.cache_folder}/{node.key}"
        frames = range(first, last + 1)
        return self.rendering.request(
            node.key, settings.shot, folder, frames, current, revision, layers=settings.with_layers
        )

    def update(self, document: EditDocument) -> None:
        """A shot has other edits than before: the frames of its nodes are to show them once it is learned."""
        known = self._session.shots.get(document.shot)
        if known is None or not known.trained:
            self._unlearned.add(document.shot)
            return
        self._unlearned.discard(document.shot)
        has_edits = any(layer["edits"] for layer in document.layers)
        for node in self._nodes:
            if not self._is_of_daemon(node) or node.settings().shot != document.shot:
                continue
            result = self.results.of(node.key)
            if result is not None and result.shot != document.shot:
                result = None
            if has_edits if result is None else result.revision != document.revision:
                try:
                    self.request(node, document.revision)
                except RefusedError as refusal:
                    # Nobody has pressed anything.
                    self._session.fail(refusal.problem, document.shot)

    def look(self, documents: Mapping[str, EditDocument]) -> None:
        """Go on with shots that have been learned meanwhile, and with the frame that is looked at."""
        for shot in self._unlearned & documents.keys():
            self.update(documents[shot])
        self._follow_current_frame()

    def _follow_current_frame(self) -> None:
        """While frames are awaited, the one that the artist looks at by now comes first."""
        frame = self._host.frame
        for key, run in list(self.rendering.runs.items()):
            if run.queue and frame in run.frames and frame != run.current:
                total = run.total
                self.rendering.request(
                    key, run.shot, run.folder, run.frames, frame, run.revision, layers=run.layers
                )
                run.total = max(total, run.left)

    def is_shown(self, key: str, run: Run) -> bool:
        """Whether all frames of a run are where the node's Read finds them."""
        return run.is_complete and not run.unshown and not self.results.is_busy(key)

    def choose_layer(self, node: InveNode, layer: str) -> None:
        """Show a layer of the result, which the artist has chosen."""
        # What is set in the node is told as if somebody had chosen it once more.
        if self._layers.get(node.key) != layer:
            self._layers[node.key] = layer
            node.show_layer(layer)

    def forget(self, key: str) -> None:
        """Let go of a node."""
        self.results.forget(key)
        self.rendering.forget(key)
        self._layers.pop(key, None)
        self._versions.pop(key, None)

    def close(self) -> None:
        """Let go of the session."""
        self.rendering.close()
        self.results.clear()

    def _show(self, key: str, result: Result, frames: frozenset[int]) -> None:
        node = self._nodes.get(key)
        if node is None:
            return
        with self._host.unrecorded():
            node.show_result(result.pattern, result.first, result.last, frames)
            node.result = result.to_map()
            shown = result.version, node.settings().with_layers
            # Files that came before the artist wanted layers have none.
            if self._versions.get(key) != shown and (not shown[1] or node.refresh_layers()):
                self._versions[key] = shown
        run = self.rendering.runs.get(key)
        if run is not None and run.superseded:
            # A name says what is in the file, and the same may come twice.
            still = {os.path.join(file.folder, file.name) for file in run.files.values()}
            self.rendering.remove_files(sorted(run.superseded - still))
            run.superseded.clear()
        self._shown()
