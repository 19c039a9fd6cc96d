"""What is saved in the .blend: settings of a scene, and the shot of a strip.

`settings_of(scene)` and `shot_of(strip)` give them. Each group has a `version`, stamped when the file is
saved; a file of an older add-on is brought up to date when it is loaded, one of a newer add-on is left as it
is (`check_version`, which is where a step from one version to the next belongs). Nothing here needs a daemon.
"""

# No `from __future__ import annotations`: Blender would have to evaluate each of these by itself.

from collections.abc import Iterator

import bpy
from bpy.props import (
    BoolProperty,
    CollectionProperty,
    EnumProperty,
    FloatProperty,
    FloatVectorProperty,
    IntProperty,
    PointerProperty,
    StringProperty,
)

from . import compat

VERSION = 1
"""Of what is saved; a file with a higher one was saved by a newer add-on."""

PRESETS = (
    ("preview", "Preview", "Learns at 320 pixels: a look within a minute or two on a CPU"),
    ("fast", "Fast", "Learns at 768 pixels: daily work on a GPU"),
    ("quality", "Quality", "Larger networks and longer learning, for finals"),
    ("paper", "Paper", "The published method's own settings, for comparison"),
)
MATTE_SOURCES = (
    ("none", "None", "The whole picture is one video layer"),
    ("strip", "Strip", "The pictures or the movie of another strip: white is the object in front"),
    ("folder", "Folder", "Pictures in a folder: white is the object in front"),
)
BLENDS = (
    ("over", "Over", ""),
    ("add", "Add", ""),
    ("multiply", "Multiply", ""),
    ("screen", "Screen", ""),
)
LAYER_KINDS = (
    ("sketch", "Paint", "Strokes"),
    ("texture", "Texture", "Placed pictures"),
    ("adjustment", "Adjustment", "Regions of changed colour"),
)


TRACKINGS = (
    ("surface", "Surface", "Deforms with the surface that it lies on"),
    ("point", "Point", "Follows one point, upright and undistorted"),
    ("similarity", "Similarity", "Follows one point, and turns and scales with it"),
    ("corner", "Corners", "Follows its four corners, in perspective"),
)


class InveLayer(bpy.types.PropertyGroup):
    """One row of the layer list: a mirror of an edit layer, for UIList; the document is what counts.

    Setting one of these, by hand or by a script, is a step of the artist, done by the next pump. (Not by an
    update function: Blender 4.2 as a module crashes at its end over every add-on that has one.)
    """

    # `name` is there already: every PropertyGroup of a collection has it.
    known_name: StringProperty(options={"HIDDEN"})
    """What the document calls it, for renaming."""
    shot: StringProperty(options={"HIDDEN"})
    kind: EnumProperty(name="Kind", items=LAYER_KINDS)
    enabled: BoolProperty(name="Enabled", description="Whether the layer is rendered", default=True)
    solo: BoolProperty(name="Solo", description="Render layers with this mark only", default=False)
    opacity: FloatProperty(
        name="Opacity",
        description="Of the finished layer",
        min=0.0,
        max=1.0,
        default=1.0,
        subtype="FACTOR",
    )
    blend: EnumProperty(name="Blend", description="How it lies over what is below", items=BLENDS)
    edits: IntProperty(name="Edits", description="How many are in it")


class InveStrip(bpy.types.PropertyGroup):
    """The shot of a strip."""

    version: IntProperty(options={"HIDDEN"})
    shot: StringProperty(name="Shot", description="The shot's name on the daemon, once it is prepared")
    preset: EnumProperty(
        name="Preset", description="How well and how long to learn", items=PRESETS, default="fast"
    )
    use_working_size: BoolProperty(
        name="Own Working Size", description="Learn at a size other than the preset's", default=False
    )
    working_size: IntProperty(
        name="Working Size",
        description="Long edge, in pixels, that the shot is learned at; rendering is always at "
        "the source's size",
        min=64,
        max=4096,
        default=768,
        subtype="PIXEL",
    )
    matte_source: EnumProperty(
        name="Matte", description="What shows the object in front", items=MATTE_SOURCES
    )
    matte_strip: StringProperty(name="Matte Strip", description="A strip whose pictures are the matte")
    matte_folder: StringProperty(
        name="Matte Folder",
        description="A folder of matte pictures with the source's numbers",
        subtype="DIR_PATH",
    )
    document: StringProperty(
        name="Edits", description="The edit layers as JSON, as document.py has them", options={"HIDDEN"}
    )
    revision: IntProperty(name="Revision", description="Of the edits that were last seen", options={"HIDDEN"})
    layers: CollectionProperty(type=InveLayer)
    active_layer: IntProperty(name="Active Layer", default=0)
    tracks: StringProperty(
        name="Tracks", description="The tracked points as JSON, as points.py has them", options={"HIDDEN"}
    )
    active_track: IntProperty(name="Active Track", default=0, options={"HIDDEN"})
    link_id: StringProperty(
        name="Link", description="What a strip and its result have in common", options={"HIDDEN"}
    )
    is_result: BoolProperty(
        name="Is Result",
        description="Whether this strip shows another one's edited pictures",
        options={"HIDDEN"},
    )
    result_revision: IntProperty(
        name="Result's Revision",
        description="Of the edits, where all frames of the result show the same; -1 where none do",
        default=-1,
        options={"HIDDEN"},
    )


