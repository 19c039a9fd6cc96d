"""The panels of what an artist does: layers, brush and tools, texture, adjustment, tracked points."""

import bpy

from inve_client.plugin import session
from inve_client.plugin.messages import RefusedError

from . import compat, documents, results, trackpoints
from .operators import tool
from .panel import InvePanel, draw_text
from .properties import settings_of, shot_of

_KIND_ICONS = {"sketch": "BRUSH_DATA", "texture": "TEXTURE", "adjustment": "COLOR"}


class INVE_UL_layers(bpy.types.UIList):
    """Edit layers, the top one first."""

    def draw_item(
        self,
        _context: bpy.types.Context,
        layout: bpy.types.UILayout,
        _data: bpy.types.bpy_struct,
        item: bpy.types.PropertyGroup,
        _icon: int,
        _active_data: bpy.types.bpy_struct,
        _active_property: str,
        _index: int = 0,
        _flag: int = 0,
    ) -> None:
        """One row."""
        row = layout.row(align=True)
        row.prop(item, "name", text="", emboss=False, icon=_KIND_ICONS[item.kind])
        if item.opacity < 1:
            # There is no room for a slider beside a name.
            share = row.row()
            share.ui_units_x = 2.2
            share.label(text=f"{item.opacity:.0%}")
        row.prop(item, "solo", text="", emboss=False, icon="SOLO_ON" if item.solo else "SOLO_OFF")
        row.prop(item, "enabled", text="", emboss=False, icon="HIDE_OFF" if item.enabled else "HIDE_ON")


class ShotPanel(InvePanel):
    """Mixin: a panel of a strip that has a shot."""

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Only with a shot."""
        strip = results.active_source(context)
        return strip is not None and bool(strip.inve.shot)


class INVE_PT_layers(ShotPanel, bpy.types.Panel):
    """The edit layers of the active strip's shot."""

    bl_label = "Edit Layers"
    bl_order = 2

    def draw(self, context: bpy.types.Context) -> None:
        """Draw it."""
        layout, strip = self.layout, results.active_source(context)
        group = shot_of(strip)
        row = layout.row()
        row.template_list("INVE_UL_layers", "", group, "layers", group, "active_layer", rows=4)
        side = row.column(align=True)
        side.operator_menu_enum("inve.add_layer", "kind", text="", icon="ADD")
        side.operator("inve.remove_layer", text="", icon="REMOVE")
        side.separator()
        side.operator("inve.move_layer", text="", icon="TRIA_UP").direction = "UP"
        side.operator("inve.move_layer", text="", icon="TRIA_DOWN").direction = "DOWN"
        if 0 <= group.active_layer < len(group.layers):
            layer = group.layers[group.active_layer]
            column = layout.column()
            column.use_property_split = True
            column.use_property_decorate = False
            column.prop(layer, "opacity", slider=True)
            if layer.kind != "adjustment":
                column.prop(layer, "blend")
        row = layout.row(align=True)
        row.operator("inve.undo", icon="LOOP_BACK")
        row.operator("inve.redo", icon="LOOP_FORWARDS")
        self._draw_standing(context, strip)

    def _draw_standing(self, context: bpy.types.Context, strip: bpy.types.bpy_struct) -> None:
        """What is not on the daemon, and why."""
        document = documents.in_memory(strip)
        if document is None:
            return
        if document.lost:
            draw_text(
                context,
                self.layout,
                f"The daemon has not the {len(document.lost)} layers of this file.",
                "ERROR",
            )
            self.layout.operator("inve.restore_edits", icon="RECOVER_LAST")
        if document.waiting and (document.held or not session.current().is_connected):
            steps = "1 step waits" if document.waiting == 1 else f"{document.waiting} steps wait"
            draw_text(context, self.layout, f"{steps} for the daemon. {document.held}", "TIME")
            if document.held:
                self.layout.operator("inve.send_edits", icon="FILE_REFRESH")


class INVE_PT_tools(ShotPanel, bpy.types.Panel):
    """The tools of the preview, and the brush."""

    bl_label = "Tools"
    bl_order = 3

    def draw(self, context: bpy.types.Context) -> None:
        """Draw it."""
        layout, settings = self.layout, settings_of(compat.sequencer_scene(context))
        grid = layout.grid_flow(columns=2, even_columns=True, align=True)
        for idname, icon in (
            ("inve.paint", "BRUSH_DATA"),
            ("inve.adjust_region", "COLOR"),
            ("inve.place_texture", "TEXTURE"),
            ("inve.track_point", "TRACKING"),
        ):
            grid.operator(idname, icon=icon, depress=tool.is_running(idname))
        column = layout.column()
        column.use_property_split = True
        column.use_property_decorate = False
        column.prop(settings, "brush_size")
        column.prop(settings, "brush_hardness", slider=True)
        column.prop(settings, "brush_color")
        column.prop(settings, "brush_opacity", slider=True)
        row = column.row(heading="Pressure", align=True)
        row.prop(settings, "use_pressure_size", text="Size", toggle=True)
        row.prop(settings, "use_pressure_opacity", text="Opacity", toggle=True)
        column.prop(settings, "use_smoothing")


class ToolPanel(ShotPanel):
    """Mixin: settings of one tool, closed at first."""

    bl_parent_id = "INVE_PT_tools"
    bl_options = {"DEFAULT_CLOSED"}


class INVE_PT_adjustment(ToolPanel, bpy.types.Panel):
    """What Adjust Region does."""

    bl_label = "Adjustment"

    def draw(self, context: bpy.types.Context) -> None:
        """Draw it."""
        column, settings = self.layout.column(), settings_of(compat.sequencer_scene(context))
        column.use_property_split = True
        column.use_property_decorate = False
        column.prop(settings, "use_outline")
        for name in ("hue", "saturation", "brightness", "exposure"):
            column.prop(settings, name)
        column.operator("inve.readjust")


class INVE_PT_texture(ToolPanel, bpy.types.Panel):
    """What Place Texture places."""

    bl_label = "Texture"

    def draw(self, context: bpy.types.Context) -> None:
        """Draw it."""
        column, settings = self.layout.column(), settings_of(compat.sequencer_scene(context))
        column.use_property_split = True
        column.use_property_decorate = False
        column.prop(settings, "texture_path")
        column.prop(settings, "texture_tracking")
        column.prop(settings, "show_textures")
        column.operator("inve.move_texture", depress=tool.is_running("inve.move_texture"))


class INVE_PT_tracks(ToolPanel, bpy.types.Panel):
    """The tracked points."""

    bl_label = "Tracks"

    def draw(self, context: bpy.types.Context) -> None:
        """Draw it."""
        layout, strip = self.layout, results.active_source(context)
        layout.prop(settings_of(compat.sequencer_scene(context)), "show_tracks")
        try:
            tracks = trackpoints.of(strip)
        except RefusedError as refusal:
            draw_text(context, layout, refusal.problem.message, "ERROR")
            return
        if not tracks:
            layout.label(text="No points tracked")
        column = layout.column(align=True)
        for index, track in enumerate(tracks):
            row = column.row(align=True)
            is_active = index == shot_of(strip).active_track
            seen = sum(track.visible)
            text = f"{track.point.id}: seen on {seen} of {len(track.frames)}"
            row.operator("inve.choose_track", text=text, depress=is_active).index = index
            row.operator("inve.remove_track", text="", icon="X").point = track.point.id


CLASSES = (
    INVE_UL_layers,
    INVE_PT_layers,
    INVE_PT_tools,
    INVE_PT_adjustment,
    INVE_PT_texture,
    INVE_PT_tracks,
)
