"""The tracked points of a strip: read from the .blend and written there. `points.py` has what they are."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING

import bpy

from . import documents
from .properties import shot_of

if TYPE_CHECKING:
    from inve_client.plugin.points import Track

_KEPT_TEXTS = 32


def of(strip: bpy.types.bpy_struct) -> tuple[Track, ...]:
    """The tracks of a strip; while they stay as they are, the very same values each time.

    Raises:
        RefusedError: what is saved cannot be read.
    """
    text = shot_of(strip).tracks
    return _parsed(text) if text else ()


def change(shot: str, step: Callable[[tuple[Track, ...]], tuple[Track, ...]]) -> None:
    """Give all strips of a shot other tracks.

    Args:
        shot: its name.
        step: the tracks that a strip has -> those that it gets.
    """
    from inve_client.plugin.points import to_json

    for _, strip in documents.strips_of(shot):
        group = shot_of(strip)
        tracks = step(of(strip))
        group.tracks = to_json(tracks) if tracks else ""
        group.active_track = min(max(group.active_track, 0), max(0, len(tracks) - 1))


def free_id(strip: bpy.types.bpy_struct) -> str:
    """An id that no track of the strip has."""
    taken = {track.point.id for track in of(strip)}
    number = 1
    while f"point{number}" in taken:
        number += 1
    return f"point{number}"


@lru_cache(maxsize=_KEPT_TEXTS)
def _parsed(text: str) -> tuple[Track, ...]:
    from inve_client.plugin.points import from_json

    return from_json(text)
