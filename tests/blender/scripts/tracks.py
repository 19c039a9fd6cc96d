"""A tracked point becomes an empty, a strip that follows, F-curves; each one step of Blender's undo."""

import os

import bpy
import inside
from bpy_extras.object_utils import world_to_camera_view

session = inside.install()
inside.connect(session, inside.TOLD["endpoint"])
properties, trackpoints, compat = (inside.module(name) for name in ("properties", "trackpoints", "compat"))
scene = bpy.context.scene
scene.render.resolution_x, scene.render.resolution_y = 64, 48
strip = inside.plate(inside.TOLD["clip"])
strip.frame_start = 11
shot = properties.shot_of(strip)
assert inside.call(bpy.ops.inve.prepare) == ""
name = shot.shot
assert session.pump_until(lambda: name in session.shots and session.shots[name].final, 60), session.problem
no_track = bpy.ops.inve.track_to_empty.poll()
scene.frame_set(11)
assert inside.call(bpy.ops.inve.track_point, x=10.0, y=6.0, point="p") == ""
assert session.pump_until(lambda: shot.tracks, 30), session.problem
(track,) = trackpoints.of(strip)

# The strip is moved, scaled, and slides by an animation: the point moves with its picture.
strip.transform.scale_x = strip.transform.scale_y = 1.5
strip.transform.offset_y = -4.0
strip.transform.offset_x = 0.0
strip.transform.keyframe_insert("offset_x", frame=11)
strip.transform.offset_x = 6.0
strip.transform.keyframe_insert("offset_x", frame=14)
path = strip.transform.path_from_id("offset_x")
for key in compat.fcurve(scene, path).keyframe_points:
    key.interpolation = "LINEAR"


def expected(index):
    """The preview's place on a frame, put together by hand: 32x24 pixels in the middle of 64x48."""
    x, y = 10.0 + 2 * index, 6.0 + index
    return (x - 16) * 1.5 + 2.0 * index, (12 - y) * 1.5 - 4


def undoable(operator, **arguments):
    """Call an operator as a press of its button does; gives its refusal, or ""."""
    try:
        operator("EXEC_DEFAULT", True, **arguments)
    except RuntimeError as error:
        return str(error)
    return ""


bpy.ops.ed.undo_push(message="before")
assert undoable(bpy.ops.inve.track_to_empty) == ""
empty = bpy.data.objects["p"]
plane = []
for index in range(4):
    scene.frame_set(11 + index)
    plane.append([list(empty.location), [value / 48 for value in expected(index)]])
bpy.ops.ed.undo()
undone = "p" not in bpy.data.objects
scene = bpy.context.scene
strip = inside.strips()["plate"]
inside.editor().active_strip = strip
session.pump()

# Before a camera with a shift, turned and far away.
data = bpy.data.cameras.new("camera")
camera = bpy.data.objects.new("camera", data)
scene.collection.objects.link(camera)
camera.location, camera.rotation_euler = (3, -7, 2), (1.1, 0.2, 0.4)
data.shift_x, data.lens = 0.1, 35
scene.camera = None
no_camera = inside.call(bpy.ops.inve.track_to_empty, space="CAMERA")
session.dismiss()
scene.camera = camera
seen = []
for kind in ("PERSP", "ORTHO"):
    data.type = kind
    assert inside.call(bpy.ops.inve.track_to_empty, space="CAMERA", distance=5.0) == ""
    empty = next(one for one in bpy.data.objects if one.type == "EMPTY")
    for index in range(4):
        scene.frame_set(11 + index)
        view = world_to_camera_view(scene, camera, empty.matrix_world.translation)
        x, y = expected(index)
        seen.append([list(view), [x / 64 + 0.5, y / 48 + 0.5, 5.0]])
    bpy.data.objects.remove(empty)

