"""Runs the documented example in this Blender, and renders what it saved."""

import os
import runpy
import sys

import bpy
import inside

FOLDER = inside.TOLD["folder"]
session = inside.install()
inside.preferences().cache_folder = os.path.join(FOLDER, "cache")
out = os.path.join(FOLDER, "out.blend")
said = ""
for problem in inside.TOLD["problems"]:
    sys.argv = ["blender", "--", *problem]
    try:
        runpy.run_path(inside.TOLD["example"], run_name="__main__")
    except SystemExit as end:
        said = str(end)
    session.disconnect()
    session.dismiss()
    for strip in list(inside.strips()):
        inside.strips().remove(strip)
sys.argv = ["blender", "--", inside.TOLD["plates"], inside.TOLD["edits"], out, "", inside.TOLD["endpoint"]]
runpy.run_path(inside.TOLD["example"], run_name="__main__")

bpy.ops.wm.open_mainfile(filepath=out)
scene = bpy.context.scene
settings = scene.render.image_settings
if hasattr(settings, "media_type"):
    settings.media_type = "IMAGE"
settings.file_format, settings.color_depth, settings.color_mode = "OPEN_EXR", "32", "RGBA"
scene.render.filepath = os.path.join(FOLDER, "frame.####")
bpy.ops.render.render(animation=True)
names = {strip.name: [element.filename for element in strip.elements] for strip in inside.strips()}
directory = bpy.path.abspath(inside.strips()["plate edited"].directory)
inside.report(
    said=said,
    frames=[os.path.join(FOLDER, f"frame.{frame:04d}.exr") for frame in range(1, scene.frame_end + 1)],
    files=[os.path.join(directory, name) for name in names["plate edited"]],
)
