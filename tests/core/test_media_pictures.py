"""Files of every supported kind to scene-linear premultiplied pictures, and what is refused."""

import os
import struct
import time
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
import OpenImageIO as oiio  # noqa: N813 - the name that its own documentation uses
import pytest

from inve_core.errors import MediaError
from inve_core.media import read_matte, read_picture, read_spec, read_texture, srgb_to_linear
from inve_core.media.pictures import Picture, PictureSpec, read_display_rgb

STRAIGHT = {"oiio:UnassociatedAlpha": 1}


def save(
    path: Path,
    pixels: npt.NDArray,
    channels: tuple[str, ...] | None = None,
    window: tuple[int, int, int, int] | None = None,
    sample_type: str | None = None,
    **attributes: object,
) -> Path:
    """Write [h, w, c] pixels with OpenImageIO; `window` is the display window, x, y, width and height."""
    height, width, count = pixels.shape
    names = {"float16": "half", "float32": "float", "float64": "double"}
    spec = oiio.ImageSpec(
        width, height, count, sample_type or names.get(str(pixels.dtype), str(pixels.dtype))
    )
    if channels:
        spec.channelnames = channels
    if window:
        spec.full_x, spec.full_y, spec.full_width, spec.full_height = window
    for name, value in attributes.items():
        spec.attribute(name.replace("__", ":"), value)
    output = oiio.ImageOutput.create(os.fspath(path))
    assert output.open(os.fspath(path), spec), output.geterror()
    assert output.write_image(np.ascontiguousarray(pixels)), output.geterror()
    assert output.close()
    return path


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def codes(rng: np.random.Generator, kind: type, *shape: int) -> npt.NDArray:
    return rng.integers(0, np.iinfo(kind).max + 1, shape).astype(kind)


# --- integer pictures -------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["png", "tif", "bmp", "tga", "sgi"])
def test_8_bit_is_linearised_as_srgb(tmp_path: Path, rng: np.random.Generator, suffix: str) -> None:
    stored = codes(rng, np.uint8, 9, 11, 3)
    picture = read_picture(save(tmp_path / f"a.{suffix}", stored))
    assert picture.spec.source_type == "uint8"
    assert picture.spec.colour_space == "srgb_rec709_scene"
    assert picture.pixels.dtype == np.float16
    expected = srgb_to_linear(stored / 255.0)
    np.testing.assert_array_equal(picture.pixels[..., :3], expected.astype(np.float16))
    assert (picture.pixels[..., 3] == 1).all()


def test_every_8_bit_code_stays_apart_in_half(tmp_path: Path) -> None:
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
    row = read_picture(save(tmp_path / "a.png", ramp)).pixels[0, :, 0]
    assert (np.diff(row.astype(np.float32)) > 0).all()


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_16_bit_keeps_float_precision(tmp_path: Path, rng: np.random.Generator, suffix: str) -> None:
    stored = codes(rng, np.uint16, 9, 11, 3)
    picture = read_picture(save(tmp_path / f"a.{suffix}", stored))
    assert picture.spec.source_type == "uint16"
    assert picture.pixels.dtype == np.float32
    np.testing.assert_allclose(picture.pixels[..., :3], srgb_to_linear(stored / 65535.0), rtol=1e-6)


