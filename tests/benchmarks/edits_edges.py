"""Edits at soft edges: how far the composite of an edited surface is from the true one.

At an edge the plate is a mix, v F + (1 - v) B, and an edit of F has the mix alone to go by. The ways:

none      the plate as it is, without the edit
plain     the plate taken for F
model     F from the learned colours, `inve_core.rendering.edges`
known     the same from the clip's true colours: the most that better colours could give
rendered  what the renderer makes of it

The truth is the synthetic scene rendered with its surface repainted: exact, and apart from any model. Errors
are means over the pixels that the outline crosses, in linear light, of the channel that is furthest off.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from inve_core.coordinates import pixel_centres
from inve_core.edits import Adjustment, EditLayer, EditStack, Stroke
from inve_core.media.colour import LUMA
from inve_core.rendering import Renderer
from inve_core.rendering.edges import own_light
from inve_core.rendering.fields import TILE, FieldCache, FrameSize
from inve_core.synthetic import FIRST_FRAME, Array, Layer, SyntheticClip

Light = NDArray[np.float32]
LAYERS: tuple[Layer, ...] = ("foreground", "background")
EVERY_FRAMES = 3
CHECK_PX = 9.0
WAYS = ("none", "plain", "model", "known", "rendered")
FILL = (0.75, 0.03, 0.50)
DARKENING = float(np.log2(0.2))  # stops
# The learned way must leave at most this share of the plain one's error, and the renderer do as it does.
MARK = 0.5
AS_LEARNED = 1.1


@dataclass(frozen=True)
class EdgeEdit:
    """An edit that covers all of a surface.

    Attributes:
        apply: light [..., 3] at surface positions [..., 2] to the edited light.
        settings: the same for a renderer, bottom to top: for each edit the color of a stroke or fields of an
            adjustment; none where it has no such edits.
    """

    name: str
    apply: Callable[[Light, Array], Light]
    settings: tuple[dict[str, Any], ...]


def _filled(light: Light, surface: Array) -> Light:
    return np.broadcast_to(np.array(FILL, np.float32), light.shape)


def _exposed(light: Light, surface: Array) -> Light:
    return light * np.float32(2.0)


def _darkened(light: Light, surface: Array) -> Light:
    return light * np.float32(0.2)


def _textured(light: Light, surface: Array) -> Light:
    odd = (np.floor(surface / CHECK_PX).sum(-1) % 2 == 1)[..., None]
    picture = np.where(odd, np.float32([0.9, 0.8, 0.1]), np.float32([0.02, 0.1, 0.6]))
    return np.float32(0.7) * picture + np.float32(0.3) * light


def _filled_and_darkened(light: Light, surface: Array) -> Light:
    return _darkened(_filled(light, surface), surface)


def _greyed(light: Light, surface: Array) -> Light:
    return np.broadcast_to((light @ np.array(LUMA, np.float32))[..., None], light.shape)


EDITS = (
    EdgeEdit("fill", _filled, ({"color": (*FILL, 1.0)},)),
    EdgeEdit("grey", _greyed, ({"saturation": 0.0},)),
    EdgeEdit("exposure +1", _exposed, ({"exposure": 1.0},)),
    EdgeEdit("exposure -2.3", _darkened, ({"exposure": DARKENING},)),
    EdgeEdit("fill, then darker", _filled_and_darkened, ({"color": (*FILL, 1.0)}, {"exposure": DARKENING})),
    EdgeEdit("texture 70 %", _textured, ()),
)


def baked_edges(fields: FieldCache, size: FrameSize) -> tuple[Light, Light]:
    """Visibility [h, w, layers] and edge light [h, w, layers, 3] of a frame, from the baked tiles."""
    tiles = np.arange(size.columns * size.rows)
    slots = fields.slots(size, tiles, ())
    layers = fields.model.layer_count
    visible = np.zeros((size.rows * TILE, size.columns * TILE, layers), np.float32)
    light = np.zeros((*visible.shape, 3), np.float32)
    shown = fields.visibility(size, tiles).cpu().numpy()
    homes = fields.edges.homes[slots]
    for number, (x, y) in enumerate(size.corners(tiles)):
        where = (slice(y, y + TILE), slice(x, x + TILE))
        visible[where] = shown[number]
        if homes[number] >= 0:
            light[where] = fields.edges.light[int(homes[number])].permute(1, 2, 0, 3).cpu().numpy()
    return visible[: size.height, : size.width], light[: size.height, : size.width]


def composite(edit: EdgeEdit, surface: Array, plate: Light, light: Light, visible: Light) -> Light:
    """The edited frame [h, w, 3], from a layer's own light [h, w, 3] and visibility [h, w, 1]."""
    return plate + visible * (edit.apply(light, surface) - light)


