"""A long strip over a network that answers late: how long does showing frames hold Blender up?"""

import os
import time

import bpy
import inside

LENGTH = int(inside.TOLD["length"])
session = inside.install()
inside.preferences().cache_folder = os.path.join(inside.TOLD["folder"], "cache")
properties, live, results = (inside.module(name) for name in ("properties", "live", "results"))
documents = inside.module("documents")
pump_ms = inside.watch_pumps(session)
inside.connect(session, inside.TOLD["endpoint"], timeout_s=30)
names = [f"plate.{frame}.png" for frame in range(1001, 1001 + LENGTH)]
strip = inside.image_strip(inside.TOLD["clip"], names)
shot = properties.shot_of(strip)
assert inside.call(bpy.ops.inve.prepare) == ""
name = shot.shot
assert session.pump_until(lambda: name in session.shots and session.shots[name].final, 90), session.problem
assert session.pump_until(lambda: documents.of(strip).revision is not None, 30)
began = time.monotonic()
line = {"type": "stroke", "frame": 1001, "points": [[8.0, 10.0], [12.0, 10.0]], "width": 4.0}
documents.change(strip, lambda layers: layers.add_edits("paint", [{**line, "color": [1.0, 0.0, 0.0, 1.0]}]))


def come():
    run = live.run_of(strip)
    return 0 if run is None else len(run.files)


assert session.pump_until(lambda: come() >= 1 and results.find(shot.link_id).result is not None, 60), (
    session.problem
)
first_s = time.monotonic() - began
# While they come the artist presses on: another frame is current each time.
for frame in range(2, 2 + int(inside.TOLD["presses"])):
    bpy.context.scene.frame_set(frame * 7 % LENGTH + 1)
    assert inside.call(bpy.ops.inve.render) == ""
    for _ in range(20):
        session.pump()
        time.sleep(0.002)
assert session.pump_until(lambda: come() >= 20, 90), (come(), session.problem)
assert inside.call(bpy.ops.inve.cancel_render) == ""
result = results.find(shot.link_id).result
assert session.pump_until(lambda: len(result.elements) == LENGTH, 30)
strip.frame_start += 3
follow_ms = []
done = False
while not done:
    began = time.thread_time()
    done = live.follow()
    follow_ms.append((time.thread_time() - began) * 1000)
session.pump_until(lambda: session.waiting == 0, 60)
inside.report(
    first_s=first_s,
    pump_ms=sorted(pump_ms)[-20:],
    busy_ms=max(busy for _, busy in pump_ms),
    pumps=len(pump_ms),
    follow_ms=follow_ms,
    come=come(),
)
