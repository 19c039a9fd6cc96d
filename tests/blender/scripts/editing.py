"""What an artist does to edits, by operators as scripts call them: layers, strokes, textures, tracks."""

import importlib
import json
import os
import time

import bpy
import inside

session = inside.install()
documents, properties, trackpoints = map(inside.module, ("documents", "properties", "trackpoints"))
strip = inside.plate(inside.TOLD["clip"])
scene = bpy.context.scene
shot, settings = properties.shot_of(strip), properties.settings_of(scene)
refusals = {}


def refusal(name, operator, **arguments):
    session.dismiss()
    refusals[name] = inside.call(operator, **arguments)


def settled(timeout_s=30):
    """Until all steps are on the daemon and its layers are here."""
    session.pump()
    document = documents.of(strip)
    assert session.pump_until(lambda: not document.waiting and not document.needs_fetch, timeout_s), (
        document.held,
        session.problem,
    )
    return document


def rows():
    return [(row.name, row.kind, row.edits) for row in shot.layers]


inside.connect(session, inside.TOLD["endpoint"])
assert inside.call(bpy.ops.inve.prepare) == ""
assert session.pump_until(lambda: shot.shot in session.shots and session.shots[shot.shot].trained, 60)

# A stroke, on the second frame, which leaves the picture and comes back.
scene.frame_set(2)
settings.brush_size, settings.brush_opacity, settings.use_pressure_size = 4.0, 0.5, True
points = json.dumps([[4, 6, 0.5], [28, 6], [40, 8], [40, 14], [8, 16]])
assert inside.call(bpy.ops.inve.paint, points=points) == ""
settled()
after_stroke = rows()
strokes = list(documents.of(strip).layers[0]["edits"])

refusal("outside", bpy.ops.inve.paint, points="[[200, 200]]")
refusal("no points", bpy.ops.inve.paint)
refusal("neutral", bpy.ops.inve.adjust_region, points="[[1, 1], [9, 1], [9, 9]]")
refusal("no JSON", bpy.ops.inve.paint, points="[[1]]")
settings.hue = 30.0
settings.use_outline = True
outline = "[[1, 1], [9, 1], [9, 9]]"
assert inside.call(bpy.ops.inve.adjust_region, points=outline) == ""
settings.saturation = 0.25
settings.hue = 0.0
assert inside.call(bpy.ops.inve.readjust) == ""

settings.texture_path = inside.TOLD["picture"]
assert inside.call(bpy.ops.inve.place_texture, x=16, y=12, width=10, rotation=15, tracking="point") == ""
placed = documents.of(strip).layers[-1]["edits"][0]
assert inside.call(bpy.ops.inve.move_texture, edit=placed["id"], rotation=-30) == ""
refusal("no texture", bpy.ops.inve.move_texture, edit="gone")
refusal("texture outside", bpy.ops.inve.place_texture, x=-16, y=12, width=10)
refusal("no picture", bpy.ops.inve.place_texture, filepath=inside.TOLD["picture"] + ".gone")
settled()
made = json.loads(json.dumps([dict(layer) for layer in documents.of(strip).layers]))

# The list: each change of a row is a step.
shot.layers["Paint"].opacity = 0.25
shot.layers["Paint"].name = "scratches"
shot.layers["scratches"].solo = True
shot.layers["scratches"].blend = "screen"
settled()
renamed = next(dict(layer) for layer in documents.of(strip).layers if layer["name"] == "scratches")
shot.layers["scratches"].solo = False
session.dismiss()
shot.layers["scratches"].name = "Texture"
session.pump()
taken = [session.problem.message, [row.name for row in shot.layers]]
session.dismiss()
assert inside.call(bpy.ops.inve.move_layer, layer="scratches", direction="UP") == ""
assert inside.call(bpy.ops.inve.add_layer, kind="sketch", layer="empty") == ""
settled()
order = [row.name for row in shot.layers]
assert inside.call(bpy.ops.inve.remove_layer, layer="scratches") == ""
settled()
removed = [row.name for row in shot.layers]
assert inside.call(bpy.ops.inve.undo) == ""
settled()
undone = [row.name for row in shot.layers]
assert inside.call(bpy.ops.inve.redo) == ""
settled()
redone = [row.name for row in shot.layers]
assert inside.call(bpy.ops.inve.undo) == ""
settled()

