"""Numbers in Nuke's scripts: plain, animated, or driven by an expression. Pure; nothing of Nuke.

Two forms of animation are read, as the NDK's developer guide describes them:

- in the curves knob (Roto serialisation format) a list of keys, `{{1001 0.5} {1010 1 1}}`, of time, value,
  tangents as two pairs (left, right) where they are given, and an interpolation;
- in other knobs (Curve serialisation format) `{curve x1001 1 2 K x1010 5}`, of values with letters before
  and slopes behind them. A value without a time follows the one before it in the last known step, 1 at first.

Beyond its first and last key a curve keeps their values. What the guide leaves open, and was not compared
with Nuke: `C` is taken for `R` (Catmull-Rom), and a cubic key of the curves knob without tangents for a
linear one.
"""

from __future__ import annotations

import math
import struct
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Union

from inve_client.plugin.messages import RefusedError

STEP, LINEAR, CUBIC = 0, 1, 2
_DEFAULT_INTERPOLATION = 256
"""As the guide has it: a linear extrapolation and a step."""

_LETTERS = {"K": STEP, "L": LINEAR, "S": CUBIC, "R": CUBIC, "C": CUBIC}
_HALVINGS = 40

Pair = tuple[float, float]


class NotEvaluated(RefusedError):
    """A number that only Nuke can work out; the message is the end of a sentence, "is driven by ..."."""


@dataclass(frozen=True)
class Key:
    """One key of a curve.

    Attributes:
        time: frames.
        value: there.
        interpolation: up to the next key: STEP, LINEAR or CUBIC.
        left, right: of a cubic's handles, how far they lie from the key (frames, value); None is a third of
            the straight way to the neighbour.
    """

    time: float
    value: float
    interpolation: int = STEP
    left: Pair | None = None
    right: Pair | None = None


@dataclass(frozen=True)
class Curve:
    """A number with keys, rising in time.

    Raises:
        ValueError: there is no key, or they do not rise.
    """

    keys: tuple[Key, ...]

    def __post_init__(self) -> None:
        times = self.times
        if not times:
            raise ValueError("a curve must have keys, got none")
        if any(later <= earlier for earlier, later in zip(times, times[1:])):
            raise ValueError(f"keys must rise in time, got {[f'{time:g}' for time in times[:8]]}")

    @cached_property
    def times(self) -> tuple[float, ...]:
        """Of the keys."""
        return tuple(key.time for key in self.keys)

    @property
    def is_animated(self) -> bool:
        """Whether its keys have different values."""
        return len({key.value for key in self.keys}) > 1

    def at(self, frame: float) -> float:
        """Its value on a frame."""
        index = bisect_right(self.times, frame) - 1
        if index < 0:
            return self.keys[0].value
        key = self.keys[index]
        if index + 1 == len(self.keys) or key.time == frame or key.interpolation == STEP:
            return key.value
        after = self.keys[index + 1]
        share = (frame - key.time) / (after.time - key.time)
        if key.interpolation == CUBIC:
            return _cubic(key, after, frame)
        return key.value + (after.value - key.value) * share


@dataclass(frozen=True)
class Expression:
    """A number that Nuke works out.

    Attributes:
        text: without its equals sign.
        rest: what follows it, as written: what it was when the script was saved.
    """

    text: str
    rest: str = ""


@dataclass(frozen=True)
class Opaque:
    """Something in the place of a number that is none of the documented forms; `text` as written."""

    text: str


Value = Union[float, Curve, Expression, Opaque]


def at(value: Value, frame: float) -> float:
    """A value on a frame.

    Raises:
        NotEvaluated: it is an expression, or of no known form.
    """
    if isinstance(value, float):
        return value
    if isinstance(value, Curve):
        return value.at(frame)
    if isinstance(value, Expression):
        raise NotEvaluated(f"is driven by the expression {_short(value.text)!r}; bake it to keys")
    raise NotEvaluated(f"has {_short(value.text)!r} where a number must be; draw it again")


def first_time(value: Value) -> float | None:
    """The time of a value's first key; None where it has none."""
    return value.times[0] if isinstance(value, Curve) else None


class Numbers(dict[str, float]):
    """Words of a script -> numbers; each is worked out once.

    A number is a decimal, or the bits of a single-precision float: `x44fd8000` (the guide has `0x44fd8000`).

    Raises:
        ValueError: on a word that is no finite number.
    """

    def __missing__(self, word: str) -> float:
        digits = word[1:] if word[:1] == "x" else word[2:] if word[:2] == "0x" else ""
        if digits:
            if len(digits) > 8:
                raise ValueError(f"{_short(word)!r} is no float of 8 hexadecimal digits")
            value: float = struct.unpack(">f", bytes.fromhex(digits.rjust(8, "0")))[0]
        else:
            # Python takes "1_000" too, which is no number anywhere else.
            value = float(word) if "_" not in word else math.nan
        if not math.isfinite(value):
            raise ValueError(f"{_short(word)!r} is no finite number")
        self[word] = value
        return value

    def column(self, words: Sequence[str]) -> Sequence[float]:
        """Many words at once; those of 8 hexadecimal digits in one go.

        Raises:
            ValueError, TypeError: one is no finite number, or no word.
        """
        text = "".join(words)
        count = len(words)
        if count and text[::9] == "x" * count and len(text) == 9 * count:
            values = struct.unpack(f">{count}f", bytes.fromhex(text.replace("x", "")))
            if math.isfinite(sum(values)):
                return values
        return [self[word] for word in words]


