"""A clip whose every truth is known: a textured object that moves in front of a moving, textured ground.

The scene is a function, not a set of pictures. The ground is a plane seen through a homography per frame.
The object lives in its own coordinates, has a non-convex outline, and reaches each frame by a similarity
and a slight, smooth deformation. Frames are rendered by mapping supersampled picture positions back to
both surfaces and evaluating their continuous textures there, so matte, optical flow, point tracks and
occlusion follow from the same formulas and are exact, not measured from the pictures.

Positions are picture coordinates (pixels, origin top left, y down, the first pixel's centre at (0.5, 0.5));
frames are indices from 0. `SyntheticClip.write` numbers the files from FIRST_FRAME.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from inve_core.errors import MediaError
from inve_core.media.colour import linear_to_srgb
from inve_core.media.files import storage_error

Array = NDArray[np.float64]
Layer = Literal["foreground", "background"]
# Linear RGB [..., 3] of a layer at its own coordinates [..., 2] to what it is painted with there, [..., 3].
Repaint = Callable[[Layer, Array, NDArray[np.float32]], NDArray[np.float32]]

FIRST_FRAME = 1001

_TEXELS_PER_PIXEL = 4  # of the raster behind a texture; bilinear between texels
_INNER_SAMPLES = 4  # samples per pixel and axis
_EDGE_SAMPLES = 16  # the same, for pixels that the object's outline crosses
_HARMONICS = (2, 3, 5)  # of the outline's radius over the angle
_HARMONIC_SIZES = (0.10, 0.22, 0.06)


# --- where things are -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Scene:
    """The geometry of the clip, for any frame index; all maps are exact inverses of each other.

    Speeds do not depend on the number of frames: paths are periodic and stay inside the picture for ever.
    """

    width: int
    height: int
    seed: int

    @property
    def unit(self) -> float:
        """The length, in pixels, that sizes and speeds are fractions of."""
        return float(min(self.width, self.height))

    def _phases(self, salt: int, count: int) -> Array:
        return np.random.default_rng((self.seed, salt)).uniform(0.0, 2.0 * np.pi, count)

    def similarity(self, frame: int) -> tuple[Array, Array]:
        """The object's motion, (matrix [2, 2], offset [2]): picture = matrix @ object + offset."""
        angle = 0.21 * np.sin(2.0 * np.pi * frame / 50.0)
        scale = 1.0 + 0.1 * np.sin(2.0 * np.pi * frame / 60.0)
        matrix = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        # Far along the longer side, little along the shorter, and always wholly in the picture.
        longer = max(self.width, self.height)
        far = min(0.35 * self.unit, 0.5 * longer - 0.44 * self.unit) * np.sin(
            2.0 * np.pi * frame / 64.0 - 0.9
        )
        near = 0.06 * self.unit * np.sin(2.0 * np.pi * frame / 40.0)
        x, y = (far, near) if self.width >= self.height else (near, far)
        return matrix, np.array([0.5 * self.width + x, 0.5 * self.height + y])

    def homography(self, frame: int) -> Array:
        """The ground's motion: [3, 3] with picture ~ matrix @ (ground, 1); the identity on frame 0."""
        swing = np.sin(2.0 * np.pi * frame / 96.0)
        angle, zoom = 0.03 * swing, 1.0 + 0.05 * swing
        centre = np.array([[1.0, 0.0, 0.5 * self.width], [0.0, 1.0, 0.5 * self.height], [0.0, 0.0, 1.0]])
        motion = np.array(
            [
                [zoom * np.cos(angle), -zoom * np.sin(angle), -0.17 * self.unit * swing],
                [zoom * np.sin(angle), zoom * np.cos(angle), 0.05 * self.unit * swing],
                [0.012 * swing / self.unit, 0.02 * swing / self.unit, 1.0],
            ]
        )
        return centre @ motion @ np.linalg.inv(centre)

    def _deformation(self, frame: int, xy: Array) -> Array:
        """Displacement [..., 2], object pixels; its Lipschitz constant is 0.1, so it can be inverted."""
        phases = self._phases(1, 2)
        k = 2.0 * np.pi / (0.6 * self.unit)
        time = 2.0 * np.pi * frame / 36.0
        waves = np.stack(
            [np.sin(k * xy[..., 1] + phases[0] + time), np.sin(k * xy[..., 0] + phases[1] - time)], -1
        )
        return 0.01 * self.unit * waves

    def to_surface(self, layer: Layer, frame: int, xy: Array) -> Array:
        """Picture positions [..., 2] of a frame to the layer's own coordinates [..., 2]."""
        if layer == "background":
            return _project(np.linalg.inv(self.homography(frame)).astype(np.float64), xy)
        matrix, offset = self.similarity(frame)
        rigid = (xy - offset) @ np.linalg.inv(matrix).T
        return rigid - self._deformation(frame, rigid)

    def to_picture(self, layer: Layer, frame: int, surface: Array) -> Array:
        """The layer's own coordinates [..., 2] to picture positions [..., 2] in a frame."""
        if layer == "background":
            return _project(self.homography(frame), surface)
        rigid = surface
        for _ in range(
            20
        ):  # each round shrinks the error tenfold: the fixed point is exact in double precision
            rigid = surface + self._deformation(frame, rigid)
        matrix, offset = self.similarity(frame)
        return rigid @ matrix.T + offset

    def radius(self, angle: Array) -> Array:
        """The outline's distance from the object's origin, in object pixels, over the angle in radians."""
        waves = [
            size * np.cos(k * angle + phase)
            for k, size, phase in zip(_HARMONICS, _HARMONIC_SIZES, self._phases(2, 3), strict=True)
        ]
        return 0.27 * self.unit * (1.0 + np.sum(waves, axis=0))

    def outside_by(self, surface: Array) -> Array:
        """How far positions [..., 2] lie beyond the outline along their ray; object pixels, <= 0 inside."""
        return np.hypot(surface[..., 0], surface[..., 1]) - self.radius(
            np.arctan2(surface[..., 1], surface[..., 0])
        )

    def covered(self, frame: int, xy: Array) -> NDArray[np.bool_]:
        """Whether the object covers picture positions [..., 2]; bool [...]."""
        return self.outside_by(self.to_surface("foreground", frame, xy)) <= 0.0

    def outline(self, frame: int, count: int = 720) -> Array:
        """The object's outline in a frame as picture positions [count, 2]."""
        angle = np.linspace(0.0, 2.0 * np.pi, count, endpoint=False)
        surface = self.radius(angle)[:, None] * np.stack([np.cos(angle), np.sin(angle)], -1)
        return self.to_picture("foreground", frame, surface)

    def in_picture(self, xy: Array) -> NDArray[np.bool_]:
        """Whether positions [..., 2] lie in the picture; bool [...]."""
        x, y = xy[..., 0], xy[..., 1]
        return (x >= 0) & (y >= 0) & (x < self.width) & (y < self.height)

    def position(self, layer: Layer, frame_from: int, xy: Array, frame_to: int) -> Array:
        """Where what is under positions [..., 2] of one frame is in another, in or out of view; [..., 2]."""
        return self.to_picture(layer, frame_to, self.to_surface(layer, frame_from, xy))

    def visible(self, layer: Layer, frame: int, xy: Array) -> NDArray[np.bool_]:
        """Whether the layer is what is seen at positions [..., 2] of a frame; False outside the picture."""
        covered = self.covered(frame, xy)
        return self.in_picture(xy) & (covered if layer == "foreground" else ~covered)


