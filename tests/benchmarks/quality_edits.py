"""How an edit stays on its object: leak beside it, coverage that is kept, and how far a fill fills it.

A dense pattern of strokes is painted over the object where its matte is largest, and an adjustment is filled
around it. Where the pattern must lie on another frame is known from optical flow, apart from any map.
Sizes are working pixels unless said.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import cv2
import numpy as np

from inve_core.clip import Clip
from inve_core.edits import EditStack, parse_stack
from inve_core.rendering import Renderer

SPREAD_FRAMES = 12
# Of the object's size, the square root of its matte's area.
WIDTH_SHARE = 0.04
LEAST_WIDTH_PX = 6.0
SPACING_WIDTHS = 3.0
# Pixels nearer than this to the pattern's own edge are antialiased and say nothing.
EDGE_PX = 1.5
TOLERANCE_PX = 2
FILL_MARGIN = 0.25


@dataclass(frozen=True, eq=False)
class Pattern:
    """Lines along and across an object.

    Attributes:
        t: index of the frame that it is painted on.
        lines: two polylines [k, 2].
        width: of the lines, full.
        outline: [4, 2], around the object with some to spare.
    """

    t: int
    lines: tuple[np.ndarray, np.ndarray]
    width: float
    outline: np.ndarray

    def depth(self, width: int, height: int) -> np.ndarray:
        """How far each pixel centre lies inside the pattern's edge, negative outside: [height, width]."""
        away = np.minimum(*(distance_to_line(line, width, height) for line in self.lines))
        return self.width / 2 - away


def serpentine(low: np.ndarray, high: np.ndarray, spacing: float) -> np.ndarray:
    """A line to and fro along x over the box from low [2] to high [2]: [k, 2] corners."""
    count = max(2, round((high[1] - low[1]) / spacing) + 1)
    corners = []
    for number, y in enumerate(np.linspace(low[1], high[1], count)):
        ends = [(low[0], y), (high[0], y)]
        corners += ends if number % 2 == 0 else ends[::-1]
    return np.array(corners)


def distance_to_line(line: np.ndarray, width: int, height: int) -> np.ndarray:
    """Distance of each pixel centre to a polyline [k, 2]: [height, width]."""
    centres = np.stack(np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5), -1)
    best = np.full((height, width), np.inf)
    for start, end in pairwise(line):
        along = end - start
        share = ((centres - start) @ along / max(float(along @ along), 1e-12)).clip(0, 1)
        best = np.minimum(best, np.linalg.norm(centres - start - share[..., None] * along, axis=-1))
    return best


def pattern_over(mattes: np.ndarray) -> Pattern:
    """The pattern for an object's mattes [n, h, w]."""
    areas = (mattes > 0.5).sum((1, 2))
    t = int(areas.argmax())
    height, width = mattes.shape[1:]
    y, x = np.nonzero(mattes[t] > 0.5)
    line_width = max(LEAST_WIDTH_PX, WIDTH_SHARE * float(np.sqrt(areas[t])))
    low, high = np.array([x.min(), y.min()], float), np.array([x.max() + 1, y.max() + 1], float)
    spacing = line_width * SPACING_WIDTHS
    across = serpentine(low[::-1], high[::-1], spacing)[:, ::-1]
    spare = FILL_MARGIN * float((high - low).max())
    left, top = np.maximum(low - spare, 0.0)
    right, bottom = np.minimum(high + spare, (width, height))
    outline = np.array([[left, top], [right, top], [right, bottom], [left, bottom]])
    return Pattern(t, (serpentine(low, high, spacing), across), line_width, outline)


def stack_of(pattern: Pattern, clip: Clip, fill: bool) -> EditStack:
    """The pattern, and with `fill` the filled outline, as edits in picture coordinates."""
    factors = np.array(clip.grid.factors)
    common = {"frame": clip.source.frames[pattern.t], "video_layer": "foreground"}
    width = pattern.width * float(factors.mean())
    strokes = [
        {"type": "stroke", "points": (line * factors).tolist(), "width": width, "color": colour, **common}
        for line, colour in zip(pattern.lines, ([0.9, 0.02, 0.02, 1], [0.9, 0.7, 0.02, 1]), strict=True)
    ]
    region = {
        "type": "adjustment",
        "points": (pattern.outline * factors).tolist(),
        "width": 1.0,
        "closed": True,
        "brightness": 0.1,
        **common,
    }
    layers: list[dict[str, Any]] = [{"name": "pattern", "kind": "sketch", "edits": strokes}]
    if fill:
        layers.append({"name": "fill", "kind": "adjustment", "edits": [region]})
    return parse_stack({"layers": layers})


def working_scale(clip: Clip) -> float:
    """The scale at which the renderer's pictures have the working size."""
    return max(clip.grid.working_width, clip.grid.working_height) / max(clip.grid.width, clip.grid.height)


def rendered_alphas(renderer: Renderer, stack: EditStack, frame: int, scale: float) -> dict[str, np.ndarray]:
    """Alpha [h, w] float32 of each edit layer on a host frame, by the layer's name."""
    parts = renderer.render(stack, frame, scale=scale, layers=True).parts
    prefix = "edit."
    return {
        part.name[len(prefix) :]: part.pixels[..., 3].astype(np.float32)
        for part in parts
        if part.name.startswith(prefix)
    }


def leaked(alpha: np.ndarray, matte: np.ndarray) -> float:
    """How much coverage lies outside a matte; both [h, w] in 0..1, the answer in pixels."""
    return float((alpha * (1 - matte)).sum())


