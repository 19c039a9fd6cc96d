"""Edits as immutable values: strokes, textures and adjustments, in layers, in a stack (design, section 4).

Numbers are pixels of the full-size source frame (y down, the first pixel's centre at (0.5, 0.5)), colours are
scene-linear and not premultiplied. A stack that exists is valid in itself; `check_stack` holds it against a
shot.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, get_args

import msgspec
from msgspec import Meta, Struct

from inve_core import edit_versions, strict
from inve_core.errors import EditError
from inve_core.strict import Coordinate, Frame, Identifier, VideoLayerName

Kind = Literal["sketch", "texture", "adjustment"]
LayerBlend = Literal["over", "add", "multiply", "screen"]
StrokeBlend = Literal["over", "add", "multiply", "screen", "erase"]
Tracking = Literal["surface", "point", "similarity", "corner"]
Space = Literal["frame", "atlas"]
Flip = Literal["none", "horizontal", "vertical", "both"]

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
Exponent = Annotated[float, Meta(ge=0.01, le=100)]
Stops = Annotated[float, Meta(ge=-32, le=32)]
Point = tuple[Coordinate, Coordinate]
Points = Annotated[tuple[Point, ...], Meta(min_length=1, max_length=MAX_POINTS)]
WidthFactors = Annotated[tuple[Annotated[float, Meta(ge=0, le=16)], ...], Meta(max_length=MAX_POINTS)]
Fractions = Annotated[tuple[Fraction, ...], Meta(max_length=MAX_POINTS)]
# A NUL ends a path for the operating system, and then another file is opened than the one that was checked.
ImageName = Annotated[str, Meta(pattern=r"^(?!sha256:)[^\x00]+\Z|^sha256:[0-9a-f]{64}\Z", max_length=4096)]
# The name becomes part of a part name of an EXR ("edit.<name>").
LayerName = Annotated[str, Meta(pattern=r"^[^\x00-\x1f\x7f]+\Z", min_length=1, max_length=100)]


class Line(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What strokes and adjustments share: a line through points, or the inside of an outline.

    Attributes:
        frame: the frame it was drawn on.
        points: (x, y) of its control points, in pixels; one makes a dot. In atlas space shares of the side of
            the video layer's atlas, x right and y down from the top-left corner of its view.
        width: its full width in pixels of that frame, in atlas space a share of the atlas's side; where
            `closed`, the width of the soft edge's line.
        point_widths: for each point a factor of `width` (pen pressure), linear in between; 1 by default.
        point_opacities: for each point its opacity 0..1, linear in between; 1 by default. Not where `closed`.
        hardness: 1 is a hard edge, 0 the softest.
        closed: whether the points are an outline to be filled; it takes three or more.
        smooth: whether the points are joined by a centripetal Catmull-Rom spline, not by straight lines.
        space: "frame", or "atlas" for what is drawn on a view of the atlas itself.
        video_layer: the video layer it sticks to, or "auto"; in atlas space it must be named.
        id: unique within the stack; None until one is given.
    """

    frame: Frame
    points: Points
    width: Length
    point_widths: WidthFactors | None = None
    point_opacities: Fractions | None = None
    hardness: Fraction = 1.0
    closed: bool = False
    smooth: bool = False
    space: Space = "frame"
    video_layer: VideoLayerName = "auto"
    id: Identifier | None = None


class Stroke(Line, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="type", tag="stroke"):
    """Colour along a line or inside an outline.

    Attributes:
        color: red, green, blue, scene-linear and not premultiplied, and alpha 0..1.
        blend: how the colour meets what is beneath it; "erase" takes away what its own edit layer has there.
    """

    color: tuple[Light, Light, Light, Fraction]
    blend: StrokeBlend = "over"


