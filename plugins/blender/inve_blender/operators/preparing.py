"""Prepare a strip's shot, and stop that."""

import bpy

from inve_client.plugin import preparation, session
from inve_client.plugin.messages import OpenShot, RefusedError, Train

from .. import compat, sources
from ..properties import shot_of
from .base import InveOperator, active_strip


class INVE_OT_prepare(InveOperator, bpy.types.Operator):
    """Have the daemon learn the active strip's pictures."""

    bl_idname = "inve.prepare"
    bl_label = "Prepare"
    bl_description = (
        "Have the daemon learn the active strip's pictures, so that edits on one frame reach all of them"
    )
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Greyed out where no strip is active."""
        return compat.active_strip(context) is not None

    def run(self, context: bpy.types.Context) -> None:
        """Open the shot and start its training."""
        strip = active_strip(context)
        shot = shot_of(strip)
        source = sources.source_of(strip)
        mattes = sources.mattes_of(strip, shot, compat.sequencer_scene(context).sequence_editor)
        name = sources.shot_name(strip, source, mattes)
        preparation.prepare(
            session.current(),
            OpenShot(name, source.pattern, mattes, source.frame_range),
            Train(name, shot.preset, shot.working_size if shot.use_working_size else None),
        )
        shot.shot = name


class INVE_OT_cancel_prepare(InveOperator, bpy.types.Operator):
    """Stop learning the active strip's shot."""

    bl_idname = "inve.cancel_prepare"
    bl_label = "Cancel"
    bl_description = "Stop learning; Prepare goes on from where it was"

    def run(self, context: bpy.types.Context) -> None:
        """Ask the daemon to end the job."""
        strip = active_strip(context)
        if not preparation.cancel(session.current(), shot_of(strip).shot):
            raise RefusedError(
                f"The shot of {strip.name!r} must be in preparation to be cancelled; it is not."
            )


CLASSES = (INVE_OT_prepare, INVE_OT_cancel_prepare)
