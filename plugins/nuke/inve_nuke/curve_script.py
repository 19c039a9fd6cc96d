"""The text of a Roto or RotoPaint node's curves knob (`toScript`) -> its layers, strokes and shapes. Pure.

The form is that of the NDK's developer guide, "Roto serialisation format": braces hold lists of words,

    {{v x3f99999a} {f 0} {n {layer Root {f 0} {t 960 540} {a}
      {cubiccurve Brush1 512 catmullrom {cc {f 2080} {p {x y pressure} ...}} {t 0} {a bs 40 h 1 ...}}
      {curvegroup Bezier1 512 bezier {{cc {f 8192} {px 1001 {tx ty} {x y} {tx ty} ...}} idem}
        {tx 1001 x y} {a}}}}}

What the guide leaves open follows from scripts that Nuke saved: `px`, `tx` and a time stand for values with
one key each, at that time; with a list of times each value is a list too; a feather curve `idem` has no
offsets; a node's flags may be missing; `curves {{{v` of a .nk file has a pair of braces more than `toScript`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Union

from .curve_values import (
    LINEAR,
    Curve,
    Expression,
    Key,
    Numbers,
    Opaque,
    Value,
    key_of,
    knob_curve,
)
from .script_words import Node, ScriptError, node_text, tree

# nuke.curvelib.FlagType has the numbers of these bits.
OPEN, RENDERABLE, RELATIVE_TANGENTS = 1 << 5, 1 << 9, 1 << 13


@dataclass(frozen=True)
class Values:
    """The numbers of a transform, `t` or `tx`.

    Attributes:
        values: in Nuke's order: pivot, translation, rotation, scale (x, y, z of each), skew; those left out
            at the end are the defaults.
        time: of their one key, where they have one each.
    """

    values: tuple[Value, ...] = ()
    time: float | None = None


@dataclass(frozen=True)
class Points:
    """The points of a curve, `p` or `px`.

    Attributes:
        points: of each point the numbers: of a stroke x, y and pressure; of a shape's x and y, three points
            for each of the artist's: left tangent, point, right tangent.
        time: of their one key, where they have one each.
        plain: whether all are plain numbers.
    """

    points: tuple[tuple[Value, ...], ...]
    time: float | None = None
    plain: bool = field(default=False, compare=False)


@dataclass(frozen=True)
class Stroke:
    """A `cubiccurve`: what a brush painted. `kind` is catmullrom, for some tools' curves bezier."""

    name: str
    flags: int
    kind: str
    curve_flags: int
    points: Points
    transform: Values
    attributes: Mapping[str, Value]


@dataclass(frozen=True)
class Shape:
    """A `curvegroup`: a roto shape. `feather` has offsets from `points`; None: it has none."""

    name: str
    flags: int
    kind: str
    curve_flags: int
    points: Points
    feather: Points | None
    transform: Values
    attributes: Mapping[str, Value]


@dataclass(frozen=True)
class Layer:
    """A layer and what is in it, the topmost first, as Nuke lists and paints them."""

    name: str
    flags: int
    transform: Values
    attributes: Mapping[str, Value]
    elements: tuple[Layer | Stroke | Shape | Unknown, ...]


@dataclass(frozen=True)
class Unknown:
    """An element of another kind, or one that is damaged: `problem` is the end of a sentence."""

    name: str
    problem: str


Element = Union[Layer, Stroke, Shape, Unknown]


def parse(text: str) -> Layer:
    """The root layer of a curves knob's text.

    Raises:
        ScriptError: its braces do not match, nest too deep, or there is no root layer in it. What is wrong
            inside of one element makes that one `Unknown`.
    """
    nodes = tree(text, "The curves")
    if "AnimTree:" in nodes:
        raise ScriptError(
            "The curves are in the form of Nuke 6, which is not read; save the script from this Nuke once."
        )
    root = _root(nodes)
    if root is None:
        raise ScriptError(
            "The curves must be a version and a root layer, {{v ...} {n {layer ...}}}, got "
            f"{_short(' '.join(text.split())) or 'nothing'!r}; read them from a Roto or RotoPaint node."
        )
    try:
        return _Reader().layer(root)
    except _DAMAGE as error:
        raise ScriptError(
            f"The curves' root layer {_name(root)!r} cannot be read ({error}); read them from the node again."
        ) from error


def _root(nodes: Sequence[Node]) -> Any:
    """The first layer, however many braces are around the knob."""
    level = [nodes]
    for _ in range(4):
        inner: list[Sequence[Node]] = []
        for group in level:
            for node in group:
                if isinstance(node, list):
                    if _head(node) == "n":
                        return next((one for one in node if _head(one) == "layer"), None)
                    inner.append(node)
        level = inner
    return None


def _head(node: Node) -> str:
    return node[0] if isinstance(node, list) and node and isinstance(node[0], str) else ""


# Reading


