"""Paint, render, change, move, copy, save, open without a daemon: what the result shows at each step."""

import os

import bpy
import inside

FOLDER = inside.TOLD["folder"]
session = inside.install()
inside.preferences().cache_folder = os.path.join(FOLDER, "cache")
inside.connect(session, inside.TOLD["endpoint"])
properties, live, results = (inside.module(name) for name in ("properties", "live", "results"))
documents = inside.module("documents")
scene = bpy.context.scene
scene.render.resolution_x, scene.render.resolution_y = 32, 24
scene.frame_start, scene.frame_end = 1, 10
pictures = []


def result_of(strip):
    found = results.find(properties.shot_of(strip).link_id)
    return None if found is None else found.result


def state(strip):
    result = result_of(strip)
    folder = bpy.path.abspath(result.directory)
    return {
        "name": result.name,
        "channel": result.channel,
        "first": result.frame_final_start,
        "end": result.frame_final_end,
        "files": [element.filename for element in result.elements],
        "there": [os.path.exists(os.path.join(folder, one.filename)) for one in result.elements],
        "folder": folder,
        "look": [result.colorspace_settings.name, result.alpha_mode, result.blend_type],
        "place": [result.transform.offset_x, result.transform.scale_x, result.crop.min_x, result.use_flip_x],
    }


def said_of(names):
    """Revision and frame of each file; the digest also tells how a frame was compressed."""
    return [(name.split(".")[-3].split("-")[0], name.split(".")[-2]) for name in names]


def wait(what=None, timeout_s=60):
    def idle():
        return not live.is_busy() and session.waiting == 0 and (what is None or what())

    assert session.pump_until(idle, timeout_s), (session.problem, live.rendering().runs, session.waiting)
    assert session.problem is None, session.problem


def picture(name, frame=2):
    """What Blender's own sequencer makes of a frame."""
    settings = scene.render.image_settings
    if hasattr(settings, "media_type"):
        settings.media_type = "IMAGE"
    settings.file_format, settings.color_depth, settings.color_mode = "OPEN_EXR", "32", "RGBA"
    scene.frame_set(frame)
    path = os.path.join(FOLDER, f"{name}.exr")
    scene.render.filepath = path
    bpy.ops.render.render(write_still=True)
    return path


def overlaps():
    """Strips of one channel with a common frame: there may be none."""
    every = list(inside.strips())
    return [
        [one.name, other.name]
        for number, one in enumerate(every)
        for other in every[:number]
        if one.channel == other.channel
        and one.frame_final_start < other.frame_final_end
        and other.frame_final_start < one.frame_final_end
    ]


def snapshot(strip):
    """All of a strip that an artist can set."""
    plain = {
        name: getattr(strip, name)
        for name in (
            "name",
            "channel",
            "frame_start",
            "frame_final_start",
            "frame_final_end",
            "blend_type",
            "mute",
        )
    }
    moved = {name: getattr(strip.transform, name) for name in ("offset_x", "offset_y", "scale_x", "rotation")}
    files = [element.filename for element in strip.elements]
    return {**plain, **moved, "files": files, "space": strip.colorspace_settings.name}


strip = inside.plate(inside.TOLD["clip"])
colour = {"frame_end": 3} if bpy.app.version < (5, 0, 0) else {"length": 2}
title = inside.strips().new_effect(name="title", type="COLOR", channel=2, frame_start=1, **colour)
title.mute = True
shot = properties.shot_of(strip)
before = snapshot(strip)
unprepared = inside.call(bpy.ops.inve.render)
session.dismiss()
assert inside.call(bpy.ops.inve.prepare) == ""
name = shot.shot
assert session.pump_until(lambda: name in session.shots and session.shots[name].final, 60), session.problem
plain = picture("plain")

# No edits, no result.
wait(lambda: documents.of(strip).revision is not None)
assert result_of(strip) is None
assert not live.rendering().runs
colors = inside.TOLD["colors"]


