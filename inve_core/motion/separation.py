"""One video layer of a frame by itself: flow of one side of an outline is to see nothing of the other.

Flow matches patches of several pixels. Near an outline a patch holds both sides, and the motion of one is
written over the other, consistently both ways: points slide off an object and stay on the ground. So
everything that is not the layer is covered with the layer's own colours, carried outward.
"""

from dataclasses import dataclass

import cv2
import numpy as np

# What is carried outward is blurred the more the further it goes; nearer blurs outweigh wider ones.
_BLURS = ((2, 1.0), (6, 1e-3), (18, 1e-6), (54, 1e-9))
# Mattes are often a little loose: this far inside, or half the way to the middle of a limb, colours are safe.
MARGIN_PX = 1.5
# Beyond an object there is nothing to compute but what its flow may reach.
_MARGIN_SHARE = 24 / 768
# Carried colours at the edge of a hole follow what covers the layer: so near to it flow does not count.
_REACH_PX = 4.0


@dataclass(frozen=True)
class Crop:
    """A part of a picture, in whole pixels; the end is left out."""

    x0: int
    y0: int
    x1: int
    y1: int

    @classmethod
    def whole(cls, picture: np.ndarray) -> "Crop":
        """All of a picture [height, width, ...]."""
        return cls(0, 0, picture.shape[1], picture.shape[0])

    @classmethod
    def around(cls, mask: np.ndarray, margin: int) -> "Crop":
        """The bounding box of a mask [height, width] with a margin; all of it where the mask is empty."""
        columns, rows = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
        height, width = mask.shape
        if not len(columns):
            return cls(0, 0, width, height)
        return cls(
            max(0, int(columns[0]) - margin),
            max(0, int(rows[0]) - margin),
            min(width, int(columns[-1]) + margin + 1),
            min(height, int(rows[-1]) + margin + 1),
        )

    def joined(self, other: "Crop") -> "Crop":
        """The smallest crop that holds both."""
        low, high = min, max
        return Crop(
            low(self.x0, other.x0), low(self.y0, other.y0), high(self.x1, other.x1), high(self.y1, other.y1)
        )

    @property
    def slices(self) -> tuple[slice, slice]:
        """Rows and columns of the picture."""
        return slice(self.y0, self.y1), slice(self.x0, self.x1)

    def within(self, outer: "Crop") -> tuple[slice, slice]:
        """Rows and columns of what was cut to `outer`."""
        return Crop(self.x0 - outer.x0, self.y0 - outer.y0, self.x1 - outer.x0, self.y1 - outer.y0).slices

    def ends(self, flow: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Column and row, in the picture, that each vector of the crop [h, w, 2] leads to."""
        x = flow[..., 0] + np.arange(self.x0, self.x1, dtype=np.float32)
        y = flow[..., 1] + np.arange(self.y0, self.y1, dtype=np.float32)[:, None]
        return x, y


@dataclass(frozen=True, eq=False)
class LayerView:
    """One video layer of one frame.

    Attributes:
        crop: the part of the picture that the layer is in, with a margin.
        grey: [height, width] uint8, the layer with its surroundings covered.
        share: [height, width] float32, how much of each pixel shows the layer.
        clear: [height, width] bool, the layer's pixels that no layer in front comes near to.
        nearest: the nearest pixel that shows the layer or what covers it, [height, width, 2] float32, and
            its distance, [height, width] float32; None for a layer that goes as far as the picture.
    """

    crop: Crop
    grey: np.ndarray
    share: np.ndarray
    clear: np.ndarray
    nearest: tuple[np.ndarray, np.ndarray] | None


def layer_view(grey: np.ndarray, mattes: np.ndarray, layer: int) -> LayerView:
    """Separate one video layer of a frame.

    Args:
        grey: [height, width] uint8.
        mattes: [mattes, height, width] float32, front to back.
        layer: index into the mattes, or their number for the background.
    """
    height, width = grey.shape
    in_front = mattes[:layer].max(0, initial=0.0)
    own = mattes[layer] if layer < len(mattes) else np.ones((height, width), np.float32)
    share = np.ascontiguousarray(own * (1 - in_front), np.float32)
    mask = share > 0.5
    clear = mask & inner(in_front <= 0.5, _REACH_PX)
    crop = Crop.around(mask, round(_MARGIN_SHARE * max(height, width)))
    if layer == len(mattes) or not mask.any():
        return LayerView(Crop.whole(grey), extended(grey, share), share, clear, None)
    carried = extended(grey[crop.slices], share[crop.slices])
    sides = (crop.y0, height - crop.y1, crop.x0, width - crop.x1)
    covered = np.asarray(cv2.copyMakeBorder(carried, *sides, cv2.BORDER_REPLICATE), np.uint8)
    return LayerView(crop, covered, share, clear, _nearest(np.maximum(own, in_front) > 0.5))


def inner(side: np.ndarray, reach_px: float) -> np.ndarray:
    """Pixels of a region at least `reach_px` from its outline; where it is too thin, those of its inner half.

    Args:
        side: [height, width] bool.
    """
    if side.all():
        return side
    depth = cv2.distanceTransform(side.astype(np.uint8), cv2.DIST_L2, 3)
    window = np.ones((2 * int(np.ceil(reach_px)) + 1,) * 2, np.uint8)
    result: np.ndarray = side & (depth >= np.minimum(reach_px, 0.5 * cv2.dilate(depth, window)))
    return result


def extended(grey: np.ndarray, share: np.ndarray) -> np.ndarray:
    """The layer's grey carried outward over everything else. [height, width] uint8 and float32 to uint8."""
    if share.min() > 0.99 or share.max() <= 0.5:
        return grey
    picture = grey.astype(np.float32)
    keep = inner(share > 0.5, MARGIN_PX).astype(np.float32)
    size = picture.shape[::-1]
    # What is blurred and how much of it there is, as one picture of two channels.
    both = small = cv2.merge((picture * keep, keep))
    total = np.full_like(both, 1e-14)
    for sigma, weight in _BLURS:
        # Wide blurs are made on small pictures, each of which is made of the one before.
        step = max(1, sigma // 3)
        if step > 1:
            shrunk = max(1, size[0] // step), max(1, size[1] // step)
            small = cv2.resize(small, shrunk, interpolation=cv2.INTER_AREA)
        blurred = cv2.GaussianBlur(small, (0, 0), sigma / step)
        if step > 1:
            blurred = cv2.resize(blurred, size, interpolation=cv2.INTER_LINEAR)
        cv2.scaleAdd(blurred, weight, total, total)
    carried = total[..., 0] / total[..., 1]
    safe = np.minimum(keep, share)
    carried += (picture - carried) * safe
    # Rounds, and keeps to 0..255.
    return np.asarray(cv2.convertScaleAbs(np.maximum(carried, 0.0)), np.uint8)


def smoothed(flow: np.ndarray, miss_px: np.ndarray, share: np.ndarray, sigma_px: float) -> np.ndarray:
    """Flow [h, w, 2] blurred inside its layer, by vectors that come back.

    Args:
        miss_px: [h, w], how far from its start a vector's way there and back ends.
    """
    weight = (share / (1 + miss_px**2) + 1e-6).astype(np.float32)
    blurred = cv2.GaussianBlur(flow * weight[..., None], (0, 0), sigma_px)
    result: np.ndarray = blurred / cv2.GaussianBlur(weight, (0, 0), sigma_px)[..., None]
    return result


def snapped(flow: np.ndarray, crop: Crop, target: LayerView) -> np.ndarray:
    """Flow whose vectors end on the layer: one that misses it goes to its nearest pixel.

    Args:
        flow: [h, w, 2] float32, of the part `crop` of its frame.
        target: the layer in the frame that the flow leads to.
    """
    if target.nearest is None:
        return flow
    places, distance = target.nearest
    x, y = crop.ends(flow)
    border = cv2.BORDER_REPLICATE
    missed = cv2.remap(distance, x, y, cv2.INTER_LINEAR, borderMode=border) > 1.0
    place = cv2.remap(places, x, y, cv2.INTER_NEAREST, borderMode=border)
    start_x, start_y = crop.ends(np.zeros_like(flow))
    return np.where(missed[..., None], place - np.stack((start_x, start_y), -1), flow)


def _nearest(allowed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    outside = (~allowed).view(np.uint8)
    distance, labels = cv2.distanceTransformWithLabels(
        outside, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    places = np.zeros((int(labels.max()) + 1, 2), np.float32)
    y, x = np.nonzero(allowed)
    places[labels[y, x]] = np.stack((x, y), 1)
    return places.take(np.asarray(labels, np.int32), axis=0), np.asarray(distance, np.float32)
