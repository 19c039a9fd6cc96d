"""What a paint node becomes, held against the daemon's own idea of an edit stack."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from test_roto import SETTINGS, golden

from inve_core.edits import EditError, check_stack, parse_stack
from inve_core.rendering import curves
from inve_nuke.beziers import pieces_of, place_on, spline_segments
from inve_nuke.roto_elements import AttributeNames


@pytest.mark.parametrize("name", ["strokes_hexadecimal", "layers", "refused", "shapes"])
@pytest.mark.parametrize("by_pressure", [[], ["size"], ["opacity"], ["size", "opacity"]])
def test_the_daemon_takes_all_of_it(name: str, by_pressure: list[str]) -> None:
    # Every stroke has a brush size.
    names = AttributeNames(**{f"pressure_{what}": "bs" for what in by_pressure})
    layers: list[dict[str, Any]] = [
        {"name": layer.name, "kind": layer.kind, "edits": list(layer.edits)}
        for layer in golden(name, names=names).layers
    ]
    stack = parse_stack({"version": 2, "layers": layers})
    assert sum(len(layer.edits) for layer in stack.layers) > 0
    check_stack(
        stack,
        width=SETTINGS.picture.width,
        height=SETTINGS.picture.height,
        frames=range(SETTINGS.first, SETTINGS.last + 1),
        video_layers=["foreground", "background"],
    )


def test_the_check_sees_what_does_not_fit() -> None:
    layers = [
        {"name": layer.name, "kind": layer.kind, "edits": list(layer.edits)}
        for layer in golden("shapes").layers
    ]
    stack = parse_stack({"version": 2, "layers": layers})
    with pytest.raises(EditError, match="outside"):
        check_stack(stack, width=100, height=100, frames=range(1001, 1011), video_layers=["background"])


@pytest.mark.parametrize("seed", range(2))
def test_a_splines_pieces_lie_on_the_daemons_spline(seed: int) -> None:
    points = np.random.default_rng(seed).uniform(0, 500, (8, 2))
    fine = curves.resample(points, 0.5, closed=False)
    for segment in spline_segments([tuple(point) for point in points.tolist()]):
        pieces = pieces_of(segment)
        for k in range(2 * pieces + 1):
            before, after = (
                np.array(place_on(segment, min(number, pieces) / pieces)) for number in (k // 2, (k + 1) // 2)
            )
            # Of each straight piece its ends and its middle; the spline has a place every half a pixel.
            assert np.hypot(*(fine - (before + after) / 2).T).min() < 0.3