def _project(matrix: Array, xy: Array) -> Array:
    homogeneous: Array = xy @ matrix[:, :2].T + matrix[:, 2]
    return homogeneous[..., :2] / homogeneous[..., 2:]


# --- what they look like ----------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Texture:
    """A continuous colour over a surface: bilinear between texels much finer than the picture's pixels."""

    raster: NDArray[np.float32]  # [h, w, 3], linear light
    corner: Array  # [2], the surface position of the raster's top left corner

    def colour(self, surface: Array) -> NDArray[np.float32]:
        """Linear RGB [a, b, 3] at surface positions [a, b, 2]."""
        index = ((surface - self.corner) * _TEXELS_PER_PIXEL - 0.5).astype(np.float32)
        x, y = np.ascontiguousarray(index[..., 0]), np.ascontiguousarray(index[..., 1])
        return np.asarray(
            cv2.remap(self.raster, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT), np.float32
        )


def _make_texture(
    rng: np.random.Generator, low: Array, high: Array, unit: float, palette: list[tuple[float, float, float]]
) -> _Texture:
    """A texture over the box low..high: cloudy colour at every scale from 3 pixels up, and scattered discs.

    No scale repeats and no region is flat, so that every patch can be told from its neighbours.
    """
    w, h = (int(n) for n in np.ceil((high - low) * _TEXELS_PER_PIXEL))
    clouds = np.zeros((h, w, 3), np.float32)
    total, wavelength = 0.0, 3.0
    while wavelength < 0.5 * unit:
        cells = (int(w / (_TEXELS_PER_PIXEL * wavelength)) + 4, int(h / (_TEXELS_PER_PIXEL * wavelength)) + 4)
        # Mostly one shade for the three channels, so that the palette's colours come through.
        noise = 0.75 * rng.uniform(0.0, 1.0, (cells[1], cells[0], 1)) + 0.25 * rng.uniform(
            0.0, 1.0, (cells[1], cells[0], 3)
        )
        weight = wavelength**0.5
        clouds += weight * cv2.resize(noise.astype(np.float32), (w, h), interpolation=cv2.INTER_CUBIC)
        total, wavelength = total + weight, 2.0 * wavelength
    # Averaging octaves pulls values to the middle; stretch them back over the palette.
    shade = np.clip((clouds / total - 0.5) * 2.4 + 0.5, 0.0, 1.0)
    dark, middle, light = (np.array(colour, np.float32) for colour in palette)
    raster = np.where(
        shade < 0.5, dark + 2 * shade * (middle - dark), middle + (2 * shade - 1) * (light - middle)
    )
    raster = np.ascontiguousarray(raster, np.float32)
    area = (high - low).prod() / unit**2
    for _ in range(int(90 * area)):
        centre = tuple(int(v) for v in rng.uniform((0, 0), (w, h)))
        radius = int(_TEXELS_PER_PIXEL * unit * rng.uniform(0.012, 0.045))
        colour = np.clip(np.array(palette[rng.integers(3)]) * rng.uniform(0.4, 1.7, 3), 0.01, 0.95)
        axes = (radius, max(2, int(radius * rng.uniform(0.35, 1.0))))
        cv2.ellipse(raster, centre, axes, float(rng.uniform(0, 180)), 0, 360, colour.tolist(), -1, cv2.LINE_8)
    # Nothing finer than the picture's pixels can hold, or edges would shimmer from frame to frame.
    raster = cv2.GaussianBlur(raster, (0, 0), 0.7 * _TEXELS_PER_PIXEL)
    return _Texture(np.clip(raster, 0.0, 1.0), low)


