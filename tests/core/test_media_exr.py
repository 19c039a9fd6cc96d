"""EXR files: bit for bit there and back, parts, windows, and failures that leave nothing behind."""

import errno
import os
import resource
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from inve_core.errors import MediaError, StorageError
from inve_core.media import Part, exr, exr_bytes, plain_exr, read_parts, read_picture, write_exr
from inve_core.media.pictures import Picture, PictureSpec


def picture_of(pixels: np.ndarray, **changes: object) -> Picture:
    height, width, _ = pixels.shape
    source_type = "half" if pixels.dtype == np.float16 else "float"
    fields = {
        "width": width,
        "height": height,
        "pixel_aspect": 1.0,
        "data_window": (0, 0, width, height),
        "source_type": source_type,
        "colour_space": "linear",
        "channels": ("R", "G", "B", "A"),
    }
    return Picture(PictureSpec(**{**fields, **changes}), pixels)


def bits_of(pixels: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(pixels).view(np.uint16 if pixels.dtype == np.float16 else np.uint32)


shapes = st.tuples(st.integers(1, 19), st.integers(1, 19), st.just(4))
# Bit patterns rather than numbers: negative zero, subnormals, infinities and every NaN are all among them.
half_pictures = hnp.arrays(np.uint16, shapes).map(lambda bits: bits.view(np.float16))
float_pictures = hnp.arrays(np.uint32, shapes).map(lambda bits: bits.view(np.float32))


@settings(max_examples=60, deadline=None)
@given(pixels=half_pictures | float_pictures)
def test_round_trip_is_exact_to_the_bit(tmp_path_factory: pytest.TempPathFactory, pixels: np.ndarray) -> None:
    path = tmp_path_factory.mktemp("exr") / "a.exr"
    write_exr(path, picture_of(pixels))
    back = read_picture(path)
    assert back.pixels.dtype == pixels.dtype
    np.testing.assert_array_equal(bits_of(back.pixels), bits_of(pixels))


def test_every_half_there_is(tmp_path: Path) -> None:
    pixels = np.arange(65536, dtype=np.uint16).view(np.float16).reshape(64, 256, 4)
    write_exr(tmp_path / "a.exr", picture_of(pixels))
    back = read_picture(tmp_path / "a.exr")
    assert back.spec.source_type == "half"
    np.testing.assert_array_equal(bits_of(back.pixels), bits_of(pixels))


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_odd_values_by_name(tmp_path: Path, dtype: type) -> None:
    row = np.array([-1.5, -0.0, 0.0, 1.0, 7.25, np.nan, np.inf, -np.inf], dtype)
    pixels = np.repeat(row[None, :, None], 4, axis=2)
    write_exr(tmp_path / "a.exr", picture_of(pixels))
    np.testing.assert_array_equal(bits_of(read_picture(tmp_path / "a.exr").pixels), bits_of(pixels))


@settings(max_examples=30, deadline=None)
@given(
    x=st.integers(-30, 30),
    y=st.integers(-30, 30),
    origin=st.tuples(st.integers(-100, 100), st.integers(-100, 100)),
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    aspect=st.sampled_from([1.0, 2.0, 0.5]),
)
def test_both_windows_and_the_aspect_live_through(
    tmp_path_factory: pytest.TempPathFactory,
    x: int,
    y: int,
    origin: tuple[int, int],
    size: tuple[int, int],
    aspect: float,
) -> None:
    pixels = np.random.default_rng(0).normal(size=(5, 7, 4)).astype(np.float32)
    picture = picture_of(
        pixels, width=size[0], height=size[1], data_window=(x, y, 7, 5), origin=origin, pixel_aspect=aspect
    )
    path = tmp_path_factory.mktemp("exr") / "a.exr"
    write_exr(path, picture)
    back = read_picture(path)
    assert back.spec == picture.spec
    np.testing.assert_array_equal(back.display_rgb(), picture.display_rgb())


def test_metadata_lives_through(tmp_path: Path) -> None:
    entries = {
        "oiio:ColorSpace": ("string", "lin_ap1_scene"),
        "chromaticities": ("float[8]", (0.5, 0.25, 0.25, 0.75, 0.125, 0.0625, 0.3125, 0.375)),
        "smpte:TimeCode": ("timecode", (18, 0)),
        "FramesPerSecond": ("rational", (24000, 1001)),
    }
    picture = picture_of(np.zeros((2, 2, 4), np.float16))
    write_exr(tmp_path / "a.exr", Picture(picture.spec, picture.pixels, entries))
    back = read_picture(tmp_path / "a.exr")
    assert dict(back.metadata) == entries
    assert back.spec.colour_space == "lin_ap1_scene"
    write_exr(tmp_path / "b.exr", back)
    assert dict(read_picture(tmp_path / "b.exr").metadata) == entries


@pytest.mark.parametrize(("bits", "dtype"), [(16, np.float16), (32, np.float32)])
@pytest.mark.parametrize("source", [np.float16, np.float32])
def test_bits(tmp_path: Path, bits: int, dtype: type, source: type) -> None:
    pixels = np.random.default_rng(0).normal(size=(5, 7, 4)).astype(source)
    write_exr(tmp_path / "a.exr", picture_of(pixels), bits=bits)
    back = read_picture(tmp_path / "a.exr").pixels
    assert back.dtype == dtype
    np.testing.assert_array_equal(back, pixels.astype(dtype))


def test_finite_stays_finite_in_16_bits(tmp_path: Path) -> None:
    row = np.array([1e6, -1e6, np.inf, np.nan], np.float32)
    write_exr(tmp_path / "a.exr", picture_of(row.reshape(1, 1, 4)), bits=16)
    np.testing.assert_array_equal(
        read_picture(tmp_path / "a.exr").pixels[0, 0], np.array([65504, -65504, np.inf, np.nan], np.float16)
    )


def test_parts(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    pixels = rng.normal(size=(5, 7, 4)).astype(np.float16)
    picture = picture_of(pixels, width=20, height=10, data_window=(-2, 3, 7, 5))
    parts = (
        Part("edit.paint", ("R", "G", "B", "A"), rng.normal(size=(5, 7, 4)).astype(np.float16)),
        Part("matte.foreground", ("Y",), rng.random((5, 7, 1)).astype(np.float16)),
        Part("uv.foreground", ("u", "v"), rng.normal(size=(5, 7, 2)).astype(np.float32)),
    )
    write_exr(tmp_path / "a.exr", picture, bits=32, parts=parts)
    found = read_parts(tmp_path / "a.exr")
    assert list(found) == ["rgba", "edit.paint", "matte.foreground", "uv.foreground"]
    assert found["rgba"][0] == ("R", "G", "B", "A")
    np.testing.assert_array_equal(found["rgba"][1], pixels.astype(np.float32))
    for part in parts:
        channels, back = found[part.name]
        assert channels == part.channels
        assert back.dtype == part.pixels.dtype
        np.testing.assert_array_equal(back, part.pixels)
    back = read_picture(tmp_path / "a.exr")
    assert back.spec.data_window == (-2, 3, 7, 5)
    assert (back.spec.width, back.spec.height) == (20, 10)


def test_the_first_part_with_colour_is_the_picture(tmp_path: Path) -> None:
    import OpenImageIO as oiio  # noqa: N813 - for this one file that our writer does not make

    specs = []
    for name, channels in (("depth", ("Z",)), ("beauty", ("R", "G", "B"))):
        spec = oiio.ImageSpec(3, 2, len(channels), "half")
        spec.channelnames = channels
        spec.attribute("oiio:subimagename", name)
        specs.append(spec)
    path = str(tmp_path / "a.exr")
    output = oiio.ImageOutput.create("openexr")
    assert output.open(path, tuple(specs))
    assert output.write_image(np.zeros((2, 3, 1), np.float16))
    assert output.open(path, specs[1], "AppendSubimage")
    assert output.write_image(np.full((2, 3, 3), 0.5, np.float16))
    assert output.close()
    assert (read_picture(path).pixels[..., :3] == 0.5).all()
    assert list(read_parts(path)) == ["depth", "beauty"]


def test_parts_that_do_not_fit() -> None:
    picture = picture_of(np.zeros((5, 7, 4), np.float16))
    with pytest.raises(ValueError, match="data window"):
        exr_bytes(picture, parts=(Part("a", ("Y",), np.zeros((5, 8, 1), np.float16)),))
    with pytest.raises(ValueError, match="'rgba'"):
        exr_bytes(picture, parts=(Part("rgba", ("Y",), np.zeros((5, 7, 1), np.float16)),))
    with pytest.raises(ValueError, match="16 or 32"):
        exr_bytes(picture, bits=8)
    with pytest.raises(ValueError, match="shape"):
        Part("a", ("u", "v"), np.zeros((5, 7, 1), np.float16))
    with pytest.raises(ValueError, match="float64"):
        Part("a", ("Y",), np.zeros((5, 7, 1), np.float64))


def test_bytes_are_the_files_and_the_same_each_time(tmp_path: Path) -> None:
    picture = picture_of(np.random.default_rng(0).normal(size=(5, 7, 4)).astype(np.float32))
    part = Part("uv.background", ("u", "v"), np.zeros((5, 7, 2), np.float32))
    write_exr(tmp_path / "a.exr", picture, bits=16, parts=(part,))
    content = exr_bytes(picture, bits=16, parts=(part,))
    assert content == (tmp_path / "a.exr").read_bytes()
    assert content == exr_bytes(picture, bits=16, parts=(part,))


def test_read_parts_refuses(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="No such file"):
        read_parts(tmp_path / "gone.exr")
    (tmp_path / "a.exr").write_bytes(exr_bytes(picture_of(np.ones((50, 50, 4), np.float16)))[:-40])
    with pytest.raises(MediaError, match="truncated or damaged"):
        read_parts(tmp_path / "a.exr")


# --- writing: whole or not at all -------------------------------------------------------------------------


@pytest.fixture
def small_files_only() -> Iterator[None]:
    """Every file ends at 20,000 bytes, as on a full disk."""
    previous_action = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    previous_limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, previous_limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, previous_limits)
    signal.signal(signal.SIGXFSZ, previous_action)


@pytest.mark.usefixtures("small_files_only")
def test_a_full_disk_leaves_the_old_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.exr"
    write_exr(path, picture_of(np.zeros((2, 2, 4), np.float16)))
    before = path.read_bytes()
    noise = np.random.default_rng(0).normal(size=(100, 100, 4)).astype(np.float32)
    with pytest.raises(StorageError, match=r"a\.exr.*MiB are free") as error:
        write_exr(path, picture_of(noise))
    assert ".tmp" not in str(error.value)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["a.exr"]


@pytest.mark.usefixtures("small_files_only")
def test_a_full_disk_for_bytes() -> None:
    noise = np.random.default_rng(0).normal(size=(100, 100, 4)).astype(np.float32)
    with pytest.raises(StorageError):
        exr_bytes(picture_of(noise))


def test_no_folder_can_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match="file"):
        write_exr(tmp_path / "file" / "a.exr", picture_of(np.zeros((2, 2, 4), np.float16)))
    (tmp_path / "folder.exr").mkdir()
    with pytest.raises(StorageError, match=r"folder\.exr"):
        write_exr(tmp_path / "folder.exr", picture_of(np.zeros((2, 2, 4), np.float16)))
    assert sorted(os.listdir(tmp_path)) == ["file", "folder.exr"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_no_permission(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(StorageError, match="ermission"):
        write_exr(tmp_path / "a.exr", picture_of(np.zeros((2, 2, 4), np.float16)))


def test_folders_are_made_and_the_umask_kept(tmp_path: Path) -> None:
    write_exr(tmp_path / "x" / "y" / "a.exr", picture_of(np.zeros((2, 2, 4), np.float16)))
    (tmp_path / "plain").write_bytes(b"")
    assert (tmp_path / "x" / "y" / "a.exr").stat().st_mode == (tmp_path / "plain").stat().st_mode


# --- damaged files ----------------------------------------------------------------------------------------


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=6))
def test_damaged_bytes_are_an_error_or_a_picture(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, int]]
) -> None:
    content = bytearray(exr_bytes(picture_of(np.ones((9, 9, 4), np.float16))))
    for position, value in changes:
        content[position % len(content)] = value
    path = tmp_path_factory.mktemp("exr") / "a.exr"
    path.write_bytes(content)
    try:
        picture = read_picture(path)
    except MediaError as error:
        assert str(path) in str(error)  # noqa: PT017 - both ends are right, and this one has a message
    else:
        assert picture.pixels.shape[2] == 4


