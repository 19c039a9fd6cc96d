"""The one timer: in Blender's window it pumps the session and redraws the sequencers when something changed.

Timers do not tick in background mode; scripts call `session.pump()` themselves.
"""

from __future__ import annotations

import bpy

from inve_client.plugin import session
from inve_client.plugin.messages import RefusedError

from . import documents, live

BUSY_S = 0.02
"""Between two pumps while an answer or a job is awaited,"""
IDLE_S = 0.2
"""and otherwise."""


def tick() -> float | None:
    """Pump once; the seconds until the next time, None where the add-on has gone."""
    try:
        state = session.current()
    except RefusedError:
        return None
    documents.open_active(bpy.context)
    if state.pump():
        redraw()
    return BUSY_S if state.waiting or state.has_work or live.is_busy() else IDLE_S


def redraw() -> None:
    """Have the sequencers drawn again."""
    manager = bpy.context.window_manager
    for window in manager.windows if manager is not None else ():
        for area in window.screen.areas:
            if area.type == "SEQUENCE_EDITOR":
                area.tag_redraw()


def start() -> None:
    """Register the timer; it outlives the loading of files."""
    if not bpy.app.background and not bpy.app.timers.is_registered(tick):
        bpy.app.timers.register(tick, first_interval=IDLE_S, persistent=True)


def stop() -> None:
    """Take the timer away."""
    if bpy.app.timers.is_registered(tick):
        bpy.app.timers.unregister(tick)
