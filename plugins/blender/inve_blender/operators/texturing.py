"""*Place Texture*: a picture put on the shot with the mouse, then one step.

Scripts call it with its place, in pixels of the source picture, on the current frame:

    bpy.ops.inve.place_texture(filepath="/logos/sign.png", x=400, y=210, width=120)
"""

from typing import Any

import bpy
from bpy.props import EnumProperty, FloatProperty, StringProperty

from inve_client.plugin.messages import RefusedError

from .. import compat, documents, overlay
from ..previews import canvas_of
from ..properties import TRACKINGS, settings_of
from .base import active_strip
from .painting import activate_layer, active_layer
from .tool import PreviewTool

_REACH_DOTS = 10.0
_KEYS = {"G": "move", "S": "scale", "R": "rotate"}


class INVE_OT_place_texture(PreviewTool, bpy.types.Operator):
    """Place a picture on the active strip."""

    bl_idname = "inve.place_texture"
    bl_label = "Place Texture"
    bl_description = (
        "Place the picture below on the active strip, in the preview; it appears on all of its frames"
    )
    help = "drag it, its corners or its handle, or G S R; Ctrl for steps; Enter places it, ESC does not"
    cursor = "SCROLL_XY"

    filepath: StringProperty(
        name="Picture",
        description="Empty for the one of the panel",
        subtype="FILE_PATH",
        options={"SKIP_SAVE"},
    )
    x: FloatProperty(name="X", description="Of its middle, pixels of the source picture", default=0.0)
    y: FloatProperty(name="Y", description="Of its middle, pixels of the source picture", default=0.0)
    width: FloatProperty(name="Width", description="In pixels of the source picture", min=0.0, default=0.0)
    height: FloatProperty(
        name="Height", description="In pixels of the source picture; 0 for the picture's proportions", min=0.0
    )
    rotation: FloatProperty(name="Rotation", description="In degrees, clockwise as seen")
    tracking: EnumProperty(name="Tracking", items=TRACKINGS)

    def run(self, context: bpy.types.Context) -> None:
        """Place it as it was given; without a width, in the middle."""
        from ..texture_box import TextureBox

        path = self._path(context, self.filepath)
        canvas = canvas_of(context, active_strip(context))
        size = _size_of(path)
        if self.width == 0:
            box = TextureBox.fitted(size, canvas.geometry.visible)
        else:
            height = self.height or self.width * size[1] / size[0]
            box = TextureBox(self.x, self.y, self.width, height, self.rotation)
        self._put(context, canvas, path, box, self.tracking)

    # With the mouse

    def begin(self, context: bpy.types.Context) -> None:
        """It lies in the middle."""
        from ..texture_box import TextureBox

        self.path = self._path(context, self.filepath)
        self.box = TextureBox.fitted(_size_of(self.path), self.canvas.geometry.visible)
        self.handle, self.start, self.before, self.placed = None, (0.0, 0.0), self.box, False

    @property
    def is_busy(self) -> bool:
        """Whether a key has begun to move, turn or scale it."""
        return self.handle is not None

    @property
    def is_done(self) -> bool:
        """It was placed."""
        return self.placed

    def hover(self, context: bpy.types.Context, event: bpy.types.Event) -> None:
        """After a key it follows the mouse without a button."""
        overlay.state.box = self.box
        if self.handle is not None:
            self.drag(context, event)

    def press(self, context: bpy.types.Context, event: bpy.types.Event) -> None:
        """Take hold of what is under the mouse; or, after a key, leave it there."""
        if self.handle is not None:
            self.handle, self.is_dragging = None, False
            return
        dot = self.canvas.pixels_per_dot
        self._hold(self.box.handle_at(self.place(event), _REACH_DOTS * dot, dot), event)

    def drag(self, context: bpy.types.Context, event: bpy.types.Event) -> None:
        """It follows."""
        if self.handle is not None:
            self.box = self.before.dragged(self.handle, self.start, self.place(event), steps=event.ctrl)
        overlay.state.box = self.box

    def release(self, context: bpy.types.Context, event: bpy.types.Event) -> None:
        """It stays there."""
        self.handle = None

    def cancel(self, context: bpy.types.Context) -> None:
        """Back to where it was before the drag."""
        if self.handle is not None:
            self.box, self.handle = self.before, None
        overlay.state.box = self.box

    def key(self, context: bpy.types.Context, event: bpy.types.Event) -> bool:
        """G, S and R as everywhere in Blender; Enter places it."""
        if event.type in ("RET", "NUMPAD_ENTER"):
            if self.handle is not None:
                self.handle = None
                return True
            tracking = settings_of(compat.sequencer_scene(context)).texture_tracking
            # On the strip and the frame that it is seen on now.
            self._put(context, canvas_of(context, active_strip(context)), self.path, self.box, tracking)
            self.placed = True
            return True
        if event.type not in _KEYS or event.ctrl or event.alt or event.oskey:
            return False
        self.cancel(context)
        self._hold(_KEYS[event.type], event)
        return True

    def _hold(self, handle: Any, event: bpy.types.Event) -> None:
        self.handle, self.start, self.before = handle, self.place(event), self.box

    def _path(self, context: bpy.types.Context, given: str) -> str:
        path = given or settings_of(compat.sequencer_scene(context)).texture_path
        if not path:
            raise RefusedError("A picture must be chosen to be placed, got none; choose one under Texture.")
        if path.startswith("//") and not bpy.data.filepath:
            raise RefusedError(
                f"The picture's path is relative to the .blend, which has not been saved "
                f"({path!r}); save it first."
            )
        return bpy.path.abspath(path)

    def _put(self, context: bpy.types.Context, canvas: Any, path: str, box: Any, tracking: str) -> None:
        from ..edits import layer_for

        geometry = canvas.geometry
        if not (0 <= box.x <= geometry.picture_width and 0 <= box.y <= geometry.picture_height):
            raise RefusedError(
                f"The texture's middle must be in the picture of {canvas.strip.name!r}, got ({box.x:.1f}, "
                f"{box.y:.1f}) of {geometry.picture_width}x{geometry.picture_height}; move it inside."
            )
        strip = canvas.strip
        edit = {"type": "texture", "image": path, "frame": canvas.frame, **box.fields(), "tracking": tracking}
        name = layer_for(documents.of(strip), "texture", active_layer(strip))
        documents.change(strip, lambda document: document.add_edits(name, [edit]))
        activate_layer(strip, name)


