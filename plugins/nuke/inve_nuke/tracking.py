"""*Track selected*: points of the selected Tracker, or the node's own ones, followed through the shot."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inve_client.plugin.messages import RefusedError
from inve_client.plugin.points import TrackPoints
from inve_nuke import geometry, painting, track_nodes

if TYPE_CHECKING:
    from collections.abc import Callable

    from inve_client.plugin.points import Track
    from inve_nuke.node import InveNode
    from inve_nuke.shots import Shots


def follow(live: Shots, node: InveNode, shot: str) -> Callable[[], bool]:
    """Have points followed; a node is made of their tracks when these come, in one undo step. Never waits.

    Returns:
        Whether that was done, to be asked.

    Raises:
        RefusedError: there is no point on the current frame, the Tracker has another format than the plate,
            or the connection is closed.
    """
    host, frame = live.host, live.host.frame
    picture = painting.picture_of(host, node.plate)
    tracker = track_nodes.selected_tracker(host)
    if tracker is not None:
        # One that is connected to nothing, as ours are at first, has no picture but the script's format.
        if host.input(tracker, 0) is not None:
            geometry.check_same(host.name(tracker), painting.picture_of(host, tracker), picture)
        points = track_nodes.points_of(host, tracker, picture, frame)
    else:
        points = track_nodes.viewer_points(host, node, picture, frame)
    kind = node.settings().track_as
    came: list[bool] = []

    def done(tracks: tuple[Track, ...]) -> None:
        came.append(True)
        if not node.is_alive:
            return
        try:
            made = track_nodes.make(host, kind, node.host_node, tracks, picture, frame)
        except RefusedError as refusal:
            live.session.fail(refusal.problem, shot)
        else:
            live.log.say(f"{host.name(made)} has {len(tracks)} tracks from frame {frame}.")

    live.session.ask(TrackPoints(shot, tuple(points)), done)
    return lambda: bool(came)
