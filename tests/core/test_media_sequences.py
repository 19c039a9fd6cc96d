"""Patterns to frames and frames to file names, on files that are only names."""

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inve_core.errors import MediaError
from inve_core.media import find_sequence, output_path, write_movie


def touch(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_bytes(b"")


@pytest.fixture
def shot(tmp_path: Path) -> Path:
    touch(tmp_path, *(f"shot.{frame}.exr" for frame in range(1001, 1006)), "notes.txt", ".shot.1006.exr")
    return tmp_path


@pytest.mark.parametrize("pattern", ["shot.%04d.exr", "shot.####.exr", "", "shot.*.exr", "shot.%d.exr"])
def test_every_kind_of_pattern_finds_the_shot(shot: Path, pattern: str) -> None:
    found = find_sequence(str(shot / pattern))
    assert found.kind == "pictures"
    assert found.frames == (1001, 1002, 1003, 1004, 1005)
    assert [Path(path).name for path in found.paths] == [f"shot.{frame}.exr" for frame in found.frames]
    assert all(Path(path).exists() for path in found.paths)
    assert [found.pattern % frame for frame in found.frames] == list(found.paths)


def test_a_found_pattern_finds_the_same_again(shot: Path) -> None:
    found = find_sequence(str(shot))
    assert find_sequence(found.pattern) == found


def test_relative_patterns(shot: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(shot)
    assert find_sequence("shot.%04d.exr").paths[0] == "shot.1001.exr"
    assert find_sequence("shot.*.exr").frames == (1001, 1002, 1003, 1004, 1005)


def test_range_inside(shot: Path) -> None:
    found = find_sequence(str(shot / "shot.%04d.exr"), (1002, 1004))
    assert found.frames == (1002, 1003, 1004)
    assert [Path(path).name for path in found.paths] == ["shot.1002.exr", "shot.1003.exr", "shot.1004.exr"]


@pytest.mark.parametrize("frame_range", [(1000, 1003), (1003, 1006), (1, 2)])
def test_range_outside(shot: Path, frame_range: tuple[int, int]) -> None:
    with pytest.raises(MediaError, match="1001-1005") as error:
        find_sequence(str(shot), frame_range)
    assert f"{frame_range[0]}-{frame_range[1]}" in str(error.value)


def test_range_backwards(shot: Path) -> None:
    with pytest.raises(MediaError, match="backwards"):
        find_sequence(str(shot), (1004, 1002))


def test_missing_frames_are_named_only_inside_the_range(shot: Path) -> None:
    (shot / "shot.1003.exr").unlink()
    with pytest.raises(MediaError, match=r"frame 1003 is missing .* 1001-1005"):
        find_sequence(str(shot / "shot.%04d.exr"))
    with pytest.raises(MediaError, match="1003"):
        find_sequence(str(shot), (1002, 1004))
    assert find_sequence(str(shot), (1004, 1005)).frames == (1004, 1005)


def test_two_stray_numbers_far_apart_are_refused_at_once(tmp_path: Path) -> None:
    touch(tmp_path, "a.1.png", "a.2000000000.png")
    with pytest.raises(MediaError, match=r"frames 2, 3, 4, .* are missing"):
        find_sequence(str(tmp_path))


def test_several_sequences_are_named(shot: Path) -> None:
    touch(shot, "matte.1001.exr", "matte.1002.exr", "ref.png")
    with pytest.raises(MediaError, match="3 sequences") as error:
        find_sequence(str(shot))
    for name in ("shot.####.exr", "matte.####.exr", "ref.png"):
        assert name in str(error.value)
    assert find_sequence(str(shot / "matte.*.exr")).frames == (1001, 1002)


@pytest.mark.parametrize(
    "pattern", ["none.%04d.exr", "", "*.png", "absent.exr", "absent/shot.%04d.exr", "a.txt"]
)
def test_nothing_found(tmp_path: Path, pattern: str) -> None:
    with pytest.raises(MediaError) as error:
        find_sequence(str(tmp_path / pattern))
    assert str(tmp_path) in str(error.value)


@pytest.mark.parametrize("pattern", ["", "a\0.%04d.exr", "x" * 5000])
def test_no_file_name_at_all(pattern: str) -> None:
    with pytest.raises(MediaError, match="no file name"):
        find_sequence(pattern)


def test_a_file_of_another_kind(tmp_path: Path) -> None:
    touch(tmp_path, "a.txt", "a.0001.txt")
    with pytest.raises(MediaError, match="neither a picture nor a movie"):
        find_sequence(str(tmp_path / "a.txt"))
    with pytest.raises(MediaError, match="supported kind"):
        find_sequence(str(tmp_path / "a.%04d.txt"))


def test_two_places_for_a_number(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="2 places"):
        find_sequence(str(tmp_path / "a.##.%04d.exr"))


def test_padding_is_strict(tmp_path: Path) -> None:
    touch(tmp_path, "a.0999.exr", "a.1000.exr", "a.01000.exr")
    assert find_sequence(str(tmp_path / "a.%04d.exr")).frames == (999, 1000)
    assert find_sequence(str(tmp_path / "a.#####.exr")).frames == (1000,)
    with pytest.raises(MediaError, match="inconsistently"):
        find_sequence(str(tmp_path))


def test_numbers_grow_past_their_padding(tmp_path: Path) -> None:
    touch(tmp_path, *(f"a.{frame:02d}.png" for frame in range(98, 102)))
    assert find_sequence(str(tmp_path)).frames == (98, 99, 100, 101)
    assert find_sequence(str(tmp_path / "a.##.png")).frames == (98, 99, 100, 101)


def test_unpadded_numbers_sort_by_value(tmp_path: Path) -> None:
    touch(tmp_path, *(f"a{frame}.png" for frame in range(8, 12)))
    assert find_sequence(str(tmp_path)).frames == (8, 9, 10, 11)


def test_a_minus_separates(tmp_path: Path) -> None:
    touch(tmp_path, "shot-0001.exr", "shot-0002.exr")
    assert find_sequence(str(tmp_path)).frames == (1, 2)


def test_the_last_number_counts(tmp_path: Path) -> None:
    touch(tmp_path, "sh010_v002.0007.left.exr", "sh010_v002.0008.left.exr")
    assert find_sequence(str(tmp_path)).frames == (7, 8)


@pytest.mark.parametrize(("name", "frame"), [("plate.1042.exr", 1042), ("logo.png", 0)])
def test_a_single_picture_is_one_frame(tmp_path: Path, name: str, frame: int) -> None:
    touch(tmp_path, name)
    found = find_sequence(str(tmp_path / name))
    assert (found.kind, found.frames, found.paths) == ("pictures", (frame,), (str(tmp_path / name),))
    with pytest.raises(MediaError, match="has the frames"):
        find_sequence(str(tmp_path / name), (frame, frame + 1))
    assert find_sequence(str(tmp_path)).frames == (frame,)


def test_an_existing_name_is_taken_literally(tmp_path: Path) -> None:
    touch(tmp_path / "a[1]", "b#.0001.exr")
    assert find_sequence(str(tmp_path / "a[1]")).frames == (1,)
    assert find_sequence(str(tmp_path / "a[1]" / "b#.0001.exr")).frames == (1,)


def test_a_movie_counts_from_zero(tmp_path: Path) -> None:
    path = tmp_path / "shot.mp4"
    write_movie(path, [np.full((32, 48, 3), 40 * k, np.uint8) for k in range(5)], 24)
    found = find_sequence(str(path))
    assert (found.kind, found.frames, found.paths) == ("movie", (0, 1, 2, 3, 4), (str(path),))
    assert find_sequence(str(path), (1, 3)).frames == (1, 2, 3)
    with pytest.raises(MediaError, match="0-4"):
        find_sequence(str(path), (3, 5))


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("out.%04d.exr", "out.0007.exr"),
        ("out.####.exr", "out.0007.exr"),
        ("out.%d.exr", "out.7.exr"),
        ("sub/out.##.EXR", "sub/out.07.EXR"),
        ("folder", "folder/frame.0007.exr"),
        ("folder/", "folder/frame.0007.exr"),
    ],
)
def test_output_path(pattern: str, name: str) -> None:
    assert output_path(pattern, 7) == Path(name)


def test_output_path_in_an_existing_folder_with_a_dot(tmp_path: Path) -> None:
    (tmp_path / "v1.2").mkdir()
    assert output_path(str(tmp_path / "v1.2"), 12) == tmp_path / "v1.2" / "frame.0012.exr"


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [("out.%04d.png", "EXR"), ("out.exr", "frame number"), ("##.##.exr", "frame number"), ("", "file name")],
)
def test_output_path_refuses(pattern: str, reason: str) -> None:
    with pytest.raises(MediaError, match=re.escape(reason)):
        output_path(pattern, 1)


@given(st.integers(0, 10**7), st.integers(1, 9))
def test_what_is_written_is_found_again(
    tmp_path_factory: pytest.TempPathFactory, frame: int, digits: int
) -> None:
    folder = tmp_path_factory.mktemp("frames")
    pattern = str(folder / f"a.%0{digits}d.exr")
    output_path(pattern, frame).write_bytes(b"")
    assert find_sequence(pattern).frames == (frame,)
    assert find_sequence(str(folder / f"a.{'#' * digits}.exr")).frames == (frame,)
