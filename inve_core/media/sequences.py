"""Names of frames: from a pattern to the files of a shot, and from a frame number to the file to write.

A pattern is `shot.%04d.exr`, `shot.####.exr` (each # a digit, as Nuke has it), a folder, a glob or a movie
file.
"""

import fnmatch
import glob
import itertools
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from inve_core.errors import MediaError
from inve_core.media.files import PICTURE_SUFFIXES
from inve_core.media.movies import MOVIE_SUFFIXES, MovieReader

_TOKEN = re.compile(r"%0?(\d{0,2})d|(#+)")
_LAST_NUMBER = re.compile(r"(\d+)(?!.*\d)")
_MAX_LISTED = 8
_MAX_NAME = 4096


@dataclass(frozen=True)
class Sequence:
    """The frames that a pattern stands for.

    Attributes:
        pattern: `folder/shot.%04d.exr`, or the movie's or the single picture's path.
        kind: pictures, or a movie, whose frames are numbered from 0.
        frames: their numbers, rising by one.
        paths: one a frame; one in all for a movie.
    """

    pattern: str
    kind: Literal["pictures", "movie"]
    frames: tuple[int, ...]
    paths: tuple[str, ...]


def find_sequence(pattern: str, frame_range: tuple[int, int] | None = None) -> Sequence:
    """Find the files of a shot.

    A single picture is a sequence of one frame, which has the last number in its name, else 0. A minus sign
    is a separator, never part of a number: `shot-0001.exr` is frame 1.

    Args:
        pattern: see above.
        frame_range: first and last frame to use; all there are where None. Only frames inside it may not be
        missing.

    Raises:
        MediaError: if nothing is found, a folder or glob holds several sequences, a frame is missing, or the
            range leaves the frames that exist.
    """
    if frame_range is not None and frame_range[0] > frame_range[1]:
        raise MediaError(
            f"the frame range {frame_range[0]}-{frame_range[1]} runs backwards; give the first frame first."
        )
    group = _group(pattern)
    return _single_file(pattern, frame_range) if group is None else _in_range(group, frame_range)


def present_files(pattern: str) -> dict[int, str]:
    """Frame -> file of all that a pattern finds, with holes where frames are missing.

    Raises:
        MediaError: if nothing is found, or a folder or glob holds several sequences.
    """
    group = _group(pattern)
    if group is not None:
        return dict(sorted(group.files.items()))
    single = _single_file(pattern, None)
    return dict.fromkeys(single.frames, single.paths[0])


def output_path(pattern: str, frame: int) -> Path:
    """The EXR file to write a frame to.

    Args:
        pattern: `out.%04d.exr`, `out.####.exr`, or a folder, where frames are called `frame.%04d.exr`.
        frame: the frame's number.

    Raises:
        MediaError: if the pattern does not end in .exr or has not exactly one place for the frame's number.
    """
    _check_name(pattern)
    name = os.path.basename(pattern)
    is_folder = not name or os.path.isdir(pattern) or not (os.path.splitext(name)[1] or _TOKEN.search(name))
    if is_folder:
        return Path(pattern) / f"frame.{frame:04d}.exr"
    if os.path.splitext(name)[1].lower() != ".exr":
        raise MediaError(
            f"frames are written as EXR, {pattern!r} does not end in .exr; name it 'out.%04d.exr'."
        )
    if len(_TOKEN.findall(name)) != 1:
        raise MediaError(
            f"{pattern!r} needs exactly one place for the frame number; name it like 'out.%04d.exr' or "
            "'out.####.exr'."
        )
    return Path(os.path.dirname(pattern)) / _TOKEN.sub(lambda token: f"{frame:0{_digits(token)}d}", name)


def _group(pattern: str) -> "_Group | None":
    """The files that a pattern finds; None where it is the name of a single one."""
    _check_name(pattern)
    if os.path.isdir(pattern):
        return _only_group(_files_in(pattern), f"the folder {pattern!r}")
    if os.path.exists(pattern):
        return None
    if _TOKEN.search(os.path.basename(pattern)):
        return _by_token(pattern)
    folder, name = os.path.split(pattern)
    if glob.has_magic(name):
        found = [path for path in _files_in(folder) if fnmatch.fnmatchcase(os.path.basename(path), name)]
        return _only_group(found, repr(pattern))
    raise MediaError(
        f"{pattern!r} does not exist; give a pattern such as 'shot.%04d.exr' or 'shot.####.exr', a folder, a "
        "glob or a movie."
    )


@dataclass
class _Group:
    """Files whose names differ in one number only."""

    prefix: str
    suffix: str
    digits: int
    files: dict[int, str]

    @property
    def pattern(self) -> str:
        return f"{self.prefix}%0{self.digits}d{self.suffix}"


def _digits(token: re.Match[str]) -> int:
    """How many digits a token pads to: %04d and #### to 4, %d to 1."""
    return len(token[2]) if token[2] else int(token[1] or 1)


def _check_name(pattern: str) -> None:
    if not 0 < len(pattern) <= _MAX_NAME or "\0" in pattern:
        shown = repr(pattern if len(pattern) <= _MAX_NAME else pattern[:60] + "...")
        raise MediaError(f"{shown} is no file name; give a pattern such as 'shot.%04d.exr', or a folder.")


def _is_picture(name: str) -> bool:
    base = os.path.basename(name)
    return not base.startswith(".") and os.path.splitext(base)[1].lower() in PICTURE_SUFFIXES


def _listed(names: list[str] | list[int]) -> str:
    return ", ".join(map(str, names[:_MAX_LISTED])) + (", ..." if len(names) > _MAX_LISTED else "")


