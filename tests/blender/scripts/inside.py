"""For the scripts that run inside Blender: install the zip, build a timeline, measure, report.

A script is called with one JSON argument, prints one line with `report`, and ends by itself: its exit code is
part of what is tested.
"""

import atexit
import gc
import importlib
import json
import os
import subprocess
import sys
import time

import bpy

TOLD = json.loads(sys.argv[1])
PACKAGE = "bl_ext.user_default.inve_blender"
OPERATOR_MS = []


def install():
    """Install and enable the built zip, as a user does; gives the add-on's session."""
    bpy.ops.extensions.package_install_files(
        filepath=TOLD["zip"], repo="user_default", enable_on_install=True, overwrite=True
    )
    assert PACKAGE in bpy.context.preferences.addons, "the add-on was not enabled"
    return shared("session").current()


def module(name):
    """One of the installed add-on's modules."""
    return importlib.import_module(f"{PACKAGE}.{name}")


def shared(name):
    """One of the modules that all plugins share; they came with the zip."""
    return importlib.import_module(f"inve_client.plugin.{name}")


def preferences():
    return bpy.context.preferences.addons[PACKAGE].preferences


class Collections:
    """How long Python's garbage collector took meanwhile.

    A full collection takes 15 to 40 ms with all that Blender has loaded, whoever happens to allocate when it
    is due: it is Python's time and not an operator's, and is told apart.
    """

    def __enter__(self):
        self.ms = self._began = 0.0
        gc.callbacks.append(self._called)
        return self

    def __exit__(self, *_):
        # Left in place it would keep bpy alive to the end, and a bpy that is not freed crashes or hangs at
        # exit.
        gc.callbacks.remove(self._called)

    def _called(self, phase, _):
        if phase == "start":
            self._began = time.perf_counter()
        else:
            self.ms += (time.perf_counter() - self._began) * 1000


def call(operator, **arguments):
    """Call an operator, and keep how long it held Blender up; gives its refusal's text, or "".

    Kept are its time, its name, and apart from that the collector's; last, how long the processor was at it,
    which tells a slow operator from a crowded machine.
    """
    with Collections() as collections:
        began, busy = time.perf_counter(), time.thread_time()
        try:
            operator(**arguments)
            said = ""
        except RuntimeError as error:
            said = str(error)
        took_ms = (time.perf_counter() - began) * 1000
        busy_ms = (time.thread_time() - busy) * 1000
    OPERATOR_MS.append(
        (took_ms - collections.ms, operator.idname_py(), collections.ms, busy_ms - collections.ms)
    )
    return said


def watch_pumps(session):
    """Have each pump of a session measured from now on: [ms, ms of the processor], apart from collections."""
    plain, measured = session.pump, []

    def pump():
        with Collections() as collections:
            began, busy = time.perf_counter(), time.thread_time()
            came = plain()
            took_ms = (time.perf_counter() - began) * 1000
            busy_ms = (time.thread_time() - busy) * 1000
        measured.append([took_ms - collections.ms, busy_ms - collections.ms])
        return came

    session.pump = pump
    return measured


def connect(session, endpoint, timeout_s=20):
    preferences().endpoint = endpoint
    assert call(bpy.ops.inve.connect) == ""
    assert session.pump_until(lambda: session.is_connected, timeout_s), session.connection


def editor():
    scene = bpy.context.scene
    return scene.sequence_editor or scene.sequence_editor_create()


def strips():
    return editor().strips if hasattr(editor(), "strips") else editor().sequences


def image_strip(folder, names, channel=1, name="plate"):
    """An image sequence, active."""
    strip = strips().new_image(
        name=name, filepath=os.path.join(folder, names[0]), channel=channel, frame_start=1
    )
    for one in names[1:]:
        strip.elements.append(one)
    editor().active_strip = strip
    return strip


def plate(clip, frames=(1001, 1002, 1003, 1004), what="plate", channel=1):
    return image_strip(clip, [f"{what}.{frame}.png" for frame in frames], channel=channel, name=what)


def matte_folder(clip):
    """The clip's mattes in a folder of their own, as a matte folder is."""
    folder = os.path.join(os.path.dirname(clip), "mattes")
    os.makedirs(folder, exist_ok=True)
    for name in sorted(os.listdir(clip)):
        if name.startswith("matte"):
            os.link(os.path.join(clip, name), os.path.join(folder, name))
    return folder


class Daemon:
    """A daemon that the script starts and kills itself."""

    def __init__(self):
        self.process = None

    def start(self):
        # What a killed daemon's worker complains about is no complaint of the add-on's.
        self.process = subprocess.Popen(
            TOLD["daemon"], env=TOLD["daemon_environment"], stderr=subprocess.DEVNULL
        )
        # It must not outlive a script that fails: it holds the pipe that the test reads.
        atexit.register(self.process.kill)

    def kill(self):
        self.process.kill()
        self.process.wait()


def report(**facts):
    worst = sorted(OPERATOR_MS, reverse=True)
    print("REPORT " + json.dumps({**facts, "operator_ms": worst}), flush=True)