class InveScene(bpy.types.PropertyGroup):
    """Settings of a scene: the brush, what Adjust Region does, what Place Texture places, what is shown."""

    version: IntProperty(options={"HIDDEN"})
    brush_size: FloatProperty(
        name="Size",
        description="Width of a stroke, in pixels of the source picture",
        min=0.5,
        soft_max=500.0,
        max=16384.0,
        default=12.0,
    )
    brush_hardness: FloatProperty(
        name="Hardness", description="1 is a hard edge", min=0.0, max=1.0, default=0.8, subtype="FACTOR"
    )
    brush_color: FloatVectorProperty(
        name="Color",
        description="Scene-linear colour of new strokes",
        subtype="COLOR",
        size=3,
        min=0.0,
        soft_max=1.0,
        default=(1.0, 0.2, 0.05),
    )
    brush_opacity: FloatProperty(
        name="Opacity", description="Of new strokes", min=0.0, max=1.0, default=1.0, subtype="FACTOR"
    )
    use_pressure_size: BoolProperty(
        name="Pressure Size", description="A pen's pressure changes the width", default=True
    )
    use_pressure_opacity: BoolProperty(
        name="Pressure Opacity", description="A pen's pressure changes the opacity", default=False
    )
    use_smoothing: BoolProperty(
        name="Smooth", description="Take the tremble of the hand out of lines", default=True
    )
    use_outline: BoolProperty(
        name="Outline",
        description="Adjust what an outline encloses; otherwise what the brush passes over",
        default=True,
    )
    hue: FloatProperty(
        name="Hue",
        description="Degrees by which Adjust Region turns colours",
        min=-180.0,
        max=180.0,
        default=0.0,
    )
    saturation: FloatProperty(
        name="Saturation",
        description="Factor; 1 changes nothing, 0 leaves grey",
        min=0.0,
        soft_max=4.0,
        max=1000.0,
        default=1.0,
    )
    brightness: FloatProperty(
        name="Brightness",
        description="Added, in scene-linear light",
        soft_min=-1.0,
        soft_max=1.0,
        min=-65504.0,
        max=65504.0,
        default=0.0,
    )
    exposure: FloatProperty(
        name="Exposure",
        description="In stops",
        soft_min=-4.0,
        soft_max=4.0,
        min=-32.0,
        max=32.0,
        default=0.0,
    )
    texture_path: StringProperty(
        name="Picture", description="The picture that Place Texture places", subtype="FILE_PATH"
    )
    texture_tracking: EnumProperty(
        name="Tracking", description="How a texture follows the shot", items=TRACKINGS
    )
    show_tracks: BoolProperty(
        name="Show Tracks", description="Draw tracked points and their paths in the preview", default=True
    )
    show_textures: BoolProperty(
        name="Show Textures",
        description="Draw the outlines of the textures that were placed on the current frame",
        default=True,
    )


CLASSES = (InveLayer, InveStrip, InveScene)


def settings_of(scene: bpy.types.Scene) -> InveScene:
    """The settings that a scene has."""
    return scene.inve


def shot_of(strip: bpy.types.bpy_struct) -> InveStrip:
    """What a strip knows of its shot; `shot` is "" until it was prepared."""
    return strip.inve


def _groups() -> Iterator[InveScene | InveStrip]:
    for scene in bpy.data.scenes:
        yield scene.inve
        if scene.sequence_editor is not None:
            # Reading a property of a strip leaves nothing in it; strips that are not ours stay as they are.
            yield from (strip.inve for strip in compat.all_strips(scene.sequence_editor) if strip.inve.shot)


def stamp_version() -> None:
    """Before a file is saved: say which add-on's groups are in it."""
    for group in _groups():
        group.version = max(group.version, VERSION)


def check_version() -> str:
    """After a file was loaded: "" or a sentence that it was saved by a newer add-on."""
    newest = max((group.version for group in _groups()), default=0)
    if newest <= VERSION:
        return ""
    return (
        f"This file's INVE settings must have version {VERSION} or older, got {newest}; install "
        f"the newer add-on, or "
        f"what this one does not know is lost from the settings that it changes."
    )


def register() -> None:
    """Register the groups and hang them on scenes and strips."""
    for cls in CLASSES:
        bpy.utils.register_class(cls)
    bpy.types.Scene.inve = PointerProperty(type=InveScene)
    compat.strip_type().inve = PointerProperty(type=InveStrip)


def unregister() -> None:
    """Take them away; what a file has stays in it, and is there again after the next register."""
    del compat.strip_type().inve
    del bpy.types.Scene.inve
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)