def _files_in(folder: str) -> list[str]:
    try:
        with os.scandir(folder or ".") as entries:
            return [os.path.join(folder, entry.name) for entry in entries if _is_picture(entry.name)]
    except OSError as error:
        raise MediaError(
            f"the folder {folder!r} cannot be read: {error.strerror}; check the path."
        ) from error


def _single_file(path: str, frame_range: tuple[int, int] | None) -> Sequence:
    if os.path.splitext(path)[1].lower() in MOVIE_SUFFIXES:
        with MovieReader(path) as movie:
            frames = range(movie.frames)
        first, last = frame_range or (0, len(frames) - 1)
        if first < 0 or last >= len(frames):
            raise _outside(path, frame_range, 0, len(frames) - 1)
        return Sequence(path, "movie", tuple(range(first, last + 1)), (path,))
    if not _is_picture(path):
        raise MediaError(
            f"{path!r} is neither a picture nor a movie of a supported kind; give an EXR, PNG, JPEG, TIFF or "
            "DPX "
            "sequence or a .mov or .mp4."
        )
    number = _LAST_NUMBER.search(os.path.splitext(os.path.basename(path))[0])
    frame = int(number[1]) if number else 0
    if frame_range not in (None, (frame, frame)):
        raise _outside(path, frame_range, frame, frame)
    return Sequence(path, "pictures", (frame,), (path,))


def _by_token(pattern: str) -> _Group:
    folder, name = os.path.split(pattern)
    tokens = list(_TOKEN.finditer(name))
    if len(tokens) > 1:
        raise MediaError(
            f"{pattern!r} has {len(tokens)} places for a frame number, one was expected; write out the "
            "others."
        )
    token = tokens[0]
    digits = _digits(token)
    prefix, suffix = name[: token.start()], name[token.end() :]
    if os.path.splitext(name)[1].lower() not in PICTURE_SUFFIXES:
        raise MediaError(
            f"{pattern!r} does not name pictures of a supported kind; use EXR, PNG, JPEG, TIFF or DPX."
        )
    if folder and not os.path.isdir(folder):
        raise MediaError(f"the folder {folder!r} of {pattern!r} does not exist; check the path.")
    number = re.compile(re.escape(prefix) + r"(\d+)" + re.escape(suffix))
    files: dict[int, str] = {}
    for path in _files_in(folder):
        match = number.fullmatch(os.path.basename(path))
        if match and match[1] == f"{int(match[1]):0{digits}d}":
            files[int(match[1])] = path
    if not files:
        raise MediaError(f"no file matches {pattern!r}; check the name and the number of digits.")
    return _Group(os.path.join(folder, prefix), suffix, digits, files)


def _only_group(paths: Iterable[str], where: str) -> _Group:
    """The one sequence among files.

    Raises:
        MediaError: if there is none, there are several, or its numbers are padded inconsistently.
    """
    groups: dict[tuple[str, str], list[tuple[str, str]]] = {}
    single: list[str] = []
    for path in sorted(paths):
        folder, name = os.path.split(path)
        stem, extension = os.path.splitext(name)
        number = _LAST_NUMBER.search(stem)
        if number is None:
            single.append(path)
            continue
        key = (os.path.join(folder, stem[: number.start()]), stem[number.end() :] + extension)
        groups.setdefault(key, []).append((number[1], path))
    found = [f"{prefix}{'#' * len(members[0][0])}{suffix}" for (prefix, suffix), members in groups.items()]
    found += single
    if not found:
        raise MediaError(f"{where} holds no pictures; EXR, PNG, JPEG, TIFF or DPX files were expected there.")
    if len(found) > 1:
        raise MediaError(
            f"{where} holds {len(found)} sequences, one was expected; name one of them: {_listed(found)}."
        )
    if single:
        return _Group(single[0], "", 0, {0: single[0]})
    ((prefix, suffix), members) = next(iter(groups.items()))
    digits = min(len(text) for text, _ in members)
    for text, path in members:
        if text != f"{int(text):0{digits}d}":
            raise MediaError(
                f"{where} numbers its frames inconsistently ({path!r} beside {digits}-digit numbers); "
                "rename them or give a pattern such as 'shot.%04d.exr'."
            )
    return _Group(prefix, suffix, digits, {int(text): path for text, path in members})


def _in_range(group: _Group, frame_range: tuple[int, int] | None) -> Sequence:
    pattern = group.pattern if group.digits else group.prefix
    lowest, highest = min(group.files), max(group.files)
    first, last = frame_range or (lowest, highest)
    if first < lowest or last > highest:
        raise _outside(pattern, frame_range, lowest, highest)
    frames = range(first, last + 1)
    # Lazily: two stray numbers far apart must not make a list of everything in between.
    missing = list(itertools.islice((frame for frame in frames if frame not in group.files), _MAX_LISTED + 1))
    if missing:
        what = f"frame {missing[0]} is" if len(missing) == 1 else f"frames {_listed(missing)} are"
        raise MediaError(
            f"{what} missing in {pattern!r}, {first}-{last} was expected; "
            "add what is missing or shorten the range."
        )
    return Sequence(pattern, "pictures", tuple(frames), tuple(group.files[frame] for frame in frames))


def _outside(pattern: str, frame_range: tuple[int, int] | None, lowest: int, highest: int) -> MediaError:
    asked = "" if frame_range is None else f"{frame_range[0]}-{frame_range[1]}"
    return MediaError(
        f"{pattern!r} has the frames {lowest}-{highest}, {asked} was asked for; "
        "add the missing frames or choose a range within."
    )
