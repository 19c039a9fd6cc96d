"""The edited frames of the INVE nodes: asked for, followed, shown by the Reads inside."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inve_client.plugin.messages import RefusedError
from inve_client.plugin.rendering import Rendering
from inve_nuke.results import Result, Results

if TYPE_CHECKING:
    from collections.abc import Callable

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
        shown: called with a node that has something new to show.

    Attributes:
        rendering: the frames that are awaited.
        results: what the nodes show.
    """

    def __init__(
        self, host: NukeHost, session: Session, nodes: ScriptNodes, shown: Callable[[], None]
    ) -> None:
        self._host, self._session, self._nodes, self._shown = host, session, nodes, shown
        self._layers: dict[str, str] = {}
        self._versions: dict[str, int] = {}
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
        """A shot has other edits than before: the frames of its nodes are to show them."""
        has_edits = any(layer["edits"] for layer in document.layers)
        for node in self._nodes:
            if not node.is_alive or node.settings().shot != document.shot:
                continue
            result = self.results.of(node.key)
            if has_edits if result is None else result.revision != document.revision:
                try:
                    self.request(node, document.revision)
                except RefusedError as refusal:
                    # Nobody has pressed anything.
                    self._session.fail(refusal.problem, document.shot)

    def follow_current_frame(self) -> None:
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
            is_new = self._versions.get(key) != result.version
            self._versions[key] = result.version
            node.show_result(result.pattern, result.first, result.last, frames)
            node.result = result.to_map()
            if is_new and node.settings().with_layers:
                node.refresh_layers()
        run = self.rendering.runs.get(key)
        if run is not None and run.superseded:
            self.rendering.remove_files(sorted(run.superseded))
            run.superseded.clear()
        self._shown()
