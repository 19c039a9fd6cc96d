"""The README's pictures: a first edit in Blender's window, on a clip that is really learned."""

import math
import os
import sys

import bpy

# Blender does not look for modules beside the script that it runs.
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from window import (
    FACTS,
    TOLD,
    Editor,
    add_plate,
    add_strip,
    all_strips,
    connect,
    run,
    settled,
    state,
    strip,
    until,
)

PATIENCE_S = 240
PAINTED, SHOWN = 3, 20
"""Scene frames: where is painted, and where that is looked at."""


def result():
    return next((strip for strip in all_strips() if strip.inve.is_result), None)


def shows_all():
    document_revision = state().shots[strip().inve.shot].revision
    return result() is not None and strip().inve.result_revision == document_revision


def steps():
    editor = Editor()
    one = add_plate(os.path.join(TOLD["clip"], "frames"))
    scene = bpy.context.scene
    scene.frame_set(PAINTED)
    yield from (None for _ in range(10))
    with editor.override():
        bpy.ops.sequencer.view_all_preview()
    yield from editor.choose_tab()
    yield from connect()
    matte = add_strip("matte", os.path.join(TOLD["clip"], "mattes"), 2)
    matte.mute = True
    one.inve.preset, one.inve.matte_source, one.inve.matte_strip = "preview", "strip", "matte"
    bpy.context.scene.sequence_editor.active_strip = one
    bpy.ops.inve.prepare()
    shot = one.inve.shot
    job = None

    def learning():
        nonlocal job
        job = state().job_of(shot)
        return job is not None and job.stage == "learning" and job.share > 0.3

    yield from until(learning, PATIENCE_S)
    yield from editor.picture("2-prepare")
    yield from until(lambda: state().shots[shot].final, PATIENCE_S)

    scene.inve.brush_size, scene.inve.brush_color = 7, TOLD["color"]
    with editor.override():
        assert bpy.ops.inve.paint("INVOKE_DEFAULT") == {"RUNNING_MODAL"}
    yield
    x, y, radius = TOLD["smile"]
    arc = [math.radians(20 + 140 * n / 30) for n in range(31)]
    mouth = editor.stroke([(x + radius * math.cos(one), y + radius * math.sin(one)) for one in arc])
    for eye in (-0.4, 0.4):
        yield from editor.stroke([(x + eye * radius, y - radius / 3 + n) for n in range(3)])
        yield from settled()
    for _ in range(len(arc) + 1):
        next(mouth)
    yield from editor.picture("3-paint")
    yield from mouth
    yield from settled()
    yield from editor.key("ESC", editor.at(x, y))
    yield from until(shows_all, PATIENCE_S)
    scene.frame_set(SHOWN)
    yield from (None for _ in range(20))
    yield from editor.picture("4-result")
    FACTS["psnr_db"] = state().shots[shot].psnr_db


run(steps)