def grown(matte: np.ndarray, by_px: int) -> np.ndarray:
    """A matte [h, w] that tolerates `by_px` pixels more."""
    side = 2 * by_px + 1
    return cv2.dilate(matte, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)))


def kept_counts(
    alpha: np.ndarray, matte: np.ndarray, flow: np.ndarray, valid: np.ndarray, depth: np.ndarray
) -> tuple[int, int, int, int]:
    """What of the pattern is where flow says it must be.

    Args:
        alpha, matte: [h, w] of a frame.
        flow: [h, w, 2] from that frame to the painted one; valid: [h, w] bool.
        depth: [h, w] of the painted frame, see `Pattern.depth`.

    Returns:
        pixels of the object that must be covered, those of them that are, pixels that must be bare, and
        those of them that are covered.
    """
    height, width = alpha.shape
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    landed = cv2.remap(
        depth.astype(np.float32),
        x + flow[..., 0],
        y + flow[..., 1],
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=[0.0],
    )
    counted = valid & (matte > 0.5)
    covered = alpha > 0.5
    must, bare = counted & (landed >= EDGE_PX), counted & (landed <= -EDGE_PX)
    return int(must.sum()), int((must & covered).sum()), int(bare.sum()), int((bare & covered).sum())


def flow_to(clip: Clip, source: int, target: int) -> tuple[np.ndarray, np.ndarray] | None:
    """Flow between two frame indices, [h, w, 2] and bool [h, w], where the clip has their gap; else None."""
    for flow in clip.flows:
        if target - source == flow.gap:
            return flow.forward[source].astype(np.float32), np.asarray(flow.forward_valid[source])
        if source - target == flow.gap:
            return flow.backward[target].astype(np.float32), np.asarray(flow.backward_valid[target])
    return None


def spread_frames(count: int, without: int) -> list[int]:
    """About SPREAD_FRAMES frame indices evenly over a clip, without one."""
    picked = np.linspace(0, count - 1, min(count, SPREAD_FRAMES + 1)).round().astype(int).tolist()
    return [t for t in dict.fromkeys(picked) if t != without][:SPREAD_FRAMES]


def measure_edits(renderer: Renderer, clip: Clip) -> dict[str, Any]:
    """Leak and fill on frames spread over the clip; coverage on those 1, 2, 4, ... from the painted one.

    Of leak: `strict` weighs coverage by one minus the matte, so that a perfect soft edge has some
    too (`fill_leak_of_matte_itself`); `above_matte` is coverage greater than the matte, of which it has none.
    """
    mattes = clip.mattes[:, 0]
    pattern = pattern_over(mattes)
    height, width = mattes.shape[1:]
    depth = pattern.depth(width, height)
    stack, scale = stack_of(pattern, clip, fill=True), working_scale(clip)
    at = {"pattern": 0.0, "fill": 0.0}
    strict, tolerant, excess, worst = dict(at), dict(at), dict(at), dict(at)
    filled = matte_area = soft = 0.0
    counts: dict[int, np.ndarray] = {}
    spread = spread_frames(len(clip), pattern.t)
    flows = {t: flow_to(clip, t, pattern.t) for t in range(len(clip))}
    still = np.zeros((height, width, 2), np.float32), np.ones((height, width), bool)
    flows[pattern.t] = still
    for t in sorted({*spread, *(t for t, flow in flows.items() if flow is not None)}):
        alphas = rendered_alphas(renderer, stack, clip.source.frames[t], scale)
        flow = flows[t]
        if flow is not None:
            gap = abs(t - pattern.t)
            counts[gap] = counts.get(gap, 0) + np.array(
                kept_counts(alphas["pattern"], mattes[t], *flow, depth)
            )
        if t not in spread:
            continue
        for name, alpha in alphas.items():
            outside = leaked(alpha, mattes[t])
            at[name] += float(alpha.sum())
            strict[name] += outside
            tolerant[name] += leaked(alpha, grown(mattes[t], TOLERANCE_PX))
            excess[name] += float((alpha - mattes[t]).clip(0).sum())
            worst[name] = max(worst[name], outside / max(1.0, float(alpha.sum())))
        filled += float((alphas["fill"] * mattes[t]).sum())
        matte_area += float(mattes[t].sum())
        soft += leaked(mattes[t], mattes[t])
    drawn = counts.pop(0)
    total = np.sum(list(counts.values()), 0) if counts else np.zeros(4, int)
    by_layer = {
        name: {
            "strict": share(strict[name], at[name]),
            f"beyond_{TOLERANCE_PX}px": share(tolerant[name], at[name]),
            "above_matte": share(excess[name], at[name]),
            "worst_frame": worst[name],
        }
        for name in at
    }
    return {
        "painted_frame": clip.source.frames[pattern.t],
        "line_width_px": pattern.width,
        "leak": by_layer["pattern"],
        "kept": share(total[1], total[0]),
        # Near frames have the most pixels that flow vouches for; the farthest gap shows drift.
        "kept_farthest": share(*counts[max(counts)][1::-1]) if counts else None,
        "kept_by_gap": {str(gap): share(count[1], count[0]) for gap, count in sorted(counts.items())},
        "kept_pixels": int(total[0]),
        "spurious": share(total[3], total[2]),
        "drawn_kept": share(drawn[1], drawn[0]),
        "drawn_spurious": share(drawn[3], drawn[2]),
        "fill": share(filled, matte_area),
        "fill_leak": by_layer["fill"],
        "fill_leak_of_matte_itself": share(soft, matte_area),
    }


def share(part: float, whole: float) -> float | None:
    """A share; None of nothing."""
    return float(part / whole) if whole else None
