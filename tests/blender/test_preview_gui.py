"""The tools of the preview in Blender's own window, by simulated events, under Xvfb.

Needs a `blender` (3.4 or newer; Debian's is 3.4.1) whose Python is this one's, and xvfb-run. The pictures
that it takes are kept where INVE_SCREENSHOTS names a folder.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from blender_support import REPORT, ROOT, SCRIPTS
from daemon_support import Daemon, write_picture

from inve_core.media.colour import linear_to_srgb
from inve_core.synthetic import make_clip

WIDTH, HEIGHT, FRAMES = 480, 270, 6
SMILE = (112, 94, 30)
"""A face to paint: middle and radius, in pixels of the clip."""
BLUE = (0.0, 0.02, 0.8)
PREVIEW_WIDTH = 758
"""Dots of the screen that the picture is wide there."""
TAB = (14, 115)
"""Where the sidebar's tab INVE is: from its right and its upper end."""
NEEDED = ("zmq", "msgpack")


def why_not() -> str:
    """What is missing for a window; "" where nothing is."""
    for program in ("blender", "xvfb-run"):
        if shutil.which(program) is None:
            return f"there is no {program}; `apt-get install blender xvfb` brings both"
    told = subprocess.run(
        ["blender", "--background", "--python-expr", "import sys; print('PYTHON', *sys.version_info[:2])"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    own = "PYTHON {} {}".format(*sys.version_info[:2])
    return "" if own in told.stdout.splitlines() else f"blender has another Python than {own[7:]}"


def write_plates(folder: Path) -> None:
    """A checkerboard with a disc that moves."""
    folder.mkdir()
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    for frame in range(FRAMES):
        picture = np.stack((70 + x // 8, 60 + y // 6, np.full_like(x, 50)), -1).astype(np.uint8)
        picture[(x // 24 + y // 24) % 2 == 0] //= 2
        cv2.circle(picture, (300 + 6 * frame, 150), 44, (60, 170, 220), -1)
        assert cv2.imwrite(str(folder / f"plate.{1001 + frame}.png"), picture)


def packages(folder: Path) -> Path:
    """pyzmq and msgpack alone, as Blender has no use for what lies beside them."""
    folder.mkdir()
    for name in NEEDED:
        spec = importlib.util.find_spec(name)
        assert spec is not None
        home = Path(next(iter(spec.submodule_search_locations or ())))
        (folder / name).symlink_to(home)
        for libraries in home.parent.glob(f"py{name}.libs"):
            (folder / libraries.name).symlink_to(libraries)
    return folder


def run_window(
    script: str, daemon: Daemon, folder: Path, timeout_s: float = 200, **more: Any
) -> dict[str, Any]:
    """Run one of scripts/ in a window to its end; gives what it reported, its screenshots under `shots`."""
    screenshots = Path(os.environ.get("INVE_SCREENSHOTS", folder / "screenshots"))
    screenshots.mkdir(exist_ok=True)
    told = {
        "plugins": ROOT / "plugins" / "blender",
        "daemon_folder": ROOT / "daemon",
        "site": packages(folder / "site"),
        "clip": folder / "clip",
        "endpoint": daemon.endpoint,
        "folder": screenshots,
        "tab": TAB,
        **more,
    }
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    environment = {
        **kept,
        "LIBGL_ALWAYS_SOFTWARE": "1",
        "HOME": str(folder),
        "XDG_RUNTIME_DIR": str(Path(daemon.endpoint.removeprefix("ipc://")).parent),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    screen = ["xvfb-run", "-a", "-s", "-screen 0 1280x800x24"]
    window = ["--factory-startup", "--window-geometry", "0", "0", "1280", "800", "--enable-event-simulate"]
    order = [
        "--python-exit-code",
        "1",
        "--python",
        str(SCRIPTS / script),
        "--",
        json.dumps(told, default=str),
    ]
    done = subprocess.run(
        [*screen, "blender", *window, *order],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout_s,
    )
    assert done.returncode == 0, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stdout + done.stderr, done.stdout + done.stderr
    (report,) = (line for line in done.stdout.splitlines() if line.startswith(REPORT))
    return json.loads(report[len(REPORT) :])


@pytest.fixture
def window() -> None:
    """Skips where there is no Blender with a window."""
    reason = why_not()
    if reason:
        pytest.skip(reason)


@pytest.mark.slow
@pytest.mark.usefixtures("window")
def test_the_tools_by_simulated_events(daemon: Daemon, tmp_path: Path) -> None:
    daemon.cli = (sys.executable, str(Path(__file__).resolve().parent / "serve_painting.py"))
    write_plates(tmp_path / "clip")
    picture = tmp_path / "sign.png"
    write_picture(picture, 80, 40)
    daemon.start().close()
    told = run_window("preview_gui.py", daemon, tmp_path, size=[WIDTH, HEIGHT], picture=picture)

    # A dot of the screen is 0.63 pixels of the picture, and events fall on whole dots.
    (stroke,) = told["stroke"]
    assert stroke["points"][0] == pytest.approx(told["wave"][0], abs=0.7)
    assert stroke["points"][-1] == pytest.approx(told["wave"][1], abs=0.7)
    assert (stroke["frame"], stroke["width"]) == (1002, 14)
    assert "point_widths" not in stroke, "a mouse has no pressure"
    assert (told["after_escape"], told["after_second"], told["after_undo"]) == (1, 2, 1)
    assert told["fresh"] == [1, 0], "the line is shown until the picture has it"
    assert len(told["result"]) == 1

    (region,) = told["region"]
    assert (region["closed"], region["hue"], len(region["points"])) == (True, 60, 20)
    (texture,) = told["texture"]
    assert (texture["width"], texture["height"]) == (80, 40)
    assert (texture["x"], texture["y"]) == pytest.approx((180, 90), abs=1)
    # From (230, 90) to (228, 112), about (180, 90).
    assert texture["rotation"] == pytest.approx(np.degrees(np.arctan2(22, 48)), abs=2)
    (moved,) = told["moved"]
    assert (moved["x"] - texture["x"], moved["y"] - texture["y"]) == pytest.approx((20, 20), abs=1.3)
    assert {name: moved[name] for name in ("id", "width", "rotation", "image")} == {
        name: texture[name] for name in ("id", "width", "rotation", "image")
    }
    assert told["let_go"] == told["moved"]
    assert told["tracks"] == [pytest.approx((100, 60), abs=0.7), pytest.approx((400, 200), abs=0.7)]
    assert "has Scale X 0" in told["squeezed"]

    cost = told["draw_s"]
    assert cost["add_late"] < 3 * cost["add_early"], cost
    # A thousand points later a redraw draws eight more strips, made once each.
    assert cost["late"] < 3 * cost["early"], cost
    assert cost["late"] < 0.016, cost
    for path in told["shots"]:
        shot = cv2.imread(path)
        assert shot.shape[:2] == (800, 1280)
    assert stroke_colour_share(told["shots"][0]) > 0.005, "the line is not seen while it is drawn"


@pytest.mark.slow
@pytest.mark.timeout(700)
@pytest.mark.usefixtures("window")
@pytest.mark.skipif("INVE_SCREENSHOTS" not in os.environ, reason="INVE_SCREENSHOTS names no folder")
def test_the_readmes_pictures(daemon: Daemon, tmp_path: Path) -> None:
    daemon.cli = (sys.executable, "-c", "from inve_daemon.cli import main; main()")
    clip = make_clip()
    clip.write(tmp_path / "clip")
    daemon.start().close()
    told = run_window(
        "first_edit_gui.py", daemon, tmp_path, 650, size=[*clip.rgb.shape[2:0:-1]], smile=SMILE, color=BLUE
    )
    assert [Path(shot).stem for shot in told["shots"]] == ["2-prepare", "3-paint", "4-result"]
    # The face moves with the object: it is on the last picture as well, away from where it was drawn.
    painted, moved = (where_is(shot, BLUE) for shot in told["shots"][1:])
    true = clip.position("foreground", 2, [SMILE[:2]], 19)[0] - SMILE[:2]
    assert (moved - painted) * clip.rgb.shape[2] / PREVIEW_WIDTH == pytest.approx(true, abs=6)
    assert told["psnr_db"] > 25


def stroke_colour_share(path: str) -> float:
    """The share of a screenshot that has the brush's own colour, scene-linear (1, 0.2, 0.05)."""
    return float(has_colour(path, (1.0, 0.2, 0.05)).mean())


def where_is(path: str, colour: tuple[float, float, float]) -> np.ndarray:
    """The middle of what has a scene-linear colour, x and y in dots of the preview."""
    rows, columns = np.nonzero(has_colour(path, colour)[:, :PREVIEW_WIDTH])
    return np.array((columns.mean(), rows.mean()))


def has_colour(path: str, colour: tuple[float, float, float]) -> np.ndarray:
    """[H, W] whether a screenshot, which is sRGB, has a scene-linear colour there."""
    wanted = linear_to_srgb(np.array(colour[::-1])) * 255
    return np.abs(cv2.imread(path).astype(float) - wanted).max(-1) < 16
