"""Pictures that artists place: whatever their format, they come in scene-linear and premultiplied."""

import struct
import time
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
import OpenImageIO as oiio  # noqa: N813 - the name that its own documentation uses
import pytest

from inve_core.errors import MediaError
from inve_core.media import read_picture, read_texture, srgb_to_linear
from inve_core.media.files import MAX_SIDE
from inve_core.media.pictures import read_display_rgb

GREY, ALPHA = 128, 64
LIGHT = float(srgb_to_linear(GREY / 255))


def save(path: Path, pixels: npt.NDArray, **attributes: object) -> Path:
    """Write [h, w, c] with OpenImageIO, the last of 2 or 4 channels as alpha."""
    height, width, count = pixels.shape
    kind = {"float16": "half", "float32": "float"}.get(str(pixels.dtype), str(pixels.dtype))
    spec = oiio.ImageSpec(width, height, count, kind)
    if count == 2:
        spec.channelnames, spec.alpha_channel = ("Y", "A"), 1
    for name, value in attributes.items():
        spec.attribute(name.replace("__", ":"), value)
    output = oiio.ImageOutput.create(str(path))
    assert output.open(str(path), spec), output.geterror()
    assert output.write_image(np.ascontiguousarray(pixels)), output.geterror()
    assert output.close()
    return path


def flat(kind: type, channels: int, grey: float = GREY / 255, alpha: float = ALPHA / 255) -> npt.NDArray:
    """Grey, with an alpha where there is a channel for it: [3, 5, channels]."""
    pixels = np.full((3, 5, channels), grey)
    if channels in (2, 4):
        pixels[..., -1] = alpha
    top = np.iinfo(kind).max if np.issubdtype(kind, np.integer) else 1
    return (pixels * top).round(0 if top > 1 else 9).astype(kind)


def check(path: Path, light: float, alpha: float, rel: float = 2e-3) -> None:
    texture = read_texture(path)
    assert (texture.dtype, texture.shape[2]) == (np.float32, 4)
    assert texture[..., :3] == pytest.approx(np.full((*texture.shape[:2], 3), light), rel=rel)
    assert texture[..., 3] == pytest.approx(np.full(texture.shape[:2], alpha), rel=rel)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_integers_are_straight_srgb(tmp_path: Path, suffix: str, channels: int, kind: type) -> None:
    straight = {"oiio__UnassociatedAlpha": 1}
    path = tmp_path / f"a.{suffix}"
    # A writer of PNG takes premultiplied colour, unless it is told otherwise.
    save(path, flat(kind, channels), **straight)
    alpha = ALPHA / 255 if channels in (2, 4) else 1.0
    check(path, LIGHT * alpha, alpha)


@pytest.mark.parametrize("channels", [2, 4])
def test_premultiplied_integers_are_divided_before_their_curve(tmp_path: Path, channels: int) -> None:
    alpha = 128 / 255
    stored = flat(np.uint16, channels, grey=GREY / 255 * alpha, alpha=alpha)
    check(save(tmp_path / "a.tif", stored), LIGHT * alpha, alpha)


@pytest.mark.parametrize("kind", [np.float16, np.float32])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("suffix", ["exr", "tif"])
def test_floats_are_premultiplied_light(tmp_path: Path, suffix: str, channels: int, kind: type) -> None:
    path = save(tmp_path / f"a.{suffix}", flat(kind, channels, 0.5, 0.25))
    check(path, 0.5, 0.25 if channels in (2, 4) else 1.0)


def test_straight_floats_are_premultiplied(tmp_path: Path) -> None:
    path = save(tmp_path / "a.tif", flat(np.float32, 4, 0.5, 0.25), oiio__UnassociatedAlpha=1)
    check(path, 0.125, 0.25)


@pytest.mark.parametrize(
    ("name", "channels"),
    [("a.tga", 1), ("a.tga", 3), ("a.bmp", 1), ("a.bmp", 3), ("a.sgi", 1), ("a.sgi", 3), ("a.dpx", 3),
     ("a.gif", 3), ("a.ico", 3), ("a.iff", 3), ("a.webp", 3), ("a.jpg", 1), ("a.jpg", 3)],
)  # fmt: skip
def test_other_formats(tmp_path: Path, name: str, channels: int) -> None:
    check(save(tmp_path / name, flat(np.uint8, channels)), LIGHT, 1.0, rel=0.03)


def test_two_samples_are_grey_and_alpha_whatever_they_are_called(tmp_path: Path) -> None:
    # A TGA of type 3 with 16 bits a pixel, 8 of them alpha; OpenImageIO calls them R and G.
    header = struct.pack("<3B5x4H2B", 0, 0, 3, 0, 0, 5, 3, 16, 8)
    (tmp_path / "a.tga").write_bytes(header + bytes((GREY, ALPHA)) * 15)
    check(tmp_path / "a.tga", LIGHT * ALPHA / 255, ALPHA / 255)


