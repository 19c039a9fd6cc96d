"""A daemon that dies at each step of a preparation, and comes back."""

import time

import bpy
import inside

session = inside.install()
properties = inside.module("properties")
ConnectionState = inside.shared("messages").ConnectionState
strip = inside.plate(inside.TOLD["clip"])
shot = properties.shot_of(strip)
daemon = inside.Daemon()
noticed_s, back_s, problems = [], [], []


def lost():
    return session.connection.state is ConnectionState.LOST


def die():
    daemon.kill()
    began = time.monotonic()
    assert session.pump_until(lost, 20), session.connection
    noticed_s.append(time.monotonic() - began)
    problems.append(session.problem.message)


def come_back():
    daemon.start()
    began = time.monotonic()
    assert session.pump_until(lambda: session.is_connected, 30), session.connection
    back_s.append(time.monotonic() - began)


def ready():
    known = session.shots.get(shot.shot)
    return known is not None and known.final


# Connecting before there is a daemon; it comes later.
inside.preferences().endpoint = inside.TOLD["endpoint"]
assert inside.call(bpy.ops.inve.connect) == ""
assert session.pump_until(lost, 20), session.connection
problems.append(session.problem.message)
come_back()
assert session.problem is None, session.problem

# While it is idle.
die()
come_back()

# Just after Prepare was pressed: the request waits for the next daemon, and is done once.
assert inside.call(bpy.ops.inve.prepare) == ""
die()
come_back()
assert session.pump_until(lambda: session.job_of(shot.shot) is not None, 30), session.problem

# While it learns: the next daemon goes on by itself.
assert session.pump_until(lambda: session.job_of(shot.shot).iteration > 20, 30), session.jobs
first_job = session.job_of(shot.shot).id
die()
come_back()
assert session.pump_until(ready, 60), (session.jobs, session.problem)
same_job = session.job_of(shot.shot).id == first_job

# While there is none, a request fails after its patience, with a sentence; the add-on is unregistered without
# a hang.
die()
thread_module = inside.shared("link_thread")
thread_module.LOST_PATIENCE_S = 1.0
session.dismiss()
assert inside.call(bpy.ops.inve.prepare) == ""
assert session.pump_until(lambda: session.problem is not None, 20)
problems.append(session.problem.message)
began = time.perf_counter()
bpy.ops.preferences.addon_disable(module=inside.PACKAGE)
disable_ms = (time.perf_counter() - began) * 1000
inside.report(noticed_s=noticed_s, back_s=back_s, problems=problems, same_job=same_job, disable_ms=disable_ms)
