"""Runs inside a bpy environment: renders image strips as asked, one EXR a scene frame.

    python render_strips.py CASES.json

A case has `files` (absolute, in order), `size` (width, height), `percentage`, `frames` (scene frames to
render), `out` (a folder), and optionally `transform`, `crop`, `strip`, which are set as they stand.
"""

import json
import os
import sys

import bpy


def build(case):
    scene = bpy.data.scenes.new("geometry")
    scene.render.resolution_x, scene.render.resolution_y = case["size"]
    scene.render.resolution_percentage = case["percentage"]
    editor = scene.sequence_editor_create()
    strips = editor.strips if hasattr(editor, "strips") else editor.sequences
    first, *others = case["files"]
    strip = strips.new_image("plate", first, 1, 1, fit_method="ORIGINAL")
    for name in others:
        strip.elements.append(os.path.basename(name))
    strip.colorspace_settings.name = "Linear Rec.709"
    for target, values in (
        (strip.transform, case.get("transform", {})),
        (strip.crop, case.get("crop", {})),
        (strip, case.get("strip", {})),
    ):
        for name, value in values.items():
            setattr(target, name, value)
    settings = scene.render.image_settings
    if hasattr(settings, "media_type"):
        settings.media_type = "IMAGE"
    settings.file_format, settings.color_depth, settings.color_mode = "OPEN_EXR", "32", "RGBA"
    scene.render.use_sequencer = True
    return scene, strip


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        cases = json.load(file)
    timings = []
    for case in cases:
        scene, strip = build(case)
        os.makedirs(case["out"], exist_ok=True)
        # A still would be that of the current frame of another scene, so each is an animation of one frame.
        for frame in case["frames"]:
            scene.frame_start = scene.frame_end = frame
            scene.render.filepath = os.path.join(case["out"], "#.exr")
            bpy.ops.render.render(animation=True, scene=scene.name)
        timings.append(
            [strip.frame_start, strip.frame_final_start, strip.frame_final_end, strip.frame_duration]
        )
        bpy.data.scenes.remove(scene)
    with open(sys.argv[1] + ".done", "w", encoding="utf-8") as file:
        json.dump({"version": bpy.app.version, "timings": timings}, file)
    sys.stdout.flush()
    # Blender's own teardown is not under test, and 4.2 and 4.5 are known to trip in it.
    os._exit(0)


main()
