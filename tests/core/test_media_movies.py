"""Movies read frame by frame in any order, written whole or not at all, and what is refused."""

import os
import resource
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest

from inve_core.errors import MediaError, StorageError
from inve_core.media import MovieReader, linear_to_srgb, srgb_to_linear, write_movie


def encode(
    path: Path,
    frames: list[npt.NDArray],
    codec: str = "ffv1",
    pix_fmt: str = "bgr0",
    source: str = "rgb24",
    **context: object,
) -> Path:
    """Write frames with a codec of choice; ffv1 keeps every bit."""
    with av.open(os.fspath(path), "w") as container:
        stream = container.add_stream(codec, rate=24)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = pix_fmt
        for name, value in context.items():
            setattr(stream.codec_context, name, value)
        for pixels in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format=source)))
        container.mux(stream.encode())
    return path


def noise(count: int, channels: int = 3, kind: type = np.uint8) -> list[npt.NDArray]:
    rng = np.random.default_rng(3)
    return [rng.integers(0, np.iinfo(kind).max + 1, (37, 53, channels)).astype(kind) for _ in range(count)]


def moving(count: int) -> list[npt.NDArray]:
    """Frames whose grey level tells their number, 10 codes apart."""
    return [np.full((48, 64, 3), 10 * k, np.uint8) for k in range(count)]


def level(reader: MovieReader, index: int) -> int:
    """The number of the frame that was read, from its grey."""
    code = linear_to_srgb(reader.read(index).display_rgb()).mean() * 255
    return round(float(code) / 10)


def test_lossless_8_bit_is_exact(tmp_path: Path) -> None:
    frames = noise(4)
    with MovieReader(encode(tmp_path / "a.mkv", frames)) as reader:
        assert (reader.frames, reader.width, reader.height, reader.pixel_aspect) == (4, 53, 37, 1.0)
        assert reader.spec.source_type == "uint8"
        for index, stored in enumerate(frames):
            picture = reader.read(index)
            assert picture.pixels.dtype == np.float16
            expected = srgb_to_linear(stored / 255.0).astype(np.float16)
            np.testing.assert_array_equal(picture.pixels[..., :3], expected)
            assert (picture.pixels[..., 3] == 1).all()


@pytest.mark.parametrize(
    ("pix_fmt", "source_type", "dtype"),
    [
        ("gbrp10le", "uint10", np.float16),
        ("gbrp12le", "uint12", np.float32),
        ("gbrp16le", "uint16", np.float32),
    ],
)
def test_deeper_movies(tmp_path: Path, pix_fmt: str, source_type: str, dtype: type) -> None:
    stored = noise(1, kind=np.uint16)[0]
    with MovieReader(encode(tmp_path / "a.mkv", [stored], pix_fmt=pix_fmt, source="rgb48le")) as reader:
        assert reader.spec.source_type == source_type
        picture = reader.read(0)
        assert picture.pixels.dtype == dtype
        # Encoding rounds to the movie's own codes, so compare there: within one code.
        codes = linear_to_srgb(picture.pixels[..., :3].astype(np.float64))
        one_code = 1 / (2 ** int(source_type[4:]) - 1)
        np.testing.assert_allclose(codes, stored / 65535.0, atol=one_code + 1e-3 * (dtype == np.float16))


def test_alpha_is_straight_in_the_file_and_premultiplied_here(tmp_path: Path) -> None:
    stored = noise(1, channels=4)[0]
    with MovieReader(encode(tmp_path / "a.mkv", [stored], pix_fmt="bgra", source="rgba")) as reader:
        pixels = reader.read(0).pixels.astype(np.float64)
    alpha = stored[..., 3:] / 255.0
    np.testing.assert_allclose(pixels[..., 3:], alpha, rtol=1e-3)
    np.testing.assert_allclose(
        pixels[..., :3], srgb_to_linear(stored[..., :3] / 255.0) * alpha, rtol=2e-3, atol=1e-6
    )


def test_a_matte_is_coverage_without_a_curve(tmp_path: Path) -> None:
    stored = noise(1)[0]
    with MovieReader(encode(tmp_path / "a.mkv", [stored])) as reader:
        matte = reader.read_matte(0)
    assert matte.dtype == np.float32
    np.testing.assert_array_equal(matte, stored[..., 0].astype(np.float32) / np.float32(255))


@pytest.mark.parametrize("b_frames", [0, 2])
def test_any_order_gives_the_same_frames(tmp_path: Path, b_frames: int) -> None:
    path = encode(
        tmp_path / "a.mp4",
        moving(24),
        "mpeg4",
        "yuv420p",
        max_b_frames=b_frames,
        gop_size=7,
        bit_rate=4_000_000,
    )
    order = [0, 1, 2, 3, 9, 8, 23, 22, 0, 5, 5, 6, 20, 7, 14, 13, 1]
    with MovieReader(path) as reader:
        assert reader.frames == 24
        assert [level(reader, index) for index in range(24)] == list(range(24))
        assert [level(reader, index) for index in order] == order
    with MovieReader(path) as fresh:
        assert level(fresh, 17) == 17


