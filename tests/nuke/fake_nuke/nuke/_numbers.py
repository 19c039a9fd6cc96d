"""Knobs of numbers, each with keys or an expression of its own; enumerations among them."""

from __future__ import annotations

import re
from typing import Any

from nuke._knob import Knob
from nuke._words import number_text, words
from stage import FakeNukeError, current


class Array_Knob(Knob):
    """Numbers, each with keys or an expression of its own."""

    __slots__ = ("_curves", "_expressions", "_held", "_values")
    _size = 1

    def __init__(self, name: str, label: str | None = None, /) -> None:
        super().__init__(name, label)
        self._values = [0.0] * self._size
        self._curves: dict[int, dict[float, float]] = {}
        self._expressions: dict[int, str] = {}
        # The keys whose value holds up to the next one.
        self._held: dict[int, set[float]] = {}

    def arraySize(self, /) -> int:
        return len(self._values)

    def value(self, index: int | None = None, /) -> Any:
        return self._read_all() if index is None else self._read(index)

    def getValue(self, index: int | None = None, /) -> Any:
        return self.value() if index is None else self._read(index)

    def getValueAt(self, frame: float, index: int = -1, view: str | None = None, /) -> Any:
        if index >= 0 or self._size == 1:
            return self._at(max(index, 0), frame)
        return [self._at(number, frame) for number in range(len(self._values))]

    def setValue(self, val: Any, index: int = -1, /) -> bool:
        self._note()
        if index >= 0:
            self._values[index] = float(val)
            self._curves.pop(index, None)
        else:
            values = list(val) if isinstance(val, (list, tuple)) else [val] * len(self._values)
            if len(values) != len(self._values):
                raise TypeError(f"{self._name!r} takes {len(self._values)} numbers, got {len(values)}")
            self._values = [float(value) for value in values]
            self._curves.clear()
        return True

    def setValueAt(self, val: Any, frame: float, index: int = -1, view: str | None = None, /) -> bool:
        self._note()
        indices = [index] if index >= 0 else range(len(self._values))
        for number in indices:
            if number in self._curves:
                self._curves[number][float(frame)] = float(val)
            else:
                self._values[number] = float(val)
        return True

    def setAnimated(self, index: int = -1, /) -> bool:
        self._note()
        frame = current().root["frame"].value()
        for number in [index] if index >= 0 else range(len(self._values)):
            self._curves.setdefault(number, {float(frame): self._values[number]})
        return True

    def clearAnimated(self, index: int = -1, /) -> bool:
        self._note()
        for number in [index] if index >= 0 else range(len(self._values)):
            self._curves.pop(number, None)
        return True

    def isAnimated(self, index: int = -1, /) -> bool:
        return bool(self._curves) if index < 0 else index in self._curves

    def isKeyAt(self, frame: float, index: int = -1, view: str | None = None, /) -> bool:
        curves = self._curves.values() if index < 0 else [self._curves.get(index, {})]
        return any(float(frame) in curve for curve in curves)

    def getNumKeys(self, index: int = 0, /) -> int:
        return len(self._curves.get(index, {}))

    def getKeyTime(self, number: int, index: int = 0, /) -> float:
        return sorted(self._curves[index])[number]

    def hasExpression(self, index: int = -1, /) -> bool:
        return bool(self._expressions) if index < 0 else index in self._expressions

    def setExpression(self, expression: str, channel: int = -1, view: Any = None) -> bool:
        self._note()
        for number in [channel] if channel >= 0 else range(len(self._values)):
            self._expressions[number] = expression
        return True

    def _read_all(self) -> Any:
        frame = current().root["frame"].value() if self._curves else 0.0
        values = [self._at(index, frame) for index in range(len(self._values))]
        return values[0] if len(values) == 1 else values

    def _read(self, index: int) -> float:
        return self._at(index, current().root["frame"].value() if self._curves else 0.0)

    def _at(self, index: int, frame: float) -> float:
        """Linear between keys: Nuke's own curves are smooth, keys are where both agree."""
        if index in self._expressions:
            return self._evaluated(self._expressions[index], frame)
        keys = self._curves.get(index)
        if not keys:
            return self._values[index]
        frames = sorted(keys)
        after = [key for key in frames if key >= frame]
        before = [key for key in frames if key <= frame]
        if not after or not before:
            return keys[frames[-1] if not after else frames[0]]
        left, right = before[-1], after[0]
        is_held = right == left or left in self._held.get(index, ())
        share = 0.0 if is_held else (frame - left) / (right - left)
        return keys[left] * (1 - share) + keys[right] * share

    def _evaluated(self, expression: str, frame: float) -> float:
        """Products of numbers, `frame` and other knobs; more is not known here."""
        product = 1.0
        for factor in expression.split("*"):
            holder, _, name = factor.rpartition(".")
            if name == "frame" and not holder:
                product *= frame
            elif holder == "parent":
                knob = self._node._parent[name]
                product *= knob._values[0] if isinstance(knob, Enumeration_Knob) else knob.getValueAt(frame)
            elif factor.replace(".", "", 1).isdigit():
                product *= float(factor)
            else:
                raise FakeNukeError(f"the expression {expression!r} is not known here; teach _knobs.py.")
        return product

    def _text(self) -> str:
        # Without braces around the whole, which come with a script's line.
        return " ".join(self._part(index) for index in range(len(self._values)))

    def _part(self, index: int) -> str:
        if index in self._expressions:
            return "{" + self._expressions[index] + "}"
        if index in self._curves:
            held = self._held.get(index, set())
            listed = " ".join(
                f"{'K ' if frame in held else ''}x{number_text(frame)} {number_text(value)}"
                for frame, value in sorted(self._curves[index].items())
            )
            return "{curve " + listed + "}"
        return number_text(self._values[index])

    def _parse(self, script: str) -> None:
        text = script.strip()
        parts = words(text)
        if len(parts) == 1 and text.startswith("{"):
            # `{{curve ...}}` or `{1 2}`: the braces around the whole.
            text = parts[0].strip()
            parts = words(text)
        braced = re.findall(r"\{[^{}]*\}|[^\s{}]+", text) if "{" in text else parts
        if text.startswith("curve"):
            braced = ["{" + text + "}"]
        self._curves.clear()
        self._expressions.clear()
        if len(braced) == 1:
            braced = braced * len(self._values)
        for index, part in enumerate(braced[: len(self._values)]):
            self._parse_part(index, part)

    def _parse_part(self, index: int, part: str) -> None:
        inner = part[1:-1] if part.startswith("{") else part
        if not inner.startswith("curve"):
            try:
                plain = {"true": "1", "false": "0"}.get(inner, inner)
                self._values[index] = float(int(plain, 16) if plain.startswith("0x") else plain)
            except ValueError:
                self._expressions[index] = inner
            return
        frame, keys, held, holds = 0.0, {}, set(), False
        for token in inner.split()[1:]:
            if token in ("K", "C", "L"):
                holds = token == "K"
            elif token.startswith("x"):
                frame = float(token[1:])
            elif re.match(r"[-+.\d]", token):
                keys[frame] = float(token)
                if holds:
                    held.add(frame)
                frame += 1
        self._curves[index], self._held[index] = keys, held

    def _state(self) -> Any:
        curves = {index: dict(keys) for index, keys in self._curves.items()}
        return list(self._values), curves, dict(self._expressions), dict(self._held)

    def _restore(self, state: Any) -> None:
        self._values, self._curves, self._expressions, self._held = state