# A red square follows.
colour = {"frame_end": 30} if bpy.app.version < (5, 0, 0) else {"length": 30}
square = inside.strips().new_effect(name="square", type="COLOR", channel=4, frame_start=1, **colour)
square.color = (1, 0, 0)
square.transform.scale_x, square.transform.scale_y = 0.0625, 0.0834
inside.editor().active_strip = strip
source = [strip.transform.offset_y, strip.transform.scale_x, strip.channel]
settings = scene.render.image_settings
if hasattr(settings, "media_type"):
    settings.media_type = "IMAGE"
settings.file_format, settings.color_depth, settings.color_mode = "OPEN_EXR", "32", "RGBA"
assert inside.call(bpy.ops.inve.track_to_strip, target="square", keep_distance=False, hide=True) == ""
followed = []
for index in range(4):
    scene.frame_set(11 + index)
    scene.render.filepath = os.path.join(inside.TOLD["folder"], f"followed{index}.exr")
    bpy.ops.render.render(write_still=True)
    x, y = expected(index)
    followed.append([scene.render.filepath, x + 32, 24 - y])
# Kept at its distance of the current frame.
scene.frame_set(14)
compat.remove_fcurve(scene, square.transform.path_from_id("offset_x"))
compat.remove_fcurve(scene, square.transform.path_from_id("offset_y"))
square.transform.offset_x, square.transform.offset_y = 20.0, -9.0
assert inside.call(bpy.ops.inve.track_to_strip, target="square") == ""
kept = []
for frame in (14, 11):
    scene.frame_set(frame)
    kept.append([square.transform.offset_x, square.transform.offset_y])

# Any two numbers.
cube = bpy.data.objects.new('a "cube"', bpy.data.meshes.new("mesh"))
scene.collection.objects.link(cube)
arguments = {"path_x": "bpy.data.objects['a \"cube\"'].location[2]", "unit": "SOURCE"}
arguments["path_y"] = "bpy.data.objects['a \"cube\"'].delta_scale[1]"
assert inside.call(bpy.ops.inve.track_to_properties, **arguments) == ""
scene.frame_set(13)
numbers = [cube.location.z, cube.delta_scale[1], cube.location.x]
refusals = {
    "nothing": inside.call(bpy.ops.inve.track_to_properties),
    "code": inside.call(bpy.ops.inve.track_to_properties, path_x="__import__('os').abort()"),
    "no object": inside.call(bpy.ops.inve.track_to_properties, path_x='bpy.data.objects["none"].location[0]'),
    "no property": inside.call(bpy.ops.inve.track_to_properties, path_x='bpy.data.objects["camera"].nothing'),
    "vector": inside.call(bpy.ops.inve.track_to_properties, path_x='bpy.data.objects["camera"].location'),
    "no strip": inside.call(bpy.ops.inve.track_to_strip),
    "itself": inside.call(bpy.ops.inve.track_to_strip, target="plate"),
    "point": inside.call(bpy.ops.inve.track_to_empty, point="q"),
}
session.dismiss()
assert inside.call(bpy.ops.inve.export) == ""
assert session.pump_until(lambda: session.problem is not None, 20)
export = session.problem.message

# The tracks are in the file.
path = os.path.join(inside.TOLD["folder"], "tracks.blend")
bpy.ops.wm.save_as_mainfile(filepath=path)
assert inside.call(bpy.ops.inve.disconnect) == ""
bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=False)
bpy.ops.wm.open_mainfile(filepath=path)
strip = inside.strips()["plate"]
reopened = list(trackpoints.of(strip)) == [track]
inside.editor().active_strip = strip
offline = inside.call(bpy.ops.inve.track_to_empty)
inside.report(
    no_track=no_track,
    plane=plane,
    undone=undone,
    no_camera=no_camera,
    seen=seen,
    source=source,
    followed=followed,
    kept=kept,
    numbers=numbers,
    refusals=refusals,
    export=export,
    reopened=reopened,
    offline=[offline, "p" in bpy.data.objects],
)
