"""Edit a sequence without Blender's window: prepare, paint, wait for the frames, save the .blend.

    blender --background --python paint_and_render.py -- PLATES EDITS.json OUT.blend [MATTES] [ENDPOINT]

PLATES and MATTES are folders of numbered pictures, EDITS.json is as `inve-daemon edit` takes it, ENDPOINT is
the daemon's where it is not the default one. The add-on must be enabled and a daemon must run with --root for
the folders. OUT.blend then has the plates on channel 1 and the edited frames above them: render it on any
machine that sees the files, without a daemon.

In background mode nothing happens by itself: `session.pump()` takes in what has come, `pump_until` waits.
"""

import importlib
import json
import os
import sys

import bpy


def add_on(name):
    """One of the add-on's modules, whichever repository it was installed from."""
    enabled = [add_on.module for add_on in bpy.context.preferences.addons]
    package = next((module for module in enabled if module.endswith("inve_blender")), None)
    if package is None:
        sys.exit("The INVE add-on must be enabled, got none; enable it in Blender's preferences.")
    return importlib.import_module(f"{package}.{name}")


def new_strip(scene, folder):
    """A strip of all pictures of a folder, by name, from the scene's first frame on; the render fits it."""
    names = sorted(name for name in os.listdir(folder) if not name.startswith("."))
    editor = scene.sequence_editor or scene.sequence_editor_create()
    strips = editor.strips if hasattr(editor, "strips") else editor.sequences
    strip = strips.new_image("plate", os.path.join(folder, names[0]), 1, scene.frame_start)
    for name in names[1:]:
        strip.elements.append(name)
    scene.frame_end = scene.frame_start + len(names) - 1
    scene.render.resolution_x = strip.elements[0].orig_width
    scene.render.resolution_y = strip.elements[0].orig_height
    editor.active_strip = strip
    return strip


def main(plates, edits, out, mattes="", endpoint=""):
    """Do all of it; whatever goes wrong ends the script with its sentence."""
    # What all plugins share came with the add-on.
    session = importlib.import_module("inve_client.plugin.session").current()
    documents, live, properties = add_on("documents"), add_on("live"), add_on("properties")

    def wait(condition, timeout_s, what):
        if not session.pump_until(lambda: session.problem or condition(), timeout_s) or session.problem:
            sys.exit(session.problem.message if session.problem else f"{what} took more than {timeout_s} s.")

    session.connect(endpoint)
    wait(lambda: session.is_connected, 30, "Connecting")

    scene = bpy.context.scene
    strip = new_strip(scene, plates)
    shot = properties.shot_of(strip)
    shot.preset = "preview"
    if mattes:
        shot.matte_source, shot.matte_folder = "folder", mattes
    bpy.ops.inve.prepare()
    wait(lambda: shot.shot in session.shots and session.shots[shot.shot].final, 3600, "Preparing")

    # Edits are those of the shot, which may have some already: wait for them, then add these.
    wait(lambda: documents.of(strip).revision is not None, 60, "Fetching the edits")
    with open(edits, encoding="utf-8") as file:
        layers = json.load(file)["layers"]
    for layer in layers:
        documents.change(
            strip, lambda document, layer=layer: document.add_edits(layer["name"], layer["edits"])
        )
    wait(lambda: not documents.of(strip).pending, 60, "Sending the edits")

    live.request(strip, scene.frame_current)
    wait(lambda: live.run_of(strip).is_complete and not live.is_busy(), 3600, "Rendering")
    bpy.ops.wm.save_as_mainfile(filepath=out)
    session.disconnect()
    print(f"{out}: {len(live.run_of(strip).files)} edited frames")


if __name__ == "__main__":
    main(*sys.argv[sys.argv.index("--") + 1 :])