class Double_Knob(Array_Knob):
    """A number."""

    __slots__ = ()


class Int_Knob(Array_Knob):
    """A whole number."""

    __slots__ = ()

    def value(self) -> int:
        return int(self._read_all())

    def setValue(self, val: Any) -> bool:
        return super().setValue(int(val))


class Boolean_Knob(Array_Knob):
    """A checkbox."""

    __slots__ = ()

    def value(self) -> bool:
        return bool(self._read_all())

    def setValue(self, b: Any) -> bool:
        return super().setValue(bool(b))

    def _text(self) -> str:
        return super()._text() if self._curves or self._expressions else ("true" if self.value() else "false")


class Disable_Knob(Boolean_Knob):
    """The checkbox that takes a node out."""

    __slots__ = ()


class XY_Knob(Array_Knob):
    """A place."""

    __slots__ = ()
    _size = 2

    def x(self, oc: Any = None) -> float:
        return self._read(0)

    def y(self, oc: Any = None) -> float:
        return self._read(1)


class WH_Knob(Array_Knob):
    """A size; one number where both are alike."""

    __slots__ = ()
    _size = 2

    def _read_all(self) -> Any:
        values = super()._read_all()
        return values[0] if values[0] == values[1] else values


class Color_Knob(Array_Knob):
    """Red, green, blue."""

    __slots__ = ()
    _size = 3


class AColor_Knob(Color_Knob):
    """Red, green, blue, alpha; one number where all are alike."""

    __slots__ = ()
    _size = 4

    def _read_all(self) -> Any:
        values = super()._read_all()
        return values[0] if len(set(values)) == 1 else values


class Unsigned_Knob(Array_Knob):
    """A whole number from 0 on."""

    __slots__ = ()

    def value(self) -> Any:
        return int(self._read_all())

    def setValue(self, val: Any) -> bool:
        return super().setValue(val)


class Enumeration_Knob(Unsigned_Knob):
    """One of several texts."""

    __slots__ = ("_choices",)

    def __init__(self, name: str, label: str | None = None, items: Any = (), /) -> None:
        super().__init__(name, label)
        self._choices = list(items)

    def values(self) -> list[str]:
        return list(self._choices)

    def setValues(self, items: Any, /) -> None:
        self._choices = list(items)

    def numValues(self) -> int:
        return len(self._choices)

    def enumName(self, n: int) -> str:
        return self._choices[n]

    def value(self) -> str:
        return self._choices[int(self._values[0])] if self._choices else ""

    def getValue(self, /) -> float:
        return self._values[0]

    def setValue(self, val: Any, /) -> bool:
        self._note()
        if isinstance(val, str):
            if val not in self._choices:
                raise FakeNukeError(f"{self._name!r} has no choice {val!r}; it has {self._choices}.")
            val = self._choices.index(val)
        self._values[0] = float(val)
        return True

    def _text(self) -> str:
        return self.value()

    def _parse(self, script: str) -> None:
        if script in self._choices:
            self._values[0] = float(self._choices.index(script))
        elif script.isdigit() and int(script) < len(self._choices):
            self._values[0] = float(script)
        else:
            raise FakeNukeError(f"{self._name!r} has no choice {script!r}; it has {self._choices}.")


class Pulldown_Knob(Enumeration_Knob):
    """One of several texts, in a menu."""

    __slots__ = ()
