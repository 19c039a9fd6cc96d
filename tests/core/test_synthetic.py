"""The synthetic clip's truth, checked against its own pictures and against a second way to compute it."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inve_core.errors import MediaError, StorageError
from inve_core.media.colour import linear_to_srgb
from inve_core.synthetic import FIRST_FRAME, Layer, Scene, SyntheticClip, make_clip, pixel_centres

WIDTH, HEIGHT, FRAMES = 192, 108, 10
LAYERS: tuple[Layer, ...] = ("foreground", "background")


@pytest.fixture(scope="module")
def clip() -> SyntheticClip:
    return make_clip(FRAMES, WIDTH, HEIGHT, seed=3)


def polygon_coverage(scene: Scene, frame: int, samples: int) -> np.ndarray:
    """The matte by another route: the outline as a polygon, filled on a finer raster, then averaged."""
    outline = scene.outline(frame, 4000) * samples - 0.5
    fine = np.zeros((HEIGHT * samples, WIDTH * samples), np.uint8)
    cv2.fillPoly(fine, [np.rint(outline * 256).astype(np.int32)], 1, shift=8)
    return fine.reshape(HEIGHT, samples, WIDTH, samples).mean((1, 3))


def points_in(scene: Scene, step: int = 7) -> np.ndarray:
    return pixel_centres(scene.width, scene.height)[::step, ::step].reshape(-1, 2) + 0.21


def test_shapes_and_types(clip: SyntheticClip) -> None:
    assert clip.rgb.shape == (FRAMES, HEIGHT, WIDTH, 3)
    assert clip.rgb.dtype == np.uint8
    assert clip.mattes.shape == (FRAMES, HEIGHT, WIDTH)
    assert clip.flow.shape == (FRAMES - 1, HEIGHT, WIDTH, 2)
    assert clip.flow_valid.shape == (FRAMES - 1, HEIGHT, WIDTH)


@pytest.mark.parametrize("frame", [0, 4, 9])
def test_matte_is_the_outlines_coverage(clip: SyntheticClip, frame: int) -> None:
    samples = 32
    difference = np.abs(clip.mattes[frame] - polygon_coverage(clip.scene, frame, samples))
    # fillPoly also takes the subpixels that the outline touches: up to one row of 1/32, twice in a thin tip;
    # the matte's own 16 samples an axis add up to half of 1/16.
    assert difference.max() < 2 / samples + 0.5 / 16
    x, y = clip.scene.outline(frame, 4000).T
    area = 0.5 * abs(np.sum(x * np.roll(y, 1) - y * np.roll(x, 1)))
    assert clip.mattes[frame].sum() == pytest.approx(area, rel=1e-3)


@pytest.mark.parametrize("frame", [0, 5, 8])
def test_visibility_follows_the_outline(clip: SyntheticClip, frame: int) -> None:
    points = points_in(clip.scene, 3)
    outline = clip.scene.outline(frame, 4000).astype(np.float32)
    signed = np.array(
        [cv2.pointPolygonTest(outline, (float(x), float(y)), measureDist=True) for x, y in points]
    )
    clear = np.abs(signed) > 0.05  # the polygon cuts the curve's corners by less than this
    assert np.array_equal(clip.visible("foreground", frame, points)[clear], (signed > 0)[clear])
    assert np.array_equal(clip.visible("background", frame, points)[clear], (signed < 0)[clear])


def test_nothing_is_visible_outside_the_picture(clip: SyntheticClip) -> None:
    outside = np.array([[-0.1, 5.0], [5.0, -0.1], [WIDTH, 5.0], [5.0, HEIGHT]])
    assert not clip.visible("background", 0, outside).any()
    assert not clip.visible("foreground", 0, outside).any()


def test_the_object_hides_ground_and_gives_it_back(clip: SyntheticClip) -> None:
    points = points_in(clip.scene, 2)
    points = points[clip.visible("background", 0, points)]
    seen = np.stack(
        [clip.visible("background", f, clip.position("background", 0, points, f)) for f in range(FRAMES)]
    )
    inside = np.stack(
        [clip.scene.in_picture(clip.position("background", 0, points, f)) for f in range(FRAMES)]
    )
    assert (inside & ~seen).any(0).sum() > 20
    assert (~clip.flow_valid & (clip.mattes[:-1] == 0)).any()


def test_the_object_is_never_hidden_nor_leaves_the_picture() -> None:
    for width, height, seed in ((320, 180, 0), (320, 180, 1), (180, 320, 2), (128, 128, 3), (400, 100, 4)):
        scene = Scene(width, height, seed)
        for frame in range(0, 480, 7):
            assert scene.in_picture(scene.outline(frame, 180)).all(), (width, height, seed, frame)


def test_the_outline_is_not_convex(clip: SyntheticClip) -> None:
    outline = clip.scene.outline(0).astype(np.float32)
    assert cv2.contourArea(outline) < 0.97 * cv2.contourArea(cv2.convexHull(outline))


def test_flow_is_the_difference_of_positions(clip: SyntheticClip) -> None:
    centres = pixel_centres(WIDTH, HEIGHT)
    for frame in (0, 6):
        for layer in LAYERS:
            seen = clip.mattes[frame] == (1.0 if layer == "foreground" else 0.0)
            after = clip.position(layer, frame, centres[seen], frame + 1)
            # Positions below 256 pixels in float32 are good to 2**-17.
            np.testing.assert_allclose(clip.flow[frame][seen], after - centres[seen], atol=1e-5)
            assert np.array_equal(clip.flow_valid[frame][seen], clip.visible(layer, frame + 1, after))


@given(
    layer=st.sampled_from(LAYERS),
    start=st.integers(0, 60),
    middle=st.integers(0, 60),
    end=st.integers(0, 60),
    x=st.floats(0, WIDTH),
    y=st.floats(0, HEIGHT),
)
@settings(deadline=None, max_examples=60)
def test_positions_compose_and_return(
    layer: Layer, start: int, middle: int, end: int, x: float, y: float
) -> None:
    scene = Scene(WIDTH, HEIGHT, 5)
    point = np.array([[x, y]])
    there = scene.position(layer, start, point, middle)
    np.testing.assert_allclose(scene.position(layer, middle, there, start), point, atol=1e-9)
    direct = scene.position(layer, start, point, end)
    np.testing.assert_allclose(scene.position(layer, middle, there, end), direct, atol=1e-8)


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("step", [1, 6])
def test_pictures_agree_along_the_tracks(clip: SyntheticClip, layer: Layer, step: int) -> None:
    """Follow whole patches by the truth: the pictures agree on it to a few hundredths of a pixel."""
    now, later = (clip.rgb[frame].astype(np.float64).mean(-1) for frame in (1, 1 + step))
    offsets = pixel_centres(9, 9).reshape(-1, 2) - 4.5
    shifts, errors, still = [], [], []
    for point in points_in(clip.scene, 6):
        patch = point + offsets
        after = clip.position(layer, 1, patch, 1 + step)
        if not clip.visible(layer, 1, point + 1.3 * offsets).all():
            continue
        if not clip.visible(layer, 1 + step, after + 0.3 * offsets).all():
            continue
        slope = np.stack([sample(later, after + d) - sample(later, after - d) for d in (np.eye(2) / 2)], -1)
        difference = sample(now, patch) - sample(later, after)
        shifts.append(np.linalg.lstsq(slope, difference, rcond=None)[0])
        errors.append(np.abs(difference).mean())
        still.append(np.abs(sample(now, patch) - sample(later, patch)).mean())
    assert len(shifts) >= 12
    # The true shift is none. What is left, 0.012 px, comes from 8-bit rounding and reading between pixels.
    assert np.median(np.hypot(*np.array(shifts).T)) < 0.03
    assert np.median(errors) < 1.5
    assert np.median(still) > 4 * np.median(errors)


def sample(picture: np.ndarray, xy: np.ndarray) -> np.ndarray:
    """Bicubic (Catmull-Rom) values [n] at positions [n, 2]; OpenCV's own bicubic is off by 0.05 px."""
    index = np.floor(xy - 0.5).astype(int)
    values = np.zeros(len(xy))
    for step in np.stack(np.meshgrid(range(-1, 3), range(-1, 3)), -1).reshape(-1, 2):
        x, y = np.clip((index + step).T, 0, np.array(picture.shape)[::-1, None] - 1)
        distance = np.abs(xy - 0.5 - index - step)
        near = 1.5 * distance**3 - 2.5 * distance**2 + 1
        far = -0.5 * distance**3 + 2.5 * distance**2 - 4 * distance + 2
        values += picture[y, x] * np.where(distance < 1, near, np.where(distance < 2, far, 0)).prod(1)
    return values