class _Reader:
    """One text's elements. Numbers that come often, as the sizes of brushes, are worked out once."""

    def __init__(self) -> None:
        self._numbers = Numbers()

    def layer(self, node: list[Node]) -> Layer:
        parts = _parts(node)
        return Layer(
            _name(node),
            self._flags(parts),
            self._transform(parts),
            self._attributes(parts),
            tuple(self._element(one) for one in node if _head(one) in _ELEMENTS),
        )

    def _element(self, node: Any) -> Element:
        try:
            if _head(node) == "layer":
                return self.layer(node)
            return self._stroke(node) if _head(node) == "cubiccurve" else self._shape(node)
        except _DAMAGE as error:
            return Unknown(_name(node), f"cannot be read ({error})")

    def _stroke(self, node: list[Node]) -> Stroke:
        parts = _parts(node)
        if "cc" not in parts:
            raise ValueError("it has no points")
        curve = _parts(parts["cc"])
        return Stroke(
            _name(node),
            int(_plain(node, 2)),
            _plain(node, 3),
            self._flags(curve),
            self._points(curve),
            self._transform(parts),
            self._attributes(parts),
        )

    def _shape(self, node: list[Node]) -> Shape:
        parts = _parts(node)
        curves = next((one for one in node if isinstance(one, list) and one and _head(one[0]) == "cc"), None)
        if curves is None:
            raise ValueError("it has no points")
        main = _parts(curves[0])
        own_feather = len(curves) > 1 and isinstance(curves[1], list)
        return Shape(
            _name(node),
            int(_plain(node, 2)),
            _plain(node, 3),
            self._flags(main),
            self._points(main),
            self._points(_parts(curves[1])) if own_feather else None,
            self._transform(parts),
            self._attributes(parts),
        )

    def _flags(self, parts: Mapping[str, list[Node]]) -> int:
        words = parts.get("f", ["f"])
        return int(_plain(words, 1)) if len(words) > 1 else 0

    def _attributes(self, parts: Mapping[str, list[Node]]) -> dict[str, Value]:
        words = parts.get("a", ["a"])
        if len(words) % 2 == 0:
            raise ValueError("an attribute has no value")
        return {_plain(words, k): self._value(words[k + 1]) for k in range(1, len(words), 2)}

    def _transform(self, parts: Mapping[str, list[Node]]) -> Values:
        if "tx" in parts:
            words = parts["tx"]
            times = self._times(words)
            values = tuple(self._sampled(node, times) for node in words[2:])
            return Values(values, times[0] if len(times) == 1 else None)
        return Values(tuple(map(self._value, parts.get("t", ["t"])[1:])))

    def _points(self, parts: Mapping[str, list[Node]]) -> Points:
        if "px" in parts:
            words = parts["px"]
            times = self._times(words)
            if len(times) > 1:
                return Points(
                    tuple(tuple(self._sampled(one, times) for one in _row(node)) for node in words[2:])
                )
            rows, time = words[2:], times[0]
        else:
            rows, time = parts.get("p", ["p"])[1:], None
        try:
            plain = tuple(self._plain_rows(rows))
        except (TypeError, ValueError):
            return Points(tuple(tuple(map(self._value, _row(node))) for node in rows), time)
        return Points(plain, time, plain=True)

    def _plain_rows(self, rows: Any) -> Iterable[tuple[float, ...]]:
        """Rows of plain numbers, as nearly all are: column by column, since there are many."""
        sizes = set(map(len, rows))
        if not sizes <= {2, 3} or any(isinstance(row, str) for row in rows):
            raise ValueError("points must have 2 or 3 numbers between braces")
        if len(sizes) == 1:
            return zip(*(self._numbers.column(column) for column in zip(*rows)))
        # Where a stroke's pressure is 0 it is left out.
        x, y = (self._numbers.column([row[k] for row in rows]) for k in (0, 1))
        pressures = iter(self._numbers.column([row[2] for row in rows if len(row) > 2]))
        tails = ((next(pressures),) if len(row) > 2 else () for row in rows)
        return [(*place, *tail) for place, tail in zip(zip(x, y), tails)]

    def _times(self, words: list[Node]) -> list[float]:
        times = words[1]
        return [self._numbers[_flat(one)] for one in ([times] if isinstance(times, str) else times)]

    def _sampled(self, node: Node, times: Sequence[float]) -> Value:
        """A value that has its keys' times in common with its neighbours."""
        if isinstance(node, str) or len(times) == 1 or not all(isinstance(one, str) for one in node):
            return self._value(node)
        if node[0][:1] == "=":
            return self._value(node)
        if len(node) != len(times):
            raise ValueError(f"{len(times)} times need as many values, got {len(node)}")
        keys = (Key(time, self._numbers[_flat(one)], LINEAR) for time, one in zip(times, node))
        return Curve(tuple(keys))

    def _value(self, node: Node) -> Value:
        try:
            if isinstance(node, str):
                return Expression(node[1:]) if node[:1] == "=" else self._numbers[node]
            head = node[0]
            if isinstance(head, list):
                return Curve(
                    tuple(key_of([_flat(one) for one in _group(key)], self._numbers) for key in node)
                )
            if head[:1] == "=":
                return Expression(head[1:], " ".join(map(node_text, node[1:])))
            if head == "curve":
                words = [_flat(one) for one in node[1:]]
                return knob_curve(words, self._numbers)
        except _DAMAGE:
            return Opaque(node_text(node))
        return Opaque(node_text(node))


_DAMAGE = (ValueError, IndexError, TypeError)
_ELEMENTS = frozenset(("layer", "cubiccurve", "curvegroup"))


def _parts(node: Sequence[Node]) -> dict[str, list[Node]]:
    """What is in braces, by its first word."""
    return {_head(one): one for one in node if isinstance(one, list) and _head(one)}


def _name(node: list[Node]) -> str:
    return node[1] if len(node) > 1 and isinstance(node[1], str) else "?"


def _plain(words: Sequence[Node], index: int) -> str:
    word = words[index]
    if not isinstance(word, str):
        raise TypeError(f"a word must stand where {_short(node_text(word))!r} does")
    return word


def _group(node: Node) -> list[Node]:
    if not isinstance(node, list):
        raise TypeError(f"braces must stand where {_short(node)!r} does")
    return node


def _row(node: Node) -> list[Node]:
    row = _group(node)
    if not 2 <= len(row) <= 3:
        raise ValueError(f"a point must have 2 or 3 numbers, got {len(row)}")
    return row


def _flat(node: Node) -> str:
    if not isinstance(node, str):
        raise TypeError(f"a number must stand where {_short(node_text(node))!r} does")
    return node


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."
