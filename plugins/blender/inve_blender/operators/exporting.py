"""What is made of a tracked point, in one undo step each; and what the daemon itself exports."""

# No `from __future__ import annotations`: Blender would have to evaluate each property by itself.

from typing import TYPE_CHECKING

import bpy
from bpy.props import BoolProperty, EnumProperty, FloatProperty, StringProperty

from inve_client.plugin import exporting, session
from inve_client.plugin.messages import RefusedError

from .. import compat, trackpoints
from ..properties import shot_of
from .base import InveOperator, active_strip

if TYPE_CHECKING:
    from inve_client.plugin.points import Track

    from ..tracks import Place

_UNITS = (
    ("SOURCE", "Source Pixels", "Pixels of the source picture from its top left corner, y down"),
    ("PREVIEW", "Preview", "Pixels of the render from its middle, y up"),
    ("SHARE", "Share", "0 to 1 from the render's lower left corner"),
)
_SPACES = (
    ("PLANE", "Plane", "In the world's XY plane; the render is one unit high, its middle is the origin"),
    ("CAMERA", "Camera", "Before the scene's camera, which sees it where the point is"),
)


class _UseTrack(InveOperator):
    """Mixin: works on a track of the active strip."""

    point: str

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Greyed out where there is no track."""
        from .. import results

        strip = results.active_source(context)
        return strip is not None and bool(shot_of(strip).tracks)

    def track(self, context: bpy.types.Context) -> "Track":
        """The track that is meant.

        Raises:
            RefusedError: there is none of that id.
        """
        strip = active_strip(context)
        tracks, active = trackpoints.of(strip), shot_of(strip).active_track
        for index, track in enumerate(tracks):
            if track.point.id == self.point or (not self.point and index == active):
                return track
        raise RefusedError(
            f"There must be a tracked point {self.point or ''!r} on {strip.name!r}, got none; track one."
        )

    def places(self, context: bpy.types.Context) -> "list[Place]":
        """Where it is on the scene's frames."""
        from .. import tracks

        strip = active_strip(context)
        known = session.current().shots.get(shot_of(strip).shot)
        return tracks.places_of(compat.sequencer_scene(context), strip, self.track(context), known)


def _point_property() -> StringProperty:
    return StringProperty(
        name="Id", description="Of the point; empty for the active one", options={"SKIP_SAVE"}
    )


class INVE_OT_track_to_empty(_UseTrack, bpy.types.Operator):
    """Make an empty that follows a tracked point."""

    bl_idname = "inve.track_to_empty"
    bl_label = "To Empty"
    bl_description = "Make an empty that follows the tracked point"
    bl_options = {"REGISTER", "UNDO"}

    point: _point_property()
    space: EnumProperty(name="Space", items=_SPACES)
    distance: FloatProperty(
        name="Distance", description="Before the camera", default=10.0, min=0.001, subtype="DISTANCE"
    )

    def run(self, context: bpy.types.Context) -> None:
        """Make it."""
        from .. import tracks

        scene, places = compat.sequencer_scene(context), self.places(context)
        name = self.track(context).point.id
        if self.space == "CAMERA":
            tracks.to_camera_empty(scene, name, places, self.distance)
        else:
            tracks.to_empty(scene, name, places)


class INVE_OT_track_to_strip(_UseTrack, bpy.types.Operator):
    """Have a strip follow a tracked point."""

    bl_idname = "inve.track_to_strip"
    bl_label = "To Strip"
    bl_description = "Have a text, an image or another strip follow the tracked point, by its transform"
    bl_options = {"REGISTER", "UNDO"}

    point: _point_property()
    target: StringProperty(name="Strip", description="Which strip follows", options={"SKIP_SAVE"})
    keep_distance: BoolProperty(
        name="Keep Distance",
        description="Stay as far from the point as on the current frame; else the strip's middle goes there",
        default=True,
    )
    hide: BoolProperty(
        name="Hide Behind", description="Opacity 0 where something is in front of the point", default=False
    )

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """Ask for the strip; a selected one is offered."""
        source = active_strip(context)
        chosen = [one for one in self._strips(context) if one.select and one != source]
        if chosen and not self.target:
            self.target = chosen[0].name
        return context.window_manager.invoke_props_dialog(self)

    def draw(self, context: bpy.types.Context) -> None:
        """The dialog."""
        editor = compat.sequencer_scene(context).sequence_editor
        self.layout.prop_search(self, "target", editor, compat.STRIPS_ALL)
        self.layout.prop(self, "keep_distance")
        self.layout.prop(self, "hide")

    def run(self, context: bpy.types.Context) -> None:
        """Animate it."""
        from .. import tracks

        scene, places = compat.sequencer_scene(context), self.places(context)
        target = self._strips(context).get(self.target)
        if target is None or target == active_strip(context) or shot_of(target).is_result:
            raise RefusedError(
                f"The strip that follows must be another one of this scene, no source and no result, got "
                f"{self.target or 'none'!r}; choose a text or an image."
            )
        tracks.to_strip(scene, target, places, keep_distance=self.keep_distance, hide=self.hide)

    @staticmethod
    def _strips(context: bpy.types.Context) -> bpy.types.bpy_prop_collection:
        return compat.all_strips(compat.sequencer_scene(context).sequence_editor)


class INVE_OT_track_to_properties(_UseTrack, bpy.types.Operator):
    """Animate properties by a tracked point."""

    bl_idname = "inve.track_to_properties"
    bl_label = "To F-Curves"
    bl_description = "Animate any two numbers by the tracked point, given by their full data paths"
    bl_options = {"REGISTER", "UNDO"}

    point: _point_property()
    path_x: StringProperty(
        name="X", description='As Copy Full Data Path gives it: bpy.data.objects["Cube"].location[0]'
    )
    path_y: StringProperty(name="Y", description="The same for the other axis; empty is left alone")
    unit: EnumProperty(name="Unit", items=_UNITS)

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """Ask for the paths."""
        return context.window_manager.invoke_props_dialog(self)

    def run(self, context: bpy.types.Context) -> None:
        """Animate them."""
        from .. import tracks

        if not self.path_x and not self.path_y:
            raise RefusedError(
                "A data path must be given, got none; right-click on a property to copy its path."
            )
        x, y = (tracks.find_property(path) if path else None for path in (self.path_x, self.path_y))
        tracks.to_properties(self.places(context), self.unit, x, y)


class INVE_OT_export(InveOperator, bpy.types.Operator):
    """Export a shot's maps and tracks, where the daemon offers that."""

    bl_idname = "inve.export"
    bl_label = "Export"
    bl_description = "Have the daemon export the shot's maps, where it offers that"

    def run(self, context: bpy.types.Context) -> None:
        """Ask the daemon; its answer comes to the panel."""
        shot = shot_of(active_strip(context)).shot
        if not shot:
            raise RefusedError("The strip must be prepared before it is exported; press Prepare.")
        exporting.export(session.current(), shot, "the tracks here")


CLASSES = (INVE_OT_track_to_empty, INVE_OT_track_to_strip, INVE_OT_track_to_properties, INVE_OT_export)
