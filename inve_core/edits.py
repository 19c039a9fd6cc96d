"""Edits as immutable values: strokes, textures and adjustments, in layers, in a stack (design, section 4).

Numbers are pixels of the full-size source frame (y down, the first pixel's centre at (0.5, 0.5)), colours are
scene-linear and not premultiplied. A stack that exists is valid in itself; `check_stack` holds it against a
shot.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, get_args

import msgspec
from msgspec import Meta, Struct

from inve_core import strict
from inve_core.errors import EditError
from inve_core.strict import Coordinate, Frame, Identifier, VideoLayerName

Kind = Literal["sketch", "texture", "adjustment"]
Blend = Literal["over"]
Tracking = Literal["surface", "point", "similarity"]

MAX_LAYERS = 1_000
MAX_EDITS = 100_000
"""Most edits of a whole stack."""
MAX_POINTS = 100_000
"""Most points of one edit."""
MAX_WIDTH_PX = 32_768
"""Twice the longest side of a picture: more covers nothing else."""

Length = Annotated[float, Meta(gt=0, le=MAX_WIDTH_PX)]
Fraction = Annotated[float, Meta(ge=0, le=1)]
Light = Annotated[float, Meta(ge=-65504, le=65504)]
Degrees = Annotated[float, Meta(ge=-36_000, le=36_000)]
Factor = Annotated[float, Meta(ge=0, le=1_000)]
Points = Annotated[tuple[tuple[Coordinate, Coordinate], ...], Meta(min_length=1, max_length=MAX_POINTS)]
# A NUL ends a path for the operating system, and then another file is opened than the one that was checked.
ImageName = Annotated[str, Meta(pattern=r"^(?!sha256:)[^\x00]+\Z|^sha256:[0-9a-f]{64}\Z", max_length=4096)]
# The name becomes part of a part name of an EXR ("edit.<name>").
LayerName = Annotated[str, Meta(pattern=r"^[^\x00-\x1f\x7f]+\Z", min_length=1, max_length=100)]


class Stroke(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="stroke"):
    """A line of colour through points.

    Attributes:
        frame: the frame it was drawn on.
        points: (x, y) of its control points, in pixels; one makes a dot.
        width: its full width in pixels of that frame.
        color: red, green, blue, scene-linear and not premultiplied, and alpha 0..1.
        hardness: 1 is a hard edge, 0 the softest.
        video_layer: the video layer it sticks to, or "auto".
        id: unique within the stack; None until one is given.
    """

    frame: Frame
    points: Points
    width: Length
    color: tuple[Light, Light, Light, Fraction]
    hardness: Fraction = 1.0
    video_layer: VideoLayerName = "auto"
    id: Identifier | None = None


class Texture(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="texture"):
    """A picture pinned to the shot.

    Attributes:
        image: its path, or "sha256:<hex>" of content that the daemon has stored.
        frame: the frame it was placed on.
        x, y: its centre there, in pixels.
        width, height: its size there, in pixels.
        rotation: degrees clockwise as seen, about its centre.
        tracking: "surface" deforms with the atlas, "point" follows one tracked point upright, "similarity"
            also turns and scales.
        video_layer: the video layer it sticks to, or "auto".
        id: unique within the stack; None until one is given.
    """

    image: ImageName
    frame: Frame
    x: Coordinate
    y: Coordinate
    width: Length
    height: Length
    rotation: Degrees = 0.0
    tracking: Tracking = "surface"
    video_layer: VideoLayerName = "auto"
    id: Identifier | None = None


class Adjustment(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="adjustment"):
    """A change of hue, then saturation, then brightness along a line or inside an outline.

    Attributes:
        frame: the frame it was drawn on.
        points: (x, y) of the line or outline, in pixels.
        width: the line's full width in pixels; where `closed`, the width of the soft edge's line.
        closed: whether the points are an outline to be filled; it takes three or more.
        hardness: 1 is a hard edge, 0 the softest.
        hue: degrees.
        saturation: a factor; 1 changes nothing, 0 leaves grey.
        brightness: an offset added in scene-linear light.
        video_layer: the video layer it sticks to, or "auto".
        id: unique within the stack; None until one is given.
    """

    frame: Frame
    points: Points
    width: Length
    closed: bool = False
    hardness: Fraction = 1.0
    hue: Degrees = 0.0
    saturation: Factor = 1.0
    brightness: Light = 0.0
    video_layer: VideoLayerName = "auto"
    id: Identifier | None = None


Edit = Stroke | Texture | Adjustment
Edits = Annotated[tuple[Edit, ...], Meta(max_length=MAX_EDITS)]


class EditLayer(Struct, frozen=True, forbid_unknown_fields=True):
    """Edits of one kind, composited together.

    Attributes:
        name: unique within the stack.
        kind: which edits it holds: strokes, textures or adjustments.
        edits: the first at the bottom.
        blend: how it lies over what is below.
        opacity: 0..1.
        enabled: whether it is rendered.
        id: unique within the stack; None until one is given.
    """

    name: LayerName
    kind: Kind
    edits: Edits = ()
    blend: Blend = "over"
    opacity: Fraction = 1.0
    enabled: bool = True
    id: Identifier | None = None


class EditStack(Struct, frozen=True, forbid_unknown_fields=True):
    """All edits of a shot, the bottom layer first."""

    version: Literal[1] = 1
    layers: Annotated[tuple[EditLayer, ...], Meta(max_length=MAX_LAYERS)] = ()


_EDIT_OF_KIND: Mapping[str, type[Edit]] = {"sketch": Stroke, "texture": Texture, "adjustment": Adjustment}
_TYPE_OF_KIND = {"sketch": "stroke", "texture": "texture", "adjustment": "adjustment"}
_EXPECTATIONS: Mapping[str, str] = {
    **strict.EXPECTATIONS,
    "version": "1",
    "kind": " or ".join(map(repr, get_args(Kind))),
    "blend": " or ".join(map(repr, get_args(Blend))),
    "tracking": " or ".join(map(repr, get_args(Tracking))),
    "type": " or ".join(map(repr, _TYPE_OF_KIND.values())),
    "image": "a path, or 'sha256:' and 64 hexadecimal digits",
    "name": "printable text",
}


def parse_stack(data: bytes | Mapping[str, Any]) -> EditStack:
    """Decode and check an edit stack.

    Args:
        data: the content of an EDITS.json, or the same as plain data.

    Raises:
        EditError: naming the field's path, such as `layers[0].edits[2].width`, for anything that section 4
            does not allow: unknown fields, other types, numbers that are not finite or out of range, edits in
            a layer of another kind, duplicate layer names or ids, over-long lists, another version.
    """
    stack = strict.decode(data, EditStack, EditError, what="the edit stack", expectations=_EXPECTATIONS)
    _check_consistent(stack)
    return stack


def stack_to_builtins(stack: EditStack) -> dict[str, Any]:
    """The stack as plain lists and maps, ready for JSON or msgpack; ids that are not given are left out.

    `parse_stack` of the result is the stack again.
    """
    plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(stack))
    for layer in plain["layers"]:
        for item in (layer, *layer["edits"]):
            if item["id"] is None:
                del item["id"]
    return plain


def with_ids(stack: EditStack, make_id: Callable[[], str]) -> EditStack:
    """The stack with an id for every layer and edit that had none; the others keep theirs.

    Args:
        stack: a valid stack.
        make_id: makes a new id on each call, of 1 to 64 letters, digits and `._:-`.

    Raises:
        ValueError: if `make_id` gives an id that the stack has already.
    """
    taken = {item.id for _, item in _with_paths(stack) if item.id is not None}

    def new_id() -> str:
        made = make_id()
        if made in taken:
            raise ValueError(f"make_id gave {made!r}, which another layer or edit has")
        taken.add(made)
        return made

    def identified(item: Any) -> Any:
        return item if item.id is not None else msgspec.structs.replace(item, id=new_id())

    layers = (
        msgspec.structs.replace(identified(layer), edits=tuple(identified(edit) for edit in layer.edits))
        for layer in stack.layers
    )
    return EditStack(version=stack.version, layers=tuple(layers))


def check_stack(
    stack: EditStack, *, width: int, height: int, frames: Collection[int], video_layers: Sequence[str]
) -> None:
    """Hold a stack against the shot that it is meant for.

    Args:
        stack: a valid stack.
        width, height: the shot's display window in pixels.
        frames: the shot's frame numbers.
        video_layers: the names of its video layers.

    Raises:
        EditError: if an edit names a frame or a video layer that the shot has not, a point lies outside the
            picture by more than half the edit's width, or a texture's centre lies outside it.
    """
    known_frames = frames if isinstance(frames, range | set | frozenset) else frozenset(frames)
    for path, item in _with_paths(stack):
        if isinstance(item, EditLayer):
            continue
        if item.frame not in known_frames:
            raise EditError(
                f"`{path}.frame` is {item.frame}, the shot has the frames {min(frames)}-{max(frames)}; "
                "choose one of them."
            )
        if item.video_layer != "auto" and item.video_layer not in video_layers:
            raise EditError(
                f"`{path}.video_layer` is {item.video_layer!r}, the shot has 'auto', "
                f"{', '.join(repr(name) for name in video_layers)}; choose one of them."
            )
        if isinstance(item, Texture):
            points: tuple[tuple[float, float], ...] = ((item.x, item.y),)
            margin = 0.0
        else:
            points, margin = item.points, item.width / 2
        for index, (x, y) in enumerate(points):
            if not (-margin <= x <= width + margin and -margin <= y <= height + margin):
                name = path if isinstance(item, Texture) else f"{path}.points[{index}]"
                allowance = f" by more than half its width ({margin:g} pixels)" if margin else ""
                raise EditError(
                    f"`{name}` is at ({x:g}, {y:g}), outside the {width}x{height} picture{allowance}; "
                    "move it inside."
                )


def _with_paths(stack: EditStack) -> Iterator[tuple[str, EditLayer | Edit]]:
    """Every layer, and after it its edits, with its path."""
    for number, layer in enumerate(stack.layers):
        yield f"layers[{number}]", layer
        for index, edit in enumerate(layer.edits):
            yield f"layers[{number}].edits[{index}]", edit


def _check_consistent(stack: EditStack) -> None:
    """What the types alone cannot say."""
    if sum(len(layer.edits) for layer in stack.layers) > MAX_EDITS:
        raise EditError(f"`layers` hold more than {MAX_EDITS} edits in all; split them over several shots.")
    names: dict[str, str] = {}
    ids: dict[str, str] = {}
    kind: str = ""
    for path, item in _with_paths(stack):
        if isinstance(item, EditLayer):
            kind = item.kind
            _claim(names, item.name, path, "name")
        elif not isinstance(item, _EDIT_OF_KIND[kind]):
            came = item.__struct_config__.tag
            raise EditError(
                f"`{path}.type` must be {_TYPE_OF_KIND[kind]!r} in a {kind} layer, got {came!r}; "
                "move it to a layer of its own kind."
            )
        elif isinstance(item, Adjustment) and item.closed and len(item.points) < 3:
            raise EditError(
                f"`{path}.points` must be 3 or more to close an outline, got {len(item.points)}; "
                "add some or do not close it."
            )
        if item.id is not None:
            _claim(ids, item.id, path, "id")


def _claim(taken: dict[str, str], value: str, path: str, field: str) -> None:
    if value in taken:
        raise EditError(f"`{path}.{field}` is {value!r}, which `{taken[value]}` has already; choose another.")
    taken[value] = path