def number_text(value: float) -> str:
    """A number as Nuke writes it: whole ones as decimals, others as the bits of a single-precision float.

    Raises:
        ValueError: it is not finite, or beyond single precision.
    """
    if value == int(value) and abs(value) < 2**24:
        return str(int(value))
    try:
        return f"x{struct.pack('>f', value).hex()}"
    except OverflowError:
        raise ValueError(f"{value!r} is beyond single precision") from None


def key_of(words: Sequence[str], numbers: Numbers) -> Key:
    """A key of the curves knob from its words.

    Raises:
        ValueError: they are none.
    """
    values = [numbers[word] for word in words if word != "-"]
    if len(values) not in (2, 3, 6, 7):
        raise ValueError(f"a key must have 2, 3, 6 or 7 numbers, got {len(values)}")
    code = int(values[-1]) if len(values) in (3, 7) else _DEFAULT_INTERPOLATION
    if code & 255 not in (STEP, LINEAR, CUBIC):
        raise ValueError(f"a key's interpolation must be 0, 1 or 2, got {code & 255}")
    key = Key(values[0], values[1], code & 255)
    if len(values) < 6:
        return key
    return replace(key, left=(values[2], values[3]), right=(values[4], values[5]))


def key_text(key: Key) -> str:
    """A key as the curves knob has it."""
    values = [key.time, key.value]
    if key.left is not None and key.right is not None:
        values += [*key.left, *key.right]
    return f"{{{' '.join([*map(number_text, values), str(_DEFAULT_INTERPOLATION + key.interpolation)])}}}"


@dataclass
class _Drawn:
    """A key of another knob while its line is read."""

    time: float
    value: float
    letter: str
    slopes: dict[str, float]


def knob_curve(words: Sequence[str], numbers: Numbers) -> Value:
    """What is behind `curve` in the form of other knobs. A curve without keys is 0.

    Raises:
        ValueError: a word is out of place.
    """
    drawn: list[_Drawn] = []
    letter, step, time = "S", 1.0, 0.0
    given: float | None = None
    for word in words:
        if word in _LETTERS:
            letter = word
        elif word in ("k", "l", "i", "I"):
            continue
        elif word[0] == "x":
            given = numbers[word[1:]]
        elif word[0] in "stuv" and len(word) > 1:
            if not drawn:
                raise ValueError(f"{word!r} must follow a value")
            drawn[-1].slopes[word[0]] = numbers[word[1:]]
        else:
            before = time
            if given is not None:
                time = given
                step = time - before if drawn else step
            elif drawn:
                time += step
            drawn.append(_Drawn(time, numbers[word], letter, {}))
            given = None
    return Curve(tuple(_keys(drawn))) if drawn else 0.0


def knob_curve_text(frames: Sequence[int], values: Sequence[float], *, stepped: bool = False) -> str:
    """Values on frames in the form of other knobs: `{curve x1001 5 6 x1010 7}`. A time is written where it
    does not follow from the two before; `stepped` holds each value up to the next.
    """
    words, step, due = ["curve"], 1, None
    for index, (frame, value) in enumerate(zip(frames, values)):
        if stepped:
            words.append("K")
        if frame != due:
            words.append(f"x{frame}")
        if index:
            step = frame - frames[index - 1]
        due = frame + step
        words.append(f"{value:.10g}")
    return f"{{{' '.join(words)}}}"


def _keys(drawn: Sequence[_Drawn]) -> list[Key]:
    """Keys whose handles say what the letters and slopes do."""
    keys = []
    for index, own in enumerate(drawn):
        before = drawn[index - 1] if index else None
        after = drawn[index + 1] if index + 1 < len(drawn) else None
        slope = _slope(own, before, after)
        left, right = own.slopes.get("s", slope), own.slopes.get("t", own.slopes.get("s", slope))
        keys.append(
            Key(
                own.time,
                own.value,
                _LETTERS[own.letter] if own.letter in "KL" and not own.slopes else CUBIC,
                left=_handle(before.time - own.time, left, own.slopes.get("u", 1.0)) if before else None,
                right=_handle(after.time - own.time, right, own.slopes.get("v", 1.0)) if after else None,
            )
        )
    return keys


def _handle(span: float, slope: float, length: float) -> Pair:
    """A handle from the slope; a length of 1 is a third of the way to the neighbour."""
    reach = span / 3 * length
    return reach, reach * slope


def _slope(own: _Drawn, before: _Drawn | None, after: _Drawn | None) -> float:
    if before is None or after is None:
        other = before or after
        return (other.value - own.value) / (other.time - own.time) if other else 0.0
    slope = (after.value - before.value) / (after.time - before.time)
    if own.letter == "S":
        # No part of the curve leaves the values of the keys around it: a handle's end may not either.
        if (after.value - own.value) * (own.value - before.value) <= 0:
            return 0.0
        steepest = min(
            abs((after.value - own.value) / (after.time - own.time)),
            abs((own.value - before.value) / (own.time - before.time)),
        )
        slope = math.copysign(min(abs(slope), 3 * steepest), slope)
    return slope


def _cubic(key: Key, after: Key, frame: float) -> float:
    """A Bezier's value where its time is the frame."""
    span, rise = after.time - key.time, after.value - key.value
    right = key.right or (span / 3, rise / 3)
    left = after.left or (-span / 3, -rise / 3)
    times = (key.time, key.time + right[0], after.time + left[0], after.time)
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if _bezier(times, middle) < frame:
            low = middle
        else:
            high = middle
    return _bezier((key.value, key.value + right[1], after.value + left[1], after.value), (low + high) / 2)


def _bezier(ends: tuple[float, float, float, float], share: float) -> float:
    rest = 1 - share
    return (
        rest**3 * ends[0] + 3 * rest**2 * share * ends[1] + 3 * rest * share**2 * ends[2] + share**3 * ends[3]
    )


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."
