"""The edit documents of the strips in this file: where they are, and their mirror in the layer list.

What counts is the document in memory. It is written to its strips when the file is saved, and read from there
when it is first needed. Blender's own undo does not touch it: a layer's steps are undone by INVE's *Undo*,
for the daemon has them too. What is set in a row of the list is noticed by the pump, and becomes a step.

    document = documents.of(strip)
    documents.change(strip, lambda document: document.add_edits("Paint", edits))
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import bpy

from inve_client.plugin.messages import Connection, ConnectionState, News, RefusedError, ShotNews

from . import compat, results

if TYPE_CHECKING:
    from inve_client.plugin.document import EditDocument
    from inve_client.plugin.editing import EditSync
    from inve_client.plugin.session import Session

Result = TypeVar("Result")

confirmed: list[Callable[[str], None]] = []
"""Called with a shot's name when its edits on the daemon are others than before: time to render."""

Values = dict[str, Any]
LOOK_S = 0.1
"""Between two looks at the lists, for what the artist has set there."""
_DECIMALS = 6
"""Blender's numbers are short; what they say beyond these is noise."""

_session: Session | None = None
_edits: EditSync | None = None
# What the lists were last made to show, by scene, strip and shot.
_shown: dict[tuple[str, str, str], list[Values]] = {}
_looked_at = 0.0


def start(session: Session) -> None:
    """Follow a session; called by register."""
    global _session
    _session = session
    session.listeners.append(_take_in)
    session.tickers.append(take_rows)


def stop() -> None:
    """Let go of everything; called by unregister."""
    global _session
    forget()
    if _session is not None:
        _session.listeners.remove(_take_in)
        _session.tickers.remove(take_rows)
        _session = None
    confirmed.clear()


def forget() -> None:
    """Let go of the documents in memory: another file was loaded, whose strips have their own."""
    global _edits
    if _edits is not None:
        _edits.close()
        _edits = None
    _shown.clear()


def of(strip: bpy.types.bpy_struct) -> EditDocument:
    """The edits of a strip's shot.

    Raises:
        RefusedError: it has no shot yet.
    """
    shot = strip.inve.shot
    if not shot:
        raise RefusedError(
            f"The strip {strip.name!r} must be prepared before it can be edited; press Prepare."
        )
    known = _sync().documents.get(shot)
    return known if known is not None else _sync().open(_read(strip))


def in_memory(strip: bpy.types.bpy_struct) -> EditDocument | None:
    """The same where it is in memory: for drawing, which must not change anything."""
    return None if _edits is None else _edits.documents.get(strip.inve.shot)


def change(strip: bpy.types.bpy_struct, step: Callable[[EditDocument], Result]) -> Result:
    """Do an artist's step: in the document, in the list, and on the daemon as soon as it can be.

    Raises:
        RefusedError: the step cannot be done.
    """
    of(strip)
    # What was set in the list came before.
    take_rows()
    return _do(strip, step)


def _do(strip: bpy.types.bpy_struct, step: Callable[[EditDocument], Result]) -> Result:
    document = of(strip)
    try:
        result = step(document)
    finally:
        mirror(document.shot)
    _sync().send(document.shot)
    return result


def open_active(context: bpy.types.Context) -> None:
    """Have the active strip's document in memory and its list shown, where there is a daemon to ask."""
    strip = results.active_source(context)
    if strip is None or _session is None or not _session.is_connected or not strip.inve.shot:
        return
    if strip.inve.shot not in _sync().documents:
        of(strip)
        mirror(strip.inve.shot)


def strips_of(shot: str) -> Iterator[tuple[bpy.types.Scene, bpy.types.bpy_struct]]:
    """Every strip of the file that shows a shot, with its scene: copies and the halves of a cut share it."""
    return ((scene, strip) for scene, strip in _strips() if strip.inve.shot == shot)


def _strips() -> Iterator[tuple[bpy.types.Scene, bpy.types.bpy_struct]]:
    for scene in bpy.data.scenes:
        if scene.sequence_editor is not None:
            for strip in compat.all_strips(scene.sequence_editor):
                yield scene, strip


def mirror(shot: str) -> None:
    """Bring the layer lists of a shot's strips up to date."""
    document = _sync().documents.get(shot)
    if document is None:
        return
    rows = document.rows()
    for scene, strip in strips_of(shot):
        _mirror(strip.inve, shot, rows)
        _shown[scene.name, strip.name, shot] = [_values(row) for row in strip.inve.layers]
        if strip.inve.revision != (document.revision or 0):
            strip.inve.revision = document.revision or 0


def mirror_all() -> None:
    """The same for all: Blender's undo has put back lists of another time."""
    if _edits is not None:
        for shot in list(_edits.documents):
            mirror(shot)


def store() -> None:
    """Write the documents to their strips; the file is about to be saved."""
    if _edits is None:
        return
    take_rows()
    for shot, document in _edits.documents.items():
        text = document.to_json()
        for _, strip in strips_of(shot):
            if strip.inve.document != text:
                strip.inve.document = text


