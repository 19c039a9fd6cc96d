"""Random edits for property tests: valid in themselves and for a picture of a given size."""

from typing import Any

from hypothesis import strategies as st

from inve_core.edits import Adjustment, ColorDecision, Edit, EditLayer, EditStack, Stroke, Texture

VIDEO_LAYERS = st.sampled_from(["auto", "foreground", "background"])


def points(width: int, height: int, least: int = 1, most: int = 5) -> st.SearchStrategy[tuple[Any, ...]]:
    """Places in the picture."""
    place = st.tuples(st.floats(0, width, width=32), st.floats(0, height, width=32))
    return st.lists(place, min_size=least, max_size=most).map(tuple)


@st.composite
def lines(draw: st.DrawFn, width: int, height: int, frame: int) -> dict[str, Any]:
    """What strokes and adjustments share."""
    closed = draw(st.booleans())
    places = draw(points(width, height, 3 if closed else 1))
    shares = st.none() if closed else st.none() | st.tuples(*[st.floats(0, 1, width=16) for _ in places])
    return {
        "frame": frame,
        "points": places,
        "width": draw(st.floats(0.25, 30, width=16)),
        "hardness": draw(st.floats(0, 1, width=16)),
        "closed": closed,
        "smooth": draw(st.booleans()),
        "point_widths": draw(shares),
        "point_opacities": draw(shares),
        "video_layer": draw(VIDEO_LAYERS),
    }


@st.composite
def strokes(draw: st.DrawFn, width: int, height: int, frame: int, light: float = 4.0) -> Stroke:
    """Strokes of colours from -light to light."""
    channel = st.floats(-light, light, width=16)
    return Stroke(
        **draw(lines(width, height, frame)),
        color=draw(st.tuples(channel, channel, channel, st.floats(0, 1, width=16))),
        blend=draw(st.sampled_from(["over", "add", "multiply", "screen", "erase"])),
    )


@st.composite
def adjustments(draw: st.DrawFn, width: int, height: int, frame: int) -> Adjustment:
    """Adjustments, each of whose settings is left out now and then."""
    decision = ColorDecision(slope=(1.1, 1.0, 0.8), offset=(0.0, 0.02, 0.0), saturation=0.9)
    settings = {
        "hue": st.floats(-180, 180, width=16),
        "saturation": st.floats(0, 2, width=16),
        "brightness": st.floats(-0.5, 0.5, width=16),
        "exposure": st.floats(-2, 2, width=16),
        "contrast": st.floats(0.5, 2, width=16),
        "gamma": st.floats(0.5, 2, width=16),
        "cdl": st.just(decision),
        "opacity": st.floats(0, 1, width=16),
    }
    chosen = draw(st.sets(st.sampled_from(sorted(settings)), max_size=4))
    return Adjustment(
        **draw(lines(width, height, frame)), **{name: draw(settings[name]) for name in sorted(chosen)}
    )


@st.composite
def textures(draw: st.DrawFn, width: int, height: int, frame: int, image: str) -> Texture:
    """A picture anywhere, tracked in any way."""
    ((x, y),) = draw(points(width, height, 1, 1))
    return Texture(
        image=image,
        frame=frame,
        x=x,
        y=y,
        width=draw(st.floats(2, 60, width=16)),
        height=draw(st.floats(2, 60, width=16)),
        rotation=draw(st.floats(-180, 180, width=16)),
        tracking=draw(st.sampled_from(["surface", "point", "similarity"])),
        opacity=draw(st.floats(0, 1, width=16)),
        video_layer=draw(VIDEO_LAYERS),
    )


@st.composite
def stacks(draw: st.DrawFn, width: int, height: int, frame: int, image: str, light: float = 4.0) -> EditStack:
    """Up to three layers of up to two edits, of all kinds and blends."""
    layers = []
    for number in range(draw(st.integers(0, 3))):
        kind = draw(st.sampled_from(["sketch", "adjustment", "texture"]))
        edit: st.SearchStrategy[Edit]
        if kind == "sketch":
            edit = strokes(width, height, frame, light)
        elif kind == "adjustment":
            edit = adjustments(width, height, frame)
        else:
            edit = textures(width, height, frame, image)
        blends = ["over"] if kind == "adjustment" else ["over", "add", "multiply", "screen"]
        layers.append(
            EditLayer(
                name=f"layer{number}",
                kind=kind,
                edits=tuple(draw(st.lists(edit, max_size=2))),
                blend=draw(st.sampled_from(blends)),
                opacity=draw(st.sampled_from([1.0, 0.6, 0.0])),
                enabled=draw(st.sampled_from([True, True, False])),
            )
        )
    return EditStack(layers=tuple(layers))
