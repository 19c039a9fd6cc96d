"""Register quickly, register and unregister often, leave nothing behind, end cleanly."""

import gc
import importlib
import os
import sys
import threading
import time

import bpy
import inside

# Blender's own, on the path once bpy was imported.
addon_utils = importlib.import_module("addon_utils")

inside.install()
addon_utils.disable(inside.PACKAGE)


def forget():
    for name in [name for name in sys.modules if name.startswith(inside.PACKAGE)]:
        del sys.modules[name]


def milliseconds(call):
    began = time.perf_counter()
    call()
    return (time.perf_counter() - began) * 1000


def enable():
    assert addon_utils.enable(inside.PACKAGE, default_set=True) is not None


def disable():
    addon_utils.disable(inside.PACKAGE)


# What Blender's start pays for: importing and registering. The last round counts, the others warm the disk.
cold = []
for _ in range(5):
    forget()
    gc.collect()
    cold.append(milliseconds(enable))
    heavy = [name for name in ("zmq", "msgpack", "asyncio", "numpy") if name in sys.modules]
    disable()

handlers_before = [len(handlers) for handlers in (bpy.app.handlers.load_post, bpy.app.handlers.save_pre)]
rounds = []
threads = []
for round_number in range(int(inside.TOLD["rounds"])):
    rounds.append(milliseconds(enable))
    session = inside.shared("session").current()
    if round_number % 2:
        inside.preferences().endpoint = inside.TOLD["endpoint"]
        inside.call(bpy.ops.inve.connect)
        # Some rounds end while it connects, some once it has.
        if round_number % 4 == 1:
            assert session.pump_until(lambda s=session: s.is_connected, 20), session.connection
    rounds[-1] += milliseconds(disable)
    threads.append(threading.active_count())
    if round_number == 2:
        descriptors = len(os.listdir("/proc/self/fd"))
time.sleep(0.3)
leftover = {
    "threads": [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()],
    "descriptors": len(os.listdir("/proc/self/fd")) - descriptors,
    "handlers": [len(h) for h in (bpy.app.handlers.load_post, bpy.app.handlers.save_pre)] != handlers_before,
    "types": [name for name in dir(bpy.types) if name.startswith(("INVE_", "Inve"))],
    "operators": hasattr(bpy.types.Scene, "inve"),
}

if inside.TOLD["leave_enabled"]:
    # As a script does that does not know better: the add-on stays enabled and connected when Python ends.
    enable()
    session = inside.shared("session").current()
    inside.connect(session, inside.TOLD["endpoint"])
inside.report(cold_ms=cold, heavy=heavy, rounds_ms=rounds, leftover=leftover)
