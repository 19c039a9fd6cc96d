"""For the scripts that drive Blender's window by simulated events: an editor, a mouse, steps in turns.

Runs in Blender 3.4 or newer with --enable-event-simulate, the add-on from its folder. A script is a
generator, of which each `yield` is a turn of a timer, since Blender handles events between them. TOLD is the
last argument.
"""

import json
import os
import sys
import time
import traceback

import bpy

TOLD = json.loads(sys.argv[-1])
sys.path[:0] = [TOLD["plugins"], TOLD["daemon_folder"]]
# At the end: of what lies there only what Blender has not itself may be found.
sys.path.append(TOLD["site"])

from inve_blender import compat, documents, previews  # noqa: E402 - found by the path above
from inve_client.plugin import session  # noqa: E402

FACTS = {"shots": []}
STEP_S = 0.05


class Editor:
    """The sequencer with its preview, and a mouse over it."""

    def __init__(self):
        self.window = bpy.context.window_manager.windows[0]
        # The largest area becomes the editor.
        self.area = max(self.window.screen.areas, key=lambda area: area.width * area.height)
        self.area.type = "SEQUENCE_EDITOR"
        self.space = self.area.spaces.active
        self.space.view_type = "PREVIEW"
        self.space.show_region_ui = True

    def region(self, kind):
        return next(region for region in self.area.regions if region.type == kind)

    def override(self):
        return bpy.context.temp_override(window=self.window, area=self.area, region=self.region("PREVIEW"))

    def at(self, x, y):
        """The window's place of a place in the source picture."""
        preview = previews.Preview(self.area, self.region("PREVIEW"), self.space)
        geometry = previews.canvas_of(bpy.context, strip(), preview).geometry
        region = self.region("PREVIEW")
        dots = region.view2d.view_to_region(*geometry.to_preview(x, y), clip=False)
        return region.x + dots[0], region.y + dots[1]

    def event(self, kind, value, place, **more):
        x, y = place
        self.window.event_simulate(type=kind, value=value, x=int(x), y=int(y), **more)

    def stroke(self, places):
        """The mouse goes down at the first, along the others, and up at the last; a turn for each."""
        dots = [self.at(*place) for place in places]
        self.event("MOUSEMOVE", "NOTHING", dots[0])
        yield
        self.event("LEFTMOUSE", "PRESS", dots[0])
        yield
        for place in dots[1:]:
            self.event("MOUSEMOVE", "NOTHING", place)
            yield
        self.event("LEFTMOUSE", "RELEASE", dots[-1])
        yield

    def key(self, kind, place, **more):
        self.event(kind, "PRESS", place, **more)
        yield
        self.event(kind, "RELEASE", place)
        yield

    def choose_tab(self):
        """Click on the sidebar's tab INVE; up to 4.1 there is no other way."""
        region = self.region("UI")
        tab = region.x + region.width - TOLD["tab"][0], region.y + region.height - TOLD["tab"][1]
        self.event("MOUSEMOVE", "NOTHING", tab)
        yield
        self.event("LEFTMOUSE", "PRESS", tab)
        yield
        self.event("LEFTMOUSE", "RELEASE", tab)
        yield

    def picture(self, name):
        """A screenshot, once all is drawn."""
        for _ in range(6):
            yield
        path = os.path.join(TOLD["folder"], name + ".png")
        with self.override():
            bpy.ops.screen.screenshot(filepath=path)
        FACTS["shots"].append(path)
        yield


def add_plate(folder):
    """The pictures of a folder as a strip, active, in a scene of their size."""
    scene = bpy.context.scene
    scene.render.resolution_x, scene.render.resolution_y = TOLD["size"]
    # As in Blender's own start file for video editing.
    scene.view_settings.view_transform = "Standard"
    scene.sequence_editor_create()
    one = add_strip("plate", folder, 1)
    scene.sequence_editor.active_strip = one
    scene.frame_end = len(one.elements)
    return one


def add_strip(name, folder, channel):
    """The pictures of a folder as a strip."""
    files = sorted(os.listdir(folder))
    strips = compat.strips(bpy.context.scene.sequence_editor)
    one = strips.new_image(name, os.path.join(folder, files[0]), channel, 1, fit_method="ORIGINAL")
    for file in files[1:]:
        one.elements.append(file)
    return one


def all_strips():
    return compat.all_strips(bpy.context.scene.sequence_editor)


def strip():
    return next(strip for strip in all_strips() if strip.name == "plate")


def state():
    return session.current()


def connect():
    bpy.context.preferences.addons["inve_blender"].preferences.endpoint = TOLD["endpoint"]
    bpy.ops.inve.connect()
    yield from until(lambda: state().is_connected)


def until(condition, timeout_s=30):
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, ("it did not happen", state().problem, state().connection)
        yield


def edits(name):
    document = documents.of(strip())
    return [dict(edit) for layer in document.layers if layer["name"] == name for edit in layer["edits"]]


def settled():
    return until(lambda: not documents.of(strip()).waiting and not documents.of(strip()).needs_fetch)


def run(steps):
    """Enable the add-on, go through a script's steps, report, end Blender."""
    bpy.context.preferences.view.show_splash = False
    bpy.ops.preferences.addon_enable(module="inve_blender")
    running = steps()

    def turn():
        try:
            next(running)
        except StopIteration:
            bpy.ops.preferences.addon_disable(module="inve_blender")
            print("REPORT " + json.dumps(FACTS), flush=True)
            bpy.ops.wm.quit_blender()
            return None
        except BaseException:  # noqa: BLE001 - Blender would go on without it, for ever
            traceback.print_exc()
            sys.stdout.flush()
            os._exit(1)
        return STEP_S

    bpy.app.timers.register(turn, first_interval=1.0)
