"""Prepare, save, open again without a daemon: all settings are there, and the panel says offline."""

import os

import bpy
import inside

session = inside.install()
inside.connect(session, inside.TOLD["endpoint"])
properties, wording = inside.module("properties"), inside.shared("wording")
strip = inside.plate(inside.TOLD["clip"])
inside.plate(inside.TOLD["clip"], what="matte", channel=2)
inside.editor().active_strip = strip
shot = properties.shot_of(strip)
shot.preset = "quality"
shot.use_working_size = True
shot.working_size = 512
properties.settings_of(bpy.context.scene).brush_size = 33.0
assert inside.call(bpy.ops.inve.prepare) == ""
name = shot.shot
assert session.pump_until(lambda: name in session.shots and session.shots[name].final, 60), session.problem
documents = inside.module("documents")
assert session.pump_until(lambda: documents.of(strip).revision is not None, 30), session.problem
documents.change(strip, lambda document: document.add_layer("paint", "sketch"))
documents.change(strip, lambda document: document.change_layer("paint", opacity=0.5))
assert session.pump_until(lambda: not documents.of(strip).pending, 30), session.problem
path = os.path.join(inside.TOLD["folder"], "saved.blend")
bpy.ops.wm.save_as_mainfile(filepath=path)
assert inside.call(bpy.ops.inve.disconnect) == ""

bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=False)
bpy.ops.wm.open_mainfile(filepath=path)
strip = inside.strips()["plate"]
untouched = inside.strips()["matte"]
shot = properties.shot_of(strip)
scene_settings = properties.settings_of(bpy.context.scene)
problem = session.problem and session.problem.message
kept = {
    "shot": shot.shot == name,
    "settings": [shot.preset, shot.use_working_size, shot.working_size],
    "document": [[row.name, row.opacity] for row in documents.of(strip).rows()],
    "layers": [[one.name, one.kind, one.opacity] for one in shot.layers],
    "brush": scene_settings.brush_size,
    "versions": [scene_settings.version, shot.version, properties.shot_of(untouched).version],
}
# A file of a later add-on is opened, and the panel says what that means.
shot.version = 99
bpy.ops.wm.save_as_mainfile(filepath=path)
bpy.ops.wm.open_mainfile(filepath=path)
newer = session.problem.message if session.problem else ""
inside.report(
    **kept,
    current=properties.VERSION,
    problem=problem,
    newer=newer,
    offline=wording.standing(session, "plate", has_result=False),
)
