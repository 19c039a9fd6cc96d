"""The list of edit layers: add, remove, move, undo, redo, and what puts it right again."""

import bpy
from bpy.props import EnumProperty, StringProperty

from inve_client.plugin.messages import RefusedError

from .. import documents, results
from ..properties import LAYER_KINDS
from .base import InveOperator, active_strip
from .painting import activate_layer, active_layer


class LayerOperator(InveOperator):
    """Mixin: needs a strip with a shot."""

    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Greyed out where no prepared strip is active."""
        strip = results.active_source(context)
        return strip is not None and bool(strip.inve.shot)

    @staticmethod
    def layer_name(context: bpy.types.Context, name: str) -> str:
        """The layer that is meant: the named one, else the active one of the list.

        Raises:
            RefusedError: there is none.
        """
        chosen = name or active_layer(active_strip(context))
        if not chosen:
            raise RefusedError("A layer of the list must be active, got none; add one, or paint.")
        return chosen


class INVE_OT_add_layer(LayerOperator, bpy.types.Operator):
    """Add an empty edit layer on top."""

    bl_idname = "inve.add_layer"
    bl_label = "Add Layer"
    bl_description = "Add an empty edit layer on top"

    kind: EnumProperty(name="Kind", items=LAYER_KINDS)
    layer: StringProperty(name="Name", description="Empty for one after its kind", options={"SKIP_SAVE"})

    def run(self, context: bpy.types.Context) -> None:
        """One step."""
        from ..edits import LAYER_NAMES

        strip = active_strip(context)
        wanted = self.layer or LAYER_NAMES[self.kind]
        activate_layer(strip, documents.change(strip, lambda document: document.add_layer(wanted, self.kind)))


class INVE_OT_remove_layer(LayerOperator, bpy.types.Operator):
    """Remove an edit layer and all that is in it."""

    bl_idname = "inve.remove_layer"
    bl_label = "Remove Layer"
    bl_description = "Remove the active edit layer and all that is in it; INVE's Undo brings it back"

    layer: StringProperty(name="Name", description="Empty for the active one", options={"SKIP_SAVE"})

    def run(self, context: bpy.types.Context) -> None:
        """One step."""
        name = self.layer_name(context, self.layer)
        documents.change(active_strip(context), lambda document: document.remove_layer(name))


class INVE_OT_move_layer(LayerOperator, bpy.types.Operator):
    """Move an edit layer up or down."""

    bl_idname = "inve.move_layer"
    bl_label = "Move Layer"
    bl_description = "Move the active edit layer up or down"

    direction: EnumProperty(name="Direction", items=(("UP", "Up", ""), ("DOWN", "Down", "")))
    layer: StringProperty(name="Name", description="Empty for the active one", options={"SKIP_SAVE"})

    def run(self, context: bpy.types.Context) -> set[str] | None:
        """One step; at the end of the list none."""
        strip = active_strip(context)
        name = self.layer_name(context, self.layer)
        rows = {row.name: row for row in documents.of(strip).rows()}
        if name not in rows:
            raise RefusedError(
                f"There must be a layer {name!r}, got none of that name; choose one of the list."
            )
        position = rows[name].index + (1 if self.direction == "UP" else -1)
        if not 0 <= position < len(rows):
            return {"CANCELLED"}
        documents.change(strip, lambda document: document.move_layer(name, position))
        activate_layer(strip, name)
        return None


class INVE_OT_undo(LayerOperator, bpy.types.Operator):
    """Take back the last step of this strip's edits."""

    bl_idname = "inve.undo"
    bl_label = "Undo"
    bl_description = "Take back the last step of this strip's edits; Blender's own undo leaves them alone"

    def run(self, context: bpy.types.Context) -> None:
        """As the document does it."""
        documents.change(active_strip(context), lambda document: document.undo())


class INVE_OT_redo(LayerOperator, bpy.types.Operator):
    """Bring back what Undo took."""

    bl_idname = "inve.redo"
    bl_label = "Redo"
    bl_description = "Bring back what INVE's Undo took"

    def run(self, context: bpy.types.Context) -> None:
        """As the document does it."""
        documents.change(active_strip(context), lambda document: document.redo())


class INVE_OT_restore_edits(LayerOperator, bpy.types.Operator):
    """Put back edits that the daemon does not have any more."""

    bl_idname = "inve.restore_edits"
    bl_label = "Restore Edits"
    bl_description = (
        "Give the daemon the edits that this file has and the daemon has not, in the place of what it has"
    )

    def run(self, context: bpy.types.Context) -> None:
        """One step."""
        documents.change(active_strip(context), lambda document: document.restore())


class INVE_OT_send_edits(LayerOperator, bpy.types.Operator):
    """Send edits that were held back."""

    bl_idname = "inve.send_edits"
    bl_label = "Send Again"
    bl_description = "Send the edits that were held back to the daemon again"

    def run(self, context: bpy.types.Context) -> None:
        """Let them go."""
        documents.change(active_strip(context), lambda document: document.release())


CLASSES = (
    INVE_OT_add_layer,
    INVE_OT_remove_layer,
    INVE_OT_move_layer,
    INVE_OT_undo,
    INVE_OT_redo,
    INVE_OT_restore_edits,
    INVE_OT_send_edits,
)
