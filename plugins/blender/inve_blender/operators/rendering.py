"""Render the active strip's edits onto a strip above it, and stop that."""

import bpy

from inve_client.plugin import session
from inve_client.plugin.messages import RefusedError

from .. import compat, live, results
from ..properties import shot_of
from .base import InveOperator, active_strip


class INVE_OT_render(InveOperator, bpy.types.Operator):
    """Render the active strip's frames with their edits, the current one first."""

    bl_idname = "inve.render"
    bl_label = "Render"
    bl_description = (
        "Show the edits of the active strip on a strip above it: the current frame at once, then all others"
    )
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Greyed out where no strip is active."""
        return compat.active_strip(context) is not None

    def run(self, context: bpy.types.Context) -> None:
        """Ask for the frames."""
        if not session.current().is_connected:
            raise RefusedError(
                "A daemon must be connected to render, got none; press Connect.", "unreachable"
            )
        live.request(active_strip(context), compat.sequencer_scene(context).frame_current)


class INVE_OT_cancel_render(InveOperator, bpy.types.Operator):
    """Ask for no more frames."""

    bl_idname = "inve.cancel_render"
    bl_label = "Cancel"
    bl_description = "Ask for no more frames; those that have come stay"

    def run(self, context: bpy.types.Context) -> None:
        """Empty the queue."""
        strip = active_strip(context)
        if not live.cancel(strip):
            raise RefusedError(f"{strip.name!r} must be rendering to be cancelled; it is not.")


class INVE_OT_release_result(InveOperator, bpy.types.Operator):
    """Let a result be a strip like any other."""

    bl_idname = "inve.release_result"
    bl_label = "Release Result"
    bl_description = (
        "Let the result be a strip like any other: it follows its source no more, and stays as it is"
    )
    bl_options = {"REGISTER", "UNDO"}

    def run(self, context: bpy.types.Context) -> None:
        """Cut the link."""
        strip = active_strip(context)
        one = results.find(shot_of(results.source_of(strip)).link_id)
        if one is None or one.result is None:
            raise RefusedError(f"{strip.name!r} must have a result to release, got none; press Render.")
        live.rendering().forget(one.key)
        results.release(one.result)


CLASSES = (INVE_OT_render, INVE_OT_cancel_render, INVE_OT_release_result)