def test_the_seed_decides(clip: SyntheticClip) -> None:
    again = make_clip(2, WIDTH, HEIGHT, seed=3)
    other = make_clip(1, WIDTH, HEIGHT, seed=4)
    assert np.array_equal(again.rgb[0], make_clip(2, WIDTH, HEIGHT, seed=3).rgb[0])
    assert not np.array_equal(again.rgb[0], other.rgb[0])
    assert not np.array_equal(again.mattes[0], other.mattes[0])
    assert np.array_equal(again.mattes[1], clip.mattes[1])


def test_write_gives_the_same_pictures_back(tmp_path: Path) -> None:
    clip = make_clip(2, 96, 64)
    frames, mattes = clip.write(tmp_path)
    for index in range(2):
        picture = cv2.imread(frames % (FIRST_FRAME + index), cv2.IMREAD_COLOR)
        assert np.array_equal(picture[..., ::-1], clip.rgb[index])
        matte = cv2.imread(mattes % (FIRST_FRAME + index), cv2.IMREAD_UNCHANGED)
        np.testing.assert_allclose(matte / 255.0, clip.mattes[index], atol=0.5 / 255)
    assert sorted(p.name for p in (tmp_path / "frames").iterdir()) == ["1001.png", "1002.png"]


def test_write_says_where_it_could_not(tmp_path: Path) -> None:
    (tmp_path / "frames").write_text("in the way")
    with pytest.raises(StorageError, match="frames"):
        make_clip(1, 64, 64).write(tmp_path)


