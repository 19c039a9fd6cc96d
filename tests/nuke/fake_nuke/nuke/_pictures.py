"""Pictures of the few nodes that tests render: really read, really written, y turned over at the edge."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Any

from nuke import _events, _nodes
from stage import FakeNukeError, current

_PASSING = {
    "NoOp",
    "Dot",
    "Output",
    "RotoPaint",
    "Roto",
    "Tracker4",
    "TimeOffset",
    "Merge2",
    "Write",
}
_LAYERS = {"rgb": "rgb", "rgba": "rgba", "alpha": "a"}
_LONG = {"R": "rgba.red", "G": "rgba.green", "B": "rgba.blue", "A": "rgba.alpha"}
_SHORT = {name: letter for letter, name in _LONG.items()}
VECTORS = {"forward.u": 1.5, "forward.v": -0.5, "backward.u": -1.5, "backward.v": 0.5}
"""What the fake's VectorGenerator writes everywhere."""


@dataclass
class Picture:
    """One frame.

    Attributes:
        format: its format.
        box: the data window x, y, r, t, y up.
        channels: arrays float32 [t - y, r - x] by channel, the top row first.
    """

    format: _nodes.Format
    box: tuple[int, int, int, int]
    channels: dict[str, Any]


def _below(node: Any, frame: int | None = None) -> Any:
    """The node that this one's picture comes from, if it has none of its own."""
    if node._class == "Input":
        group = node._parent
        return group.input(int(node["number"].value()))
    if node._class == "Group":
        return next((inner for inner in node._children if inner._class == "Output"), None)
    if node._class == "Switch":
        at = current().root["frame"].value() if frame is None else frame
        return node.input(int(node["which"].getValueAt(at)))
    return node.input(0)


def file_at(node: Any, frame: int) -> str:
    """The file that a Read shows at a frame."""
    first, last = node["first"].value(), node["last"].value()
    if node["frame_mode"].value() != "expression" or node["frame"].value():
        offset = int(node["frame"].value() or 0)
        frame = frame - offset + first if node["frame_mode"].value() == "start at" else frame + offset
    return str(node["file"].evaluate(min(max(frame, first), last)))


def format_of(node: Any) -> _nodes.Format:
    """The format of what a node gives."""
    if node is None:
        return current().root["format"].value()
    if node._class == "Read" and node["file"].value():
        spec = _header(file_at(node, int(node["first"].value())))
        if spec is not None:
            return _format(spec)
    if (
        "format" in node._knobs_
        and node["format"].value() is not None
        and node._class in ("Constant", "Read")
    ):
        return node["format"].value()
    return format_of(_below(node)) if _below(node) is not None else current().root["format"].value()


def frames_of(node: Any) -> tuple[int, int]:
    """First and last frame of what a node gives."""
    if node._class == "Read":
        return int(node["first"].value()), int(node["last"].value())
    below = _below(node)
    return (
        frames_of(below) if below is not None else (current().root.firstFrame(), current().root.lastFrame())
    )


def channels_of(node: Any) -> list[str]:
    """The channels of what a node gives."""
    if node is None:
        return []
    if node._class == "Read":
        spec = _header(file_at(node, int(node["first"].value()))) if node["file"].value() else None
        return [_LONG.get(name, name) for name in spec.channelnames] if spec is not None else []
    if node._class == "Constant":
        return list(_LONG.values())
    found = channels_of(_below(node))
    if node._class == "VectorGenerator":
        found = found + [name for name in VECTORS if name not in found]
    if node._class in ("RotoPaint", "Roto") and "rgba.alpha" not in found:
        found = [*found, "rgba.alpha"]
    return found


def picture_of(node: Any, frame: int) -> Picture:
    """The picture that a node gives at a frame."""
    import numpy as np

    if node is None:
        raise RuntimeError("nothing is connected")
    if node._class == "Read":
        return _read(node, frame)
    if node._class == "Constant":
        made = format_of(node)
        values = node["color"].value()
        values = values if isinstance(values, list) else [values] * 4
        size = (made.height(), made.width())
        channels = {name: np.full(size, value, np.float32) for name, value in zip(_LONG.values(), values)}
        return Picture(made, (0, 0, made.width(), made.height()), channels)
    if node._class == "TimeOffset":
        return picture_of(node.input(0), frame - int(node["time_offset"].value()))
    below = picture_of(_below(node, frame), frame)
    if node._class == "Grade":
        gain = node["multiply"]
        for index, name in enumerate(list(_LONG.values())[:3]):
            if name in below.channels:
                below.channels[name] = below.channels[name] * np.float32(gain.getValueAt(frame, index))
        return below
    if node._class == "VectorGenerator":
        shape = next(iter(below.channels.values())).shape
        below.channels.update({name: np.full(shape, value, np.float32) for name, value in VECTORS.items()})
        return below
    if node._class == "Remove":
        return _cut(node, below)
    if node._class == "Shuffle":
        return _shuffled(node, below)
    if node._class in _PASSING or node._class in ("Input", "Group", "Switch"):
        return below
    raise FakeNukeError(f"the fake cannot render a {node._class}; teach _pictures.py.")


def _cut(node: Any, below: Picture) -> Picture:
    """What a Remove leaves."""
    chosen = {node[name].value() for name in ("channels", "channels2")}
    keeps = node["operation"].value() == "keep"
    below.channels = {
        name: pixels
        for name, pixels in below.channels.items()
        if bool(chosen & {"all", name, name.partition(".")[0]}) == keeps
    }
    return below


