"""A movie, whose frames count from 0: prepared, painted, its result beside Blender's own decoding of it."""

import os

import bpy
import inside

FOLDER = inside.TOLD["folder"]
session = inside.install()
inside.preferences().cache_folder = os.path.join(FOLDER, "cache")
inside.connect(session, inside.TOLD["endpoint"])
names = ("properties", "live", "results", "documents")
properties, live, results, documents = map(inside.module, names)
scene = bpy.context.scene
scene.render.fps, scene.render.resolution_x, scene.render.resolution_y = 24, 64, 48
strip = inside.strips().new_movie(name="movie", filepath=inside.TOLD["movie"], channel=1, frame_start=1)
strip.frame_offset_start = 1
inside.editor().active_strip = strip
shot = properties.shot_of(strip)
assert inside.call(bpy.ops.inve.prepare) == ""


def picture(name):
    settings = scene.render.image_settings
    if hasattr(settings, "media_type"):
        settings.media_type = "IMAGE"
    settings.file_format, settings.color_depth, settings.color_mode = "OPEN_EXR", "32", "RGBA"
    scene.frame_set(3)
    scene.render.filepath = os.path.join(FOLDER, f"{name}.exr")
    bpy.ops.render.render(write_still=True)
    return scene.render.filepath


def complete():
    run = live.run_of(strip)
    return run is not None and run.is_complete and not live.is_busy()


assert session.pump_until(lambda: shot.shot in session.shots and session.shots[shot.shot].final, 60), (
    session.problem
)
assert session.pump_until(lambda: documents.of(strip).revision is not None, 30)
plain = picture("plain")
line = {"type": "stroke", "frame": 0, "points": [[8.0, 10.0], [12.0, 10.0]], "width": 4.0}
documents.change(strip, lambda layers: layers.add_edits("paint", [{**line, "color": [1.0, 0.0, 0.0, 1.0]}]))
assert session.pump_until(complete, 60), session.problem
result = results.find(shot.link_id).result
inside.report(
    plain=plain,
    edited=picture("edited"),
    files=[element.filename for element in result.elements],
    span=[result.frame_final_start, result.frame_final_end],
    cautions=results.cautions(results.find(shot.link_id)),
)
