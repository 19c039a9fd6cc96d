"""How well the maps follow optical flow, and how well the ways to invert them do.

Distances are working pixels of the frame where they end.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from quality_clips import MEASURED_GAP
from torch import Tensor

from inve_core.clip import Clip
from inve_core.model import LayeredAtlas
from inve_core.motion.flow import GapFlow

SEED = 20_230_715
VECTORS = 200_000
ROUND_TRIPS = 100_000
CHUNK = 1 << 16
TIMED_POINTS = {"cuda": 1 << 18, "cpu": 1 << 14}

# Video layer, atlas uv [n, 2], frame indices [n] and where, in stabilised coordinates [n, 2], the points are
# on the frame that they are tracked from, to working pixels [n, 2] of these frames.
Invert = Callable[[LayeredAtlas, int, Tensor, Tensor, Tensor], Tensor]


def by_network(model: LayeredAtlas, layer: int, uv: Tensor, t: Tensor, near: Tensor) -> Tensor:
    """The inverse network's answer alone (INVE, Eq. 2)."""
    return model.unmap_by_network(layer, uv, t)


def refined(model: LayeredAtlas, layer: int, uv: Tensor, t: Tensor, near: Tensor) -> Tensor:
    """The network's answer, refined by Newton steps on the forward map."""
    start = model.stabilise(layer, model.unmap_by_network(layer, uv, t), t)
    return model.destabilise(layer, model.newton(layer, uv, t, start)[0], t)


def numerical(model: LayeredAtlas, layer: int, uv: Tensor, t: Tensor, near: Tensor) -> Tensor:
    """Newton steps on the forward map alone, from where the residual is none."""
    return model.destabilise(layer, model.newton(layer, uv, t, uv)[0], t)


def product(model: LayeredAtlas, layer: int, uv: Tensor, t: Tensor, near: Tensor) -> Tensor:
    """What the product does: Newton steps from the place asked for, then from the network or the motion."""
    return model.unmap(layer, uv, t, near)[0]


WAYS: dict[str, Invert] = {
    "product": product,
    "network": by_network,
    "refined": refined,
    "numerical": numerical,
}


@dataclass(frozen=True, eq=False)
class Vectors:
    """Flow vectors: t [n], xy [n, 2] to target_t [n], target_xy [n, 2]; which start on the object."""

    t: Tensor
    xy: Tensor
    target_t: Tensor
    target_xy: Tensor
    on_object: Tensor


def draw_vectors(clip: Clip, flow: GapFlow, most: int, device: torch.device) -> tuple[Vectors, float]:
    """Random consistent vectors of one gap, both ways, and the share of all vectors that is consistent."""
    rng = np.random.default_rng(SEED)
    pairs, height, width = flow.forward_valid.shape
    n = 4 * most
    pair, back = rng.integers(pairs, size=n), rng.integers(2, size=n) == 1
    y, x = rng.integers(height, size=n), rng.integers(width, size=n)
    valid = np.where(back, flow.backward_valid[pair, y, x], flow.forward_valid[pair, y, x])
    share = float(valid.mean())
    keep = np.flatnonzero(valid)[:most]
    pair, back, y, x = pair[keep], back[keep], y[keep], x[keep]
    vectors = np.where(back[:, None], flow.backward[pair, y, x], flow.forward[pair, y, x])
    t, target_t = pair + flow.gap * back, pair + flow.gap * ~back
    start = np.stack((x, y), 1) + 0.5
    drawn = Vectors(
        torch.from_numpy(t).to(device),
        torch.from_numpy(start.astype(np.float32)).to(device),
        torch.from_numpy(target_t).to(device),
        torch.from_numpy((start + vectors).astype(np.float32)).to(device),
        torch.from_numpy(clip.mattes[t, 0, y, x] > 0.5).to(device),
    )
    return drawn, share


@torch.no_grad()
def layers_seen(model: LayeredAtlas, xy: Tensor, t: Tensor) -> Tensor:
    """The video layer most visible at working pixels [n, 2] of frames t [n]: [n] indices."""
    parts = zip(xy.split(CHUNK), t.split(CHUNK), strict=True)
    return torch.cat([model.visibility(part, times).argmax(1) for part, times in parts])