def _shuffled(node: Any, below: Picture) -> Picture:
    """The channels of a layer in the places of red, green, blue, alpha."""
    layer = node["in"].value()
    if layer != "rgba":
        found = [name for name in below.channels if name.startswith(f"{layer}.")]
        if not found:
            raise RuntimeError(f"{node.name()}: no layer {layer!r}")
        below.channels = {ours: below.channels[name] for ours, name in zip(_LONG.values(), found)}
    return below


def execute(target: Any, start: int, end: int, incr: int) -> None:
    """Render a Write's frames; the artist's cancelling raises."""
    stage = current()
    stage.check_main_thread("nuke.execute")
    node = _nodes.find(stage.root, target) if isinstance(target, str) else target
    if node is None or node.Class() != "Write":
        raise RuntimeError(f"{target!r} is no Write node")
    _events.fire("beforeRender", node)
    for written, frame in enumerate(range(int(start), int(end) + 1, int(incr))):
        if stage.cancel_after is not None and written >= stage.cancel_after:
            raise RuntimeError("Cancelled")
        before = int(stage.root["frame"].value())
        stage.root["frame"]._values[0] = frame
        try:
            path = node["file"].evaluate(frame)
            _write(node, picture_of(node.input(0), frame), path)
        finally:
            stage.root["frame"]._values[0] = before
        stage.rendered.append((path, frame))
        _events.fire("afterFrameRender", node)
    _events.fire("afterRender", node)


def pressed(knob: Any) -> None:
    """A button of one of Nuke's own nodes: `reload` looks at the files again, so a missing one is noticed."""
    if knob.name() == "reload":
        return
    if knob.name() == "Render":
        execute(knob.node(), knob.node()["first"].value(), knob.node()["last"].value(), 1)
        return
    raise FakeNukeError(f"the fake does not know what {knob.fullyQualifiedName()!r} does.")


def _header(path: str) -> Any:
    import OpenImageIO as oiio

    source = oiio.ImageInput.open(path)
    if source is None:
        oiio.geterror()
        return None
    spec = source.spec()
    source.close()
    return spec


def _format(spec: Any) -> _nodes.Format:
    width, height = spec.full_width, spec.full_height
    return _nodes.Format(
        width, height, 0, 0, width, height, spec.get_float_attribute("PixelAspectRatio", 1.0)
    )


def _read(node: Any, frame: int) -> Picture:
    import OpenImageIO as oiio

    path = file_at(node, frame)
    source = oiio.ImageInput.open(path)
    if source is None:
        raise RuntimeError(f"{node.name()}: {path}: {oiio.geterror()}")
    spec = source.spec()
    pixels = source.read_image(oiio.FLOAT)
    source.close()
    pixels = pixels.reshape(spec.height, spec.width, spec.nchannels)
    if not node["raw"].value() and node["colorspace"].value() == "sRGB":
        pixels = _linear(pixels)
    left, top = spec.x - spec.full_x, spec.y - spec.full_y
    box = (left, spec.full_height - top - spec.height, left + spec.width, spec.full_height - top)
    channels = {
        _LONG.get(name, name): pixels[..., index].copy() for index, name in enumerate(spec.channelnames)
    }
    return Picture(_format(spec), box, channels)


def _linear(code: Any) -> Any:
    import numpy as np

    return np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4).astype(np.float32)


def _write(node: Any, picture: Picture, path: str) -> None:
    import numpy as np
    import OpenImageIO as oiio

    if node["file_type"].value() != "exr" or not node["raw"].value():
        raise FakeNukeError("the fake writes raw EXR files only; set file_type and raw.")
    folder = os.path.dirname(path)
    if not os.path.isdir(folder):
        if not node["create_directories"].value():
            raise RuntimeError(f"{path}: the folder does not exist")
        os.makedirs(folder)
    wanted = node["channels"].value()
    layers = {
        "rgb": ["rgba.red", "rgba.green", "rgba.blue"],
        "rgba": list(_LONG.values()),
        "alpha": ["rgba.alpha"],
    }
    names = list(picture.channels) if wanted == "all" else []
    for layer in () if wanted == "all" else re.split(r"\s+", wanted.strip()):
        names += layers.get(layer) or [name for name in picture.channels if name.startswith(f"{layer}.")]
    if not names:
        raise RuntimeError(f"{node.name()}: no channels {wanted!r}")
    x, y, r, t = picture.box
    blank = np.zeros((t - y, r - x), np.float32)
    half = node["datatype"].value() == "16 bit half"
    spec = oiio.ImageSpec(r - x, t - y, len(names), oiio.HALF if half else oiio.FLOAT)
    spec.channelnames = [_SHORT.get(name, name) for name in names]
    spec.x, spec.y = x, picture.format.height() - t
    spec.full_x = spec.full_y = 0
    spec.full_width, spec.full_height = picture.format.width(), picture.format.height()
    spec.attribute("PixelAspectRatio", float(picture.format.pixelAspect()))
    out = oiio.ImageOutput.create(path)
    if out is None or not out.open(path, spec):
        raise RuntimeError(f"{path}: {oiio.geterror()}")
    out.write_image(np.stack([picture.channels.get(name, blank) for name in names], axis=-1))
    out.close()
