"""Nuke's stand-in with the plugin alive in it, and daemons behind it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import OpenImageIO as oiio  # noqa: N813 - as its own documentation has it
from daemon_support import FRAMES, HEIGHT, WIDTH, Daemon

from inve_nuke import actions, shots
from inve_nuke.node import TOOLSET
from stage import Stage, fresh

HERE = Path(__file__).resolve().parent
BLENDER_TESTS = HERE.parent / "blender"


class Nuke:
    """One run of Nuke's stand-in: the script's nodes, and the plugin's live half.

    Args:
        folder: for the script and its cache.
        endpoint: of the daemon.
        gui: with a window, or as `nuke -t`.
    """

    def __init__(self, folder: Path, endpoint: str, *, gui: bool = False) -> None:
        import nuke

        shots.stop()
        self.stage: Stage = fresh(gui=gui, format_text="32 24 0 0 32 24 1 tiny")
        self.nuke: ModuleType = nuke
        self.folder, self.endpoint = folder, endpoint

    @property
    def live(self) -> shots.Shots:
        return shots.current()

    @property
    def session(self) -> Any:
        return self.live.session

    def read(self, pattern: str, first: int, last: int) -> Any:
        made = self.nuke.nodes.Read(file=pattern)
        for knob, frame in (("first", first), ("last", last), ("origfirst", first), ("origlast", last)):
            made[knob].setValue(frame)
        return made

    def inve(self, plate: Any, first: int, last: int, **knobs: Any) -> Any:
        """A node under a plate, with its settings."""
        made = self.nuke.nodePaste(TOOLSET)
        made.setInput(0, plate)
        values = {"endpoint": self.endpoint, "first": first, "last": last, "reference": first, **knobs}
        values.setdefault("cache", str(self.folder / "cache"))
        values = {"shot": "plate", "preset": "preview", **values}
        for name, value in values.items():
            made[f"inve_{name}"].setValue(value)
        return made

    def paint(self, node: Any, curves: str) -> Any:
        """A RotoPaint with strokes, connected to a node's paint."""
        made = self.nuke.nodes.RotoPaint(inputs=[node.input(0)])
        made["curves"].fromScript(curves)
        node.setInput(2, made)
        return made

    def status(self, node: Any) -> str:
        return str(node["inve_status"].value())

    def key(self, node: Any) -> str:
        return str(node["inve_key"].value())

    def shown(self, node: Any) -> Any:
        return node.node("INVE_Read")

    def save(self, name: str = "shot.nk") -> str:
        path = str(self.folder / name)
        self.nuke.scriptSave(path)
        return path

    def until(self, condition: Any, timeout_s: float = 20.0) -> None:
        assert self.session.pump_until(condition, timeout_s), (
            self.session.connection,
            self.session.problem,
            self.live.log.lines,
        )

    def run(self, node: Any, *names: str, timeout_s: float = 30.0) -> None:
        """Press buttons one after the other, and wait for each."""
        for name in names:
            getattr(actions, name)(node, timeout_s=timeout_s)


def ready(nuke: Nuke, *elements: str) -> Any:
    """A prepared node with its paint."""
    write_plate(nuke.folder / "plate")
    pattern = str(nuke.folder / "plate" / "plate.%04d.exr")
    node = nuke.inve(nuke.read(pattern, FRAMES[0], FRAMES[-1]), FRAMES[0], FRAMES[-1])
    nuke.paint(node, strokes(*elements))
    nuke.run(node, "connect", "prepare")
    return node


def strokes(*elements: str, version: str = "x3f99999a") -> str:
    """A curves knob's text with elements in its root."""
    return "{{v " + version + "}{f 0}{n {layer Root {f 0}{t 16 12}{a} " + " ".join(elements) + "}}}"


def stroke(
    name: str, points: list[tuple[float, float]], frame: int = 1001, color: str = "r 1 g 0 b 0 a 1"
) -> str:
    """A brush stroke, places in Nuke's pixels, y up."""
    row = " ".join(f"{{{x} {y} 1}}" for x, y in points)
    return (
        f"{{cubiccurve {name} 512 catmullrom {{cc {{f 2080}}{{p {row}}}}}{{t 0}}"
        f"{{a {color} opc 1 bs 4 h 1 ltn {frame} ltm {frame} ltt 0}}}}"
    )


def painting_daemon(sockets: Path, store: Path, root: Path) -> Daemon:
    """A daemon that learns nothing and paints squares; to be started."""
    return Daemon(sockets, store, root, (sys.executable, str(BLENDER_TESTS / "serve_painting.py")))


def write_plate(folder: Path) -> dict[int, np.ndarray]:
    """A clip of EXR files, half floats below 0 and above 1 among them; its pixels by frame."""
    folder.mkdir(parents=True, exist_ok=True)
    rng, written = np.random.default_rng(7), {}
    for frame in FRAMES:
        pixels = rng.normal(0.5, 1.0, (HEIGHT, WIDTH, 3)).astype(np.float16)
        write_exr(folder / f"plate.{frame}.exr", pixels)
        written[frame] = pixels
    return written


def write_exr(path: Path, pixels: np.ndarray) -> None:
    height, width, channels = pixels.shape
    out = oiio.ImageOutput.create(str(path))
    assert out.open(str(path), oiio.ImageSpec(width, height, channels, oiio.HALF)), oiio.geterror()
    assert out.write_image(pixels)
    out.close()


def read_exr(path: str) -> np.ndarray:
    """Pixels of an EXR as half floats, [height, width, channels]."""
    file = oiio.ImageInput.open(path)
    assert file is not None, oiio.geterror()
    pixels = file.read_image(oiio.HALF)
    file.close()
    return np.asarray(pixels)


def result_of(node: Any) -> dict[int, np.ndarray]:
    """What the Read inside a node shows, frame by frame, where there is a file."""
    read = node.node("INVE_Read")
    frames = range(int(read["first"].value()), int(read["last"].value()) + 1)
    pattern = read["file"].value()
    paths = {frame: pattern % frame for frame in frames} if pattern else {}
    return {frame: read_exr(path) for frame, path in paths.items() if os.path.exists(path)}