def take_rows() -> bool:
    """Do what was set in the lists since they were last written; True where anything was. Called by the pump.

    What cannot be done is put back, and the panel says why.
    """
    global _looked_at
    if _edits is None or _session is None:
        return False
    now = time.monotonic()
    if not bpy.app.background and now - _looked_at < LOOK_S:
        return False
    _looked_at = now
    changed = False
    for scene, strip in list(_strips()):
        shot = strip.inve.shot
        if shot not in _edits.documents:
            continue
        last = _shown.get((scene.name, strip.name, shot))
        rows = [_values(row) for row in strip.inve.layers]
        if last is None or len(last) != len(rows):
            # Pasted, renamed or of another shot before: what it shows was set by nobody.
            mirror(shot)
        elif rows != last:
            changed = True
            _take_rows(strip, last, rows)
    return changed


def _take_rows(strip: bpy.types.bpy_struct, last: list[Values], rows: list[Values]) -> None:
    assert _session is not None
    for before, after in zip(last, rows, strict=True):
        name = before["name"]
        fields = {key: value for key, value in after.items() if value != before[key] and key != "name"}
        try:
            if fields:
                _do(strip, partial(_change_layer, name, fields))
            if after["name"] != name and after["name"]:
                _do(strip, partial(_rename_layer, name, after["name"]))
        except RefusedError as refusal:
            _session.fail(refusal.problem)
    mirror(strip.inve.shot)


def _change_layer(name: str, fields: Values, document: EditDocument) -> None:
    document.change_layer(name, **fields)


def _rename_layer(name: str, rename: str, document: EditDocument) -> None:
    document.rename_layer(name, rename)


def _values(row: bpy.types.PropertyGroup) -> Values:
    """What an artist can set in a row."""
    return {
        "name": row.name,
        "enabled": row.enabled,
        "solo": row.solo,
        "opacity": round(row.opacity, _DECIMALS),
        "blend": row.blend,
    }


def _sync() -> EditSync:
    global _edits
    if _session is None:
        raise RefusedError("The INVE add-on is not enabled; enable it in Blender's preferences.")
    if _edits is None:
        from inve_client.plugin.editing import EditSync

        _edits = EditSync(_session, changed=mirror, confirmed=_tell_confirmed)
    return _edits


def _tell_confirmed(shot: str) -> None:
    for listener in tuple(confirmed):
        listener(shot)


def _read(strip: bpy.types.bpy_struct) -> EditDocument:
    """A strip's document as the file has it, or a new one."""
    from inve_client.plugin.document import EditDocument
    from inve_client.plugin.syncing import DocumentError

    assert _session is not None
    shot = strip.inve.shot
    saved = None
    for _, one in strips_of(shot):
        if one.inve.document:
            try:
                saved = EditDocument.from_json(one.inve.document)
                break
            except DocumentError as damage:
                _session.fail(damage.problem)
    if saved is not None and saved.shot == shot:
        return saved
    document = EditDocument(shot)
    former = _former(strip.inve) or saved
    if former is not None and former.layers:
        # The strip was prepared anew, with another matte or other pictures: that is another shot.
        document.lost = former.layers
    return document


def _former(group: bpy.types.PropertyGroup) -> EditDocument | None:
    """The document that a strip's list has shown until now, of the shot that it had before."""
    shot = group.layers[0].shot if group.layers else ""
    return _sync().documents.get(shot)


def _mirror(group: bpy.types.PropertyGroup, shot: str, rows: list) -> None:
    active = group.layers[group.active_layer].known_name if _has_active(group) else ""
    while len(group.layers) > len(rows):
        group.layers.remove(len(group.layers) - 1)
    while len(group.layers) < len(rows):
        group.layers.add()
    for item, row in zip(group.layers, rows, strict=True):
        values = {
            "name": row.name,
            "known_name": row.name,
            "shot": shot,
            "kind": row.kind,
            "enabled": row.enabled,
            "solo": row.solo,
            "opacity": row.opacity,
            "blend": row.blend,
            "edits": row.edits,
        }
        for name, value in values.items():
            # Writing marks the file as changed, so only where there is a difference.
            shown = getattr(item, name)
            if isinstance(value, float):
                shown, value = round(shown, _DECIMALS), round(value, _DECIMALS)
            if shown != value:
                setattr(item, name, value)
    names = [row.name for row in rows]
    index = names.index(active) if active in names else min(group.active_layer, max(0, len(rows) - 1))
    if group.active_layer != index:
        group.active_layer = index


def _has_active(group: bpy.types.PropertyGroup) -> bool:
    return 0 <= group.active_layer < len(group.layers)


def _take_in(news: News) -> None:
    """Open what the file has, once there is a daemon; and a strip's shot, once it is there."""
    if isinstance(news, Connection) and news.state is ConnectionState.CONNECTED:
        _open_all(lambda shot: True)
    elif isinstance(news, ShotNews) and news.change in ("opened", "model"):
        _open_all(lambda shot: shot == news.shot)


def _open_all(wanted: Callable[[str], bool]) -> None:
    shots: dict[str, bpy.types.bpy_struct] = {}
    for _, strip in _strips():
        if strip.inve.shot and wanted(strip.inve.shot):
            shots.setdefault(strip.inve.shot, strip)
    for strip in shots.values():
        of(strip)
        mirror(strip.inve.shot)
