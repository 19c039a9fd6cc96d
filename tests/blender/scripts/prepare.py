"""Install, connect, prepare to ready, cancel, prepare again, a training that fails, refusals."""

import bpy
import inside

session = inside.install()
properties, wording = inside.module("properties"), inside.shared("wording")
inside.connect(session, inside.TOLD["endpoint"])

strip = inside.plate(inside.TOLD["clip"])
before = {name: getattr(strip, name) for name in ("name", "channel", "directory", "blend_alpha")}
shot = properties.shot_of(strip)
shot.matte_source = "folder"
shot.matte_folder = inside.matte_folder(inside.TOLD["clip"])
shot.preset = "preview"
assert inside.call(bpy.ops.inve.prepare) == ""
name = shot.shot
seen = []


def is_ready():
    job = session.job_of(name)
    seen.append(wording.progress(job))
    known = session.shots.get(name)
    return known is not None and known.final and job.result


assert session.pump_until(is_ready, 60), (session.problem, session.jobs)
ready = wording.standing(session, name, has_result=False)
mattes = list(session.shots[name].matte_patterns)

# Another strip as the matte is another shot, with a name of its own.
inside.plate(inside.TOLD["clip"], what="matte", channel=2)
inside.editor().active_strip = strip
shot.matte_source = "strip"
shot.matte_strip = "matte"
assert inside.call(bpy.ops.inve.prepare) == ""
second = shot.shot
assert session.pump_until(lambda: second in session.shots and session.shots[second].final, 60), (
    session.problem
)

# Cancel a long one: once while it opens, once while it learns.
shot.matte_source = "none"
assert inside.call(bpy.ops.inve.prepare) == ""
third = shot.shot
assert inside.call(bpy.ops.inve.cancel_prepare) == ""
session.pump_until(lambda: session.waiting == 0, 30)
after_early_cancel = [job.state for job in session.jobs.values() if job.shot == third]
assert inside.call(bpy.ops.inve.prepare) == ""
assert session.pump_until(lambda: third in session.shots and session.shots[third].trained, 60), (
    session.problem
)
cancel_twice = inside.call(bpy.ops.inve.cancel_prepare)

# Refusals, in a sentence each.
refusals = {}
inside.strips().remove(inside.strips()["matte"])
shot.matte_source = "strip"
refusals["matte gone"] = inside.call(bpy.ops.inve.prepare)
shot.matte_source = "none"
colour = {"frame_end": 10} if bpy.app.version < (5, 0, 0) else {"length": 10}
inside.editor().active_strip = inside.strips().new_effect(
    name="red", type="COLOR", channel=3, frame_start=1, **colour
)
refusals["colour"] = inside.call(bpy.ops.inve.prepare)
inside.image_strip(inside.TOLD["clip"], ["plate.1001.png", "plate.1003.png"], channel=4, name="gap")
refusals["gap"] = inside.call(bpy.ops.inve.prepare)
inside.image_strip(inside.TOLD["clip"], ["plate.1001.png"], channel=5, name="still")
refusals["still"] = inside.call(bpy.ops.inve.prepare)
inside.image_strip("//somewhere", ["a.1.png", "a.2.png"], channel=6, name="relative")
refusals["unsaved"] = inside.call(bpy.ops.inve.prepare)

# The daemon's own refusal comes to the panel.
session.dismiss()
inside.image_strip("/etc", ["a.1.png", "a.2.png"], channel=7, name="outside")
assert inside.call(bpy.ops.inve.prepare) == ""
assert session.pump_until(lambda: session.problem is not None, 30)
outside = [session.problem.code, session.problem.message]

assert inside.call(bpy.ops.inve.disconnect) == ""
not_connected = inside.call(bpy.ops.inve.prepare)
inside.report(
    name=name,
    names=[name, second, third],
    seen=sorted(set(seen)),
    ready=ready,
    mattes=mattes,
    after_early_cancel=after_early_cancel,
    cancel_twice=cancel_twice,
    refusals=refusals,
    outside=outside,
    not_connected=not_connected,
    unchanged={key: getattr(strip, key) == value for key, value in before.items()},
    offline=wording.standing(session, shot.shot, has_result=False),
)
