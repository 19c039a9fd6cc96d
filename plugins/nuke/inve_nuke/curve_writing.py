"""Layers, strokes and shapes -> the text of a curves knob, as `curve_script.py` describes it. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from .curve_script import Layer, Points, Shape, Stroke, Values
from .curve_values import Curve, Expression, Value, key_text, number_text
from .script_words import word_text


def write(root: Layer) -> str:
    """The text of a curves knob, for `fromScript`.

    Raises:
        ValueError: a number is beyond single precision; a layer has an `Unknown` element.
    """
    return f"{{{{v x3f99999a}} {{f 0}} {{n {_layer_text(root)}}}}}"


def _layer_text(layer: Layer) -> str:
    parts = [f"layer {word_text(layer.name)} {{f {layer.flags}}}", _transform_text(layer.transform)]
    parts.append(_attributes_text(layer.attributes))
    for element in layer.elements:
        if isinstance(element, Layer):
            parts.append(_layer_text(element))
        elif isinstance(element, Stroke):
            parts.append(
                _element_text("cubiccurve", element, _curve_text(element.curve_flags, element.points))
            )
        elif isinstance(element, Shape):
            main = _curve_text(element.curve_flags, element.points)
            feather = "idem" if element.feather is None else _curve_text(element.curve_flags, element.feather)
            parts.append(_element_text("curvegroup", element, f"{{{main} {feather}}}"))
        else:
            raise ValueError(f"{element.name!r} {element.problem}, so it cannot be written")
    return f"{{{' '.join(parts)}}}"


def _element_text(head: str, element: Stroke | Shape, curve: str) -> str:
    what = f"{head} {word_text(element.name)} {element.flags} {element.kind}"
    return f"{{{what} {curve} {_transform_text(element.transform)} {_attributes_text(element.attributes)}}}"


def _curve_text(flags: int, points: Points) -> str:
    rows = " ".join(f"{{{' '.join(map(_value_text, point))}}}" for point in points.points)
    head = "p" if points.time is None else f"px {number_text(points.time)}"
    return f"{{cc {{f {flags}}} {{{head} {rows}}}}}"


def _transform_text(transform: Values) -> str:
    head = "t" if transform.time is None else f"tx {number_text(transform.time)}"
    return f"{{{' '.join([head, *map(_value_text, transform.values)])}}}"


def _attributes_text(attributes: Mapping[str, Value]) -> str:
    pairs = (f"{word_text(name)} {_value_text(value)}" for name, value in attributes.items())
    return f"{{{' '.join(['a', *pairs])}}}"


def _value_text(value: Value) -> str:
    if isinstance(value, float):
        return number_text(value)
    if isinstance(value, Curve):
        return f"{{{' '.join(map(key_text, value.keys))}}}"
    if isinstance(value, Expression):
        return f"{{{' '.join([word_text('=' + value.text), value.rest]).rstrip()}}}"
    return value.text