@pytest.mark.parametrize(("frames", "width", "height"), [(0, 320, 180), (1, 63, 180), (1, 320, 10)])
def test_refuses_what_it_cannot_make(frames: int, width: int, height: int) -> None:
    with pytest.raises(MediaError, match=f"got {frames} of {width}x{height}"):
        make_clip(frames, width, height)


def test_one_frame_has_no_flow() -> None:
    clip = make_clip(1, 64, 64)
    assert clip.flow.shape == (0, 64, 64, 2)
    assert clip.flow_valid.shape == (0, 64, 64)


def test_light_is_the_clip_before_encoding(clip: SyntheticClip) -> None:
    code = np.rint(np.clip(linear_to_srgb(clip.light(4)), 0, 1) * 255).astype(np.uint8)
    assert np.array_equal(code, clip.rgb[4])


def test_a_repainted_surface_covers_what_its_matte_says(clip: SyntheticClip) -> None:
    def white(layer: Layer, surface: np.ndarray, colour: np.ndarray) -> np.ndarray:
        return np.full_like(colour, 1.0 if layer == "foreground" else 0.0)

    assert np.abs(clip.light(4, white) - clip.mattes[4][..., None]).max() < 1e-6


def test_surfaces_mix_to_the_picture(clip: SyntheticClip) -> None:
    """Each surface's light over the whole pixel, by its share, is the picture."""
    matte = clip.mattes[4][..., None]
    mixed = matte * clip.surface_light("foreground", 4) + (1 - matte) * clip.surface_light("background", 4)
    difference = np.abs(mixed - clip.light(4)).max(-1)
    sure = (matte[..., 0] == 0) | (matte[..., 0] == 1)
    # Pixels right at the outline are sampled more finely than those away from it.
    assert difference[sure].max() < 0.01
    assert difference[~sure].mean() < 0.01