def test_several_threads_read_one_movie(tmp_path: Path) -> None:
    frames = moving(24)
    with MovieReader(encode(tmp_path / "a.mkv", frames)) as reader:
        alone = [reader.read(index).pixels for index in range(24)]
        order = [(7 * number) % 24 for number in range(96)]
        with ThreadPoolExecutor(5) as pool:
            together = list(pool.map(lambda index: reader.read(index).pixels, order))
    assert all(np.array_equal(one, alone[index]) for one, index in zip(together, order, strict=True))


def test_a_long_jump_seeks(tmp_path: Path) -> None:
    frames = [np.full((16, 16, 3), k, np.uint8) for k in range(120)]
    with MovieReader(encode(tmp_path / "a.mkv", frames, gop_size=1)) as reader:
        for index in (0, 100, 3, 119, 60):
            codes = np.rint(linear_to_srgb(reader.read(index).display_rgb()) * 255)
            assert (codes == index).all()


def test_pixel_aspect(tmp_path: Path) -> None:
    from fractions import Fraction

    path = encode(tmp_path / "a.mp4", noise(1), "mpeg4", "yuv420p", sample_aspect_ratio=Fraction(2, 1))
    with MovieReader(path) as reader:
        assert reader.pixel_aspect == 2.0
        assert reader.read(0).spec.pixel_aspect == 2.0


def yuv_movie(path: Path, code: tuple[int, int, int], pix_fmt: str, color_range: int, matrix: int) -> Path:
    """One lossless frame of one Y'CbCr code, tagged with its range (1 limited, 2 full) and matrix."""
    frame = av.VideoFrame(64, 48, pix_fmt)
    kind = np.uint8 if pix_fmt == "yuv444p" else np.uint16
    for plane, level_code in zip(frame.planes, code, strict=True):
        np.asarray(memoryview(plane)).view(kind)[:] = level_code
    frame.color_range, frame.colorspace = color_range, matrix
    with av.open(os.fspath(path), "w") as container:
        stream = container.add_stream("ffv1", rate=24)
        stream.width, stream.height, stream.pix_fmt = 64, 48, pix_fmt
        stream.codec_context.color_range, stream.codec_context.colorspace = color_range, matrix
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


@pytest.mark.parametrize(("pix_fmt", "bits"), [("yuv444p", 8), ("yuv444p10le", 10), ("yuv444p12le", 12)])
@pytest.mark.parametrize("color_range", [1, 2])
@pytest.mark.parametrize(("matrix", "weights"), [(1, (0.2126, 0.0722)), (5, (0.299, 0.114))])
@pytest.mark.parametrize("rgb", [(0, 0, 0), (1, 1, 1), (0.5, 0.5, 0.5), (0.75, 0.25, 0.1), (0.1, 0.3, 0.9)])
def test_colours_come_out_as_they_were_meant(
    tmp_path: Path,
    pix_fmt: str,
    bits: int,
    color_range: int,
    matrix: int,
    weights: tuple[float, float],
    rgb: tuple[float, float, float],
) -> None:
    red, green, blue = rgb
    luma = weights[0] * red + (1 - sum(weights)) * green + weights[1] * blue
    chroma = ((blue - luma) / (2 - 2 * weights[1]), (red - luma) / (2 - 2 * weights[0]))
    shift, top = 1 << (bits - 8), (1 << bits) - 1
    if color_range == 1:
        stored = (16 * shift + luma * 219 * shift, *(128 * shift + value * 224 * shift for value in chroma))
    else:
        stored = (luma * top, *(128 * shift + value * top for value in chroma))
    code = tuple(min(top, round(value)) for value in stored)
    with MovieReader(yuv_movie(tmp_path / "a.mkv", code, pix_fmt, color_range, matrix)) as reader:
        pixel = linear_to_srgb(reader.read(0).display_rgb()[20, 30].astype(np.float64))
    # Half a code of each of the three, weighted by up to 2; 8 bits are rounded once more; then half floats.
    np.testing.assert_allclose(pixel, rgb, atol=(2.0 if bits == 8 else 1.2) / top + 3e-4)


@pytest.mark.parametrize("index", [-1, 3, 1000])
def test_no_such_frame(tmp_path: Path, index: int) -> None:
    with (
        MovieReader(encode(tmp_path / "a.mkv", noise(3))) as reader,
        pytest.raises(MediaError, match="0 to 2"),
    ):
        reader.read(index)


def test_not_a_movie(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="No such file"):
        MovieReader(tmp_path / "gone.mov")
    (tmp_path / "text.mov").write_bytes(b"this is no movie " * 100)
    with pytest.raises(MediaError, match=r"text\.mov"):
        MovieReader(tmp_path / "text.mov")
    with pytest.raises(MediaError, match="not a movie file"):
        MovieReader(tmp_path)