def stroke(color, x=8.0):
    known = session.shots[name].revision
    line = {
        "type": "stroke",
        "frame": 1001,
        "points": [[x, 10.0], [x + 4, 10.0]],
        "width": 4.0,
        "color": color,
    }
    layers = documents.change(strip, lambda layers: layers.add_edits("paint", [line]) and layers)
    assert session.pump_until(lambda: not layers.pending and session.shots[name].revision > known, 30)


# A stroke: its frames come by themselves, the current one first.
scene.frame_set(3)
stroke(colors[0])
assert session.pump_until(lambda: result_of(strip) is not None, 30)
first_there = [i for i, there in enumerate(state(strip)["there"]) if there]
run = live.run_of(strip)
progress = [run.left, run.total]
wait()
first = state(strip)
unchanged = {
    key: (value, snapshot(strip)[key]) for key, value in before.items() if snapshot(strip)[key] != value
}
shown = picture("first")
shown_last = picture("first_last", frame=4)
sentence = live.standing(strip)
active_result = inside.editor().active_strip == strip

# Another stroke: the strip is brought up to date by itself, under other names; old files go.
stroke(colors[1])
wait(lambda: shot.result_revision == session.shots[name].revision)
second = state(strip)
shown_second = picture("second")
left_over = sorted(set(os.listdir(first["folder"])) - set(second["files"]))

# What a saved .blend shows stays on disk until it is saved again.
path = os.path.join(FOLDER, "kept.blend")
bpy.ops.wm.save_as_mainfile(filepath=path)
stroke(colors[2])
wait(lambda: shot.result_revision == session.shots[name].revision)
kept = all(os.path.exists(os.path.join(second["folder"], one)) for one in second["files"])
bpy.ops.wm.save_as_mainfile(filepath=path)
wait()
gone = not any(os.path.exists(os.path.join(second["folder"], one)) for one in second["files"])
third = state(strip)

# The source is moved, trimmed, turned round, transformed, and put above its result.
strip.frame_start = 5
strip.frame_offset_start = 1
strip.use_reverse_frames = True
strip.transform.offset_x, strip.transform.scale_x = 3.0, 1.5
strip.crop.min_x = 2
strip.use_flip_x = True
strip.transform.keyframe_insert("offset_y", frame=1)
strip.transform.offset_y = 8.0
strip.transform.keyframe_insert("offset_y", frame=9)
assert any(live.follow() for _ in range(50))
assert inside.call(bpy.ops.inve.render) == ""
wait()
moved = state(strip)
scene.frame_set(7)
animated = [strip.transform.offset_y, result_of(strip).transform.offset_y]
strip.channel = 5
assert any(live.follow() for _ in range(50))
above = [strip.channel, result_of(strip).channel]

# Undo what was done to the source.
strip.transform.keyframe_delete("offset_y", frame=1)
strip.transform.keyframe_delete("offset_y", frame=9)
strip.channel, strip.frame_offset_start, strip.use_reverse_frames, strip.frame_start = 1, 0, False, 1
strip.transform.offset_x, strip.transform.offset_y, strip.transform.scale_x, strip.crop.min_x = 0, 0, 1, 0
strip.use_flip_x = False
assert any(live.follow() for _ in range(50))
back = [said_of(state(strip)["files"]) == said_of(third["files"]), result_of(strip).transform.offset_y]
cautions = results.cautions(results.find(shot.link_id))

# Cancelled: no more frames are asked for.
stroke([0.5, 0.5, 0.5, 1.0])
cancelled = [inside.call(bpy.ops.inve.cancel_render)]
wait()
cancelled.append(inside.call(bpy.ops.inve.cancel_render))
session.dismiss()
assert not live.run_of(strip).is_complete
assert inside.call(bpy.ops.inve.render) == ""
wait()

# With the result active, an operator means its source.
result = result_of(strip)
inside.editor().active_strip = result
assert inside.call(bpy.ops.inve.render) == ""
wait()
twice = [strip.name for strip in inside.strips() if properties.shot_of(strip).is_result]