class Texture(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="type", tag="texture"):
    """A picture pinned to the shot. It is placed by x, y, width and height, or by its four corners.

    Attributes:
        image: its path, or "sha256:<hex>" of content that the daemon has stored.
        frame: the frame it was placed on.
        x, y: where its anchor lies there, in pixels; in atlas space shares of the atlas's side.
        width, height: its size there, in pixels; in atlas space shares of the atlas's side.
        anchor: the place in the picture that lies at (x, y), about which it turns and which is followed, as
            shares of its width and height from its top-left corner.
        rotation: degrees clockwise as seen, about the anchor.
        corners: where its top-left, top-right, bottom-right and bottom-left corner lie, in place of x, y,
            width, height and rotation.
        flip: whether the picture is mirrored before it is placed: "horizontal" swaps left and right.
        tracking: "surface" deforms with the atlas, "point" follows one tracked point upright, "similarity"
            also turns and scales, "corner" follows its four corners in perspective.
        opacity: 0..1.
        space: "frame", or "atlas" for what is placed on a view of the atlas itself, with "surface" tracking.
        video_layer: the video layer it sticks to, or "auto"; in atlas space it must be named.
        id: unique within the stack; None until one is given.
    """

    image: ImageName
    frame: Frame
    x: Coordinate | None = None
    y: Coordinate | None = None
    width: Length | None = None
    height: Length | None = None
    anchor: tuple[Fraction, Fraction] = (0.5, 0.5)
    rotation: Degrees = 0.0
    corners: tuple[Point, Point, Point, Point] | None = None
    flip: Flip = "none"
    tracking: Tracking = "surface"
    opacity: Fraction = 1.0
    space: Space = "frame"
    video_layer: VideoLayerName = "auto"
    id: Identifier | None = None