def _textures(scene: Scene, frames: int) -> tuple[_Texture, _Texture]:
    """The object's and the ground's texture, each large enough for every frame."""
    w, h = scene.width, scene.height
    border = np.array([(x, y) for x in np.linspace(0, w, 9) for y in np.linspace(0, h, 9)])
    seen = np.concatenate([scene.to_surface("background", frame, border) for frame in range(frames)])
    reach = np.full(2, scene.radius(np.linspace(0, 2 * np.pi, 720)).max() + 4.0)
    ochre = [(0.20, 0.02, 0.02), (0.75, 0.22, 0.05), (0.90, 0.75, 0.30)]
    slate = [(0.01, 0.04, 0.05), (0.07, 0.20, 0.22), (0.38, 0.50, 0.48)]
    return (
        _make_texture(np.random.default_rng((scene.seed, 3)), -reach, reach, scene.unit, ochre),
        _make_texture(
            np.random.default_rng((scene.seed, 4)), seen.min(0) - 4.0, seen.max(0) + 4.0, scene.unit, slate
        ),
    )


# --- the clip ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class SyntheticClip:
    """Frames and their truth; n frames of H x W pixels.

    Attributes:
        rgb: uint8 [n, H, W, 3], sRGB.
        mattes: float32 [n, H, W], the share of each pixel that the object covers.
        flow: float32 [n-1, H, W, 2], pixels: where what is seen at a pixel's centre goes in the next frame.
        flow_valid: bool [n-1, H, W]: whether it is still seen there.
        scene: the geometry behind them.
        textures: the object's and the ground's colours.
    """

    rgb: NDArray[np.uint8]
    mattes: NDArray[np.float32]
    flow: NDArray[np.float32]
    flow_valid: NDArray[np.bool_]
    scene: Scene
    textures: tuple[_Texture, _Texture]

    def light(self, frame: int, repaint: Repaint | None = None) -> NDArray[np.float32]:
        """A frame before it is encoded, with its surfaces painted over: linear RGB [H, W, 3].

        This is the true composite of an edit that sticks to a surface.
        """
        return _render(self.scene, self.textures, frame, repaint)[0]

    def surface_light(self, layer: Layer, frame: int) -> NDArray[np.float32]:
        """Linear RGB [H, W, 3] of one surface as if nothing stood before it; ground and object go on."""
        xy = pixel_centres(self.scene.width, self.scene.height)[..., None, :] + _offsets(_INNER_SAMPLES)
        texture = self.textures[0 if layer == "foreground" else 1]
        return np.stack([texture.colour(self.scene.to_surface(layer, frame, row)).mean(1) for row in xy])

    def position(self, layer: Layer, frame_from: int, xy: Array, frame_to: int) -> Array:
        """See `Scene.position`; xy and the answer are [n, 2]."""
        return self.scene.position(layer, frame_from, np.asarray(xy, np.float64), frame_to)

    def visible(self, layer: Layer, frame: int, xy: Array) -> NDArray[np.bool_]:
        """See `Scene.visible`; xy is [n, 2], the answer [n]."""
        return self.scene.visible(layer, frame, np.asarray(xy, np.float64))

    def write(self, folder: Path) -> tuple[str, str]:
        """Write folder/frames/1001.png... and folder/mattes/1001.png...

        Returns:
            The two patterns, frames and mattes, with %04d.

        Raises:
            StorageError: if a file cannot be written.
        """
        pictures = {"frames": self.rgb[..., ::-1], "mattes": np.rint(self.mattes * 255.0).astype(np.uint8)}
        try:
            for name, sequence in pictures.items():
                (folder / name).mkdir(parents=True, exist_ok=True)
                for index, picture in enumerate(sequence):
                    png = cv2.imencode(".png", np.ascontiguousarray(picture))[1]
                    (folder / name / f"{FIRST_FRAME + index:04d}.png").write_bytes(png.tobytes())
        except OSError as error:
            raise storage_error(error.filename or folder, error.strerror or str(error)) from error
        return str(folder / "frames" / "%04d.png"), str(folder / "mattes" / "%04d.png")


