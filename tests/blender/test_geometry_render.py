"""The mapping of inve_blender.geometry against what Blender's sequencer really renders.

Pictures of their own coordinates (red: x, green: y, blue: 1) go through image strips with random transforms;
each rendered pixel then says which place of the source it shows.
"""

import json
import os
import random
import subprocess
from pathlib import Path

import numpy as np
import OpenImageIO
import pytest

from inve_blender.geometry import StripGeometry, StripTiming

SCRIPT = Path(__file__).parent / "scripts/render_strips.py"
# Where tools/blender_env.sh makes an environment for each version of Blender, and which of them are tested.
ENVIRONMENTS = Path(os.environ.get("BLENDER_ENVS", Path(__file__).parents[2] / ".blender"))
WANTED = os.environ.get("INVE_BLENDER", "4.5").replace(",", " ").split()
VERSIONS = [version for version in WANTED if (ENVIRONMENTS / version / "bin/python").exists()]
# What Blender's filter adds: float32 coordinates read bilinearly off a grid.
TOLERANCE_PX = 0.1

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not VERSIONS, reason=f"no environment with bpy in {ENVIRONMENTS}"),
]


@pytest.fixture(params=VERSIONS)
def render(request, tmp_path):
    """Render cases in one process of that Blender; gives what its script said."""

    def run(cases):
        listed = tmp_path / "cases.json"
        listed.write_text(json.dumps(cases), "utf-8")
        subprocess.run(
            [str(ENVIRONMENTS / request.param / "bin/python"), str(SCRIPT), str(listed)],
            check=True,
            timeout=240,
            stdout=subprocess.DEVNULL,
            env={**os.environ, "BLENDER_USER_RESOURCES": str(tmp_path / "blender"), "PYTHONPATH": ""},
        )
        return json.loads(Path(f"{listed}.done").read_text("utf-8"))

    return run


def write_exr(path, pixels):
    height, width, channels = pixels.shape
    file = OpenImageIO.ImageOutput.create(str(path))
    file.open(str(path), OpenImageIO.ImageSpec(width, height, channels, "float"))
    file.write_image(pixels.astype(np.float32))
    file.close()


def read_exr(path):
    return OpenImageIO.ImageInput.open(str(path)).read_image("float")


def coordinate_picture(path, width, height):
    y, x = np.mgrid[:height, :width] + 0.5
    one = np.ones_like(x)
    write_exr(path, np.stack((x / width, y / height, one, one), -1))


def random_case(rng, number):
    """One strip: identity first, then what each part of a transform adds."""
    percentage = rng.choice((100, 100, 50, 25))
    # Whole numbers of pixels at each percentage: the render cuts fractions off where the preview rounds them.
    size = rng.choice(
        ((96, 64), (120, 76), (64, 48), (100, 60)) if percentage < 100 else ((95, 61), (64, 48))
    )
    picture = rng.choice(((64, 48), (63, 47), (81, 50)))
    case = {"size": size, "percentage": percentage, "picture": picture, "frames": [1]}
    if number >= 2:
        case["transform"] = {
            "offset_x": rng.uniform(-15, 15),
            "offset_y": rng.uniform(-9, 9),
            "scale_x": rng.uniform(0.6, 1.9),
            "scale_y": rng.uniform(0.6, 1.9),
            "rotation": rng.uniform(-3.1, 3.1),
            "filter": "BILINEAR",
        }
    if number >= 6:
        case["transform"]["origin"] = (rng.uniform(0, 1), rng.uniform(0, 1))
    if number >= 10:
        case["strip"] = {"use_flip_x": rng.random() < 0.5, "use_flip_y": rng.random() < 0.5}
    if number >= 14:
        case["crop"] = {name: rng.randrange(9) for name in ("min_x", "max_x", "min_y", "max_y")}
    return case


def geometry_of(case):
    move, flip, crop = case.get("transform", {}), case.get("strip", {}), case.get("crop", {})
    return StripGeometry(
        name="plate",
        render_width=case["size"][0],
        render_height=case["size"][1],
        picture_width=case["picture"][0],
        picture_height=case["picture"][1],
        preview_scale=case["percentage"] / 100,
        crop=tuple(crop.get(name, 0) for name in ("min_x", "max_x", "min_y", "max_y")),
        offset=(move.get("offset_x", 0), move.get("offset_y", 0)),
        scale=(move.get("scale_x", 1), move.get("scale_y", 1)),
        rotation=move.get("rotation", 0),
        origin=move.get("origin", (0.5, 0.5)),
        flip=(flip.get("use_flip_x", False), flip.get("use_flip_y", False)),
    )


