"""Clips of any length and size for the speed benchmark, made of one clip's own pictures."""

from dataclasses import dataclass
from pathlib import Path

import cv2

from inve_core.media.sequences import find_sequence

RESIZABLE = frozenset({".jpg", ".jpeg", ".png", ".tif", ".tiff"})


@dataclass(frozen=True)
class Pattern:
    """Where a clip's pictures are."""

    frames: str
    mattes: tuple[str, ...]

    @property
    def paths(self) -> tuple[str, ...]:
        """Of its frames, in order."""
        return find_sequence(self.frames).paths

    @property
    def folders(self) -> set[Path]:
        """Where its files really are."""
        patterns = (self.frames, *self.mattes)
        return {Path(path).resolve().parent for pattern in patterns for path in find_sequence(pattern).paths}


def find_clip(place: str, mattes: list[str]) -> Pattern:
    """A clip by its folder, with `frames` and (unless given) `mattes` in it, or by its frames' pattern."""
    folder = Path(place)
    if not (folder / "frames").is_dir():
        return Pattern(place, tuple(mattes))
    own = [str(folder / "mattes")] if (folder / "mattes").is_dir() else []
    return Pattern(str(folder / "frames"), tuple(mattes or own))


def there_and_back(count: int, length: int) -> list[int]:
    """Indices of `length` frames that run through a clip of `count` forwards and backwards, over and over."""
    period = max(1, 2 * (count - 1))
    return [index if index < count else period - index for index in (i % period for i in range(length))]


def variant(clip: Pattern, folder: Path, length: int, size: tuple[int, int] | None = None) -> Pattern:
    """The clip with another number of frames, each (width, height) large.

    Each picture is resized and stored once; repetitions are links.
    """
    stored: dict[tuple[str, int], Path] = {}
    for name, pattern in (("frames", clip.frames), *((f"mattes{k}", m) for k, m in enumerate(clip.mattes))):
        (folder / name).mkdir(parents=True, exist_ok=True)
        paths = find_sequence(pattern).paths
        for number, index in enumerate(there_and_back(len(paths), length)):
            original = Path(paths[index])
            target = folder / name / f"{number:05d}{original.suffix}"
            if size is None:
                target.symlink_to(original.resolve())
            elif (name, index) in stored:
                target.symlink_to(stored[name, index])
            else:
                _resize(original, target, size)
                stored[name, index] = target
    return Pattern(str(folder / "frames"), tuple(str(folder / f"mattes{k}") for k in range(len(clip.mattes))))


def _resize(original: Path, target: Path, size: tuple[int, int]) -> None:
    if original.suffix.lower() not in RESIZABLE:
        raise SystemExit(
            f"{original} cannot be resized for the benchmark; give a clip of {', '.join(sorted(RESIZABLE))}."
        )
    picture = cv2.imread(str(original), cv2.IMREAD_UNCHANGED)
    assert picture is not None, original
    shrinks = size[0] < picture.shape[1]
    resized = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
    assert cv2.imwrite(str(target), resized)