def make_clip(frames: int = 24, width: int = 320, height: int = 180, seed: int = 0) -> SyntheticClip:
    """Render the clip; the same arguments give the same clip.

    Raises:
        MediaError: for fewer than one frame or a picture under 64 pixels a side.
    """
    if frames < 1 or min(width, height) < 64:
        raise MediaError(
            f"A synthetic clip needs at least 1 frame of 64x64 pixels, got {frames} of {width}x{height}; "
            f"ask for more."
        )
    scene = Scene(width, height, seed)
    textures = _textures(scene, frames)
    rendered = [_render(scene, textures, frame) for frame in range(frames)]
    encoded = [np.clip(linear_to_srgb(light), 0.0, 1.0) for light, _ in rendered]
    flows = [_flow(scene, frame) for frame in range(frames - 1)]
    return SyntheticClip(
        rgb=np.stack([np.rint(code * 255.0).astype(np.uint8) for code in encoded]),
        mattes=np.stack([matte for _, matte in rendered]),
        flow=np.stack([flow for flow, _ in flows]) if flows else np.zeros((0, height, width, 2), np.float32),
        flow_valid=np.stack([valid for _, valid in flows])
        if flows
        else np.zeros((0, height, width), np.bool_),
        scene=scene,
        textures=textures,
    )


