"""Edits rendered to files: bits that nothing touches are kept, and parts rebuild the picture by over."""

from pathlib import Path

import cv2
import numpy as np
import OpenImageIO as oiio  # noqa: N813 - the name that its own documentation uses
import pytest
import torch
from edit_strategies import stacks
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inve_core.clip import open_source
from inve_core.edits import Adjustment, EditLayer, EditStack, Stroke, Texture
from inve_core.media.exr import MAIN_PART, read_parts, write_exr
from inve_core.rendering import Renderer, reference
from inve_core.rendering.fields import FrameSize

WIDTH, HEIGHT = 160, 96
FRAMES = (1003, 1004)
SOURCES = ("half", "float", "8-bit", "10-bit", "16-bit")
AT_RANDOM = settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))


def odd_light(kind: type, seed: int) -> np.ndarray:
    """Light of every sort: dark, bright, negative, enormous, minute, and what is no number."""
    rng = np.random.default_rng(seed)
    pixels = rng.uniform(-0.2, 2.0, (HEIGHT, WIDTH, 4)).astype(np.float32)
    pixels[..., 3] = rng.uniform(0, 1, (HEIGHT, WIDTH)) ** 0.2
    with np.errstate(over="ignore"):
        pixels = pixels.astype(kind)
    for value in (np.nan, np.inf, -np.inf, -0.0, np.finfo(kind).max, np.finfo(kind).smallest_subnormal):
        y, x = rng.integers(0, (HEIGHT, WIDTH), (40, 2)).T
        pixels[y, x, rng.integers(0, 4, 40)] = value
    return pixels


def write_plate(path: Path, pixels: np.ndarray, bits: int | None = None) -> None:
    height, width, channels = pixels.shape
    output = oiio.ImageOutput.create(str(path))
    spec = oiio.ImageSpec(width, height, channels, {2: "half", 4: "float"}.get(pixels.itemsize, "uint8"))
    if pixels.dtype.kind == "u":
        spec = oiio.ImageSpec(width, height, channels, pixels.dtype.name)
    if bits is not None:
        spec.attribute("oiio:BitsPerSample", bits)
    assert output.open(str(path), spec), output.geterror()
    assert output.write_image(np.ascontiguousarray(pixels)), output.geterror()
    assert output.close()


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """A source of each sample type, of the size that the shared model was learned at."""
    found = {}
    for name in SOURCES:
        folder = tmp_path_factory.mktemp(name)
        for frame in FRAMES:
            rng = np.random.default_rng(frame)
            if name in ("half", "float"):
                kind = np.float16 if name == "half" else np.float32
                write_plate(folder / f"{frame}.exr", odd_light(kind, frame))
            elif name == "10-bit":
                codes = rng.integers(0, 1024, (HEIGHT, WIDTH, 3)).astype(np.uint16)
                write_plate(folder / f"{frame}.dpx", (codes << 6) | (codes >> 4), 10)
            else:
                kind = np.uint8 if name == "8-bit" else np.uint16
                codes = rng.integers(0, np.iinfo(kind).max + 1, (HEIGHT, WIDTH, 4)).astype(kind)
                write_plate(folder / f"{frame}.{'png' if name == '8-bit' else 'tif'}", codes)
        found[name] = open_source(str(folder))
    return found


@pytest.fixture(scope="module")
def renderers(shot, sources):
    """For each source one that goes the CPU's way, and one that goes the GPU's, on the CPU."""
    made = {}
    for name, source in sources.items():
        for way in ("cpu", "as on a gpu"):
            made[name, way] = Renderer(shot.model, source)
            made[name, way].on_gpu = way != "cpu"
    return made


@pytest.fixture(scope="module")
def sticker(tmp_path_factory):
    """A picture with soft edges and a hole."""
    path = tmp_path_factory.mktemp("sticker") / "sticker.png"
    alpha = cv2.GaussianBlur(np.pad(np.full((30, 50), 255, np.uint8), 5), (0, 0), 2.0)
    alpha[15:25, 25:35] = 0
    pixels = np.dstack((np.full((40, 60, 3), (30, 160, 240), np.uint8), alpha))
    cv2.imwrite(str(path), pixels)
    return str(path)


def bits_of(pixels: np.ndarray) -> np.ndarray:
    return pixels.view(np.uint16 if pixels.itemsize == 2 else np.uint32)


def reach(renderer: Renderer, stack: EditStack, frame: int) -> np.ndarray:
    """Pixels that edits may touch: those that the slow painter touches, and their neighbours."""
    t = renderer.model.geometry.frames.index(frame)
    plate = torch.zeros(HEIGHT, WIDTH, 4)
    plate[..., 3] = 1.0
    size = FrameSize(t, WIDTH, HEIGHT)
    # Grades leave black black, so that where they reach is found on a plate of light.
    plate[..., :3] = torch.tensor([0.3, 0.5, 0.2])
    touched = reference.paint_frame(renderer.model, stack, size, plate, renderer.textures)[1]
    return cv2.dilate(touched.numpy().astype(np.uint8), np.ones((3, 3), np.uint8)) > 0


