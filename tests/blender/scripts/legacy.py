"""The legacy zip in Blender 3.4 itself: blender -b --python legacy.py -- ZIP ENDPOINT CLIP."""

import importlib
import os
import sys

import bpy

zip_path, endpoint, clip = sys.argv[sys.argv.index("--") + 1 :]
bpy.ops.preferences.addon_install(filepath=zip_path, overwrite=True)
bpy.ops.preferences.addon_enable(module="inve_blender")
session = importlib.import_module("inve_client.plugin.session").current()
bpy.context.preferences.addons["inve_blender"].preferences.endpoint = endpoint
bpy.ops.inve.connect()
assert session.pump_until(lambda: session.is_connected, 20), session.connection
editor = bpy.context.scene.sequence_editor_create()
strip = editor.sequences.new_image(
    name="plate", filepath=os.path.join(clip, "plate.1001.png"), channel=1, frame_start=1
)
for number in (1002, 1003, 1004):
    strip.elements.append(f"plate.{number}.png")
editor.active_strip = strip
bpy.ops.inve.prepare()
name = strip.inve.shot
assert session.pump_until(lambda: name in session.shots and session.shots[name].final, 60), session.problem
bpy.ops.preferences.addon_disable(module="inve_blender")
print("REPORT", name, bpy.app.version_string)
