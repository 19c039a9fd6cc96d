"""*Track Point*: a point picked in the preview, followed through the shot, its track kept in the .blend."""

import bpy
from bpy.props import FloatProperty, IntProperty, StringProperty

from inve_client.plugin import session
from inve_client.plugin.messages import RefusedError

from .. import documents, trackpoints
from ..previews import canvas_of
from ..properties import shot_of
from .base import InveOperator, active_strip
from .tool import PreviewTool


class INVE_OT_track_point(PreviewTool, bpy.types.Operator):
    """Follow a point of the active strip through its shot."""

    bl_idname = "inve.track_point"
    bl_label = "Track Point"
    bl_description = "Pick a point of the active strip in the preview; it is followed through the whole shot"
    help = "click on a point; ESC ends"
    cursor = "CROSSHAIR"

    x: FloatProperty(name="X", description="Pixels of the source picture, from its left", default=-1.0)
    y: FloatProperty(name="Y", description="Pixels of the source picture, from its top", default=-1.0)
    point: StringProperty(
        name="Id", description="Of the point; empty for a free one", maxlen=64, options={"SKIP_SAVE"}
    )

    def run(self, context: bpy.types.Context) -> None:
        """Follow the point that was given."""
        strip = active_strip(context)
        self._track(context, strip, (self.x, self.y), self.point)

    def press(self, context: bpy.types.Context, event: bpy.types.Event) -> None:
        """Follow the point under the mouse."""
        self._track(context, self.canvas.strip, self.place(event), "")

    def _track(
        self, context: bpy.types.Context, strip: bpy.types.bpy_struct, place: tuple[float, float], name: str
    ) -> None:
        from inve_client.plugin.points import Point, Track, TrackPoints

        shot = shot_of(strip).shot
        if not shot:
            raise RefusedError(
                f"The strip {strip.name!r} must be prepared before points are tracked; press Prepare."
            )
        canvas = canvas_of(context, strip)
        if not canvas.geometry.shows(*place):
            raise RefusedError(
                f"The point must be on the picture of {strip.name!r}, got ({place[0]:.1f}, {place[1]:.1f}) "
                f"of {canvas.geometry.picture_width}x{canvas.geometry.picture_height}; click on the picture."
            )
        point = Point(name or trackpoints.free_id(strip), canvas.frame, *place)

        def done(tracks: tuple[Track, ...]) -> None:
            ids = {track.point.id for track in tracks}
            trackpoints.change(
                shot, lambda had: (*(track for track in had if track.point.id not in ids), *tracks)
            )
            for _, one in documents.strips_of(shot):
                shot_of(one).active_track = len(trackpoints.of(one)) - 1

        session.current().ask(TrackPoints(shot, (point,)), done)


class INVE_OT_remove_track(InveOperator, bpy.types.Operator):
    """Forget a tracked point."""

    bl_idname = "inve.remove_track"
    bl_label = "Remove Track"
    bl_description = "Forget the tracked point; what was made of it stays"
    bl_options = {"REGISTER", "UNDO"}

    point: StringProperty(
        name="Id", description="Of the point; empty for the active one", options={"SKIP_SAVE"}
    )

    def run(self, context: bpy.types.Context) -> None:
        """Take it off the strips of the shot."""
        strip = active_strip(context)
        tracks, active = trackpoints.of(strip), shot_of(strip).active_track
        wanted = self.point or (tracks[active].point.id if 0 <= active < len(tracks) else "")
        if all(track.point.id != wanted for track in tracks):
            raise RefusedError(
                f"There must be a tracked point {wanted or 'to remove'!r} on {strip.name!r}, got "
                f"none; track one."
            )
        trackpoints.change(
            shot_of(strip).shot, lambda had: tuple(track for track in had if track.point.id != wanted)
        )


class INVE_OT_choose_track(InveOperator, bpy.types.Operator):
    """Make a tracked point the active one."""

    bl_idname = "inve.choose_track"
    bl_label = "Choose Track"
    bl_description = "Make this tracked point the active one"

    index: IntProperty(name="Index", min=0)

    def run(self, context: bpy.types.Context) -> None:
        """Set it."""
        shot_of(active_strip(context)).active_track = self.index


CLASSES = (INVE_OT_track_point, INVE_OT_remove_track, INVE_OT_choose_track)