class ColorDecision(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """ASC CDL: slope, offset and power for each of red, green and blue, then saturation (Rec. 709 luma).

    Nothing is clamped; the power leaves values below zero as they are.
    """

    slope: tuple[Factor, Factor, Factor] = (1.0, 1.0, 1.0)
    offset: tuple[Light, Light, Light] = (0.0, 0.0, 0.0)
    power: tuple[Exponent, Exponent, Exponent] = (1.0, 1.0, 1.0)
    saturation: Factor = 1.0


class Adjustment(
    Line, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="type", tag="adjustment"
):
    """A grade along a line or inside an outline, in scene-linear light, in the order of the attributes.

    Attributes:
        hue: degrees.
        saturation: a factor; 1 changes nothing, 0 leaves grey.
        brightness: an offset.
        exposure: in stops: a factor of two to its power.
        contrast: the power of the ratio to `pivot`; values below zero are mirrored.
        pivot: the value that contrast leaves as it is.
        gamma: values to the power of its inverse; values below zero are mirrored.
        cdl: an ASC color decision.
        opacity: 0..1, how much of it is mixed in.
    """

    hue: Degrees = 0.0
    saturation: Factor = 1.0
    brightness: Light = 0.0
    exposure: Stops = 0.0
    contrast: Exponent = 1.0
    pivot: Annotated[float, Meta(ge=1e-4, le=65504)] = 0.18
    gamma: Exponent = 1.0
    cdl: ColorDecision = ColorDecision()
    opacity: Fraction = 1.0


Edit = Stroke | Texture | Adjustment
Edits = Annotated[tuple[Edit, ...], Meta(max_length=MAX_EDITS)]


class EditLayer(Struct, frozen=True, forbid_unknown_fields=True):
    """Edits of one kind, composited together.

    Attributes:
        name: unique within the stack.
        kind: which edits it holds: strokes, textures or adjustments.
        edits: the first at the bottom.
        blend: how it lies over what is below; adjustments know only "over".
        opacity: 0..1.
        enabled: whether it is rendered.
        solo: where any enabled layer has this, only those that have it are rendered.
        video_layer: what its edits stick to that say "auto".
        id: unique within the stack; None until one is given.
    """

    name: LayerName
    kind: Kind
    edits: Edits = ()
    blend: LayerBlend = "over"
    opacity: Fraction = 1.0
    enabled: bool = True
    solo: bool = False
    video_layer: VideoLayerName = "auto"
    id: Identifier | None = None


class EditStack(Struct, frozen=True, forbid_unknown_fields=True):
    """All edits of a shot, the bottom layer first."""

    version: Literal[1, 2] = 2
    layers: Annotated[tuple[EditLayer, ...], Meta(max_length=MAX_LAYERS)] = ()

    @property
    def rendered(self) -> tuple[EditLayer, ...]:
        """The layers that are rendered: enabled, not transparent, not empty, and not silenced by a solo."""
        solo = any(layer.solo and layer.enabled for layer in self.layers)
        return tuple(
            layer
            for layer in self.layers
            if layer.enabled and layer.opacity and layer.edits and (layer.solo or not solo)
        )


_EDIT_OF_KIND: Mapping[str, type[Edit]] = {"sketch": Stroke, "texture": Texture, "adjustment": Adjustment}
_TYPE_OF_KIND = {"sketch": "stroke", "texture": "texture", "adjustment": "adjustment"}
EXPECTATIONS: Mapping[str, str] = {
    **strict.EXPECTATIONS,
    "version": f"1 to {edit_versions.CURRENT}; install a newer release for a higher one",
    "kind": " or ".join(map(repr, get_args(Kind))),
    "blend": " or ".join(map(repr, get_args(StrokeBlend))),
    "layers.blend": " or ".join(map(repr, get_args(LayerBlend))),
    "space": " or ".join(map(repr, get_args(Space))),
    "flip": " or ".join(map(repr, get_args(Flip))),
    "tracking": " or ".join(map(repr, get_args(Tracking))),
    "type": " or ".join(map(repr, _TYPE_OF_KIND.values())),
    "image": "a path, or 'sha256:' and 64 hexadecimal digits",
    "name": "printable text",
}
"""What fields must be, in words, for messages."""


def parse_stack(data: bytes | Mapping[str, Any]) -> EditStack:
    """Decode and check an edit stack.

    Args:
        data: the content of an EDITS.json, or the same as plain data.

    Raises:
        EditError: naming the field's path, such as `layers[0].edits[2].width`, for anything that section 4
            does not allow: unknown fields, other types, numbers that are not finite or out of range, edits in
            a layer of another kind, duplicate layer names or ids, over-long lists, another version.
    """
    stack = strict.decode(data, EditStack, EditError, what="the edit stack", expectations=EXPECTATIONS)
    _check_consistent(stack)
    # Older documents mean the same in the current version, or `edit_versions` would have to make it so.
    return msgspec.structs.replace(stack, version=edit_versions.CURRENT)


def stack_to_builtins(stack: EditStack) -> dict[str, Any]:
    """The stack as plain maps and tuples, ready for JSON or msgpack; ids that are not given are left out.

    It has the lowest version that can say it, for readers of earlier releases. `parse_stack` of the result is
    the stack again.
    """
    # Tuples are what is made fast: lists of a million points keep the garbage collector busy for a second.
    plain: dict[str, Any] = msgspec.to_builtins(stack)
    for layer in plain["layers"]:
        for item in (layer, *layer["edits"]):
            if item["id"] is None:
                del item["id"]
    return edit_versions.lowest(plain)


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
            picture (or the atlas) by more than half the edit's width, or a texture's place lies outside it.
    """
    known_frames = frames if isinstance(frames, range | set | frozenset) else frozenset(frames)
    for path, item in _with_paths(stack):
        if item.video_layer != "auto" and item.video_layer not in video_layers:
            raise EditError(
                f"`{path}.video_layer` is {item.video_layer!r}, the shot has 'auto', "
                f"{', '.join(repr(name) for name in video_layers)}; choose one of them."
            )
        if isinstance(item, EditLayer):
            continue
        if item.frame not in known_frames:
            raise EditError(
                f"`{path}.frame` is {item.frame}, the shot has the frames {min(frames)}-{max(frames)}; "
                "choose one of them."
            )
        if item.space == "atlas":
            _check_places(path, item, 1, 1, "atlas, whose corners are (0, 0) and (1, 1)", "")
        else:
            _check_places(path, item, width, height, f"{width}x{height} picture", " pixels")


def _check_places(path: str, edit: Edit, width: float, height: float, area: str, unit: str) -> None:
    """Raise where an edit lies outside of its picture."""
    margin = 0.0 if isinstance(edit, Texture) else edit.width / 2
    for name, (x, y) in _places(edit):
        if not (-margin <= x <= width + margin and -margin <= y <= height + margin):
            allowance = f" by more than half its width ({margin:g}{unit})" if margin else ""
            raise EditError(
                f"`{path}{name}` is at ({x:g}, {y:g}), outside the {area}{allowance}; move it inside."
            )


def _places(edit: Edit) -> Iterator[tuple[str, Point]]:
    """What of an edit must lie in the picture, with its path."""
    if isinstance(edit, Line):
        for index, point in enumerate(edit.points):
            yield f".points[{index}]", point
    elif edit.corners is not None:
        # Corners may well lie outside, as those of a wall do that fills the picture.
        xs, ys = zip(*edit.corners, strict=True)
        yield ".corners", (sum(xs) / 4, sum(ys) / 4)
    elif edit.x is not None and edit.y is not None:
        yield "", (edit.x, edit.y)


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
    layer = EditLayer("none", "sketch")
    for path, item in _with_paths(stack):
        if isinstance(item, EditLayer):
            layer = item
            _claim(names, item.name, path, "name")
            if item.kind == "adjustment" and item.blend != "over":
                raise EditError(
                    f"`{path}.blend` must be 'over' for adjustments, got {item.blend!r}; set it to that."
                )
        else:
            _check_edit(path, item, layer)
        if item.id is not None:
            _claim(ids, item.id, path, "id")


def _check_edit(path: str, edit: Edit, layer: EditLayer) -> None:
    if not isinstance(edit, _EDIT_OF_KIND[layer.kind]):
        came = edit.__struct_config__.tag
        kind = f"{'an' if layer.kind == 'adjustment' else 'a'} {layer.kind}"
        raise EditError(
            f"`{path}.type` must be {_TYPE_OF_KIND[layer.kind]!r} in {kind} layer, got {came!r}; "
            "move it to a layer of its own kind."
        )
    if edit.space == "atlas" and "auto" == edit.video_layer == layer.video_layer:
        raise EditError(
            f"`{path}.video_layer` must name a video layer in atlas space, got 'auto'; say whose atlas it is."
        )
    if isinstance(edit, Line):
        _check_line(path, edit)
    else:
        _check_texture(path, edit)


def _check_line(path: str, edit: Line) -> None:
    if edit.closed and len(edit.points) < 3:
        raise EditError(
            f"`{path}.points` must be 3 or more to close an outline, got {len(edit.points)}; "
            "add some or do not close it."
        )
    for name in ("point_widths", "point_opacities"):
        values = getattr(edit, name)
        if values is not None and len(values) != len(edit.points):
            raise EditError(
                f"`{path}.{name}` must have a number for each of the {len(edit.points)} points, got "
                f"{len(values)}; give as many, or leave it out."
            )
        if values is not None and edit.closed:
            raise EditError(
                f"`{path}.{name}` belongs to a line, got it with `closed`, which fills an outline; leave one "
                "of them out."
            )


def _check_texture(path: str, edit: Texture) -> None:
    placed = [name for name in ("x", "y", "width", "height") if getattr(edit, name) is not None]
    if edit.corners is None and len(placed) < 4:
        raise EditError(
            f"`{path}` must have x, y, width and height, or corners, got "
            f"{', '.join(placed) or 'none of them'}; add what is missing."
        )
    if edit.corners is not None and edit.rotation:
        placed.append("rotation")
    if edit.corners is not None and placed:
        raise EditError(
            f"`{path}.corners` stands in place of x, y, width, height and rotation, got also "
            f"{', '.join(placed)}; leave one or the other out."
        )
    if edit.corners is not None and not _is_convex(edit.corners):
        raise EditError(
            f"`{path}.corners` must go around a convex shape from the picture's top-left corner clockwise, "
            f"got {[list(point) for point in edit.corners]}; put them in that order, or use `flip`."
        )
    if edit.space == "atlas" and edit.tracking != "surface":
        raise EditError(
            f"`{path}.tracking` must be 'surface' in atlas space, got {edit.tracking!r}; place it on a frame "
            "to have it tracked."
        )


def _is_convex(corners: Sequence[Point]) -> bool:
    """Whether corners turn clockwise as seen at each of them."""
    turns = []
    for k in range(4):
        (ax, ay), (bx, by), (cx, cy) = (corners[(k + step) % 4] for step in range(3))
        turns.append((bx - ax) * (cy - by) - (by - ay) * (cx - bx))
    return min(turns) > 0


def _claim(taken: dict[str, str], value: str, path: str, field: str) -> None:
    if value in taken:
        raise EditError(f"`{path}.{field}` is {value!r}, which `{taken[value]}` has already; choose another.")
    taken[value] = path