class INVE_OT_move_texture(PreviewTool, bpy.types.Operator):
    """Move, scale and turn the textures that were placed on the current frame."""

    bl_idname = "inve.move_texture"
    bl_label = "Move Textures"
    bl_description = "Move, scale and turn textures in the preview, on the frame they were placed on"
    help = "drag a texture, its corners or its handle; Ctrl for steps; ESC ends"
    cursor = "SCROLL_XY"

    edit: StringProperty(name="Edit", description="The id of the texture", options={"SKIP_SAVE"})
    x: FloatProperty(name="X", description="Pixels of the source picture")
    y: FloatProperty(name="Y", description="Pixels of the source picture")
    width: FloatProperty(name="Width", description="In pixels of the source picture", min=0.0)
    height: FloatProperty(name="Height", description="In pixels of the source picture", min=0.0)
    rotation: FloatProperty(name="Rotation", description="In degrees, clockwise as seen")

    def run(self, context: bpy.types.Context) -> None:
        """Change what was given of the texture that was named."""
        strip = active_strip(context)
        edit = self._find(strip, self.edit)
        names = ("x", "y", "width", "height", "rotation")
        given = {name: getattr(self, name) for name in names if self.properties.is_property_set(name)}
        self._replace(strip, {**edit, **given})

    held: Any = None

    def begin(self, context: bpy.types.Context) -> None:
        """Nothing is held yet."""
        self.held = None

    def press(self, context: bpy.types.Context, event: bpy.types.Event) -> None:
        """Take hold of the topmost texture under the mouse."""
        from ..texture_box import TextureBox

        dot, place = self.canvas.pixels_per_dot, self.place(event)
        for edit in reversed(overlay.placed_textures(self.canvas)):
            if "x" not in edit:
                continue
            box = TextureBox.from_edit(edit)
            handle = box.handle_at(place, _REACH_DOTS * dot, dot)
            if handle is not None:
                self.held, self.handle, self.before, self.box, self.start = edit, handle, box, box, place
                overlay.state.held = edit["id"]
                break
        self._show_box()

    def drag(self, context: bpy.types.Context, event: bpy.types.Event) -> None:
        """It follows."""
        if self.held is not None:
            self.box = self.before.dragged(self.handle, self.start, self.place(event), steps=event.ctrl)
        self._show_box()

    def release(self, context: bpy.types.Context, event: bpy.types.Event) -> None:
        """It stays there: one step."""
        held, self.held = self.held, None
        self._show_box()
        if held is not None and self.box != self.before:
            fields = self.box.fields(held.get("anchor", (0.5, 0.5)))
            self._replace(self.canvas.strip, {**held, **fields})

    def cancel(self, context: bpy.types.Context) -> None:
        """It is where it was."""
        self.held = None
        self._show_box()

    def _show_box(self) -> None:
        overlay.state.box = None if self.held is None else self.box
        overlay.state.held = "" if self.held is None else self.held["id"]

    @staticmethod
    def _find(strip: bpy.types.bpy_struct, edit: str) -> Any:
        for layer in documents.of(strip).layers:
            for one in layer["edits"]:
                if one["id"] == edit and one["type"] == "texture":
                    return one
        raise RefusedError(
            f"The texture to be moved must be one of {strip.name!r}, got {edit or 'none'!r}; name it by its "
            f"id."
        )

    @staticmethod
    def _replace(strip: bpy.types.bpy_struct, edit: dict[str, Any]) -> None:
        documents.change(strip, lambda document: document.replace_edit(edit))


def _size_of(path: str) -> tuple[int, int]:
    from ..picture_size import picture_size

    found = picture_size(path)
    if found is None:
        # Blender knows more kinds, but reads the whole picture for its size.
        image = bpy.data.images.load(path)
        found = tuple(image.size)
        bpy.data.images.remove(image)
    if 0 in found:
        raise RefusedError(
            f"The picture {path!r} must be one that Blender can read, got none; choose another."
        )
    return found


CLASSES = (INVE_OT_place_texture, INVE_OT_move_texture)
