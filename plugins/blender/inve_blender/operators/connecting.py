"""Connect to a daemon, let go of it, and take a problem off the panel."""

import bpy

from inve_client.plugin import session

from ..preferences import preferences
from .base import InveOperator


class INVE_OT_connect(InveOperator, bpy.types.Operator):
    """Connect to the daemon that the add-on's preferences name, and stay connected."""

    bl_idname = "inve.connect"
    bl_label = "Connect"
    bl_description = "Connect to the INVE daemon; it is tried again until it answers"

    def run(self, context: bpy.types.Context) -> None:
        """Start connecting."""
        session.current().connect(preferences(context).endpoint)


class INVE_OT_disconnect(InveOperator, bpy.types.Operator):
    """Let go of the daemon; its work goes on."""

    bl_idname = "inve.disconnect"
    bl_label = "Disconnect"
    bl_description = "Let go of the INVE daemon; what it is working on goes on"

    def run(self, context: bpy.types.Context) -> None:
        """Close the connection."""
        session.current().disconnect()


class INVE_OT_dismiss(InveOperator, bpy.types.Operator):
    """Take the last problem off the panel."""

    bl_idname = "inve.dismiss"
    bl_label = "Dismiss"
    bl_description = "Take this message off the panel"

    def run(self, context: bpy.types.Context) -> None:
        """Forget it."""
        session.current().dismiss()


CLASSES = (INVE_OT_connect, INVE_OT_disconnect, INVE_OT_dismiss)