@pytest.mark.parametrize(("bits", "dtype"), [(10, np.float16), (12, np.float32), (16, np.float32)])
def test_dpx_by_its_bits(tmp_path: Path, bits: int, dtype: type) -> None:
    level = np.arange(0, 2**bits, max(1, 2**bits // 64), dtype=np.float64)
    stored = np.round(level / (2**bits - 1) * 65535).astype(np.uint16)
    pixels = np.repeat(stored[None, :, None], 3, axis=2)
    picture = read_picture(save(tmp_path / "a.dpx", pixels, oiio__BitsPerSample=bits))
    assert picture.spec.source_type == f"uint{bits}"
    assert picture.pixels.dtype == dtype
    expected = srgb_to_linear(level / (2**bits - 1))
    # OpenImageIO repeats the high bits below the low ones: up to half a 16-bit code off the exact ratio.
    np.testing.assert_allclose(
        picture.pixels[0, :, 0], expected, rtol=2e-3 if bits == 10 else 1e-3, atol=4e-6
    )


def test_jpeg(tmp_path: Path) -> None:
    stored = np.full((16, 16, 3), (200, 100, 50), np.uint8)
    picture = read_picture(save(tmp_path / "a.jpg", stored, Compression="jpeg:100"))
    np.testing.assert_allclose(picture.pixels[8, 8, :3], srgb_to_linear(stored[0, 0] / 255.0), rtol=0.03)


def test_grey_and_grey_with_alpha(tmp_path: Path, rng: np.random.Generator) -> None:
    stored = codes(rng, np.uint8, 5, 6, 2)
    grey = read_picture(save(tmp_path / "g.png", stored[..., :1]))
    np.testing.assert_array_equal(grey.pixels[..., 0], grey.pixels[..., 2])
    assert (grey.pixels[..., 3] == 1).all()
    both = read_picture(save(tmp_path / "ga.png", stored, ("Y", "A"), **STRAIGHT))
    alpha = stored[..., 1] / 255.0
    np.testing.assert_allclose(both.pixels[..., 3], alpha, rtol=1e-3)
    np.testing.assert_allclose(
        both.pixels[..., 1], srgb_to_linear(stored[..., 0] / 255.0) * alpha, rtol=2e-3, atol=1e-6
    )


@pytest.mark.parametrize(("kind", "suffix"), [(np.uint8, "png"), (np.uint16, "png"), (np.uint16, "tif")])
def test_straight_alpha_is_linearised_and_then_premultiplied(
    tmp_path: Path, rng: np.random.Generator, kind: type, suffix: str
) -> None:
    stored = codes(rng, kind, 9, 11, 4)
    picture = read_picture(save(tmp_path / f"a.{suffix}", stored, **STRAIGHT))
    unit = stored / float(np.iinfo(kind).max)
    expected = np.concatenate([srgb_to_linear(unit[..., :3]) * unit[..., 3:], unit[..., 3:]], axis=2)
    tolerance = 2e-3 if kind is np.uint8 else 2e-6
    np.testing.assert_allclose(picture.pixels, expected, rtol=tolerance, atol=1e-6)


def test_associated_alpha_is_divided_out_around_the_curve(tmp_path: Path) -> None:
    # Encoded 0.5 at alpha 0.5 is full white at half coverage; light without coverage is taken as it is.
    stored = np.array([[[32768, 32768, 32768, 32768], [65535, 0, 0, 0]]], np.uint16)
    picture = read_picture(save(tmp_path / "a.tif", stored))
    np.testing.assert_allclose(picture.pixels[0, 0], [0.5, 0.5, 0.5, 0.5], rtol=1e-4)
    np.testing.assert_allclose(picture.pixels[0, 1], [1.0, 0.0, 0.0, 0.0], atol=1e-6)


def test_the_files_own_colour_space_is_used(tmp_path: Path) -> None:
    stored = np.full((2, 2, 3), 32768, np.uint16)
    linear = read_picture(save(tmp_path / "l.png", stored, oiio__ColorSpace="lin_rec709_scene"))
    gamma = read_picture(save(tmp_path / "g.png", stored, oiio__ColorSpace="g22_rec709_scene"))
    np.testing.assert_allclose(linear.pixels[0, 0, 0], 32768 / 65535, rtol=1e-6)
    np.testing.assert_allclose(gamma.pixels[0, 0, 0], (32768 / 65535) ** 2.2, rtol=1e-5)


# --- float pictures ---------------------------------------------------------------------------------------


def test_float_tiff_is_taken_as_it_is(tmp_path: Path, rng: np.random.Generator) -> None:
    stored = rng.normal(0, 3, (5, 6, 3)).astype(np.float32)
    picture = read_picture(save(tmp_path / "a.tif", stored))
    assert picture.spec.source_type == "float"
    np.testing.assert_array_equal(picture.pixels[..., :3], stored)


def test_straight_float_is_premultiplied(tmp_path: Path) -> None:
    stored = np.full((2, 2, 4), (2.0, 4.0, -1.0, 0.25), np.float32)
    picture = read_picture(save(tmp_path / "a.tif", stored, **STRAIGHT))
    np.testing.assert_array_equal(picture.pixels[0, 0], [0.5, 1.0, -0.25, 0.25])


@pytest.mark.parametrize(
    ("channels", "chosen"),
    [
        (("R", "G", "B"), (0, 1, 2, None)),
        (("B", "G", "R"), (2, 1, 0, None)),
        (("A", "B", "G", "R"), (3, 2, 1, 0)),
        (("Z", "R", "G", "B", "A", "u"), (1, 2, 3, 4)),
        (("diffuse.R", "diffuse.G", "diffuse.B", "depth.Z"), (0, 1, 2, None)),
        (("r", "g", "b", "a"), (0, 1, 2, 3)),
        (("Y",), (0, 0, 0, None)),
        (("Y", "A"), (0, 0, 0, 1)),
        (("depth.Z",), (0, 0, 0, None)),
        (("A",), (0, 0, 0, None)),
    ],
)
def test_which_channels_make_the_picture(
    tmp_path: Path, channels: tuple[str, ...], chosen: tuple[int | None, ...]
) -> None:
    stored = np.broadcast_to(np.arange(1, len(channels) + 1, dtype=np.float16), (3, 4, len(channels)))
    picture = read_picture(save(tmp_path / "a.exr", stored, channels))
    expected = [1.0 if index is None else index + 1.0 for index in chosen]
    np.testing.assert_array_equal(picture.pixels[1, 2], expected)
    assert set(picture.spec.channels) == set(channels)


@pytest.mark.parametrize("channels", [("u", "v"), ("forward.u", "forward.v", "A"), ("Y", "RY", "BY")])
def test_channels_that_make_no_picture(tmp_path: Path, channels: tuple[str, ...]) -> None:
    path = save(tmp_path / "a.exr", np.zeros((2, 2, len(channels)), np.float16), channels)
    for read in (read_spec, read_picture):
        with pytest.raises(MediaError, match=str(path)):
            read(path)


def test_mixed_sample_types_go_by_the_channels_that_are_read(tmp_path: Path) -> None:
    spec = oiio.ImageSpec(2, 2, 5, "float")
    spec.channelnames = ("R", "G", "B", "A", "Z")
    spec.channelformats = ("half",) * 4 + ("float",)
    output = oiio.ImageOutput.create("openexr")
    assert output.open(str(tmp_path / "a.exr"), spec)
    assert output.write_image(np.full((2, 2, 5), 0.5, np.float32))
    output.close()
    assert read_picture(tmp_path / "a.exr").pixels.dtype == np.float16


# --- windows, aspect, orientation -------------------------------------------------------------------------


def test_data_window_and_aspect(tmp_path: Path) -> None:
    pixels = np.arange(1, 13, dtype=np.float32).reshape(3, 4, 1).repeat(3, axis=2)
    path = tmp_path / "a.exr"
    spec = oiio.ImageSpec(4, 3, 3, "float")
    spec.x, spec.y = 9, 21
    spec.full_x, spec.full_y, spec.full_width, spec.full_height = 10, 20, 5, 3
    spec.attribute("PixelAspectRatio", 2.0)
    output = oiio.ImageOutput.create("openexr")
    assert output.open(str(path), spec)
    assert output.write_image(pixels)
    output.close()
    found = read_spec(path)
    assert (found.width, found.height, found.pixel_aspect) == (5, 3, 2.0)
    assert (found.data_window, found.origin) == ((-1, 1, 4, 3), (10, 20))
    picture = read_picture(path)
    assert picture.spec == found
    assert picture.pixels.shape == (3, 4, 4)
    shown = picture.display_rgb()
    assert shown.dtype == np.float32
    np.testing.assert_array_equal(shown[..., 0], [[0, 0, 0, 0, 0], [2, 3, 4, 0, 0], [6, 7, 8, 0, 0]])
    assert picture.display_rgba()[0, 0, 3] == 0


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float16])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_display_colours_are_those_of_the_picture(
    tmp_path: Path, rng: np.random.Generator, kind: type, channels: int
) -> None:
    stored = codes(rng, kind, 6, 7, channels) if kind != np.float16 else rng.normal(size=(6, 7, channels))
    suffix = "exr" if kind == np.float16 else "png"
    path = save(tmp_path / f"a.{suffix}", stored.astype(kind))
    shown = read_display_rgb(path)
    assert shown.dtype == np.float32
    # Half has eleven bits, which 8-bit pictures are rounded to on the other way.
    np.testing.assert_allclose(shown, read_picture(path).display_rgb(), rtol=2**-11, atol=2**-24)


