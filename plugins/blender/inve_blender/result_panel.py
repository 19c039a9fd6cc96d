"""The sidebar's part for what comes back: the result of the active strip, and what is made of tracks."""

import bpy

from inve_client.plugin import session

from . import compat, live, results
from .panel import InvePanel, draw_text
from .properties import shot_of


class INVE_PT_result(InvePanel, bpy.types.Panel):
    """The active strip's edited pictures."""

    bl_label = "Result"
    bl_order = 6

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Only with a strip that has a shot, or shows a result."""
        strip = compat.active_strip(context)
        return strip is not None and bool(shot_of(strip).shot or shot_of(strip).is_result)

    def draw(self, context: bpy.types.Context) -> None:
        """Draw it."""
        layout, strip = self.layout, compat.active_strip(context)
        run = live.run_of(strip)
        if run is not None and run.left:
            row = layout.row(align=True)
            done = run.total - run.left
            compat.draw_progress(row, done / max(1, run.total), f"Rendering {done} of {run.total}")
            row.operator("inve.cancel_render", text="", icon="X")
        else:
            row = layout.row(align=True)
            row.enabled = session.current().is_connected
            row.operator("inve.render", icon="RENDER_ANIMATION")
        said = live.standing(strip)
        if said:
            draw_text(context, layout, said)
        one = results.find(shot_of(strip).link_id)
        if one is None or one.result is None:
            return
        for caution in results.cautions(one):
            draw_text(context, layout, caution, icon="INFO")
        layout.operator("inve.release_result", icon="UNLINKED")


class INVE_PT_export(InvePanel, bpy.types.Panel):
    """What a tracked point becomes, and the daemon's exports."""

    bl_label = "Export"
    bl_order = 7

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Only with a strip that has a shot."""
        strip = results.active_source(context)
        return strip is not None and bool(shot_of(strip).shot)

    def draw(self, context: bpy.types.Context) -> None:
        """Draw it."""
        layout = self.layout
        column = layout.column(align=True)
        column.label(text="Active Track")
        column.operator("inve.track_to_empty", icon="EMPTY_AXIS")
        column.operator("inve.track_to_strip", icon="FILE_TEXT")
        column.operator("inve.track_to_properties", icon="FCURVE")
        row = layout.row()
        row.enabled = session.current().is_connected
        row.operator("inve.export", icon="EXPORT")


CLASSES = (INVE_PT_result, INVE_PT_export)
