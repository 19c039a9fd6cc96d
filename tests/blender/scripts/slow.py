"""Everything over a network that answers late: how long does Blender's main thread ever wait?"""

import time

import bpy
import inside

session = inside.install()
properties, preparation = inside.module("properties"), inside.shared("preparation")
pump_ms = inside.watch_pumps(session)
began = time.monotonic()
inside.connect(session, inside.TOLD["endpoint"], timeout_s=30)
connected_s = time.monotonic() - began
strip = inside.plate(inside.TOLD["clip"])
shot = properties.shot_of(strip)

# While the daemon has not answered, the panel's operators are pressed again and again.
for _ in range(int(inside.TOLD["presses"])):
    assert inside.call(bpy.ops.inve.prepare) == ""
    session.pump()
    inside.call(bpy.ops.inve.cancel_prepare)
    session.pump()
    inside.call(bpy.ops.inve.dismiss)
assert session.pump_until(lambda: session.waiting == 0, 60), session.waiting
assert inside.call(bpy.ops.inve.prepare) == ""
began = time.monotonic()
assert session.pump_until(lambda: shot.shot in session.shots and session.shots[shot.shot].final, 60), (
    session.problem
)
ready_s = time.monotonic() - began
for _ in range(5):
    assert inside.call(bpy.ops.inve.disconnect) == ""
    assert inside.call(bpy.ops.inve.connect) == ""
    time.sleep(0.05)
inside.connect(session, inside.TOLD["endpoint"], timeout_s=30)
del session.pump
inside.report(
    connected_s=connected_s,
    ready_s=ready_s,
    pump_ms=sorted(pump_ms)[-20:],
    busy_ms=max(busy for _, busy in pump_ms),
    pumps=len(pump_ms),
)