def exact_plate(source, frame: int, name: str) -> np.ndarray:
    """The plate as the file has it; of integer files as it is rendered without edits."""
    if name in ("half", "float"):
        path = source._plate_path(frame)
        return oiio.ImageInput.open(path).read_image("half" if name == "half" else "float")
    return source.read(frame).pixels


@pytest.mark.parametrize("way", ["cpu", "as on a gpu"])
@pytest.mark.parametrize("name", SOURCES)
@AT_RANDOM
@given(data=st.data())
def test_pixels_out_of_reach_keep_their_bits(renderers, sources, sticker, tmp_path, name, way, data):
    renderer, source = renderers[name, way], sources[name]
    frame = data.draw(st.sampled_from(FRAMES))
    stack = data.draw(stacks(WIDTH, HEIGHT, data.draw(st.sampled_from(FRAMES)), sticker))
    rendered = renderer.render(stack, frame)
    write_exr(tmp_path / "out.exr", rendered.picture)
    result = read_parts(tmp_path / "out.exr")[MAIN_PART][1]
    plate = exact_plate(source, frame, name)
    assert result.dtype == plate.dtype
    untouched = ~reach(renderer, stack, frame)
    assert np.array_equal(bits_of(plate)[untouched], bits_of(result)[untouched])


@pytest.mark.parametrize("way", ["cpu", "as on a gpu"])
@pytest.mark.parametrize("name", SOURCES)
def test_the_edits_of_that_test_do_change_pixels(renderers, sources, sticker, name, way):
    """Or it could not fail."""
    stroke = Stroke(frame=1003, points=((20.0, 20.0), (120.0, 70.0)), width=9.0, color=(3.0, 0.5, 0.1, 1.0))
    sign = Texture(image=sticker, frame=1003, x=60.0, y=60.0, width=40.0, height=30.0)
    stack = EditStack(layers=(EditLayer("a", "sketch", (stroke,)), EditLayer("b", "texture", (sign,))))
    rendered = renderers[name, way].render(stack, 1003)
    changed = (bits_of(rendered.picture.pixels) != bits_of(exact_plate(sources[name], 1003, name))).any(-1)
    assert changed.sum() > 1000
    assert (reach(renderers[name, way], stack, 1003) >= changed).all()


@pytest.mark.parametrize("way", ["cpu", "as on a gpu"])
@pytest.mark.parametrize("name", SOURCES)
def test_identity_grades_change_no_bit(renderers, sources, name, way):
    whole = ((0.0, 0.0), (160.0, 0.0), (160.0, 96.0), (0.0, 96.0))
    grade = Adjustment(frame=1003, points=whole, width=1.0, closed=True, hue=360.0)
    rendered = renderers[name, way].render(EditStack(layers=(EditLayer("g", "adjustment", (grade,)),)), 1003)
    assert np.array_equal(bits_of(rendered.picture.pixels), bits_of(exact_plate(sources[name], 1003, name)))


@pytest.fixture(scope="module")
def plain_sources(tmp_path_factory):
    """Opaque plates of ordinary light, as half and as float."""
    found = {}
    for name, kind in (("half", np.float16), ("float", np.float32)):
        folder = tmp_path_factory.mktemp(f"plain_{name}")
        for frame in FRAMES:
            light = np.random.default_rng(frame).uniform(0, 1, (HEIGHT, WIDTH, 4)).astype(kind)
            light[..., 3] = 1.0
            write_plate(folder / f"{frame}.exr", light)
        found[name] = open_source(str(folder))
    return found


@pytest.mark.parametrize(("name", "tolerance"), [("half", 1e-3), ("float", 1e-6)])
@AT_RANDOM
@given(data=st.data())
def test_the_parts_of_a_file_rebuild_the_picture(
    shot, plain_sources, sticker, tmp_path, name, tolerance, data
):
    """edit.<name> bottom to top over the plate, from the written file alone."""
    source = plain_sources[name]
    renderer = Renderer(shot.model, source)
    frame = data.draw(st.sampled_from(FRAMES))
    stack = data.draw(stacks(WIDTH, HEIGHT, 1003, sticker, light=1.0))
    rendered = renderer.render(stack, frame, layers=True)
    write_exr(tmp_path / "out.exr", rendered.picture, parts=rendered.parts)
    parts = read_parts(tmp_path / "out.exr")
    expected = [MAIN_PART, *(f"edit.{layer.name}" for layer in stack.layers)]
    expected += [f"{kind}.{layer}" for layer in ("foreground", "background") for kind in ("matte", "uv")]
    assert list(parts) == expected
    result = source.read(frame).pixels.astype(np.float64)
    for layer in stack.layers:
        channels, values = parts[f"edit.{layer.name}"]
        assert channels == ("R", "G", "B", "A")
        result = values + result * (1 - values[..., 3:].astype(np.float64))
    picture = parts[MAIN_PART][1].astype(np.float64)
    # Each layer's part and the picture are rounded once, in steps that grow with the light.
    allowed = tolerance * np.maximum(1.0, np.abs(picture))
    assert (np.abs(result - picture) <= allowed).all()
