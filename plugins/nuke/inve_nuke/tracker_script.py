"""The text of a Tracker4's `tracks` knob <-> its tracks. Pure.

The knob holds `{ {1 31 N} {31 columns} { {a row for each track} } }`. Columns and rows that are there are
kept word for word, tracks are added behind them. No documentation has this form; it is that of saved scripts.

A track of ours is known on every frame, also where something is in front of the point. There its x and y have
keys all the same, since the point's place is worked out from the surface, and `enable` is off, as of a track
that a compositor switches off where it is hidden.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from inve_client.plugin.messages import RefusedError
from inve_client.plugin.points import Track

from .curve_values import Numbers, Value, at, knob_curve, knob_curve_text
from .geometry import Picture
from .script_words import Node, ScriptError, node_text, tree, word_text

COLUMNS = (
    "enable",
    "name",
    "track_x",
    "track_y",
    "offset_x",
    "offset_y",
    "T",
    "R",
    "S",
    "error",
    "error_min",
    "error_max",
    "pattern_x",
    "pattern_y",
    "pattern_r",
    "pattern_t",
    "search_x",
    "search_y",
    "search_r",
    "search_t",
    "key_track",
    "key_search_x",
    "key_search_y",
    "key_search_r",
    "key_search_t",
    "key_track_x",
    "key_track_y",
    "key_track_r",
    "key_track_t",
    "key_centre_offset_x",
    "key_centre_offset_y",
)
"""Of a track, in their order; 31."""

# Kind, shown, width in the panel; the first column is called "e" there.
_SHOWN = {
    "enable": (5, 1, 20),
    "name": (3, 1, 75),
    "track_x": (2, 1, 58),
    "track_y": (2, 1, 58),
    "offset_x": (2, 1, 63),
    "offset_y": (2, 1, 63),
    "T": (4, 1, 27),
    "R": (4, 1, 27),
    "S": (4, 1, 27),
    "error": (2, 0, 45),
}
_KEYS_FROM = COLUMNS.index("key_track")
_BOXES = "-32 -32 32 32 -22 -22 22 22"  # of the pattern and the search, around the track; Nuke's first ones


@dataclass(frozen=True)
class NukeTrack:
    """A track as the knob has it; places are Nuke's, y up.

    Attributes:
        x, y: numbers or curves; an offset is not in them.
    """

    name: str
    enable: Value
    x: Value
    y: Value

    def at(self, frame: float) -> tuple[float, float, bool]:
        """x, y and whether it is enabled there.

        Raises:
            NotEvaluated: one is an expression.
        """
        return at(self.x, frame), at(self.y, frame), at(self.enable, frame) != 0


def read(text: str) -> tuple[NukeTrack, ...]:
    """The tracks of a knob's text; () of an empty one.

    Raises:
        ScriptError: the text is none, or has other columns.
    """
    _, _, rows = _parts(text)
    numbers = Numbers()
    tracks = []
    for number, row in enumerate(rows, 1):
        if not isinstance(row, list) or len(row) < 4 or not isinstance(row[1], str):
            raise ScriptError(
                f"Track {number} must be a row of {len(COLUMNS)} columns, got "
                f"{node_text(row)[:60]!r}; delete that track."
            )
        try:
            enable, x, y = (_value(row[column], numbers) for column in (0, 2, 3))
        except (ValueError, IndexError, TypeError) as error:
            raise ScriptError(
                f"Track {number}, {row[1]!r}, cannot be read ({error}); delete that track."
            ) from error
        tracks.append(NukeTrack(row[1], enable, x, y))
    return tuple(tracks)


def append(text: str, tracks: Sequence[Track], picture: Picture) -> str:
    """A knob's text with tracks of ours behind those that it has; a name that is taken gets a number.

    Args:
        text: of the knob, "" for a new one.

    Raises:
        ScriptError: as `read`.
        RefusedError: there are no tracks.
    """
    if not tracks:
        raise RefusedError("A Tracker must get one track or more, got none; pick points first.")
    head, columns, rows = _parts(text)
    taken = {row[1] for row in rows if isinstance(row, list) and len(row) > 1 and isinstance(row[1], str)}
    lines = [node_text(row) for row in rows]
    for track in tracks:
        name = next(one for one in _names(track.point.id) if one not in taken)
        taken.add(name)
        lines.append(_row(name, track, picture))
    first = " ".join([*head[:2], str(len(lines))])
    return (
        f"{{ {{ {first} }} \n{{ {' '.join(columns)} }} \n{{ \n"
        + "".join(f" {line} \n" for line in lines)
        + "} \n}"
    )


def _names(name: str) -> Iterator[str]:
    yield name
    number = 2
    while True:
        yield f"{name} {number}"
        number += 1


def _parts(text: str) -> tuple[list[str], list[str], list[Node]]:
    """The head's words, the columns as written, the rows."""
    nodes = tree(text, "The tracks")
    while len(nodes) == 1 and isinstance(nodes[0], list):
        nodes = nodes[0]
    if not nodes:
        own = []
        for index, name in enumerate(COLUMNS):
            kind, visible, width = _SHOWN.get(name, (2 if index >= _KEYS_FROM else 1, 1, 0))
            own.append(f"{{ {kind} {visible} {width} {name} {'e' if name == 'enable' else name} 1 }}")
        return ["1", str(len(COLUMNS)), "0"], own, []
    if not 2 <= len(nodes) <= 3 or not all(isinstance(node, list) for node in nodes):
        raise ScriptError(
            f"The tracks must be {{{{1 31 N}} {{columns}} {{rows}}}}, got {text.strip()[:60]!r}; read them "
            "from a Tracker4 node."
        )
    head, columns, rows = [*nodes, []][:3]
    names = tuple(column[3] for column in columns if isinstance(column, list) and len(column) > 3)
    if names != COLUMNS:
        raise ScriptError(
            f"A track must have the {len(COLUMNS)} columns enable, name, track_x, ... of a Tracker4, got "
            f"{len(names)} ({', '.join(map(str, names[:4]))} ...); add a Tracker of this version of Nuke."
        )
    return [word for word in head if isinstance(word, str)], list(map(node_text, columns)), list(rows)


