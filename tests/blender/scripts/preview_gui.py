"""In Blender's window, by simulated events: connect, prepare, paint, undo, escape, adjust, place, track."""

import dataclasses
import math
import os
import sys
import time

import bpy

# Blender does not look for modules beside the script that it runs.
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from window import (
    FACTS,
    TOLD,
    Editor,
    add_plate,
    all_strips,
    connect,
    edits,
    run,
    settled,
    state,
    strip,
    until,
)

from inve_blender import overlay, trackpoints
from inve_blender.operators import tool


def steps():
    global editor
    editor = Editor()
    one = add_plate(TOLD["clip"])
    scene = bpy.context.scene
    scene.frame_set(2)
    yield from (None for _ in range(10))
    with editor.override():
        bpy.ops.sequencer.view_all_preview()
    yield
    yield from connect()
    bpy.ops.inve.prepare()
    shot = one.inve.shot
    yield from until(lambda: shot in state().shots and state().shots[shot].trained)
    settings = scene.inve

    # A stroke; half of it is looked at while it is drawn.
    settings.brush_size = 14
    settings.use_smoothing = False
    with editor.override():
        assert bpy.ops.inve.paint("INVOKE_DEFAULT") == {"RUNNING_MODAL"}
    yield
    wave = [(60 + 4 * n, 120 + 40 * math.sin(n / 8)) for n in range(80)]
    drawn = editor.stroke(wave)
    for _ in range(60):
        next(drawn)
    yield from editor.picture("drawing")
    yield from drawn
    yield from settled()
    FACTS["stroke"] = edits("Paint")
    FACTS["wave"] = [wave[0], wave[-1]]
    # The line stays until the picture has it, and not longer.
    FACTS["fresh"] = [len(overlay.state.fresh)]
    yield from until(lambda: not overlay.state.fresh)
    FACTS["fresh"].append(len(overlay.state.fresh))
    FACTS["result"] = [strip.channel for strip in all_strips() if strip.inve.is_result]
    yield from editor.picture("painted")

    # One that is escaped from, one that is undone.
    escaped = editor.stroke([(60, 200), (90, 200), (120, 200)])
    for _ in range(4):
        next(escaped)
        yield
    yield from editor.key("ESC", editor.at(120, 200))
    editor.event("LEFTMOUSE", "RELEASE", editor.at(120, 200))
    yield
    FACTS["after_escape"] = len(edits("Paint"))
    yield from editor.stroke([(60, 220), (90, 220), (200, 230)])
    yield from settled()
    FACTS["after_second"] = len(edits("Paint"))
    yield from editor.key("Z", editor.at(200, 230), ctrl=True)
    yield from settled()
    FACTS["after_undo"] = len(edits("Paint"))

    # A long one: what a redraw costs at its beginning and at its end.
    FACTS["draw_s"] = yield from long_stroke()
    yield from settled()
    yield from editor.key("Z", editor.at(200, 230), ctrl=True)
    yield from settled()
    yield from editor.key("ESC", editor.at(200, 230))

    # A region.
    settings.hue, settings.brush_size = 60.0, 6.0
    with editor.override():
        bpy.ops.inve.adjust_region("INVOKE_DEFAULT")
    yield
    ring = [
        (320 + 60 * math.cos(n / 20 * math.tau), 150 + 50 * math.sin(n / 20 * math.tau)) for n in range(20)
    ]
    drawn = editor.stroke(ring)
    for _ in range(20):
        next(drawn)
    yield from editor.picture("region")
    yield from drawn
    yield from settled()
    FACTS["region"] = edits("Adjustment")
    yield from editor.key("ESC", editor.at(200, 230))

    # A texture: moved by its middle, turned by a key, scaled by a corner, placed.
    settings.texture_path = TOLD["picture"]
    with editor.override():
        assert bpy.ops.inve.place_texture("INVOKE_DEFAULT") == {"RUNNING_MODAL"}
    yield
    width, height = TOLD["size"]
    yield from editor.stroke([(width / 2, height / 2), (width / 2 - 40, height / 2 - 30), (180, 90)])
    yield from editor.key("R", editor.at(230, 90))
    for place in ((230, 100), (228, 112)):
        editor.event("MOUSEMOVE", "NOTHING", editor.at(*place))
        yield
    yield from editor.picture("placing")
    yield from editor.key("RET", editor.at(228, 112))
    yield from editor.key("RET", editor.at(228, 112))
    yield from settled()
    FACTS["texture"] = edits("Texture")
    # Moved again, by its middle; then one that is let go of.
    with editor.override():
        assert bpy.ops.inve.move_texture("INVOKE_DEFAULT") == {"RUNNING_MODAL"}
    yield
    yield from editor.stroke([(180, 90), (190, 100), (200, 110)])
    yield from settled()
    FACTS["moved"] = edits("Texture")
    escaped = editor.stroke([(200, 110), (230, 110), (260, 110)])
    for _ in range(4):
        next(escaped)
        yield
    yield from editor.key("ESC", editor.at(260, 110))
    editor.event("LEFTMOUSE", "RELEASE", editor.at(260, 110))
    yield
    yield from editor.key("ESC", editor.at(260, 110))
    FACTS["let_go"] = edits("Texture")

    # Points.
    with editor.override():
        bpy.ops.inve.track_point("INVOKE_DEFAULT")
    yield
    yield from editor.stroke([(100, 60)])
    yield from until(lambda: len(trackpoints.of(strip())) == 1)
    yield from editor.stroke([(400, 200)])
    yield from until(lambda: len(trackpoints.of(strip())) == 2)
    yield from editor.key("ESC", editor.at(100, 60))
    # A path to look at: the fake worker's points stand still.
    trackpoints.change(shot, lambda had: tuple(moved(track) for track in had))
    editor.area.tag_redraw()
    FACTS["tracks"] = [[track.point.x, track.point.y] for track in trackpoints.of(strip())]
    yield from editor.picture("tracks")

    # The panels.
    yield from editor.choose_tab()
    yield from editor.picture("panels")
    # What cannot be inverted.
    strip().transform.scale_x = 0
    with editor.override():
        try:
            bpy.ops.inve.paint("INVOKE_DEFAULT")
        except RuntimeError as error:
            FACTS["squeezed"] = str(error)
    strip().transform.scale_x = 1
    # The add-on is disabled with a tool in use.
    with editor.override():
        assert bpy.ops.inve.paint("INVOKE_DEFAULT") == {"RUNNING_MODAL"}
    yield
    editor.event("MOUSEMOVE", "NOTHING", editor.at(100, 100))
    yield
    yield


