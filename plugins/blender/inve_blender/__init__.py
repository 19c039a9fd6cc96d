"""INVE for Blender's sequence editor: paint on one frame, see it on all of them.

An extension from 4.2 on (blender_manifest.toml); `bl_info` keeps 3.4 working. Importing and registering this
loads nothing but these small files: ZeroMQ comes with the first connection, on its own thread.
"""

# ruff: noqa: E402 - the legacy zip's packages have to be on the path first

import atexit
from collections.abc import Callable, Iterator

import bpy
from bpy.app.handlers import persistent

from . import vendor

vendor.make_importable()

from inve_client.plugin import session
from inve_client.plugin.messages import Problem

from . import (
    documents,
    edit_panels,
    live,
    overlay,
    panel,
    preferences,
    properties,
    pumping,
    result_panel,
)
from .operators import (
    connecting,
    exporting,
    layers,
    painting,
    preparing,
    rendering,
    texturing,
    tool,
    tracking,
)

bl_info = {
    "name": "INVE",
    "author": "The INVE bridge developers",
    "version": (0, 1, 0),
    "blender": (3, 4, 0),
    "location": "Sequencer > Sidebar > INVE",
    "description": "Paint on one frame of a strip, see it on all of them",
    "category": "Sequencer",
}

_CLASSES = (
    *preferences.CLASSES,
    *connecting.CLASSES,
    *preparing.CLASSES,
    *layers.CLASSES,
    *painting.CLASSES,
    *texturing.CLASSES,
    *tracking.CLASSES,
    *rendering.CLASSES,
    *exporting.CLASSES,
    *panel.CLASSES,
    *edit_panels.CLASSES,
    *result_panel.CLASSES,
)
_NEEDED_FOR_A_STROKE = tuple(
    f"{__package__}.{name}"
    for name in ("geometry", "drawing", "ribbon", "edits", "texture_box", "picture_size")
)
_registered = False


@persistent
def _after_load(*_: object) -> None:
    tool.stop()
    documents.forget()
    live.loaded()
    complaint = properties.check_version()
    if complaint:
        session.current().fail(Problem("plugin", complaint))


@persistent
def _before_save(*_: object) -> None:
    documents.store()
    properties.stamp_version()


@persistent
def _after_save(*_: object) -> None:
    live.saved()


@persistent
def _after_undo(*_: object) -> None:
    documents.mirror_all()
    live.undone()


def _handlers() -> Iterator[tuple[list, Callable]]:
    """Lists of Blender's, and what is in them while this is registered."""
    lists = bpy.app.handlers
    yield lists.load_post, _after_load
    yield lists.save_pre, _before_save
    yield lists.save_post, _after_save
    yield lists.undo_post, _after_undo
    yield lists.redo_post, _after_undo


def register() -> None:
    """Blender's entry: properties, operators, panels, the timer."""
    global _registered
    properties.register()
    for cls in _CLASSES:
        bpy.utils.register_class(cls)
    state = session.start("inve_blender", _NEEDED_FOR_A_STROKE)
    documents.start(state)
    live.start()
    for handlers, function in _handlers():
        handlers.append(function)
    overlay.start()
    pumping.start()
    _registered = True
    # Blender as a module does not disable add-ons when it ends, and crashes or hangs over what is left.
    atexit.register(unregister)
    if preferences.preferences().connect_at_start:
        state.connect(preferences.preferences().endpoint)


def unregister() -> None:
    """Blender's exit: everything that register made, and the thread."""
    global _registered
    if not _registered:
        return
    _registered = False
    atexit.unregister(unregister)
    pumping.stop()
    tool.stop()
    overlay.stop()
    live.stop()
    documents.stop()
    session.stop()
    for handlers, function in _handlers():
        handlers.remove(function)
    for cls in reversed(_CLASSES):
        bpy.utils.unregister_class(cls)
    properties.unregister()
