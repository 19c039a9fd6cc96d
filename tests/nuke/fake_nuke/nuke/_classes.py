"""Which classes of nodes there are, with the knobs of each that this project names (reference guide)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nuke import _knobs as k

Maker = Callable[[], k.Knob]


def _number(name: str, default: float = 0.0, kind: type[k.Array_Knob] = k.Double_Knob) -> Maker:
    def make() -> k.Knob:
        knob = kind(name)
        knob._values = [float(default)] * knob._size
        return knob

    return make


def _pair(name: str, x: float, y: float, kind: type[k.Array_Knob] = k.XY_Knob) -> Maker:
    def make() -> k.Knob:
        knob = kind(name)
        knob._values = [x, y]
        return knob

    return make


def _whole(name: str, default: int = 0) -> Maker:
    return _number(name, default, k.Int_Knob)


def _tick(name: str, default: bool = False) -> Maker:
    return _number(name, default, k.Boolean_Knob)


def _choice(name: str, *choices: str) -> Maker:
    return lambda: k.Enumeration_Knob(name, None, choices)


def _text(name: str, default: str = "", kind: type[k._StringKnob] = k.String_Knob) -> Maker:
    def make() -> k.Knob:
        knob = kind(name)
        knob._string = default
        return knob

    return make


def _file(name: str = "file") -> Maker:
    return _text(name, kind=k.File_Knob)


def _channels(name: str = "channels", default: str = "rgb") -> Maker:
    def make() -> k.Knob:
        knob = k.ChannelMask_Knob(name)
        knob._channels = default
        return knob

    return make


def _plain(kind: type[k.Knob], name: str) -> Maker:
    return lambda: kind(name)


COMMON: list[Maker] = [
    _text("name"),
    _text("label", kind=k.Multiline_Eval_String_Knob),
    _text("autolabel", kind=k.Multiline_Eval_String_Knob),
    _text("knobChanged", kind=k.Multiline_Eval_String_Knob),
    _text("onCreate", kind=k.Multiline_Eval_String_Knob),
    _text("note_font", "Verdana"),
    _whole("tile_color"),
    _whole("gl_color"),
    _number("xpos"),
    _number("ypos"),
    _tick("selected"),
    _tick("hide_input"),
    _tick("postage_stamp"),
    _number("disable", 0, k.Disable_Knob),
]

_SPACES = ("default (linear)", "linear", "sRGB", "rec709", "Cineon", "AlexaV3LogC", "scene_linear", "raw")
_EDGES = ("hold", "loop", "bounce", "black")

CLASSES: dict[str, tuple[int, list[Maker]]] = {
    "Read": (
        0,
        [
            _file(),
            _text("file_type"),
            _plain(k.Format_Knob, "format"),
            _file("proxy"),
            _whole("first", 1),
            _choice("before", *_EDGES),
            _whole("last", 1),
            _choice("after", *_EDGES),
            _choice("frame_mode", "expression", "start at", "offset"),
            _text("frame"),
            _whole("origfirst", 1),
            _whole("origlast", 1),
            _tick("origset"),
            _choice("on_error", "error", "black", "checkerboard", "nearest frame"),
            _plain(k.Script_Knob, "reload"),
            _choice("colorspace", *_SPACES),
            _tick("premultiplied"),
            _tick("raw"),
            _tick("auto_alpha"),
        ],
    ),
    "Write": (
        1,
        [
            _channels(),
            _file(),
            _file("proxy"),
            _choice("colorspace", *_SPACES),
            _tick("raw"),
            _choice("file_type", " ", "exr", "png", "tiff"),
            _choice("datatype", "16 bit half", "32 bit float"),
            _choice(
                "compression",
                "Zip (1 scanline)",
                "none",
                "RLE",
                "Zip (16 scanlines)",
                "PIZ Wavelet (32 scanlines)",
            ),
            _choice("metadata", "default metadata", "no metadata", "all metadata"),
            _tick("autocrop"),
            _tick("create_directories"),
            _whole("first", 1),
            _whole("last", 1),
            _tick("use_limit"),
            _plain(k.Script_Knob, "Render"),
        ],
    ),
    "NoOp": (1, []),
    "Dot": (1, []),
    "Input": (0, [_whole("number")]),
    "Output": (1, []),
    "Grade": (
        2,
        [
            _channels(),
            *(_number(name, 1, k.AColor_Knob) for name in ("white", "multiply", "gamma")),
            *(_number(name, 0, k.AColor_Knob) for name in ("black", "add")),
        ],
    ),
    "Merge2": (3, [_choice("operation", "over", "plus", "multiply", "copy"), _number("mix", 1)]),
    "Shuffle": (2, [_channels("in", "rgba"), _channels("in2", "none"), _channels("out", "rgba")]),
    "Switch": (10, [_number("which")]),
    "Remove": (
        1,
        [
            _choice("operation", "remove", "keep"),
            _channels("channels", "all"),
            _channels("channels2", "none"),
        ],
    ),
    "TimeOffset": (1, [_whole("time_offset")]),
    "Constant": (1, [_channels(), _number("color", 0, k.AColor_Knob), _plain(k.Format_Knob, "format")]),
    "RotoPaint": (
        4,
        [_plain(k.ScriptedKnob, "curves"), _channels("output", "rgba"), _plain(k.Format_Knob, "format")],
    ),
    "Roto": (
        4,
        [_plain(k.ScriptedKnob, "curves"), _channels("output", "alpha"), _plain(k.Format_Knob, "format")],
    ),
    "Tracker4": (
        3,
        [_plain(k.ScriptedKnob, "tracks"), _whole("reference_frame"), _number("center", 0, k.XY_Knob)],
    ),
    "CornerPin2D": (
        2,
        [
            *(_plain(k.XY_Knob, f"{way}{corner}") for way in ("to", "from") for corner in (1, 2, 3, 4)),
            *(_tick(f"enable{corner}", True) for corner in (1, 2, 3, 4)),
            _tick("invert"),
        ],
    ),
    "Transform": (
        2,
        [
            _pair("translate", 0, 0),
            _number("rotate"),
            _pair("scale", 1, 1, k.WH_Knob),
            _pair("center", 0, 0),
            _number("skewX"),
            _number("skewY"),
            _tick("invert_matrix"),
        ],
    ),
    "VectorGenerator": (2, [_number("vectorDetail", 0.3), _number("strength", 1.5)]),
    "Viewer": (10, [_whole("frame"), _text("frame_range")]),
    "BackdropNode": (0, [_whole("bdwidth"), _whole("bdheight")]),
    "Group": (0, [_text("help"), _text("onDestroy")]),
    "Root": (
        0,
        [
            _whole("frame", 1),
            _whole("first_frame", 1),
            _whole("last_frame", 100),
            _number("fps", 24),
            _plain(k.Format_Knob, "format"),
            _tick("proxy"),
            _file("project_directory"),
            _tick("lock_range"),
            _choice("colorManagement", "Nuke", "OCIO"),
            _choice("OCIO_config", "nuke-default", "fn-nuke_cg-config-v1.0.0_aces-v1.3_ocio-v2.1", "custom"),
            _choice("workingSpaceLUT", "linear", "scene_linear", "ACES - ACEScg"),
        ],
    ),
}
"""Class: the most inputs, and how to make its knobs."""


def knobs_of(name: str) -> list[Any]:
    """New knobs for a node of a class."""
    return [make() for make in (*COMMON, *CLASSES[name][1])]
