"""Points out of Nuke to be followed, and tracks back into it as nodes.

    points = points_of(host, selected_tracker(host), picture, frame=1013)
    ...                                           # TrackPoints is asked, tracks come
    make(host, "Tracker", node, tracks, picture, reference_frame=1013)

A point is picked with a Tracker4 (where its tracks are at a frame), or with the INVE node's own points, which
have handles in the viewer while its panel is open.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Callable

from inve_client.plugin.messages import RefusedError
from inve_client.plugin.points import Point, Track
from inve_nuke import track_values, tracker_script

if TYPE_CHECKING:
    from inve_nuke.geometry import Picture
    from inve_nuke.host import NukeHost
    from inve_nuke.host_types import HostNode
    from inve_nuke.node import InveNode

KINDS = ("Tracker", "CornerPin", "Transform")
"""What tracks can become; the choices of the knob `inve_track_as`."""

POINTS = ("inve_point", "inve_point2", "inve_point3", "inve_point4")
"""The knobs of the node's own points."""

_RIGHT, _DOWN = 110, 60
_MAX_ID = 56


def selected_tracker(host: NukeHost) -> HostNode | None:
    """The selected Tracker4, None where none is.

    Raises:
        RefusedError: several are.
    """
    chosen = host.selected("Tracker4")
    if len(chosen) > 1:
        raise RefusedError(
            f"One Tracker must be selected, got {', '.join(map(host.name, chosen))}; select one of them."
        )
    return chosen[0] if chosen else None


def points_of(host: NukeHost, tracker: HostNode, picture: Picture, frame: int) -> list[Point]:
    """Where a Tracker4's tracks are at a frame, as points to follow, without those that are off there.

    Raises:
        RefusedError: there is none, one is an expression or lies outside the picture; or the proxy is on.
    """
    name = host.name(tracker)
    _check_size(host, name)
    points: list[Point] = []
    taken: set[str] = set()
    for track in tracker_script.read(host.script(tracker, "tracks")):
        try:
            x, y, is_on = track.at(frame)
        except RefusedError as refusal:
            raise RefusedError(f"The track {track.name!r} of {name} {refusal}") from refusal
        if is_on:
            points.append(
                _point(f"The track {track.name!r} of {name}", track.name, x, y, picture, frame, taken)
            )
    if not points:
        raise RefusedError(
            f"{name} must have a track that is on at frame {frame}, got none; add one, or go to its frame."
        )
    return points


def viewer_points(host: NukeHost, node: InveNode, picture: Picture, frame: int) -> list[Point]:
    """The INVE node's own points that the artist has put somewhere in the viewer.

    Raises:
        RefusedError: none was, one lies outside the picture, or the proxy is on.
    """
    _check_size(host, node.name)
    points: list[Point] = []
    taken: set[str] = set()
    for knob in POINTS:
        x, y = (host.number_at(node.host_node, knob, frame, index) for index in (0, 1))
        # Where it is until somebody moves it.
        if (x, y) != (0, 0):
            name = knob.replace("inve_", "")
            points.append(_point(f"The {name} of {node.name}", name, x, y, picture, frame, taken))
    if not points:
        raise RefusedError(
            f"{node.name} must have a point to follow, got none; select a Tracker4, or move the node's "
            "points in the viewer (tab Track)."
        )
    return points


def make(
    host: NukeHost,
    kind: str,
    beside: HostNode,
    tracks: Sequence[Track],
    picture: Picture,
    reference_frame: int,
) -> HostNode:
    """Make a node of tracks, as one undo step; it stands to the right of another, connected to nothing.

    Args:
        kind: of `KINDS`.
        beside: in whose group it is made.
        tracks: what the daemon answered.
        picture: of the plate.
        reference_frame: where a Transform does nothing.

    Raises:
        RefusedError: the tracks are too few or too many for the kind, or have not that frame.
    """
    makers: dict[str, tuple[str, Callable[[], dict[str, str]]]] = {
        "Tracker": ("Tracker4", lambda: {"tracks": tracker_script.append("", tracks, picture)}),
        "CornerPin": ("CornerPin2D", lambda: _corner_pin(tracks, picture)),
        "Transform": ("Transform", lambda: _transform(tracks, picture, reference_frame)),
    }
    if kind not in makers:
        raise RefusedError(f"Tracks become {', '.join(KINDS)}, got {kind!r}; choose one of them.")
    class_name, scripts = makers[kind]
    # Before anything is made: what cannot be made leaves nothing behind.
    texts = scripts()
    with host.undo(f"INVE: {kind} of {len(tracks)} points"):
        made = host.create(class_name, beside=beside)
        for knob, text in texts.items():
            host.set_script(made, knob, text)
        host.set_value(made, "label", f"INVE, from frame {reference_frame}")
        host.place(made, beside, _RIGHT, _DOWN)
    return made


def _corner_pin(tracks: Sequence[Track], picture: Picture) -> dict[str, str]:
    pins = track_values.corner_pin(tracks, picture)
    return {name: f"{x.text} {y.text}" for name, (x, y) in pins.items()}


def _transform(tracks: Sequence[Track], picture: Picture, reference_frame: int) -> dict[str, str]:
    keys = track_values.transform(tracks, picture, reference_frame)
    x, y = keys.translate
    texts = {
        "translate": f"{x.text} {y.text}",
        "center": f"{keys.center[0]:.10g} {keys.center[1]:.10g}",
    }
    if keys.rotate is not None:
        texts["rotate"] = keys.rotate.text
    if keys.scale is not None:
        texts["scale"] = f"{keys.scale.text} {keys.scale.text}"
    return texts


def _point(what: str, name: str, x: float, y: float, picture: Picture, frame: int, taken: set[str]) -> Point:
    if not (0 <= x <= picture.width and 0 <= y <= picture.height):
        raise RefusedError(
            f"{what} must lie in the {picture.width}x{picture.height} picture at frame {frame}, got "
            f"({x:g}, {y:g}); move it, or switch it off."
        )
    # An id on the wire has neither spaces nor umlauts.
    stem = re.sub(r"[^A-Za-z0-9._:-]+", "_", name)[:_MAX_ID] or "track"
    id_ = next(one for one in (stem, *(f"{stem}_{n}" for n in range(2, len(taken) + 3))) if one not in taken)
    taken.add(id_)
    return Point(id_, frame, *picture.to_wire(x, y))


def _check_size(host: NukeHost, name: str) -> None:
    if host.proxy_is_on:
        raise RefusedError(
            f"{name} has its points at proxy size; switch the proxy off (Ctrl+P) and track again."
        )