@pytest.mark.parametrize(
    "playlist",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nreal.mkv\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile real.mkv\n",
    ],
)
def test_a_playlist_is_no_movie(tmp_path: Path, playlist: str) -> None:
    encode(tmp_path / "real.mkv", noise(1))
    (tmp_path / "a.mov").write_text(playlist)
    with pytest.raises(MediaError, match=r"a\.mov"):
        MovieReader(tmp_path / "a.mov")


def test_sound_alone_is_no_movie(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    with av.open(os.fspath(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with pytest.raises(MediaError, match="no video stream"):
        MovieReader(path)


def test_high_dynamic_range_is_refused(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.mkv", noise(1), color_trc=16)
    with pytest.raises(MediaError, match="PQ"):
        MovieReader(path)


def damage_half(content: bytes) -> bytes:
    return content[: len(content) // 2]


def damage_header(content: bytes) -> bytes:
    return b"\0" * 200 + content[200:]


@pytest.mark.parametrize("damage", [damage_half, damage_header])
def test_a_damaged_movie_never_gives_a_wrong_number_of_frames_in_silence(
    tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    path = encode(tmp_path / "a.mp4", moving(20), "mpeg4", "yuv420p")
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(MediaError, match=r"a\.mp4"):
        MovieReader(path)


def test_a_truncated_matroska_ends_earlier_or_fails_with_a_sentence(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.mkv", noise(10))
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with MovieReader(path) as reader:
        assert reader.frames < 10
        assert reader.read(0).spec.width == 53
        with pytest.raises(MediaError, match=r"a\.mkv"):
            reader.read(9)


@pytest.mark.parametrize(("codec", "pix_fmt"), [("mpeg4", "yuv420p"), ("mjpeg", "yuvj420p")])
def test_a_damaged_frame_is_an_error_and_others_still_read(tmp_path: Path, codec: str, pix_fmt: str) -> None:
    path = encode(tmp_path / "a.mkv", noise(6), codec, pix_fmt, gop_size=1)
    with MovieReader(path) as reader:
        sound = [reader.read(index).pixels for index in range(reader.frames)]
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 200] = bytes(200)
    path.write_bytes(content)
    failed = 0
    with MovieReader(path) as reader:
        assert reader.frames == 6
        for index in range(6):
            try:
                pixels = reader.read(index).pixels
            except MediaError as error:
                assert str(path) in str(error)  # noqa: PT017 - which frame fails depends on the codec
                failed += 1
            else:
                np.testing.assert_array_equal(pixels, sound[index])
    assert failed == 1


# --- writing ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(48, 64), (47, 63)])
@pytest.mark.parametrize("suffix", ["mp4", "mov"])
def test_written_movies_read_back(tmp_path: Path, size: tuple[int, int], suffix: str) -> None:
    path = tmp_path / "sub" / f"a.{suffix}"
    write_movie(path, (np.full((*size, 3), 20 * k, np.uint8) for k in range(10)), 23.976)
    with MovieReader(path) as reader:
        assert reader.frames == 10
        assert (reader.height, reader.width) == (48, 64)
        assert [level(reader, index) for index in range(10)] == [2 * index for index in range(10)]
    assert os.listdir(path.parent) == [path.name]


def test_the_movie_is_good_to_look_at(tmp_path: Path) -> None:
    y, x = np.mgrid[0:96, 0:128]
    frame = np.stack([x * 2, y * 2, 255 - x], axis=2).astype(np.uint8)
    write_movie(tmp_path / "a.mp4", [frame] * 4, 24)
    with MovieReader(tmp_path / "a.mp4") as reader:
        codes = linear_to_srgb(reader.read(3).display_rgb()) * 255
    assert np.abs(codes - frame).mean() < 4


@pytest.mark.parametrize(
    ("frames", "fps"),
    [
        ([], 24),
        ([np.zeros((4, 4, 3), np.uint8), np.zeros((4, 6, 3), np.uint8)], 24),
        ([np.zeros((4, 4, 3), np.float32)], 24),
        ([np.zeros((4, 4), np.uint8)], 24),
        ([np.zeros((4, 4, 3), np.uint8)], 0),
        ([np.zeros((4, 4, 3), np.uint8)], float("nan")),
    ],
)
def test_what_makes_no_movie_leaves_nothing(tmp_path: Path, frames: list[npt.NDArray], fps: float) -> None:
    with pytest.raises(ValueError, match=r"fps|frame"):
        write_movie(tmp_path / "a.mp4", frames, fps)
    assert os.listdir(tmp_path) == []


def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    previous_action = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    previous_limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, previous_limits[1]))
    try:
        with pytest.raises(StorageError, match=r"a\.mp4"):
            write_movie(tmp_path / "a.mp4", noise(60), 24)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, previous_limits)
        signal.signal(signal.SIGXFSZ, previous_action)
    assert os.listdir(tmp_path) == []


def test_an_unknown_suffix_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"a\.xyz.*\.mp4"):
        write_movie(tmp_path / "a.xyz", moving(2), 24)
