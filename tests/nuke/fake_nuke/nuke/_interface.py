"""What the artist sees: messages, progress, menus; and undo."""

from __future__ import annotations

from typing import Any

from nuke import _events
from stage import FakeNukeError, current


class CancelledError(Exception):
    """Raised when the artist cancels."""


class ProgressTask:
    """A progress bar. It must not be subclassed: newer Nukes do not allow it."""

    def __init__(self, name: str, /) -> None:
        self._title = name
        self._percent = 0
        self._message = ""

    def __init_subclass__(cls) -> None:
        raise FakeNukeError("ProgressTask is subclassed, which Nuke 17 refuses.")

    def setProgress(self, percent: int, /) -> None:
        if not isinstance(percent, int) or not 0 <= percent <= 100:
            raise FakeNukeError(f"setProgress takes a whole number 0..100, got {percent!r}.")
        self._percent = percent
        self._show()

    def setMessage(self, message: str, /) -> None:
        self._message = message
        self._show()

    def isCancelled(self, /) -> bool:
        return current().cancelled

    def _show(self) -> None:
        current().progress.append((self._title, self._percent, self._message))


class Undo:
    """Undo steps: what is done between `begin` and `end` is taken back at once."""

    def __enter__(self) -> Undo:
        self.begin()
        return self

    def __exit__(self, type: Any, value: Any, traceback: Any) -> None:
        self.end()

    @staticmethod
    def begin(name: str | None = None, /) -> None:
        current().undo_open.append((name or "", []))

    @staticmethod
    def end() -> None:
        if not current().undo_open:
            raise FakeNukeError("Undo.end() without begin().")
        name, inverses = current().undo_open.pop()
        if not inverses:
            return
        if current().undo_open:
            current().undo_open[-1][1].extend(inverses)
        else:
            current().undo_steps.append((name, inverses))

    @staticmethod
    def cancel() -> None:
        if current().undo_open:
            _, inverses = current().undo_open.pop()
            current().take_back(inverses)

    @staticmethod
    def name(name: str, /) -> None:
        if not current().undo_open:
            raise FakeNukeError("Undo.name() without begin().")
        current().undo_open[-1] = (name, current().undo_open[-1][1])

    @staticmethod
    def disable() -> None:
        current().undo_disabled += 1

    @staticmethod
    def enable() -> None:
        current().undo_disabled -= 1

    @staticmethod
    def disabled() -> bool:
        return current().undo_disabled > 0

    @staticmethod
    def undo() -> None:
        undo()

    @staticmethod
    def undoSize() -> int:
        return len(current().undo_steps)

    @staticmethod
    def undoDescribe(n: int, /) -> str:
        return current().undo_steps[-1 - n][0]


def undo() -> None:
    """Take the newest step back."""
    if not current().undo_steps:
        raise RuntimeError("Nothing to undo")
    _, inverses = current().undo_steps.pop()
    current().take_back(inverses)


def message(prompt: str) -> None:
    current().messages.append(prompt)


def ask(prompt: str) -> bool:
    current().messages.append(prompt)
    return current().answer


def alert(prompt: str) -> None:
    current().messages.append(prompt)


def tprint(*args: Any, sep: str = " ", end: str = "\n", file: Any = None) -> None:
    current().printed.append(sep.join(map(str, args)))


def warning(message: str) -> None:
    current().printed.append(message)


class MenuItem:
    """An entry of a menu."""

    def __init__(self, path: str, command: Any) -> None:
        self._path, self._command = path, command

    def name(self) -> str:
        return self._path.rsplit("/", 1)[-1]

    def invoke(self) -> None:
        if callable(self._command):
            self._command()
        else:
            _events.run_python(self._command)


class Menu(MenuItem):
    """A menu."""

    def addCommand(
        self, name: str, command: Any = None, shortcut: str | None = None, icon: str | None = None, /
    ) -> MenuItem:
        item = MenuItem(f"{self._path}/{name}", command)
        current().commands[item._path] = item
        return item

    def addMenu(self, name: str, icon: str | None = None, /) -> Menu:
        return Menu(f"{self._path}/{name}", None)

    def addSeparator(self, /) -> None:
        """A line."""

    def findItem(self, name: str) -> Any:
        return current().commands.get(f"{self._path}/{name}")


def menu(name: str) -> Menu:
    """One of Nuke's menus."""
    import nuke

    known = ("Nuke", "Pane", "Nodes", "Properties", "Animation", "Viewer", "Node Graph", "Axis")
    if name not in known:
        raise FakeNukeError(f"Nuke has no menu {name!r}; it has {known}.")
    if not nuke.GUI:
        raise RuntimeError("there are no menus in terminal mode")
    return Menu(name, None)