def test_display_colours_are_over_the_display_window(tmp_path: Path) -> None:
    stored = np.arange(36, dtype=np.float32).reshape(3, 4, 3)
    path = save(tmp_path / "a.exr", stored, window=(-1, 1, 7, 5))
    np.testing.assert_array_equal(read_display_rgb(path), read_picture(path).display_rgb())
    assert read_display_rgb(path).shape == (5, 7, 3)


def test_a_data_window_outside_the_frame_shows_black() -> None:
    spec = PictureSpec(4, 3, 1.0, (10, 10, 2, 2), "float", "linear", ("R", "G", "B"))
    assert not Picture(spec, np.ones((2, 2, 4), np.float32)).display_rgb().any()


def test_no_number_lives_through_the_display(tmp_path: Path) -> None:
    stored = np.array([[[np.nan, np.inf, -np.inf]]], np.float16)
    shown = read_picture(save(tmp_path / "a.exr", stored)).display_rgb()
    np.testing.assert_array_equal(shown[0, 0], [np.nan, np.inf, -np.inf])


def test_a_picture_checks_its_own_shape() -> None:
    spec = PictureSpec(4, 3, 1.0, (0, 0, 4, 3), "float", "linear", ("R", "G", "B"))
    with pytest.raises(ValueError, match="data window"):
        Picture(spec, np.zeros((4, 3, 4), np.float32))
    with pytest.raises(ValueError, match="float64"):
        Picture(spec, np.zeros((3, 4, 4), np.float64))