def _value(node: Node, numbers: Numbers) -> Value:
    if isinstance(node, str):
        return numbers[node]
    if not node or node == ["curve"]:
        return 0.0
    if node[0] != "curve" or not all(isinstance(word, str) for word in node):
        raise ValueError(f"{node_text(node)[:40]!r} is no number")
    return knob_curve(node[1:], numbers)  # type: ignore[arg-type]


def _row(name: str, track: Track, picture: Picture) -> str:
    frames = track.frames
    places = [picture.to_nuke(x, y) for x, y in zip(track.x, track.y)]
    first = frames[0]
    still = f"{{curve K x{first} 0}}"
    error = knob_curve_text(frames, [1 - confidence for confidence in track.confidence])
    words = [
        knob_curve_text(*_changes(frames, track.visible), stepped=True),
        word_text(name) if word_text(name)[0] == '"' else f'"{name}"',
        knob_curve_text(frames, [x for x, _ in places]),
        knob_curve_text(frames, [y for _, y in places]),
        still,
        still,
        "1 0 0",
        error,
        "0 1",
        _BOXES,
        *["{}"] * (len(COLUMNS) - _KEYS_FROM),
    ]
    return f"{{ {' '.join(words)} }}"


def _changes(frames: Sequence[int], flags: Sequence[bool]) -> tuple[list[int], list[float]]:
    """The frames where a switch turns, the first included, and its position."""
    turns = [k for k in range(len(frames)) if k == 0 or flags[k] != flags[k - 1]]
    return [frames[k] for k in turns], [float(flags[k]) for k in turns]