def inside(covered):
    """Pixels whose eight neighbours are covered too: no filter mixed anything else into them."""
    padded = np.pad(covered, 1)
    shape = covered.shape
    near = [padded[j : j + shape[0], i : i + shape[1]] for j in range(3) for i in range(3)]
    return np.logical_and.reduce(near)


def test_pixels_are_where_the_mapping_says(render, tmp_path):
    rng = random.Random(20)
    cases = [random_case(rng, number) for number in range(24)]
    for number, case in enumerate(cases):
        width, height = case["picture"]
        path = tmp_path / f"plate_{width}x{height}.exr"
        if not path.exists():
            coordinate_picture(path, width, height)
        case |= {"files": [str(path)], "out": str(tmp_path / f"case{number}")}
    render(cases)

    compared = 0
    for number, case in enumerate(cases):
        geometry = geometry_of(case)
        rendered = read_exr(Path(case["out"]) / "1.exr")
        height, width = rendered.shape[:2]
        covered = inside(rendered[..., 2] > 0.9999)
        compared += bool(covered.any())
        for j, i in np.argwhere(covered)[::7]:
            # A pixel's centre in the preview: the buffer lies over the whole render size.
            view_x = ((i + 0.5) / width - 0.5) * geometry.render_width
            view_y = (0.5 - (j + 0.5) / height) * geometry.render_height
            x, y = geometry.to_source(view_x, view_y)
            shown_x, shown_y = rendered[j, i, :2] * case["picture"]
            assert (x, y) == pytest.approx((shown_x, shown_y), abs=TOLERANCE_PX), f"case {number}: {case}"
            assert geometry.shows(x, y), f"case {number}: {case}"
    assert compared >= 20, "most cases must show something"


def test_crop_hides_what_visible_leaves_out(render, tmp_path):
    path = tmp_path / "plate.exr"
    coordinate_picture(path, 64, 48)
    crop = {"min_x": 5, "max_x": 11, "min_y": 3, "max_y": 17}
    case = {"files": [str(path)], "size": (64, 48), "percentage": 100, "frames": [1], "crop": crop}
    case |= {"picture": (64, 48), "out": str(tmp_path / "case")}
    render([case])
    rows, columns = np.nonzero(read_exr(tmp_path / "case" / "1.exr")[..., 2] > 0.5)
    left, top, right, bottom = geometry_of(case).visible
    assert (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1) == (left, top, right, bottom)


def test_frames_are_what_the_timing_says(render, tmp_path):
    rng = random.Random(4)
    numbers = [1001, 1002, 1003, 1005, 1006, 1009, 1010, 1011]
    files = []
    for number in numbers:
        files.append(tmp_path / f"shot.{number}.exr")
        write_exr(files[-1], np.full((8, 8, 4), [number / 1024, 0, 0, 1]))
    cases = []
    for number in range(6):
        cut = rng.randrange(3)
        # Handles within the content, and beyond it, where its end frames are held.
        strip = {
            "frame_start": rng.randrange(10, 40),
            "animation_offset_start": cut,
            "frame_offset_start": rng.randrange(-3, 3),
            "frame_offset_end": rng.randrange(-3, 3),
            "use_reverse_frames": number % 2 == 1,
        }
        frames = list(range(strip["frame_start"] - 4, strip["frame_start"] + len(numbers) + 5))
        cases.append(
            {"files": list(map(str, files)), "size": (8, 8), "percentage": 100, "strip": strip}
            | {"frames": frames, "out": str(tmp_path / f"case{number}")}
        )
    timings = render(cases)["timings"]
    for case, (start, first, end, duration) in zip(cases, timings, strict=True):
        cut = case["strip"]["animation_offset_start"]
        assert duration == len(numbers) - cut
        timing = StripTiming(
            "plate", round(start), first, end - 1, numbers[cut:], case["strip"]["use_reverse_frames"]
        )
        for frame in case["frames"]:
            red, _, _, alpha = read_exr(Path(case["out"]) / f"{frame}.exr")[4, 4]
            assert (alpha > 0.5) == (timing.first <= frame <= timing.last), f"frame {frame} of {case}"
            if alpha > 0.5:
                assert timing.to_source(frame) == round(red * 1024), f"frame {frame} of {case}"