@pytest.mark.parametrize(
    ("orientation", "seen"),
    [
        (1, [[1, 2], [3, 4]]),
        (2, [[2, 1], [4, 3]]),
        (3, [[4, 3], [2, 1]]),
        (4, [[3, 4], [1, 2]]),
        (5, [[1, 3], [2, 4]]),
        (6, [[3, 1], [4, 2]]),
        (7, [[4, 2], [3, 1]]),
        (8, [[2, 4], [1, 3]]),
    ],
)
def test_textures_stand_upright_and_plates_stay(
    tmp_path: Path, orientation: int, seen: list[list[int]]
) -> None:
    stored = (np.array([[1, 2], [3, 4]], np.float32) / 8)[..., None].repeat(3, axis=2)
    path = save(tmp_path / "a.tif", stored, Orientation=orientation)
    np.testing.assert_array_equal(read_texture(path)[..., 0] * 8, seen)
    np.testing.assert_array_equal(read_picture(path).pixels[..., 0] * 8, [[1, 2], [3, 4]])


# --- mattes and textures ----------------------------------------------------------------------------------


def test_matte_codes_are_coverage_without_a_curve(tmp_path: Path) -> None:
    ramp = np.arange(256, dtype=np.uint8)[None, :, None]
    matte = read_matte(save(tmp_path / "a.png", ramp))
    assert (matte.dtype, matte.shape) == (np.float32, (1, 256))
    np.testing.assert_allclose(matte[0], np.arange(256) / 255, rtol=1e-6)


def test_matte_of_a_colour_picture_is_its_red(tmp_path: Path) -> None:
    stored = np.full((2, 2, 3), (255, 0, 51), np.uint8)
    assert (read_matte(save(tmp_path / "a.png", stored)) == 1).all()


@pytest.mark.parametrize(("alpha", "expected"), [([0.25, 1.0], [0.25, 1.0]), ([1.0, 1.0], [0.5, 0.75])])
def test_matte_is_the_alpha_where_that_varies(
    tmp_path: Path, alpha: list[float], expected: list[float]
) -> None:
    stored = np.array([[[0.5, 0, 0, alpha[0]], [0.75, 0, 0, alpha[1]]]], np.float16)
    np.testing.assert_array_equal(read_matte(save(tmp_path / "a.exr", stored))[0], expected)


def test_matte_is_clipped_and_fills_its_frame(tmp_path: Path) -> None:
    stored = np.array([[[-0.5], [0.5], [np.inf]]], np.float32)
    path = save(tmp_path / "a.exr", stored, ("Y",), window=(0, 0, 4, 2))
    np.testing.assert_array_equal(read_matte(path), [[0, 0.5, 1, 0], [0, 0, 0, 0]])


def test_matte_with_what_is_no_number(tmp_path: Path) -> None:
    path = save(tmp_path / "a.exr", np.full((2, 2, 1), np.nan, np.float32), ("Y",))
    with pytest.raises(MediaError, match="NaN"):
        read_matte(path)


def test_texture_is_premultiplied_linear_over_its_frame(tmp_path: Path) -> None:
    stored = np.full((1, 2, 4), (2.0, 0.5, 0.25, 1.5), np.float16)
    texture = read_texture(save(tmp_path / "a.exr", stored, window=(0, 0, 3, 2)))
    assert (texture.dtype, texture.shape) == (np.float32, (2, 3, 4))
    np.testing.assert_array_equal(texture[0, 0], [2.0, 0.5, 0.25, 1.0])
    np.testing.assert_array_equal(texture[1, 2], [0, 0, 0, 0])