# Blender's undo leaves them alone.
bpy.ops.ed.undo_push(message="before")
settings.brush_size = 99.0
assert inside.call(bpy.ops.inve.paint, points=points) == ""
bpy.ops.ed.undo_push(message="after")
bpy.ops.ed.undo()
scene = bpy.context.scene
strip = inside.editor().active_strip
shot, settings = properties.shot_of(strip), properties.settings_of(scene)
settled()
after_undo = [settings.brush_size, rows()]
assert inside.call(bpy.ops.inve.undo) == ""
settled()

# A long line costs no more at its end, and holds nobody up.
drawing = inside.module("drawing")
capture = drawing.StrokeCapture(drawing.Brush(4.0, 1.0), 32, 24)
ribbon = inside.module("ribbon").Ribbon(lambda pressure: 4.0 * pressure)
costs = []
for number in range(4000):
    began = time.perf_counter()
    capture.add(
        16 + 12 * ((number * 7919) % 997) / 997, 12 + 9 * ((number * 104729) % 991) / 991, 1.0, number / 200
    )
    ribbon.update(capture.vertices, capture.tail())
    costs.append(time.perf_counter() - began)
costs = [sorted(costs[at : at + 500])[250] for at in (500, 3500)]
line = json.dumps([[4 + 24 * (n % 50) / 50, 3 + 18 * n / 1000, 0.5] for n in range(1000)])
assert inside.call(bpy.ops.inve.paint, points=line) == ""
settled()
assert inside.call(bpy.ops.inve.undo) == ""
settled()

# Points.
assert inside.call(bpy.ops.inve.track_point, x=10.5, y=7.25) == ""
assert session.pump_until(lambda: trackpoints.of(strip), 30), session.problem
assert inside.call(bpy.ops.inve.track_point, x=20, y=9, point="corner") == ""
assert session.pump_until(lambda: len(trackpoints.of(strip)) == 2, 30), session.problem
same = trackpoints.of(strip) is trackpoints.of(strip)
tracks = [
    [track.point.id, track.point.frame, list(track.frames), list(track.x)] for track in trackpoints.of(strip)
]
refusal("point outside", bpy.ops.inve.track_point, x=-5, y=9)
assert inside.call(bpy.ops.inve.remove_track, point="point1") == ""
left = [track.point.id for track in trackpoints.of(strip)]

# A second artist changes the edits in between; then a step of ours.
edits_before = rows()
inve_client = importlib.import_module("inve_client")  # It came with the zip.
with inve_client.Client(inside.TOLD["endpoint"]) as client:
    revision = client.describe_shot(shot.shot)["revision"]
    client.patch_edits(shot.shot, revision, layers=[{"name": "theirs", "kind": "texture"}])
assert inside.call(bpy.ops.inve.paint, points=points) == ""
settled()
both = [row.name for row in shot.layers]

# What cannot be painted on.
scene.frame_set(90)
refusal("not shown", bpy.ops.inve.paint, points=points)
scene.frame_set(2)
strip.transform.scale_x = 0
refusal("squeezed", bpy.ops.inve.paint, points=points)
strip.transform.scale_x = 1

# Away from the daemon: the step waits in the saved file, and goes out when both are back.
assert inside.call(bpy.ops.inve.disconnect) == ""
assert inside.call(bpy.ops.inve.add_layer, kind="sketch", layer="offline") == ""
waiting = documents.of(strip).waiting
path = os.path.join(inside.TOLD["folder"], "saved.blend")
bpy.ops.wm.save_as_mainfile(filepath=path)
bpy.ops.wm.open_mainfile(filepath=path)
strip = inside.editor().active_strip
scene = bpy.context.scene
shot = properties.shot_of(strip)
reopened = [[row.name for row in shot.layers], documents.of(strip).waiting, len(trackpoints.of(strip))]
inside.connect(session, inside.TOLD["endpoint"])
settled()
inside.report(
    shot=shot.shot,
    after_stroke=after_stroke,
    strokes=strokes,
    made=made,
    renamed=renamed,
    taken=taken,
    order=order,
    removed=removed,
    undone=undone,
    redone=redone,
    after_undo=after_undo,
    costs=costs,
    tracks=tracks,
    same=same,
    left=left,
    edits_before=edits_before,
    both=both,
    waiting=waiting,
    reopened=reopened,
    end=[row.name for row in shot.layers],
    refusals=refusals,
)
