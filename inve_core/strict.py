"""Strict decoding of JSON or plain data into typed values, with errors that name the field.

Unknown fields, other types, over-long lists and numbers out of range are refused by msgspec while it decodes,
so that a hostile document never becomes a larger one in memory. NaN fails every range, so each number has
one.
"""

import math
import re
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta

from inve_core.errors import CoreError

MAX_DOCUMENT_BYTES = 128 << 20
"""Largest JSON document that is decoded."""

Coordinate = Annotated[float, Meta(ge=-1e6, le=1e6)]
"""Picture coordinate in pixels, x right and y down from the top-left corner; finite."""

Frame = Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)]
"""A frame number of the host."""

VideoLayerName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,64}\Z")]
"""Name of a video layer, or "auto" for the one most visible under the points."""

Identifier = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._:-]{1,64}\Z")]
"""Name of an edit, an edit layer or a point that programs refer to."""

EXPECTATIONS: Mapping[str, str] = {
    "id": "1 to 64 letters, digits or . _ : -",
    "video_layer": "1 to 64 letters, digits or _ -",
}
"""What the fields above must be, in words, for messages."""

_T = TypeVar("_T")
_PATH = re.compile(r" - at (?:`key` in )?`\$\.?([^`]*)`$")
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`$", re.DOTALL)
_ABSENT = re.compile(r"Object missing required field `(.*)`$")
_STEP = re.compile(r"\.?([^.\[\]]+)|\[(\d+)\]")
_MAX_SHOWN = 60
# A refused document is decoded again without types, only to show what stood there; a large one is not worth
# that.
_MAX_SHOWN_DOCUMENT_BYTES = 1 << 20
_ABSENT_VALUE = object()


def decode(
    data: bytes | Mapping[str, Any],
    kind: type[_T],
    error: type[CoreError],
    *,
    what: str,
    expectations: Mapping[str, str],
) -> _T:
    """Decode a document into a typed value.

    Args:
        data: JSON bytes (UTF-8, a byte order mark is allowed), or data that was decoded already.
        kind: the msgspec type to make.
        error: the exception class to raise.
        what: what the document is, for messages: "the edit stack".
        expectations: as `sentence` takes them.

    Raises:
        error: naming the field's path, what was expected and what came.
    """
    try:
        if not isinstance(data, bytes):
            return msgspec.convert(data, kind)
        if len(data) > MAX_DOCUMENT_BYTES:
            raise error(
                f"{what} is {len(data) / 2**20:.0f} MiB, at most {MAX_DOCUMENT_BYTES >> 20} MiB are read; "
                "split it up."
            )
        return msgspec.json.decode(data.removeprefix(b"\xef\xbb\xbf"), type=kind)
    except msgspec.ValidationError as refused:
        raise error(sentence(str(refused), data, what, expectations)) from refused
    except (msgspec.DecodeError, UnicodeDecodeError) as refused:
        raise error(f"{what} is not valid JSON: {refused}; correct the file.") from refused
    except RecursionError as refused:
        raise error(f"{what} is nested too deeply; correct the file.") from refused


def join(path: str, field: str) -> str:
    """A field's path below another: `layers[0]` and `name` make `layers[0].name`."""
    return f"{path}.{field}" if path else field


def sentence(
    message: str, data: bytes | Mapping[str, Any], what: str, expectations: Mapping[str, str]
) -> str:
    """What msgspec says, in the house's form: the field's path, what was expected, what came, the next step.

    Args:
        message: of a ValidationError.
        data: the refused document, to show what stood there.
        what: what the document is.
        expectations: field name -> what it must be, in words, for fields that take certain words only; after
            a semicolon the next step, if it is not to correct it. A name may have those before it, as in
            `layers.blend`; the longest that fits counts.
    """
    found = _PATH.search(message)
    path = found[1] if found else ""
    message = message[: found.start()] if found else message
    if unknown := _UNKNOWN.match(message):
        name = join(path, unknown[1][:_MAX_SHOWN])
        return f"`{name}` is not a known field; check its spelling or remove it."
    if absent := _ABSENT.match(message):
        return f"`{join(path, absent[1])}` is missing; add it."
    value = _value_at(data, path)
    in_words = _expectation(path, expectations)
    step = ""
    if in_words and ("Invalid" in message or "regex" in message):
        expected, _, step = in_words.partition("; ")
    elif message == "Number out of range" or (isinstance(value, float) and not math.isfinite(value)):
        expected = "a finite number"
    else:
        expected = message.replace("`", "").replace("array", "list")
        expected = expected.removeprefix("Expected ").partition(", got ")[0]
    return f"{f'`{path}`' if path else what} must be {expected}{_got(value)}; {step or 'correct it'}."


def _expectation(path: str, expectations: Mapping[str, str]) -> str | None:
    """What is said of the field at a path, under the longest name that it is known by."""
    names = re.sub(r"\[[^\]]*\]", "", path).split(".")
    known = (".".join(names[start:]) for start in range(len(names)))
    return next((expectations[name] for name in known if name in expectations), None)


def _value_at(data: bytes | Mapping[str, Any], path: str) -> object:
    """What stands at a path of a refused document."""
    value: Any = data
    try:
        if isinstance(data, bytes):
            if len(data) > _MAX_SHOWN_DOCUMENT_BYTES:
                return _ABSENT_VALUE
            value = msgspec.json.decode(data.removeprefix(b"\xef\xbb\xbf"))
        for name, index in _STEP.findall(path):
            value = value[name] if name else value[int(index)]
    except (KeyError, IndexError, TypeError, msgspec.DecodeError, RecursionError):
        return _ABSENT_VALUE
    return value


def _got(value: object) -> str:
    if value is _ABSENT_VALUE:
        return ""
    if isinstance(value, list | tuple):
        return f", got a list of {len(value)}"
    if isinstance(value, Mapping):
        return ", got an object"
    shown = repr(value)
    return f", got {shown if len(shown) <= _MAX_SHOWN else shown[:_MAX_SHOWN] + '...'}"
