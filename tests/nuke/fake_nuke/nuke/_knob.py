"""What every knob has."""

from __future__ import annotations

import functools
from typing import Any, Callable

from nuke import _events
from nuke._words import quoted
from stage import FakeNukeError, current


def _telling(change: Callable[..., Any]) -> Callable[..., Any]:
    """What changes a knob tells of it afterwards, where Nuke tells of all changes."""

    @functools.wraps(change)
    def changed(self: Knob, *args: Any, **more: Any) -> Any:
        result = change(self, *args, **more)
        if self._node is not None and current().tells_all_changes:
            _events.fire("knobChanged", self._node, knob=self)
        return result

    return changed


class Knob:
    """What every knob has."""

    __slots__ = ("_as_defined", "_enabled", "_flags", "_label", "_name", "_node", "_tooltip", "_visible")

    def __init__(self, name: str, label: str | None = None, /) -> None:
        self._name = name
        self._label = name if label is None else label
        self._tooltip = ""
        self._node: Any = None
        self._flags = 0
        # The range and flags of its addUserKnob, word for word.
        self._as_defined: list[str] = []
        self._enabled = True
        self._visible = True

    def __init_subclass__(cls) -> None:
        for name in ("setValue", "setValueAt", "fromScript"):
            if name in vars(cls):
                setattr(cls, name, _telling(vars(cls)[name]))

    def Class(self) -> str:
        return type(self).__name__

    def name(self) -> str:
        return self._name

    def label(self) -> str:
        return self._label

    def setLabel(self, label: str) -> None:
        self._label = label

    def node(self) -> Any:
        return self._node

    def tooltip(self) -> str:
        return self._tooltip

    def setTooltip(self, tooltip: str) -> None:
        self._tooltip = tooltip

    def enabled(self) -> bool:
        return self._enabled

    def setEnabled(self, enabled: bool) -> None:
        self._enabled = enabled

    def visible(self) -> bool:
        return self._visible

    def setVisible(self, visible: bool) -> None:
        self._visible = visible

    def getFlag(self, flag: int) -> bool:
        return bool(self._flags & flag)

    def setFlag(self, flag: int) -> None:
        self._flags |= flag

    def clearFlag(self, flag: int) -> None:
        self._flags &= ~flag

    def fullyQualifiedName(self, channel: int = -1) -> str:
        return f"{self._node.fullName()}.{self._name}"

    def value(self, index: int = 0, /) -> Any:
        return self._read(index)

    def getValue(self, channel: int = 0, /) -> Any:
        return self._read(channel)

    @_telling
    def setValue(self, val: Any, chan: int = -1, /) -> bool:
        self._change(val, chan)
        return True

    def isAnimated(self, channel: int = -1, /) -> bool:
        return False

    def hasExpression(self, index: int = -1, /) -> bool:
        return False

    def toScript(self, quote: bool = False, context: Any = None, /) -> str:
        return quoted(self._text()) if quote else self._text()

    @_telling
    def fromScript(self, script: str, /) -> None:
        self._note()
        self._parse(script)

    def _read(self, index: int) -> Any:
        raise FakeNukeError(f"{self.Class()} {self._name!r} has no value; look its class up.")

    def _change(self, value: Any, channel: int) -> None:
        raise FakeNukeError(f"{self.Class()} {self._name!r} takes no value; look its class up.")

    def _text(self) -> str:
        return ""

    def _parse(self, script: str) -> None:
        raise FakeNukeError(f"{self.Class()} {self._name!r} has no text in a script.")

    def _note(self) -> None:
        """Before each change: the thread is looked at, and how to take it back is noted."""
        if self._node is None:
            return
        current().check_main_thread(f"a change of {self._node.fullName()}.{self._name}")
        state = self._state()
        current().journal(lambda: self._restore(state), f"{self._node.name()}.{self._name}")

    def _state(self) -> Any:
        return None

    def _restore(self, state: Any) -> None:
        """Take a state back."""
