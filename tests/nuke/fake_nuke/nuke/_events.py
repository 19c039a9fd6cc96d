"""Callbacks, buttons, and the way to the main thread."""

from __future__ import annotations

import importlib.util
import tempfile
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stage import FakeNukeError, current

RESULT_TIMEOUT_S = 20.0

_KINDS = {
    "addOnUserCreate": "onUserCreate",
    "addOnCreate": "onCreate",
    "addOnScriptLoad": "onScriptLoad",
    "addOnScriptSave": "onScriptSave",
    "addOnScriptClose": "onScriptClose",
    "addOnDestroy": "onDestroy",
    "addUpdateUI": "updateUI",
    "addAutolabel": "autolabel",
    "addBeforeRender": "beforeRender",
    "addAfterRender": "afterRender",
    "addAfterFrameRender": "afterFrameRender",
}


def _pair(kind: str) -> tuple[Callable[..., None], Callable[..., None]]:
    def add(call: Any, args: Any = (), kwargs: Any = {}, nodeClass: str = "*") -> None:
        _listed(kind).append((call, args, kwargs, nodeClass, None))

    def remove(call: Any, args: Any = (), kwargs: Any = {}, nodeClass: str = "*") -> None:
        _listed(kind).remove((call, args, kwargs, nodeClass, None))

    return add, remove


def _listed(kind: str) -> list[tuple[Any, ...]]:
    return current().callbacks.setdefault(kind, [])


FUNCTIONS: dict[str, Callable[..., Any]] = {}
for _name, _kind in _KINDS.items():
    FUNCTIONS[_name], FUNCTIONS[_name.replace("add", "remove", 1)] = _pair(_kind)


def addKnobChanged(
    call: Any, args: Any = (), kwargs: Any = {}, nodeClass: str = "*", node: Any = None
) -> None:
    _listed("knobChanged").append((call, args, kwargs, nodeClass, node))


def removeKnobChanged(
    call: Any, args: Any = (), kwargs: Any = {}, nodeClass: str = "*", node: Any = None
) -> None:
    _listed("knobChanged").remove((call, args, kwargs, nodeClass, node))


_knob: list[Any] = []


def fire(kind: str, node: Any = None, knob: Any = None) -> None:
    """Run the callbacks of a kind for a node, with `thisNode` and `thisKnob` set."""
    stage = current()
    own = node._knobs_.get(kind) if node is not None else None
    if own is not None and own.value() and (kind != "knobChanged" or node.shown() or stage.tells_all_changes):
        _knob.append(knob)
        try:
            with stage.running_for(node):
                run_python(own.value())
        finally:
            _knob.pop()
    for call, args, kwargs, class_name, only in list(_listed(kind)):
        if (only is not None and only is not node) or class_name not in (
            "*",
            getattr(node, "_class", "Root"),
        ):
            continue
        _knob.append(knob)
        try:
            with stage.running_for(node):
                call(*args, **kwargs)
        finally:
            _knob.pop()


def thisKnob() -> Any:
    if not _knob:
        raise FakeNukeError("thisKnob() has a meaning only within a callback.")
    return _knob[-1]


def thisNode() -> Any:
    if not current().this:
        raise FakeNukeError("thisNode() has a meaning only within a callback or a button.")
    return current().this[-1]


def run_button(knob: Any) -> None:
    """Run a button's Python; `reload` and the like of Nuke's own nodes do their work in C++."""
    from nuke import _pictures

    if knob.Class() != "PyScript_Knob":
        _pictures.pressed(knob)
        return
    with current().running_for(knob.node()):
        run_python(knob.command())


def run_python(text: str) -> None:
    """Run a button's or a menu's text, as a module of its own."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pressed.py"
        path.write_text(text, encoding="utf-8")
        spec = importlib.util.spec_from_file_location("pressed", path)
        assert spec is not None
        assert spec.loader is not None
        spec.loader.exec_module(importlib.util.module_from_spec(spec))


def executeInMainThread(call: Any, args: Any = (), kwargs: Any = {}) -> None:
    current().waiting.put(lambda: _run(call, args, kwargs))


def executeInMainThreadWithResult(call: Any, args: Any = (), kwargs: Any = {}) -> Any:
    if threading.get_ident() == current().main_thread:
        raise FakeNukeError("executeInMainThreadWithResult was called from the main thread: Nuke would hang.")
    done = threading.Event()
    result: list[Any] = []

    def run() -> None:
        result.append(_run(call, args, kwargs))
        done.set()

    current().waiting.put(run)
    if not done.wait(RESULT_TIMEOUT_S):
        raise FakeNukeError("the main thread never came to what executeInMainThreadWithResult waits for.")
    return result[0]


def _run(call: Any, args: Any, kwargs: Any) -> Any:
    """As Nuke does it: an exception is printed, and the result is None."""
    try:
        return call(*(args if isinstance(args, tuple) else (args,)), **kwargs)
    except Exception:
        current().printed.append(traceback.format_exc())
        return None