def whole_surface(edit: EdgeEdit, layer: Layer, frame: int, width: int, height: int) -> EditStack:
    """The edit as a stack of layers: dots that are larger than the picture."""
    centre = ((width / 2, height / 2),)
    common = {"frame": frame, "points": centre, "width": 4.0 * (width + height), "video_layer": layer}
    layers = []
    for number, settings in enumerate(edit.settings):
        if "color" in settings:
            layers.append(EditLayer(f"{number}", "sketch", (Stroke(**common, **settings),)))
        else:
            layers.append(EditLayer(f"{number}", "adjustment", (Adjustment(**common, **settings),)))
    return EditStack(layers=tuple(layers))


def errors_of_frame(
    renderer: Renderer, truth: SyntheticClip, t: int, layer: Layer, edit: EdgeEdit
) -> dict[str, tuple[float, Light]]:
    """For each way its error at a frame's edge pixels, and its picture [h, w, 3]; "true" has no error."""
    number, frame = LAYERS.index(layer), FIRST_FRAME + t
    plate = renderer.source.read_display_rgb(frame).astype(np.float32)
    height, width = plate.shape[:2]
    visible, apart = baked_edges(renderer.fields, FrameSize(t, width, height))
    shown = visible[..., number : number + 1]
    soft = ((visible > 0) & (visible < 1)).any(-1)[..., None]
    colours = np.stack([truth.surface_light(one, t) for one in LAYERS], 2)
    known = np.where(soft, colours[:, :, number] - (visible[..., None] * colours).sum(2), 0.0)
    surface = truth.scene.to_surface(layer, t, pixel_centres(width, height).numpy().astype(np.float64))
    want = truth.light(t, lambda one, where, light: edit.apply(light, where) if one == layer else light)

    def limited(light: Light) -> Light:
        tensors = (torch.from_numpy(np.asarray(one, np.float32)) for one in (plate, light, shown))
        return np.where(soft, own_light(*tensors).nan_to_num().numpy(), plate)

    made = {
        "none": plate,
        "plain": composite(edit, surface, plate, plate, shown),
        "model": composite(edit, surface, plate, limited(apart[:, :, number]), shown),
        "known": composite(edit, surface, plate, limited(known), shown),
    }
    stack = whole_surface(edit, layer, frame, width, height)
    if stack.layers:
        made["rendered"] = renderer.render(stack, frame).picture.pixels[..., :3].astype(np.float32)
    edge = (truth.mattes[t] > 0) & (truth.mattes[t] < 1)
    found = {way: (float(np.abs(one - want).max(-1)[edge].mean()), one) for way, one in made.items()}
    return {**found, "true": (0.0, want)}


def measure_edges(renderer: Renderer, truth: SyntheticClip) -> list[dict[str, Any]]:
    """A row for each layer and edit: errors by way, means over frames, and whether the mark is reached."""
    rows = []
    for layer in LAYERS:
        for edit in EDITS:
            frames = [
                errors_of_frame(renderer, truth, t, layer, edit)
                for t in range(0, len(truth.rgb), EVERY_FRAMES)
            ]
            errors = {
                way: float(np.mean([one[way][0] for one in frames])) for way in WAYS if way in frames[0]
            }
            rendered = errors.get("rendered", 0.0) <= AS_LEARNED * errors["model"]
            reached = errors["model"] <= MARK * errors["plain"] and rendered
            rows.append({"layer": layer, "edit": edit.name, "errors": errors, "reached": reached})
    return rows


def edges_table(rows: list[dict[str, Any]]) -> str:
    """The rows as text."""
    lines = ["error at edge pixels, linear light".ljust(36) + "".join(way.rjust(10) for way in WAYS)]
    for row in rows:
        name = f"  {row['layer']}, {row['edit']}"
        figures = (f"{row['errors'][way]:.4f}" if way in row["errors"] else "-" for way in WAYS)
        mark = f"   model <= {MARK:g} plain, rendered as model: {'ok' if row['reached'] else 'MISSED'}"
        lines.append(name.ljust(36) + "".join(one.rjust(10) for one in figures) + mark)
    return "\n".join(lines)


def edges_picture(renderer: Renderer, truth: SyntheticClip, t: int, side: int = 72) -> Light:
    """Plain, model and true side by side, a row for each layer's fill and darkening: [h, w, 3] linear."""
    x, y = truth.scene.outline(t)[180].astype(int)
    height, width = truth.rgb.shape[1:3]
    x, y = min(max(x, side // 2), width - side // 2), min(max(y, side // 2), height - side // 2)
    where = (slice(y - side // 2, y + side // 2), slice(x - side // 2, x + side // 2))
    rows = []
    for layer in LAYERS:
        for edit in (EDITS[0], EDITS[3]):
            found = errors_of_frame(renderer, truth, t, layer, edit)
            rows.append(np.hstack([found[way][1][where] for way in ("none", "plain", "model", "true")]))
    return np.vstack(rows)