def pixel_centres(width: int, height: int) -> Array:
    """Picture positions [height, width, 2] of the pixels' centres."""
    return np.stack(np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5), -1)


def _offsets(samples: int) -> Array:
    """Positions [samples**2, 2] of samples in a pixel, about its centre."""
    steps = (np.arange(samples) + 0.5) / samples - 0.5
    return np.stack(np.meshgrid(steps, steps), -1).reshape(-1, 2)


def _render(
    scene: Scene, textures: tuple[_Texture, _Texture], frame: int, repaint: Repaint | None = None
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """One frame's (linear RGB, matte): means of samples over each pixel's square."""

    def colour_of(layer: Layer, surface: Array) -> NDArray[np.float32]:
        colour = textures[0 if layer == "foreground" else 1].colour(surface)
        return colour if repaint is None else repaint(layer, surface, colour)

    centres = pixel_centres(scene.width, scene.height)
    # Only pixels whose centre is this near to the outline can be crossed by it: half a pixel's diagonal times
    # the steepest that `outside_by` rises over one (under 1.7), in object pixels and with some to spare.
    beyond = scene.outside_by(scene.to_surface("foreground", frame, centres))
    edge, inside = np.abs(beyond) < 1.8, beyond <= 0.0
    linear = np.zeros((scene.height, scene.width, 3), np.float32)
    matte = inside.astype(np.float32)
    parts: tuple[tuple[NDArray[np.bool_], int, Layer | None], ...] = (
        (inside & ~edge, _INNER_SAMPLES, "foreground"),
        (~inside & ~edge, _INNER_SAMPLES, "background"),
        (edge, _EDGE_SAMPLES, None),
    )
    for chosen, samples, layer in parts:
        for rows in np.array_split(np.argwhere(chosen), max(1, int(chosen.sum()) // 16384)):
            y, x = rows[:, 0], rows[:, 1]
            xy = centres[y, x][:, None] + _offsets(samples)
            if layer is None:
                surface = scene.to_surface("foreground", frame, xy)
                hit = scene.outside_by(surface) <= 0.0
                ground = colour_of("background", scene.to_surface("background", frame, xy))
                colour = np.where(hit[..., None], colour_of("foreground", surface), ground)
                matte[y, x] = hit.mean(1)
            else:
                colour = colour_of(layer, scene.to_surface(layer, frame, xy))
            linear[y, x] = colour.mean(1)
    return linear, matte


def _flow(scene: Scene, frame: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Forward flow from a frame to the next, and where its end is still seen."""
    centres = pixel_centres(scene.width, scene.height)
    covered = scene.covered(frame, centres)
    flow, valid = np.zeros_like(centres), np.zeros(covered.shape, np.bool_)
    layers: tuple[tuple[Layer, NDArray[np.bool_]], ...] = (("foreground", covered), ("background", ~covered))
    for layer, seen in layers:
        after = scene.position(layer, frame, centres[seen], frame + 1)
        flow[seen] = after - centres[seen]
        valid[seen] = scene.visible(layer, frame + 1, after)
    return flow.astype(np.float32), valid