def moved(track):
    count = len(track.frames)
    return dataclasses.replace(
        track,
        x=tuple(x + 14 * n for n, x in enumerate(track.x)),
        y=tuple(y + 6 * n * n for n, y in enumerate(track.y)),
        visible=tuple(n < count // 2 for n in range(count)),
    )


def long_stroke():
    """Draw 1,000 points; gives the median time of what a redraw and a point take, early and late."""
    editor.event("MOUSEMOVE", "NOTHING", editor.at(20, 20))
    yield
    editor.event("LEFTMOUSE", "PRESS", editor.at(20, 20))
    yield
    drawing = overlay.state.drawing
    times = []
    for number in range(1000):
        # Through the operator's own hands: a simulated event for each would take a minute.
        began = time.perf_counter()
        turn, away = number / 12, 20 + number / 11
        place = 240 + 2 * away * math.cos(turn), 135 + away * math.sin(turn)
        drawing.capture.add(*place, 1.0, number / 200)
        times.append(time.perf_counter() - began)
        if number % 10 == 9:
            editor.area.tag_redraw()
            yield from redrawn(len(DRAWN))
    assert tool.is_running("inve.paint")
    editor.event("LEFTMOUSE", "RELEASE", editor.at(20, 20))
    yield
    early, late = sorted(DRAWN[-100:-80]), sorted(DRAWN[-20:])
    return {"early": early[10], "late": late[10], "add_early": sorted(times[:100])[50],
            "add_late": sorted(times[-100:])[50]}  # fmt: skip


def redrawn(before):
    return until(lambda: len(DRAWN) > before)


DRAWN = []


def timed(draw):
    """The overlay's drawing, with its duration kept."""

    def wrapped():
        began = time.perf_counter()
        draw()
        DRAWN.append(time.perf_counter() - began)

    return wrapped


overlay.draw = timed(overlay.draw)
run(steps)
