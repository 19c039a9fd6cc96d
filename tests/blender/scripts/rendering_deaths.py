"""A daemon that dies while frames are awaited, and comes back: each frame arrives, and none of old edits."""

import os
import time

import bpy
import inside

session = inside.install()
inside.preferences().cache_folder = os.path.join(inside.TOLD["folder"], "cache")
properties, live, results = (inside.module(name) for name in ("properties", "live", "results"))
documents, result_names = inside.module("documents"), inside.shared("result_names")
ConnectionState = inside.shared("messages").ConnectionState
pump_ms = inside.watch_pumps(session)
daemon = inside.Daemon()
daemon.start()
inside.connect(session, inside.TOLD["endpoint"], 30)
strip = inside.plate(inside.TOLD["clip"])
shot = properties.shot_of(strip)
assert inside.call(bpy.ops.inve.prepare) == ""
name = shot.shot
assert session.pump_until(lambda: name in session.shots and session.shots[name].final, 60), session.problem
assert session.pump_until(lambda: documents.of(strip).revision is not None, 30)


def die():
    daemon.kill()
    assert session.pump_until(lambda: session.connection.state is ConnectionState.LOST, 20)


def come_back():
    daemon.start()
    assert session.pump_until(lambda: session.is_connected, 30), session.connection


def stroke(x):
    line = {"type": "stroke", "frame": 1001, "points": [[x, 10.0], [x + 4, 10.0]], "width": 4.0}
    documents.change(
        strip, lambda layers: layers.add_edits("paint", [{**line, "color": [1.0, 0.0, 0.0, 1.0]}])
    )


def revisions():
    found = results.find(shot.link_id)
    if found is None or found.result is None:
        return []
    return [result_names.revision_of(element.filename) for element in found.result.elements]


def settled(revision):
    return session.pump_until(lambda: revisions() == [revision] * 4 and not live.is_busy(), 60)


# With frames on their way.
stroke(5.0)
assert session.pump_until(lambda: live.run_of(strip) is not None and live.run_of(strip).out, 30)
die()
waiting = live.run_of(strip).left
come_back()
assert settled(2), (revisions(), session.problem)

# With a stroke on its way, after the daemon has gone.
die()
stroke(9.0)
offline = live.standing(strip)
shown = revisions()
come_back()
assert settled(3), (revisions(), session.problem)

# With half of the frames there: those that are there stay.
stroke(13.0)
assert session.pump_until(lambda: 0 < revisions().count(4) < 4, 30), revisions()
die()
half = revisions()
come_back()
assert settled(4), (revisions(), session.problem)
problem = session.problem and session.problem.message

# It comes back without its store: what the file has is still shown, and said.
die()
inside.TOLD["daemon"] = inside.TOLD["other_daemon"]
come_back()
session.pump_until(lambda: False, 1.0)
kept = revisions()
forgotten = inside.call(bpy.ops.inve.render) or ""
session.pump_until(lambda: session.problem is not None, 20)
forgotten = session.problem.code
session.dismiss()

# Disabled with frames on their way to nobody.
die()
live.request(strip, 1)
began = time.perf_counter()
bpy.ops.preferences.addon_disable(module=inside.PACKAGE)
disable_ms = (time.perf_counter() - began) * 1000
daemon.process.wait()
inside.report(
    waiting=waiting,
    offline=offline,
    shown=shown,
    half=half,
    problem=problem,
    kept=kept,
    forgotten=forgotten,
    disable_ms=disable_ms,
    pump_ms=sorted(pump_ms)[-20:],
    busy_ms=max(busy for _, busy in pump_ms),
)
