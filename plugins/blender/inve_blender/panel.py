"""The sequencer's sidebar, tab INVE: connection, the active strip's shot, and the last problem.

Draws what the session and the .blend say, and asks nothing. Further panels belong under the same tab:
subclass `InvePanel`, set `bl_order`.
"""

import textwrap

import bpy

from inve_client.plugin import session, wording
from inve_client.plugin.messages import ConnectionState, Problem

from . import compat, results
from .properties import InveStrip, shot_of

_ICONS = {
    ConnectionState.OFF: "UNLINKED",
    ConnectionState.CONNECTING: "TIME",
    ConnectionState.CONNECTED: "LINKED",
    ConnectionState.LOST: "ERROR",
    ConnectionState.REFUSED: "CANCEL",
}


class InvePanel:
    """Mixin: a panel in the tab INVE, in the sequencer's timeline and preview."""

    bl_space_type = "SEQUENCE_EDITOR"
    bl_region_type = "UI"
    bl_category = "INVE"


class INVE_PT_connection(InvePanel, bpy.types.Panel):
    """How the daemon stands."""

    bl_label = "INVE"
    bl_order = 0

    def draw(self, context: bpy.types.Context) -> None:
        """Draw it."""
        state = session.current()
        layout = self.layout
        connection = state.connection
        row = layout.row(align=True)
        row.label(text=connection.state.value, icon=_ICONS[connection.state])
        if connection.state is ConnectionState.OFF:
            row.operator("inve.connect")
        else:
            row.operator("inve.disconnect", text="", icon="X")
        if connection.state is ConnectionState.CONNECTED:
            layout.label(text=f"inve {connection.version} on {connection.device}")
        elif connection.endpoint:
            layout.label(text=connection.endpoint)
        if state.problem is not None:
            self._draw_problem(context, state.problem)

    def _draw_problem(self, context: bpy.types.Context, problem: Problem) -> None:
        box = self.layout.box()
        row = box.row()
        row.label(text="Problem", icon="ERROR")
        row.operator("inve.dismiss", text="", icon="X", emboss=False)
        draw_text(context, box, problem.message)
        advice = session.advice(problem)
        if advice:
            draw_text(context, box, advice, icon="INFO")


class INVE_PT_shot(InvePanel, bpy.types.Panel):
    """The active strip's shot."""

    bl_label = "Shot"
    bl_order = 1

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Only with a strip."""
        return results.active_source(context) is not None

    def draw(self, context: bpy.types.Context) -> None:
        """Draw it."""
        state, strip = session.current(), results.active_source(context)
        shot = shot_of(strip)
        layout = self.layout
        layout.label(text=strip.name, icon="FILE_MOVIE" if strip.type == "MOVIE" else "FILE_IMAGE")
        job = state.job_of(shot.shot) if shot.shot else None
        is_busy = shot.shot in state.opening or (job is not None and not job.ended)
        settings = layout.column()
        settings.enabled = not is_busy
        self._draw_settings(context, settings, shot)
        known = state.shots.get(shot.shot)
        if is_busy:
            row = layout.row(align=True)
            compat.draw_progress(row, 0.0 if job is None or job.ended else job.share, wording.progress(job))
            row.operator("inve.cancel_prepare", text="", icon="X")
        else:
            row = layout.row()
            row.enabled = state.is_connected
            row.operator(
                "inve.prepare", text="Prepare Again" if known is not None and known.final else "Prepare"
            )
        if shot.shot:
            draw_text(context, layout, wording.standing(state, shot.shot, bool(shot.link_id)))

    @staticmethod
    def _draw_settings(context: bpy.types.Context, layout: bpy.types.UILayout, shot: InveStrip) -> None:
        layout.use_property_split = True
        layout.use_property_decorate = False
        layout.prop(shot, "preset")
        row = layout.row(heading="Working Size")
        row.prop(shot, "use_working_size", text="")
        sub = row.row()
        sub.active = shot.use_working_size
        sub.prop(shot, "working_size", text="")
        layout.prop(shot, "matte_source")
        if shot.matte_source == "strip":
            editor = compat.sequencer_scene(context).sequence_editor
            layout.prop_search(shot, "matte_strip", editor, compat.STRIPS_ALL, text="Strip")
        elif shot.matte_source == "folder":
            layout.prop(shot, "matte_folder", text="Folder")


def draw_text(context: bpy.types.Context, layout: bpy.types.UILayout, text: str, icon: str = "NONE") -> None:
    """A text in as many lines as the sidebar needs; Blender's labels do not wrap."""
    scale = context.preferences.system.ui_scale
    width = context.region.width if context.region is not None else 240
    column = layout.column(align=True)
    column.scale_y = 0.8
    for index, line in enumerate(textwrap.wrap(text, max(16, int(width / (6.8 * scale)) - 6))):
        column.label(text=line, icon=icon if index == 0 else ("BLANK1" if icon != "NONE" else "NONE"))


CLASSES = (INVE_PT_connection, INVE_PT_shot)
