"""Knobs: all classes of them, and the numbers that addUserKnob has for them."""

from __future__ import annotations

import os
import re
from typing import Any

from nuke._knob import Knob
from nuke._numbers import (
    AColor_Knob,
    Array_Knob,
    Boolean_Knob,
    Color_Knob,
    Disable_Knob,
    Double_Knob,
    Enumeration_Knob,
    Int_Knob,
    Pulldown_Knob,
    Unsigned_Knob,
    WH_Knob,
    XY_Knob,
)
from nuke._words import number_text, quoted, words
from stage import FakeNukeError, current

INVISIBLE = 0x0000000000000400
DISABLED = 0x0000000000000080
STARTLINE = 0x0000000000001000
DO_NOT_WRITE = 0x0000000000000200
NO_ANIMATION = 0x0000000000000100


class _StringKnob(Knob):
    """What knobs with a text share."""

    __slots__ = ("_string",)

    def __init__(self, name: str, label: str | None = None, /) -> None:
        super().__init__(name, label)
        self._string = ""

    def value(self, /) -> str:
        return self._string

    def getValue(self, /) -> str:
        return self._string

    def setValue(self, val: str, /) -> None:
        if not isinstance(val, str):
            raise TypeError(f"{self.Class()} {self._name!r} takes a text, got {type(val).__name__}")
        self._note()
        self._string = val

    def _text(self) -> str:
        return self._string

    def _parse(self, script: str) -> None:
        self._string = script

    def _state(self) -> Any:
        return self._string

    def _restore(self, state: Any) -> None:
        self._string = state


class String_Knob(_StringKnob):
    """Text."""

    __slots__ = ()

    def getText(self, /) -> str:
        return self._string


class EvalString_Knob(String_Knob):
    """Text in which Nuke replaces [expressions] and frame numbers."""

    __slots__ = ()

    def evaluate(self, frame: float | None = None, /) -> str:
        """The text with %04d and #### made the frame's number, and [getenv NAME] the variable's value."""
        number = int(current().root["frame"].value() if frame is None else frame)
        text = re.sub(r"\[getenv (\w+)\]", lambda found: os.environ.get(found.group(1), ""), self._string)
        if "[" in text:
            raise FakeNukeError(f"the fake cannot work out {text!r}; teach _knobs.py.")
        text = re.sub(r"%0(\d+)d", lambda found: str(number).zfill(int(found.group(1))), text)
        text = text.replace("%d", str(number))
        return re.sub(r"#+", lambda found: str(number).zfill(len(found.group())), text)


class Multiline_Eval_String_Knob(EvalString_Knob):
    """Text of several lines."""

    __slots__ = ()


class File_Knob(EvalString_Knob):
    """A path."""

    __slots__ = ()

    def fromUserText(self, text: str, /) -> None:
        """A path with a range at its end, as the file browser gives it, sets the range too."""
        found = re.match(r"(.*\S)\s+(\d+)-(\d+)\Z", text)
        self.setValue(found.group(1) if found else text)
        if found:
            for name, number in zip(("first", "last", "origfirst", "origlast"), found.groups()[1:] * 2):
                self._node[name].setValue(int(number))


class Text_Knob(_StringKnob):
    """A line of text in the panel, or a divider."""

    __slots__ = ()

    def __init__(self, name: str, label: str | None = None, value: str = "", /) -> None:
        super().__init__(name, label)
        self._string = value


class Script_Knob(String_Knob):
    """A button."""

    __slots__ = ()

    def __init__(self, name: str, label: str | None = None, command: str = "", /) -> None:
        super().__init__(name, label)
        self._string = command

    def command(self) -> str:
        return self._string

    def setCommand(self, cmd: str) -> None:
        self.setValue(cmd)

    def execute(self) -> None:
        from nuke import _events

        _events.run_button(self)


class PyScript_Knob(Script_Knob):
    """A button that runs Python."""

    __slots__ = ()


class Tab_Knob(Knob):
    """A tab of the panel."""

    __slots__ = ()


class Channel_Knob(Knob):
    """A set of channels, by the name of their layer."""

    __slots__ = ("_channels",)

    def __init__(self, name: str, label: str | None = None, /) -> None:
        super().__init__(name, label)
        self._channels = "rgb"

    def value(self) -> str:
        return self._channels

    def setValue(self, name: str) -> None:
        self._note()
        self._channels = name

    def _text(self) -> str:
        return self._channels

    def _parse(self, script: str) -> None:
        self._channels = script

    def _state(self) -> Any:
        return self._channels

    def _restore(self, state: Any) -> None:
        self._channels = state


class ChannelMask_Knob(Channel_Knob):
    """Channels of several layers."""

    __slots__ = ()


class Format_Knob(Knob):
    """A picture format."""

    __slots__ = ("_format",)

    def __init__(self, name: str, label: str | None = None, /) -> None:
        super().__init__(name, label)
        self._format: Any = None

    def value(self, /) -> Any:
        return self._format

    def setValue(self, value: Any, /) -> None:
        self._note()
        self._format = value

    def _text(self) -> str:
        return self._format._text() if self._format else ""

    def _parse(self, script: str) -> None:
        from nuke import _nodes

        self._format = _nodes.Format._parsed(script)

    def _state(self) -> Any:
        return self._format

    def _restore(self, state: Any) -> None:
        self._format = state


class ScriptedKnob(Knob):
    """A knob of a class that Nuke does not name in its module (curves, tracks): only its text is here."""

    __slots__ = ("_script",)

    def __init__(self, name: str, label: str | None = None, /) -> None:
        super().__init__(name, label)
        self._script = ""

    def _text(self) -> str:
        return self._script

    def _parse(self, script: str) -> None:
        self._script = script

    def _state(self) -> Any:
        return self._script

    def _restore(self, state: Any) -> None:
        self._script = state


USER_KNOBS: dict[int, type[Knob]] = {
    1: String_Knob,
    2: File_Knob,
    3: Int_Knob,
    4: Enumeration_Knob,
    6: Boolean_Knob,
    7: Double_Knob,
    12: XY_Knob,
    18: Color_Knob,
    19: AColor_Knob,
    20: Tab_Knob,
    22: PyScript_Knob,
    26: Text_Knob,
    43: Multiline_Eval_String_Knob,
}
"""The numbers that `addUserKnob` has for classes."""