@torch.no_grad()
def carried(
    model: LayeredAtlas, layers: Tensor, xy: Tensor, t: Tensor, target_t: Tensor, invert: Invert
) -> Tensor:
    """Where the maps take working pixels xy [n, 2] of frames t [n] on frames target_t [n]: [n, 2]."""
    result = torch.empty_like(xy)
    for layer in range(model.layer_count):
        chosen = (layers == layer).nonzero()[:, 0]
        # An empty tensor splits into one empty part, which no kernel has to cope with.
        for here in chosen.split(CHUNK) if len(chosen) else ():
            uv = model.map(layer, xy[here], t[here])
            near = model.stabilise(layer, xy[here], t[here])
            result[here] = invert(model, layer, uv, target_t[here], near)
    return result


def summary(errors: Tensor) -> dict[str, float | None]:
    """Mean, median, 95th and 99th percentile of [n] distances; None of none."""
    if not len(errors):
        return dict.fromkeys(("mean", "median", "p95", "p99"))
    values = errors.double().cpu().numpy()
    median, p95, p99 = np.percentile(values, (50, 95, 99))
    return {"mean": float(values.mean()), "median": float(median), "p95": float(p95), "p99": float(p99)}


def measured_flows(clip: Clip) -> dict[str, GapFlow]:
    """Flow of gap 1 and of the longest gap up to 16 that the clip has."""
    fits = [flow for flow in clip.flows if flow.gap <= MEASURED_GAP]
    return {"short": fits[0], "long": fits[-1]}


def measure_flow(model: LayeredAtlas, clip: Clip) -> dict[str, Any]:
    """Distance between where flow takes pixels and where the maps do, by each way to invert them.

    The map is that of the video layer that is seen, by the learned opacity, where the vector starts.
    """
    results: dict[str, Any] = {}
    for name, flow in measured_flows(clip).items():
        vectors, share = draw_vectors(clip, flow, VECTORS, model.device)
        layers = layers_seen(model, vectors.xy, vectors.t)
        for way, invert in WAYS.items():
            found = carried(model, layers, vectors.xy, vectors.t, vectors.target_t, invert)
            errors = (found - vectors.target_xy).norm(dim=-1)
            results.setdefault(way, {})[name] = {
                "gap": flow.gap,
                "valid_share": share,
                **summary(errors),
                "object": summary(errors[vectors.on_object]),
                "ground": summary(errors[~vectors.on_object]),
            }
    return results


def measure_inversion(model: LayeredAtlas, clip: Clip) -> dict[str, Any]:
    """Round trip of random pixels through the map of the layer seen there and back, and seconds a million."""
    generator = torch.Generator().manual_seed(SEED)
    grid = model.geometry.grid
    size = torch.tensor([grid.working_width, grid.working_height])
    xy = (torch.rand(ROUND_TRIPS, 2, generator=generator) * size).to(model.device)
    t = torch.randint(len(clip), (ROUND_TRIPS,), generator=generator).to(model.device)
    layers = layers_seen(model, xy, t)
    results: dict[str, Any] = {}
    for way, invert in WAYS.items():
        errors = (carried(model, layers, xy, t, t, invert) - xy).norm(dim=-1)
        results[way] = {
            "round_trip_px": summary(errors),
            "seconds_a_million": seconds_a_million(model, layers, xy, t, invert),
        }
    return results


@torch.no_grad()
def seconds_a_million(model: LayeredAtlas, layers: Tensor, xy: Tensor, t: Tensor, invert: Invert) -> float:
    """Time to invert a million atlas positions in the product's chunks, after a warm-up; uv not counted."""
    wanted = TIMED_POINTS[model.device.type]
    layer = int(layers.bincount(minlength=model.layer_count).argmax())
    chosen = (layers == layer).nonzero()[:, 0]
    chosen = chosen.repeat(-(-wanted // len(chosen)))[:wanted]
    uv, times = model.map(layer, xy[chosen], t[chosen]), t[chosen]
    near = model.stabilise(layer, xy[chosen], t[chosen])
    taken = 0.0
    for _ in range(2):
        _finish(model.device)
        started = time.perf_counter()
        for parts in zip(uv.split(CHUNK), times.split(CHUNK), near.split(CHUNK), strict=True):
            invert(model, layer, *parts)
        _finish(model.device)
        taken = time.perf_counter() - started
    return taken / wanted * 1e6


def _finish(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