def png(colour_type: int, bits: int, width: int, rows: bytes, *extra: tuple[bytes, bytes]) -> bytes:
    """A file of one row."""
    parts = [
        (b"IHDR", struct.pack(">IIBBBBB", width, 1, bits, colour_type, 0, 0, 0)),
        *extra,
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    ]
    chunks = (struct.pack(">I", len(b)) + k + b + struct.pack(">I", zlib.crc32(k + b)) for k, b in parts)
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def test_a_palette_with_transparency(tmp_path: Path) -> None:
    palette = (b"PLTE", bytes((255, 0, 0, 0, GREY, 0))), (b"tRNS", bytes((51, 255)))
    (tmp_path / "a.png").write_bytes(png(3, 8, 2, b"\0\0\1", *palette))
    found = read_texture(tmp_path / "a.png")
    assert found[0] == pytest.approx(np.array([[0.2, 0, 0, 0.2], [0, LIGHT, 0, 1]]), abs=1e-3)


def four_byte_pictures(alpha: int) -> dict[str, bytes]:
    """Grey with an alpha in formats of which OpenImageIO does not say that their colour is straight."""
    pixels = bytes((GREY, GREY, GREY, alpha)) * 16
    head = struct.pack("<2I2H4I", 4, 4, 1, 32, 0, len(pixels), 0, 0) + bytes(8)
    masks = struct.pack("<4I", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    masked = head[:12] + struct.pack("<I", 3) + head[16:] + masks + b"BGRs" + bytes(64)
    icon = struct.pack("<I2i", 40, 4, 8) + head[8:] + pixels + bytes(16)
    straight = png(6, 8, 4, b"\0" + pixels[:16])

    def bitmap(header: bytes) -> bytes:
        size = struct.pack("<I", len(header) + 4)
        begin = 14 + len(header) + 4
        return b"BM" + struct.pack("<3I", begin + len(pixels), 0, begin) + size + header + pixels

    def icons(content: bytes) -> bytes:
        entry = struct.pack("<4B2H2I", 4, 4, 0, 0, 1, 32, len(content), 22)
        return struct.pack("<3H", 0, 1, 1) + entry + content

    def surface(kind: tuple[object, ...], content: bytes) -> bytes:
        begin = struct.pack("<7I", 124, 0x1007, 4, 4, 16, 0, 0) + bytes(44)
        return (
            b"DDS "
            + begin
            + struct.pack("<2I4s5I", 32, *kind)
            + struct.pack("<5I", 0x1000, *[0] * 4)
            + content
        )

    # One block: each alpha and colour is the first of its table, a colour of 5, 6 and 5 bits.
    block = bytes((alpha, alpha, *[0] * 6)) + struct.pack(
        "<2HI", *[GREY >> 3 | GREY >> 2 << 5 | GREY >> 3 << 11] * 2, 0
    )
    return {
        "plain.bmp": bitmap(head),
        "masked.bmp": bitmap(masked),
        "bitmap.ico": icons(icon),
        "png.ico": icons(straight),
        "plain.dds": surface((0x41, b"", 32, 0xFF0000, 0xFF00, 0xFF, 0xFF000000), pixels),
        "dxt5.dds": surface((4, b"DXT5", 0, 0, 0, 0, 0), block),
    }


@pytest.mark.parametrize("name", list(four_byte_pictures(ALPHA)))
def test_straight_colour_of_which_the_reader_says_nothing(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(four_byte_pictures(ALPHA)[name])
    # A block's colours are of 5 and 6 bits.
    check(tmp_path / name, LIGHT * ALPHA / 255, ALPHA / 255, rel=0.1 if "dxt" in name else 2e-3)
    plate = read_picture(tmp_path / name)
    assert plate.pixels == pytest.approx(read_texture(tmp_path / name))
    assert plate.display_rgb() == pytest.approx(read_display_rgb(tmp_path / name), rel=1e-3)


def test_premultiplied_blocks_are_divided_by_the_reader(tmp_path: Path) -> None:
    content = four_byte_pictures(2 * GREY - 1)["dxt5.dds"].replace(b"DXT5", b"DXT4")
    half = content.replace(bytes((2 * GREY - 1,) * 2), bytes((GREY,) * 2))
    grey = GREY >> 4
    low = struct.pack("<2H", *[grey | grey << 6 | grey << 11] * 2)
    (tmp_path / "a.dds").write_bytes(half[:-8] + low + half[-4:])
    check(tmp_path / "a.dds", LIGHT * GREY / 255, GREY / 255, rel=0.1)


@pytest.mark.parametrize("name", ["plain.bmp", "masked.bmp", "bitmap.ico"])
def test_a_fourth_byte_that_is_never_set_is_no_alpha(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(four_byte_pictures(0)[name])
    check(tmp_path / name, LIGHT, 1.0)
    assert read_display_rgb(tmp_path / name) == pytest.approx(LIGHT, rel=2e-3)


def test_one_bit_a_pixel(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png(0, 1, 3, b"\0\xa0"))
    assert read_texture(tmp_path / "a.png")[0, :, 0].tolist() == [1, 0, 1]


@pytest.mark.parametrize(("mark", "channels"), [(b"P5", 1), (b"P6", 3)])
def test_portable_maps_are_rec709(tmp_path: Path, mark: bytes, channels: int) -> None:
    (tmp_path / "a.ppm").write_bytes(mark + b"\n2 2\n255\n" + bytes((GREY,)) * 4 * channels)
    check(tmp_path / "a.ppm", ((GREY / 255 + 0.099) / 1.099) ** (1 / 0.45), 1.0)


@pytest.mark.parametrize("channels", [3, 4])
def test_photoshop_documents_give_their_merged_picture(tmp_path: Path, channels: int) -> None:
    header = b"8BPS" + struct.pack(">H6xHIIHH", 1, channels, 3, 5, 8, 3)
    planes = bytes((GREY,)) * 15 * 3 + bytes((255,)) * 15 * (channels - 3)
    (tmp_path / "a.psd").write_bytes(header + bytes(12) + struct.pack(">H", 0) + planes)
    check(tmp_path / "a.psd", LIGHT, 1.0)


def test_of_several_parts_the_first_with_colours(tmp_path: Path) -> None:
    """Depth first, then colours with their own window, then other colours."""
    specs = []
    for part, channels in (("depth", ("Z",)), ("beauty", ("R", "G", "B", "A")), ("other", ("R", "G", "B"))):
        spec = oiio.ImageSpec(2, 2, len(channels), "half")
        spec.channelnames = channels
        spec.x = spec.y = 1
        spec.full_x = spec.full_y = 0
        spec.full_width, spec.full_height = 5, 4
        spec.attribute("oiio:subimagename", part)
        specs.append(spec)
    output = oiio.ImageOutput.create("openexr")
    assert output.open(str(tmp_path / "a.exr"), specs)
    for number, spec in enumerate(specs):
        assert number == 0 or output.open(str(tmp_path / "a.exr"), spec, "AppendSubimage")
        assert output.write_image(np.full((2, 2, spec.nchannels), 0.25 * (number + 1), np.float16))
    assert output.close()
    found = read_texture(tmp_path / "a.exr")
    assert found.shape == (4, 5, 4)
    assert (found[1:3, 1:3] == 0.5).all()
    assert found.sum() == 0.5 * 16


def test_a_crop_larger_than_its_frame_is_cut_to_it(tmp_path: Path) -> None:
    spec = oiio.ImageSpec(6, 6, 4, "float")
    spec.x = spec.y = -2
    spec.full_width, spec.full_height = 3, 2
    stored = np.arange(144, dtype=np.float32).reshape(6, 6, 4) / 144
    output = oiio.ImageOutput.create("openexr")
    assert output.open(str(tmp_path / "a.exr"), spec)
    assert output.write_image(stored)
    assert output.close()
    np.testing.assert_array_equal(read_texture(tmp_path / "a.exr"), stored[2:4, 2:5])


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.png", b"not a picture"),
        ("a.txt", b"P is a letter"),
        ("a.psd", b"8BPS" + bytes(8)),
        ("a.gif", b"GIF89a" + bytes(40)),
        ("a.dds", b"DDS " + bytes(200)),
        ("a.iff", b"FOR4" + bytes(60)),
        ("a.ico", b"\0\0\1\0" + bytes(60)),
        ("a.pic", b"\x53\x80\xf6\x34" + bytes(200)),
        ("a.ppm", b"P6\n"),
        ("a.ppm", b"P6 4 4 255\n\0"),
        ("a.jp2", b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(40)),
    ],
)
def test_what_is_no_picture_is_refused_in_a_sentence(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(MediaError) as caught:
        read_texture(tmp_path / name)
    message = str(caught.value)
    assert name in message
    assert "\n" not in message
    assert message.endswith(".")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.gif", b"GIF89a" + struct.pack("<HH", 60_000, 60_000) + bytes(100)),
        ("a.psd", b"8BPS" + struct.pack(">H6xHIIHH", 1, 3, 30_000, 30_000, 8, 3) + bytes(100)),
        ("a.ppm", b"P6 60000 60000 255\n" + bytes(100)),
        ("a.pfm", b"PF\n60000 60000\n-1.0\n" + bytes(100)),
        ("a.dds", b"DDS " + struct.pack("<7I", 124, 0x1007, 60_000, 60_000, 0, 0, 0) + bytes(96)),
    ],
)
def test_what_is_too_large_is_refused_at_once(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    begun = time.monotonic()
    with pytest.raises(MediaError, match=rf"{name}.*({MAX_SIDE}|cannot be read|damaged)") as caught:
        read_texture(tmp_path / name)
    assert "\n" not in str(caught.value)
    assert time.monotonic() - begun < 2
