"""A stroke's points as lines of ours: cut to the picture, with what the pen's pressure does. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from inve_client.plugin.messages import RefusedError
from inve_client.plugin.polyline import Vertex, clip_line

from .beziers import pieces_of, place_on, spline_segments
from .geometry import Picture

EDGE_PX = 0.001
"""How much nearer than the daemon allows a line is cut, so that no rounding leads it out."""


class OutsidePicture(RefusedError):
    """A stroke that never is in the picture; the message is the end of a sentence."""


def picture_lines(
    rows: Sequence[Sequence[float]], width: float, by_pressure: Collection[str], picture: Picture
) -> list[dict[str, Any]]:
    """The fields of the strokes of ours that one of Nuke's becomes: one for each time it is in the picture.

    Nuke's strokes are curves through their points, as ours can be; a curve that is cut goes on in straight
    pieces.

    Args:
        rows: x, y in Nuke and pressure of each point; a pressure of 0 is left out.
        width: in pixels.
        by_pressure: the fields that follow the pressure, of "point_widths" and "point_opacities".

    Raises:
        OutsidePicture: there is none.
    """
    places = picture.all_to_wire(rows)
    box = picture.with_margin(width / 2 - EDGE_PX)
    if all(box[0] <= x <= box[2] and box[1] <= y <= box[3] for x, y in places):
        pressures = [_pressure_of(row) for row in rows] if by_pressure else []
        return [{**_line(places, pressures, by_pressure), **({"smooth": True} if len(places) > 2 else {})}]
    vertices = [(x, y, _pressure_of(row)) for (x, y), row in zip(places, rows)]
    runs = clip_line(_straightened(vertices), box)
    if not runs:
        raise OutsidePicture("lies outside of the picture; move it in, or delete it")
    return [
        _line([[x, y] for x, y, _ in run], [pressure for _, _, pressure in run], by_pressure) for run in runs
    ]


def _pressure_of(row: Sequence[float]) -> float:
    """A point's pressure, which Nuke leaves out where it is 0."""
    return min(max(row[2], 0.0), 1.0) if len(row) > 2 else 0.0


def _line(places: list[list[float]], pressures: list[float], by_pressure: Collection[str]) -> dict[str, Any]:
    """The fields of a line of ours."""
    follows = any(pressure != 1 for pressure in pressures)
    return {"points": places, **(dict.fromkeys(by_pressure, pressures) if follows else {})}


def _straightened(vertices: Sequence[Vertex]) -> list[Vertex]:
    """A curve through places with a pressure, in straight pieces; pressure is linear between the places."""
    apart = [
        vertices[0],
        *(after for before, after in zip(vertices, vertices[1:]) if before[:2] != after[:2]),
    ]
    made: list[Vertex] = []
    for segment, before, after in zip(spline_segments([vertex[:2] for vertex in apart]), apart, apart[1:]):
        pieces = pieces_of(segment)
        for k in range(pieces):
            x, y = place_on(segment, k / pieces)
            made.append((x, y, before[2] + (after[2] - before[2]) * k / pieces))
    return [*made, apart[-1]]
