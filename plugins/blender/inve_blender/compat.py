"""The only place that knows Blender's versions: what is called what, and what 3.4 lacks."""

from __future__ import annotations

from typing import Any

import bpy

HAS_EXTENSIONS = bpy.app.version >= (4, 2, 0)
STRIPS_ALL = "strips_all" if bpy.app.version >= (4, 4, 0) else "sequences_all"
"""What a sequence editor calls all of its strips, for searching."""
HAS_PROGRESS_BAR = bpy.app.version >= (4, 0, 0)


def strip_type() -> Any:
    """The base of all strips: `Strip`, called `Sequence` up to 4.3."""
    return getattr(bpy.types, "Strip", None) or bpy.types.Sequence


def sequencer_scene(context: bpy.types.Context) -> bpy.types.Scene | None:
    """The scene whose strips the sequencer shows; from 5.0 on it need not be the active one, or any."""
    if hasattr(context, "sequencer_scene"):
        # In background mode there is no workspace to have chosen one.
        return context.sequencer_scene or (context.scene if bpy.app.background else None)
    return context.scene


def strips(editor: bpy.types.SequenceEditor) -> bpy.types.bpy_prop_collection:
    """The strips of a sequence editor: `strips`, called `sequences` up to 4.3."""
    # Not `or`: an empty collection is false.
    return editor.strips if hasattr(editor, "strips") else editor.sequences


def all_strips(editor: bpy.types.SequenceEditor) -> bpy.types.bpy_prop_collection:
    """The same with what is inside of meta strips."""
    return getattr(editor, STRIPS_ALL)


def active_strip(context: bpy.types.Context) -> bpy.types.bpy_struct | None:
    """The sequencer's active strip, or None."""
    scene = sequencer_scene(context)
    editor = None if scene is None else scene.sequence_editor
    return None if editor is None else editor.active_strip


def uniform_color_shader() -> str:
    """The built-in shader for one colour, which up to 3.6 had one name for each number of dimensions."""
    return "UNIFORM_COLOR" if bpy.app.version >= (4, 0, 0) else "2D_UNIFORM_COLOR"


def draw_progress(layout: bpy.types.UILayout, share: float, text: str) -> None:
    """A progress bar, which up to 3.6 is only its text."""
    if HAS_PROGRESS_BAR:
        layout.progress(factor=share, text=text, type="BAR")
    else:
        layout.label(text=f"{text} ({share:.0%})")


LINEAR_COLOR_SPACE = "Linear Rec.709" if bpy.app.version >= (4, 0, 0) else "Linear"
"""What Blender calls the colour space that the daemon's EXR files are in."""


def container(editor: bpy.types.SequenceEditor, strip: bpy.types.bpy_struct) -> bpy.types.bpy_prop_collection:
    """The strips among which a strip is: those of the editor, or of the meta strip that it is in."""
    for owner in (editor, *(one for one in all_strips(editor) if one.type == "META")):
        if any(one == strip for one in strips(owner)):
            return strips(owner)
    raise ValueError(f"{strip.name!r} is in no strip of its own scene")


def fcurve(
    owner: bpy.types.ID, path: str, index: int = 0, *, create: bool = False
) -> bpy.types.FCurve | None:
    """The F-curve of a data-block's property by its path; None where it has none and none is to be made."""
    animated = owner.animation_data
    action = None if animated is None else animated.action
    if action is None:
        if not create:
            return None
        animated = animated or owner.animation_data_create()
        action = animated.action = bpy.data.actions.new(f"{owner.name}Action")
    if create and hasattr(action, "fcurve_ensure_for_datablock"):
        return action.fcurve_ensure_for_datablock(owner, path, index=index)
    curves = _fcurves(animated, action)
    found = None if curves is None else curves.find(path, index=index)
    return curves.new(path, index=index) if found is None and create else found


def remove_fcurve(owner: bpy.types.ID, path: str, index: int = 0) -> None:
    """Remove the F-curve of a property, where there is one."""
    found = fcurve(owner, path, index)
    if found is not None:
        _fcurves(owner.animation_data, owner.animation_data.action).remove(found)


def _fcurves(animated: bpy.types.AnimData, action: bpy.types.Action) -> bpy.types.bpy_prop_collection | None:
    if hasattr(action, "fcurves"):
        return action.fcurves
    # From 5.0 on each of an action's slots has its own.
    from bpy_extras import anim_utils

    bag = anim_utils.action_get_channelbag_for_slot(action, animated.action_slot)
    return None if bag is None else bag.fcurves
