"""Where the demo paints, and what it paints there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from inve_core.edits import Stroke, Texture, check_stack, parse_stack
from inve_core.media import read_texture
from inve_core.synthetic import SyntheticClip, make_clip
from inve_daemon.demo.pictures import contact_sheet, grey
from inve_daemon.demo.placement import Placement, place
from inve_daemon.demo.stack import EDIT_LAYERS, SUBJECT_PAINT, draw_logo, make_stack, stroke_of

WIDTH, HEIGHT = 200, 120
FRAMES = (10, 11, 12, 13, 14)
Matte = Callable[[int], "np.ndarray | None"]


def moving_disc(frame: int) -> np.ndarray:
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    return (np.hypot(x - (50 + 25 * (frame - 10)), y - 60) <= 30).astype(np.float32)


def only_on_the_first(frame: int) -> np.ndarray:
    return moving_disc(11) if frame == 10 else np.zeros((HEIGHT, WIDTH), np.float32)


def nothing(frame: int) -> None:
    return None


def everywhere(frame: int) -> np.ndarray:
    return np.ones((HEIGHT, WIDTH), np.float32)


@pytest.mark.parametrize("matte", [moving_disc, only_on_the_first, nothing, everywhere])
def test_the_stack_fits_the_shot(matte: Matte) -> None:
    placement = place(FRAMES, WIDTH, HEIGHT, matte)
    has_object = matte is not nothing
    stack = parse_stack(make_stack(placement, Path("/logo.png"), WIDTH, HEIGHT, has_object=has_object))
    layers = ("foreground", "background") if has_object else ("background",)
    check_stack(stack, width=WIDTH, height=HEIGHT, frames=FRAMES, video_layers=layers)
    assert tuple(layer.name for layer in stack.layers) == EDIT_LAYERS
    assert {layer.kind for layer in stack.layers} == {"sketch", "texture", "adjustment"}
    tracking = [edit.tracking for layer in stack.layers for edit in layer.edits if isinstance(edit, Texture)]
    assert tracking == ["surface", "point"]


@pytest.fixture
def on_the_disc() -> Placement:
    return place(FRAMES, WIDTH, HEIGHT, moving_disc)


def test_paint_on_the_object_crosses_it(on_the_disc: Placement) -> None:
    assert on_the_disc.frame == 12
    stroke = on_the_disc.subject_stroke
    from_centre = np.hypot(stroke[:, 0] - 100, stroke[:, 1] - 60)
    assert from_centre[0] > 29
    assert from_centre[-1] > 29
    assert from_centre[4:-4].max() < 30


def test_logos_lie_on_the_object_beside_the_paint(on_the_disc: Placement) -> None:
    for spot in (on_the_disc.large_logo, on_the_disc.small_logo):
        assert np.hypot(spot.x - 100, spot.y - 60) + spot.radius < 31.5
        to_stroke = np.hypot(*(on_the_disc.subject_stroke - (spot.x, spot.y)).T)
        assert to_stroke.min() > spot.radius
    apart = np.hypot(
        on_the_disc.large_logo.x - on_the_disc.small_logo.x,
        on_the_disc.large_logo.y - on_the_disc.small_logo.y,
    )
    assert apart > on_the_disc.large_logo.radius


def test_paint_on_the_ground_is_where_the_object_passes(on_the_disc: Placement) -> None:
    inside_now = moving_disc(12)[tuple(on_the_disc.ground_stroke.astype(int).T[::-1])]
    assert not inside_now.any()
    passed = [
        moving_disc(frame)[tuple(on_the_disc.ground_stroke.astype(int).T[::-1])].any() for frame in FRAMES
    ]
    assert any(passed)


def test_a_frame_with_the_object_is_chosen() -> None:
    assert place(FRAMES, WIDTH, HEIGHT, only_on_the_first).frame == 10
    assert place(FRAMES, WIDTH, HEIGHT, nothing).frame == 12


def test_the_synthetic_clips_ground_paint_is_hidden_on_some_frame() -> None:
    clip: SyntheticClip = make_clip(12, 160, 96)
    frames = range(1001, 1013)
    placement = place(frames, 160, 96, lambda frame: clip.mattes[frame - 1001])
    start = placement.frame - 1001
    assert clip.visible("background", start, placement.ground_stroke).all()
    hidden = [
        (~clip.visible("background", i, clip.position("background", start, placement.ground_stroke, i))).any()
        for i in range(12)
    ]
    assert any(hidden)


def test_strokes_are_given_back(on_the_disc: Placement) -> None:
    stack = make_stack(on_the_disc, Path("/logo.png"), WIDTH, HEIGHT, has_object=True)
    points, width = stroke_of(stack, SUBJECT_PAINT)
    parsed = next(layer for layer in parse_stack(stack).layers if layer.name == SUBJECT_PAINT).edits[0]
    assert isinstance(parsed, Stroke)
    assert parsed.width == width
    np.testing.assert_allclose(points, parsed.points)


def test_the_logo_is_clear_around_and_bright_at_its_edge(tmp_path: Path) -> None:
    draw_logo(tmp_path / "logo.png")
    stored = cv2.imread(str(tmp_path / "logo.png"), cv2.IMREAD_UNCHANGED)
    assert stored.shape == (256, 256, 4)
    assert stored[0, 0, 3] == 0
    half = (stored[..., 3] > 60) & (stored[..., 3] < 200)
    assert half.any()
    assert stored[half][:, :3].min() > 240  # white under its soft edge, not darkened
    assert read_texture(tmp_path / "logo.png")[128, 128, 3] == 1.0


def test_the_contact_sheet_holds_every_picture() -> None:
    red = np.zeros((20, 40, 3), np.uint8)
    red[..., 0] = 255
    green = red[..., [1, 0, 2]].copy()
    blue = red[..., [1, 2, 0]].copy()
    sheet = contact_sheet(
        "a title",
        ("one", "two"),
        {"source": [red, red]},
        ("atlas", {"foreground": green, "background": blue}),
        {"opacity": [grey(np.ones((20, 40)))] * 2},
    )
    share = {
        name: float((sheet == colour).all(-1).mean())
        for name, colour in {"red": red[0, 0], "green": green[0, 0], "blue": blue[0, 0]}.items()
    }
    assert share["red"] == pytest.approx(2 * share["green"], rel=0.05)
    assert share["green"] == pytest.approx(share["blue"], rel=0.01)
    assert share["green"] > 0.05