# The source is duplicated, and its copy rendered: a result of its own, that overlaps nothing.
copy = inside.plate(inside.TOLD["clip"], channel=6)
copy.frame_start = 20
# As Blender's own Duplicate leaves it.
for one in ("shot", "link_id", "result_revision"):
    setattr(properties.shot_of(copy), one, getattr(shot, one))
inside.editor().active_strip = copy
assert inside.call(bpy.ops.inve.render) == ""
wait()
copied = {
    "links": len({properties.shot_of(one).link_id for one in (strip, copy)}),
    "own": result_of(copy) != result_of(strip),
    "first": result_of(copy).frame_final_start,
    "there": state(copy)["there"],
}
# The source is removed: its result stays, and says so.
orphan = result_of(copy)
inside.strips().remove(copy)
inside.editor().active_strip = orphan
orphaned = [live.standing(orphan), inside.call(bpy.ops.inve.render), inside.call(bpy.ops.inve.release_result)]
session.dismiss()
inside.strips().remove(orphan)
session.pump()

# Its result is removed by the artist: the next request makes it anew.
inside.editor().active_strip = strip
inside.strips().remove(result_of(strip))
assert inside.call(bpy.ops.inve.render) == ""
wait()
anew = state(strip)["there"]

# Blender's undo goes back to before the first frame came: the link and the result come again.
key, now = shot.link_id, state(strip)["files"]
inside.strips().remove(result_of(strip))
shot.link_id = ""
bpy.ops.ed.undo_push(message="before")
shot.link_id = key
live.rendering().show_again()
wait()
bpy.ops.ed.undo_push(message="after")
bpy.ops.ed.undo()
scene = bpy.context.scene
strip = inside.strips()["plate"]
shot = properties.shot_of(strip)
wait()
undone = [shot.link_id == key, said_of(state(strip)["files"]) == said_of(now), all(state(strip)["there"])]
inside.editor().active_strip = strip

# A result that was released keeps its files, whatever becomes of the next one.
released = result_of(strip)
assert inside.call(bpy.ops.inve.release_result) == ""
released_files = [element.filename for element in released.elements]
stroke([0.0, 0.0, 0.5, 1.0])
wait(lambda: shot.result_revision == session.shots[name].revision)
folder = bpy.path.abspath(released.directory)
kept_released = all(os.path.exists(os.path.join(folder, one)) for one in released_files)
inside.strips().remove(released)
result_of(strip).name = "renamed"
bpy.ops.wm.save_as_mainfile(filepath=path)
online = picture("online")
assert overlaps() == [], overlaps()

# Without a daemon the file shows what it showed.
assert inside.call(bpy.ops.inve.disconnect) == ""
bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=False)
bpy.ops.wm.open_mainfile(filepath=path)
scene = bpy.context.scene
strip = inside.strips()["plate"]
offline = picture("offline")
session.pump()
offline_says = live.standing(strip)
offline_refusal = inside.call(bpy.ops.inve.render)
offline_state = state(strip)
bpy.ops.preferences.addon_disable(module=inside.PACKAGE)
inside.report(
    unprepared=unprepared,
    plain=plain,
    first_there=first_there,
    progress=progress,
    first=first,
    unchanged=unchanged,
    shown=shown,
    shown_last=shown_last,
    sentence=sentence,
    active_result=active_result,
    second=second,
    shown_second=shown_second,
    left_over=left_over,
    kept=kept,
    gone=gone,
    moved=moved,
    animated=animated,
    above=above,
    back=back,
    cautions=cautions,
    cancelled=cancelled,
    twice=twice,
    copied=copied,
    orphaned=orphaned,
    anew=anew,
    undone=undone,
    kept_released=kept_released,
    online=online,
    offline=offline,
    offline_says=offline_says,
    offline_refusal=offline_refusal,
    offline_state=offline_state,
)