def test_texture_must_be_finite(tmp_path: Path) -> None:
    path = save(tmp_path / "a.exr", np.full((2, 2, 4), np.inf, np.float32))
    with pytest.raises(MediaError, match="infinite"):
        read_texture(path)


# --- what is refused --------------------------------------------------------------------------------------

READERS = (read_spec, read_picture, read_matte, read_texture)


@pytest.mark.parametrize("read", READERS)
def test_no_such_picture(tmp_path: Path, read) -> None:
    with pytest.raises(MediaError, match=r"gone\.exr.*No such file"):
        read(tmp_path / "gone.exr")


@pytest.mark.parametrize("read", READERS)
def test_no_regular_file(tmp_path: Path, read) -> None:
    os.mkfifo(tmp_path / "pipe.exr")
    for path in (tmp_path, tmp_path / "pipe.exr", "/dev/zero", "nul\0.exr"):
        with pytest.raises(MediaError):
            read(path)


@pytest.mark.parametrize("content", [b"", b"hello", b"\x89PNG\r\n\x1a\n", b"v/1\x01", b"GIF89a" + b"\0" * 99])
@pytest.mark.parametrize("suffix", ["exr", "png", "tga", "jpg"])
def test_no_picture_in_it(tmp_path: Path, content: bytes, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(content)
    with pytest.raises(MediaError, match=str(path)):
        read_picture(path)


@pytest.mark.parametrize("kept", [0.02, 0.3, 0.6, 0.95])
@pytest.mark.parametrize("suffix", ["exr", "png", "tif", "jpg", "dpx", "bmp", "sgi", "webp", "hdr"])
def test_truncated(tmp_path: Path, rng: np.random.Generator, suffix: str, kept: float) -> None:
    stored = codes(rng, np.uint8, 64, 80, 3)
    path = save(tmp_path / f"a.{suffix}", stored.astype(np.float16) if suffix == "exr" else stored)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(MediaError, match=str(path)):
        read_picture(path)


def test_a_header_of_a_gigapixel_is_refused_before_decoding(tmp_path: Path) -> None:
    path = save(tmp_path / "a.exr", np.ones((6, 8, 4), np.float16))
    content = bytearray(path.read_bytes())
    for side in (30_000, 100_000):
        for name in (b"dataWindow\0box2i\0", b"displayWindow\0box2i\0"):
            start = content.index(name) + len(name) + 4
            content[start : start + 16] = struct.pack("<4i", 0, 0, side - 1, side - 1)
        path.write_bytes(content)
        for read in READERS:
            begun = time.monotonic()
            with pytest.raises(MediaError, match="16384"):
                read(path)
            assert time.monotonic() - begun < 2


def test_a_png_of_a_gigapixel(tmp_path: Path) -> None:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    path = tmp_path / "a.png"
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", 32768, 32768, 8, 2, 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(b"\0" * 1000))
        + chunk(b"IEND", b"")
    )
    with pytest.raises(MediaError, match="16384x16384"):
        read_picture(path)


def test_more_bytes_than_are_read(tmp_path: Path) -> None:
    # 16384 pixels a side are allowed, but not on both; the file itself is small because it says one row only.
    path = save(tmp_path / "a.exr", np.zeros((1, 1, 3), np.float16), window=(0, 0, 16384, 16384))
    with pytest.raises(MediaError, match="GiB"):
        read_spec(path)


def test_too_many_channels(tmp_path: Path) -> None:
    channels = ("R", "G", "B", *(f"x{index}" for index in range(62)))
    path = save(tmp_path / "a.exr", np.zeros((2, 2, 65), np.float16), channels)
    with pytest.raises(MediaError, match="65 channels"):
        read_picture(path)


def test_signed_integers(tmp_path: Path) -> None:
    path = save(tmp_path / "a.tif", np.zeros((2, 2, 3), np.int16))
    with pytest.raises(MediaError, match="int16"):
        read_picture(path)


def test_an_unknown_curve_is_not_guessed(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", np.zeros((2, 2, 3), np.uint8), oiio__ColorSpace="pq_rec2020_display")
    if read_spec(path).colour_space != "pq_rec2020_display":
        pytest.skip("this OpenImageIO does not store that name in a PNG")
    with pytest.raises(MediaError, match="pq_rec2020_display"):
        read_picture(path)
