"""The pictures that nodes give: their windows, channels and frames, and Writes that render them."""

from __future__ import annotations

from inve_client.plugin.refusals import RefusedError
from inve_nuke.host_types import HostNode, PictureFormat

from .nuke_module import nuke

_CANCELLED = ("cancel", "canceled", "cancelled")


class Pictures:
    """What comes out of nodes."""

    def format(self, node: HostNode) -> PictureFormat:
        """The display window of what a node gives."""
        found = node.format()
        return PictureFormat(found.width(), found.height(), found.pixelAspect(), found.x(), found.y())

    def channels(self, node: HostNode) -> list[str]:
        """The channels of what a node gives, such as "rgba.red" and "forward.u"."""
        return list(node.channels())

    def node_frames(self, node: HostNode) -> tuple[int, int]:
        """The first and last frame of what a node gives."""
        frames = node.frameRange()
        return int(frames.first()), int(frames.last())

    def render(self, write: HostNode, first: int, last: int) -> None:
        """Render a Write's frames with Nuke's own meter; blocks until the last is written.

        Raises:
            RefusedError: `cancelled` where the artist cancelled it, else with what Nuke said.
        """
        try:
            # One view: of a stereo script the first, or each would write over the one before.
            nuke.execute(write, first, last, 1, nuke.views()[:1])
        except (RuntimeError, nuke.CancelledError) as problem:
            # Only the whole message says it: a folder's name may have the word in it.
            if str(problem).strip(" .").lower() in _CANCELLED or isinstance(problem, nuke.CancelledError):
                raise RefusedError(
                    "Rendering was cancelled; press Prepare to go on.", "cancelled"
                ) from problem
            raise RefusedError(
                f"Nuke could not render frames {first}-{last}: {problem}; correct what is above INVE."
            ) from problem
