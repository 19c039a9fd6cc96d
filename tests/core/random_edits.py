"""Random lines, adjustments and edit layers with everything that the edit model knows of them."""

from typing import Any

import numpy as np

from inve_core.edits import Adjustment, ColorDecision, EditLayer, EditStack, Stroke
from inve_core.rendering.edit_rows import BLENDS

FRAMES = range(1001, 1009)


def random_line(rng: np.random.Generator, width: int, height: int) -> dict[str, Any]:
    """The fields of a line or outline somewhere on a picture, or on the background's atlas."""
    count = int(rng.integers(1, 8))
    points = rng.random(2) * (width, height) + np.cumsum(rng.normal(0, 12, (count, 2)), 0)
    closed = count > 2 and rng.random() < 0.3
    if count > 2 and rng.random() < 0.2:
        points[1] = points[0]
    line: dict[str, Any] = {
        "frame": int(rng.choice(FRAMES)),
        "width": float(rng.uniform(0.4, 14)),
        "hardness": float(rng.choice([1.0, 0.7, 0.0])),
        "closed": closed,
        "smooth": bool(rng.random() < 0.5),
        "video_layer": str(rng.choice(["auto", "foreground", "background"])),
    }
    if rng.random() < 0.25:
        # About where the picture lies in the background's box.
        points = points / max(width, height) * 0.8 + 0.1
        line |= {"space": "atlas", "video_layer": "background", "width": line["width"] / max(width, height)}
    line["points"] = tuple((float(x), float(y)) for x, y in points)
    if not closed and rng.random() < 0.5:
        line["point_widths"] = tuple(rng.choice([0.0, 0.3, 1.0, 2.0], count).tolist())
    if not closed and rng.random() < 0.5:
        line["point_opacities"] = tuple(rng.random(count).tolist())
    return line


def random_stroke(rng: np.random.Generator, width: int, height: int) -> Stroke:
    """A stroke in any blend mode."""
    red, green, blue = rng.choice([-0.2, 0.0, 0.4, 1.0, 3.0], 3).tolist()
    colour = (red, green, blue, float(rng.uniform(0.2, 1)))
    return Stroke(**random_line(rng, width, height), color=colour, blend=BLENDS[int(rng.integers(5))])


def random_adjustment(rng: np.random.Generator, width: int, height: int) -> Adjustment:
    """An adjustment, about half of them linear, others of any curve."""
    grade: dict[str, Any] = {
        "hue": float(rng.uniform(-90, 90)),
        "saturation": float(rng.uniform(0, 1.5)),
        "brightness": float(rng.uniform(-0.1, 0.2)),
        "exposure": float(rng.uniform(-1, 1)),
        "opacity": float(rng.uniform(0.2, 1)),
    }
    if rng.random() < 0.4:
        grade |= {"contrast": float(rng.uniform(0.6, 1.6)), "gamma": float(rng.uniform(0.6, 1.6))}
    if rng.random() < 0.4:
        grade["cdl"] = ColorDecision(
            slope=tuple(rng.uniform(0.7, 1.4, 3).tolist()),
            offset=tuple(rng.uniform(-0.1, 0.1, 3).tolist()),
            power=tuple(rng.choice([1.0, 0.8, 1.3], 3).tolist()),
            saturation=float(rng.choice([1.0, 0.5, 1.4])),
        )
    return Adjustment(**random_line(rng, width, height), **grade)


def random_stack(seed: int, width: int, height: int, edits_a_layer: int = 8) -> EditStack:
    """Layers of strokes and adjustments in turn, one in each blend mode, some of them not rendered."""
    rng = np.random.default_rng(seed)
    layers = []
    for number, blend in enumerate(("over", "add", "over", "multiply", "screen", "over")):
        grades = number % 3 == 2
        make = random_adjustment if grades else random_stroke
        layers.append(
            EditLayer(
                name=f"layer {number}",
                kind="adjustment" if grades else "sketch",
                edits=tuple(make(rng, width, height) for _ in range(edits_a_layer)),
                blend=blend,
                opacity=float(rng.choice([1.0, 0.6])),
                enabled=number != 3 or seed % 2 == 0,
                solo=seed % 3 == 2 and number % 2 == 0,
                video_layer=str(rng.choice(["auto", "background"])),
            )
        )
    return EditStack(layers=tuple(layers))