# Without compression


@settings(max_examples=60, deadline=None)
@given(pixels=half_pictures | float_pictures, y=st.integers(-30, 30), band=st.sampled_from([1, 200, 1 << 20]))
def test_the_quick_uncompressed_file_is_the_library_s_own(pixels: np.ndarray, y: int, band: int) -> None:
    height, width, _ = pixels.shape
    picture = picture_of(pixels, data_window=(3, y, width, height), origin=(0, -7))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plain_exr, "_BAND_BYTES", band)
        quick = exr_bytes(picture, compression="none")
        patch.setattr(exr, "SUPPORTED", False)
        slow = exr_bytes(picture, compression="none")
    assert quick == slow


def test_uncompressed_parts_and_other_bits(tmp_path: Path) -> None:
    pixels = np.linspace(-1, 2, 6 * 5 * 4, dtype=np.float32).reshape(6, 5, 4)
    part = Part("matte", ("Y",), pixels[..., :1].copy())
    write_exr(tmp_path / "a.exr", picture_of(pixels), bits=16, parts=[part], compression="none", synced=False)
    back = read_parts(tmp_path / "a.exr")
    np.testing.assert_array_equal(back["rgba"][1], pixels.astype(np.float16))
    np.testing.assert_array_equal(back["matte"][1], part.pixels)
    # A picture that is a view into a larger one, as a region is.
    write_exr(tmp_path / "b.exr", picture_of(pixels[1:4, 2:]), compression="none")
    np.testing.assert_array_equal(read_picture(tmp_path / "b.exr").pixels, pixels[1:4, 2:])


@pytest.mark.parametrize("compression", ["zip", "none"])
def test_bytes_where_there_are_no_files_in_memory(monkeypatch: pytest.MonkeyPatch, compression: str) -> None:
    picture = picture_of(np.linspace(0, 1, 6 * 5 * 4, dtype=np.float16).reshape(6, 5, 4))
    expected = exr_bytes(picture, compression=compression)
    monkeypatch.delattr(os, "memfd_create", raising=False)
    assert exr_bytes(picture, compression=compression) == expected


def test_a_disk_that_fills_up_under_one_band_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.pwrite

    def full(descriptor: int, data: memoryview, offset: int) -> int:
        if offset > 2000:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(descriptor, data, offset)

    monkeypatch.setattr(plain_exr, "_BAND_BYTES", 200)
    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(StorageError, match=r"a\.exr.*No space left"):
        write_exr(tmp_path / "a.exr", picture_of(np.zeros((20, 20, 4), np.float16)), compression="none")
    assert list(tmp_path.iterdir()) == []
